"""A crawl catalogues what exists, names what is missing, and keeps the old catalog when it fails."""

from pathlib import Path

import pytest

from hand_made_lake import catalogue, make_lake
from shopease_etl.contract.gold import GOLD
from shopease_etl.contract.tables import CUSTOMERS, PRODUCTS, STORES
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.report import CatalogEntry, ObjectRecord
from shopease_etl.warehouse.local_catalog import load


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return make_lake(tmp_path / "lake")


def test_everything_in_the_lake_is_catalogued_and_missing_files_are_named(lake: Path, tmp_path: Path) -> None:
    result = catalogue(lake, tmp_path / "catalog.json")
    assert CatalogEntry("bronze_transactions", "table", 16, 100) in result.catalogued
    assert CatalogEntry("transactions", "view", 16, 100) in result.catalogued
    assert CatalogEntry("customer_analytics", "table", 16, 10) in result.catalogued
    assert CatalogEntry("inventory", "view", 7, 0) in result.catalogued
    assert len(result.catalogued) == 6 + 3 + 1 + len(GOLD) + 6
    assert list(result.skipped) == ["quarantine_products", "quarantine_transactions"]
    assert "shopease clean" in result.skipped["quarantine_products"]


def test_recorded_rows_are_used_if_the_size_is_the_recorded_one(lake: Path, tmp_path: Path) -> None:
    size = (lake / CUSTOMERS.silver_key).stat().st_size
    recorded = {
        CUSTOMERS.silver_key: ObjectRecord(size, 4321, 0, "run"),
        CUSTOMERS.bronze_key: ObjectRecord(size + 1, 4321, 0, "run"),
    }
    result = catalogue(lake, tmp_path / "catalog.json", recorded=recorded)
    rows = {entry.name: entry.rows for entry in result.catalogued}
    assert rows["silver_customers"] == rows["customers"] == 4321
    assert rows["bronze_customers"] != 4321


def test_a_view_whose_base_is_missing_is_not_catalogued(lake: Path, tmp_path: Path) -> None:
    (lake / PRODUCTS.silver_key).unlink()
    result = catalogue(lake, tmp_path / "catalog.json")
    assert "products" not in {entry.name for entry in result.catalogued}
    assert result.skipped["products"] == "a view on silver_products, which is missing"


@pytest.mark.parametrize("folder", ["nothing", "."])
def test_an_empty_lake_says_how_to_fill_it(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ShopeaseError, match="nothing to catalogue") as raised:
        catalogue(tmp_path / folder, tmp_path / "catalog.json")
    assert (raised.value.exit_code, raised.value.hint) == (1, "run `shopease run-all`")


@pytest.mark.parametrize(
    ("key", "cut", "command"),
    [
        (GOLD[0].key, 30, "shopease aggregate"),
        (GOLD[1].key, 10**9, "shopease aggregate"),
        (CUSTOMERS.silver_key, 5, "shopease clean"),
        (CUSTOMERS.bronze_key, 5, "shopease extract"),
        (STORES.bronze_key, 170, "shopease extract"),
    ],
)
def test_a_file_that_is_cut_off_is_named_and_the_catalog_stays(
    lake: Path, tmp_path: Path, key: str, cut: int, command: str
) -> None:
    catalogue(lake, tmp_path / "catalog.json")
    before = (tmp_path / "catalog.json").read_bytes()
    path = lake / key
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ShopeaseError) as raised:
        catalogue(lake, tmp_path / "catalog.json")
    assert str(path) in str(raised.value)
    assert command in str(raised.value.hint)
    assert (tmp_path / "catalog.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "no columns"), (b"\xff,b\n", "header"), (b'a,"b\n1,2\n', "middle of a quoted name")],
)
def test_a_header_that_cannot_be_catalogued_is_refused(lake: Path, tmp_path: Path, content: bytes, reason: str) -> None:
    (lake / STORES.bronze_key).write_bytes(content)
    with pytest.raises(DataRefusedError, match=reason):
        catalogue(lake, tmp_path / "catalog.json")


def test_the_catalog_holds_what_was_found(lake: Path, tmp_path: Path) -> None:
    catalogue(lake, tmp_path / "catalog.json")
    catalog = load(tmp_path / "catalog.json")
    assert catalog.lake == str(lake.resolve())
    (stores,) = (table for table in catalog.tables if table.name == "bronze_stores")
    assert (stores.folder, stores.keys) == ("bronze/stores/", ("bronze/stores/stores.csv",))
    assert {column.type for column in stores.columns} == {"string"}


def test_an_unexpected_file_is_warned_of(lake: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (lake / "bronze" / "stores" / "old.csv").write_text("x\n")
    (lake / "bronze" / "stores" / "_note").write_text("x\n")
    catalogue(lake, tmp_path / "catalog.json")
    assert [record.getMessage().partition(" is not of")[0] for record in caplog.records] == [
        str(lake / "bronze" / "stores" / "old.csv")
    ]
