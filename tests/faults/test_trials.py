"""Complete runs with random faults: the lake is the former one or the new one, and all reports about it are true.

Each trial is made from a seed, which its name tells: `pytest -k "postgresql and [7]"` makes that of seed 7 again.
`--fault-rounds` is how many times as many there are.
"""

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import pg_faults
import pytest
import s3_faults
from lake_views import in_home
from small_disks import ROOT_ONLY, fill, small_disk
from trials import INTERRUPTED, KILLED, RUN, SKIPPING, Arena, Version, local_arena, s3_arena, trials_of

from accounts import new_account
from commands import end
from conftest import eventually
from tally import Tally

QUICK: Final = {
    "test_random_network_faults_before_postgresql": 3,
    "test_random_s3_faults": 1,
    "test_a_permanent_s3_failure": 1,
    "test_random_faults_during_a_crawl": 1,
    "test_a_signal_at_a_random_time": 2,
    "test_a_lake_on_a_full_disk": 1,
    "test_a_home_on_a_full_disk": 1,
    "test_copies_on_a_full_disk": 1,
}

ALWAYS: Final = pg_faults.ALWAYS
# Faults of a network, and how many connections they befall.
NETWORK: Final = (
    ("reset", 1),
    ("refused", 1),
    ("garbage", 1),
    ("truncate", ALWAYS),
    ("delay", 8),
    ("close", 1),
    ("refused", 3),
    ("truncate", 1),
    ("reset", ALWAYS),
    ("refused", 2),
    ("close", ALWAYS),
    ("garbage", ALWAYS),
)
# Faults of S3, and whether the answer that tells of a begun upload may be lost.
S3_FAULTS: Final = {
    "503": s3_faults.refused(503, "SlowDown"),
    "answer lost": s3_faults.answer_lost,
    "corrupted": s3_faults.corrupted,
    "500": s3_faults.refused(500, "InternalError"),
    "reset": s3_faults.reset,
    "cut short": s3_faults.cut_short,
    "429": s3_faults.refused(429, "TooManyRequests"),
    "delayed": s3_faults.delayed,
    "reset midway": s3_faults.reset_midway,
}
# Calls that a run makes, and how many at least.
CALLS: Final = {
    "CreateMultipartUpload": 21,
    "UploadPart": 21,
    "CompleteMultipartUpload": 21,
    "ListObjectsV2": 5,
    "HeadObject": 15,
    "PutObject": 1,
    "GetObject": 2,
    "HeadBucket": 1,
    "ListMultipartUploads": 1,
    "DeleteObjects": 1,
}
REQUESTS: Final = 100
CRAWLING: Final = {
    "AmazonAthena.StartQueryExecution": 20,
    "AWSGlue.GetTables": 2,
    "AmazonAthena.GetQueryExecution": 20,
    "AmazonAthena.GetQueryResults": 15,
    "AWSGlue.GetDatabase": 1,
    "AmazonAthena.GetWorkGroup": 3,
}
SIGNALS: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FULL: Final = 4_000_000  # bytes, with which there is room for a run
LINUX: Final = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: a tmpfs, or /proc")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    trials_of(metafunc, QUICK)


@pytest.fixture(scope="module")
def local(versions: tuple[Version, Version], tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return local_arena(versions, tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="module")
def remote(emulator: str, versions: tuple[Version, Version], tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return s3_arena(versions, tmp_path_factory.mktemp("remote"), new_account(emulator))


@pytest.mark.quick(1)
def test_random_network_faults_before_postgresql(local: Arena, seed: int, tally: Tally) -> None:
    name, times = NETWORK[seed % len(NETWORK)]
    shop = local.begin(SHOPEASE_SOURCE_ATTEMPTS="3" if name == "refused" else "2", SHOPEASE_STAGE_TIMEOUT="20")
    with pg_faults.between(local.to.url, seed) as proxy:
        if name == "refused":
            proxy.refuse(times)
        elif name == "delay":
            proxy.fail(pg_faults.delay, times=times)
        else:
            proxy.fail(pg_faults.FAULTS[name], times=times)
        ended = replace(shop, database_url=proxy.url).run(*RUN)
        assert proxy.seen["faults"]
    is_fatal = times == ALWAYS or (name, times) == ("refused", 3)
    # garbage may announce a long message whose rest never comes
    endless = {1} if name == "garbage" and "took longer" in ended.stderr else set()
    lake = local.check(ended, endless or ({4} if is_fatal else {0}))
    told = "always" if times == ALWAYS else "once" if times == 1 else f"{times} times"
    tally.count("PostgreSQL's network", f"{name}, {told}", lake, ended.code)


def test_random_s3_faults(remote: Arena, seed: int, tally: Tally) -> None:
    random = Random(seed)
    name, fault = list(S3_FAULTS.items())[seed % len(S3_FAULTS)]
    call = "UploadPart" if name == "corrupted" else random.choice(list(CALLS))
    shop, times = remote.begin(), random.choice((1, 2))
    with s3_faults.faulty(shop.more["AWS_ENDPOINT_URL"], seed) as proxy:
        proxy.add(call, fault, times, after=random.randrange(CALLS[call]))
        ended = replace(shop, more={**shop.more, "AWS_ENDPOINT_URL_S3": proxy.endpoint}).run(*SKIPPING)
        assert proxy.rules[0].times < times
    remote.may_leave_uploads = call == "CreateMultipartUpload"
    # what S3 refuses because it is damaged is not sent again
    lake = remote.check(ended, {4 if name == "corrupted" else 0})
    tally.count("S3", f"{name}, {'once' if times == 1 else 'twice'}", lake, ended.code)


def test_a_permanent_s3_failure(remote: Arena, seed: int, tally: Tally) -> None:
    random = Random(seed)
    name = random.choice(("503", "reset"))
    # tried once, for each of a run's objects in turn is refused; a short lease, which nobody can give back
    shop = remote.begin(AWS_MAX_ATTEMPTS="1", SHOPEASE_LEASE_SECONDS="3")
    with s3_faults.faulty(shop.more["AWS_ENDPOINT_URL"], seed) as proxy:
        proxy.add(s3_faults.ANY, S3_FAULTS[name], ALWAYS, after=random.randrange(REQUESTS))
        ended = replace(shop, more={**shop.more, "AWS_ENDPOINT_URL_S3": proxy.endpoint}).run(*SKIPPING)
        assert proxy.rules[0].times < ALWAYS
    remote.may_leave_uploads = True
    lake = remote.check(ended, {0, 4})
    tally.count("S3", f"{name}, from some request on", lake, ended.code)


def test_random_faults_during_a_crawl(remote: Arena, seed: int, tally: Tally) -> None:
    """The run has published when its crawl fails: it is undone."""
    call = list(CRAWLING)[seed % len(CRAWLING)]
    name, times = (("503", ALWAYS), ("answer lost", 1))[seed // len(CRAWLING) % 2]
    shop = remote.begin()
    with s3_faults.faulty(shop.more["AWS_ENDPOINT_URL"], seed) as proxy:
        proxy.add(call, S3_FAULTS[name], times, after=Random(seed).randrange(CRAWLING[call]))
        ended = replace(shop, more={**shop.more, "AWS_ENDPOINT_URL": proxy.endpoint}).run(*RUN)
        assert proxy.rules[0].times < times
    lake = remote.check(ended, {4 if times == ALWAYS else 0})
    told = "from some request on" if times == ALWAYS else "once"
    tally.count("Glue and Athena", f"{name}, {told}", lake, ended.code)


@LINUX
def test_a_signal_at_a_random_time(local: Arena, seed: int, tally: Tally) -> None:
    number = SIGNALS[seed % len(SIGNALS)]
    with local.begin().start(*RUN, "--verbose") as process:
        if number != signal.SIGKILL:
            eventually(lambda: process.poll() is not None or handles_signals(process.pid))
        time.sleep(Random(seed).uniform(0, local.seconds))
        process.send_signal(number)
        ended = end(process)
    lake = local.check(ended, {0, KILLED if number == signal.SIGKILL else INTERRUPTED})
    tally.count("a run on a local lake, any moment", number.name, lake, ended.code)


def handles_signals(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM; before that it is Python itself that is being loaded."""
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@ROOT_ONLY
@LINUX
def test_a_lake_on_a_full_disk(versions: tuple[Version, Version], seed: int, tmp_path: Path, tally: Tally) -> None:
    with small_disk(tmp_path / "disk") as disk:
        arena = local_arena(versions, disk / "shop")
        shop = arena.begin()
        fill(disk, Random(seed).randrange(FULL))
        ended = shop.run(*RUN)
        (disk / "filling").unlink()
        lake = arena.check(ended, {0, 1, 4})
    tally.count("a local lake's disk", "full at any byte", lake, ended.code)


@ROOT_ONLY
@LINUX
def test_a_home_on_a_full_disk(local: Arena, seed: int, tmp_path: Path, tally: Tally) -> None:
    with small_disk(tmp_path / "disk") as disk:
        shop = local.begin(SHOPEASE_HOME=str(disk / "home"))
        fill(disk, Random(seed).randrange(60_000))
        ended = shop.run(*RUN)
        assert in_home(disk) == set()
        lake = local.check(ended, {0, 1})
    tally.count("a local lake's home", "full at any byte", lake, ended.code)


@ROOT_ONLY
@LINUX
def test_copies_on_a_full_disk(remote: Arena, seed: int, tmp_path: Path, tally: Tally) -> None:
    with small_disk(tmp_path / "disk") as disk:
        shop = remote.begin(SHOPEASE_HOME=str(disk / "home"))
        fill(disk, Random(seed).randrange(FULL))
        ended = shop.run(*SKIPPING)
        assert {name for name in in_home(disk) if not name.startswith("waits: ")} == set()
        lake = remote.check(ended, {0, 4})
    tally.count("the copies of a run on S3", "disk full at any byte", lake, ended.code)
