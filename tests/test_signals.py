"""Real signals, sent to processes of their own while they are in Python, in Polars, or in a wait."""

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from commands import Ended, end
from shopease_etl import signals
from shopease_etl.signals import conclude, deliver, guarded, held_back, time_limit
from signalled import DEADLINE, PATIENCE, interrupted, running

BOTH: Final = (signal.SIGINT, signal.SIGTERM)
GUARDED: Final = """
try:
    with guarded():
        once({work})
except KeyboardInterrupt:
    signals.end_process(130)
"""


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
@pytest.mark.parametrize("work", ["collect", "collect_all", "sink", "sleep", "lock", "future", "program"])
def test_a_signal_ends_whatever_runs_and_is_told_once(work: str, number: signal.Signals) -> None:
    ended = interrupted(GUARDED.format(work=work), number)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_a_signal_ends_a_statement_in_the_database(database_url: str, number: signal.Signals) -> None:
    assert interrupted(GUARDED.format(work="query"), number, URL=database_url).stdout == "tidied\n"


def test_a_terminal_that_closes_is_as_good_as_sigterm() -> None:
    heeding = "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # or `nohup make test` would have it ignored
    ended = interrupted(heeding + GUARDED.format(work="collect"), signal.SIGHUP)
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
    tidying = "\n        finally:\n            time.sleep(0.3)  # both come before the end"
    script = GUARDED.replace("once({work})", "try:\n            once({work})" + tidying)
    with running(script.format(work="collect")) as process:
        for _ in range(2):
            process.send_signal(number)
            time.sleep(0.01)
        ended = end(process, seconds=DEADLINE)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


def test_timeout_of_coreutils_is_one_interrupt() -> None:
    with running(GUARDED.format(work="sleep"), "timeout", "2") as process:
        assert end(process, seconds=DEADLINE).stdout == "tidied\n"


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


def test_a_clean_up_that_takes_a_while_is_told_of() -> None:
    script = """
with guarded():
    try:
        ready()
        collect()
    finally:
        time.sleep(4)
        os._exit(5)
"""
    told = "shopease: interrupted; tidying up (interrupt again to end at once)\n"
    assert interrupted(script, signal.SIGTERM) == Ended(5, "", told)


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
@pytest.mark.parametrize("place", ["", "import polars"])
def test_an_ignored_signal_stays_ignored(name: str, place: str) -> None:
    other = signal.SIGINT if name == "TERM" else signal.SIGTERM
    with running(place + GUARDED.format(work="collect"), "sh", "-c", f"trap '' {name}; exec \"$@\"", "sh") as process:
        process.send_signal(signal.Signals[f"SIG{name}"])
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(other)
        ended = end(process, seconds=DEADLINE)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


class Interrupted(logging.Handler):
    """Interrupts the process at each of the steps after which something must be put back."""

    left = False

    def __enter__(self) -> None:
        signal.raise_signal(signal.SIGINT)

    def __exit__(self, *_: object) -> None:
        self.left = True

    def acquire(self) -> None:
        super().acquire()
        signal.raise_signal(signal.SIGINT)

    def emit(self, _record: logging.LogRecord) -> None:
        self.left = True


def test_a_block_that_is_being_entered_is_left() -> None:
    block = Interrupted()
    with pytest.raises(KeyboardInterrupt), guarded(), block:
        time.sleep(PATIENCE)
    assert block.left


def test_a_log_that_is_being_written_is_not_left_locked() -> None:
    handler = Interrupted()
    with pytest.raises(KeyboardInterrupt), guarded():
        handler.handle(logging.makeLogRecord({}))
        time.sleep(PATIENCE)
    assert handler.left
    with ThreadPoolExecutor(1) as pool:
        assert handler.lock
        assert pool.submit(handler.lock.acquire, timeout=1).result()


def test_a_thread_that_is_being_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    start: Callable[..., int] = vars(threading)["_start_new_thread"]

    def interrupted(*arguments: object) -> int:
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)
        return start(*arguments)

    def work() -> None:
        time.sleep(0.5)
        done.append("work")

    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), guarded(), ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(threading, "_start_new_thread", interrupted)
        pool.submit(work)
        time.sleep(PATIENCE)
    assert done == ["work"]


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
        assert end(process, seconds=DEADLINE) == Ended(3, "told", "")


def test_the_end_is_at_once_where_nothing_hangs() -> None:
    with running("import atexit\natexit.register(print, 'left')\nready()\nsignals.end_process(4)") as process:
        assert end(process, seconds=DEADLINE) == Ended(4, "left\n", "")


def test_who_is_done_is_interrupted_no_more() -> None:
    with guarded():
        conclude()
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.5)


def test_the_watch_is_shared() -> None:
    with guarded():
        threads = threading.active_count()
        with guarded(), held_back("tidying up"), time_limit(60, "it"):
            assert threading.active_count() == threads
    assert not [thread for thread in threading.enumerate() if thread.name == "signals"]
    assert signals.EXIT_SECONDS < PATIENCE
