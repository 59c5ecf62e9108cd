"""Is everything in order for a run: settings, machine, lake, catalog, source."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shopease_etl.lake.store import LakeStore
from shopease_etl.operations.check.contents import contents
from shopease_etl.operations.check.database import Source, database
from shopease_etl.operations.check.lakes import Past, catalog, lake
from shopease_etl.operations.check.lines import Questions, tried
from shopease_etl.operations.check.machine import given_settings, machine
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import CheckLine
from shopease_etl.settings import Settings
from shopease_etl.warehouse import Warehouse

# A place that does not answer at all is told so after this time.
PATIENCE: Final = 20.0


@dataclass(frozen=True)
class Checked:
    """What is looked at: the settings and the names of those that flags gave, and what they name.

    `others` tell by name what else listens to runs. With `verify` all objects of the lake are read, which `progress`
    follows.
    """

    settings: Settings
    flags: Collection[str]
    store: LakeStore
    warehouse: Warehouse
    source: Source
    others: Mapping[str, Callable[[], str]]
    verify: bool = False
    progress: Progress = SILENT


def check(checked: Checked) -> Iterator[CheckLine]:
    """Yield a line for each thing checked; none that fails hides another, and none waits for long."""
    settings, store, past = checked.settings, checked.store, Past()
    lake_lines = Questions("lake", PATIENCE, lambda: lake(settings, store, past))
    catalog_lines = Questions(
        "catalog", PATIENCE, lambda: catalog(settings, checked.warehouse, is_on_aws=store.is_on_aws)
    )
    yield from given_settings(settings, checked.flags)
    yield from machine(settings)
    yield from lake_lines.lines()
    yield from catalog_lines.lines()
    if checked.verify:
        yield from contents(store, checked.progress)
    yield from database(settings, checked.source, past)
    yield from (tried(name, look) for name, look in checked.others.items())
