"""Starts Glue's crawlers, or joins those that run already, and waits for them."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shopease_etl import cancel
from shopease_etl.aws import client, error_code, translate_aws_errors
from shopease_etl.errors import ConfigurationError, ShopeaseError, TimeLimitError, UnreachableError
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import CrawlerRun

log = logging.getLogger(__name__)

_READY: Final = "READY"


@dataclass
class _Crawl:
    """A running crawl: when the crawler's previous crawl began, and whether someone else started this one."""

    name: str
    previous: object
    attached: bool
    started: float
    run: CrawlerRun | None = None


class Crawlers:
    """The named crawlers, which run at the same time."""

    def __init__(self, names: Sequence[str], *, timeout: float, poll: float = 2.0) -> None:
        self._names = names
        self._timeout = timeout
        self._poll = poll
        self._client = client("glue")

    def check(self) -> None:
        """Raise ConfigurationError if no crawler is named, and UnreachableError if one does not exist."""
        if not self._names:
            hint = "set it to the names of the crawlers, separated by commas, or crawl without --crawlers"
            raise ConfigurationError("SHOPEASE_CRAWLERS is empty", hint=hint)
        for name in self._names:
            self._get(name)

    def run(self, progress: Progress = SILENT) -> tuple[CrawlerRun, ...]:
        """Start them all, wait until they are done, and return how each ended.

        Ctrl-C stops the crawlers that this call started. After the timeout they continue, and the next call joins them.

        Raises:
            ConfigurationError: no crawler is named.
            UnreachableError: a crawler does not exist, or may not be started.
            ShopeaseError: a crawl failed, with Glue's message, or took longer than the timeout.
        """
        self.check()
        crawls: list[_Crawl] = []
        try:
            for name in self._names:
                self._start(name, crawls)
                progress.start(f"crawler {name}")
            self._wait(crawls, progress)
        except (KeyboardInterrupt, TimeLimitError):
            for crawl in crawls:
                if not crawl.attached and not crawl.run:
                    self._stop(crawl.name)
            raise
        return tuple(crawl.run for crawl in crawls if crawl.run)

    def _start(self, name: str, crawls: list[_Crawl]) -> None:
        """Start a crawler or join it; it is noted before the call, as Ctrl-C may interrupt Glue's answer."""
        crawler = self._get(name)
        deadline = time.monotonic() + self._timeout
        while crawler["State"] == "STOPPING":
            self._pause(name, deadline)
            crawler = self._get(name)
        previous = (crawler.get("LastCrawl") or {}).get("StartTime")
        crawl = _Crawl(name, previous, crawler["State"] != _READY, time.monotonic())
        crawls.append(crawl)
        if not crawl.attached:
            crawl.attached = not self._has_started(name)

    def _has_started(self, name: str) -> bool:
        """Start a crawler; False if someone else has just done so."""
        try:
            with translate_aws_errors(f"the crawler {name}"):
                self._client.start_crawler(Name=name)
        except UnreachableError as error:
            if error_code(error.__cause__) != "CrawlerRunningException":
                raise
            return False
        return True

    def _wait(self, crawls: Sequence[_Crawl], progress: Progress) -> None:
        deadline = time.monotonic() + self._timeout
        waiting = list(crawls)
        failures: list[str] = []
        while waiting:
            for crawl in list(waiting):
                crawler = self._get(crawl.name)
                progress.advance(f"crawler {crawl.name}")
                last = crawler.get("LastCrawl") or {}
                if crawler["State"] != _READY or (last.get("StartTime") == crawl.previous and not crawl.attached):
                    continue
                waiting.remove(crawl)
                failures += self._record_end(crawl, last, progress)
            if waiting:
                self._pause(", ".join(crawl.name for crawl in waiting), deadline)
        if failures:
            raise ShopeaseError("; ".join(failures), hint="for details see Glue's console and the log group")

    def _record_end(self, crawl: _Crawl, last: dict[str, Any], progress: Progress) -> list[str]:
        """Record how a crawl ended; returns its failures."""
        status = last.get("Status", "unknown")
        crawl.run = CrawlerRun(crawl.name, round(time.monotonic() - crawl.started, 1), crawl.attached)
        progress.finish(f"crawler {crawl.name}", status.lower() + (", was running already" if crawl.attached else ""))
        if status == "SUCCEEDED":
            return []
        logs = f" (log {last['LogGroup']}, {last.get('LogStream')})" if last.get("LogGroup") else ""
        return [f"the crawler {crawl.name} ended with {status}: {last.get('ErrorMessage') or 'no message'}{logs}"]

    def _pause(self, names: str, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise ShopeaseError(
                f"still running after {self._timeout:g} s: {names}",
                hint="`shopease crawl --crawlers` continues to wait; SHOPEASE_CRAWLER_TIMEOUT sets the limit",
            )
        cancel.wait(self._poll)

    def _get(self, name: str) -> dict[str, Any]:
        try:
            with translate_aws_errors(f"the crawler {name}"):
                crawler: dict[str, Any] = self._client.get_crawler(Name=name)["Crawler"]
                return crawler
        except UnreachableError as error:
            if error_code(error.__cause__) != "EntityNotFoundException":
                raise
            hint = "`make deploy` creates the crawlers (see docs/AWS.md), or set SHOPEASE_CRAWLERS"
            raise UnreachableError(f"there is no crawler {name} in Glue", hint=hint) from error

    def _stop(self, name: str) -> None:
        """Stop a crawler, or warn that it may still run: the others must be stopped too."""
        try:
            with translate_aws_errors(f"the crawler {name}"):
                self._client.stop_crawler(Name=name)
        except UnreachableError as error:
            if error_code(error.__cause__) not in {"CrawlerNotRunningException", "CrawlerStoppingException"}:
                log.warning("%s may still run, see `aws glue stop-crawler --name %s`: %s", name, name, error)
