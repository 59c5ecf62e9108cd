"""Tables by month in Glue: a partition for each month and no other, and the change between the two layouts."""

from collections.abc import Mapping
from typing import Any

import pytest

from accounts import Account
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.warehouse.glue import GlueCatalog
from shopease_etl.warehouse.schema import DATASETS, CatalogTable, csv_table

LOCATION = "s3://lake/prefix"
DATABASE = "shopease_catalog"
NAME = "silver_transactions"
SALES = next(dataset for dataset in DATASETS if dataset.name == NAME)
COLUMNS = ("transaction_id", "quantity")
WHOLE = csv_table(SALES, COLUMNS)


@pytest.fixture
def glue(account: Account) -> Any:
    client = account.client("glue")
    client.create_database(DatabaseInput={"Name": DATABASE})
    return client


@pytest.fixture
def catalog(glue: Any) -> GlueCatalog:
    assert glue.get_tables(DatabaseName=DATABASE)["TableList"] == []
    return GlueCatalog(DATABASE, LOCATION)


def by_month(*months: str, columns: tuple[str, ...] = COLUMNS) -> CatalogTable:
    return csv_table(SALES, columns, [TRANSACTIONS.in_month(month).silver_key for month in months])


def put(catalog: GlueCatalog, table: CatalogTable) -> str:
    return catalog.put(table, catalog.tables().get(table.name))


def found(glue: Any) -> dict[str, Any]:
    table: dict[str, Any] = glue.get_table(DatabaseName=DATABASE, Name=NAME)["Table"]
    return table


def partitions(glue: Any) -> dict[str, dict[str, Any]]:
    answer = glue.get_partitions(DatabaseName=DATABASE, TableName=NAME)["Partitions"]
    return {partition["Values"][0]: partition for partition in answer}


def change_partition(glue: Any, month: str, **storage: Any) -> None:
    """Write a partition as another program would."""
    former = partitions(glue)[month]["StorageDescriptor"]
    given = {"Values": [month], "StorageDescriptor": {**former, **storage}, "Parameters": {"recordCount": "7"}}
    entries = [{"PartitionValueList": [month], "PartitionInput": given}]
    glue.batch_update_partition(DatabaseName=DATABASE, TableName=NAME, Entries=entries)


def calls(catalog: GlueCatalog) -> list[str]:
    """The names of the calls that write, as they are made from now on."""
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        if not model.name.startswith("Get"):
            made.append(model.name)

    catalog._client.meta.events.register("before-call.glue", note)
    return made


def test_each_month_is_a_partition_and_unchanged_ones_are_not_touched(catalog: GlueCatalog, glue: Any) -> None:
    assert put(catalog, by_month("2024-11", "none")) == "created"
    table, both = found(glue), partitions(glue)
    assert table["PartitionKeys"] == [{"Name": "sale_month", "Type": "string"}]
    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]] == [*COLUMNS]
    locations = {month: partition["StorageDescriptor"]["Location"] for month, partition in both.items()}
    folder = f"{LOCATION}/silver/transactions"
    assert locations == {month: f"{folder}/sale_month={month}/" for month in ("2024-11", "none")}
    assert both["none"]["StorageDescriptor"] == {**table["StorageDescriptor"], "Location": locations["none"]}
    made = calls(catalog)
    assert put(catalog, by_month("2024-11", "none")) == "unchanged"
    assert made == []
    assert put(catalog, by_month("2024-11", "2024-12", "none")) == "updated"
    assert made == ["BatchCreatePartition"]
    assert {**partitions(glue), "2024-12": None} == {**both, "2024-12": None}
    assert put(catalog, by_month("2024-12")) == "updated"
    assert made[1:] == ["DeletePartition"] * 2
    assert [*partitions(glue)] == ["2024-12"]


def test_hundreds_of_partitions_are_written_in_several_requests(catalog: GlueCatalog, glue: Any) -> None:
    months = [f"{year}-{month:02}" for year in range(2000, 2018) for month in range(1, 13)]
    made = calls(catalog)
    put(catalog, by_month(*months))
    assert put(catalog, by_month(*months, columns=(*COLUMNS, "more"))) == "updated"
    assert made == ["CreateTable", *["BatchCreatePartition"] * 3, "UpdateTable", *["BatchUpdatePartition"] * 3]
    columns = {len(partition["StorageDescriptor"]["Columns"]) for partition in partitions(glue).values()}
    assert (len(partitions(glue)), columns) == (216, {3})


def test_changed_partitions_are_reported_and_repaired(catalog: GlueCatalog, glue: Any) -> None:
    table = by_month("2024-11", "2024-12")
    put(catalog, table)
    columns = [{"Name": "transaction_id", "Type": "string", "Comment": "ours"}, {"Name": "quantity", "Type": "bigint"}]
    change_partition(glue, "2024-11", Columns=columns, NumberOfBuckets=-1)
    glue.delete_partition(DatabaseName=DATABASE, TableName=NAME, PartitionValues=["2024-12"])
    extra = {"Values": ["2025-01"], "StorageDescriptor": {"Location": "s3://other/"}}
    glue.batch_create_partition(DatabaseName=DATABASE, TableName=NAME, PartitionInputList=[extra])
    conflicts = [f"{NAME} has another partition {month}" for month in ("2024-12", "2025-01", "2024-11")]
    assert catalog.conflicts(table, found(glue)) == conflicts
    assert put(catalog, table) == "updated"
    assert catalog.conflicts(table, found(glue)) == []
    mended = partitions(glue)["2024-11"]
    assert mended["Parameters"] == {"recordCount": "7"}
    assert (mended["StorageDescriptor"]["NumberOfBuckets"], mended["StorageDescriptor"]["Columns"]) == (
        -1,
        [columns[0], {"Name": "quantity", "Type": "string"}],
    )


@pytest.mark.parametrize(("former", "wanted"), [(WHOLE, by_month("2024-11")), (by_month("2024-11", "none"), WHOLE)])
def test_a_table_of_the_lake_is_replaced_when_the_layout_changes(
    catalog: GlueCatalog, glue: Any, former: CatalogTable, wanted: CatalogTable
) -> None:
    put(catalog, former)
    table = found(glue)
    table["StorageDescriptor"]["Columns"][0]["Comment"] = "the key"
    kept = {name: table[name] for name in ("Name", "TableType", "StorageDescriptor", "PartitionKeys")}
    more = {"Description": "All sales", "Parameters": {**table["Parameters"], "owner": "us"}}
    glue.update_table(DatabaseName=DATABASE, TableInput={**kept, **more})
    catalog.refuse_foreign([former, wanted], (), catalog.tables())
    assert put(catalog, wanted) == "replaced"
    made = found(glue)
    assert (made["Description"], made["Parameters"]["owner"]) == ("All sales", "us")
    assert made["StorageDescriptor"]["Columns"][0]["Comment"] == "the key"
    assert partitions(glue).keys() == wanted.months.keys()
    assert catalog.conflicts(wanted, made) == []
    assert put(catalog, wanted) == "unchanged"


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        ({"PartitionKeys": [{"Name": "sale_month", "Type": "date"}]}, "partitioned"),
        ({"PartitionKeys": [{"Name": "day", "Type": "string"}]}, "partitioned"),
        ({"StorageDescriptor": {"Location": "s3://other/silver/transactions/"}}, "not partitioned"),
        ({"TableType": "MANAGED_TABLE"}, "not partitioned"),
    ],
)
def test_a_table_of_others_is_not_replaced(
    catalog: GlueCatalog, glue: Any, theirs: Mapping[str, Any], why: str
) -> None:
    ours = {"TableType": "EXTERNAL_TABLE", "StorageDescriptor": {"Location": f"{LOCATION}/silver/transactions"}}
    glue.create_table(DatabaseName=DATABASE, TableInput={"Name": NAME, **ours, **theirs})
    before = found(glue)
    with pytest.raises(DataRefusedError, match=rf"{NAME} \({why}\)"):
        put(catalog, by_month("2024-11"))
    assert found(glue) == before


@pytest.mark.parametrize("former", [None, WHOLE, by_month("2024-10", "2024-11"), by_month("2024-11", "none")])
def test_table_and_partitions_are_restored(catalog: GlueCatalog, glue: Any, former: CatalogTable | None) -> None:
    if former:
        put(catalog, former)
    before = catalog.tables()
    months = catalog.partitions(before, [NAME])
    for wanted in (by_month("2024-11", "2024-12", columns=(*COLUMNS, "more")), WHOLE):
        put(catalog, wanted)
        catalog.restore_tables(before, months, [NAME])
        if former:
            assert catalog.conflicts(former, found(glue)) == []
            assert partitions(glue).keys() == former.months.keys()
    glue.delete_table(DatabaseName=DATABASE, Name=NAME)
    catalog.restore_tables(before, months, [NAME])
    assert [*catalog.tables()] == [NAME] * (former is not None)


def test_partitions_of_others_are_restored_too(catalog: GlueCatalog, glue: Any) -> None:
    put(catalog, by_month("2024-11"))
    theirs = [{"Values": ["2025-01"], "StorageDescriptor": {"Location": "s3://other/"}}, {"Values": ["2025-02"]}]
    glue.batch_create_partition(DatabaseName=DATABASE, TableName=NAME, PartitionInputList=theirs)
    before = catalog.tables()
    months = catalog.partitions(before, [NAME])
    put(catalog, by_month("2024-11", "2025-01"))
    catalog.restore_tables(before, months, [NAME])
    restored = partitions(glue)
    assert restored.keys() == {"2024-11", "2025-01", "2025-02"}
    assert restored["2025-01"]["StorageDescriptor"]["Location"] == "s3://other/"


def test_partitions_that_others_change_meanwhile_are_an_error(catalog: GlueCatalog, glue: Any) -> None:
    table = by_month("2024-11")
    put(catalog, table)
    theirs = {"Values": ["2024-12"], "StorageDescriptor": {}}
    new = {"DatabaseName": DATABASE, "TableName": NAME, "PartitionInputList": [theirs]}
    glue.batch_create_partition(**new)
    events = catalog._client.meta.events
    events.register("after-call.glue.DeletePartition", lambda **_: glue.batch_create_partition(**new))
    with pytest.raises(UnreachableError, match=f"partitions of {DATABASE}.{NAME} .* another process") as raised:
        put(catalog, table)
    assert "shopease crawl" in str(raised.value.hint)


def test_a_partition_that_another_host_has_just_created_is_compared(catalog: GlueCatalog, glue: Any) -> None:
    table = by_month("2024-11", "2024-12")
    put(catalog, table)
    glue.delete_partition(DatabaseName=DATABASE, TableName=NAME, PartitionValues=["2024-12"])
    there = catalog._partitions.found(NAME)
    put(catalog, table)
    wanted = catalog._storage_of_months(table)
    errors = [error["ErrorCode"] for error in catalog._partitions._put(NAME, wanted, there)]
    assert errors == ["AlreadyExistsException"]
    assert catalog._partitions.put(NAME, wanted) is False
