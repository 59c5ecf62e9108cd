"""Glue's crawlers: started, or joined where they run already, and waited for."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shopease_etl import cancel
from shopease_etl.aws import client, code_of, refusals
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import CrawlerRun

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
_READY: Final = "READY"
_STOPPING: Final = "STOPPING"
_SUCCEEDED: Final = "SUCCEEDED"
_STOPPED_ALREADY: Final = {"CrawlerNotRunningException", "CrawlerStoppingException"}


@dataclass
class _Watched:
    """A crawler under way: when its crawl before this one began, and whether somebody else started this one."""

    name: str
    former: object
    attached: bool
    started: float
    run: CrawlerRun | None = None


class Crawlers:
    """The named crawlers, run together."""

    def __init__(self, names: Sequence[str], *, timeout: float, poll: float = POLL_SECONDS) -> None:
        self._names = names
        self._timeout = timeout
        self._poll = poll
        self._client = client("glue")

    def check(self) -> None:
        """Raise ConfigurationError where no crawler is named, and UnreachableError unless every one is there."""
        if not self._names:
            hint = "name the crawlers in it, parted by commas, or crawl without --crawlers"
            raise ConfigurationError("SHOPEASE_CRAWLERS names none", hint=hint)
        for name in self._names:
            self._get(name)

    def run(self, progress: Progress = SILENT) -> tuple[CrawlerRun, ...]:
        """Start them all, wait until they are done, and return how each ended.

        Ctrl-C stops those that were started here. At the end of the time they are left to run: the next call joins
        them.

        Raises:
            ConfigurationError: no crawler is named.
            UnreachableError: a crawler is not there, or may not be started.
            ShopeaseError: a crawl failed, with Glue's message, or took longer than the time.
        """
        self.check()
        watched: list[_Watched] = []
        try:
            for name in self._names:
                self._start(name, watched)
                progress.start(f"crawler {name}")
            self._wait(watched, progress)
        except (KeyboardInterrupt, cancel.TimeLimitError):
            for one in watched:
                if not one.attached and not one.run:
                    self._stop(one.name)
            raise
        return tuple(one.run for one in watched if one.run)

    def _start(self, name: str, watched: list[_Watched]) -> None:
        """Start a crawler or join it; it is watched before the call, as Ctrl-C may cut off Glue's answer."""
        crawler = self._get(name)
        deadline = time.monotonic() + self._timeout
        while crawler["State"] == _STOPPING:
            self._pause(name, deadline)
            crawler = self._get(name)
        former = (crawler.get("LastCrawl") or {}).get("StartTime")
        one = _Watched(name, former, crawler["State"] != _READY, time.monotonic())
        watched.append(one)
        if not one.attached:
            one.attached = not self._has_started(name)

    def _has_started(self, name: str) -> bool:
        """Start a crawler; False where somebody else has just done so."""
        try:
            with refusals(f"the crawler {name}"):
                self._client.start_crawler(Name=name)
        except UnreachableError as error:
            if code_of(error.__cause__) != "CrawlerRunningException":
                raise
            return False
        return True

    def _wait(self, watched: Sequence[_Watched], progress: Progress) -> None:
        deadline = time.monotonic() + self._timeout
        waiting = list(watched)
        failures: list[str] = []
        while waiting:
            for one in list(waiting):
                crawler = self._get(one.name)
                progress.advance(f"crawler {one.name}")
                last = crawler.get("LastCrawl") or {}
                if crawler["State"] != _READY or (last.get("StartTime") == one.former and not one.attached):
                    continue
                waiting.remove(one)
                failures += self._ended(one, last, progress)
            if waiting:
                self._pause(", ".join(one.name for one in waiting), deadline)
        if failures:
            raise ShopeaseError("; ".join(failures), hint="Glue's console and the log group have more")

    def _ended(self, one: _Watched, last: dict[str, Any], progress: Progress) -> list[str]:
        """Note how a crawl ended; returns what failed."""
        status = last.get("Status", "unknown")
        one.run = CrawlerRun(one.name, round(time.monotonic() - one.started, 1), one.attached)
        progress.finish(f"crawler {one.name}", status.lower() + (", was running already" if one.attached else ""))
        if status == _SUCCEEDED:
            return []
        logs = f" (log {last['LogGroup']}, {last.get('LogStream')})" if last.get("LogGroup") else ""
        return [f"the crawler {one.name} ended with {status}: {last.get('ErrorMessage') or 'no message'}{logs}"]

    def _pause(self, names: str, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise ShopeaseError(
                f"still running after {self._timeout:g} s: {names}",
                hint="`shopease crawl --crawlers` waits on for them; SHOPEASE_CRAWLER_TIMEOUT sets how long",
            )
        cancel.wait(self._poll)

    def _get(self, name: str) -> dict[str, Any]:
        try:
            with refusals(f"the crawler {name}"):
                crawler: dict[str, Any] = self._client.get_crawler(Name=name)["Crawler"]
                return crawler
        except UnreachableError as error:
            if code_of(error.__cause__) != "EntityNotFoundException":
                raise
            hint = "`make deploy` makes the crawlers (see docs/AWS.md), or set SHOPEASE_CRAWLERS"
            raise UnreachableError(f"there is no crawler {name} in Glue", hint=hint) from error

    def _stop(self, name: str) -> None:
        """Stop a crawler, or warn that it may still run: one that cannot be stopped must not keep the others going."""
        try:
            with refusals(f"the crawler {name}"):
                self._client.stop_crawler(Name=name)
        except UnreachableError as error:
            if code_of(error.__cause__) not in _STOPPED_ALREADY:
                log.warning("%s may still run, see `aws glue stop-crawler --name %s`: %s", name, name, error)
