"""The archive of `make spark-archive` works where it is unpacked. `make test-spark` runs this, which takes minutes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from shopease_etl import __version__

pytestmark = pytest.mark.timeout(1200)

ROOT: Final = Path(__file__).parents[2]
# Each task returns where its Python and its package are. As shopease does, through Arrow, for which Spark wants pandas.
JOB: Final = """
import sys
from pyspark.sql import SparkSession

def places(batches):
    import polars, psycopg, pyarrow, shopease_etl
    for _ in batches:
        place = {"prefix": [sys.prefix], "package": [shopease_etl.__file__]}
        yield pyarrow.RecordBatch.from_pydict(place)

spark = SparkSession.builder.getOrCreate()
print(sys.prefix)
for row in spark.range(0, 2, 1, 2).mapInArrow(places, "prefix string, package string").toArrow().to_pylist():
    print(row["prefix"], row["package"])
spark.stop()
"""


@dataclass(frozen=True)
class Archive:
    """An archive, what `make` said, and where it is unpacked; the environment of which it was made is gone."""

    path: Path
    output: str
    folder: Path

    def run(self, program: str, *arguments: str, **environment: str) -> str:
        """What a program of the archive prints, with no environment but this."""
        command = [str(self.folder / "bin" / program), *arguments]
        ended = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout.strip()


def build(folder: Path, **variables: str) -> Archive:
    """Make an archive in a folder and unpack it there."""
    packed, path = folder / "packed", folder / "built" / f"shopease-spark-{__version__}.tar.gz"
    settings = {"PYTHON": sys.executable, "PACKED": str(packed), "ARCHIVE": str(path), **variables}
    command = ["make", "-C", str(ROOT), "spark-archive", *(f"{name}={value}" for name, value in settings.items())]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shutil.rmtree(packed)
    unpacked = folder / "elsewhere"
    unpacked.mkdir()
    subprocess.run(["tar", "-xzf", str(path), "-C", str(unpacked)], check=True)
    return Archive(path, ended.stdout, unpacked)


def skip_unless_named(request: pytest.FixtureRequest) -> None:
    if not any(Path(named).resolve().is_relative_to(ROOT / "tests" / "spark") for named in request.config.args):
        pytest.skip("`make test-spark` builds the archive")


@pytest.fixture(scope="session")
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    skip_unless_named(request)
    folder = tmp_path_factory.mktemp("archive")
    yield build(folder)
    shutil.rmtree(folder)


def test_it_works_in_another_folder(archive: Archive) -> None:
    imported = "import sys, shopease_etl, polars, pyarrow, psycopg; print(sys.prefix, shopease_etl.__file__, sep='|')"
    prefix, package = archive.run("python", "-c", imported).split("|")
    assert Path(prefix) == archive.folder
    assert Path(package).is_relative_to(archive.folder)
    assert archive.run("shopease", "--version") == f"shopease {__version__}"


def test_it_has_nothing_that_a_cluster_brings(archive: Archive) -> None:
    names = ("pyspark", "pip", "pytest", "scipy")
    found = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    assert archive.run("python", "-c", found) == "[]"
    assert str(ROOT) not in (archive.folder / "pyvenv.cfg").read_text()


def test_make_says_what_is_next(archive: Archive) -> None:
    size = archive.path.stat().st_size // 1_000_000
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert f"{archive.path}: {size} MB, for " in archive.output
    assert f"{sys.base_prefix}/bin/{version}\n" in archive.output
    assert f"aws s3 cp {archive.path} s3://" in archive.output
    assert f"SHOPEASE_SPARK_ARCHIVE=s3://BUCKET/[PREFIX/]_spark/{archive.path.name}" in archive.output


def test_it_runs_the_pipeline(archive: Archive, sales: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": sales, "LAKE": str(tmp_path / "lake"), "HOME": str(tmp_path / "home")}
    variables = {f"SHOPEASE_{name}": value for name, value in settings.items()}
    archive.run("shopease", "run-all", "--skip-crawl", **variables)
    assert (tmp_path / "lake" / "gold" / "daily_sales_summary").is_dir()


def spark_home(folder: Path) -> Path:
    """An installation of Spark whose workers run in this folder, not in that of the package."""
    installed = find_spec("pyspark")
    if not (installed and installed.origin and shutil.which("java")):
        pytest.skip("needs pyspark in this environment, and java")
    home = folder / "spark"
    home.mkdir()
    for part in ("bin", "jars", "python"):
        (home / part).symlink_to(Path(installed.origin).with_name(part))
    return home


def submit(archive: Archive, folder: Path, script: str, *arguments: str, **environment: str) -> str:
    """What a script prints as a job of a Spark on this machine, whose driver and workers run in the archive."""
    home = spark_home(folder)
    (folder / "job.py").write_text(script)
    variables = {
        "PATH": os.environ["PATH"],
        "PYSPARK_DRIVER_PYTHON": str(archive.folder / "bin" / "python"),
        "PYSPARK_PYTHON": "./environment/bin/python",
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        **environment,
    }
    options = ["--master", "local-cluster[1,2,1024]", "--conf", f"spark.archives={archive.path}#environment"]
    command = [str(home / "bin" / "spark-submit"), *options, "job.py", *arguments]
    ended = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
    shutil.rmtree(home / "work", ignore_errors=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def test_driver_and_workers_of_spark_run_in_it(archive: Archive, tmp_path: Path) -> None:
    driver, *tasks = submit(archive, tmp_path, JOB).splitlines()
    assert Path(driver) == archive.folder
    assert len(tasks) == 2
    for prefix, package in map(str.split, tasks):
        assert Path(prefix).is_relative_to(tmp_path / "spark" / "work")
        assert Path(package).is_relative_to(prefix)


def test_a_job_runs_the_pipeline_on_a_lake_in_s3(
    archive: Archive, sales: str, new_bucket: Callable[[], str], tmp_path: Path
) -> None:
    pytest.importorskip("shopease_etl.transform.spark")
    settings = {
        "DATABASE_URL": sales,
        "ENGINE": "spark",
        "HOME": str(tmp_path / "home"),
        "LAKE": f"s3://{new_bucket()}/lake",
        "PARTITIONS": "month",
    }
    variables = {f"SHOPEASE_{name}": value for name, value in settings.items()}
    variables |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    script = "from shopease_etl.__main__ import main\n\nmain()\n"
    output = submit(archive, tmp_path, script, "run-all", "--skip-crawl", "--json", **variables)
    ran = json.loads(output.splitlines()[-1])
    assert (ran["status"], ran["reconciliation"]["agrees"]) == ("succeeded", True)


def test_python_can_be_elsewhere_on_the_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    skip_unless_named(request)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    other = Path("/usr/bin", name)
    if not other.exists() or sys.base_prefix == "/usr":
        pytest.skip(f"needs another {name} in /usr/bin")
    moved = build(tmp_path, PYTHON_PREFIX="/usr")
    assert f"for {subprocess.check_output(['uname', '-m'], text=True).strip()} and {other}\n" in moved.output
    base = moved.run("python", "-c", "import sys, polars, shopease_etl; print(sys.base_prefix)")
    assert base == "/usr"
    assert moved.run("shopease", "--version") == f"shopease {__version__}"
    shutil.rmtree(tmp_path)
