"""Fills the source database from a dump: whole or not at all, unless several jobs share the work."""

import ipaddress
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from shopease_etl.dumps import load, source
from shopease_etl.dumps.plain import PlainDump
from shopease_etl.dumps.rules import Rules
from shopease_etl.embedded.programs import find_tool, version
from shopease_etl.errors import ConfigurationError
from shopease_etl.postgres import connect, parameters
from shopease_etl.progress import SILENT, Progress
from shopease_etl.wording import counted

_PARALLEL: Final = (source.CUSTOM, source.DIRECTORY)


@dataclass(frozen=True)
class RestoreResult:
    """What was restored: the dump's format and size in bytes, and every table of the schema with its rows."""

    format: str
    bytes: int
    seconds: float
    tables: tuple[tuple[str, int], ...]


def restore(
    dump: str,
    database_url: str,
    *,
    clean: bool = False,
    jobs: int = 1,
    force: bool = False,
    schema: str = "public",
    progress: Progress = SILENT,
) -> RestoreResult:
    """Restores a dump (path or s3:// address) in one transaction, then counts the tables of `schema`.

    `clean` drops what the dump creates beforehand. `jobs` above 1 is for custom and directory dumps and gives up the
    one transaction. A database that is not on this machine is refused without `force`.
    """
    started = time.monotonic()
    local = _refuse_remote(database_url, force=force)
    with source.opened(dump) as opened:
        if jobs > 1 and opened.format not in _PARALLEL:
            raise ConfigurationError(f"--jobs has no effect on a {opened.format} dump", hint="leave it out")
        settings = _settings(database_url)
        task = f"restore {opened.name}"
        progress.start(task, opened.size if opened.stream else None)
        target = load.Target.of(database_url)
        if jobs > 1 and opened.path:
            tool = find_tool("pg_restore", tls=not local)
            load.run_parallel(opened.path, opened.name, target, tool, jobs=jobs, clean=clean)
        else:
            _run_script(opened, target, Rules(settings, clean), tls=not local, told=_Told(progress, task))
    tables = _counts(database_url, schema)
    progress.finish(task, counted(len(tables), "table"))
    return RestoreResult(opened.format, opened.size, time.monotonic() - started, tables)


@dataclass(frozen=True)
class _Told:
    """The progress of one task."""

    progress: Progress
    task: str

    def along(self, pieces: Iterable[bytes], opened: source.Dump) -> Iterator[bytes]:
        """The pieces, with progress told in bytes of the dump, or of SQL where it is an archive."""
        before = 0
        for piece in pieces:
            yield piece
            now = opened.bytes_read if opened.stream else before + len(piece)
            self.progress.advance(self.task, size=now - before)
            before = now


def _run_script(opened: source.Dump, target: load.Target, rules: Rules, *, tls: bool, told: _Told) -> None:
    psql = find_tool("psql", tls=tls)
    with ExitStack() as stack:
        if opened.path:
            chunks = stack.enter_context(load.script_of(opened.path, find_tool("pg_restore"), target))
        else:
            chunks = opened.chunks()
        pieces = stack.enter_context(closing(PlainDump(opened.name, chunks, rules).filtered()))
        load.run_script(told.along(pieces, opened), opened.name, target, psql, version(psql))


def _refuse_remote(database_url: str, *, force: bool) -> bool:
    """Whether the database is on this machine; ConfigurationError where it is not, or may not be, without `force`."""
    named = parameters(database_url)
    given = {key: named.get(key) or os.environ.get(name, "") for key, name in _PLACE.items()}
    remote = [host for key in ("host", "hostaddr") for host in given[key].split(",") if not _is_local(host)]
    if given["service"]:
        remote.append(f"the service {given['service']}")
    if remote and not force:
        raise ConfigurationError(
            f"{remote[0]} is not this machine; restore would write into a database there",
            hint="--force, if that is what you want",
        )
    return not remote


_PLACE: Final = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "service": "PGSERVICE"}


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _settings(database_url: str) -> frozenset[str]:
    """The names of the server's settings, as a dump of a newer server may set others."""
    with connect(database_url) as connection:
        return frozenset(str(name) for (name,) in connection.execute("SELECT lower(name) FROM pg_settings"))


def _counts(database_url: str, schema: str) -> tuple[tuple[str, int], ...]:
    """The tables of the schema with their rows; a partition is counted with its whole."""
    tables = """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"""
    with connect(database_url) as connection:
        names = [name for (name,) in connection.execute(tables, [schema])]
        return tuple((name, _rows(connection, schema, name)) for name in names)


def _rows(connection: psycopg.Connection, schema: str, table: str) -> int:
    found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))).fetchone()
    return int(found[0]) if found else 0
