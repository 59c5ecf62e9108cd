"""A lake by month after any edits has what a complete run into a new lake has: made from seeds, on a real server.

Five seeds are tried, with `--fault-rounds 20` a hundred. A failure tells its seed in its name, and what was done.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from month_acts import ACTS
from month_edits import KEY, SALES, Edits, duplicates, fewer_duplicates
from month_nights import Nights
from month_sources import month_source

from commands import database
from near_cluster import NearCluster
from shopease_etl.stages import months
from shopease_etl.transform import memory
from tally import Tally

SEEDS_A_ROUND: Final = 5
NIGHTS: Final = 5
BATCH_BYTES: Final = 2000
RANGE_BYTES: Final = 16_384
OF_NUMBERS: Final = 54  # a seed whose ids are numbers


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pieces" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(SEEDS_A_ROUND * int(metafunc.config.getoption("--fault-rounds"))))


@pytest.fixture
def nights(seed: int, database_url: str, tmp_path: Path) -> Iterator[Nights]:
    with database(database_url) as url:
        source = month_source(seed)
        columns = source.fill(url)["transactions"]
        with Edits.of(source, url, columns) as edits:
            yield Nights.of(edits, tmp_path)


@pytest.fixture
def pieces(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sources are read in many small ranges of blocks, and some cleaned in many small chunks."""
    if seed % 2:
        monkeypatch.setattr(months, "RANGE_BYTES", RANGE_BYTES)
    if seed % 3 == 1:
        monkeypatch.setattr(memory, "SMALLEST_BATCH", BATCH_BYTES)
        monkeypatch.setattr(memory, "USUAL", BATCH_BYTES)


@pytest.mark.usefixtures("pieces")
def test_any_night_gives_what_a_complete_run_gives(nights: Nights, seed: int, tally: Tally) -> None:
    nights.settings = {"keep_manifests": "1"} if seed % 4 == 3 else {}
    nights.usual()
    try:
        for _ in range(NIGHTS):
            nights.night(ACTS)
        for layout in ("month", "none"):
            nights.require_equal(layout)
    except BaseException as error:
        error.add_note(f"seed {seed}, {nights.edits.zone}: {' '.join(nights.history)}")
        raise
    tally.count("a lake by month", f"{NIGHTS} nights of edits", "as a complete run makes it", 0, NIGHTS)


@pytest.mark.usefixtures("pieces")
def test_any_night_on_a_cluster_gives_what_a_complete_run_gives(nights: Nights, seed: int, tally: Tally) -> None:
    nights.cluster = NearCluster()
    nights.usual()
    try:
        for _ in range(NIGHTS):
            nights.night(ACTS)
        for layout in ("month", "none"):
            nights.require_equal(layout)
    except BaseException as error:
        error.add_note(f"seed {seed}, {nights.edits.zone}: {' '.join(nights.history)}")
        raise
    assert nights.cluster.done
    tally.count("a lake by month on a cluster", f"{NIGHTS} nights of edits", "as a complete run makes it", 0, NIGHTS)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("index", "unlike"),
    [("({key})", "false"), ("({key}) WHERE quantity > 1", "quantity <= 1"), ("({key}, created_at)", "true")],
    ids=["all rows", "some rows", "more than the key"],
)
@pytest.mark.parametrize("seed", [OF_NUMBERS])
def test_keys_become_unique_and_common_again(nights: Nights, index: str, unlike: str) -> None:
    edits = nights.edits
    nights.usual()
    for number in range(2):
        edits.run(f"DELETE FROM {SALES} a USING {SALES} b WHERE a.ctid < b.ctid AND a.{KEY} = b.{KEY}")
        edits.run(f"CREATE UNIQUE INDEX one ON {SALES} {index.format(key=KEY)}")
        edits.touched = None
        nights.usual()
        edits.insert({KEY: str(10_000 + number), "created_at": "2024-05-05"})
        nights.usual()
        edits.copy(edits.some(20, unlike), "created_at")  # which the index does not forbid
        nights.usual()
        nights.require_right()
        edits.run("DROP INDEX one")
        edits.touched = set()
        duplicates(edits)
        nights.usual()
        nights.require_right()
        fewer_duplicates(edits)
        nights.usual()
        nights.require_right()
