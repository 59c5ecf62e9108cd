"""What Athena refuses, in our exceptions with the place in the SQL.

The emulator's DuckDB words its errors in its own way. So a server here gives canned answers as AWS does, over HTTP in
AWS's own JSON protocol; the texts are those that AWS's documentation and its users report.
"""

import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest

from accounts import Account, set_environment
from memory_store import MemoryStore
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.warehouse.athena import Athena
from shopease_etl.warehouse.athena_errors import Statement
from shopease_etl.warehouse.aws import AwsWarehouse

Answer = dict[str, Any]
COLUMN_INFO: Final = {"Name": "a", "Type": "varchar"}


@dataclass
class Script:
    """For each call the answers to give, the last one again and again; and what was asked for."""

    answers: dict[str, deque[Answer]] = field(default_factory=dict)
    asked: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def give(self, call: str, *answers: Answer) -> None:
        self.answers[call] = deque(answers)

    def ends(self, state: str, reason: str = "", error: Answer | None = None, **more: Any) -> None:
        """Have every statement end so."""
        status: Answer = {"State": state, "StateChangeReason": reason}
        if error is not None:
            status["AthenaError"] = error
        execution = {"QueryExecutionId": "q", "StatementType": "DML", **more, "Status": status}
        self.give("GetQueryExecution", {"QueryExecution": execution})

    def next_answer(self, call: str, asked: Answer) -> Answer:
        self.asked[call].append(asked)
        waiting = self.answers[call]
        return waiting.popleft() if len(waiting) > 1 else waiting[0]


def error(kind: str, message: str, **more: str) -> Answer:
    return {"__type": kind, "Message": message, **more}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """A server to which AWS's own variables point; whatever begins with `__type` is an error, as in AWS's protocol."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = script.next_answer(self.headers["X-Amz-Target"].partition(".")[2], asked)
            body = json.dumps(answer).encode()
            self.send_response(400 if "__type" in answer else 200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        set_environment(monkeypatch, Account(f"http://127.0.0.1:{server.server_port}", "key").environment)
        workgroup = {"Name": "analytics", "State": "ENABLED", "Configuration": {"BytesScannedCutoffPerQuery": 10**7}}
        script.give("GetWorkGroup", {"WorkGroup": workgroup})
        script.give("StartQueryExecution", {"QueryExecutionId": "q"})
        script.give("StopQueryExecution", {})
        yield script
        server.shutdown()
        thread.join()


@pytest.fixture
def athena(script: Script) -> Iterator[Athena]:
    del script  # the variables it sets are read here
    with Athena("shopease_catalog", "analytics", "s3://b/results/", timeout=60) as engine:
        yield engine


SQL: Final = "-- café\n  SELECT a,\n  x FROM t;"


@pytest.mark.parametrize(
    ("reason", "error", "kind", "told"),
    [
        (
            "COLUMN_NOT_FOUND: line 2:3: Column 'throttled' cannot be resolved or requester is not authorized to "
            "access requested resources",
            {"ErrorCategory": 2, "ErrorType": 1006},
            ConfigurationError,
            "requested resources at line 3, column 3: x FROM t;",
        ),
        (
            "SYNTAX_ERROR: line 1:8: Column 'a' cannot be resolved",
            None,
            ConfigurationError,
            "at line 2, column 10: SELECT a,",
        ),
        ("line 9:1: mismatched input", None, ConfigurationError, "mismatched input at line 10, column 1"),
        (
            "TABLE_NOT_FOUND: line 2:10: Table 'awsdatacatalog.shopease_catalog.t' does not exist",
            {"ErrorCategory": 2, "ErrorType": 1301},
            ConfigurationError,
            "does not exist at line 3, column 10: x FROM t;",
        ),
        ("FUNCTION_NOT_FOUND: nope", {"ErrorCategory": 2, "ErrorType": 1303}, ConfigurationError, "nope"),
        ("DIVISION_BY_ZERO: Division by zero", {"ErrorCategory": 2, "ErrorType": 1000}, ShopeaseError, "by zero"),
        (
            "HIVE_BAD_DATA: Error parsing field value 'access denied' for field 4",
            None,
            DataRefusedError,
            "'access denied' for field 4",
        ),
        ("HIVE_CURSOR_ERROR: Malformed Parquet", {"ErrorCategory": 2, "ErrorType": 1001}, DataRefusedError, "Parquet"),
        ("Query exhausted resources at this scale factor", {"ErrorType": 3}, ShopeaseError, "scale factor"),
        ("Rate exceeded", {"ErrorCategory": 2, "ErrorType": 1401}, UnreachableError, "Rate exceeded"),
        ("SlowDown: Please reduce your request rate", None, UnreachableError, "request rate"),
        (
            "GENERIC_INTERNAL_ERROR: null",
            {"ErrorCategory": 1, "ErrorType": 200},
            UnreachableError,
            "GENERIC_INTERNAL_ERROR: null",
        ),
        ("Something new", {"ErrorCategory": 1}, UnreachableError, "Something new"),
        ("Something new", None, ShopeaseError, "Something new"),
        (
            "",
            {"ErrorMessage": "line 1:1: no", "ErrorType": 1006},
            ConfigurationError,
            "no at line 2, column 3: SELECT a,",
        ),
    ],
)
def test_a_failed_statement(
    script: Script, athena: Athena, reason: str, error: Answer | None, kind: type[ShopeaseError], told: str
) -> None:
    script.ends("FAILED", reason, error, Statistics={"DataScannedInBytes": 5})
    with pytest.raises(ShopeaseError) as raised:
        athena.execute(SQL)
    assert type(raised.value) is kind
    assert str(raised.value).startswith("Athena: ")
    assert str(raised.value).endswith(told)
    assert (athena.scanned, athena.charged) == (5, 0)
    assert script.asked["StartQueryExecution"][0]["QueryString"] == "SELECT a,\n  x FROM t"


@pytest.mark.parametrize("state", ["CANCELLED", "FAILED"])
def test_the_workgroups_limit(script: Script, athena: Athena, state: str) -> None:
    script.ends(state, "Bytes scanned limit was exceeded", Statistics={"DataScannedInBytes": 10**7})
    with pytest.raises(ShopeaseError, match="Bytes scanned limit was exceeded") as raised:
        athena.execute("SELECT 1")
    assert raised.value.exit_code == 1
    assert "10,000,000 bytes is BytesScannedCutoffPerQuery of the workgroup analytics" in str(raised.value.hint)


def test_a_cancelled_statement(script: Script, athena: Athena) -> None:
    script.ends("CANCELLED", "Query cancelled by user")
    with pytest.raises(ShopeaseError, match="cancelled by user") as raised:
        athena.execute("SELECT 1")
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    "reason",
    [
        "HIVE_CANNOT_OPEN_SPLIT: User: arn:aws:iam::1:user/u is not authorized to perform: s3:GetObject on resource",
        "PERMISSION_DENIED: User is not authorized to perform: s3:GetObject because no policy allows it",
    ],
)
def test_a_missing_permission_is_named(script: Script, athena: Athena, reason: str) -> None:
    script.ends("FAILED", reason, {"ErrorCategory": 2, "ErrorType": 1501})
    with pytest.raises(UnreachableError, match="not authorized") as raised:
        athena.execute("SELECT 1")
    assert "s3:GetObject" in str(raised.value.hint)


MALFORMED: Final = {"AthenaErrorCode": "MALFORMED_QUERY"}


@pytest.mark.parametrize(
    ("refusal", "kind", "told"),
    [
        (
            error("InvalidRequestException", "line 1:8: mismatched input 'FORM'. Expecting: ','", **MALFORMED),
            ConfigurationError,
            "mismatched input 'FORM'. Expecting: ',' at line 2, column 10: SELECT a,",
        ),
        (
            error("InvalidRequestException", "Queries of this type are not supported", **MALFORMED),
            ConfigurationError,
            "Queries of this type are not supported",
        ),
        (
            error("InvalidRequestException", "Entity Not Found (Service: AmazonDataCatalog; Status Code: 400)"),
            ConfigurationError,
            "Entity Not Found",
        ),
        (error("InvalidRequestException", "WorkGroup is not found."), UnreachableError, "no workgroup analytics"),
        (
            error("InvalidRequestException", "Unable to verify/create output bucket b"),
            UnreachableError,
            "Athena cannot store the result",
        ),
        (
            error("AccessDeniedException", "You are not authorized to perform: athena:StartQueryExecution on it"),
            UnreachableError,
            "athena:StartQueryExecution",
        ),
    ],
)
def test_a_refused_submission(
    script: Script, athena: Athena, refusal: Answer, kind: type[ShopeaseError], told: str
) -> None:
    script.give("StartQueryExecution", refusal)
    with pytest.raises(ShopeaseError) as raised:
        athena.execute(SQL)
    assert type(raised.value) is kind
    assert told in str(raised.value)


def test_after_too_many_queries_the_same_request_is_retried(script: Script, athena: Athena) -> None:
    too_many = error(
        "TooManyRequestsException", "You have exceeded the limit", Reason="CONCURRENT_QUERY_LIMIT_EXCEEDED"
    )
    script.give("StartQueryExecution", too_many, {"QueryExecutionId": "q"})
    script.ends("SUCCEEDED")
    athena.execute_ddl("CREATE OR REPLACE VIEW v AS SELECT 1")
    first, second = script.asked["StartQueryExecution"]
    assert first == second
    assert len(first["ClientRequestToken"]) >= 32


def test_too_many_queries_for_too_long(script: Script, athena: Athena) -> None:
    script.give("StartQueryExecution", error("TooManyRequestsException", "You have exceeded the limit"))
    with pytest.raises(UnreachableError, match="accepts no more queries now") as raised:
        athena.execute("SELECT 1")
    assert raised.value.hint == "try again later"


TABLES: Final = {
    "TableList": [
        {"Name": "stores", "TableType": "VIRTUAL_VIEW", "StorageDescriptor": {"Columns": [{"Name": "store_name"}]}},
        {
            "Name": "silver_transactions",
            "StorageDescriptor": {"Columns": [{"Name": "quantity"}]},
            "PartitionKeys": [{"Name": "sale_month"}],
        },
    ]
}


@pytest.mark.parametrize(
    ("sql", "reason", "hint"),
    [
        (
            "SELECT 1 FROM store",
            "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.shopease_catalog.store' does not exist",
            "did you mean stores? (there are: silver_transactions, stores)",
        ),
        (
            "SELECT t.sale_mnth FROM silver_transactions t",
            "COLUMN_NOT_FOUND: line 1:8: Column 't.sale_mnth' cannot be resolved or requester is not authorized to "
            "access requested resources",
            "did you mean sale_month? (there are: quantity, sale_month)",
        ),
        ("SELECT x FROM (VALUES 1) t(y)", "COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved", None),
        ("SELECT 1 +", "line 1:11: mismatched input '<EOF>'", None),
    ],
)
def test_unknown_names_are_answered_with_the_nearest_in_glue(
    script: Script, sql: str, reason: str, hint: str | None
) -> None:
    script.ends("FAILED", reason)
    script.give("GetTables", TABLES)
    with AwsWarehouse(MemoryStore(), "shopease_catalog", "analytics", 60).engine() as engine:
        with pytest.raises(ConfigurationError) as raised:
            engine.execute(sql)
        assert raised.value.hint == hint
        if hint:  # who may not read Glue gets Athena's error as it is
            script.give("GetTables", error("AccessDeniedException", "not authorized to perform: glue:GetTables"))
            with pytest.raises(ConfigurationError, match="_NOT_FOUND"):
                engine.execute(sql)


def test_a_statement_whose_state_is_unknown_is_stopped(script: Script, athena: Athena) -> None:
    refusal = error("AccessDeniedException", "not authorized to perform: athena:GetQueryExecution")
    script.give("GetQueryExecution", refusal)
    with pytest.raises(UnreachableError, match="athena:GetQueryExecution"):
        athena.execute("SELECT 1")
    assert script.asked["StopQueryExecution"] == [{"QueryExecutionId": "q"}]


def test_metadata_has_no_row_of_names_and_an_empty_page_may_follow(script: Script, athena: Athena) -> None:
    script.ends("SUCCEEDED", StatementType="UTILITY")
    metadata = {"ColumnInfo": [COLUMN_INFO]}
    rows = [{"Data": [{"VarCharValue": "a"}]}, {"Data": [{"VarCharValue": "b   "}]}]
    full = {"ResultSet": {"Rows": rows, "ResultSetMetadata": metadata}, "NextToken": "more"}
    empty = {"ResultSet": {"Rows": [], "ResultSetMetadata": metadata}}
    script.give("GetQueryResults", full, empty)
    assert [batch.to_pylist() for batch in athena.execute("SHOW TABLES")] == [[{"a": "a"}, {"a": "b"}]]
    assert script.asked["GetQueryResults"] == [
        {"QueryExecutionId": "q", "MaxResults": 1000},
        {"QueryExecutionId": "q", "MaxResults": 1000, "NextToken": "more"},
    ]


def test_pages_that_fail_late_raise_our_errors(script: Script, athena: Athena) -> None:
    script.ends("SUCCEEDED")
    rows = [{"Data": [{"VarCharValue": text}]} for text in ("a", "1")]
    page = {"ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": [COLUMN_INFO]}}, "NextToken": "more"}
    script.give(
        "GetQueryResults", page, error("AccessDeniedException", "not authorized to perform: athena:GetQueryResults")
    )
    reader = athena.execute("SELECT a FROM t")
    assert reader.read_next_batch().to_pylist() == [{"a": "1"}]
    with pytest.raises(UnreachableError, match="athena:GetQueryResults"):
        reader.read_next_batch()


def test_a_place_beyond_the_text_has_no_line() -> None:
    assert Statement("SELECT 1", "SELECT 1").place(7, 3) == "line 7, column 3"
