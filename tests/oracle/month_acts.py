"""What happens to a lake by month on one of its nights; each leaves it as the source is."""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

import psycopg
from dirty_sources import RAW
from month_edits import KEY, Edits, connected
from month_lakes import Moment
from month_nights import Nights
from plain_values import read_csv

from by_month import Lake, whole
from commands import end
from shopease_etl.errors import DataRefusedError
from shopease_etl.pipeline import plan

ALLOWING: Final = ("--accept-drift", "--allow-shrink", "--allow-rejects")
RUN_ALL: Final = ("run-all", "--skip-crawl", *ALLOWING)
LINES: Final = 45  # that a run writes with --verbose, or more
WRITERS: Final = 2
ZONES: Final = ("UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Apia")


def usual(nights: Nights) -> None:
    """Nothing else."""
    nights.usual()


def killed(nights: Nights) -> None:
    """A run is killed, and then retried, or there is another one; perhaps the source changes in between."""
    with nights.shop.start(*RUN_ALL, "--verbose") as process:
        assert process.stderr
        for _ in zip(range(nights.random.randint(1, LINES)), process.stderr, strict=False):
            pass
        process.kill()
        assert end(process).code in {0, -signal.SIGKILL}
    ended = nights.shop.run("retry", *ALLOWING)
    assert ended.code == 0 or "nothing to retry" in ended.stderr, ended
    if ended.code or nights.random.random() < 0.5:
        nights.edit(2)
        nights.run()
    nights.settled(is_irregular=True)


def replaced(nights: Nights) -> None:
    """A run is killed, and another one follows."""
    with nights.shop.start(*RUN_ALL, "--verbose") as process:
        assert process.stderr
        for _ in zip(range(nights.random.randint(1, LINES)), process.stderr, strict=False):
            pass
        process.kill()
        end(process)
    nights.edit(1)
    nights.usual(is_irregular=True)


def refused(nights: Nights) -> None:
    """A run fails a check, publishes nothing, and is retried with flags."""
    before = Lake.at(nights.lake).objects
    ended = nights.shop.run("run-all", "--skip-crawl")
    if ended.code:
        assert ended.code == DataRefusedError.exit_code, ended
        assert Lake.at(nights.lake).objects == before
        if nights.random.random() < 0.5:
            nights.command("retry", *ALLOWING)
        else:
            nights.edit(1)
            nights.run()
    nights.settled(is_irregular=True)


def back(nights: Nights) -> None:
    """Two runs, of which the second is undone, and a third."""
    nights.run()
    before = Lake.at(nights.lake).datasets
    nights.edit(2)
    nights.run()
    nights.command("rollback", "--yes", "--skip-crawl")
    assert Lake.at(nights.lake).datasets == before
    if nights.random.random() < 0.5:
        nights.run(plan.plan_datasets(()))
    nights.edit(1)
    nights.usual(is_irregular=True)


def far_back(nights: Nights) -> None:
    """Some runs, all but the first of which are undone, and one more."""
    nights.settings = {**nights.settings, "keep_generations": "3"}
    nights.run()
    before = Lake.at(nights.lake)
    for _ in range(nights.random.randint(1, 3)):
        nights.edit(1)
        if nights.random.random() < 0.2:
            nights.layout = other(nights.layout)
        nights.run()
    nights.command("rollback", "--yes", "--skip-crawl", "--to", max(before.manifests))
    assert Lake.at(nights.lake).datasets == before.datasets
    nights.usual(is_irregular=True)


def by_stage(nights: Nights) -> None:
    """Single stages, between which the source changes; some for one table only, or in another layout."""
    if nights.random.random() < 0.3:
        nights.layout = other(nights.layout)
    nights.run(plan.plan_tables("extract", ()))
    moment = nights.moment()
    nights.edit(2)
    if nights.random.random() < 0.5:
        nights.run(plan.plan_tables("clean", ("products",)))
    nights.run(plan.plan_tables("clean", ()))
    nights.run(plan.plan_datasets(()))
    nights.require_right(moment)
    if nights.random.random() < 0.5:
        nights.run(plan.plan_tables("extract", ("customers",)))
    if nights.random.random() < 0.5:
        nights.run(plan.plan_tables("extract", ("transactions",)))
    nights.edit(1)
    nights.usual(is_irregular=True)


def state_lost(nights: Nights) -> None:
    """What is derived from the months is gone, or is not what it was."""
    found = sorted(path for path in (nights.lake / "_state").rglob("*") if path.is_file())
    for path in nights.random.sample(found, nights.random.randint(0, len(found))):
        nights.random.choice((Path.unlink, _cut, _changed))(path)
    nights.usual(is_irregular=True)


def file_lost(nights: Nights) -> None:
    """A file of sales is gone, or cut short."""
    found = sorted(nights.lake.glob("[bsq]*/transactions/**/*.csv"))
    nights.random.choice((Path.unlink, _cut))(nights.random.choice(found))
    nights.usual(is_irregular=True)


def _cut(path: Path) -> None:
    _write(path, path.read_bytes()[:-1])


def _changed(path: Path) -> None:
    data = path.read_bytes()
    _write(path, data[:-1] + bytes([data[-1] ^ 1]))


def _write(path: Path, data: bytes) -> None:
    path.unlink()  # another lake may have the same file
    path.write_bytes(data)


def other_layout(nights: Nights) -> None:
    """The sales are kept in another way from now on."""
    nights.layout = other(nights.layout)
    nights.usual(is_irregular=True)


def other(layout: str) -> str:
    """The one that it is not."""
    return "none" if layout == "month" else "month"


def other_zone(nights: Nights) -> None:
    """Months begin at another time."""
    nights.edits.be_in(nights.random.choice(ZONES))
    nights.usual(is_irregular=True)


def full(nights: Nights) -> None:
    """All months, as the user says."""
    nights.command(*RUN_ALL, "--full")
    assert nights.layout == "none" or nights.last_extract()["full"]
    nights.settled(is_irregular=True)


def while_written(nights: Nights) -> None:
    """A run while others write, which is of one moment, and another one after that."""
    nights.edits.settle()
    with writing(nights.edits):
        nights.run()
    lake = Lake.at(nights.lake)
    names, *rows = read_csv(whole(lake.sales("bronze")))
    found = Counter(row[names.index(KEY)] for row in rows)
    assert found == Counter(key for (key,) in nights.edits.run(f"SELECT {KEY}::text FROM {nights.edits.table}"))
    tables = {name: lake.objects[f"bronze/{name}/{name}.csv"] for name in ("customers", "products", *RAW)}
    nights.require_right(Moment(nights.edits.zone, {**tables, "transactions": whole(lake.sales("bronze"))}))
    nights.usual(is_irregular=True)


@contextmanager
def writing(edits: Edits) -> Iterator[None]:
    """Several writers move sales from month to month for as long as the block lasts: none is lost, none comes."""
    stopped = threading.Event()

    def write(seed: int) -> None:
        random = Random(seed)
        with connected(edits.url, edits.zone, autocommit=True) as connection:
            while not stopped.is_set():
                moment = f"2024-{random.randint(1, 12):02}-15 12:00:00"
                chosen = f"SELECT ctid FROM {edits.table} ORDER BY random() LIMIT 3 FOR UPDATE SKIP LOCKED"
                with suppress(psycopg.errors.UniqueViolation):
                    edits.run(
                        f"UPDATE {edits.table} SET created_at = '{moment}' WHERE ctid IN ({chosen})", by=connection
                    )

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, seed) for seed in range(WRITERS)]
        try:
            yield
        finally:
            stopped.set()
        for writer in writers:
            writer.result()


ACTS: Final[Sequence[Callable[[Nights], None]]] = (
    *(usual, usual, usual, usual, killed, replaced, refused, back, far_back, by_stage, state_lost, file_lost),
    *(other_layout, other_zone, full, while_written),
)
