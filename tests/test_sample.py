"""The sample: always the same bytes, the expected counts, every kind of dirt or none, and realistic sales."""

import gzip
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars import col

from shopease_etl.contract.tables import BIGINT, MONEY, STRING, TABLES, TIMESTAMP
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.progress import Silent
from shopease_etl.sample import write_sample

Dump = dict[str, pl.DataFrame]

PINNED = "d8ef1923acafeb62b1533fd1a9fb45b0ede762f34715915c15473ef38ea50d6f"
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
READ: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    BIGINT: lambda value: value.cast(pl.Int64),
    MONEY: lambda value: value.cast(pl.Decimal(10, 2)),
    STRING: lambda value: value,
    TIMESTAMP: lambda value: value.str.to_datetime("%Y-%m-%d %H:%M:%S%.6f"),
}
SPACE = "[ \t\n\r\f\v\u00a0]"
UNCLEAN = f"^{SPACE}|{SPACE}$|{SPACE}{{2}}|[\t\n\r\f\v\u00a0]"
KEYS = {"customers": "customer_id", "products": "product_id", "sale_transactions": "transaction_id"}


def parse_value(text: str) -> str | None:
    return None if text == "\\N" else re.sub(r"\\(.)", lambda found: ESCAPES[found[1]], text)


def read_dump(path: Path) -> Dump:
    """What PostgreSQL would read from the dump's COPY blocks, typed."""
    text = path.read_bytes().decode()
    blocks = re.findall(r"^COPY public\.(\w+) \((.*)\) FROM stdin;\n((?:.*\n)*?)\\\.\n", text, re.MULTILINE)
    known = {table.source: table for table in TABLES}
    dump = {}
    for source, names, lines in blocks:
        rows = [[parse_value(value) for value in line.split("\t")] for line in lines.removesuffix("\n").split("\n")]
        frame = pl.DataFrame(rows, schema=dict.fromkeys(names.split(", "), pl.String), orient="row")
        dump[source] = frame.select(READ[column.type](col(column.name)) for column in known[source].columns)
    return dump


def share(condition: pl.Series) -> float:
    return len(condition.filter(condition)) / len(condition)


def write(folder: Path, scale: float, dirty: float) -> Dump:
    return read_dump(write_sample(folder / "dump.sql", scale=scale, dirty=dirty).path)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    return write(tmp_path_factory.mktemp("dirty"), 0.01, 0.01)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    return write(tmp_path_factory.mktemp("clean"), 0.1, 0.0)


@pytest.fixture(scope="module")
def sales(clean: Dump) -> pl.DataFrame:
    return clean["sale_transactions"]


class RecordingProgress(Silent):
    """Progress that counts what it is given."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.size = 0

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        self.rows[task] += rows
        self.size += size


class InterruptedProgress(RecordingProgress):
    """Progress that is interrupted during the sales."""

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        super().advance(task, size=size, rows=rows)
        if task == "sale_transactions":
            raise KeyboardInterrupt


def test_same_arguments_give_same_bytes_and_another_seed_other_rows(tmp_path: Path) -> None:
    seeds = {"first.sql": 1, "again.sql": 1, "other.sql": 2}
    first, again, other = (write_sample(tmp_path / name, scale=0.001, seed=seeds[name]).path for name in seeds)
    assert first.read_bytes() == again.read_bytes()
    assert not read_dump(first)["sale_transactions"].equals(read_dump(other)["sale_transactions"])


def test_the_bytes_are_the_same_on_every_machine_and_python(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "dump.sql", scale=0.01, seed=7).path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PINNED


@pytest.mark.parametrize(("scale", "customers", "sales"), [(1e-6, 60, 1_000), (0.01, 75, 10_205), (0.03, 225, 30_615)])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.6, 0.999])
@pytest.mark.quick(3)
def test_row_counts_follow_scale(tmp_path: Path, scale: float, customers: int, sales: int, rate: float) -> None:
    result = write_sample(tmp_path / "dump.sql", scale=scale, dirty=rate)
    fixed = {"products": 600, "stores": 5, "inventory": 3_000, "sales_managers": 5}
    assert dict(result.tables) == {name: frame.height for name, frame in read_dump(result.path).items()}
    assert dict(result.tables) == {"customers": customers, **fixed, "sale_transactions": sales}
    assert result.bytes == result.path.stat().st_size


@pytest.mark.quick(0)
def test_scale_one_has_the_contracts_rows_and_about_110_megabytes(tmp_path: Path) -> None:
    progress = RecordingProgress()
    result = write_sample(tmp_path / "dump.sql", progress=progress)
    assert dict(result.tables)["customers"] == 7_500
    assert dict(result.tables)["sale_transactions"] == 1_020_500
    assert 105e6 < result.bytes < 118e6
    assert progress.rows == Counter(dict(result.tables))
    assert 0.99 * result.bytes < progress.size < result.bytes


def test_it_looks_like_pg_dump_with_the_contracts_tables_and_no_keys(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "dump.sql", scale=0.001).path
    text = path.read_text(encoding="utf-8")
    assert text.startswith("--\n-- PostgreSQL database dump\n--\n")
    assert text.endswith("--\n-- PostgreSQL database dump complete\n--\n\n")
    assert "--scale 0.001 --seed 2024 --dirty 0.01" in text
    assert text.count("CREATE TABLE public.") == len(TABLES)
    assert "PRIMARY KEY" not in text
    columns = {name: frame.columns for name, frame in read_dump(path).items()}
    assert columns == {table.source: [column.name for column in table.columns] for table in TABLES}


def test_gz_is_the_same_dump_compressed(tmp_path: Path) -> None:
    plain = write_sample(tmp_path / "dump.sql", scale=0.001)
    packed = write_sample(tmp_path / "dump.sql.gz", scale=0.001)
    assert gzip.decompress(packed.path.read_bytes()) == plain.path.read_bytes()
    assert packed.bytes == packed.path.stat().st_size < plain.bytes


def null(*names: str) -> list[pl.Expr]:
    return [col(name).is_null() for name in names]


def text(name: str, *patterns: str) -> list[pl.Expr]:
    return [col(name).str.contains(pattern) for pattern in patterns]


def wrong_number(*names: str) -> list[pl.Expr]:
    return [kind for name in names for kind in (col(name) == 0, col(name) < 0, col(name).is_null())]


EMPTY, BLANK = "^$", f"^{SPACE}+$"
DIRT = {
    "customers": [
        *null("customer_id", "customer_name", "email", "phone", "created_at", "updated_at"),
        *text("customer_name", EMPTY, BLANK, UNCLEAN, "^[a-z '-]+$", "^[A-Z '-]+$", "\n", "\u00a0", '"', ","),
        *text("email", EMPTY, BLANK, UNCLEAN, "[A-Z]", "İ.*Σ@"),
        *text("address", UNCLEAN, '"', "\n", "\r\n", "\r[^\n]", r"\\", "\t", "\u00a0", "\n\\\\.\n", r"^\\N$", "🏠"),
        *text("city", UNCLEAN),
        *text("state", EMPTY),
        pl.all_horizontal(null("customer_id", "customer_name", "email")),
    ],
    "products": [
        *null("product_id", "product_name", "description", "created_at", "updated_at"),
        *text("product_name", BLANK, UNCLEAN, "^[A-Z0-9 &-]+$"),
        *text("category", EMPTY, UNCLEAN, "^[a-z &]+$"),
        *text("description", '"', "\n", "\r\n", "\r[^\n]", r"\\", "\t", "製"),
        *wrong_number("price"),
    ],
    "sale_transactions": [
        *null("transaction_id", "store_id", "customer_id", "product_id", "payment_method", "created_at", "updated_at"),
        *(col(name) > 9_000_000 for name in ("store_id", "product_id", "customer_id")),
        *text("payment_method", UNCLEAN, "^[a-z ]+$"),
        *text("sales_channel", BLANK, "^[A-Z -]+$"),
        *wrong_number("quantity", "unit_price"),
        pl.all_horizontal(null("transaction_id", "quantity", "unit_price", "created_at")),
    ],
}


@pytest.mark.parametrize(("table", "number"), [(table, number) for table in DIRT for number in range(len(DIRT[table]))])
def test_every_kind_of_dirt_occurs_but_none_at_rate_zero(dirty: Dump, clean: Dump, table: str, number: int) -> None:
    assert not dirty[table].filter(DIRT[table][number]).is_empty()
    assert clean[table].filter(DIRT[table][number]).is_empty()


@pytest.mark.parametrize("table", KEYS)
def test_ids_occur_twice_in_every_way(dirty: Dump, table: str) -> None:
    frame, key = dirty[table], KEYS[table]
    first = frame.unique(key, keep="first", maintain_order=True)
    pairs = frame.with_columns(col(key).cum_count().over(key).alias("nth")).filter(col("nth") > 1)
    both = pairs.join(first, on=key, suffix="_first")
    updated, created = col("updated_at"), col("created_at")
    tied = updated == col("updated_at_first")
    same = pl.all_horizontal(col(name).eq_missing(col(f"{name}_first")) for name in frame.columns if name != key)
    for kind in (updated > col("updated_at_first"), updated < col("updated_at_first"), updated.is_null(), same):
        assert not both.filter(kind).is_empty()
    for kind in (created > col("created_at_first"), created < col("created_at_first"), ~same):
        assert not both.filter(tied, kind).is_empty()


def test_some_sales_refer_to_rows_that_cleaning_rejects(dirty: Dump) -> None:
    sales, customers, products = dirty["sale_transactions"], dirty["customers"], dirty["products"]
    without_email = customers.filter(col("email").fill_null("").str.strip_chars() == "")
    unpriced = products.filter(col("price").fill_null(0) <= 0)
    assert not sales.join(without_email, on="customer_id", how="semi").is_empty()
    assert not sales.join(unpriced, on="product_id", how="semi").is_empty()


def test_without_dirt_no_rule_is_broken_and_text_is_clean(clean: Dump, sales: pl.DataFrame) -> None:
    for frame in clean.values():
        assert frame.drop_nulls().height == frame.height
        assert frame.filter(pl.any_horizontal(pl.col(pl.String).str.contains(f"{UNCLEAN}|^$"))).is_empty()
    assert all(clean[table][key].is_unique().all() for table, key in KEYS.items())
    assert sales["quantity"].is_between(1, 5).all()
    assert (sales["unit_price"] > 0).all()
    assert (sales["created_at"] < sales["updated_at"]).all()


@pytest.mark.parametrize("name", ["customer", "product"])
def test_without_dirt_every_sale_is_after_its_customer_and_product(clean: Dump, sales: pl.DataFrame, name: str) -> None:
    present = sales.join(clean[f"{name}s"], on=f"{name}_id", suffix="_present")
    assert present.height == sales.height
    assert (present["created_at_present"] <= present["created_at"]).all()


@pytest.mark.parametrize("column", ["customer_id", "product_id"])
def test_a_fifth_of_customers_and_products_makes_most_sales(sales: pl.DataFrame, column: str) -> None:
    counts = sales[column].value_counts(sort=True)["count"].to_list()
    assert 0.65 < sum(counts[: len(counts) // 5]) / sum(counts) < 0.95


def test_sales_grow_and_follow_seasons_weekdays_and_hours(sales: pl.DataFrame) -> None:
    moments = sales["created_at"]
    assert moments.is_sorted()
    assert moments.dt.date().n_unique() == 1_461
    years, months, weekdays = (Counter(part) for part in (moments.dt.year(), moments.dt.month(), moments.dt.weekday()))
    assert years[2021] < years[2022] < years[2023] < years[2024]
    assert list(years) == [2021, 2022, 2023, 2024]
    assert min(months[11], months[12]) > 1.3 * max(months[number] for number in range(1, 11))
    assert months[7] < min(months[5], months[9])
    assert weekdays[6] > 1.3 * max(weekdays[day] for day in range(1, 5))
    assert share(moments.dt.hour().is_between(5, 22)) > 0.95


def test_stores_channels_payments_and_prices_are_mixed(clean: Dump, sales: pl.DataFrame) -> None:
    stores = sales["store_id"].value_counts(sort=True)["count"]
    priced = sales.join(clean["products"], on="product_id")
    assert len(stores) == 5
    assert stores[0] > 2 * stores[4]
    assert set(sales["sales_channel"]) == {"In-Store", "Online", "Mobile App", "Phone"}
    assert set(sales.filter(payment_method="Cash")["sales_channel"]) == {"In-Store"}
    assert (priced["unit_price"] <= priced["price"]).all()
    assert 0.6 < share(priced["unit_price"] == priced["price"]) < 0.9


def test_customers_stay_come_and_leave_and_some_names_are_not_ascii(clean: Dump, sales: pl.DataFrame) -> None:
    buyers = sales.group_by("customer_id").agg(pl.len().alias("sales"), col("created_at").max().dt.date().alias("last"))
    often, seldom, last = col("sales") > 200, col("sales") < 5, col("last")
    assert not buyers.filter(often, last > pl.date(2024, 12, 20)).is_empty()
    assert not buyers.filter(often, last < pl.date(2024, 6, 1)).is_empty()
    assert not buyers.filter(seldom, last > pl.date(2024, 12, 1)).is_empty()
    assert 0 < share(clean["customers"]["customer_name"].str.contains(r"[^\x00-\x7f]")) < 0.2


@pytest.mark.parametrize(
    ("scale", "rate"),
    [(0, 0), (-1, 0), (math.nan, 0), (math.inf, 0), (1e6, 0), (1, -0.1), (1, 1), (1, 2), (1, math.nan)],
)
def test_a_scale_or_a_rate_out_of_bounds_is_refused(tmp_path: Path, scale: float, rate: float) -> None:
    with pytest.raises(ConfigurationError, match="dirty must be at least 0" if scale == 1 else "scale must be more"):
        write_sample(tmp_path / "dump.sql", scale=scale, dirty=rate)


@pytest.mark.parametrize(
    ("place", "message"),
    [("", "is not a file"), ("nowhere/dump.sql", "No such file"), ("file/dump.sql", "Not a dir"), ("a" * 300, "long")],
)
def test_a_path_that_cannot_be_written_is_one_clear_line(tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ShopeaseError, match=message) as raised:
        write_sample(tmp_path / place, scale=0.001)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["dump.sql", "dump.sql.gz"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / name, scale=0.001, progress=InterruptedProgress())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"
