"""The source database as the settings name it: its URL, one moment of it, and work on that moment tried again."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from shopease_etl import cancel, extras
from shopease_etl.errors import SourceDownError, SourceFaultError, UnreachableError
from shopease_etl.settings import Settings
from shopease_etl.source.postgres import Limits, Snapshot, snapshot

T = TypeVar("T")

FIRST_PAUSE: Final = 1.0  # seconds; each further one is twice as long
LONGEST_PAUSE: Final = 60.0
LONGEST_PAUSE_WHILE_DOWN: Final = 5.0

log = logging.getLogger(__name__)


def attempted(settings: Settings, names: Sequence[str], work: Callable[[Snapshot], T]) -> T:
    """Do the work on one moment of the source in which the named tables are locked, and when the source fails in a way
    that passes, on a new moment from the start.

    Raises:
        SourceFaultError: it failed as often as the settings let it be tried, or took no connections for as long as they
            let it be waited for.
    """
    attempt, pause, until = 1, FIRST_PAUSE, None
    while True:
        try:
            with source_snapshot(settings, lock=names) as moment:
                return work(moment)
        except SourceDownError as error:
            until = until or time.monotonic() + settings.source_wait
            if (left := until - time.monotonic()) <= 0:
                raise _down(error, settings.source_wait) from error
            seconds = min(_varied(pause), left, LONGEST_PAUSE_WHILE_DOWN)
            text = "the source takes no connections: %s; trying again in %.1f s (for %.0f s more)"
            log.warning(text, error, seconds, left)
        except SourceFaultError as error:
            if attempt == settings.source_attempts:
                raise
            attempt, until, seconds = attempt + 1, None, _varied(pause)
            text = "the source failed: %s; trying again from a new snapshot in %.1f s (%d of %d)"
            log.warning(text, error, seconds, attempt, settings.source_attempts)
        cancel.wait(seconds)
        pause = min(pause * 2, LONGEST_PAUSE)


def _varied(seconds: float) -> float:
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - so that many runs do not come back together


def _down(error: SourceDownError, waited: float) -> SourceDownError:
    hint = error.hint or "start that server, or correct SHOPEASE_DATABASE_URL"
    return SourceDownError(str(error), hint=f"{hint}; waited {waited:g} s (SHOPEASE_SOURCE_WAIT)")


def require_embedded(settings: Settings) -> None:
    """Raise ConfigurationError where the source is the embedded database and its packages are not installed."""
    if settings.is_embedded:
        extras.require(
            "embedded", "the embedded PostgreSQL", otherwise="set SHOPEASE_DATABASE_URL to a PostgreSQL of your own"
        )


@contextmanager
def source_url(settings: Settings) -> Iterator[str]:
    """The source database's URL; the embedded server runs for as long as the context lasts."""
    if not settings.is_embedded:
        yield settings.database_url.get_secret_value()
        return
    from shopease_etl.source import embedded

    with embedded.running(settings.home) as url:
        yield url


@contextmanager
def source_snapshot(settings: Settings, lock: Sequence[str] = ()) -> Iterator[Snapshot]:
    """One moment of the source database, within the settings' limits; the tables to `lock` cannot change under it."""
    limits = Limits(settings.source_statement_timeout, settings.source_lock_timeout, settings.source_idle_timeout)
    zone, schema = settings.business_timezone, settings.source_schema
    with source_url(settings) as url, snapshot(url, zone, schema, limits, lock=lock) as moment:
        yield moment


@contextmanager
def existing_source(settings: Settings) -> Iterator[Snapshot]:
    """One moment of the source database, for looking only: an embedded one is not made.

    Raises:
        ConfigurationError: it is the embedded one, whose packages are not installed.
        UnreachableError: there is no embedded database yet.
    """
    require_embedded(settings)
    if settings.is_embedded and not (settings.home / "postgres").exists():
        message = f"there is no embedded database in {settings.home} yet"
        raise UnreachableError(message, hint="load a dump: `shopease restore DUMP` (`shopease sample DUMP` makes one)")
    with source_snapshot(settings) as moment:
        yield moment
