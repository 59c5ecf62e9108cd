"""The source database: its URL, one moment of it, and work on that moment tried again."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from shopease_etl import cancel, extras
from shopease_etl.errors import SourceDownError, SourceFaultError, UnreachableError
from shopease_etl.source.postgres import Limits, Snapshot, snapshot

T = TypeVar("T")

FIRST_PAUSE: Final = 1.0  # seconds; each further one is twice as long
LONGEST_PAUSE: Final = 60.0
LONGEST_PAUSE_WHILE_DOWN: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """The source database, and how it is read.

    `url` is None for the embedded one, whose files are in `home`. `zone` is the business time zone. An extract is tried
    `attempts` times, and waits up to `wait` seconds for a server that takes no connections; it uses as many
    `connections`, None for as many as this machine has cores for.
    """

    url: str | None
    schema: str
    zone: str
    home: Path
    limits: Limits
    attempts: int
    wait: float
    connections: int | None = None


def attempted(source: Source, names: Sequence[str], work: Callable[[Snapshot], T]) -> T:
    """Do the work on one moment of the source in which the named tables are locked, and when the source fails in a way
    that passes, on a new moment from the start.

    Raises:
        SourceFaultError: it failed as often as it may be tried, or took no connections for as long as it is waited for.
    """
    attempt, pause, until = 1, FIRST_PAUSE, None
    while True:
        try:
            with source_snapshot(source, lock=names) as moment:
                return work(moment)
        except SourceDownError as error:
            until = until or time.monotonic() + source.wait
            if (left := until - time.monotonic()) <= 0:
                raise _down(error, source.wait) from error
            seconds = min(_varied(pause), left, LONGEST_PAUSE_WHILE_DOWN)
            text = "the source takes no connections: %s; trying again in %.1f s (for %.0f s more)"
            log.warning(text, error, seconds, left)
        except SourceFaultError as error:
            if attempt == source.attempts:
                raise
            attempt, until, seconds = attempt + 1, None, _varied(pause)
            text = "the source failed: %s; trying again from a new snapshot in %.1f s (%d of %d)"
            log.warning(text, error, seconds, attempt, source.attempts)
        cancel.wait(seconds)
        pause = min(pause * 2, LONGEST_PAUSE)


def _varied(seconds: float) -> float:
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - so that many runs do not come back together


def _down(error: SourceDownError, waited: float) -> SourceDownError:
    hint = error.hint or "start that server, or correct SHOPEASE_DATABASE_URL"
    return SourceDownError(str(error), hint=f"{hint}; waited {waited:g} s (SHOPEASE_SOURCE_WAIT)")


def require_embedded(source: Source) -> None:
    """Raise ConfigurationError where the source is the embedded database and its packages are not installed."""
    if source.url is None:
        extras.require(
            "embedded", "the embedded PostgreSQL", otherwise="set SHOPEASE_DATABASE_URL to a PostgreSQL of your own"
        )


@contextmanager
def source_url(source: Source) -> Iterator[str]:
    """The source database's URL; the embedded server runs for as long as the context lasts."""
    if source.url is not None:
        yield source.url
        return
    from shopease_etl.source import embedded

    with embedded.running(source.home) as url:
        yield url


@contextmanager
def source_snapshot(source: Source, lock: Sequence[str] = ()) -> Iterator[Snapshot]:
    """One moment of the source database, within its limits; the tables to `lock` cannot change under it."""
    with source_url(source) as url, snapshot(url, source.zone, source.schema, source.limits, lock=lock) as moment:
        yield moment


@contextmanager
def existing_source(source: Source) -> Iterator[Snapshot]:
    """One moment of the source database, for looking only: an embedded one is not made.

    Raises:
        ConfigurationError: it is the embedded one, whose packages are not installed.
        UnreachableError: there is no embedded database yet.
    """
    require_embedded(source)
    if source.url is None and not (source.home / "postgres").exists():
        message = f"there is no embedded database in {source.home} yet"
        raise UnreachableError(message, hint="load a dump: `shopease restore DUMP` (`shopease sample DUMP` makes one)")
    with source_snapshot(source) as moment:
        yield moment
