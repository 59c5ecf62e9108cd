"""Crawlers are started or joined, waited for, and what went wrong is told in Glue's words."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from accounts import Account
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.warehouse.crawlers import Crawlers

NAMES = ("bronze-crawler", "gold-crawler")


class Recorder:
    """Records progress."""

    def __init__(self) -> None:
        self.finished: dict[str, str] = {}

    def stage(self, name: str) -> None: ...

    def start(self, task: str, total_bytes: int | None = None) -> None: ...

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None: ...

    def finish(self, task: str, note: str = "") -> None:
        self.finished[task] = note


@pytest.fixture
def glue(account: Account) -> Any:
    """The account's Glue, with two crawlers."""
    client = account.client("glue")
    for name in NAMES:
        client.create_crawler(Name=name, Role="r", DatabaseName="d", Targets={"S3Targets": [{"Path": "s3://b/"}]})
    return client


def state(glue: Any, name: str) -> str:
    return str(glue.get_crawler(Name=name)["Crawler"]["State"])


def test_all_crawlers_run_to_their_end(glue: Any) -> None:
    recorder = Recorder()
    runs = Crawlers(NAMES, timeout=60, poll=0.1).run(recorder)
    assert [(run.name, run.attached) for run in runs] == [(name, False) for name in NAMES]
    assert recorder.finished == {f"crawler {name}": "succeeded" for name in NAMES}
    for name in NAMES:
        assert glue.get_crawler(Name=name)["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"


def test_a_running_crawler_is_joined(glue: Any) -> None:
    glue.start_crawler(Name=NAMES[0])
    recorder = Recorder()
    runs = Crawlers(NAMES, timeout=60, poll=0.1).run(recorder)
    assert [run.attached for run in runs] == [True, False]
    assert recorder.finished[f"crawler {NAMES[0]}"] == "succeeded, was running already"


def test_after_the_timeout_crawlers_continue(glue: Any) -> None:
    with pytest.raises(ShopeaseError, match=r"still running after 0\.3 s: bronze-crawler, gold-crawler") as raised:
        Crawlers(NAMES, timeout=0.3, poll=0.1).run()
    assert "SHOPEASE_CRAWLER_TIMEOUT" in str(raised.value.hint)
    assert [state(glue, name) for name in NAMES] == ["RUNNING", "RUNNING"]


def test_a_missing_crawler_is_named_before_any_starts(glue: Any) -> None:
    with pytest.raises(UnreachableError, match="no crawler elsewhere") as raised:
        Crawlers((*NAMES, "elsewhere"), timeout=60, poll=0.1).run()
    assert "SHOPEASE_CRAWLERS" in str(raised.value.hint)
    assert [state(glue, name) for name in NAMES] == ["READY", "READY"]


def test_ctrl_c_stops_only_crawlers_that_were_started_here(glue: Any) -> None:
    glue.start_crawler(Name=NAMES[0])
    crawlers = Crawlers(NAMES, timeout=60, poll=0.1)
    threading.Timer(1, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):
        crawlers.run()
    assert [state(glue, name) for name in NAMES] == ["RUNNING", "READY"]


def test_ctrl_c_during_a_start_stops_that_crawler_too(glue: Any) -> None:
    crawlers = Crawlers(NAMES, timeout=60, poll=0.1)
    seen = []

    def interrupt(**_: object) -> None:
        seen.append([state(glue, name) for name in NAMES])
        if len(seen) == len(NAMES):
            signal.raise_signal(signal.SIGINT)

    crawlers._client.meta.events.register("after-call.glue.StartCrawler", interrupt)
    with pytest.raises(KeyboardInterrupt):
        crawlers.run()
    assert seen == [["RUNNING", "READY"], ["RUNNING", "RUNNING"]]
    assert [state(glue, name) for name in NAMES] == ["READY", "READY"]


class Interrupting(Recorder):
    """Ctrl-C once the last crawler is started, after a deed."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__()
        self._deed = deed

    def start(self, task: str, total_bytes: int | None = None) -> None:
        super().start(task, total_bytes)
        if task == f"crawler {NAMES[-1]}":
            self._deed()
            signal.raise_signal(signal.SIGINT)


def test_a_failed_stop_does_not_keep_others_running(glue: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        Crawlers(NAMES, timeout=60, poll=0.1).run(Interrupting(lambda: glue.delete_crawler(Name=NAMES[0])))
    assert state(glue, NAMES[1]) == "READY"
    (record,) = caplog.records
    assert (record.levelname, NAMES[0] in record.getMessage()) == ("WARNING", True)


def test_a_crawler_that_has_stopped_already_is_no_error(glue: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        Crawlers(NAMES, timeout=60, poll=0.1).run(Interrupting(lambda: glue.stop_crawler(Name=NAMES[0])))
    assert [state(glue, name) for name in NAMES] == ["READY", "READY"]
    assert caplog.records == []


def test_an_empty_list_of_names_is_refused(glue: Any) -> None:
    crawlers = Crawlers([], timeout=60)
    for call in (crawlers.check, crawlers.run):
        with pytest.raises(ConfigurationError, match="SHOPEASE_CRAWLERS is empty"):
            call()
    assert [state(glue, name) for name in NAMES] == ["READY", "READY"]
