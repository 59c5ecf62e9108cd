"""Interrupts and time limits: real signals for processes of their own, and limits in this one."""

import signal
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from commands import Ended, Shop, end
from shopease_etl import cancel
from shopease_etl.cancel import deadline, deferred
from shopease_etl.errors import TimeLimitError
from signalled import DEADLINE, interrupted, running

BOTH: Final = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
COMMAND: Final = """
signal = __import__("signal")
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # or `nohup make test` would have it ignored
cancel.install()
try:
    with {how}:
        once({work})
except KeyboardInterrupt:
    sys.exit(130)
"""
ASKING: Final = "cancel.cooperating()"
PLAIN: Final = "contextlib.nullcontext()"


@BOTH
@pytest.mark.parametrize(
    ("how", "work"),
    [
        *((ASKING, work) for work in ("wait", "future", "call", "query", "connecting", "chunks")),
        *((PLAIN, work) for work in ("loop", "sleep", "program", "wait", "call", "query")),
    ],
)
@pytest.mark.quick(12)
def test_a_signal_ends_what_runs_and_its_clean_up_comes_to_its_end(
    database_url: str, how: str, work: str, number: signal.Signals
) -> None:
    ended = interrupted(COMMAND.format(how=how, work=work), number, URL=database_url)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


def test_a_terminal_that_closes_is_as_good_as_sigterm() -> None:
    assert interrupted(COMMAND.format(how=ASKING, work="chunks"), signal.SIGHUP).stdout == "tidied\n"


def test_nothing_is_interrupted_where_it_does_not_ask() -> None:
    script = COMMAND.format(how=ASKING, work="lambda: (time.sleep(1), print('whole'), cancel.check())")
    assert interrupted(script, signal.SIGTERM).stdout == "whole\ntidied\n"


@BOTH
def test_one_interrupt_that_is_sent_twice_is_one(number: signal.Signals) -> None:
    with running(COMMAND.format(how=ASKING, work="wait")) as process:
        for _ in range(2):
            process.send_signal(number)
            time.sleep(0.01)
        ended = end(process, seconds=DEADLINE)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


def test_timeout_of_coreutils_is_one_interrupt() -> None:
    with running(COMMAND.format(how=PLAIN, work="sleep"), "timeout", "3") as process:
        assert end(process, seconds=DEADLINE).stdout == "tidied\n"


TWICE: Final = "shopease: interrupted twice: ended at once\n"


@BOTH
def test_a_second_signal_ends_a_clean_up_that_hangs(number: signal.Signals) -> None:
    script = """
cancel.install()
with cancel.cooperating():
    try:
        ready()
        wait()
    finally:
        threading.Lock().acquire() or sleep()
        sleep()
"""
    assert interrupted(script, number, signal.SIGINT) == Ended(130, "", TWICE)


DEFERRED: Final = """
cancel.install()
with {how}:
    with cancel.deferred("finishing what is being published"):
        ready()
        cancel.wait({seconds})
        print("finished", flush=True)
    print("and", flush=True)
    try:
        cancel.check()
    except KeyboardInterrupt:
        sys.exit(130)
"""
FINISHING: Final = "shopease: interrupted; finishing what is being published first (interrupt again to end at once)\n"


@BOTH
@pytest.mark.parametrize("how", [PLAIN, ASKING])
def test_what_defers_an_interrupt_says_so_and_is_finished(how: str, number: signal.Signals) -> None:
    ended = interrupted(DEFERRED.format(how=how, seconds=1.5), number)
    assert ended == Ended(130, "finished\nand\n", FINISHING)


def test_a_second_signal_ends_what_defers_the_first() -> None:
    ended = interrupted(DEFERRED.format(how=ASKING, seconds=60), signal.SIGTERM, signal.SIGINT)
    assert ended == Ended(130, "", FINISHING + TWICE)


def test_a_clean_up_that_takes_a_while_says_so() -> None:
    script = """
cancel.REMIND_SECONDS = 0.2
cancel.install()
try:
    ready()
    wait()
finally:
    time.sleep(1)
    os._exit(5)
"""
    message = "shopease: interrupted; cleaning up (interrupt again to end at once)\n"
    assert interrupted(script, signal.SIGTERM) == Ended(5, "", message)


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_an_ignored_signal_stays_ignored(name: str) -> None:
    script = COMMAND.format(how=ASKING, work="chunks").replace("signal.signal(signal.SIGHUP, signal.SIG_DFL)", "")
    with running(script, "sh", "-c", f"trap '' {name}; exec \"$@\"", "sh") as process:
        process.send_signal(signal.Signals[f"SIG{name}"])
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.7)
        process.send_signal(signal.SIGINT if name == "TERM" else signal.SIGTERM)
        ended = end(process, seconds=DEADLINE)
    assert (ended.code, ended.stdout) == (130, "tidied\n"), ended


LEAVING: Final = """
threading.Thread(target=threading.Event().wait).start()
concurrent.futures.ThreadPoolExecutor(1).submit(time.sleep, 60)
from shopease_etl import cli
sys.argv = ["shopease", *{arguments}]
ready()
cli.main()
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["nothing"], 2)])
def test_threads_that_hang_do_not_hold_up_the_end(arguments: list[str], code: int) -> None:
    with running(LEAVING.format(arguments=arguments)) as process:
        ended = end(process, seconds=DEADLINE)
    assert (ended.code, bool(ended.stdout)) == (code, not code)


def test_only_the_main_thread_is_interrupted() -> None:
    script = """
cancel.install()
def work():
    cancel.wait(1.5)
    cancel.call(lambda: None)
    return "done"
with cancel.cooperating(), concurrent.futures.ThreadPoolExecutor(1) as pool:
    working = pool.submit(work)
    try:
        ready()
        wait()
    except KeyboardInterrupt:
        print(cancel.result(working))
"""
    assert interrupted(script, signal.SIGINT).stdout == "done\n"


def test_a_library_leaves_signals_to_the_program() -> None:
    script = """
import signal
handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
with cancel.cooperating(), cancel.deadline(60, "it"):
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers
    ready()
    wait()
"""
    ended = interrupted(script, signal.SIGINT)
    assert (ended.code, ended.stderr.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")


LIMITED: Final = """
try:
    with cancel.deadline(0.7, "the test", hint="wait"):
        once({work})
except errors.TimeLimitError as error:
    print(error.exit_code, error, error.hint, sep="; ", flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("install", ["", "cancel.install()"], ids=["library", "command"])
@pytest.mark.parametrize("work", ["wait", "future", "call", "query", "chunks"])
def test_a_limit_ends_what_runs(database_url: str, work: str, install: str) -> None:
    with running(install + LIMITED.format(work=work), URL=database_url) as process:
        assert end(process, seconds=DEADLINE).stdout == "tidied\n1; the test took longer than 0.7 s; wait\n"


@pytest.mark.parametrize(("outer", "inner", "named"), [(60, 0.1, "inner"), (0.1, 60, "outer"), (0.1, 0.2, "outer")])
def test_the_limit_that_passes_first_is_named(outer: float, inner: float, named: str) -> None:
    with pytest.raises(TimeLimitError, match=f"^the {named} took longer than 0.1 s$"):  # noqa: SIM117
        with deadline(outer, "the outer"), deadline(inner, "the inner"):
            cancel.wait(60)


def test_a_block_that_never_asks_is_late_at_its_end() -> None:
    with pytest.raises(TimeLimitError), deadline(0.1, "it"):
        time.sleep(0.2)


def test_what_ends_in_time_and_what_has_no_limit_go_on() -> None:
    for seconds in (0.1, None):
        with deadline(seconds, "it"):
            pass
    cancel.wait(0.2)


def test_a_limit_of_one_thread_is_none_of_another() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(TimeLimitError), deadline(0.1, "it"):
        other = pool.submit(cancel.wait, 0.3)
        cancel.wait(60)
    assert other.result() is None


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), deadline(0.1, "it"):
        time.sleep(0.2)
        raise ZeroDivisionError


def test_a_limit_waits_for_what_is_deferred() -> None:
    done = []
    with pytest.raises(TimeLimitError), deadline(0.1, "it"):
        with deferred("publishing"):
            cancel.wait(0.2)
            done.append("published")
        cancel.check()
        done.append("and more")
    assert done == ["published"]


def test_what_swallows_an_error_is_asked_again() -> None:
    swallowed = 0
    with pytest.raises(TimeLimitError), deadline(0.1, "it"):
        while True:
            try:
                cancel.wait(60)
            except TimeLimitError:
                swallowed += 1
                if swallowed == 3:
                    raise


def test_a_wait_ends_with_the_first_of_its_futures() -> None:
    first: Future[str] = Future()
    threading.Timer(0.2, first.set_result, ("done",)).start()
    cancel.wait(60, Future(), first)
    assert cancel.result(first) == "done"


def test_a_call_raises_what_its_work_raises() -> None:
    with deadline(60, "it"), pytest.raises(ZeroDivisionError):
        cancel.call(lambda: 1 // 0)


def test_a_clean_up_that_hangs_after_a_limit_is_ended() -> None:
    script = """
cancel.GRACE_SECONDS = 0.5
cancel.install()
ready()
try:
    with cancel.deadline(0.3, "the test"):
        wait()
finally:
    with cancel.deferred("cleaning up"):
        sleep()
"""
    with running(script) as process:
        ended = end(process, seconds=DEADLINE)
    line = "shopease: error: the test took longer than 0.3 s, and then the clean-up took too long: ended at once"
    assert (ended.code, ended.stderr.splitlines()[-1]) == (1, line), ended


# Where a command gets the signal: while it imports, and between the parsing of its arguments and its work.
EARLY: Final = {
    "import": """
import os
import signal
import sys


class Finder:
    def find_spec(self, name, *_):
        if name == "typer":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.{signal})


sys.meta_path.insert(0, Finder())
""",
    "arguments": """
import os
import signal

from shopease_etl.cli.context import CommandContext

create = CommandContext.__init__


def interrupt(self, options):
    create(self, options)
    os.kill(os.getpid(), signal.{signal})


CommandContext.__init__ = interrupt
""",
}


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("moment", EARLY)
def test_a_signal_before_the_work_begins_is_reported(tmp_path: Path, moment: str, number: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(EARLY[moment].replace("{signal}", number))
    ended = Shop(tmp_path, more={"PYTHONPATH": str(tmp_path)}).run("status")
    assert (ended.code, ended.stdout, ended.stderr) == (130, "", "shopease: interrupted\n")


RESUMING: Final = """
cancel.install()
for number in (1, 2, 3):
    try:
        ready() if number == 1 else print("again", flush=True)
        {work}()
    except KeyboardInterrupt:
        print("stopped", flush=True)
    cancel.resume()
print("left", flush=True)
"""


@pytest.mark.parametrize("work", ["wait", "loop", "future", "sleep"])
def test_what_resumes_after_ctrl_c_can_be_interrupted_again(work: str) -> None:
    with running(RESUMING.format(work=work)) as process:
        assert process.stdout
        for _ in range(3):
            time.sleep(0.4)  # more than two signals that count as one
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped\n"
            process.stdout.readline()
        ended = end(process)
    assert (ended.code, ended.stderr) == (0, "")


def test_what_resumes_is_not_ended_by_impatience() -> None:
    script = RESUMING.format(work="wait").replace(
        'print("stopped", flush=True)', 'print("stopping", flush=True); time.sleep(1.5); print("stopped", flush=True)'
    )
    with running(script) as process:
        assert process.stdout
        for number in range(3):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopping\n"
            if number:  # from the first resumption on
                time.sleep(0.6)
                process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped\n"
            process.stdout.readline()
            time.sleep(0.4)
        ended = end(process)
    assert (ended.code, ended.stderr) == (0, "")


def test_sigterm_during_a_clean_up_after_ctrl_c_is_not_lost() -> None:
    script = RESUMING.format(work="wait").replace('print("stopped", flush=True)', "time.sleep(2)")
    with running(script) as process:
        assert process.stdout
        process.send_signal(signal.SIGINT)
        process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        ended = end(process)
    assert (ended.code, "left" in ended.stdout) == (-signal.SIGINT, False)
    assert "KeyboardInterrupt" in ended.stderr


def test_sigterm_is_not_resumed() -> None:
    ended = interrupted(RESUMING.format(work="wait"), signal.SIGTERM)
    assert ended.stdout == "stopped\n"
    assert "KeyboardInterrupt" in ended.stderr
