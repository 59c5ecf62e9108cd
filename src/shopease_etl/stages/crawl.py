"""Makes the lake queryable: registers its tables and views, and queries each of them once."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from shopease_etl.contract.layout import NO_MONTH, SALE_MONTH, dataset_of, month_of
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.manifests import missing_objects, require_hash, require_unchanged, rerun_hint
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import CatalogEntry, CrawlerRun, ObjectRecord, Scan
from shopease_etl.warehouse import Registration, SqlEngine, Warehouse
from shopease_etl.warehouse.discovery import Discovery, discover
from shopease_etl.warehouse.schema import CatalogTable, CatalogView, quoted
from shopease_etl.warehouse.statements import run_together
from shopease_etl.wording import counted

NO_RECORDS: Final[Mapping[str, ObjectRecord]] = MappingProxyType({})
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrawlResult:
    """The tables and views that can be queried, those that cannot, with the reason for each, and the crawlers' runs."""

    catalogued: tuple[CatalogEntry, ...]
    skipped: Mapping[str, str]
    crawlers: tuple[CrawlerRun, ...] = ()
    scan: Scan | None = None


def no_crawlers() -> tuple[CrawlerRun, ...]:
    """For a crawl that starts none of Glue's crawlers."""
    return ()


def already_published() -> None:
    """For a crawl of what is already published."""


def crawl(
    store: Store,
    warehouse: Warehouse,
    *,
    recorded: Mapping[str, ObjectRecord] = NO_RECORDS,
    run_crawlers: Callable[[], tuple[CrawlerRun, ...]] = no_crawlers,
    commit: Callable[[], None] = already_published,
    progress: Progress = SILENT,
) -> CrawlResult:
    """Register the lake's tables and views, run the crawlers, if any, and query every table and view once.

    `commit` publishes what is in `store`. The warehouse calls it when it can: after all queries, or, if it cannot query
    before, when it is known what to register.

    Numbers of rows are those of `recorded` by key; a file that is not in it, or has another size, is counted. Files of
    `recorded` that are missing are logged as errors.

    Raises:
        DataRefusedError: a file is not what its run recorded, or the file of a month is missing.
        ShopeaseError: the lake is empty, or a file cannot be read, or a table or view cannot be queried.
    """
    found = discover(store, warehouse.database, recorded)
    for key, table in found.unexpected_files:
        log.warning("%s is not of the lake's layout; Athena would read it as rows of %s", store.uri(key), table)
    _report_missing(store, found, recorded)
    if not found.tables:
        raise ShopeaseError(f"there is nothing to catalogue in {store.location}", hint="run `shopease run-all`")
    progress.start("crawl")
    _require_unchanged(store, found, recorded, is_whole=warehouse.reads_unpublished)
    with warehouse.register(found.tables, found.views, commit) as registration:
        crawlers = run_crawlers()
        _refuse_conflicts(registration, crawled=bool(crawlers))
        catalogued = _verified(registration, found, recorded, warehouse.concurrency)
        registration.commit()
        scan = registration.engine.scan()
    progress.finish("crawl", counted(len(catalogued), "table or view", "tables and views"))
    return CrawlResult(catalogued, found.skipped, crawlers, scan)


def _report_missing(store: Store, found: Discovery, recorded: Mapping[str, ObjectRecord]) -> None:
    for key, entry in missing_objects(recorded, found.sizes).items():
        log.error("%s, which the run %s wrote, is missing; %s", store.uri(key), entry.run_id, rerun_hint(key))
        # without the month every sum would be wrong; a dataset of which nothing is left is only skipped
        if month_of(key) and any(table.folder == f"{dataset_of(key)}/" for table in found.tables):
            raise DataRefusedError(f"{key}, which the run {entry.run_id} wrote, is missing", hint=rerun_hint(key))


def _require_unchanged(store: Store, found: Discovery, recorded: Mapping[str, ObjectRecord], *, is_whole: bool) -> None:
    """Compare the files with what their runs recorded.

    On S3 only gold, which is small, is read completely. Files by month are not: most are from earlier runs, and each
    run verifies one of them.
    """
    for table in found.tables:
        for key in table.keys:
            entry = recorded.get(key)
            if entry and entry.sha256 and entry.bytes != found.sizes[key]:
                require_hash(key, "", entry)
            if table.is_parquet or (is_whole and not table.months):
                require_unchanged(store, key, entry)


def _refuse_conflicts(registration: Registration, *, crawled: bool) -> None:
    if conflicts := registration.conflicts():
        policy = "a crawler's SchemaChangePolicy must be LOG, as terraform/ has it; " if crawled else ""
        raise DataRefusedError(
            f"the catalog was changed by something else meanwhile: {'; '.join(conflicts)}",
            hint=f"{policy}`shopease crawl` repairs the tables",
        )


def _verified(
    registration: Registration, found: Discovery, recorded: Mapping[str, ObjectRecord], concurrency: int
) -> tuple[CatalogEntry, ...]:
    engine, changes = registration.engine, registration.changes
    rows = {
        table.name: sum(recorded[key].rows for key in table.keys)
        for table in found.tables
        if all(key in recorded and recorded[key].bytes == found.sizes[key] for key in table.keys)
    }
    counted = [table.name for table in found.tables if table.name not in rows]
    counts = run_together(engine, [partial(_count, engine, found.database, name) for name in counted], concurrency)
    rows |= dict(zip(counted, counts, strict=True))
    parts = {table.name: _part_to_query(table, rows[table.name], recorded) for table in found.tables}
    entries: tuple[CatalogTable | CatalogView, ...] = (*found.tables, *found.views)
    bases = [entry.base if isinstance(entry, CatalogView) else entry.name for entry in entries]
    checks = [
        partial(_check_answer, engine, found.database, entry, *parts[base])
        for entry, base in zip(entries, bases, strict=True)
    ]
    run_together(engine, checks, concurrency)
    return tuple(
        CatalogEntry(
            entry.name,
            "view" if isinstance(entry, CatalogView) else "table",
            len(entry.column_names),
            rows[base],
            changes.get(entry.name),
        )
        for entry, base in zip(entries, bases, strict=True)
    )


def _part_to_query(table: CatalogTable, rows: int, recorded: Mapping[str, ObjectRecord]) -> tuple[int, str]:
    """The rows of a table that its check may find, and the condition for them.

    Of a table by month only the months that this run wrote are queried, as a query checks each file that it reads; if
    it wrote none, the last month.
    """
    if not table.months or any(key not in recorded for key in table.keys):
        return rows, ""
    entries = {month: recorded[key] for month, key in table.months.items()}
    written = [month for month, entry in entries.items() if not entry.sha256 and not _is_carried_over(entry)]
    written = written or [max(table.months, key=lambda month: (month != NO_MONTH, month))]
    if len(written) == len(table.months):
        return rows, ""
    months = ", ".join(f"'{month}'" for month in written)
    return sum(entries[month].rows for month in written), f" WHERE {SALE_MONTH} IN ({months})"


def _is_carried_over(entry: ObjectRecord) -> bool:
    return entry.result is not None and entry.result.run_id is not None


def _check_answer(
    engine: SqlEngine, database: str, entry: CatalogTable | CatalogView, rows: int, condition: str
) -> None:
    """Query one row: the columns must exist, their types must fit, and the table must find its files."""
    name = f"{quoted(database)}.{quoted(entry.name)}"
    sql = f"SELECT * FROM {name}{condition} LIMIT 1"  # noqa: S608 - identifiers are quoted
    try:
        reader = engine.execute_trusted(sql)
        answer = reader.read_all()
    except ShopeaseError as error:
        raise type(error)(f"{entry.name} cannot be queried: {error}", hint=error.hint) from error
    if [name.lower() for name in reader.schema.names] != [name.lower() for name in entry.column_names]:
        raise ShopeaseError(f"{entry.name} has the columns {', '.join(reader.schema.names)}")
    if rows and not answer.num_rows:
        raise ShopeaseError(f"{entry.name} has no rows, but its file has {rows:,}")


def _count(engine: SqlEngine, database: str, name: str) -> int:
    answer = engine.execute_trusted(f"SELECT COUNT(*) AS n FROM {quoted(database)}.{quoted(name)}").read_all()  # noqa: S608 - quoted
    return int(answer.column("n")[0].as_py())
