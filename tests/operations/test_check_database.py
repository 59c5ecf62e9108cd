"""What a check tells of the source: each fix that it names is tried, and mends what it was told for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import CONTRACT_TABLES, Shop, execute
from conftest import eventually
from poolers import needs_pgbouncer, pooler
from replicated import Cluster, cluster, primary, standby
from shopease_etl.contract.tables import TABLES
from shopease_etl.operations.check.database import database
from shopease_etl.operations.check.past import Past
from shopease_etl.pipeline.wiring import source
from shopease_etl.report import CheckLine
from shopease_etl.settings import Settings, load
from shopease_etl.source.postgres import CopyOut, snapshot
from shopease_etl.source.session import existing_source


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


def looked_over(url: str, past: Past | None = None, **more: object) -> dict[str, CheckLine]:
    """The lines by name."""
    settings: Settings = load(database_url=url, **more)
    lines = database(settings, lambda: existing_source(source(settings)), past or Past())
    return {line.name: line for line in lines}


def test_an_extract_names_a_grant_that_mends_it(owner: str, reader: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, reader)
    refused = shop.run("extract", "--json").failed(4, "does not let this user read")
    assert refused.document["hint"].startswith("GRANT SELECT ON public.")
    execute(owner, refused.document["hint"])
    shop.run("extract").done()


def test_each_table_that_may_not_be_read_names_its_grant(owner: str, reader: str) -> None:
    found = looked_over(reader)
    tables = [found[f"table {table.source}"] for table in TABLES]
    assert {line.exit_code for line in tables} == {4}
    assert tables[0].fix == f"GRANT SELECT ON public.{TABLES[0].source} TO reader"
    execute(owner, str(tables[0].fix))
    after = looked_over(reader)
    assert [name for name, line in after.items() if line.exit_code] == [line.name for line in tables[1:]]
    execute(owner, *(str(line.fix) for line in tables[1:]))
    assert [line for line in looked_over(reader).values() if line.exit_code or line.warning] == []


def test_a_schema_that_may_not_be_used_names_its_grant(owner: str, reader: str) -> None:
    execute(owner, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    line = looked_over(reader)["schema"]
    assert (line.exit_code, line.fix) == (4, "GRANT USAGE ON SCHEMA public TO reader")
    execute(owner, str(line.fix))
    assert looked_over(reader)["schema"].exit_code == 0


def test_a_schema_that_is_not_there_is_told(owner: str) -> None:
    found = looked_over(owner, source_schema="nowhere")
    assert (found["schema"].exit_code, found["table customers"].exit_code) == (2, 3)


def test_names_that_need_quotes_have_them_in_the_fix(owner: str) -> None:
    execute(owner, 'CREATE SCHEMA "My Shop"', 'CREATE ROLE "Mr X" LOGIN', 'GRANT USAGE ON SCHEMA "My Shop" TO "Mr X"')
    execute(owner, *(table.replace("TABLE ", 'TABLE "My Shop".') for table in CONTRACT_TABLES))
    line = looked_over(owner.replace("owner@", "Mr%20X@"), source_schema="My Shop")["table customers"]
    assert line.fix == 'GRANT SELECT ON "My Shop".customers TO "Mr X"'
    execute(owner, str(line.fix))


def test_row_security_that_would_hide_rows_fails_with_its_fix(owner: str, reader: str) -> None:
    execute(owner, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    execute(owner, "ALTER TABLE stores ENABLE ROW LEVEL SECURITY")
    try:
        found = looked_over(reader)
        line = found["table stores"]
        assert (line.exit_code, line.fix) == (4, "ALTER ROLE reader BYPASSRLS")
        assert found["table customers"].exit_code == 0
        assert looked_over(owner)["table stores"].exit_code == 0
        execute(owner, str(line.fix))
        assert looked_over(reader)["table stores"].exit_code == 0
    finally:
        execute(owner, "ALTER TABLE stores DISABLE ROW LEVEL SECURITY")


def test_a_limit_of_connections_that_is_too_small_is_a_warning(owner: str, reader: str) -> None:
    execute(owner, "ALTER ROLE reader CONNECTION LIMIT 3")
    line = looked_over(reader, source_connections=3)["database connections"]
    assert (line.warning, line.exit_code) == (True, 0)
    assert line.fix is not None
    assert "SHOPEASE_SOURCE_CONNECTIONS to 2" in line.fix
    assert not looked_over(reader, source_connections=2)["database connections"].warning


def test_no_second_connection_hides_no_tables(owner: str, reader: str) -> None:
    execute(owner, "ALTER ROLE reader CONNECTION LIMIT 1", "GRANT SELECT ON customers TO reader")
    found = looked_over(reader)
    assert found["database snapshot"].exit_code == 4
    assert found["table customers"].exit_code == 0
    assert found["table stores"].exit_code == 4


def test_an_encoding_that_checks_nothing_is_a_warning(owner: str) -> None:
    execute(owner, "CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    line = looked_over(owner.replace("/postgres?", "/plain?"))["database encoding"]
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
def test_a_column_whose_type_cannot_fit_is_a_warning(owner: str, column: str, kind: str, expected: str | None) -> None:
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
        found = looked_over(owner, source_schema="typed")
    finally:
        execute(owner, "DROP SCHEMA typed CASCADE")
    told = {name: line.detail for name, line in found.items() if name.startswith("column ")}
    if expected:
        assert list(told) == [f"column sale_transactions.{column}"]
        assert expected in told[f"column sale_transactions.{column}"]
        assert kind == "fraction" or kind in told[f"column sale_transactions.{column}"]
    else:
        assert told == {}


def test_a_server_without_a_pooler_has_no_line_on_it(owner: str) -> None:
    assert "database pooler" not in looked_over(owner)


@needs_pgbouncer
@pytest.mark.parametrize("size", [2, 6])
@pytest.mark.parametrize(("mode", "is_warning"), [("session", False), ("transaction", True)])
def test_a_pooler_is_told_with_its_mode(owner: str, mode: str, is_warning: bool, size: int) -> None:
    with pooler(owner, mode, size) as url:
        line = looked_over(url, source_connections=1)["database pooler"]
    assert (line.detail.partition(";")[0], line.warning) == (f"a pooler in {mode} mode", is_warning)
    assert "keeps 2 of its connections" in line.detail


@needs_pgbouncer
def test_a_pooler_in_statement_mode_fails_with_the_modes_that_work(owner: str) -> None:
    with pooler(owner, "statement", 6) as url:
        line = looked_over(url)["database"]
    assert (line.exit_code, "pool_mode = session" in str(line.fix)) == (4, True)


def test_a_statement_timeout_near_the_last_extract_is_a_warning(owner: str) -> None:
    short, long = (looked_over(owner, Past(extract_seconds=seconds))["database timeouts"] for seconds in (2_000, 1_000))
    assert (short.warning, long.warning) == (True, False)


def test_a_primary_has_no_line_on_replicas(owner: str) -> None:
    assert "database replica" not in looked_over(owner)


def test_a_standby_whose_patience_is_shorter_than_an_extract_is_a_warning(place: Cluster, owner: str) -> None:
    slow = Past(extract_seconds=100)
    with standby(place, owner) as url:
        risky = looked_over(url, slow)
        assert risky["database snapshot"].exit_code == 0
        assert risky["database replica"].warning
        assert "hot_standby_feedback" in str(risky["database replica"].fix)
        assert "waits 30 s" in risky["database replica"].detail
        assert not looked_over(url, Past(extract_seconds=10))["database replica"].warning
        execute(url, "ALTER SYSTEM SET hot_standby_feedback = on", "SELECT pg_reload_conf()")
        eventually(lambda: "hot_standby_feedback is on" in looked_over(url, slow)["database replica"].detail)
        assert not looked_over(url, slow)["database replica"].warning


def test_a_standby_that_nothing_reaches_is_a_warning(place: Cluster, owner: str) -> None:
    with standby(place, owner) as url:
        execute(url, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        eventually(lambda: "not connected" in looked_over(url)["database replica"].detail)
        assert looked_over(url)["database replica"].warning
        assert looked_over(url)["table customers"].exit_code == 0


def test_a_standby_that_waits_for_ever_is_in_order(place: Cluster, owner: str) -> None:
    with standby(place, owner, max_standby_streaming_delay="-1") as url:
        line = looked_over(url, Past(extract_seconds=100))["database replica"]
        assert (line.warning, "waits for ever" in line.detail) == (False, True)


def test_an_extract_locks_and_reads_the_tables_of_a_standby(place: Cluster, owner: str) -> None:
    execute(owner, "CREATE MATERIALIZED VIEW IF NOT EXISTS sizes AS SELECT 42 AS size")
    names = [*(table.source for table in TABLES), "sizes"]
    with standby(place, owner) as url, snapshot(url, "UTC", "public", lock=names) as moment:
        with moment.worker() as connection:
            found = moment.tables(names)
            assert b"".join(CopyOut(connection, found["sizes"])) == b"size\n42\n"
            assert b"".join(CopyOut(connection, found["stores"])).startswith(b"store_id,")
        moment.require_locked(names)
