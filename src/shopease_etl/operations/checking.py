"""What `check` and `status` look at, put together from the settings."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from shopease_etl.errors import ConfigurationError
from shopease_etl.operations.status import status
from shopease_etl.pipeline.wiring import lake_store, source, warehouse
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import CheckLine, LakeStatus
from shopease_etl.settings import Settings

# What the source may take for an answer to a question; an extract may take as long as the settings say.
STATEMENT_SECONDS: Final = 10.0
LOCK_SECONDS: Final = 5.0


def check_lines(
    settings: Settings,
    flags: Collection[str],
    *,
    test_alert: bool = False,
    verify: bool = False,
    progress: Progress = SILENT,
) -> Iterator[CheckLine]:
    """Each thing that a run with these settings needs; `flags` names the settings that flags gave.

    With `test_alert` a test is sent to the addresses that the settings name for alerts; with `verify` every object of
    the lake is read and compared with what its run recorded.
    """
    # psycopg, Polars and Arrow are slow to import: `status` needs none of them
    from shopease_etl.operations.check.checks import Checked, check
    from shopease_etl.source.session import existing_source

    store = lake_store(settings)
    brief = settings.model_copy(
        update={"source_statement_timeout": STATEMENT_SECONDS, "source_lock_timeout": LOCK_SECONDS}
    )
    yield from check(
        Checked(
            settings,
            flags,
            store,
            warehouse(settings, store),
            lambda: existing_source(source(brief)),
            _listeners(settings, test_alert=test_alert),
            verify,
            progress,
        )
    )


def lake_status(settings: Settings, *, runs: int, max_age: float | None) -> LakeStatus:
    """The lake as it is now, and whether that is a problem; `max_age` is in seconds."""
    store = lake_store(settings)
    return status(store, store.lock(settings.home).status(), runs=runs, max_age=max_age)


def _listeners(settings: Settings, *, test_alert: bool) -> Mapping[str, Callable[[], str]]:
    """By name how to look at what is told of runs, where that is set."""
    listeners: dict[str, Callable[[], str]] = {}
    if target := settings.lineage:
        listeners["lineage"] = lambda: _lineage(target)
    if settings.alerts or test_alert:
        listeners["alerts"] = lambda: _alerts(settings, is_test=test_alert)
    if settings.ping_url:
        host = urlsplit(settings.ping_url.get_secret_value()).hostname
        listeners["ping"] = lambda: f"{host} is told of each run"
    return listeners


def _lineage(target: str) -> str:
    from shopease_etl.pipeline.lineage import check_target

    check_target(target)
    return f"events go to {target}"


def _alerts(settings: Settings, *, is_test: bool) -> str:
    from shopease_etl.operations import alerts_sending

    if not settings.alerts:
        raise ConfigurationError("SHOPEASE_ALERTS is not set", hint=alerts_sending.HINT)
    names = ", ".join(str(service.service_name) for service in alerts_sending.services(settings.alerts))
    if not is_test:
        return f"go to {names}; --test-alert sends one"
    alerts_sending.send_test(settings.alerts, settings.lake)
    return f"{names} took a test"
