"""Signals for commands that wait for S3: hanging requests are abandoned, and publishing is finished."""

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
from s3_faults import Exchange, Proxy, faulty, passed_on

from accounts import Account, new_account
from commands import Shop, copy_of, end, execute

PATIENCE: Final = 20.0  # seconds within which a command ends; what hangs does so for longer
FINISHING: Final = "shopease: interrupted; finishing what is being published first (interrupt again to end at once)\n"


class HeldRequest:
    """A request that gets no answer until it is let go."""

    def __init__(self) -> None:
        self.has_come = threading.Event()
        self.may_go = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.has_come.set()
        self.may_go.wait(60)
        passed_on(exchange)


@pytest.fixture(scope="module")
def own(emulator: str) -> Account:
    return new_account(emulator)


@pytest.fixture(scope="module")
def direct(own: Account, sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A lake on S3 whose source has changed since."""
    with copy_of(sales) as url:
        lake = f"s3://{own.new_bucket()}/lake"
        shop = Shop(tmp_path_factory.mktemp("shop"), url, lake, {**own.environment, "AWS_MAX_ATTEMPTS": "1"})
        shop.run("extract").done()
        execute(url, "UPDATE customers SET city = city || '!'")
        yield shop


@pytest.fixture
def proxy(own: Account) -> Iterator[Proxy]:
    with faulty(own.endpoint, 1) as made:
        yield made


@pytest.fixture
def held(proxy: Proxy) -> Iterator[HeldRequest]:
    assert proxy  # it waits for its requests, after this one is let go
    request = HeldRequest()
    yield request
    request.may_go.set()


@pytest.fixture
def shop(direct: Shop, proxy: Proxy) -> Shop:
    """The same lake through the proxy."""
    return replace(direct, more={**direct.more, "AWS_ENDPOINT_URL": proxy.endpoint})


def datasets(account: Account, shop: Shop) -> dict[str, str]:
    """Each dataset's ETag."""
    listed = account.client("s3").list_objects_v2(Bucket=shop.lake.split("/")[2])["Contents"]
    return {item["Key"]: item["ETag"] for item in listed if "/_" not in item["Key"]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("call", "after"), [("HeadBucket", 0), ("ListObjectsV2", 0), ("GetObject", 2), ("GetObject", 8), ("UploadPart", 1)]
)
@pytest.mark.quick(5)
def test_a_hanging_request_is_abandoned(
    own: Account, shop: Shop, proxy: Proxy, held: HeldRequest, call: str, after: int, number: signal.Signals
) -> None:
    before = datasets(own, shop)
    proxy.add(call, held, after=after)
    with shop.start("clean") as process:
        assert held.has_come.wait(PATIENCE)
        process.send_signal(number)
        ended = end(process, seconds=PATIENCE)
    assert (ended.code, "shopease: interrupted" in ended.stderr.splitlines()) == (130, True), ended
    assert datasets(own, shop) == before


def test_an_interrupt_waits_until_everything_is_published(
    own: Account, shop: Shop, proxy: Proxy, held: HeldRequest
) -> None:
    before = datasets(own, shop)
    proxy.add("CompleteMultipartUpload", held, after=len(before))  # manifests and the journal come first
    with shop.start("extract") as process:
        assert held.has_come.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        while (line := process.stderr.readline()) != FINISHING:
            assert line
        held.may_go.set()
        assert end(process, seconds=PATIENCE).code == 0  # the run was finished
    changed = {key for key, etag in datasets(own, shop).items() if before[key] != etag}
    assert [key.rpartition("/")[2] for key in changed] == ["customers.csv"]
