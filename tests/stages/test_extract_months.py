"""A table kept by month: an extract copies the months that changed, and no others."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from commands import CONTRACT_TABLES, database, execute
from month_extracts import FIVE, SALES, Months, copied, files_in
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.stages import months as stages_months


@pytest.fixture(scope="module")
def own(database_url: str) -> Iterator[str]:
    """The URL of a database for the tests of this module, one after the other."""
    with database(database_url) as url:
        yield url


@pytest.fixture
def months(own: str, tmp_path: Path) -> Months:
    empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    execute(own, empty, CONTRACT_TABLES[-1], SALES.format(1, 1000))
    return Months(own, tmp_path)


@pytest.fixture
def extracted(months: Months) -> Months:
    """It has had its first extract."""
    first = months.extract()
    assert (copied(first), first.full) == (FIVE, "the first run by month")
    return months


def change(text: str) -> str:
    return f"UPDATE sale_transactions SET {text}"


EDITS: dict[str, tuple[list[str], set[str]]] = {
    "nothing": ([], set()),
    "insert": (["INSERT INTO sale_transactions (created_at) VALUES ('2024-02-29 23:59:59.999999')"], {"2024-02"}),
    "update": ([change("quantity = 9 WHERE transaction_id = 6")], {"2024-02"}),
    "update without a change": ([change("quantity = quantity WHERE transaction_id = 6")], {"2024-02"}),
    "update of all": ([change("quantity = 9")], FIVE),
    "delete": (["DELETE FROM sale_transactions WHERE transaction_id = 7"], {"2024-03"}),
    "delete and insert": (
        ["DELETE FROM sale_transactions WHERE transaction_id = 7", SALES.format(7, 7)],
        {"2024-03"},
    ),
    "delete in one, insert in another": (
        ["DELETE FROM sale_transactions WHERE transaction_id = 7", SALES.format(8, 8)],
        {"2024-03", "2024-04"},
    ),
    "move": ([change("created_at = '2024-05-31' WHERE transaction_id = 7")], {"2024-03", "2024-05"}),
    "move out of all": ([change("created_at = '2024-03-31' WHERE transaction_id % 5 = 1")], {"2024-03"}),
    "new month": (["INSERT INTO sale_transactions (created_at) VALUES ('1999-12-31')"], {"1999-12"}),
    "no month": ([change("created_at = NULL WHERE transaction_id = 7")], {"2024-03", "none"}),
    "no month of the calendar": (
        [
            "INSERT INTO sale_transactions (created_at) VALUES (NULL), ('infinity'), ('-infinity'), "
            "('0044-03-15 BC'), ('10000-01-01'), ('294276-12-31')"
        ],
        {"none"},
    ),
    "first and last month": (
        ["INSERT INTO sale_transactions (created_at) VALUES ('0001-01-01'), ('9999-12-31 23:59:59')"],
        {"0001-01", "9999-12"},
    ),
    "month vanishes": (["DELETE FROM sale_transactions WHERE created_at < '2024-02-01'"], set()),
    "truncate": (["TRUNCATE sale_transactions"], {"none"}),
    "truncate and fill": (["TRUNCATE sale_transactions", SALES.format(1, 1000)], FIVE),
    "vacuum freeze": (["VACUUM FREEZE sale_transactions"], set()),
    "vacuum full": (["VACUUM FULL sale_transactions"], set()),
    "cluster": (
        [
            "CREATE INDEX by_id ON sale_transactions (transaction_id)",
            "CLUSTER sale_transactions USING by_id",
            "ANALYZE",
        ],
        set(),
    ),
    "freeze and delete": (
        ["VACUUM FREEZE sale_transactions", "DELETE FROM sale_transactions WHERE transaction_id = 7"],
        {"2024-03"},
    ),
    "update, then freeze": ([change("quantity = 9 WHERE transaction_id = 6"), "VACUUM FREEZE"], {"2024-02"}),
    "update, then vacuum full": (
        [change("quantity = 9 WHERE transaction_id = 6"), "VACUUM FULL sale_transactions"],
        {"2024-02"},
    ),
    "rewritten": (["ALTER TABLE sale_transactions ALTER store_id TYPE int USING store_id + 0"], FIVE),
}


@pytest.mark.parametrize("name", EDITS)
def test_exactly_the_changed_months_are_copied(extracted: Months, name: str) -> None:
    statements, wanted = EDITS[name]
    execute(extracted.url, *statements)
    assert extracted.copied() == wanted
    assert extracted.copied() == set()


def test_a_transaction_that_commits_late_is_seen(extracted: Months) -> None:
    with psycopg.connect(extracted.url) as late, psycopg.connect(extracted.url) as later:
        late.execute(SALES.format(6, 6).encode())
        with late.transaction():  # another id of its own
            late.execute("DELETE FROM sale_transactions WHERE transaction_id = 7")
        execute(extracted.url, SALES.format(8, 8))
        assert extracted.copied() == {"2024-04"}
        later.execute(SALES.format(9, 9).encode())
        assert extracted.copied() == {"2024-04"}  # its version is not older than the oldest open transaction
        late.commit()
        assert extracted.copied() >= {"2024-02", "2024-03"}
        later.commit()
    assert extracted.copied() >= {"2024-05"}
    assert extracted.copied() == set()


@pytest.mark.parametrize(("connections", "range_bytes"), [(1, 16384), (3, 8192), (3, 1 << 30)])
def test_ranges_and_connections_do_not_matter(extracted: Months, connections: int, range_bytes: int) -> None:
    def copied_now() -> set[str]:
        return extracted.copied(connections=connections, range_bytes=range_bytes)

    execute(extracted.url, SALES.format(1001, 3000), change("quantity = 9 WHERE transaction_id % 1000 = 3"))
    assert copied_now() == FIVE
    execute(extracted.url, change("created_at = '2025-01-01' WHERE transaction_id % 1000 = 3"))
    assert copied_now() == {"2024-04", "2025-01"}
    execute(extracted.url, change("created_at = NULL WHERE transaction_id IN (1, 2)"))
    assert copied_now() == {"2024-02", "2024-03", "none"}
    everything = extracted.extract(full="--full", connections=connections, range_bytes=range_bytes)
    assert copied(everything) == {*FIVE, "2025-01", "none"}


def test_an_index_on_the_day_does_not_change_the_order(extracted: Months) -> None:
    execute(
        extracted.url,
        "CREATE INDEX ON sale_transactions ((created_at::date))",
        SALES.format(1001, 6000),
        change("created_at = timestamp '2025-01-01' + (9000 - transaction_id) * interval '1 minute' "
               "WHERE transaction_id % 50 = 7"),
        "ANALYZE",
    )  # fmt: skip
    assert extracted.copied() == {*FIVE, "2025-01"}
    execute(extracted.url, change("quantity = 7 WHERE created_at > '2025-01-01'"))
    assert extracted.copied() == {"2025-01"}


ZONES = [
    ("timestamptz", "America/Havana", "2020-11-01 04:30Z", "2020-11"),  # 00:30, and again an hour later
    ("timestamptz", "America/Havana", "2020-11-01 05:30Z", "2020-11"),
    ("timestamptz", "America/Havana", "2020-11-01 03:59Z", "2020-10"),
    ("timestamptz", "Asia/Kolkata", "2020-10-31 18:29:59Z", "2020-10"),
    ("timestamptz", "Asia/Kolkata", "2020-10-31 18:30Z", "2020-11"),
    ("timestamptz(0)", "UTC", "2020-10-31 23:59:59.7Z", "2020-11"),
    ("date", "Asia/Tokyo", "2020-10-31", "2020-10"),
    ("timestamp(3)", "Asia/Tokyo", "2020-10-31 23:59:59.9", "2020-10"),
    ("moment_of_moment", "Asia/Tokyo", "2020-10-31 23:59:59.9", "2020-10"),
]


@pytest.mark.parametrize(("kind", "zone", "moment", "month"), ZONES)
def test_months_are_of_business_time(months: Months, kind: str, zone: str, moment: str, month: str) -> None:
    execute(
        months.url,
        "CREATE DOMAIN moment AS timestamp; CREATE DOMAIN moment_of_moment AS moment",
        f"ALTER TABLE sale_transactions ALTER created_at TYPE {kind} USING created_at::text::{kind}",
    )
    months.zone = zone
    months.extract()
    execute(months.url, f"INSERT INTO sale_transactions (created_at) VALUES ('{moment}')")
    assert months.copied() == {month}


@pytest.mark.parametrize("kind", ["text", "time", "bigint", "tsrange", "timestamp[]"])
def test_a_table_without_months_is_refused_before_anything_is_written(months: Months, kind: str) -> None:
    execute(
        months.url,
        "TRUNCATE sale_transactions",
        "ALTER TABLE sale_transactions DROP COLUMN created_at",
        f"ALTER TABLE sale_transactions ADD COLUMN created_at {kind}",
    )
    with pytest.raises(DataRefusedError, match=r"sale_transactions\.created_at is .*, so .* by month") as error:
        months.extract()
    assert "SHOPEASE_PARTITIONS=none" in str(error.value.hint)
    assert files_in(months.store) == {}


def test_too_many_months_are_refused(months: Months, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages_months, "MOST_MONTHS", 4)
    for _ in range(2):
        with pytest.raises(DataRefusedError, match="has rows in more than 4 months"):
            months.extract()
        assert files_in(months.store) == {}
        execute(
            months.url, "CREATE TABLE IF NOT EXISTS more () INHERITS (sale_transactions)"
        )  # then they are not counted first


@pytest.mark.parametrize("kind", ["text", "numeric", "real", "smallint", "jsonb"])
def test_columns_of_any_type_are_counted(months: Months, kind: str) -> None:
    for name in ("transaction_id", "quantity", "unit_price"):
        execute(
            months.url,
            f"ALTER TABLE sale_transactions DROP COLUMN {name}",
            f"ALTER TABLE sale_transactions ADD COLUMN {name} {kind}",
        )
    assert copied(months.extract()) == FIVE
    execute(months.url, "INSERT INTO sale_transactions (created_at) VALUES ('2024-02-01')")
    assert months.copied() == {"2024-02"}


def test_large_numbers_are_summed(months: Months) -> None:
    execute(
        months.url,
        "ALTER TABLE sale_transactions ALTER transaction_id TYPE bigint, ALTER quantity TYPE bigint",
        change(f"transaction_id = {2**63 - 1}, quantity = {-(2**63)} WHERE transaction_id % 2 = 0"),
    )
    months.extract()
    assert months.copied() == set()


OTHER_TEXT = {
    "column added": (["ALTER TABLE sale_transactions ADD COLUMN note text"], "the table's columns changed"),
    "column added with a default": (
        ["ALTER TABLE sale_transactions ADD COLUMN note text DEFAULT 'x'"],
        "the table's columns changed",
    ),
    "another default in the same place": (
        [
            "ALTER TABLE sale_transactions DROP COLUMN one",
            "ALTER TABLE sale_transactions ADD COLUMN one int DEFAULT 2",
        ],
        "the table's columns changed",
    ),
    "column renamed": (
        ["ALTER TABLE sale_transactions RENAME COLUMN one TO two"],
        "the table's columns changed",
    ),
    "label renamed": (["ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"], "labels of an enum changed"),
    "label in an array renamed": (["ALTER TYPE humour RENAME VALUE 'dry' TO 'wet'"], "labels of an enum changed"),
    "type without a rewrite": (
        ["ALTER TABLE sale_transactions ALTER payment_method TYPE varchar"],
        "the table's columns changed",
    ),
    "another table": (
        [
            "CREATE TABLE others (LIKE sale_transactions)",
            "ALTER TABLE sale_transactions RENAME TO former; ALTER TABLE others RENAME TO sale_transactions",
        ],
        "the table is another one",
    ),
    "names of the catalog": (
        ["ALTER TABLE sale_transactions ADD COLUMN class regclass"],
        "the table's columns changed",
    ),
    "money in another place": (
        ["ALTER ROLE CURRENT_USER IN DATABASE {database} SET lc_monetary = 'C.UTF-8'"],
        "a setting changed",
    ),
    "generated column": (
        ["ALTER TABLE sale_transactions ADD COLUMN twice int GENERATED ALWAYS AS (quantity * 2) STORED"],
        "the source is a view, or a table with",
    ),
    "child table": (["CREATE TABLE more () INHERITS (sale_transactions)"], "the source is a view, or a table with"),
    "view": (
        [
            "ALTER TABLE sale_transactions RENAME TO former",
            "CREATE VIEW sale_transactions AS SELECT * FROM former ORDER BY ctid",
        ],
        "the source is a view, or a table with",
    ),
    "partitioned": (
        [
            "ALTER TABLE sale_transactions RENAME TO former",
            "CREATE TABLE sale_transactions (LIKE former) PARTITION BY RANGE (created_at)",
            "ALTER TABLE sale_transactions ATTACH PARTITION former DEFAULT",
        ],
        "the source is a view, or a table with",
    ),
}


@pytest.fixture
def moody(months: Months) -> Months:
    execute(
        months.url,
        "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TYPE humour AS ENUM ('dry', 'none')",
        "ALTER TABLE sale_transactions ADD COLUMN mood mood DEFAULT 'ok', ADD COLUMN many humour[] DEFAULT '{dry}', "
        "ADD COLUMN one int DEFAULT 1",
    )
    months.extract()
    assert months.copied() == set()
    return months


@pytest.mark.parametrize("name", OTHER_TEXT)
def test_where_rows_may_have_changed_unseen_all_are_copied(
    moody: Months, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    statements, reason = OTHER_TEXT[name]
    named = moody.url.partition("?")[0].rpartition("/")[2]
    execute(moody.url, *(statement.replace("{database}", named) for statement in statements))
    result = moody.extract()
    assert reason in str(result.full)
    assert f"all months are copied: {result.full}" in caplog.text
    assert {file.run_id for file in result.datasets} == {None}
    again = str(moody.extract().full)
    if name == "names of the catalog":
        assert again == "the table has a column whose text depends on names of the catalog (such as regclass)"
    else:
        assert (again == "None") == ("a view" not in reason)


def test_months_count_again_when_a_child_table_is_dropped(extracted: Months) -> None:
    execute(extracted.url, "CREATE TABLE more () INHERITS (sale_transactions)")
    assert "child tables" in str(extracted.extract().full)
    execute(extracted.url, "DROP TABLE more")
    assert extracted.extract().full == "the last run could not record the versions of rows"
    assert extracted.copied() == set()


def test_another_business_time_copies_all(extracted: Months) -> None:
    extracted.zone = "Asia/Tokyo"
    assert "such as the time zone" in str(extracted.extract().full)


def marked(of: Months, **marks: Any) -> None:
    """The last extract's watermark says otherwise."""
    assert of.last
    assert of.last.watermark
    of.last = replace(of.last, watermark={**of.last.watermark, **marks})


OTHER_MARKS = {
    "system": ("7", "system identifier"),
    "timeline": (7, "timeline"),
    "database": (7, "the database is another one"),
    "version": (7, "major version"),
    "next_xid": (1 << 40, "older point"),
    "wal": (1 << 60, "older point"),
    "horizon": (-(1 << 31), "too many transactions"),
    "months": (None, "cannot be read"),
}


@pytest.mark.parametrize("name", OTHER_MARKS)
def test_another_course_of_history_copies_all(extracted: Months, name: str) -> None:
    value, reason = OTHER_MARKS[name]
    marked(extracted, **{name: value})
    result = extracted.extract()
    assert reason in str(result.full)
    assert copied(result) == FIVE


@pytest.mark.parametrize("watermark", [{}, {"horizon": 1, "months": {}}, {"horizon": None, "months": {"none": {}}}])
def test_a_watermark_that_is_none_copies_all(extracted: Months, watermark: dict[str, Any]) -> None:
    assert extracted.last
    extracted.last = replace(extracted.last, watermark=watermark)
    assert extracted.extract().full == "what the last extract recorded cannot be read"


def test_a_reason_of_the_caller_copies_all(extracted: Months) -> None:
    result = extracted.extract(full="--full")
    assert (copied(result), result.full) == (FIVE, "--full")


def test_another_database_of_the_same_server_copies_all(extracted: Months, database_url: str) -> None:
    named = extracted.url.partition("?")[0].rpartition("/")[2]
    with database(database_url, template=named) as url:
        extracted.url = url
        assert extracted.extract().full == "the database is another one"


@pytest.mark.parametrize("damage", ["missing", "longer", "not recorded", "other rows recorded"])
def test_a_month_whose_file_is_not_as_recorded_is_copied(extracted: Months, damage: str) -> None:
    assert extracted.last
    files = {file.key: file for file in extracted.last.datasets}
    key = TRANSACTIONS.in_month("2024-03").bronze_key
    path, own = extracted.folder / "lake" / key, files.pop(key)
    if damage == "missing":
        path.unlink()
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"x\n")
    elif damage == "not recorded":
        extracted.last = replace(extracted.last, datasets=tuple(files.values()))
    else:
        extracted.last = replace(extracted.last, datasets=(*files.values(), replace(own, rows_out=7)))
    assert extracted.copied() == {"2024-03"}


def test_a_month_with_other_sums_copies_all_and_says_so(extracted: Months, caplog: pytest.LogCaptureFixture) -> None:
    assert extracted.last
    assert extracted.last.watermark
    former = extracted.last.watermark["months"]
    changed = {**former, "2024-03": {**former["2024-03"], "sums": ["1", "2"]}}
    marked(extracted, months=changed)
    assert extracted.extract().full == "values of 2024-03 changed, but no row is new"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text for text in warnings if "all months are copied" in text] == warnings[:1]
    marked(extracted, months=changed)
    execute(extracted.url, change("quantity = 9 WHERE transaction_id = 7"))
    assert extracted.copied() == {"2024-03"}  # a month that changed may have other sums
