"""What a check says about the source; each fix that it names is tried and works."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import CONTRACT_TABLES, Shop, execute
from conftest import eventually
from poolers import needs_pgbouncer, pooler
from replicated import Cluster, cluster, primary, standby
from shopease_etl.contract.tables import TABLES
from shopease_etl.operations.check.database import database
from shopease_etl.operations.check.lakes import RunHistory
from shopease_etl.operations.check.lines import CheckLine
from shopease_etl.pipeline.wiring import source
from shopease_etl.redaction import Secrets
from shopease_etl.settings import Settings, load
from shopease_etl.source.postgres import CopyOut, snapshot
from shopease_etl.source.session import existing_snapshot


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def owner(place: Cluster) -> Iterator[str]:
    """The URL of a server as its superuser."""
    with primary(place) as url:
        yield url


@pytest.fixture
def reader(owner: str) -> Iterator[str]:
    """The URL of a user who may read nothing yet."""
    yield owner.replace("owner@", "reader@")
    execute(
        owner,
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM reader",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM reader",
        "ALTER ROLE reader NOBYPASSRLS CONNECTION LIMIT -1",
    )


def checked(url: str, history: RunHistory | None = None, **more: object) -> dict[str, CheckLine]:
    """The lines by name."""
    settings: Settings = load(database_url=url, **more)
    lines = database(settings, lambda: existing_snapshot(source(settings, Secrets())), history or RunHistory())
    return {line.name: line for line in lines}


def test_an_extract_names_the_grant_that_it_needs(owner: str, reader: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, reader)
    refused = shop.run("extract", "--json").failed(4, "does not let this user read")
    assert refused.document["hint"].startswith("GRANT SELECT ON public.")
    execute(owner, refused.document["hint"])
    shop.run("extract").done()


def test_each_table_without_select_names_its_grant(owner: str, reader: str) -> None:
    found = checked(reader)
    tables = [found[f"table {table.source}"] for table in TABLES]
    assert {line.exit_code for line in tables} == {4}
    assert tables[0].fix == f"GRANT SELECT ON public.{TABLES[0].source} TO reader"
    execute(owner, str(tables[0].fix))
    after = checked(reader)
    assert [name for name, line in after.items() if line.exit_code] == [line.name for line in tables[1:]]
    execute(owner, *(str(line.fix) for line in tables[1:]))
    assert [line for line in checked(reader).values() if line.exit_code or line.warning] == []


def test_a_schema_without_usage_names_its_grant(owner: str, reader: str) -> None:
    execute(owner, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    line = checked(reader)["schema"]
    assert (line.exit_code, line.fix) == (4, "GRANT USAGE ON SCHEMA public TO reader")
    execute(owner, str(line.fix))
    assert checked(reader)["schema"].exit_code == 0


def test_a_missing_schema_fails(owner: str) -> None:
    found = checked(owner, source_schema="nowhere")
    assert (found["schema"].exit_code, found["table customers"].exit_code) == (2, 3)


def test_the_fix_quotes_names_that_need_it(owner: str) -> None:
    execute(owner, 'CREATE SCHEMA "My Shop"', 'CREATE ROLE "Mr X" LOGIN', 'GRANT USAGE ON SCHEMA "My Shop" TO "Mr X"')
    execute(owner, *(table.replace("TABLE ", 'TABLE "My Shop".') for table in CONTRACT_TABLES))
    line = checked(owner.replace("owner@", "Mr%20X@"), source_schema="My Shop")["table customers"]
    assert line.fix == 'GRANT SELECT ON "My Shop".customers TO "Mr X"'
    execute(owner, str(line.fix))


def test_row_security_that_hides_rows_fails_with_its_fix(owner: str, reader: str) -> None:
    execute(owner, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    execute(owner, "ALTER TABLE stores ENABLE ROW LEVEL SECURITY")
    try:
        found = checked(reader)
        line = found["table stores"]
        assert (line.exit_code, line.fix) == (4, "ALTER ROLE reader BYPASSRLS")
        assert found["table customers"].exit_code == 0
        assert checked(owner)["table stores"].exit_code == 0
        execute(owner, str(line.fix))
        assert checked(reader)["table stores"].exit_code == 0
    finally:
        execute(owner, "ALTER TABLE stores DISABLE ROW LEVEL SECURITY")


def test_a_connection_limit_that_is_too_low_is_a_warning(owner: str, reader: str) -> None:
    execute(owner, "ALTER ROLE reader CONNECTION LIMIT 3")
    line = checked(reader, source_connections=3)["database connections"]
    assert (line.warning, line.exit_code) == (True, 0)
    assert line.fix is not None
    assert "SHOPEASE_SOURCE_CONNECTIONS to 2" in line.fix
    assert not checked(reader, source_connections=2)["database connections"].warning


def test_tables_are_checked_even_without_a_second_connection(owner: str, reader: str) -> None:
    execute(owner, "ALTER ROLE reader CONNECTION LIMIT 1", "GRANT SELECT ON customers TO reader")
    found = checked(reader)
    assert found["database snapshot"].exit_code == 4
    assert found["table customers"].exit_code == 0
    assert found["table stores"].exit_code == 4


def test_the_encoding_sql_ascii_is_a_warning(owner: str) -> None:
    execute(owner, "CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    line = checked(owner.replace("/postgres?", "/plain?"))["database encoding"]
    assert (line.detail, line.warning) == ("SQL_ASCII", True)


@pytest.mark.parametrize(
    ("column", "kind", "expected"),
    [
        ("quantity", "numeric(12,2)", "an integer is expected"),
        ("quantity", "whole_number", None),
        ("quantity", "fraction", "an integer is expected"),
        ("unit_price", "money", "a number is expected"),
        ("store_id", "uuid", "an integer is expected"),
        ("customer_id", "bigint[]", "an integer is expected"),
        ("created_at", "time without time zone", "a timestamp or a date is expected"),
        ("created_at", "bigint", "a timestamp or a date is expected"),
        ("updated_at", "interval", "a timestamp or a date is expected"),
        *((name, "text", None) for name in ("transaction_id", "quantity", "unit_price", "created_at")),
        *(("quantity", kind, None) for kind in ("smallint", "numeric", "numeric(9,0)", "double precision")),
        *(("unit_price", kind, None) for kind in ("integer", "numeric(9,4)", "real")),
        *(("created_at", kind, None) for kind in ("date", "timestamp(3) with time zone")),
        ("payment_method", "uuid", None),
        ("extra", "money", None),
    ],
)
def test_a_column_of_an_unfit_type_is_a_warning(owner: str, column: str, kind: str, expected: str | None) -> None:
    change = "ADD COLUMN" if column == "extra" else "DROP COLUMN {0}, ADD COLUMN"
    execute(
        owner,
        "CREATE SCHEMA typed",
        "CREATE DOMAIN typed.fraction AS numeric(5,1)",
        "CREATE DOMAIN typed.whole_number AS integer CHECK (VALUE > 0)",
        *(table.replace("TABLE ", "TABLE typed.") for table in CONTRACT_TABLES),
        f"ALTER TABLE typed.sale_transactions {change.format(column)} {column} "
        + (f"typed.{kind}" if "_" in kind or kind == "fraction" else kind),
    )
    try:
        found = checked(owner, source_schema="typed")
    finally:
        execute(owner, "DROP SCHEMA typed CASCADE")
    details = {name: line.detail for name, line in found.items() if name.startswith("column ")}
    if expected:
        assert list(details) == [f"column sale_transactions.{column}"]
        assert expected in details[f"column sale_transactions.{column}"]
        assert kind == "fraction" or kind in details[f"column sale_transactions.{column}"]
    else:
        assert details == {}


def test_a_server_without_a_pooler_has_no_line_about_one(owner: str) -> None:
    assert "database pooler" not in checked(owner)


@needs_pgbouncer
@pytest.mark.parametrize("size", [2, 6])
@pytest.mark.parametrize(("mode", "is_warning"), [("session", False), ("transaction", True)])
def test_a_pooler_is_shown_with_its_mode(owner: str, mode: str, is_warning: bool, size: int) -> None:
    with pooler(owner, mode, size) as url:
        line = checked(url, source_connections=1)["database pooler"]
    assert (line.detail.partition(";")[0], line.warning) == (f"a pooler in {mode} mode", is_warning)
    assert "keeps 2 of its connections" in line.detail


@needs_pgbouncer
def test_a_pooler_in_statement_mode_fails_and_names_the_modes_that_work(owner: str) -> None:
    with pooler(owner, "statement", 6) as url:
        line = checked(url)["database"]
    assert (line.exit_code, "pool_mode = session" in str(line.fix)) == (4, True)


def test_a_statement_timeout_near_the_last_extract_is_a_warning(owner: str) -> None:
    short, long = (
        checked(owner, RunHistory(extract_seconds=seconds))["database timeouts"] for seconds in (2_000, 1_000)
    )
    assert (short.warning, long.warning) == (True, False)


def test_a_primary_has_no_line_about_replicas(owner: str) -> None:
    assert "database replica" not in checked(owner)


def test_a_standby_whose_patience_is_shorter_than_an_extract_is_a_warning(place: Cluster, owner: str) -> None:
    slow = RunHistory(extract_seconds=100)
    with standby(place, owner) as url:
        risky = checked(url, slow)
        assert risky["database snapshot"].exit_code == 0
        assert risky["database replica"].warning
        assert "hot_standby_feedback" in str(risky["database replica"].fix)
        assert "waits 30 s" in risky["database replica"].detail
        assert not checked(url, RunHistory(extract_seconds=10))["database replica"].warning
        execute(url, "ALTER SYSTEM SET hot_standby_feedback = on", "SELECT pg_reload_conf()")
        eventually(lambda: "hot_standby_feedback is on" in checked(url, slow)["database replica"].detail)
        assert not checked(url, slow)["database replica"].warning


def test_a_standby_without_a_primary_is_a_warning(place: Cluster, owner: str) -> None:
    with standby(place, owner) as url:
        execute(url, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        eventually(lambda: "not connected" in checked(url)["database replica"].detail)
        assert checked(url)["database replica"].warning
        assert checked(url)["table customers"].exit_code == 0


def test_a_standby_without_a_time_limit_is_ok(place: Cluster, owner: str) -> None:
    with standby(place, owner, max_standby_streaming_delay="-1") as url:
        line = checked(url, RunHistory(extract_seconds=100))["database replica"]
        assert (line.warning, "waits without limit" in line.detail) == (False, True)


def test_an_extract_locks_and_reads_the_tables_of_a_standby(place: Cluster, owner: str) -> None:
    execute(owner, "CREATE MATERIALIZED VIEW IF NOT EXISTS sizes AS SELECT 42 AS size")
    names = [*(table.source for table in TABLES), "sizes"]
    with standby(place, owner) as url, snapshot(url, "UTC", "public", lock=names) as moment:
        with moment.worker() as connection:
            found = moment.tables(names)
            assert b"".join(CopyOut(connection, found["sizes"])) == b"size\n42\n"
            assert b"".join(CopyOut(connection, found["stores"])).startswith(b"store_id,")
        moment.require_locked(names)
