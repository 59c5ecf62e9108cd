"""The pipeline as Airflow DAGs: a file that imports only Airflow and calls shopease by its path."""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Final

from shopease_etl.operations.schedule.request import (
    MARGIN_SECONDS,
    RETRY_SECONDS,
    WAIT_SECONDS,
    Request,
    Schedule,
    ScheduledFile,
    shell,
)

NAME: Final = "shopease_dags.py"
_TEMPLATE: Final = "airflow_dags.txt"  # Python, but for Airflow's interpreter, not ours
_CONSTANTS: Final = "# CONSTANTS\n"


def airflow_schedule(request: Request) -> Schedule:
    """One file with all DAGs; only `shopease` has a schedule."""
    path = dags_folder() / NAME
    template = files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8")
    file = ScheduledFile(str(path), template.replace(_CONSTANTS, _constants(request)))
    retry = ("--retry",) if request.retry else ()
    options = ("--at", f"{request.at:%H:%M}", "--timezone", request.zone.key, *retry)
    write = f"{shell(request.words('schedule', 'airflow', *options))} > {shell((str(path),))}"
    following = ("airflow dags list-import-errors", "airflow dags unpause shopease")
    return Schedule("airflow", (file,), (write,), following, request.environment_notes)


def dags_folder() -> Path:
    """Where Airflow on this machine looks for DAGs, as far as its environment tells."""
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    return Path(os.environ.get("AIRFLOW__CORE__DAGS_FOLDER") or home / "dags").expanduser().absolute()


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
    return "".join(f"{name} = {_literal(value)}\n" for name, value in values.items())


def _literal(value: object) -> str:
    """A value as Python writes it, with the quotes of the rest of the file."""
    return repr(value) if value is None else json.dumps(value, ensure_ascii=False)


def _limit(seconds: float | None) -> int | None:
    """Airflow's limit, later than our own, which tells what took so long and undoes the run."""
    return None if seconds is None else int(seconds) + WAIT_SECONDS + MARGIN_SECONDS
