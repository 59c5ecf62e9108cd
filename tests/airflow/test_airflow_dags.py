"""The DAGs run in real Airflows, each in an environment of its own (`make test-airflow`)."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from commands import Shop, copy_of

VERSIONS: Final = {"airflow": "3.", "airflow2": "2.10."}
STAGES: Final = ("extract", "clean", "aggregate", "crawl")


@dataclass(frozen=True)
class Airflow:
    """An Airflow with a home of its own, and the shop whose DAGs it has."""

    program: Path
    home: Path
    shop: Shop

    @property
    def environment(self) -> dict[str, str]:
        """Airflow's environment, with a PYTHONPATH that would break shopease if it came through."""
        broken = self.home / "broken"
        broken.mkdir(exist_ok=True)
        (broken / "polars.py").write_text("raise RuntimeError('Airflow and shopease are mixed')\n")
        ours = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(broken),
            "PYTHONUNBUFFERED": "1",
        }
        return {**self.shop.environment, **ours}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command of Airflow under way."""
        return subprocess.Popen(
            [self.program, *words],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> str:
        """What a command said that ended."""
        with self.start(*words) as process:
            return process.communicate(timeout=240)[0]

    def states(self, dag: str) -> dict[str, str]:
        """The states of a DAG's tasks, of all its runs together."""
        return dict(self._rows("SELECT task_id, state FROM task_instance WHERE dag_id = ?", dag))

    def xcom(self, dag: str, task: str) -> Any:
        """What a task returned."""
        query = "SELECT task_id, value FROM xcom WHERE dag_id = ? AND key = 'return_value'"
        value = json.loads(dict(self._rows(query, dag))[task])
        return json.loads(value) if isinstance(value, str) else value

    def _rows(self, query: str, dag: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as database:
            return database.execute(query, (dag,)).fetchall()


@pytest.fixture(scope="module", params=VERSIONS)
def airflow(request: pytest.FixtureRequest, sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """An Airflow into which `shopease schedule` has installed its DAGs, with a second try after a second."""
    program = Path(sys.prefix) / request.param / "bin" / "airflow"
    if not program.exists():
        pytest.skip(f"there is no {program}: make test-airflow")
    with copy_of(sales) as url:
        folder = tmp_path_factory.mktemp(request.param)
        made = Airflow(program, folder / "airflow", Shop(folder, url))
        made.home.mkdir()
        assert VERSIONS[request.param] in made.run("version")
        made.run("db", "migrate")
        shop = Shop(folder, url, more={"AIRFLOW_HOME": str(made.home)})
        document = shop.run("schedule", "airflow", "--retry", "--install", "--yes", "--json").done().document
        dags = Path(document["files"][0]["path"])
        assert dags == made.home / "dags" / "shopease_dags.py"
        dags.write_text(dags.read_text().replace("RETRY_SECONDS = 300", "RETRY_SECONDS = 1"))
        yield made


def test_airflow_imports_the_dags_and_schedules_one(airflow: Airflow) -> None:
    assert "No data found" in airflow.run("dags", "list-import-errors")
    airflow.run("dags", "reserialize")
    listed = airflow.run("dags", "list", "--output", "plain")
    names = ("shopease", "medallion_etl_pipeline", "trigger_glue_crawlers", "restore_dump", "check_connection")
    assert [name for name in names if f"\n{name} " not in listed] == []


def test_the_pipeline_is_run_as_a_whole(airflow: Airflow) -> None:
    said = airflow.run("dags", "test", "shopease")
    assert airflow.states("shopease") == {"check": "success", "run_all": "success"}, said
    document = airflow.xcom("shopease", "run_all")
    assert (document["status"], [stage["name"] for stage in document["stages"]]) == ("succeeded", list(STAGES))
    assert "versions" in [line["name"] for line in airflow.xcom("shopease", "check")]


def test_the_old_pipeline_has_a_task_for_each_stage(airflow: Airflow) -> None:
    said = airflow.run("dags", "test", "medallion_etl_pipeline")
    states = airflow.states("medallion_etl_pipeline")
    assert states == dict.fromkeys(("check", *STAGES), "success"), said
    assert [airflow.xcom("medallion_etl_pipeline", name)["status"] for name in STAGES] == ["succeeded"] * 4


def test_a_dump_is_restored_whatever_its_name(airflow: Airflow) -> None:
    name = "a 'dump'; touch broken_into $(touch broken_into).sql"
    airflow.shop.run("sample", name, "--scale", "0.01", "--seed", "7").done()
    airflow.run("dags", "test", "restore_dump", "--conf", json.dumps({"dump": name, "clean": True}))
    assert airflow.states("restore_dump") == {"restore": "success"}
    assert airflow.xcom("restore_dump", "restore")["tables"] != []
    assert list(airflow.shop.folder.rglob("broken_into")) == []


def test_a_connection_is_checked(airflow: Airflow) -> None:
    airflow.run("dags", "test", "check_connection")
    assert airflow.states("check_connection") == {"check": "success"}


def test_crawlers_of_a_local_lake_are_refused(airflow: Airflow) -> None:
    said = airflow.run("dags", "test", "trigger_glue_crawlers")
    assert airflow.states("trigger_glue_crawlers") == {"crawl": "failed"}
    assert "crawlers are for lakes on S3" in said


def test_a_second_try_goes_on_with_the_run_that_failed(airflow: Airflow) -> None:
    impatient = {"SHOPEASE_SOURCE_LOCK_TIMEOUT": "1", "SHOPEASE_SOURCE_ATTEMPTS": "1"}
    shop = Shop(airflow.shop.folder, airflow.shop.database_url, more=impatient)
    slow = Airflow(airflow.program, airflow.home, shop)
    with psycopg.connect(shop.database_url) as holder, slow.start("dags", "test", "shopease") as process:
        read_until(process, "shopease run-all --json")
        holder.execute("LOCK TABLE stores")
        read_until(process, "canceling statement due to lock timeout")
        holder.rollback()
        said = process.communicate(timeout=120)[0]
    assert airflow.states("shopease") == {"check": "success", "run_all": "success"}, said
    assert airflow.xcom("shopease", "run_all")["attempt"] == 2


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Reads what a command says until it has said this."""
    assert process.stdout
    assert any(words in line for line in process.stdout), f"it ended without: {words}"
