"""The source database: its URL, snapshots of it, and retries of work on a snapshot."""

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
from shopease_etl.source.secret import DatabaseSecret

T = TypeVar("T")

FIRST_PAUSE: Final = 1.0  # seconds; each further one is twice as long
LONGEST_PAUSE: Final = 60.0
LONGEST_PAUSE_WHILE_DOWN: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """The source database, and how it is read.

    `url` is None for the embedded one, whose files are in `home`, and for one whose URL is in a `secret`. `zone` is the
    business time zone. An extract is tried `attempts` times, and waits up to `wait` seconds for a server that accepts
    no connections. It uses this many `connections`; None means as many as the machine's cores allow.
    """

    url: str | None
    schema: str
    zone: str
    home: Path
    limits: Limits
    attempts: int
    wait: float
    connections: int | None = None
    secret: DatabaseSecret | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded database."""
        return self.url is None and self.secret is None

    @property
    def last_url(self) -> str | None:
        """The URL, of a secret as it was when it was last read; None if it is not known."""
        return self.secret.last if self.secret else self.url


def with_retries(source: Source, names: Sequence[str], work: Callable[[Snapshot], T]) -> T:
    """Do the work on a snapshot of the source with locks on the named tables; after a temporary failure of the source,
    start again on a new snapshot.

    Raises:
        SourceFaultError: all attempts failed, or the source accepted no connections during the wait.
    """
    attempt, pause, until = 1, FIRST_PAUSE, None
    while True:
        try:
            with source_snapshot(source, lock=names) as taken:
                return work(taken)
        except SourceDownError as error:
            until = until or time.monotonic() + source.wait
            if (left := until - time.monotonic()) <= 0:
                hint = error.hint or "start that server, or correct SHOPEASE_DATABASE_URL"
                hint = f"{hint}; waited {source.wait:g} s (SHOPEASE_SOURCE_WAIT)"
                raise SourceDownError(str(error), hint=hint) from error
            seconds = min(_varied(pause), left, LONGEST_PAUSE_WHILE_DOWN)
            text = "the source accepts no connections: %s; trying again in %.1f s (for %.0f s more)"
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
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - so that many runs do not try again at the same time


def require_embedded(source: Source) -> None:
    """Raise ConfigurationError if the source is the embedded database and its packages are not installed."""
    if source.is_embedded:
        extras.require(
            "embedded", "the embedded PostgreSQL", otherwise="set SHOPEASE_DATABASE_URL to a PostgreSQL of your own"
        )


@contextmanager
def source_url(source: Source) -> Iterator[str]:
    """The source database's URL, if need be from its secret; the embedded server runs as long as the context lasts."""
    if url := source.url or (source.secret and source.secret.read()):
        yield url
        return
    from shopease_etl.source import embedded

    with embedded.running(source.home) as own:
        yield own


@contextmanager
def source_snapshot(source: Source, lock: Sequence[str] = ()) -> Iterator[Snapshot]:
    """A snapshot of the source database, within its limits; no other session can alter the tables to `lock`."""
    with source_url(source) as url, snapshot(url, source.zone, source.schema, source.limits, lock=lock) as taken:
        yield taken


@contextmanager
def existing_snapshot(source: Source) -> Iterator[Snapshot]:
    """A snapshot of the source database, without creating an embedded one.

    Raises:
        ConfigurationError: it is the embedded one, whose packages are not installed.
        UnreachableError: there is no embedded database yet.
    """
    require_embedded(source)
    if source.is_embedded and not (source.home / "postgres").exists():
        message = f"there is no embedded database in {source.home} yet"
        raise UnreachableError(message, hint="load a dump: `shopease restore DUMP` (`shopease sample DUMP` makes one)")
    with source_snapshot(source) as taken:
        yield taken
