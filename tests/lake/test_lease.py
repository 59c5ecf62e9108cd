"""The lease of a lake on S3: one holder at a time; a dead holder's lease expires."""

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from accounts import Account
from leases import SHORT, holder, lease_in, refusal
from shopease_etl.contract.layout import LEASE
from shopease_etl.errors import LakeLockedError
from shopease_etl.lake.lock.lease import SLACK, Lease, leased
from shopease_etl.lake.s3 import S3Store
from shopease_etl.lake.store import Encryption


@pytest.fixture
def store(account: Account) -> S3Store:
    """A lake on ministack."""
    return S3Store(account.new_bucket(), "lake")


def write(store: S3Store, body: bytes) -> None:
    store.client.put_object(Bucket=store.bucket, Key=f"lake/{LEASE}", Body=body)


@pytest.mark.parametrize("server", ["ministack", "moto"])
def test_a_released_lease_goes_to_the_next(server: str, request: pytest.FixtureRequest) -> None:
    new_bucket: Callable[[], str] = (
        request.getfixturevalue("account").new_bucket
        if server == "ministack"
        else request.getfixturevalue("new_bucket")
    )
    store = S3Store(new_bucket(), "lake")
    with leased(store, holder("first"), 60) as lease:
        error = refusal(store)
        assert "first on somewhere, process 4711, since 2024-01-02T03:04:05+00:00; its lock expires in 6" in str(error)
        assert (error.exit_code, error.hint) == (75, "wait until it has ended, as with --wait SECONDS, then try again")
        lease.require()
        assert lease_in(store)["run_id"] == "first"
    assert lease_in(store) is None
    with leased(store, holder("second"), 60):
        assert lease_in(store)["run_id"] == "second"


def test_an_error_releases_the_lease(store: S3Store) -> None:
    with pytest.raises(ZeroDivisionError), leased(store, holder("first"), 60):
        raise ZeroDivisionError
    assert lease_in(store) is None


def test_never_two_hold_it_at_once(store: S3Store) -> None:
    inside: list[str] = []
    seen: list[int] = []

    def hold(name: str) -> None:
        done = 0
        while done < 3:
            try:
                with leased(store, holder(name), 60):
                    inside.append(name)
                    seen.append(len(inside))
                    time.sleep(0.01)
                    inside.remove(name)
                    done += 1
            except LakeLockedError:
                time.sleep(0.01)

    assert store.client
    threads = [threading.Thread(target=hold, args=(f"thread {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 24


def test_it_is_renewed_while_it_is_held(store: S3Store) -> None:
    with leased(store, holder("first"), SHORT):
        time.sleep(SHORT + SLACK + 2)
        assert "first on" in str(refusal(store))
        assert lease_in(store)["changes"] > 1


def test_a_dead_holders_lease_expires_by_the_servers_clock(store: S3Store, caplog: pytest.LogCaptureFixture) -> None:
    dead = Lease(store, holder("dead"), SHORT)
    with caplog.at_level(logging.INFO):
        dead._put(None)
        assert "expires in" in str(refusal(store))
        until = time.monotonic() + 30
        while True:
            try:
                with leased(store, holder("second"), 60):
                    assert lease_in(store)["run_id"] == "second"
                break
            except LakeLockedError:
                assert time.monotonic() < until
                time.sleep(0.1)
    assert time.monotonic() - dead._renewed > SHORT
    assert "dead has died" in caplog.text


def test_a_holder_known_to_be_dead_is_replaced_at_once(store: S3Store) -> None:
    dead = holder("dead")
    Lease(store, dead, 600)._put(None)
    with leased(store, holder("second"), 60, dead.token) as lease:
        lease.require()
        assert lease_in(store)["run_id"] == "second"


def test_a_lease_taken_by_another_stays_with_it(store: S3Store) -> None:
    second = holder("second")
    told = r"has lost the lock.*: another run holds the lake: second on"
    with leased(store, holder("first"), 60) as lease:
        Lease(store, second, 60)._put(str(lease._etag))
        with pytest.raises(LakeLockedError, match=told):
            lease.require()
    assert lease_in(store)["token"] == second.token
    store.delete([LEASE])
    with pytest.raises(LakeLockedError, match=told):
        lease.require()
    assert lease_in(store) is None


def test_a_lease_taken_unnoticed_stays_with_the_other(store: S3Store) -> None:
    second = holder("second")
    with leased(store, holder("first"), 60) as lease:
        Lease(store, second, 60)._put(str(lease._etag))
    assert lease_in(store)["token"] == second.token


def test_the_renewing_thread_reports_a_loss(store: S3Store, caplog: pytest.LogCaptureFixture) -> None:
    with leased(store, holder("first"), SHORT):
        write(store, b"{}")
        until = time.monotonic() + 30
        while "has lost the lock" not in caplog.text:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert lease_in(store) == {}


def test_a_deleted_lease_is_lost(store: S3Store) -> None:
    with leased(store, holder("first"), 60) as lease:
        store.delete([LEASE])
        with pytest.raises(LakeLockedError, match="has lost the lock"):
            lease.require()
        assert lease_in(store) is None


GARBAGE: Final = {
    "no JSON": b"\xff\x00nonsense",
    "empty": b"",
    "a list": b"[]",
    "deep": b"[" * 60_000,
    "another version": {"version": 2},
    "no token": {"token": ""},
    "no time": {"seconds": float("nan")},
    "for ever": {"seconds": float("inf")},
    "no number": {"seconds": "60"},
    "two lines": {"run_id": "a\nb"},
    "no process": {"pid": None},
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_an_unreadable_lease_is_reported_and_kept(store: S3Store, garbage: bytes | dict[str, Any]) -> None:
    whole = {"version": 1, "seconds": 60, "run_id": "x", "host": "y", "pid": 1, "since": "z", "token": "t"}
    body = garbage if isinstance(garbage, bytes) else json.dumps({**whole, **garbage}).encode()
    write(store, body)
    error = refusal(store)
    assert str(error) == f"this version of shopease cannot read the lock s3://{store.bucket}/lake/_runs/.lease"
    assert "delete it" in str(error.hint)
    found = store.tagged(LEASE)
    assert found
    assert found.body == body[: len(found.body)]


def test_an_unreadable_lease_is_replaced_once_it_is_old(store: S3Store) -> None:
    write(store, b"nonsense")
    assert refusal(store, SHORT)
    time.sleep(SHORT + SLACK + 1.5)
    assert refusal(store, 60)
    with leased(store, holder("first"), SHORT) as lease:
        lease.require()


def test_it_has_the_requested_encryption(account: Account) -> None:
    store = S3Store(account.new_bucket(), "lake", Encryption("AES256"))
    with leased(store, holder("first"), 60) as lease:
        lease.require()
        head = store.client.head_object(Bucket=store.bucket, Key=f"lake/{LEASE}")
    assert head["ServerSideEncryption"] == "AES256"
