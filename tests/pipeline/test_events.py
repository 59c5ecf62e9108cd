"""One stream of events: what listeners hear of a command, also of one that fails before its run begins."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shopease_etl.errors import ConfigurationError, LakeLockedError, NothingToRetryError, ShopeaseError
from shopease_etl.pipeline.events import Event
from shopease_etl.pipeline.plan import Plan
from shopease_etl.pipeline.resume import resume
from shopease_etl.pipeline.run import run
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.settings import load

CRAWL = Plan(("crawl",))


class Ear:
    """A listener that keeps what it hears, and is not ready where it has a `problem`."""

    def __init__(self, problem: ShopeaseError | None = None) -> None:
        self.events: list[Event] = []
        self._problem = problem

    def check(self) -> None:
        if self._problem:
            raise self._problem

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def heard(self) -> list[str]:
        return [event.kind for event in self.events]


def shop_of(folder: Path, *listeners: Ear) -> Pipeline:
    """A shop without a lake."""
    shop = Pipeline.from_settings(load(lake=str(folder / "lake"), home=folder / "home"))
    return replace(shop, listeners=listeners)


def failing(ear: Ear, error: type[ShopeaseError], command: Callable[[], object]) -> BaseException | None:
    """What the listener hears as the reason why the command failed."""
    with pytest.raises(error) as caught:
        command()
    assert ear.events[-1].failure is caught.value
    return ear.events[-1].failure


def test_the_events_of_a_run_are_between_its_commands(tmp_path: Path) -> None:
    ear = Ear()
    failure = failing(ear, ShopeaseError, lambda: run(CRAWL, shop_of(tmp_path, ear)))
    assert str(failure) == f"there is nothing to catalogue in {tmp_path / 'lake'}"
    assert ear.heard == ["command_started", "run_started", "stage_started", "run_failed", "command_ended"]
    assert {(event.command, event.stages) for event in (ear.events[0], ear.events[-1])} == {("crawl", ("crawl",))}
    assert ear.events[1].plan == CRAWL


def test_a_failure_before_the_run_is_an_event(tmp_path: Path) -> None:
    ear, unready = Ear(), Ear(ConfigurationError("no address"))
    shop = shop_of(tmp_path, ear)
    with shop.lock("another"):
        failing(ear, LakeLockedError, lambda: run(CRAWL, shop))
    failing(ear, ConfigurationError, lambda: run(CRAWL, shop_of(tmp_path, ear, unready)))
    assert ear.heard == ["command_started", "command_ended"] * 2
    assert unready.heard == ["command_started", "command_ended"]


def test_a_retry_of_nothing_is_no_failure(tmp_path: Path) -> None:
    ear = Ear()
    with pytest.raises(NothingToRetryError):
        resume(shop_of(tmp_path, ear))
    assert ear.heard == ["command_started"]
