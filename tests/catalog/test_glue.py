"""Tables in Glue are brought to what the files are, and nothing else of them is touched."""

from typing import Any

import pytest

from accounts import Account
from shopease_etl.catalog.formats import declared_tables, terraform_catalog
from shopease_etl.catalog.glue import GlueCatalog
from shopease_etl.catalog.schema import DATASETS, CatalogTable, csv_table
from shopease_etl.errors import UnreachableError
from shopease_etl.tables import GOLD_TABLES, REJECTION_COLUMNS, TABLES

LOCATION = "s3://lake/prefix"
DATABASE = "shopease_catalog"
STORES = next(dataset for dataset in DATASETS if dataset.name == "bronze_stores")
TABLE = csv_table(STORES, ("store_id", "store_name", "City"))


@pytest.fixture
def glue(account: Account) -> Any:
    """The account's Glue, with an empty database."""
    client = account.client("glue")
    client.create_database(DatabaseInput={"Name": DATABASE})
    return client


@pytest.fixture
def catalog(glue: Any) -> GlueCatalog:
    assert glue.get_tables(DatabaseName=DATABASE)["TableList"] == []
    return GlueCatalog(DATABASE, LOCATION)


def put(catalog: GlueCatalog, table: CatalogTable) -> str:
    return catalog.put(table, catalog.tables().get(table.name))


def test_a_csv_is_read_by_the_serde_that_knows_quotes(catalog: GlueCatalog, glue: Any) -> None:
    assert put(catalog, TABLE) == "created"
    table = glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"]
    storage = table["StorageDescriptor"]
    assert storage["Location"] == "s3://lake/prefix/bronze/stores/"
    assert storage["SerdeInfo"]["SerializationLibrary"].endswith("OpenCSVSerde")
    assert storage["SerdeInfo"]["Parameters"] == {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\x01"}
    assert storage["Columns"] == [{"Name": name, "Type": "string"} for name in ("store_id", "store_name", "city")]
    assert (table["TableType"], table["Parameters"]["skip.header.line.count"]) == ("EXTERNAL_TABLE", "1")


def test_gold_has_its_types(catalog: GlueCatalog, glue: Any) -> None:
    (days,) = (table for table in declared_tables() if table.name == "daily_sales_summary")
    put(catalog, days)
    storage = glue.get_table(DatabaseName=DATABASE, Name="daily_sales_summary")["Table"]["StorageDescriptor"]
    types = {column["Name"]: column["Type"] for column in storage["Columns"]}
    assert types == {column.name: column.type for column in GOLD_TABLES[0].columns}
    assert "parquet" in storage["InputFormat"].lower()


def test_what_is_as_it_should_be_is_left_alone(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    before = glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"]
    assert put(catalog, TABLE) == "unchanged"
    assert glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"] == before


def test_a_new_column_shows_up_and_what_others_wrote_stays(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    made = glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"]
    theirs = {"averageRecordSize": "12"} | made["Parameters"]
    glue.update_table(
        DatabaseName=DATABASE,
        TableInput={
            "Name": "bronze_stores",
            "Description": "Our five stores",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": theirs,
            "StorageDescriptor": made["StorageDescriptor"],
        },
    )
    assert put(catalog, csv_table(STORES, (*TABLE.column_names, "region"))) == "updated"
    table = glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"]
    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]][-1] == "region"
    assert (table["Description"], table["Parameters"]["averageRecordSize"]) == ("Our five stores", "12")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table["StorageDescriptor"]["Columns"][0].update(Type="bigint"), "set of columns"),
        (lambda table: table["StorageDescriptor"].update(Location="s3://other/"), "location s3://other/"),
        (lambda table: table["StorageDescriptor"]["SerdeInfo"]["Parameters"].pop("escapeChar"), "file format"),
        (lambda table: table["Parameters"].pop("skip.header.line.count"), "set of parameters"),
    ],
)
def test_what_a_crawler_would_change_is_told_and_mended(
    catalog: GlueCatalog, glue: Any, change: Any, told: str
) -> None:
    put(catalog, TABLE)
    table = glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"]
    change(table)
    kept = {name: table[name] for name in ("Name", "TableType", "Parameters", "StorageDescriptor")}
    glue.update_table(DatabaseName=DATABASE, TableInput=kept)
    assert catalog.drifts(TABLE, catalog.tables()[TABLE.name]) == [f"bronze_stores has another {told}"]
    assert put(catalog, TABLE) == "updated"
    assert catalog.drifts(TABLE, catalog.tables()[TABLE.name]) == []
    assert catalog.drifts(TABLE, None) == ["bronze_stores is gone"]


def test_a_database_that_is_not_there_names_the_way_out(account: Account) -> None:
    assert account.client("glue").get_databases()["DatabaseList"] == []
    with pytest.raises(UnreachableError, match="no database elsewhere") as raised:
        GlueCatalog("elsewhere", LOCATION).check()
    assert "make deploy" in str(raised.value.hint)


def test_more_tables_than_a_page_are_all_seen(catalog: GlueCatalog, glue: Any) -> None:
    names = [f"t{number:03}" for number in range(120)]
    for name in names:
        glue.create_table(DatabaseName=DATABASE, TableInput={"Name": name})
    assert sorted(catalog.tables()) == names


def test_terraform_declares_each_dataset_with_the_contracts_columns() -> None:
    tables = terraform_catalog()["tables"]
    assert list(tables) == [dataset.name for dataset in DATASETS]
    columns = {name: [column["name"] for column in table["columns"]] for name, table in tables.items()}
    for table in TABLES:
        assert columns[f"bronze_{table.name}"] == [column.name for column in table.columns]
    assert columns["silver_transactions"][6:7] == ["total_amount"]
    assert tuple(columns["quarantine_products"][-2:]) == REJECTION_COLUMNS
    assert {column["type"] for column in tables["silver_transactions"]["columns"]} == {"string"}
