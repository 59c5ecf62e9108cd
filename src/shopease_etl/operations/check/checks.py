"""Is everything ready for a run: settings, machine, lake, catalog, source, and the listeners to runs."""

from collections.abc import Collection, Generator, Iterator
from typing import Final
from urllib.parse import urlsplit

from shopease_etl.errors import ConfigurationError
from shopease_etl.operations.check.contents import lake_contents
from shopease_etl.operations.check.database import database
from shopease_etl.operations.check.jobs import jobs
from shopease_etl.operations.check.lakes import RunHistory, catalog, lake
from shopease_etl.operations.check.lines import CheckLine, TimedChecks, check
from shopease_etl.operations.check.machine import given_settings, machine
from shopease_etl.pipeline.wiring import lake_store, source, warehouse
from shopease_etl.progress import SILENT, Progress
from shopease_etl.redaction import Secrets
from shopease_etl.settings import Settings
from shopease_etl.source.postgres.connections import parameters
from shopease_etl.source.secret import DatabaseSecret
from shopease_etl.source.session import existing_snapshot

# Seconds after which a lake or catalog that does not answer fails.
TIMEOUT: Final = 20.0


def check_lines(
    settings: Settings,
    flags: Collection[str],
    secrets: Secrets,
    *,
    test_alert: bool = False,
    verify: bool = False,
    progress: Progress = SILENT,
) -> Iterator[CheckLine]:
    """Yield a line for each thing that a run with these settings needs; no failure hides another line.

    `flags` names the settings that were given as flags; `secrets` learn a password that is read. `test_alert` sends a
    test to the addresses for alerts. `verify` reads every object of the lake and compares it with what its run
    recorded; `progress` follows that.
    """
    store, history = lake_store(settings), RunHistory()
    tables = warehouse(settings, store)
    lake_checks = TimedChecks("lake", TIMEOUT, lambda: lake(settings, store, history))
    catalog_checks = TimedChecks("catalog", TIMEOUT, lambda: catalog(settings, tables, is_on_aws=store.is_on_aws))
    yield from given_settings(settings, flags)
    yield from machine(settings)
    yield from lake_checks.lines()
    yield from catalog_checks.lines()
    if verify:
        yield from lake_contents(store, progress)
    # an extract may wait as long as the settings say, a check does not
    brief = settings.model_copy(update={"source_statement_timeout": 10.0, "source_lock_timeout": 5.0})
    origin = source(brief, secrets)
    if not origin.secret or (yield from _secret(origin.secret)):
        yield from database(settings, lambda: existing_snapshot(origin), history)
    yield from jobs(settings)
    yield from _listeners(settings, test_alert=test_alert)


def _secret(secret: DatabaseSecret) -> Generator[CheckLine, None, bool]:
    """Whether the secret can be read, without which nothing is known of the database."""
    line = check("database secret", lambda: f"{secret.name} has the address of {_host(secret.read())}")
    yield line
    return not line.exit_code


def _host(url: str) -> str:
    named = parameters(url)
    return f"{named.get('dbname', 'a database')} on {named.get('host', 'an unnamed host')}"


def _listeners(settings: Settings, *, test_alert: bool) -> Iterator[CheckLine]:
    """What is notified of runs, where the settings name it."""
    if target := settings.lineage:
        yield check("lineage", lambda: _lineage(target))
    if settings.alerts or test_alert:
        yield check("alerts", lambda: _alerts(settings, is_test=test_alert))
    if settings.ping_url:
        yield CheckLine("ping", f"{urlsplit(settings.ping_url.get_secret_value()).hostname} is notified of each run")


def _lineage(target: str) -> str:
    from shopease_etl.pipeline.lineage import check_target

    check_target(target)
    return f"events are sent to {target}"


def _alerts(settings: Settings, *, is_test: bool) -> str:
    from shopease_etl.operations import alerts_sending

    if not settings.alerts:
        raise ConfigurationError("SHOPEASE_ALERTS is not set", hint=alerts_sending.HINT)
    names = ", ".join(str(service.service_name) for service in alerts_sending.services(settings.alerts))
    if not is_test:
        return f"sent to {names}; test them with --test-alert"
    alerts_sending.send_test(settings.alerts, settings.lake)
    return f"{names} accepted a test alert"
