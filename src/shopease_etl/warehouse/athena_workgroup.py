"""An Athena workgroup as its owner set it up."""

from dataclasses import dataclass

from shopease_etl.aws import client, refusals
from shopease_etl.errors import UnreachableError
from shopease_etl.warehouse.athena_errors import workgroup_refusal


@dataclass(frozen=True)
class Workgroup:
    """Where a workgroup puts results (None: wherever the client says), whether it holds clients to its settings, and
    the bytes at which it stops a statement.
    """

    results: str | None
    is_enforced: bool
    cutoff: int | None


def workgroup(name: str) -> Workgroup:
    """Ask Athena for the workgroup.

    Raises:
        UnreachableError: it is not there, or may not be asked for.
    """
    try:
        with refusals(f"the Athena workgroup {name}"):
            found = client("athena").get_work_group(WorkGroup=name)["WorkGroup"].get("Configuration") or {}
    except UnreachableError as error:
        raise workgroup_refusal(error, name) from error
    is_managed = found.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
    location = found.get("ResultConfiguration", {}).get("OutputLocation")
    return Workgroup(
        "Athena's own storage" if is_managed else location,
        bool(found.get("EnforceWorkGroupConfiguration")),
        found.get("BytesScannedCutoffPerQuery"),
    )
