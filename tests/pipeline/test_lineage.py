"""Lineage: the events that an OpenLineage receiver gets, and that it cannot harm the run."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from shopease_etl import __version__
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import put_stream
from shopease_etl.pipeline import lineage
from shopease_etl.pipeline.events import Events
from shopease_etl.pipeline.plan import Plan, plan_all, plan_tables
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import DatasetResult, RunResult, SourceInfo, StageResult, Status
from shopease_etl.settings import Settings, load

RUN_ID: Final = "20260101T000000.000000Z-ab12"
KEY: Final = "Nachtigall-20"
BRONZE: Final = "bronze/customers/customers.csv"
SILVER: Final = "silver/customers/customers_cleaned.csv"
QUARANTINE: Final = "quarantine/customers/customers_rejected.csv"
EXTRACTED: Final = StageResult("extract", 1.5, (DatasetResult("bronze", "customers", BRONZE, 75, 75, 1200, "ab"),))
CLEANED: Final = StageResult(
    "clean",
    2.0,
    (
        DatasetResult("silver", "customers", SILVER, 75, 70, 1100, "cd", {"missing_name": 5}, 0.5),
        DatasetResult("quarantine", "customers", QUARANTINE, 5, 5, 90, "ef"),
    ),
)
SOURCE: Final = SourceInfo("db.example", "sales_db", "17", "s", {"customers": 75}, {"customers": {"email": "text"}})
PLAN: Final = replace(plan_all("extract", skip_crawl=True), tables=plan_tables("clean", ["customers"]).tables)


@dataclass
class Receiver:
    """An OpenLineage receiver that is a real HTTP server; it answers with `status` once it may."""

    address: str
    status: int = 201
    may_answer: threading.Event = field(default_factory=threading.Event)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def receiving(status: int = 201, *, answers: bool = True) -> Iterator[Receiver]:
    """A receiver for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            receiver.paths.append(self.path)
            receiver.keys.append(self.headers["Authorization"])
            receiver.may_answer.wait(30)
            self.send_response(receiver.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Who asked may have gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}", status)
        if answers:
            receiver.may_answer.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.may_answer.set()
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run_of(status: str = "succeeded", error: str | None = None, **changed: Any) -> RunResult:
    """A run of `PLAN`."""
    times = ("2026-01-01T00:00:00.000+00:00", "2026-01-01T00:00:04.200+00:00")
    usual = RunResult(RUN_ID, Status(status), *times, "1", (EXTRACTED, CLEANED), {}, SOURCE, error)
    return replace(usual, **changed)


def emit(settings: Settings, run: RunResult, *, open_stage: str | None = None, plan: Plan = PLAN) -> None:
    """Tell lineage of a run as the pipeline does; the open stage is one that did not come to its end."""
    events = Events(*Pipeline.from_settings(settings).listeners)
    events.run_started(RUN_ID, plan, run.attempt)
    for stage in run.stages:
        events.stage_started(stage.name)
        events.stage_done(stage)
    if open_stage:
        events.stage_started(open_stage)
    events.run_ended(run)


def told(run: RunResult, **options: Any) -> list[dict[str, Any]]:
    """What a file is told of a run."""
    emit(load(lineage="lineage.jsonl"), run, **options)
    return [json.loads(line) for line in Path("lineage.jsonl").read_text().splitlines()]


def outline(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def test_a_published_run_is_reported_with_its_stages() -> None:
    events = told(run_of())
    assert outline(events) == [
        ("run-all", "START"),
        ("run-all.extract", "START"),
        ("run-all.clean", "START"),
        ("run-all.extract", "COMPLETE"),
        ("run-all.clean", "COMPLETE"),
        ("run-all", "COMPLETE"),
    ]
    assert {event["job"]["namespace"] for event in events} == {"shopease"}
    assert {event["producer"] for event in events} == {f"urn:shopease:etl:{__version__}"}


def test_stages_are_child_runs() -> None:
    events = told(run_of())
    runs = {event["job"]["name"]: event["run"]["runId"] for event in events}
    assert len({UUID(run) for run in runs.values()}) == 3
    parents = [event["run"]["facets"].get("parent") for event in events]
    assert [parent and parent["run"]["runId"] for parent in parents] == [None, *[runs["run-all"]] * 4, None]
    assert events[0]["run"]["facets"]["tags"]["tags"][0]["value"] == RUN_ID


def test_ids_follow_from_ours_and_a_retry_is_another_run() -> None:
    first = told(run_of())[-1]["run"]["runId"]
    assert told(run_of())[-1]["run"]["runId"] == first
    assert told(run_of(attempt=2))[-1]["run"]["runId"] != first


def test_extract_reads_tables_and_writes_objects() -> None:
    complete = told(run_of())[3]
    (table,), (bronze,) = complete["inputs"], complete["outputs"]
    assert (table["namespace"], table["name"]) == ("postgres://db.example:5432", "sales_db.public.customers")
    assert table["inputFacets"]["inputStatistics"]["rowCount"] == 75
    assert [(item["name"], item["type"]) for item in table["facets"]["schema"]["fields"]] == [("email", "text")]
    assert (bronze["namespace"], bronze["name"]) == ("file", str(Path("lake", BRONZE).absolute()))
    statistics = bronze["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (75, 1200)
    assert bronze["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "OVERWRITE"


def test_clean_reports_its_rejected_rows() -> None:
    complete = told(run_of())[4]
    (bronze,) = complete["inputs"]
    assert bronze["name"] == str(Path("lake", BRONZE).absolute())
    statistics = bronze["inputFacets"]["inputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (75, 1200)
    (rule,) = bronze["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (rule["assertion"], rule["success"], rule["actual"]) == ("missing_name", False, "5")
    sizes = [item["outputFacets"]["outputStatistics"]["rowCount"] for item in complete["outputs"]]
    assert (names(complete["outputs"])[1][1].endswith(QUARANTINE), sizes) == (True, [70, 5])


def test_all_facets_are_standard() -> None:
    for event in told(run_of("failed", "no", published=False), open_stage="aggregate") + told(run_of()):
        datasets = [*event["inputs"], *event["outputs"]]
        parts = [event["run"], event["job"], *datasets]
        facets = [facet for part in parts for facet in part.get("facets", {}).values()]
        facets += [
            facet
            for part in datasets
            for kind in ("inputFacets", "outputFacets")
            for facet in part.get(kind, {}).values()
        ]
        assert facets
        for facet in facets:
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")
            assert facet["_producer"] == event["producer"]


def test_a_run_of_one_stage_has_its_name_and_reads_what_is_there() -> None:
    plan = plan_tables("clean", ["customers"])
    events = told(run_of(stages=(CLEANED,), source=None), plan=plan)
    assert outline(events) == [
        ("clean", "START"),
        ("clean.clean", "START"),
        ("clean.clean", "COMPLETE"),
        ("clean", "COMPLETE"),
    ]
    for event in events[1:3]:
        assert names(event["inputs"]) == [("file", str(Path("lake", BRONZE).absolute()))]
    assert events[2]["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 75


def test_gold_reads_silver() -> None:
    plan = Plan(("aggregate",), datasets=PLAN.datasets[:1])
    start = told(run_of(stages=(), published=False, status="failed", error="x"), open_stage="aggregate", plan=plan)[1]
    assert [name.partition("/silver/")[2] for _, name in names(start["inputs"])] == [
        key.removeprefix("silver/") for key in plan.datasets[0].reads
    ]


@pytest.mark.parametrize(
    ("lake", "namespace", "name"),
    [("s3://b/some/prefix/", "s3://b", f"some/prefix/{BRONZE}"), ("s3://b", "s3://b", BRONZE)],
)
def test_objects_of_a_lake_on_s3(monkeypatch: pytest.MonkeyPatch, lake: str, namespace: str, name: str) -> None:
    monkeypatch.setenv("SHOPEASE_LAKE", lake)
    assert names(told(run_of())[3]["outputs"]) == [(namespace, name)]


@pytest.mark.parametrize(
    ("url", "host", "expected"),
    [
        ("postgresql://u:geheim@db.example:6543/sales_db", "db.example", "db.example:6543"),
        ("host=a,db.example port=1,2 dbname=sales_db", "db.example", "db.example:2"),
        ("postgresql://db.example/sales_db", "db.example", "db.example:7000"),
        ("embedded", "/run/socket", "localhost:7000"),
    ],
)
def test_where_the_source_is(monkeypatch: pytest.MonkeyPatch, url: str, host: str, expected: str) -> None:
    monkeypatch.setenv("SHOPEASE_DATABASE_URL", url)
    monkeypatch.setenv("PGPORT", "7000")
    (table,) = told(run_of(source=replace(SOURCE, host=host)))[3]["inputs"]
    assert table["namespace"] == f"postgres://{expected}"


def test_a_failed_run_has_no_outputs() -> None:
    run = run_of("failed", "no such column: margin", published=False)
    events = told(run, open_stage="aggregate")
    assert outline(events)[4:] == [
        ("run-all.extract", "ABORT"),
        ("run-all.clean", "ABORT"),
        ("run-all.aggregate", "FAIL"),
        ("run-all", "FAIL"),
    ]
    assert [event["outputs"] for event in events] == [[]] * 8
    messages = [event["run"]["facets"].get("errorMessage", {}).get("message") for event in events]
    assert messages == [None] * 6 + ["no such column: margin"] * 2


def test_an_interrupted_run_is_aborted() -> None:
    events = told(run_of("interrupted", "interrupted", published=False, stages=()), open_stage="extract")
    assert outline(events)[2:] == [("run-all.extract", "ABORT"), ("run-all", "ABORT")]


def test_a_retry_reports_the_stages_already_done() -> None:
    events = Events(*Pipeline.from_settings(load(lineage="lineage.jsonl")).listeners)
    events.run_started(RUN_ID, PLAN, attempt=2)
    events.stage_started("clean")
    events.stage_done(CLEANED)
    events.run_ended(run_of(attempt=2))
    lines = [json.loads(line) for line in Path("lineage.jsonl").read_text().splitlines()]
    assert outline(lines)[1:] == [
        ("run-all.clean", "START"),
        ("run-all.extract", "START"),
        ("run-all.extract", "COMPLETE"),
        ("run-all.clean", "COMPLETE"),
        ("run-all", "COMPLETE"),
    ]


def test_an_error_is_reported_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPEASE_DATABASE_URL", "postgresql://u:geheim-17@h/d")
    events = told(run_of("failed", "geheim-17 is refused", published=False))
    assert "geheim" not in Path("lineage.jsonl").read_text()
    assert events[-1]["run"]["facets"]["errorMessage"]["message"] == "*** is refused"


def test_a_receiver_gets_what_a_file_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", f"{KEY}\n")
    written = told(run_of())
    with receiving() as receiver:
        emit(load(lineage=receiver.address), run_of())
    assert outline(receiver.events) == outline(written)
    assert receiver.paths == ["/api/v1/lineage"] * 6
    assert receiver.keys == [f"Bearer {KEY}"] * 6


@pytest.mark.parametrize(
    ("written", "asked"), [("/", "/api/v1/lineage"), ("/my/way", "/my/way"), ("/way?a=b", "/way?a=b")]
)
def test_the_path_comes_from_the_setting(written: str, asked: str) -> None:
    with receiving() as receiver:
        emit(load(lineage=receiver.address + written), run_of())
    assert set(receiver.paths) == {asked}
    assert set(receiver.keys) == {None}


def test_the_librarys_own_settings_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with receiving() as receiver, receiving() as other:
        Path("openlineage.yml").write_text(f"transport: {{type: http, url: '{other.address}'}}\n")
        netrc = tmp_path / "netrc"
        netrc.write_text("default login joe password geheim\n")
        netrc.chmod(0o600)
        variables = {
            "OPENLINEAGE_DISABLED": "true",
            "OPENLINEAGE_URL": other.address,
            "OPENLINEAGE_ENDPOINT": "elsewhere",
            "OPENLINEAGE_CONFIG": "openlineage.yml",
            "OPENLINEAGE__TRANSPORT__TYPE": "console",
            "OPENLINEAGE__FILTERS": '[{"type":"regex","regex":".*"}]',
            "OPENLINEAGE_NAMESPACE": "another",
            "OPENLINEAGE_CLIENT_LOGGING": "DEBUG",
            "OPENLINEAGE_API_KEY": KEY,
            "NETRC": str(netrc),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        emit(load(lineage=receiver.address), run_of())
    assert (len(receiver.events), len(other.events)) == (6, 0)
    assert set(receiver.paths) == {"/api/v1/lineage"}
    assert set(receiver.keys) == {f"Bearer {KEY}"}
    assert receiver.events[0]["job"]["namespace"] == "shopease"


def wait_for_senders() -> None:
    """Wait for the threads of senders that were left behind: what they log is not the next test's."""
    for thread in threading.enumerate():
        if thread.name == "lineage":
            thread.join(10)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("status", [400, 401, 500, 503, 301, 307])
def test_a_receiver_that_refuses_gets_one_request(caplog: pytest.LogCaptureFixture, status: int) -> None:
    with receiving(status) as receiver:
        emit(load(lineage=receiver.address), run_of())
    assert len(receiver.events) == 1
    (warning,) = warnings_of(caplog)
    assert warning.startswith(f"{receiver.address} rejected lineage events, no more are sent in this run: ")


def test_an_unreachable_receiver_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    emit(load(lineage="http://127.0.0.1:1"), run_of())
    assert len(warnings_of(caplog)) == 1


def test_a_silent_receiver_delays_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(lineage, "END_SECONDS", 0.1)
    with receiving(answers=False) as receiver:
        emit(load(lineage=receiver.address), run_of())
        assert len(receiver.events) <= 1
        assert warnings_of(caplog) == [f"{receiver.address} did not accept all lineage events of this run in time"]
    wait_for_senders()


def test_a_slow_receiver_is_given_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(lineage, "ANSWER_SECONDS", 0.1)
    with receiving(answers=False) as receiver:
        emit(load(lineage=receiver.address), run_of())
        assert len(receiver.events) == 1
    assert [("Read timed out" in warning) for warning in warnings_of(caplog)] == [True]


@pytest.mark.parametrize("path", ["no/such/folder.jsonl", "."])
def test_a_file_that_cannot_be_written_is_one_warning(caplog: pytest.LogCaptureFixture, path: str) -> None:
    emit(load(lineage=path), run_of())
    assert len(warnings_of(caplog)) == 1


def test_a_file_is_appended_to() -> None:
    Path("lineage.jsonl").write_text("{}\n")
    assert (told(run_of())[0], len(told(run_of()))) == ({}, 13)


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "http://", "http:///path", "http://h:port/", "s3://b/k", "http://joe:geheim@h/"]
)
def test_an_invalid_destination_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="SHOPEASE_LINEAGE is not valid") as caught:
        lineage.check_target(address)
    assert "geheim" not in f"{caught.value} {caught.value.hint}"


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shopease_etl.pipeline.lineage_events", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "openlineage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openlineage", None)
    with pytest.raises(ConfigurationError) as caught:
        lineage.check_target("lineage.jsonl")
    assert (caught.value.exit_code, caught.value.hint) == (2, "pip install 'shopease[lineage]'")


def test_the_key_is_in_no_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", KEY)
    with caplog.at_level(logging.DEBUG), receiving() as receiver:
        emit(load(lineage=receiver.address), run_of())
    assert "urllib3.connectionpool" in {record.name for record in caplog.records}
    assert KEY not in caplog.text


def test_the_months_of_a_table_are_one_dataset() -> None:
    parts = [TRANSACTIONS.in_month(month) for month in ("2024-05", "2024-06")]
    bronze, silver = (
        [
            DatasetResult(layer, "transactions", key, 5, 4, 30, "ab", {"missing_x": 1}, run_id=before)
            for key, before in keys
        ]
        for layer, keys in (
            ("bronze", [(parts[0].bronze_key, None), (parts[1].bronze_key, "earlier")]),
            ("silver", [(part.silver_key, "earlier") for part in parts]),
        )
    )
    stages = (StageResult("extract", 1, tuple(bronze)), StageResult("clean", 1, tuple(silver)))
    plan = Plan(("extract", "clean"), (TRANSACTIONS,))
    events = told(run_of(stages=stages), plan=plan)
    folder = str(Path("lake/bronze/transactions").absolute())
    start, extract, clean = (
        next(event for event in events if (event["job"]["name"], event["eventType"]) == wanted)
        for wanted in (("run-all.clean", "START"), ("run-all.extract", "COMPLETE"), ("run-all.clean", "COMPLETE"))
    )
    assert [name for _, name in names([*start["inputs"], *extract["outputs"], *clean["inputs"]])] == [folder] * 3
    statistics = extract["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (8, 60, 2)
    assert clean["inputs"][0]["inputFacets"]["inputStatistics"]["fileCount"] == 2
    assert clean["outputs"] == []


def test_a_run_of_one_stage_finds_the_months_that_are_there() -> None:
    put_stream(open_store("lake"), TRANSACTIONS.in_month("none").bronze_key, [b"a\n"])
    plan = plan_tables("clean", ["transactions"])
    start = told(run_of("failed", "no", published=False, stages=()), open_stage="clean", plan=plan)[1]
    assert names(start["inputs"]) == [("file", str(Path("lake/bronze/transactions").absolute()))]
