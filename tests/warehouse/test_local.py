"""The catalog's file: written whole, read only when it is one of ours."""

import json
from pathlib import Path

import pytest

from shopease_etl.contract.tables import CUSTOMERS
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.lake.local import LocalStore
from shopease_etl.warehouse.local import LocalWarehouse
from shopease_etl.warehouse.local_catalog import LocalCatalog, catalog_path, load, save
from shopease_etl.warehouse.schema import DATASETS, csv_table, typed_view

TABLE = csv_table(DATASETS[0], ("customer_id", 'ä "b"'))
CATALOG = LocalCatalog("shopease_catalog", "/lake", (TABLE,), (typed_view(CUSTOMERS, TABLE, "shopease_catalog"),))


def test_a_saved_catalog_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "home" / "catalog" / "x.json"
    save(CATALOG, path)
    save(CATALOG, path)
    assert load(path) == CATALOG
    assert [entry.name for entry in path.parent.iterdir()] == ["x.json"]


def test_the_tables_are_those_of_the_catalog(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    save(CATALOG, path)
    found = LocalWarehouse(LocalStore(tmp_path), tmp_path, path, "shopease_catalog").tables()
    assert [(table.name, table.is_view) for table in found] == [
        ("bronze_customers", False),
        ("customers", True),
    ]
    assert [(column.name, column.type) for column in found[0].columns] == [
        ("customer_id", "string"),
        ('ä "b"', "string"),
    ]
    assert (found[1].columns[0].name, found[1].columns[0].type) == ("customer_id", "bigint")


def test_each_lake_and_database_has_its_own_file(tmp_path: Path) -> None:
    paths = {catalog_path(tmp_path, name, tmp_path / lake) for name in ("a", "b") for lake in ("x", "y")}
    assert len(paths) == 4
    assert catalog_path(tmp_path, "a", tmp_path / "x" / ".." / "x") in paths
    with pytest.raises(ConfigurationError):
        catalog_path(tmp_path, "../a", tmp_path)


def test_a_missing_catalog_hints_at_crawl(tmp_path: Path) -> None:
    with pytest.raises(ShopeaseError) as raised:
        load(tmp_path / "none.json")
    assert raised.value.hint == "run `shopease crawl`, or `shopease run-all` if the lake is empty"


GOOD = {"schema_version": 1, "database": "d", "lake": "/l", "views": []}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        json.dumps({**GOOD, "schema_version": 3, "tables": []}).encode(),
        json.dumps(GOOD).encode(),
        json.dumps({**GOOD, "tables": 5}).encode(),
        json.dumps(
            {**GOOD, "tables": [{"name": "x", "key": "bronze/x/x.csv", "columns": [{"name": 1, "type": "string"}]}]}
        ).encode(),
        json.dumps({**GOOD, "tables": [{"name": "x", "key": "bronze/../../etc/passwd", "columns": []}]}).encode(),
        json.dumps({**GOOD, "tables": [{"name": "x", "key": "/etc/passwd", "columns": []}]}).encode(),
    ],
)
def test_an_unreadable_catalog_hints_at_crawl(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ShopeaseError, match=r"cannot read the catalog .*x\.json") as raised:
        load(tmp_path / "x.json")
    assert raised.value.hint == "run `shopease crawl`"
