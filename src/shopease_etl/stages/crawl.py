"""Makes the lake queryable: catalogues what is there, and proves by a query that each table and view answers."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from shopease_etl.catalog.local import LocalCatalog, read_table, save
from shopease_etl.catalog.schema import DATASETS, CatalogTable, CatalogView, base_of, quoted, typed_view
from shopease_etl.errors import ShopeaseError
from shopease_etl.progress import SILENT, Progress
from shopease_etl.results import CatalogEntry, Recorded
from shopease_etl.stages.query import open_engine
from shopease_etl.tables import TABLES

if TYPE_CHECKING:
    from shopease_etl.engines.duckdb import Engine

NOTHING_RECORDED: Final[Mapping[str, Recorded]] = MappingProxyType({})
log = logging.getLogger(__name__)

_TASK: Final = "crawl"


@dataclass(frozen=True)
class CrawlResult:
    """What is queryable now, and the tables and views that are not, with the reason for each."""

    database: str
    catalog_file: Path
    catalogued: tuple[CatalogEntry, ...]
    skipped: tuple[tuple[str, str], ...]


def crawl(
    lake: Path,
    catalog_file: Path,
    database: str,
    *,
    recorded: Mapping[str, Recorded] = NOTHING_RECORDED,
    max_memory: int | None = None,
    progress: Progress = SILENT,
) -> CrawlResult:
    """Catalogues a local lake; the former catalog stays as it was unless every table and view there is answers.

    Rows are those that `recorded` tells by key; a file that it does not know, or of another size, is counted.
    """
    _warn_of_strangers(lake)
    catalog, skipped = discover(lake, database)
    if not catalog.tables:
        raise ShopeaseError(f"there is nothing to catalogue in {lake}", hint="run `shopease run-all`")
    progress.start(_TASK)
    with open_engine(catalog, lake, max_memory=max_memory) as engine:
        catalogued = _verified(engine, catalog, lake, recorded)
    save(catalog, catalog_file)
    progress.finish(_TASK, f"{len(catalogued)} tables and views")
    return CrawlResult(database, catalog_file, catalogued, skipped)


def _warn_of_strangers(lake: Path) -> None:
    """Athena takes every file in a table's folder for rows, but those whose names begin with _ or a point."""
    for dataset in DATASETS:
        for path in sorted((lake / dataset.key).parent.glob("[!._]*")):
            if path != lake / dataset.key:
                log.warning("%s is not of the lake's layout; Athena would read it as rows of %s", path, dataset.name)


def discover(lake: Path, database: str) -> tuple[LocalCatalog, tuple[tuple[str, str], ...]]:
    """The tables and views that the lake's files allow now, and those that are missing with the reason."""
    found = {dataset: read_table(lake, dataset) for dataset in DATASETS}
    tables = {table.name: table for table in found.values() if table is not None}
    skipped = [
        (dataset.name, f"no {dataset.key} (`{dataset.made_by}` makes it)") for dataset in DATASETS if not found[dataset]
    ]
    views = []
    for table in TABLES:
        if (base := tables.get(base_of(table))) is None:
            skipped.append((table.name, f"a view on {base_of(table)}, which is missing"))
        else:
            views.append(typed_view(table, base, database))
    return LocalCatalog(database, str(lake.resolve()), tuple(tables.values()), tuple(views)), tuple(skipped)


def _verified(
    engine: "Engine", catalog: LocalCatalog, lake: Path, recorded: Mapping[str, Recorded]
) -> tuple[CatalogEntry, ...]:
    rows: dict[str, int] = {}
    results = []
    entries: tuple[CatalogTable | CatalogView, ...] = (*catalog.tables, *catalog.views)
    for entry in entries:
        _check_columns(engine, catalog.database, entry)
        if isinstance(entry, CatalogTable):
            known = recorded.get(entry.key)
            unchanged = known and known.bytes == (lake / entry.key).stat().st_size
            rows[entry.name] = known.rows if known and unchanged else _count(engine, catalog.database, entry.name)
        kind, base = ("view", entry.base) if isinstance(entry, CatalogView) else ("table", entry.name)
        results.append(CatalogEntry(entry.name, kind, len(entry.columns), rows[base]))
    return tuple(results)


def _check_columns(engine: "Engine", database: str, entry: CatalogTable | CatalogView) -> None:
    sql = f"SELECT * FROM {quoted(database)}.{quoted(entry.name)} LIMIT 1"  # noqa: S608 - identifiers are quoted
    reader = engine.query(sql)
    reader.read_all()
    if tuple(reader.schema.names) != entry.column_names:
        raise ShopeaseError(f"{entry.name} answers with the columns {', '.join(reader.schema.names)}")


def _count(engine: "Engine", database: str, name: str) -> int:
    answer = engine.query(f"SELECT COUNT(*) AS n FROM {quoted(database)}.{quoted(name)}").read_all()  # noqa: S608 - quoted
    return int(answer.column("n")[0].as_py())
