"""The pipeline as Airflow DAGs: a file that imports only Airflow and calls shopease by its path."""

import json
import os
from importlib.resources import files
from pathlib import Path

from shopease_etl.operations.schedule.request import (
    MARGIN_SECONDS,
    RETRY_SECONDS,
    WAIT_SECONDS,
    Request,
    Schedule,
    ScheduledFile,
    shell,
)


def airflow_schedule(request: Request) -> Schedule:
    """One file with all DAGs; only `shopease` has a schedule."""
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    folder = Path(os.environ.get("AIRFLOW__CORE__DAGS_FOLDER") or home / "dags").expanduser().absolute()
    path = folder / "shopease_dags.py"
    # Python, but for Airflow's interpreter
    template = files(__package__).joinpath("airflow_dags.txt").read_text(encoding="utf-8")
    file = ScheduledFile(str(path), template.replace("# CONSTANTS\n", _constants(request)))
    write = f"{shell(request.schedule('airflow'))} > {shell((str(path),))}"
    following = ("airflow dags list-import-errors", "airflow dags unpause shopease")
    return Schedule("airflow", (file,), (write,), following, request.environment_notes)


def _constants(request: Request) -> str:
    settings = request.settings
    values = {
        "SHOPEASE": str(request.executable),
        "FLAGS": list(request.flags),
        "FOLDER": str(request.folder),
        "TIMEZONE": request.zone.key,
        "SCHEDULE": f"{request.at.minute} {request.at.hour} * * *",
        "RETRIES": int(request.retry),
        "RETRY_SECONDS": RETRY_SECONDS,
        "WAIT_SECONDS": WAIT_SECONDS,
        "RUN_SECONDS": _limit(settings.run_timeout),
        "STAGE_SECONDS": _limit(settings.stage_timeout),
    }
    # Python's literals, with the quotes of the rest of the file
    literals = {
        name: "None" if value is None else json.dumps(value, ensure_ascii=False) for name, value in values.items()
    }
    return "".join(f"{name} = {literal}\n" for name, literal in literals.items())


def _limit(seconds: float | None) -> int | None:
    """Airflow's limit: later than shopease's own, which says what took so long and discards the run."""
    return None if seconds is None else int(seconds) + WAIT_SECONDS + MARGIN_SECONDS
