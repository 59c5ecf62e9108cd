"""Runs of a lake by month killed at each step: it is the former one or the new one, with all its months and no others.

A step is what it is in `test_every_step.py`, which also says how many are tried.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from month_trials import CHANGED, RUN, MonthArena, month_arena
from s3_faults import ANY, Exchange, faulty
from test_every_step import ALL, COUNTING, chosen, parts
from trials import KILLED

from accounts import new_account
from commands import Ended, end
from tally import Tally

BACK: Final = ("rollback", "--yes", "--skip-crawl")
BEGINNINGS: Final[dict[str, Callable[[MonthArena], None]]] = {
    "an incremental run": MonthArena.begin,
    "a change of the layout": MonthArena.begin_other_layout,
    "a rollback": MonthArena.begin_back,
}
ON_DISK: Final = {"an incremental run": 4, "a change of the layout": 3, "a rollback": 2}
ON_S3: Final = {"an incremental run": 3, "a change of the layout": 3, "a rollback": 3}
REQUESTS: Final = {"an incremental run": 200, "a change of the layout": 125, "a rollback": 190}  # at least


@dataclass
class Disk:
    """Commands on a local lake, of which the steps are counted."""

    arena: MonthArena
    folder: Path
    totals: dict[str, int] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """How many steps a command has that is not killed."""
        if name not in self.totals:
            BEGINNINGS[name](self.arena)
            ended, steps = self.run(name)
            ended.done()
            self.totals[name] = len(steps)
            go_on(self.arena, name, 1)
        return self.totals[name]

    def run(self, name: str, fatal: int = 0) -> tuple[Ended, list[str]]:
        """How a command ended, and the steps that it came to; it is killed before the fatal one."""
        log = self.folder / "steps"
        log.write_text("")
        places = [str(self.arena.shop.folder / place) + "/" for place in ("lake", "home")]
        steps = {"STEPS_BELOW": ":".join(places), "STEPS_FATAL": str(fatal), "STEPS_LOG": str(log)}
        ended = self.arena.next_shop(PYTHONPATH=str(self.folder), **steps).run(*command_of(name))
        return ended, log.read_text().splitlines()


def command_of(name: str) -> tuple[str, ...]:
    """The command that is killed."""
    return BACK if name == "a rollback" else RUN


def go_on(arena: MonthArena, name: str, number: int) -> None:
    """What comes after a kill: a retry, a run, or one after the source has changed back."""
    if name != "a rollback" and number % 3 == 0 and not arena.go_on(("retry", "--allow-shrink"), codes=(0, 1, 2)).code:
        return
    if number % 3 == 2:
        arena.turn()
    arena.go_on(RUN)


@pytest.fixture(scope="module")
def disk(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("counting")
    (folder / "sitecustomize.py").write_text(COUNTING)
    with month_arena(database_url, tmp_path_factory.mktemp("months")) as arena:
        yield Disk(arena, folder)


@pytest.fixture(scope="module")
def remote(database_url: str, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonthArena]:
    account = new_account(emulator)
    bucket = account.new_bucket()
    account.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with month_arena(database_url, tmp_path_factory.mktemp("remote"), f"s3://{bucket}", account) as arena:
        yield arena


def test_only_what_changed_is_written(disk: Disk) -> None:
    arena = disk.arena
    arena.begin()
    arena.go_on(RUN)
    assert arena.written("extract") <= CHANGED
    arena.go_on(RUN)
    assert (arena.written("extract"), arena.written("clean")) == (set(), set())


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", ["disk", "remote"])
def test_a_rollback_brings_months_back(kind: str, request: pytest.FixtureRequest) -> None:
    made = request.getfixturevalue(kind)
    arena: MonthArena = made if isinstance(made, MonthArena) else made.arena
    arena.begin_back()
    assert arena.read().datasets.keys() != arena.before.datasets.keys()
    arena.next_shop().run(*BACK).done()
    assert arena.read().datasets == arena.before.datasets
    arena.go_on(RUN)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "part"), parts(ON_DISK))
@pytest.mark.quick(3)
def test_a_command_killed_at_a_step_on_a_disk(disk: Disk, name: str, part: int, rounds: int, tally: Tally) -> None:
    total = disk.total(name)
    for number in chosen(total, part, ON_DISK[name], rounds):
        BEGINNINGS[name](disk.arena)
        ended, steps = disk.run(name, number)
        # what a killed command has left may make the next one a step shorter
        assert ended.code == KILLED or len(steps) < number
        lake = disk.arena.settled()
        go_on(disk.arena, name, number)
        if ended.code == KILLED:
            tally.count(f"{name}, by month, on a local lake", "SIGKILL before a step", lake, "SIGKILL")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "part"), parts(ON_S3))
@pytest.mark.quick(1)
def test_a_command_killed_at_a_request(remote: MonthArena, name: str, part: int, rounds: int, tally: Tally) -> None:
    is_full = rounds >= ALL
    numbers: Iterable[int] = chosen(REQUESTS[name], part, ON_S3[name], rounds)
    if is_full:
        numbers = itertools.count(1 + part, ON_S3[name])  # as long as there are any
    for number in numbers:
        BEGINNINGS[name](remote)
        ended = killed_at_request(remote, name, number)
        lake = remote.settled()
        go_on(remote, name, number)
        if ended.code != KILLED:
            assert is_full
            break
        tally.count(f"{name}, by month, on S3", "SIGKILL at a request", lake, "SIGKILL")


def killed_at_request(arena: MonthArena, name: str, number: int) -> Ended:
    """How a command ended that is killed when its request with this number comes, or when it is done."""

    def killing(exchange: Exchange) -> None:
        if number % 2:
            exchange.forward()
        process.kill()
        exchange.reset()

    with faulty(arena.shop.more["AWS_ENDPOINT_URL"], number) as proxy:
        proxy.add(ANY, killing, after=number - 1)
        shop = arena.next_shop(AWS_ENDPOINT_URL_S3=proxy.endpoint)
        with shop.start(*command_of(name)) as process:
            return end(process)
