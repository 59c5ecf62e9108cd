"""Commands killed at each step that changes something: the lake is the former one or the new one by the next command.

On a disk a step is a call that makes, opens to write, renames, links or deletes something in the lake or the home; on
S3 it is a request. A quick round tries some of them, evenly spread; five rounds try every single one.
"""

import itertools
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from s3_faults import ANY, Exchange, faulty
from trials import FORMER, KILLED, NEW, NEW_NEXT, RUN, Arena, Version, local_arena, s3_arena, without_ids

from accounts import new_account
from commands import Ended, end
from lakes import KEYS
from shopease_etl.contract.layout import BRONZE, GOLD
from tally import Tally

ALL: Final = 5  # rounds, with which every step is tried
ON_DISK: Final = {"run-all": 5, "rollback": 2, "clean": 2, "retry": 2}
ON_S3: Final = {"run-all": 1, "rollback": 1}
REQUESTS: Final = {"run-all": 95, "rollback": 36}  # at least
SKIP: Final = "--skip-crawl"
COMMANDS: Final = {"run-all": RUN, "rollback": ("rollback", "--yes", SKIP), "clean": ("clean",), "retry": ("retry",)}
COMMANDS_ON_S3: Final = {**COMMANDS, "run-all": ("run-all", SKIP)}
# Put on the path of a command: it counts the command's steps, and kills it before one of them.
COUNTING: Final = """
import itertools, os, signal, sys

places = tuple(os.environ["STEPS_BELOW"].split(":"))
fatal, log = int(os.environ["STEPS_FATAL"]), os.open(os.environ["STEPS_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
numbers = itertools.count(1)
changes = {"os.rename", "os.link", "os.remove", "os.truncate", "os.mkdir", "os.rmdir", "shutil.rmtree"}
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def watch(event, arguments):
    if event not in changes and (event != "open" or not isinstance(arguments[2], int) or not arguments[2] & writing):
        return
    path = arguments[0]
    if not isinstance(path, int):  # a number is that of an open file, which is the lock
        path = os.path.abspath(os.fsdecode(path))
        if not path.startswith(places):
            return
    number = next(numbers)
    os.write(log, f"{number} {event} {path}\\n".encode())
    if number == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
"""


def parts(tried: dict[str, int]) -> list[tuple[str, int]]:
    """Each command's share of the trials in a round."""
    return [(name, part) for name, count in tried.items() for part in range(count)]


def chosen(total: int, part: int, of: int, rounds: int) -> Sequence[int]:
    """The steps that a share of the trials kills a command at."""
    return range(1 + part, total + 1, of) if rounds >= ALL else [1 + (total - 1) * (2 * part + 1) // (2 * of)]


@dataclass
class Disk:
    """Commands on a local lake, of which the steps are counted."""

    arena: Arena
    folder: Path
    totals: dict[str, int] = field(default_factory=dict)
    between: int = 0  # the step of a run at which two stages are done

    def total(self, name: str) -> int:
        """How many steps a command has that is not killed."""
        if name not in self.totals:
            self.prepare(name)
            ended, steps = self.run(COMMANDS[name])
            ended.done()
            self.totals[name] = len(steps)
            if name == "run-all":
                told = [number for number, step in enumerate(steps, 1) if "os.rename" in step and "_runs%2F" in step]
                self.between = told[2] + 1  # after those of the start and of extract, that of clean
            self.look(name)
        return self.totals[name]

    def prepare(self, name: str) -> None:
        """Begin a trial, and bring the lake to where the command has something to do."""
        if name == "retry":
            self.total("run-all")
        if name == "rollback":
            self.arena.begin_back()
            return
        shop = self.arena.begin()
        if name == "clean":
            shop.run("extract").done()
        elif name == "retry":
            assert self.run(RUN, self.between)[0].code == KILLED

    def run(self, command: Sequence[str], fatal: int = 0) -> tuple[Ended, list[str]]:
        """How a command ended, and the steps that it came to; it is killed before the fatal one."""
        log = self.folder / "steps"
        log.write_text("")
        places = [str(self.arena.shop.folder / place) + "/" for place in ("lake", "home")]
        steps = {"STEPS_BELOW": ":".join(places), "STEPS_FATAL": str(fatal), "STEPS_LOG": str(log)}
        ended = self.arena.next_shop(PYTHONPATH=str(self.folder), **steps).run(*command)
        return ended, log.read_text().splitlines()

    def look(self, name: str) -> str:
        """See what a killed command left, and that the next run is as ever."""
        if name == "rollback":
            return rolled_back(self.arena)
        return cleaned(self.arena) if name == "clean" else self.arena.check(Ended(KILLED, "", ""), {KILLED})


def rolled_back(arena: Arena) -> str:
    """See what a killed rollback left: its new lake is the one that the last run has replaced."""
    arena.require_nobody()
    lake = arena.settled()
    _, last = max(arena.view.manifests().items())
    is_back = lake in {NEW, NEW_NEXT}
    assert (last["status"], last["published"]) == (("rolled back", False) if is_back else ("succeeded", True)), lake
    arena.require_answer(lake)
    arena.go_on()
    return lake


def cleaned(arena: Arena) -> str:
    """See what a killed `clean` left, which has made silver and quarantine of the new bronze."""
    arena.require_nobody()
    is_settled = not arena.view.journals()
    if not is_settled:
        arena.next_shop().run("crawl").done()
    found = without_ids(arena.view.datasets())
    made = {key for key in KEYS if found[key] == arena.to.objects[key]}
    bronze, gold = ({key for key in KEYS if key.startswith(layer)} for layer in (BRONZE, GOLD))
    assert made in (bronze, KEYS - gold)
    assert [key for key in KEYS - made if found[key] != arena.at.objects[key]] == []
    runs = [run for _, run in sorted(arena.view.manifests().items()) if run["plan"]["stages"] == ["clean"]]
    assert made == bronze or runs[-1]["published"]
    arena.go_on()
    return FORMER if made == bronze else NEW if is_settled else NEW_NEXT


@pytest.fixture(scope="module")
def disk(versions: tuple[Version, Version], tmp_path_factory: pytest.TempPathFactory) -> Disk:
    folder = tmp_path_factory.mktemp("counting")
    (folder / "sitecustomize.py").write_text(COUNTING)
    return Disk(local_arena(versions, tmp_path_factory.mktemp("local")), folder)


@pytest.fixture(scope="module")
def remote(emulator: str, versions: tuple[Version, Version], tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return s3_arena(versions, tmp_path_factory.mktemp("remote"), new_account(emulator))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "part"), parts(ON_DISK))
@pytest.mark.quick(4)
def test_a_command_killed_at_a_step_on_a_disk(disk: Disk, name: str, part: int, rounds: int, tally: Tally) -> None:
    total = disk.total(name)
    for number in chosen(total, part, ON_DISK[name], rounds):
        disk.prepare(name)
        ended, steps = disk.run(COMMANDS[name], number)
        # what a killed command has left may make the next one a step shorter
        assert ended.code == KILLED or len(steps) < number
        lake = disk.look(name)
        if ended.code == KILLED:
            tally.count(f"`{name}` on a local lake", f"SIGKILL before one of its {total} steps", lake, "SIGKILL")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "part"), parts(ON_S3))
@pytest.mark.quick(1)
def test_a_command_killed_at_a_request_to_s3(remote: Arena, name: str, part: int, rounds: int, tally: Tally) -> None:
    is_full = rounds >= ALL
    numbers: Iterable[int] = chosen(REQUESTS[name], part, ON_S3[name], rounds)
    if is_full:
        numbers = itertools.count(1 + part, ON_S3[name])  # as long as there are any
    for number in numbers:
        is_done = bool(number % 2)
        remote.begin_back() if name == "rollback" else remote.begin()
        ended = killed_at_request(remote, COMMANDS_ON_S3[name], number, is_done=is_done)
        lake = rolled_back(remote) if name == "rollback" else remote.check(ended, {0, KILLED})
        if ended.code != KILLED:
            assert is_full
            break
        tally.count(f"`{name}` on S3", f"SIGKILL {'after' if is_done else 'at'} a request to S3", lake, "SIGKILL")


def killed_at_request(arena: Arena, command: tuple[str, ...], number: int, *, is_done: bool) -> Ended:
    """How a command ended that is killed when its request with this number comes, or when it is done."""
    shop, running = arena.next_shop(), list["subprocess.Popen[str]"]()

    def killing(exchange: Exchange) -> None:
        if is_done:
            exchange.forward()
        running[0].kill()
        exchange.reset()

    with faulty(shop.more["AWS_ENDPOINT_URL"], number) as proxy:
        proxy.add(ANY, killing, after=number - 1)
        more = {**shop.more, "AWS_ENDPOINT_URL_S3": proxy.endpoint}
        with replace(shop, more=more).start(*command) as process:
            running.append(process)
            return end(process)
