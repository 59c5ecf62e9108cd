"""Tables in Glue are brought to what the files are, and nothing else of them is touched."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from accounts import Account
from shopease_etl.contract import meanings
from shopease_etl.contract.gold import GOLD
from shopease_etl.contract.tables import REJECTION_COLUMNS, TABLES
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.warehouse.formats import declared_tables, terraform_catalog
from shopease_etl.warehouse.glue import GlueCatalog
from shopease_etl.warehouse.schema import DATASETS, CatalogTable, csv_table

LOCATION = "s3://lake/prefix"
DATABASE = "shopease_catalog"
STORES = next(dataset for dataset in DATASETS if dataset.name == "bronze_stores")
TABLE = csv_table(STORES, ("store_id", "store_name", "City"))
DAYS = next(table for table in declared_tables() if table.name == "daily_sales_summary")
WIDER = csv_table(STORES, (*TABLE.column_names, "region"))
PARTITIONED: Final[dict[str, Any]] = {"PartitionKeys": [{"Name": "day", "Type": "string"}]}
VIEW: Final[dict[str, Any]] = {
    "TableType": "VIRTUAL_VIEW",
    "Parameters": {"presto_view": "true"},
    "ViewOriginalText": "/* */",
}
ONCE_A_VIEW: Final[dict[str, Any]] = {"TableType": "EXTERNAL_TABLE", "Parameters": {"presto_view": "true"}}
WRITABLE: Final = ("Name", "Description", "TableType", "Parameters", "StorageDescriptor", "PartitionKeys")


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


def found(glue: Any, name: str = TABLE.name) -> dict[str, Any]:
    """A table as Glue has it."""
    table: dict[str, Any] = glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]
    return table


def change(glue: Any, table: dict[str, Any], **more: Any) -> None:
    """Write a table as another program would."""
    kept = {name: table[name] for name in WRITABLE}
    glue.update_table(DatabaseName=DATABASE, TableInput={**kept, **more})


def test_a_csv_is_read_by_the_serde_that_supports_quotes(catalog: GlueCatalog, glue: Any) -> None:
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
    assert types == {column.name: column.type for column in GOLD[0].columns}
    assert "parquet" in storage["InputFormat"].lower()


def test_tables_have_descriptions_and_gold_has_comments(catalog: GlueCatalog, glue: Any) -> None:
    for table in declared_tables():
        assert put(catalog, table) == "created"
        entry = found(glue, table.name)
        assert entry["Description"] == meanings.of_table(table.name)
        comments = {column["Name"]: column.get("Comment", "") for column in entry["StorageDescriptor"]["Columns"]}
        assert comments == {column.name: meanings.of_column(table.name, column.name) for column in table.columns}
        assert all(comments.values()) == table.is_parquet


def test_a_table_of_an_older_version_gets_them_and_is_no_conflict(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, DAYS)
    whole = found(glue, DAYS.name)
    bare = [{"Name": column["Name"], "Type": column["Type"]} for column in whole["StorageDescriptor"]["Columns"]]
    for description, columns in ((whole["Description"], bare), ("", whole["StorageDescriptor"]["Columns"]), ("", bare)):
        storage = whole["StorageDescriptor"] | {"Columns": columns}
        change(glue, whole, Description=description, StorageDescriptor=storage)
        assert catalog.conflicts(DAYS, found(glue, DAYS.name)) == []
        assert put(catalog, DAYS) == "updated"
        mended = found(glue, DAYS.name)
        assert [mended[name] for name in WRITABLE] == [whole[name] for name in WRITABLE]


def test_descriptions_and_comments_of_others_stay(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, DAYS)
    table = found(glue, DAYS.name)
    table["StorageDescriptor"]["Columns"][0]["Comment"] = "the day"
    table["StorageDescriptor"]["Columns"][1]["Comment"] = ""
    change(glue, table, Description="Our days")
    assert put(catalog, DAYS) == "updated"
    assert put(catalog, DAYS) == "unchanged"
    mended = found(glue, DAYS.name)
    assert mended["Description"] == "Our days"
    comments = [column["Comment"] for column in mended["StorageDescriptor"]["Columns"]]
    assert comments[:2] == ["the day", meanings.of_column(DAYS.name, "total_transactions")]


def test_a_correct_table_is_not_updated(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    before = glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"]
    assert put(catalog, TABLE) == "unchanged"
    assert glue.get_table(DatabaseName=DATABASE, Name="bronze_stores")["Table"] == before


def test_a_new_column_is_added_and_others_entries_stay(catalog: GlueCatalog, glue: Any) -> None:
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
    ("deed", "told"),
    [
        (lambda table: table["StorageDescriptor"]["Columns"][0].update(Type="bigint"), "set of columns"),
        (lambda table: table["StorageDescriptor"].update(Location="s3://other/"), "location s3://other/"),
        (lambda table: table["StorageDescriptor"]["SerdeInfo"]["Parameters"].pop("escapeChar"), "file format"),
        (lambda table: table["Parameters"].pop("skip.header.line.count"), "set of parameters"),
        (lambda table: table.update(TableType="MANAGED_TABLE"), "table type MANAGED_TABLE"),
    ],
)
@pytest.mark.quick(3)
def test_changes_by_a_crawler_are_reported_and_repaired(catalog: GlueCatalog, glue: Any, deed: Any, told: str) -> None:
    put(catalog, TABLE)
    table = found(glue)
    deed(table)
    change(glue, table)
    assert catalog.conflicts(TABLE, catalog.tables()[TABLE.name]) == [f"bronze_stores has another {told}"]
    assert put(catalog, TABLE) == "updated"
    assert catalog.conflicts(TABLE, catalog.tables()[TABLE.name]) == []
    assert catalog.conflicts(TABLE, None) == ["bronze_stores is gone"]


def test_others_entries_on_columns_and_storage_stay(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    table = found(glue)
    storage = table["StorageDescriptor"]
    theirs = {
        "Compressed": False,
        "NumberOfBuckets": -1,
        "StoredAsSubDirectories": True,
        "Parameters": {"sizeKey": "9"},
    }
    storage |= theirs | {"SchemaReference": {"SchemaVersionId": "0" * 36}}
    storage["Columns"][2] |= {"Name": "CITY", "Comment": "where it stands"}
    storage["SerdeInfo"]["Name"] = "quoted"
    change(glue, table)
    assert put(catalog, csv_table(STORES, ("city", "store_id", "store_name", "region"))) == "updated"
    mended = found(glue)["StorageDescriptor"]
    assert theirs.items() <= mended.items()
    assert "SchemaReference" not in mended
    assert mended["Columns"][0] == {"Name": "city", "Type": "string", "Comment": "where it stands"}
    assert [column["Name"] for column in mended["Columns"]] == ["city", "store_id", "store_name", "region"]
    assert (mended["SerdeInfo"]["Name"], len(mended["SerdeInfo"]["Parameters"])) == ("quoted", 3)


@pytest.mark.parametrize(
    ("theirs", "why", "told"),
    [
        (PARTITIONED, "partitioned", ["set of partition keys"]),
        (VIEW, "a view where a table belongs", ["table type VIRTUAL_VIEW", "set of parameters"]),
        (ONCE_A_VIEW, "a view where a table belongs", ["set of parameters"]),
    ],
)
def test_differences_that_an_update_cannot_repair_are_reported_and_left(
    catalog: GlueCatalog, glue: Any, theirs: dict[str, Any], why: str, told: list[str]
) -> None:
    put(catalog, TABLE)
    table = found(glue)
    change(glue, table, **{**theirs, "Parameters": table["Parameters"] | theirs.get("Parameters", {})})
    before = found(glue)
    assert catalog.conflicts(TABLE, before) == [f"bronze_stores has another {difference}" for difference in told]
    for former in (before, None):
        with pytest.raises(DataRefusedError, match=rf"bronze_stores \({why}\)"):
            catalog.put(TABLE, former)
    assert found(glue) == before


def test_all_foreign_entries_are_named_at_once(catalog: GlueCatalog, glue: Any) -> None:
    tables = declared_tables()
    others = {"customers": {}, "products": PARTITIONED, "stores": VIEW, "else": PARTITIONED}
    for name, theirs in {tables[0].name: PARTITIONED, tables[1].name: VIEW, **others}.items():
        glue.create_table(DatabaseName=DATABASE, TableInput={"Name": name, **theirs})
    put(catalog, tables[2])
    before = catalog.tables()
    with pytest.raises(DataRefusedError) as raised:
        catalog.refuse_foreign(tables, ("customers", "products", "stores", "transactions"), before)
    partitioned, view, table = "partitioned", "a view where a table belongs", "a table where a view belongs"
    wrong = {tables[0].name: partitioned, tables[1].name: view, "customers": table, "products": table}
    assert str(raised.value).endswith(": " + ", ".join(f"{name} ({why})" for name, why in wrong.items()))
    hint = str(raised.value.hint)
    for name in wrong:
        command = f"aws glue delete-table --database-name {DATABASE} --name {name}"
        assert hint.count(f"`{command}`") == 1
        glue.delete_table(DatabaseName=DATABASE, Name=name)
    assert hint.count("delete-table") == len(wrong)
    assert "deletes no data" in hint
    catalog.refuse_foreign(tables, ("customers", "products", "stores", "transactions"), catalog.tables())


def test_concurrent_crawls_create_a_table_once(catalog: GlueCatalog, glue: Any) -> None:
    with ThreadPoolExecutor(4) as hosts:
        outcomes = list(hosts.map(lambda _: GlueCatalog(DATABASE, LOCATION).put(TABLE, None), range(4)))
    assert sorted(outcomes) == ["created", "unchanged", "unchanged", "unchanged"]
    assert catalog.conflicts(TABLE, found(glue)) == []


def test_a_table_that_another_host_created_differently_is_updated(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    assert catalog.put(WIDER, None) == "updated"
    assert catalog.conflicts(WIDER, found(glue)) == []


def test_a_table_that_another_host_updated_is_not_updated_again(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    former = found(glue)
    put(catalog, WIDER)
    mended = found(glue)
    assert catalog.put(WIDER, former) == "unchanged"
    assert found(glue) == mended


def test_concurrent_entries_of_others_are_not_lost(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    former = found(glue)
    change(glue, former, Description="Our five stores")
    assert catalog.put(WIDER, former) == "updated"
    assert catalog.conflicts(WIDER, found(glue)) == []
    assert found(glue)["Description"] == "Our five stores"


def test_a_table_that_others_keep_changing_is_an_error(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, TABLE)
    calls = catalog._client.meta.events
    calls.register("before-call.glue.UpdateTable", lambda **_: change(glue, found(glue), Description="mine"))
    with pytest.raises(UnreachableError, match=f"another process is changing {DATABASE}.bronze_stores") as raised:
        put(catalog, WIDER)
    assert "shopease crawl" in str(raised.value.hint)


def test_a_missing_database_has_a_hint(account: Account) -> None:
    assert account.client("glue").get_databases()["DatabaseList"] == []
    with pytest.raises(UnreachableError, match="no database elsewhere") as raised:
        GlueCatalog("elsewhere", LOCATION).check()
    assert "make deploy" in str(raised.value.hint)


def test_tables_of_several_pages_are_all_found(catalog: GlueCatalog, glue: Any) -> None:
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
