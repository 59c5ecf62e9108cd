"""A source with a gate: while it is closed, an extract stops before the last two tables."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg

from commands import Ended, Shop, copy_of, count, execute
from conftest import eventually

AGAIN: Final = "trying again from a new snapshot"
OURS: Final = "pg_stat_activity WHERE datname = current_database() AND application_name = 'shopease'"
LEADER: Final = f"{OURS} AND state = 'idle in transaction'"
AT_GATE: Final = f"{OURS} AND wait_event = 'advisory'"
GATED: Final = ("stores", "sales_managers")
GATE: Final = tuple(
    statement
    for table in GATED
    for statement in (
        f"ALTER TABLE {table} RENAME TO {table}_behind_the_gate",
        f"CREATE VIEW {table} AS SELECT * FROM {table}_behind_the_gate "
        "WHERE (SELECT pg_advisory_xact_lock_shared(42) IS NOT NULL)",
    )
)


@dataclass(frozen=True)
class Running:
    """A running command, and the file with its messages."""

    process: subprocess.Popen[str]
    log: Path

    def has_told(self, words: str) -> bool:
        """Whether the words are among its messages so far; the command has not ended."""
        assert self.process.poll() is None, self.log.read_text()
        return words in self.log.read_text()

    def ended(self, seconds: float = 60) -> Ended:
        """How it ended, no later than this."""
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
        return Ended(code, "", self.log.read_text())


@contextmanager
def gated_copy(sales: str) -> Iterator[str]:
    """The URL of a copy of the sales, with a gate before two of its tables."""
    with copy_of(sales) as url:
        execute(url, *GATE)
        yield url


@contextmanager
def closed_gate(url: str) -> Iterator[psycopg.Connection]:
    """Hold the gate for as long as the block lasts, or until the connection is closed."""
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        yield holder


@contextmanager
def under_way(shop: Shop, *arguments: str) -> Iterator[Running]:
    """A command from its start; it is killed if the block leaves it."""
    log = shop.folder / "messages"
    with log.open("w") as file, shop.start(*(arguments or ("extract",)), stderr=file) as process:
        try:
            yield Running(process, log)
        finally:
            process.kill()


@contextmanager
def at_gate(shop: Shop) -> Iterator[Running]:
    """An extract that waits at the closed gate with all its workers."""
    with under_way(shop) as running:
        eventually(lambda: running.process.poll() is not None or count(shop.database_url, AT_GATE) == len(GATED))
        assert running.process.poll() is None, running.log.read_text()
        yield running


def with_settings(shop: Shop, **settings: Any) -> Shop:
    """The same shop with some of the settings that begin with SHOPEASE_SOURCE_."""
    return replace(shop, more={f"SHOPEASE_SOURCE_{name.upper()}": str(value) for name, value in settings.items()})


def bronze(lake: dict[str, str]) -> dict[str, str]:
    """Of a lake's hashes those that extract makes."""
    return {key: value for key, value in lake.items() if key.startswith("bronze/")}
