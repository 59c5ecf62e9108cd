"""Network faults during an extract: it restarts and bronze is correct, or the former lake stays."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final
from zlib import crc32

import pytest
from pg_faults import ALWAYS, FAULTS, FROM_SERVER, TO_SERVER, Fault, PgProxy, between, delay, reset, stall
from pg_gates import AGAIN, AT_GATE, OURS, bronze, closed_gate, gated_copy, under_way, with_settings

from commands import Shop, count, hashes, leftovers
from conftest import eventually
from lakes import given_source, unfinished
from shopease_etl.contract.tables import TABLES
from shopease_etl.lake.local import LocalStore
from shopease_etl.source import session as source
from shopease_etl.source.postgres import snapshots
from shopease_etl.stages.extract import CONNECTIONS, RANGE_BYTES, ByMonth, extract

WHOLE: Final = ("run-all", "--skip-crawl")
LOSSES: Final = ("reset", "close", "truncate")
SAYS: Final = 300  # bytes that every connection sends at least
IN_COPIES: Final = range(8_000, 60_000)  # bytes that come after all that is no table


@pytest.fixture(scope="module")
def url(sales: str) -> Iterator[str]:
    with gated_copy(sales) as made:
        yield made


@pytest.fixture(scope="module")
def good(url: str, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with the lake of a run without faults, which every test leaves as it is."""
    shop = Shop(tmp_path_factory.mktemp("good"), url)
    shop.run(*WHOLE).done()
    return shop


@pytest.fixture(scope="module")
def lake(good: Shop) -> dict[str, str]:
    return hashes(good.folder / "lake")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between attempts in this process."""
    monkeypatch.setattr(source, "FIRST_PAUSE", 0.01)


def extracted_through(proxy: PgProxy, folder: Path, by_month: ByMonth | None = None, **settings: str) -> dict[str, str]:
    """Bronze by an extract through the proxy, in this process."""
    store = LocalStore(folder / "lake")
    source.with_retries(
        given_source(proxy.url, folder, **settings),
        [table.source for table in TABLES],
        lambda moment: extract(
            moment, store, TABLES, by_month=by_month, range_bytes=65_536 if by_month else RANGE_BYTES
        ),
    )
    assert [path for path in unfinished(store) if isinstance(path, Path) and path.is_file()] == []
    return bronze(hashes(folder / "lake"))


@pytest.mark.usefixtures("at_once")
# Not garbage to the server: that becomes part of a login or a statement, and what the server says of it is final.
@pytest.mark.parametrize(
    ("fault", "way"), [*((fault, FROM_SERVER) for fault in FAULTS), *((fault, TO_SERVER) for fault in LOSSES)]
)
def test_one_fault_anywhere_does_not_change_bronze(
    url: str, lake: dict[str, str], tmp_path: Path, rounds: int, fault: str, way: str
) -> None:
    for seed in range(4 * rounds):
        with between(url, crc32(f"{fault} {way} {seed}".encode())) as proxy:
            at = proxy.random.randrange(SAYS) if way == TO_SERVER else None
            proxy.fail(FAULTS[fault], at, way=way)
            assert extracted_through(proxy, tmp_path, source_idle_timeout="1") == bronze(lake)
            assert proxy.seen["faults"] == 1
            assert proxy.seen["connections"] > 1 + CONNECTIONS


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.quick(2)
def test_one_fault_anywhere_does_not_change_months(url: str, tmp_path: Path, rounds: int, fault: str) -> None:
    first = ByMonth(None, {})
    with between(url, 0) as proxy:
        wanted = extracted_through(proxy, tmp_path / "wanted", first)
    for seed in range(4 * rounds):
        with between(url, crc32(f"{fault} {seed}".encode())) as proxy:
            proxy.fail(FAULTS[fault], proxy.random.choice(IN_COPIES))
            assert extracted_through(proxy, tmp_path, first, source_idle_timeout="1") == wanted


@pytest.mark.usefixtures("at_once")
def test_delays_are_not_faults(url: str, lake: dict[str, str], tmp_path: Path) -> None:
    with between(url, 1) as proxy:
        proxy.fail(delay, times=3)
        proxy.fail(delay, 0, times=3, way=TO_SERVER)
        assert extracted_through(proxy, tmp_path, source_attempts="1") == bronze(lake)
        assert proxy.seen == {"connections": 1 + CONNECTIONS, "faults": 6}


@pytest.mark.parametrize("command", [WHOLE, ("extract",)], ids=lambda command: command[0])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_does_not_change_the_lake(
    url: str, lake: dict[str, str], tmp_path: Path, fault: str, command: tuple[str, ...]
) -> None:
    with between(url, crc32(f"{fault} {command}".encode())) as proxy:
        proxy.fail(FAULTS[fault], times=1)
        ended = with_settings(Shop(tmp_path, proxy.url), idle_timeout=1).run(*command).done()
        assert proxy.seen["faults"] == 1
    assert ended.stderr.count(AGAIN) == 1
    assert "(2 of 3)" in ended.stderr
    made = hashes(tmp_path / "lake")
    # In quarantine stands which run put a row there.
    whole = {key: value for key, value in lake.items() if not key.startswith("quarantine/")}
    assert {key: made[key] for key in whole if key in made} == (whole if command == WHOLE else bronze(lake))
    assert made.keys() == (lake if command == WHOLE else bronze(lake)).keys()
    assert leftovers(tmp_path / "lake") == []


@pytest.mark.parametrize("fault", [*FAULTS, "refuse"])
def test_permanent_faults_leave_only_the_former_lake(good: Shop, lake: dict[str, str], fault: str) -> None:
    url = good.database_url
    with between(url, crc32(fault.encode())) as proxy:
        if fault == "refuse":
            proxy.refuse(ALWAYS)
        else:
            proxy.fail(FAULTS[fault], proxy.random.choice(IN_COPIES), times=ALWAYS)
        shop = with_settings(replace(good, database_url=proxy.url), idle_timeout=1, attempts=2)
        ended = shop.run(*WHOLE).failed(4)
        assert proxy.seen["faults"] >= 2
    assert ended.stderr.count(AGAIN) == 1
    assert (hashes(good.folder / "lake"), leftovers(good.folder / "lake")) == (lake, [])
    eventually(lambda: count(url, OURS) == 0, 10)


def test_a_run_waits_for_a_server_that_refuses_connections(url: str, lake: dict[str, str], tmp_path: Path) -> None:
    with between(url, 2) as proxy:
        proxy.refuse(2)
        ended = Shop(tmp_path, proxy.url).run("extract").done()
        assert proxy.seen["connections"] == 2 + 1 + CONNECTIONS
    assert ended.stderr.count(AGAIN) == 2
    assert hashes(tmp_path / "lake") == bronze(lake)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_ends_a_run_with_a_silent_source(good: Shop, lake: dict[str, str], number: int) -> None:
    with between(good.database_url, 3) as proxy:
        proxy.fail(stall, IN_COPIES[0], times=ALWAYS)
        proxy.fail(stall, 0, connections=range(2 + CONNECTIONS, 100), times=ALWAYS, way=TO_SERVER)  # what would cancel
        with under_way(replace(good, database_url=proxy.url)) as running:
            eventually(lambda: proxy.seen["faults"] == CONNECTIONS)
            running.process.send_signal(number)
            assert running.ended(15).code == 130
        assert proxy.seen["faults"] > CONNECTIONS
    assert (hashes(good.folder / "lake"), leftovers(good.folder / "lake")) == (lake, [])


def test_an_interrupt_ends_the_pause_between_two_attempts(good: Shop, lake: dict[str, str]) -> None:
    with between(good.database_url, 4) as proxy:
        proxy.refuse(ALWAYS)
        shop = with_settings(replace(good, database_url=proxy.url), attempts=20)
        with under_way(shop) as running:
            eventually(lambda: running.has_told("(4 of 20)"))
            refused = proxy.seen["connections"]
            running.process.send_signal(signal.SIGINT)
            assert running.ended(5).code == 130
        assert proxy.seen["connections"] == refused
    assert (hashes(good.folder / "lake"), leftovers(good.folder / "lake")) == (lake, [])


def test_a_time_limit_ends_a_run_with_a_silent_source(good: Shop, lake: dict[str, str]) -> None:
    with between(good.database_url, 5) as proxy:
        proxy.fail(stall, IN_COPIES[0], times=ALWAYS)
        shop = replace(good, database_url=proxy.url, more={"SHOPEASE_STAGE_TIMEOUT": "2"})
        shop.run("extract").failed(1, "extract", "2 s")
    assert (hashes(good.folder / "lake"), leftovers(good.folder / "lake")) == (lake, [])


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("fault", [stall, reset], ids=lambda fault: fault.__name__)
def test_a_lost_snapshot_is_noticed_and_replaced(
    url: str,
    lake: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
) -> None:
    monkeypatch.setattr(snapshots, "QUERY_SECONDS", 0.5)
    with between(url, 6) as proxy, ThreadPoolExecutor(1) as pool:
        with closed_gate(url):
            result = pool.submit(extracted_through, proxy, tmp_path)
            eventually(lambda: count(url, AT_GATE))
            proxy.fail(fault, 0, connections=[1])
            eventually(lambda: AGAIN in caplog.text)
        assert result.result() == bronze(lake)
    assert "the snapshot of the source is gone" in caplog.text
