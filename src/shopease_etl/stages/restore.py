"""Fills the source database from a dump: completely or not at all, unless several jobs share the work."""

import ipaddress
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from shopease_etl.errors import ConfigurationError
from shopease_etl.progress import SILENT, Progress
from shopease_etl.source.dumps import load
from shopease_etl.source.dumps.opening import Dump, open_dump
from shopease_etl.source.dumps.plain import PlainDump
from shopease_etl.source.dumps.rules import Rules, Server
from shopease_etl.source.dumps.sections import Sections
from shopease_etl.source.dumps.unpack import Format
from shopease_etl.source.embedded.programs import find_tool, version
from shopease_etl.source.postgres import connect, parameters
from shopease_etl.wording import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestoreResult:
    """What was restored: the dump's format and size in bytes, and every table of the schema with its rows.

    `left_out`: the warnings about what the dump needs and the server does not have.
    """

    format: str
    bytes: int
    seconds: float
    tables: tuple[tuple[str, int], ...]
    left_out: tuple[str, ...] = ()


def restore(
    location: str,
    database_url: str,
    *,
    clean: bool = False,
    jobs: int = 1,
    force: bool = False,
    schema: str = "public",
    progress: Progress = SILENT,
) -> RestoreResult:
    """Restores a dump (path or s3:// address) in one transaction, then counts the tables of `schema`.

    `clean` first drops what the dump creates. `jobs` above 1 is for custom and directory dumps and uses several
    transactions. A database that is not on this machine is refused without `force`.
    """
    started = time.monotonic()
    local = _refuse_remote(database_url, force=force)
    with open_dump(location) as dump:
        if jobs > 1 and dump.format not in (Format.CUSTOM, Format.DIRECTORY):
            raise ConfigurationError(f"--jobs has no effect on a {dump.format} dump", hint="leave it out")
        task = f"restore {dump.name}"
        progress.start(task, dump.size if dump.stream else None)
        loading = _Loading(dump, database_url, find_tool("psql", tls=not local), _Task(progress, task))
        loading.load(jobs, clean=clean)
    tables = _counts(database_url, schema)
    progress.finish(task, counted(len(tables), "table"))
    return RestoreResult(dump.format, dump.size, time.monotonic() - started, tables, tuple(loading.left_out))


@dataclass(frozen=True)
class _Task:
    """The progress of one task."""

    progress: Progress
    name: str

    def along(self, pieces: Iterable[bytes], dump: Dump) -> Iterator[bytes]:
        """The pieces, with progress in bytes of the dump, or of SQL if it is an archive."""
        before = 0
        for piece in pieces:
            yield piece
            now = dump.bytes_read if dump.stream else before + len(piece)
            self.progress.advance(self.name, size=now - before)
            before = now


class _Loading:
    """An open dump on its way into the database."""

    def __init__(self, dump: Dump, database_url: str, psql: Path, task: _Task) -> None:
        self.left_out: list[str] = []
        self._dump = dump
        self._server = _server(database_url)
        self._missing: set[str] = set()
        target, is_script = load.Target.of(database_url), dump.path is None
        self._loader = load.Loader(dump.name, target, psql, version(psql), self._missing, is_script)
        self._task = task

    def load(self, jobs: int, *, clean: bool) -> None:
        """Loads the dump, in one transaction unless there are several jobs."""
        if self._dump.path is None:
            self._load_script(self._dump.chunks(), clean=clean)
        elif jobs > 1:
            Sections(self._dump.path, find_tool("pg_restore"), self._loader, self._rules, self._along).restore(
                jobs, clean=clean
            )
        else:
            with load.script_of(self._dump.path, self._loader, find_tool("pg_restore")) as script:
                self._load_script(script, clean=clean)

    def _load_script(self, script: Iterable[bytes], *, clean: bool) -> None:
        is_packed = self._dump.format != Format.PLAIN
        with closing(PlainDump(self._dump.name, script, self._rules(clean), is_packed).filtered()) as pieces:
            self._loader.run(self._along(pieces), clean=clean, check=clean)

    def _along(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        return self._task.along(pieces, self._dump)

    def _rules(self, clean: bool) -> Rules:
        return Rules(self._server, clean, self._leave_out, self._missing)

    def _leave_out(self, what: str) -> None:
        if what not in self.left_out:
            self.left_out.append(what)
            log.warning("%s", what)


def _refuse_remote(database_url: str, *, force: bool) -> bool:
    """Whether the database is on this machine; if not, or if that is unclear, ConfigurationError without `force`."""
    named = parameters(database_url)
    variables = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "service": "PGSERVICE"}
    given = {key: named.get(key) or os.environ.get(name, "") for key, name in variables.items()}
    remote = [host for key in ("host", "hostaddr") for host in given[key].split(",") if not _is_local(host)]
    if given["service"]:
        remote.append(f"the service {given['service']}")
    if remote and not force:
        raise ConfigurationError(
            f"{remote[0]} is not this machine; restore would write into a database there",
            hint="use --force if you want that",
        )
    return not remote


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _server(database_url: str) -> Server:
    """What the server knows; a dump of another server may need more."""
    extensions = """SELECT extname FROM pg_extension UNION SELECT name FROM pg_available_extension_versions
        WHERE NOT superuser OR (trusted AND has_database_privilege(current_database(), 'CREATE'))
        OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"""
    queries = ("SELECT lower(name) FROM pg_settings", "SELECT rolname FROM pg_roles", extensions)
    with connect(database_url) as connection:
        return Server(*(frozenset(str(name) for (name,) in connection.execute(query.encode())) for query in queries))


def _counts(database_url: str, schema: str) -> tuple[tuple[str, int], ...]:
    """The tables of the schema with their rows; a partition is counted with its table."""
    tables = """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"""
    counts = []
    with connect(database_url) as connection:
        for (name,) in connection.execute(tables, [schema]).fetchall():
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))
            counts.append((name, int(connection.execute(query).fetchall()[0][0])))
    return tuple(counts)
