"""A thousand garbage texts (`--fault-rounds 20`) to each parser of what people and servers write."""

import fcntl
import re
import string
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pytest
from garbage import damaged, damaged_json, feed, odd_text
from pydantic import SecretStr

from shopease_etl.contract import values
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.lock.file import locked_file
from shopease_etl.operations.cost import monthly_cost
from shopease_etl.pipeline.wiring import lake_store, prices
from shopease_etl.settings import PREFIX, Settings, load
from shopease_etl.stages.named_queries import shipped_queries
from shopease_etl.units import size
from shopease_etl.warehouse.athena_types import first_batch, next_batch, rows_of
from shopease_etl.warehouse.dialect import reading_statement, tables_in, translate

SAMPLES: Final = (
    "1",
    "0.5",
    "10MB",
    "1GiB",
    "-1",
    "s3://bucket/x",
    "Europe/Berlin",
    "aws:kms",
    "nan",
    "inf",
    "a,b",
    "~",
)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_settings(rounds: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def read(value: str) -> None:
        monkeypatch.setenv(PREFIX + name.upper(), value.replace("\0", ""))
        settings = load()
        assert lake_store(settings).location
        for line in monthly_cost(LocalStore(tmp_path), prices(settings), runs=1, crawlers=1, crawls=1, queries=1).lines:
            assert line.dollars >= 0
        if isinstance(found := getattr(settings, name), float):
            assert 0 <= found < float("inf")

    default = Settings.model_fields[name].default
    usual = [default.get_secret_value() if isinstance(default, SecretStr) else str(default)] * len(SAMPLES)
    assert feed(f"setting {name}", rounds, lambda random: odd_text(random, *usual, *SAMPLES), read)[0]


def test_dotenv(rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = b"# settings\nSHOPEASE_LAKE=lake\nexport SHOPEASE_HOME='x y'\nSHOPEASE_MAX_SHRINK=0.5\nOTHER=\"a\\nb\"\n"

    def read(data: bytes) -> None:
        (tmp_path / ".env").write_bytes(data)
        load()

    assert all(feed("dotenv", rounds, lambda random: damaged(random, whole), read))


def test_sizes(rounds: int) -> None:
    def read(text: str) -> None:
        assert size(text) >= 0

    assert all(feed("size", rounds, lambda random: odd_text(random, "10MB", "1.5 GiB", "7", "1e9", "9999999EB"), read))


def test_the_holder_of_a_lock(rounds: int, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    whole = {"run_id": "x", "host": "here", "pid": 1, "since": "2024-01-01T00:00:00+00:00"}

    def ask(data: bytes) -> None:
        path.write_bytes(data)
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with locked_file(path, "mine"):
                pytest.fail("two hold the lock")

    assert feed("lock", rounds, lambda random: damaged_json(random, whole), ask) == (0, rounds * 50)


TYPES: Final = (
    *("boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "date", "timestamp", "varbinary", "json"),
    *("decimal", "decimal(38,2)", "decimal(5,9)", "array", "timestamp with time zone"),
)
VALUES: Final = ("1", "true", "-1.5", "2024-02-30", "2024-01-01 10:00:00.000", "0a 0b", "NaN", "9" * 40, "[1, 2]", "")


def test_values_of_athena(rounds: int) -> None:
    def make(random: Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        kinds = [odd_text(random, *TYPES)[:99] for _ in range(2)]
        infos = [
            {"Name": f"c{n}", "Type": kind, "Precision": random.randint(-1, 50), "Scale": 3}
            for n, kind in enumerate(kinds)
        ]
        pages = [{"Rows": [_row(random) for _ in range(3)]} for _ in range(2)]
        return infos, pages

    def read(given: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
        infos, pages = given
        first, second = (rows_of(page, 2, is_metadata=False) for page in pages)
        batch = first_batch(infos, first)
        assert (batch.num_rows, batch.num_columns) == (3, 2)
        for index, info in enumerate(infos):
            if pa.types.is_string(batch.schema.field(index).type):
                assert batch.column(index).to_pylist() == [row[index] for row in first], info
        assert next_batch(batch.schema, second).schema == batch.schema

    assert all(feed("athena", rounds, make, read))


def _row(random: Random) -> dict[str, Any]:
    texts = (
        odd_text(random, *VALUES) if random.random() < 0.2 else random.choice(VALUES)
        for _ in range(random.randint(0, 3))
    )
    return {"Data": [{"VarCharValue": text} if random.random() < 0.9 else {} for text in texts]}


def test_the_grammar(rounds: int) -> None:
    def make(random: Random) -> str:
        alphabet = random.choice(("0123456789+-.", "0123456789-: TZ+.", string.printable, "٣0\u00a0\n9"))
        made = "".join(random.choices(alphabet, k=random.randint(0, 40)))
        return odd_text(random, "2024-02-29 10:00:00.5+02", "-0012.50", "9223372036854775807", made)

    def agree(text: str) -> None:
        for pattern in (values.INTEGER, values.NUMBER, values.TIMESTAMP):
            parses = bool(pl.select(pl.lit(text).str.contains(pattern)).item())
            assert parses == bool(re.search(pattern.removesuffix("$") + r"\Z", text))
            if parses and pattern == values.INTEGER:
                assert -(2**63) < int(text) < 2**63
            elif parses:
                assert Decimal(text).is_finite() if pattern == values.NUMBER else date.fromisoformat(text[:10])

    feed("grammar", rounds, make, agree)


def test_statements(rounds: int) -> None:
    samples = [query.sql for query in shipped_queries()]
    samples += ["SHOW TABLES", "DESCRIBE x.y", "EXPLAIN SELECT 1", "WITH a AS (SELECT 1) TABLE a", "SELECT 'é' -- x"]

    def read(sql: str) -> None:
        translated = translate(sql)
        assert translated.strip()
        reading_statement(sql)
        tables_in(sql)

    assert all(feed("sql", rounds, lambda random: odd_text(random, *samples), read))
