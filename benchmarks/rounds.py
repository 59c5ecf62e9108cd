"""Rounds: in each, every entrant runs once, one after the other, on the same database and the same store."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import boto3

from benchmarks.data import Source, source
from benchmarks.entrants import BRONZE, LAKE, LOCAL, RUN_ALL_S3, Command, Entrant, Run
from benchmarks.environments import NotInstalledError, programs_of
from benchmarks.measuring import CommandFailedError, Measurement, measured
from benchmarks.s3_sink import running_sink
from benchmarks.series import Series
from shopease_etl.contract.tables import TABLES

BUCKET: Final = "bench"
SLOW: Final = 10.0
SLOW_ROUNDS: Final = 2
_FAREWELL: Final = 0.2  # seconds in which the server's sessions end, whose clients have gone
AWS: Final = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    # so that nobody waits for a metadata service that is not there
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Bench:
    """Where it is measured: the folder of all that is made, the source, and the S3 server's address."""

    folder: Path
    source: Source
    endpoint: str

    @property
    def bronze(self) -> Path:
        """The six tables as files, which the floor of the cleaning reads."""
        return self.folder / "bronze"

    def write_bronze(self) -> int:
        """Write these files anew; returns their bytes."""
        shutil.rmtree(self.bronze, ignore_errors=True)
        for table, statement in zip(TABLES, self.source.copy_statements, strict=True):
            path = self.bronze / table.name / f"{table.source}.csv"
            path.parent.mkdir(parents=True)
            command: Command = [self.source.psql, "-X", "-q", "-d", self.source.url, "-o", path, "-c", statement]
            subprocess.run(command, check=True)
        return sum(path.stat().st_size for path in self.bronze.rglob("*.csv"))

    def measure(self, entrant: Entrant, number: int) -> tuple[Measurement, float, list[int]]:
        """One run of an entrant, in an empty folder: what it and the server took, and the sizes of what it delivered.

        Raises:
            CommandFailedError: it did not end well, or delivered nothing.
            NotInstalledError: it is a peer that cannot be had.
        """
        folder = self.folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        requirements = entrant.requirements
        programs = programs_of(requirements, self.folder / "env") if requirements else Path("/usr/bin")
        folder.mkdir(parents=True)
        lake = str(folder / "lake") if entrant.group == LOCAL else f"s3://{BUCKET}/{entrant.name}-{number}"
        run = Run(folder, self.source, self.bronze, lake, programs)
        try:
            before = self.source.server_cpu()
            found = measured(entrant.command(run), self._environment(run), folder)
            time.sleep(_FAREWELL)
            return found, self.source.server_cpu() - before, self._delivered(entrant, lake)
        finally:
            shutil.rmtree(folder)

    def _environment(self, run: Run) -> dict[str, str]:
        """All that a run sees of the environment: nothing of the user's settings but the PATH."""
        return {
            **AWS,
            "AWS_ENDPOINT_URL": self.endpoint,
            "BENCH_LAKE": run.lake,
            "BENCH_PSQL": str(run.source.psql),
            "BENCH_URL": run.source.url,
            "HOME": str(run.folder),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PATH": f"{run.programs}:{os.environ['PATH']}",
            "SHOPEASE_DATABASE_URL": run.source.url,
            "SHOPEASE_HOME": str(run.folder / "home"),
            "TMPDIR": str(run.folder),
        }

    def _delivered(self, entrant: Entrant, lake: str) -> list[int]:
        if entrant.group == LOCAL:
            return [path.stat().st_size for path in Path(lake).rglob("*") if path.is_file()]
        if entrant.group not in {BRONZE, LAKE}:
            return []
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=AWS["AWS_REGION"],
            aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
        )
        prefix = lake.removeprefix(f"s3://{BUCKET}/") + "/"
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        if not found:
            raise CommandFailedError("it ended well and delivered nothing")
        return [item["Size"] for item in found]


@contextmanager
def prepared(folder: Path, scale: float, *, forget: bool = False) -> Iterator[Bench]:
    """The database at a scale, and the S3 server; `forget` drops the database in the end if it was made now."""
    with source(folder / "home", scale, forget=forget) as found, running_sink() as endpoint:
        yield Bench(folder, found, endpoint)


def measure_all(bench: Bench, entrants: Sequence[Entrant], rounds: int) -> list[Series]:
    """Every entrant once a round; who fails is left out from then on, and who is very slow gets fewer rounds."""
    table = {entrant.name: Series.of(entrant) for entrant in entrants}
    for number in range(1, rounds + 1):
        for entrant in entrants:
            series = table[entrant.name]
            if not series.failure and not _has_enough(series, table.get(RUN_ALL_S3)):
                _measure(bench, entrant, number, series)
    return list(table.values())


def _measure(bench: Bench, entrant: Entrant, number: int, series: Series) -> None:
    try:
        found, server, sizes = bench.measure(entrant, number)
    except (CommandFailedError, NotInstalledError) as error:
        series.failure = str(error)
        print(f"round {number}: {entrant.name}: {error}", flush=True)
        return
    series.add(found, server, entrant.stages(found.stdout), sizes)
    print(f"round {number}: {entrant.name}: {found.seconds:.2f} s, {found.peak / 1e6:.0f} MB", flush=True)


def _has_enough(series: Series, ours: Series | None) -> bool:
    """Whether it has had its rounds: one that takes many times as long as ours has them sooner."""
    if ours is None or not ours.seconds or len(series.seconds) < SLOW_ROUNDS:
        return False
    return min(series.seconds) > SLOW * min(ours.seconds)
