"""Real signals, sent to processes of their own while they are in Python, in Polars, or in a wait."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from commands import Ended, end
from shopease_etl import signal_watch, signals
from shopease_etl.signals import TimeLimitError, deliver, guarded, held_back, time_limit

PATIENCE: Final = 8.0  # seconds within which what would take for ever ends
BOTH: Final = (signal.SIGINT, signal.SIGTERM)

# Names for the pieces of work; each takes much longer than any test waits.
WORK: Final = """
import concurrent.futures, os, signal, subprocess, sys, threading, time
from shopease_etl import signal_watch, signals
from shopease_etl.signals import deliver, guarded, held_back, time_limit

def pairs():
    import polars as pl
    many = pl.LazyFrame({"x": pl.int_range(0, 3_000_000, eager=True)})
    return many.join(pl.LazyFrame({"y": pl.int_range(0, 100_000, eager=True)}), how="cross")

def sums():
    import polars as pl
    return pairs().select((pl.col("x") * pl.col("y") % 7).sum())

class Nowhere:
    def write(self, data):
        return len(data)
    def flush(self):
        pass

def collect():
    sums().collect(engine="streaming")

def collect_all():
    import polars as pl
    pl.collect_all([sums(), sums()], engine="streaming")

def sink():
    pairs().sink_csv(Nowhere(), engine="streaming")

def sleep():
    time.sleep(60)

def lock():
    import polars  # whose handler lets a wait go on
    threading.Event().wait()

def future():
    import polars
    concurrent.futures.ThreadPoolExecutor(1).submit(time.sleep, 4).result()

def program():
    import polars
    subprocess.run(["sleep", "60"])

def query():
    import polars, psycopg
    with psycopg.connect(os.environ["URL"]) as connection:
        connection.execute("SELECT pg_sleep(60)")

def once(work):
    # whoever is told twice breaks off while it tidies up
    try:
        ready()
        work()
    finally:
        for _ in range(100_000):
            pass
        print("tidied", flush=True)

def ready():
    print("ready", flush=True)
"""
GUARDED: Final = """
try:
    with guarded():
        once({work})
except KeyboardInterrupt:
    signals.end_process(130)
"""


@contextmanager
def running(script: str, *wrapper: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said it is ready; Polars gets a moment to be in the middle of its work."""
    command = [*wrapper, sys.executable, "-c", WORK + script]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n", end(process)
            time.sleep(1)
            yield process
        finally:
            process.kill()


def interrupted(script: str, *numbers: signal.Signals, **environment: str) -> Ended:
    """How a process ends that gets these signals, half a second apart."""
    with running(script, **environment) as process:
        for order, number in enumerate(numbers):
            time.sleep(0.5 if order else 0)
            process.send_signal(number)
        return end(process, seconds=PATIENCE)


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
@pytest.mark.parametrize("work", ["collect", "collect_all", "sink", "sleep", "lock", "future", "program"])
def test_a_signal_ends_whatever_runs_and_is_told_once(work: str, number: signal.Signals) -> None:
    ended = interrupted(GUARDED.format(work=work), number)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_a_signal_ends_a_statement_in_the_database(database_url: str, number: signal.Signals) -> None:
    assert interrupted(GUARDED.format(work="query"), number, URL=database_url).stdout == "tidied\n"


def test_a_terminal_that_closes_is_as_good_as_sigterm() -> None:
    ended = interrupted(GUARDED.format(work="collect"), signal.SIGHUP)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_polars_that_was_there_before_still_hears(number: signal.Signals) -> None:
    script = "import polars\n" + GUARDED.format(work="collect")
    assert interrupted(script, number).stdout == "tidied\n"


@pytest.mark.parametrize("block", ["guarded()", "held_back()", "time_limit(60, 'it')"])
def test_polars_still_hears_after_a_block(block: str) -> None:
    ended = interrupted(f"import polars\nwith {block}: pass\nready()\ncollect()", signal.SIGINT)
    assert "KeyboardInterrupt" in ended.stderr


@pytest.mark.parametrize("first", BOTH, ids=lambda number: number.name)
@pytest.mark.parametrize("tidying", ["lock", "sleep", "collect"])
def test_a_second_signal_ends_a_clean_up_that_hangs(tidying: str, first: signal.Signals) -> None:
    script = f"""
with guarded():
    try:
        ready()
        collect()
    finally:
        while True:
            try:
                {tidying}()
            except BaseException:
                pass
"""
    ended = interrupted(script, first, signal.SIGINT)
    assert (ended.code, ended.stderr.splitlines()[-1]) == (130, "shopease: interrupted twice: ended at once"), ended


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_one_interrupt_that_is_sent_twice_is_one(number: signal.Signals) -> None:
    with running(GUARDED.format(work="collect")) as process:
        for _ in range(2):
            process.send_signal(number)
            time.sleep(0.01)
        ended = end(process, seconds=PATIENCE)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


def test_timeout_of_coreutils_is_one_interrupt() -> None:
    with running(GUARDED.format(work="sleep"), "timeout", "2") as process:
        assert end(process, seconds=PATIENCE).stdout == "tidied\n"


HELD: Final = """
try:
    with guarded():
        with held_back():
            ready()
            {work}
            print("finished", flush=True)
        print("and", flush=True)
        deliver()
        print("not interrupted")
except KeyboardInterrupt:
    sys.exit(130)
"""
HOLDING: Final = "shopease: interrupted; finishing what is being published first (interrupt again to end at once)\n"


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_what_is_held_back_is_told_of_and_delivered_later(number: signal.Signals) -> None:
    ended = interrupted(HELD.format(work="time.sleep(2)"), number)
    assert ended == Ended(130, "finished\nand\n", HOLDING)


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_a_second_signal_ends_what_is_held_back(number: signal.Signals) -> None:
    ended = interrupted(HELD.format(work="sleep()"), signal.SIGTERM, number)
    assert ended == Ended(130, "", HOLDING + "shopease: interrupted twice: ended at once\n")


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
@pytest.mark.parametrize("place", ["", "import polars"])
def test_an_ignored_signal_stays_ignored(name: str, place: str) -> None:
    other = signal.SIGINT if name == "TERM" else signal.SIGTERM
    with running(place + GUARDED.format(work="collect"), "sh", "-c", f"trap '' {name}; exec \"$@\"", "sh") as process:
        process.send_signal(signal.Signals[f"SIG{name}"])
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(other)
        ended = end(process, seconds=PATIENCE)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


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


@pytest.mark.parametrize("work", ["collect", "collect_all", "sink", "sleep", "lock", "future", "program"])
@pytest.mark.parametrize("ignored", ["", "INT TERM HUP"])
def test_a_limit_ends_whatever_runs(work: str, ignored: str) -> None:
    wrapper = ("sh", "-c", f"trap '' {ignored}; exec \"$@\"", "sh") if ignored else ()
    with running(LIMITED.format(work=work), *wrapper) as process:
        assert end(process, seconds=PATIENCE).stdout == "tidied\n1; the test took longer than 1.5 s; wait\n"


def test_a_limit_ends_a_statement_in_the_database(database_url: str) -> None:
    with running(LIMITED.format(work="query"), URL=database_url) as process:
        assert "1; the test took longer than 1.5 s; wait\n" in end(process, seconds=PATIENCE).stdout


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
        ended = end(process, seconds=PATIENCE)
    line = "shopease: error: the test took longer than 1.5 s, and then too long to tidy up: ended at once"
    assert (ended.code, ended.stderr.splitlines()[-1]) == (1, line), ended


def test_who_makes_do_with_a_limit_is_not_ended_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_watch, "GRACE_SECONDS", 0.2)
    with guarded():
        with time_limit(0.2, "it"), suppress(KeyboardInterrupt):
            time.sleep(60)
        time.sleep(0.8)


def test_all_is_put_back() -> None:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    before, descriptors = signal.set_wakeup_fd(-1), Path("/dev/fd")
    signal.set_wakeup_fd(before)
    count, threads = len(list(descriptors.iterdir())), threading.active_count()
    with guarded(), time_limit(60, "it"), held_back():
        assert signal.getsignal(signal.SIGTERM) != handlers[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers
    assert signal.set_wakeup_fd(before) == before
    assert (len(list(descriptors.iterdir())), threading.active_count()) == (count, threads)


def test_in_another_thread_nothing_happens() -> None:
    def work() -> str:
        with guarded(), held_back(), time_limit(0.1, "it"):
            time.sleep(0.5)
        deliver()
        return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == "done"


def test_an_interrupt_that_nobody_delivered_does_not_reach_the_next_command() -> None:
    with guarded(), held_back():
        signal.raise_signal(signal.SIGINT)
    with guarded():
        deliver()


@pytest.mark.parametrize("number", [None, *BOTH])
def test_threads_that_hang_do_not_hold_up_the_end(number: signal.Signals | None) -> None:
    script = """
threading.Thread(target=threading.Event().wait).start()
concurrent.futures.ThreadPoolExecutor(1).submit(time.sleep, 60)
ready()
time.sleep(0.3)
print("told", end="")
signals.end_process(3)
"""
    with running(script) as process:
        if number:
            process.send_signal(number)
        assert end(process, seconds=PATIENCE) == Ended(3, "told", "")


def test_the_end_is_at_once_where_nothing_hangs() -> None:
    with running("import atexit\natexit.register(print, 'left')\nready()\nsignals.end_process(4)") as process:
        assert end(process, seconds=PATIENCE) == Ended(4, "left\n", "")


def test_the_watch_is_shared() -> None:
    with guarded():
        threads = threading.active_count()
        with guarded(), held_back("tidying up"), time_limit(60, "it"):
            assert threading.active_count() == threads
    assert not [thread for thread in threading.enumerate() if thread.name == "signals"]
    assert signals.EXIT_SECONDS < PATIENCE
