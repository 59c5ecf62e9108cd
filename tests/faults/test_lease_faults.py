"""Faults of S3 and the lease: a lost answer never loses the lease, and no two processes hold it."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from s3_faults import ALWAYS, Exchange, Proxy, answer_lost, faulty, refused, reset

from accounts import Account
from leases import SHORT, holder, lease_in, refusal
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.lock.lease import SLACK, leased
from shopease_etl.lake.s3 import S3Store
from shopease_etl.pipeline.recovery import recover
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.settings import load


@pytest.fixture
def proxy(account: Account, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before ministack, to which AWS's own variables point."""
    with faulty(account.endpoint, crc32(request.node.name.encode())) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
        yield made


@pytest.fixture
def far(proxy: Proxy, account: Account) -> S3Store:
    """A lake on ministack behind the proxy."""
    assert proxy
    return S3Store(account.new_bucket(), "lake")


@pytest.mark.parametrize(
    "fault", [answer_lost, reset, refused(503, "SlowDown"), refused(409, "ConditionalRequestConflict")]
)
def test_a_fault_of_the_first_request_does_not_matter(
    proxy: Proxy, far: S3Store, fault: Callable[[Exchange], None]
) -> None:
    proxy.add("PutObject", fault)
    with leased(far, holder("first"), 60) as lease:
        proxy.add("PutObject", fault)
        lease.require()
        assert "first on" in str(refusal(far))
        assert lease_in(far)["changes"] > 1
    assert lease_in(far) is None


def test_renewals_without_answers_keep_the_lease(proxy: Proxy, far: S3Store) -> None:
    with leased(far, holder("first"), 60) as lease:
        before = lease._etag
        proxy.add("PutObject", answer_lost, times=2)
        lease.require()
        assert lease._etag == before
        assert lease_in(far)["changes"] == 3
        lease.require()
        assert lease_in(far)["changes"] == 5
    assert lease_in(far) is None


def test_a_lease_is_released_after_a_renewal_without_an_answer(proxy: Proxy, far: S3Store) -> None:
    with leased(far, holder("first"), 60) as lease:
        proxy.add("PutObject", answer_lost, times=2)
        lease.require()
    assert lease_in(far) is None


def test_only_an_outage_longer_than_the_lease_is_an_error(proxy: Proxy, far: S3Store) -> None:
    with leased(far, holder("first"), 6) as lease:
        proxy.add("PutObject", refused(503, "SlowDown"), ALWAYS)
        lease.require()
        until = time.monotonic() + 60
        with pytest.raises(
            UnreachableError, match=r"could not be renewed for \d+ s: AWS refuses s3.*SlowDown"
        ) as caught:
            while time.monotonic() < until:
                lease.require()
        assert caught.value.exit_code == 4
        proxy.rules.clear()
        lease.require()
        assert "first on" in str(refusal(far))


def test_temporary_failures_do_not_stop_the_renewals(proxy: Proxy, far: S3Store) -> None:
    with leased(far, holder("first"), SHORT):
        proxy.add("PutObject", refused(500, "InternalError"), times=4)
        proxy.add("PutObject", reset, times=2)
        time.sleep(SHORT + SLACK + 2)
        assert "first on" in str(refusal(far))


def test_a_lease_that_cannot_be_deleted_is_marked_as_free(proxy: Proxy, far: S3Store) -> None:
    proxy.add("DeleteObject", refused(501, "NotImplemented"), ALWAYS)
    for name in ("first", "second"):
        with leased(far, holder(name), 60):
            assert lease_in(far)["run_id"] == name
        assert lease_in(far)["seconds"] == 0


def test_a_lease_is_released_without_permission_to_read(proxy: Proxy, far: S3Store) -> None:
    with leased(far, holder("first"), 60):
        proxy.add("GetObject", reset, ALWAYS)
    proxy.rules.clear()
    assert lease_in(far) is None


def test_a_failed_release_is_a_warning(proxy: Proxy, far: S3Store, caplog: pytest.LogCaptureFixture) -> None:
    with leased(far, holder("first"), 60):
        proxy.add("DeleteObject", reset, ALWAYS)
        proxy.add("PutObject", reset, ALWAYS)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "not released, and expires in 60 s: cannot reach s3://" in warning.getMessage()
    proxy.rules.clear()
    assert lease_in(far)["run_id"] == "first"


def test_a_refusal_at_the_start_is_reported_once(proxy: Proxy, far: S3Store, caplog: pytest.LogCaptureFixture) -> None:
    proxy.add("PutObject", refused(403, "AccessDenied"), ALWAYS)
    with pytest.raises(UnreachableError, match="s3:PutObject"), leased(far, holder("first"), 60):
        pytest.fail("it is not held")
    assert (proxy.seen["GetObject"], caplog.text) == (0, "")


def test_an_interrupt_while_taking_it_leaves_no_lease(proxy: Proxy, far: S3Store) -> None:
    def interrupted(exchange: Exchange) -> None:
        answer = exchange.forward()
        os.kill(os.getpid(), signal.SIGINT)
        exchange.answer(*answer)

    proxy.add("PutObject", interrupted)
    with pytest.raises(KeyboardInterrupt), leased(far, holder("first"), 60):
        time.sleep(10)
    assert lease_in(far) is None


def test_a_server_without_a_clock_is_reported(proxy: Proxy, far: S3Store) -> None:
    def timeless(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        exchange.answer(status, [header for header in headers if header[0].lower() != "date"], body)

    with leased(far, holder("first"), 60):
        proxy.add("GetObject", timeless)
        with pytest.raises(UnreachableError, match="date"), leased(far, holder("second"), 60):
            pytest.fail("two hold the lease")


@pytest.mark.parametrize("call", ["ListMultipartUploads", "AbortMultipartUpload"])
def test_missing_permission_to_abort_uploads_is_a_warning(
    proxy: Proxy, far: S3Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    far.writer("bronze/customers/customers.csv").write(b"half")
    shop = replace(Pipeline.from_settings(load(home=tmp_path)), lake=far)
    proxy.add(call, refused(403, "AccessDenied"))
    recover(shop)
    assert "unfinished uploads of dead runs stay behind: AWS refuses s3://" in caplog.text
    proxy.add(call, refused(400, "InvalidRequest"))
    with pytest.raises(UnreachableError, match="InvalidRequest"):
        recover(shop)
    recover(shop)
    assert list(far.unfinished_uploads()) == []


def unconditional(exchange: Exchange) -> None:
    """A server that knows no conditions."""
    for name in ("If-None-Match", "If-Match"):
        del exchange._handler.headers[name]
    exchange.answer(*exchange.forward())


def test_a_server_without_conditional_writes_is_reported(
    proxy: Proxy, far: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    with leased(far, holder("first"), 60) as lease:
        lease.require()
    assert "conditional" not in caplog.text
    proxy.add("PutObject", unconditional, times=ALWAYS)
    with leased(far, holder("first"), 60) as lease:
        lease.require()
    assert "does not support conditional writes: make sure that only one run is in progress" in caplog.text
    assert lease_in(far) is None
