"""Parts that several threads write at once become one object in order, with bounded memory."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import eventually
from shopease_etl.lake.ordering import OrderedParts, StoppedError

PARTS = st.lists(st.lists(st.binary(max_size=5), max_size=6), min_size=1, max_size=8)


@given(parts=PARTS, most_ahead=st.integers(1, 20), threads=st.integers(1, 5))
def test_parts_are_in_order_with_any_number_of_threads(parts: list[list[bytes]], most_ahead: int, threads: int) -> None:
    written = bytearray()
    ordered = OrderedParts(len(parts), written.extend, most_ahead)

    def bring(number: int) -> bool:
        for chunk in parts[number]:
            ordered.write(number, bytearray(chunk))
        return ordered.end(number)

    with ThreadPoolExecutor(threads) as pool:
        ended = list(pool.map(bring, range(len(parts))))
    assert written == b"".join(chunk for part in parts for chunk in part)
    assert ended.count(True) == 1


def test_complete_parts_wait_for_the_part_before_them() -> None:
    written = bytearray()
    ordered = OrderedParts(3, written.extend)
    for number in (2, 1):
        ordered.write(number, bytearray(b"%d" % number))
        assert not ordered.end(number)
    assert written == b""
    ordered.write(0, bytearray(b"0"))
    assert written == b"0"
    assert ordered.end(0)
    assert written == b"012"


def test_threads_that_are_too_far_ahead_wait() -> None:
    written = bytearray()
    ordered, brought = OrderedParts(2, written.extend, most_ahead=10), 0

    def bring() -> bool:
        nonlocal brought
        for _ in range(5):
            ordered.write(1, bytearray(5))
            brought += 1
        return ordered.end(1)

    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(bring)
        eventually(lambda: brought == 2)
        with pytest.raises(TimeoutError):
            last.result(0.2)
        assert (brought, len(written)) == (2, 0)
        assert not ordered.end(0)
        assert last.result(30)
    assert len(written) == 25


def test_stopping_frees_the_waiting_threads() -> None:
    ordered = OrderedParts(2, bytearray().extend, most_ahead=1)
    ordered.write(1, bytearray(5))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ordered.write, 1, bytearray(5))
        threading.Timer(0.1, ordered.stop).start()
        with pytest.raises(StoppedError):
            waiting.result(30)
    for stopped in (lambda: ordered.write(0, bytearray(1)), lambda: ordered.end(0)):
        with pytest.raises(StoppedError):
            stopped()
