"""A lake by month after any edits has what a complete run into a new lake has: made from seeds, on a real server.

Five seeds are tried, with `--fault-rounds 20` a hundred. A failure tells its seed in its name, and what was done.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from month_acts import ACTS
from month_edits import Edits
from month_nights import Nights
from month_sources import month_source

from commands import database
from shopease_etl.transform import memory
from tally import Tally

SEEDS_A_ROUND: Final = 5
NIGHTS: Final = 5
BATCH_BYTES: Final = 2000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(SEEDS_A_ROUND * int(metafunc.config.getoption("--fault-rounds"))))


@pytest.fixture
def nights(seed: int, database_url: str, tmp_path: Path) -> Iterator[Nights]:
    with database(database_url) as url:
        source = month_source(seed)
        columns = source.fill(url)["transactions"]
        with Edits.of(source, url, columns) as edits:
            yield Nights.of(edits, tmp_path)


def test_any_night_gives_what_a_complete_run_gives(
    nights: Nights, seed: int, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    if seed % 3 == 1:  # much in little memory
        monkeypatch.setattr(memory, "SMALLEST_BATCH", BATCH_BYTES)
        monkeypatch.setattr(memory, "USUAL", BATCH_BYTES)
    nights.usual()
    try:
        for _ in range(NIGHTS):
            nights.night(ACTS)
        for layout in ("month", "none"):
            nights.require_equal(layout)
    except BaseException as error:
        error.add_note(f"seed {seed}, {nights.edits.zone}: {' '.join(nights.told)}")
        raise
    tally.count("a lake by month", f"{NIGHTS} nights of edits", "as a complete run makes it", 0, NIGHTS)
