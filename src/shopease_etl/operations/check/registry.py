"""The catalog: is it there, may it be used, and what is the Athena workgroup like."""

from collections.abc import Iterator

from shopease_etl.operations.check.lines import asked, tried, warned
from shopease_etl.report import CheckLine
from shopease_etl.settings import Settings
from shopease_etl.warehouse import Warehouse


def catalog(settings: Settings, warehouse: Warehouse, *, is_on_aws: bool) -> Iterator[CheckLine]:
    """Lines on the catalog's database, and on AWS on the workgroup that answers."""
    yield tried("catalog", lambda: _checked(warehouse))
    if is_on_aws:
        yield asked("athena", lambda: _workgroup(settings.athena_workgroup))


def _checked(warehouse: Warehouse) -> str:
    warehouse.check()
    return warehouse.place


def _workgroup(name: str) -> CheckLine:
    # boto3 is slow to import: only lakes on S3 pay
    from shopease_etl.warehouse.athena import workgroup

    found = workgroup(name)
    told = f"{name}: results to {found.results or 'athena-results/ of the lake'}"
    told += ", its settings are enforced" if found.is_enforced else ", clients may set their own"
    if found.cutoff is not None:
        return CheckLine("athena", f"{told}, a statement may scan {found.cutoff / 1e6:,.0f} MB")
    updates = "--configuration-updates BytesScannedCutoffPerQuery=10000000000"
    fix = f"aws athena update-work-group --work-group {name} {updates}"
    return warned("athena", f"{told}, and nothing limits what a statement scans", fix)
