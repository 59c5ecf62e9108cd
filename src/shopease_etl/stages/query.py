"""Runs SQL statements on the catalogued lake."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa

from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.warehouse import SqlEngine, Warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueryResult:
    """A running query: its columns, and its rows as batches that can be read once; use it as a context manager."""

    columns: tuple[str, ...]
    reader: pa.RecordBatchReader
    engine: SqlEngine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()


def check_output(output: Path, lake: Path | None, home: Path, option: str = "--output") -> None:
    """Refuse a file for the result, which an option names; `lake` is the lake's folder, if it is local.

    Raises:
        ConfigurationError: the path is in the lake or in shopease's home folder, or exists and is not a file.
        UnreachableError: its folder does not exist.
    """
    for folder, what in ((lake, "the lake"), (home, "shopease's home folder")):
        if folder is not None and _is_inside(output, folder):
            message = f"{option} {output} is inside {what} {folder}"
            raise ConfigurationError(message, hint="write the result to another folder")
    if output.is_dir():
        raise ConfigurationError(
            f"{option} {output} is a folder", hint=f"name a file: {option} {output / 'result.csv'}"
        )
    if output.exists() and not output.is_file():
        raise ConfigurationError(f"{option} {output} is not a regular file", hint="name another file")
    if not output.parent.is_dir():
        raise UnreachableError(f"cannot write {output}: there is no folder {output.parent}")


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether the file, or its target if it is a link, is in the folder, by any path."""
    resolved = (path.resolve(), path.parent.resolve() / path.name)
    above = {parent for place in resolved for parent in (place, *place.parents)}
    return folder.exists() and any(parent.exists() and parent.samefile(folder) for parent in above)


def query(sql: str, warehouse: Warehouse, *, max_scan: int | None = None) -> QueryResult:
    """Run one read-only statement of Athena's SQL; use the result as a context manager.

    Raises:
        ShopeaseError: it may scan more than `max_scan` bytes, by the size of the files of its tables, and the engine
            itself has no limit that would stop it there.
    """
    engine = warehouse.engine()
    try:
        if max_scan is not None:
            _refuse_large_scan(engine, sql, max_scan)
        reader = engine.execute(sql)
    except BaseException:
        if (scan := engine.scan()) and scan.charged:
            log.warning("the statement scanned %.1f MB, %.1f MB of it charged", scan.bytes / 1e6, scan.charged / 1e6)
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
            hint="query gold, which is smaller than silver, name months (docs/MONTHS.md), or raise --max-scan",
        )
