"""Limits of time, around work that ends only when it is interrupted."""

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Final

import pytest

from commands import end
from shopease_etl import signal_watch
from shopease_etl.signals import TimeLimitError, deliver, guarded, held_back, time_limit
from signalled import DEADLINE, PATIENCE, running

LIMITED: Final = """
import polars
with guarded():
    try:
        with time_limit(1.5, "the test", hint="wait"):
            once({work})
    except signals.TimeLimitError as error:
        print(error.exit_code, error, error.hint, sep="; ", flush=True)
        os._exit(0)
"""
ENDED: Final = "tidied\n1; the test took longer than 1.5 s; wait\n"


@pytest.mark.parametrize("work", ["collect", "collect_all", "sink", "sleep", "lock", "future", "program"])
def test_a_limit_ends_whatever_runs(work: str) -> None:
    with running(LIMITED.format(work=work)) as process:
        assert end(process, seconds=DEADLINE).stdout == ENDED


@pytest.mark.parametrize("work", ["collect", "lock"])
def test_a_limit_holds_where_signals_are_ignored(work: str) -> None:
    with running(LIMITED.format(work=work), "sh", "-c", "trap '' INT TERM HUP; exec \"$@\"", "sh") as process:
        assert end(process, seconds=DEADLINE).stdout == ENDED


def test_a_limit_ends_a_statement_in_the_database(database_url: str) -> None:
    with running(LIMITED.format(work="query"), URL=database_url) as process:
        assert end(process, seconds=DEADLINE).stdout == ENDED


@pytest.mark.parametrize(("outer", "inner", "named"), [(60, 0.3, "inner"), (0.3, 60, "outer"), (0.3, 0.6, "outer")])
def test_the_limit_that_passes_first_is_named(outer: float, inner: float, named: str) -> None:
    with pytest.raises(TimeLimitError, match=f"^the {named} took longer than 0.3 s$"):  # noqa: SIM117
        with time_limit(outer, "the outer"), time_limit(inner, "the inner"):
            try:
                time.sleep(60)
            finally:
                time.sleep(0.6)


def test_limits_one_after_the_other_each_hold() -> None:
    with guarded(), time_limit(60, "all"):
        for _ in range(3):
            with pytest.raises(TimeLimitError, match="one took longer"), time_limit(0.2, "one"):
                time.sleep(60)


def test_what_ends_in_time_and_what_has_no_limit_go_on() -> None:
    with time_limit(0.3, "it"):
        pass
    with time_limit(None, "it"):
        time.sleep(0.6)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), time_limit(60, "it"):
        raise ZeroDivisionError


def test_a_persons_interrupt_within_a_limit_stays_one() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), time_limit(30, "it"):
        time.sleep(PATIENCE)


def test_a_limit_waits_while_interrupts_are_held_back() -> None:
    done = []
    with time_limit(0.2, "it"):
        with held_back():
            time.sleep(0.6)
            done.append("published")
        time.sleep(0.4)
        done.append("told")
    deliver()
    assert done == ["published", "told"]


def test_after_what_was_held_back_a_limit_ends_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_watch, "REPEAT_SECONDS", 0.3)
    with pytest.raises(TimeLimitError), time_limit(0.2, "it"):
        with held_back():
            time.sleep(0.5)
        time.sleep(60)


def test_what_is_swallowed_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_watch, "REPEAT_SECONDS", 0.3)
    swallowed = 0
    with pytest.raises(TimeLimitError), time_limit(0.2, "it"):
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                swallowed += 1
                if swallowed == 3:
                    raise


def test_a_clean_up_within_its_grace_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_watch, "REPEAT_SECONDS", 0.1)
    tidied = False
    with pytest.raises(TimeLimitError), time_limit(0.2, "it"):
        try:
            time.sleep(60)
        finally:
            time.sleep(1)
            tidied = True
    assert tidied


@pytest.mark.parametrize("tidying", ["within", "after"])
def test_a_clean_up_that_hangs_after_a_limit_is_ended(tidying: str) -> None:
    script = """
signal_watch.GRACE_SECONDS = 1
ready()
with guarded():
    try:
        with time_limit(1.5, "the test"):
            try:
                collect()
            finally:
                {within}()
    finally:
        with held_back():
            lock()
"""
    with running(script.format(within="lock" if tidying == "within" else "int")) as process:
        ended = end(process, seconds=DEADLINE)
    line = "shopease: error: the test took longer than 1.5 s, and then too long to tidy up: ended at once"
    assert (ended.code, ended.stderr.splitlines()[-1]) == (1, line), ended


def test_who_makes_do_with_a_limit_is_not_ended_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_watch, "GRACE_SECONDS", 0.2)
    with guarded():
        with time_limit(0.2, "it"), suppress(KeyboardInterrupt):
            time.sleep(60)
        time.sleep(0.8)
