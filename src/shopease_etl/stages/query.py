"""One SQL statement on the catalogued lake, and the queries that ship with the tool."""

import logging
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.warehouse import SqlEngine, Warehouse

log = logging.getLogger(__name__)

_DATABASE: Final = "shopease_catalog"


@dataclass(frozen=True)
class ShippedQuery:
    """A query that ships with the tool, in Athena's SQL."""

    name: str
    description: str
    sql: str


@dataclass(frozen=True)
class QueryResult:
    """A running query: its columns, and its rows as batches that can be read once; to be closed."""

    columns: tuple[str, ...]
    reader: pa.RecordBatchReader
    engine: SqlEngine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()


def check_output(output: Path, lake: Path | None, home: Path) -> None:
    """Refuse a file for the result before the query runs; `lake` is the lake's folder, if it is one.

    Raises:
        ConfigurationError: the file is in the lake or in shopease's home folder, or is something else than a file.
        UnreachableError: its folder does not exist.
    """
    for folder, what in ((lake, "the lake"), (home, "shopease's home folder")):
        if folder is not None and _is_inside(output, folder):
            message = f"--output {output} is inside {what} {folder}"
            raise ConfigurationError(message, hint="write the result to another folder")
    if output.is_dir():
        raise ConfigurationError(
            f"--output {output} is a folder", hint=f"name a file: --output {output / 'result.csv'}"
        )
    if output.exists() and not output.is_file():
        raise ConfigurationError(f"--output {output} is not a regular file", hint="without --output it goes to stdout")
    if not output.parent.is_dir():
        raise UnreachableError(f"cannot write {output}: there is no folder {output.parent}")


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether the file itself, or what it links to, is in a folder, by whatever path the folder is reached."""
    resolved = (path.resolve(), path.parent.resolve() / path.name)
    above = {parent for place in resolved for parent in (place, *place.parents)}
    return folder.exists() and any(parent.exists() and parent.samefile(folder) for parent in above)


def query(sql: str, warehouse: Warehouse, *, max_scan: int | None = None) -> QueryResult:
    """Run one reading statement of Athena's SQL; use the result as a context manager.

    Raises:
        ShopeaseError: it may scan more than `max_scan` bytes, by the size of the files that it names, and the
            engine would not stop it there itself.
    """
    engine = warehouse.engine()
    try:
        if max_scan is not None:
            _refuse_large_scan(engine, sql, max_scan)
        reader = engine.execute(sql)
    except BaseException:
        if (scan := engine.scan()) and scan.charged:
            log.warning("until then %.1f MB were scanned, and %.1f MB charged", scan.bytes / 1e6, scan.charged / 1e6)
        engine.close()
        raise
    return QueryResult(tuple(reader.schema.names), reader, engine)


def _refuse_large_scan(engine: SqlEngine, sql: str, max_scan: int) -> None:
    limit = engine.scan_limit()
    if limit is not None and limit <= max_scan:
        return
    if (size := engine.estimated_bytes(sql)) > max_scan:
        raise ShopeaseError(
            f"the statement may read {size:,} bytes, more than the {max_scan:,} of --max-scan",
            hint="query gold, which is smaller than silver, or raise --max-scan",
        )


@cache
def shipped_queries(database: str = _DATABASE) -> tuple[ShippedQuery, ...]:
    """All queries that ship with the tool, by name, on the tables of `database`."""
    entries = sorted(files("shopease_etl").joinpath("queries").iterdir(), key=lambda entry: entry.name)
    return tuple(
        _shipped(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8"), database)
        for entry in entries
        if entry.name.endswith(".sql")
    )


def shipped_query(name: str, database: str = _DATABASE) -> ShippedQuery:
    """The shipped query of a name; ConfigurationError where there is none."""
    for candidate in shipped_queries(database):
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in shipped_queries(database))
    raise ConfigurationError(f"no query named {name!r} ships with shopease", hint=f"there are these: {names}")


def _shipped(name: str, text: str, database: str) -> ShippedQuery:
    first_line, _, sql = text.partition("\n")
    if database != _DATABASE:
        sql = sql.replace(f"{_DATABASE}.", f'"{database}".')
    return ShippedQuery(name, first_line.removeprefix("--").strip(), sql.strip())
