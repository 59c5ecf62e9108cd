"""Is everything in order for a run: settings, machine, lake, catalog, source, and what listens to runs."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from shopease_etl.errors import ConfigurationError
from shopease_etl.operations.check.contents import contents
from shopease_etl.operations.check.database import database
from shopease_etl.operations.check.lakes import Past, catalog, lake
from shopease_etl.operations.check.lines import Questions, tried
from shopease_etl.operations.check.machine import given_settings, machine
from shopease_etl.pipeline.wiring import lake_store, warehouse
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import CheckLine
from shopease_etl.settings import Settings
from shopease_etl.source.session import existing_source

# Seconds after which a lake or catalog that does not answer fails.
TIMEOUT: Final = 20.0
# Seconds for one answer of the source: an extract may take as long as the settings say.
SOURCE_TIMEOUTS: Final = {"source_statement_timeout": 10.0, "source_lock_timeout": 5.0}


def check_lines(
    settings: Settings,
    flags: Collection[str],
    *,
    test_alert: bool = False,
    verify: bool = False,
    progress: Progress = SILENT,
) -> Iterator[CheckLine]:
    """Yield a line for each thing that a run with these settings needs; no failure hides another line.

    `flags` names the settings that were given as flags. `test_alert` sends a test to the addresses for alerts. `verify`
    reads every object of the lake and compares it with what its run recorded; `progress` follows that.
    """
    store, past = lake_store(settings), Past()
    tables = warehouse(settings, store)
    lake_lines = Questions("lake", TIMEOUT, lambda: lake(settings, store, past))
    catalog_lines = Questions("catalog", TIMEOUT, lambda: catalog(settings, tables, is_on_aws=store.is_on_aws))
    yield from given_settings(settings, flags)
    yield from machine(settings)
    yield from lake_lines.lines()
    yield from catalog_lines.lines()
    if verify:
        yield from contents(store, progress)
    yield from database(settings, lambda: existing_source(settings.model_copy(update=SOURCE_TIMEOUTS)), past)
    yield from (tried(name, look) for name, look in _listeners(settings, test_alert=test_alert).items())


def _listeners(settings: Settings, *, test_alert: bool) -> Mapping[str, Callable[[], str]]:
    """By name, how to check what is notified of runs, if the settings name it."""
    listeners: dict[str, Callable[[], str]] = {}
    if settings.lineage:
        listeners["lineage"] = lambda: _lineage(settings)
    if settings.alerts or test_alert:
        listeners["alerts"] = lambda: _alerts(settings, is_test=test_alert)
    if settings.ping_url:
        listeners["ping"] = lambda: f"{urlsplit(settings.ping_url or '').hostname} is told of each run"
    return listeners


def _lineage(settings: Settings) -> str:
    from shopease_etl.pipeline import lineage
    from shopease_etl.pipeline.plan import STAGES, Plan

    lineage.listeners(Plan(STAGES), settings)
    return f"events go to {settings.lineage}"


def _alerts(settings: Settings, *, is_test: bool) -> str:
    from shopease_etl.operations import alerts_sending

    if not settings.alerts:
        raise ConfigurationError("SHOPEASE_ALERTS is not set", hint=alerts_sending.HINT)
    names = ", ".join(str(service.service_name) for service in alerts_sending.services(settings.alerts))
    if not is_test:
        return f"go to {names}; --test-alert sends one"
    alerts_sending.send_test(settings.alerts, settings.lake)
    return f"{names} took a test"
