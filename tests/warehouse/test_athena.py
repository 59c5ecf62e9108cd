"""Statements run on an emulated Athena, whose SQL is DuckDB's, through real HTTP."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accounts import Account, new_account, running_emulator, set_environment
from conftest import eventually
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.warehouse import limits
from shopease_etl.warehouse.athena import Athena, charge

DATABASE: Final = "shopease_catalog"
WORKGROUP: Final = "shopease-analytics"
ENDLESS: Final = "SELECT COUNT(*) FROM range(1000000) a(x), range(1000000) b(y) WHERE x * y % 7 = 1"
MEGABYTE: Final = 1 << 20


@pytest.fixture
def bucket(account: Account) -> str:
    name = account.new_bucket()
    account.new_catalog(name)
    return name


@pytest.fixture
def athena(bucket: str) -> Iterator[Athena]:
    with opened(bucket) as engine:
        yield engine


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account on an emulator of its own, for DuckDB works on after a statement was cancelled."""
    with running_emulator() as endpoint:
        account = new_account(endpoint)
        set_environment(monkeypatch, account.environment)
        account.new_catalog(account.new_bucket())
        yield account


def opened(bucket: str = "not-used", workgroup: str = WORKGROUP, timeout: float = 60) -> Athena:
    return Athena(DATABASE, workgroup, f"s3://{bucket}/other/", timeout=timeout)


def executions(account: Account, workgroup: str = WORKGROUP) -> list[dict[str, Any]]:
    client = account.client("athena")
    identities = client.list_query_executions(WorkGroup=workgroup)["QueryExecutionIds"]
    return [client.get_query_execution(QueryExecutionId=identity)["QueryExecution"] for identity in identities]


def states(account: Account) -> list[str]:
    return [execution["Status"]["State"] for execution in executions(account)]


def add_table(account: Account, bucket: str, name: str, columns: dict[str, str], body: bytes, kind: str) -> None:
    account.client("s3").put_object(Bucket=bucket, Key=f"{name}/{name}.{kind}", Body=body)
    csv = {
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde"},
    }
    parquet = {"InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat", "SerdeInfo": {}}
    storage = {
        "Location": f"s3://{bucket}/{name}/",
        "Columns": [{"Name": column, "Type": type_} for column, type_ in columns.items()],
        **(csv if kind == "csv" else parquet),
    }
    parameters = {"classification": kind, "skip.header.line.count": "1"}
    table = {"Name": name, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage, "Parameters": parameters}
    account.client("glue").create_table(DatabaseName=DATABASE, TableInput=table)


def test_every_type_that_the_emulator_has(athena: Athena) -> None:
    columns: dict[str, tuple[str, pa.DataType, object]] = {
        "truth": ("true", pa.bool_(), True),
        "tiny": ("CAST(1 AS tinyint)", pa.int8(), 1),
        "small": ("CAST(2 AS smallint)", pa.int16(), 2),
        "whole": ("3", pa.int32(), 3),
        "big": ("CAST(4 AS bigint)", pa.int64(), 4),
        "single": ("CAST(1.5 AS float)", pa.float32(), 1.5),
        "double": ("CAST('-infinity' AS double)", pa.float64(), float("-inf")),
        "money": ("CAST('1234567890123456.70' AS decimal(18,2))", pa.decimal128(38, 2), Decimal("1234567890123456.70")),
        "text": ("'a, \"b\"'", pa.string(), 'a, "b"'),
        "empty": ("''", pa.string(), ""),
        "nothing": ("CAST(NULL AS varchar)", pa.string(), None),
        "day": ("DATE '2024-01-02'", pa.date32(), date(2024, 1, 2)),
        "at": (
            "TIMESTAMP '2024-01-02 03:04:05.006'",
            pa.timestamp("us"),
            datetime.fromisoformat("2024-01-02T03:04:05.006"),
        ),
        "hour": ("TIME '01:02:03'", pa.string(), "01:02:03"),
        "several": ("[1, 2]", pa.string(), "[1, 2]"),
    }
    sql = ", ".join(f"{expression} AS {name}" for name, (expression, _, _) in columns.items())
    table = athena.query(f"SELECT {sql}").read_all()
    assert table.schema == pa.schema([(name, kind) for name, (_, kind, _) in columns.items()])
    assert table.to_pylist() == [{name: value for name, (_, _, value) in columns.items()}]


def test_tables_and_views_of_the_catalog(account: Account, bucket: str, athena: Athena) -> None:
    add_table(account, bucket, "stores", {"id": "string", "name": "string"}, b'"id","name"\n"1","Oslo"\n', "csv")
    sales = io.BytesIO()
    amounts = pa.array([Decimal("0.10"), Decimal("0.20"), None], pa.decimal128(18, 2))
    pq.write_table(pa.table({"store": [1, 1, 2], "amount": amounts}), sales)
    add_table(
        account, bucket, "sales", {"store": "bigint", "amount": "decimal(18,2)"}, sales.getvalue(), kind="parquet"
    )
    athena.execute(f'CREATE OR REPLACE VIEW "{DATABASE}"."shops" AS SELECT CAST(id AS bigint) AS id, name FROM stores')
    sql = "SELECT name, SUM(amount) AS total FROM sales LEFT JOIN shops ON id = store GROUP BY name ORDER BY name"
    assert athena.query(sql).read_all().to_pylist() == [
        {"name": "Oslo", "total": Decimal("0.30")},
        {"name": None, "total": None},
    ]
    assert athena.scanned > 0
    assert athena.charged > athena.scanned


def test_pages_are_read_as_the_rows_are_asked_for(athena: Athena) -> None:
    reader = athena.query("SELECT CAST(x AS integer) AS x FROM range(2500) t(x) ORDER BY x")
    batches = list(reader)
    assert [batch.num_rows for batch in batches] == [1000, 1000, 500]
    assert [x for batch in batches for x in batch.column("x").to_pylist()] == list(range(2500))


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT 'a' AS a, 'b' AS b", [("a", "b")]),
        ("SELECT 'a' AS a, 'b' AS b WHERE 1 = 0", []),
        # the emulator, too, puts no names before what is no SELECT
        ("VALUES ('col0', 'col1')", [("col0", "col1")]),
        ("SELECT 1 AS x, 'y' AS x", [(1, "y")]),
    ],
)
def test_only_the_row_of_names_is_dropped(athena: Athena, sql: str, rows: list[tuple[object, ...]]) -> None:
    table = athena.query(sql).read_all()
    assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == rows


def test_a_failing_statement_tells_why(athena: Athena) -> None:
    with pytest.raises(ShopeaseError, match=r"Athena: .*not_there") as raised:
        athena.query("SELECT x FROM not_there")
    assert "\n" not in str(raised.value)


def test_a_writing_statement_is_never_sent(account: Account, athena: Athena) -> None:
    with pytest.raises(ConfigurationError, match="only read-only statements are allowed"):
        athena.query("UNLOAD (SELECT 1) TO 's3://b/x'")
    assert executions(account) == []


@pytest.mark.parametrize("use", ["check", "query"])
def test_a_workgroup_that_is_not_there_is_told_with_the_fix(account: Account, use: str) -> None:
    account.new_catalog(account.new_bucket())
    with opened(workgroup="missing") as engine, pytest.raises(UnreachableError, match="no workgroup missing") as raised:
        engine.check() if use == "check" else engine.query("SELECT 1")
    assert "make deploy" in str(raised.value.hint)
    assert "SHOPEASE_ATHENA_WORKGROUP" in str(raised.value.hint)


def test_a_disabled_workgroup_is_told(account: Account, athena: Athena) -> None:
    athena.check()
    account.client("athena").update_work_group(WorkGroup=WORKGROUP, State="DISABLED")
    with pytest.raises(UnreachableError, match=f"{WORKGROUP} is disabled"):
        athena.check()


def test_the_workgroups_limit_is_known(account: Account, athena: Athena) -> None:
    assert athena.cutoff is None
    configuration = {"BytesScannedCutoffPerQuery": 50_000_000}
    account.client("athena").create_work_group(Name="limited", Configuration=configuration)
    with opened(workgroup="limited") as engine:
        assert engine.cutoff == 50_000_000


def test_results_go_where_the_workgroup_says_and_else_where_we_say(account: Account, bucket: str) -> None:
    own = {"ResultConfiguration": {"OutputLocation": f"s3://{bucket}/own/"}}
    account.client("athena").create_work_group(Name="own", Configuration=own)
    account.client("athena").create_work_group(Name="bare", Configuration={})
    for workgroup, place in ((WORKGROUP, "athena-results"), ("own", "own"), ("bare", "other")):
        with opened(bucket, workgroup) as engine:
            engine.query("SELECT 1")
        (execution,) = executions(account, workgroup)
        assert execution["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{bucket}/{place}/")
        assert execution["QueryExecutionContext"] == {"Database": DATABASE, "Catalog": "AwsDataCatalog"}


def test_a_workgroup_that_forbids_another_place_is_sent_none(account: Account) -> None:
    strict = {"EnforceWorkGroupConfiguration": True}
    account.client("athena").create_work_group(Name="strict", Configuration=strict)
    with (
        opened(workgroup="strict") as engine,
        pytest.raises(UnreachableError, match="No output location provided") as raised,
    ):
        engine.query("SELECT 1")
    assert "give the workgroup strict a result location" in str(raised.value.hint)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_stops_the_statement(busy: Account, number: signal.Signals) -> None:
    code = (
        "from shopease_etl import cancel\n"
        "from shopease_etl.warehouse.athena import Athena\n"
        "cancel.install()\n"
        f"Athena({DATABASE!r}, {WORKGROUP!r}, 's3://b/x/', timeout=60).query({ENDLESS!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=os.environ) as child:
        eventually(lambda: states(busy) == ["RUNNING"])
        child.send_signal(number)
        _, stderr = child.communicate(timeout=60)
    assert b"KeyboardInterrupt" in stderr
    assert states(busy) == ["CANCELLED"]


def test_the_time_limit_stops_the_statement(busy: Account) -> None:
    with opened(timeout=0.5) as engine, pytest.raises(ShopeaseError, match=r"longer than 0\.5 s") as raised:
        engine.query(ENDLESS)
    assert "SHOPEASE_QUERY_TIMEOUT" in str(raised.value.hint)
    assert states(busy) == ["CANCELLED"]


def test_the_time_limit_ends_the_reading_of_rows_too(athena: Athena, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = athena.query("SELECT x FROM range(2500) t(x)")
    monkeypatch.setattr(limits, "monotonic", lambda: time.monotonic() + 3600)
    with pytest.raises(ShopeaseError, match="the query took longer than 60 s"):
        list(reader)


def test_closing_stops_what_other_threads_wait_for(busy: Account) -> None:
    engine = opened()
    raised: list[ShopeaseError] = []

    def wait_for_it() -> None:
        with pytest.raises(ShopeaseError) as caught:
            engine.query(ENDLESS)
        raised.append(caught.value)

    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    eventually(lambda: states(busy) == ["RUNNING"])
    engine.close()
    waiting.join(60)
    assert "was closed" in str(raised[0])
    assert states(busy) == ["CANCELLED"]
    with pytest.raises(ShopeaseError, match="was closed"):
        engine.query("SELECT 1")


@pytest.mark.parametrize(
    ("state", "kind", "scanned", "charged"),
    [
        ("SUCCEEDED", "DML", 1, 10 * MEGABYTE),
        ("SUCCEEDED", "DML", 10 * MEGABYTE + 1, 11 * MEGABYTE),
        ("SUCCEEDED", "DML", 0, 0),
        ("CANCELLED", "DML", 12 * MEGABYTE, 12 * MEGABYTE),
        ("FAILED", "DML", 12 * MEGABYTE, 0),
        ("SUCCEEDED", "DDL", 1, 0),
    ],
)
def test_what_a_statement_is_charged_for(state: str, kind: str, scanned: int, charged: int) -> None:
    execution = {
        "Status": {"State": state},
        "StatementType": kind,
        "Statistics": {"DataScannedInBytes": scanned},
    }
    assert charge(execution) == charged
