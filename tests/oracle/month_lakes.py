"""Lakes by month against PostgreSQL's own COPY and the plain implementation of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import plain_gold
from plain_values import read_csv
from test_dirty_sources import assert_same_csv, assert_same_gold, bronze_of, expected_of

from by_month import FILES, Lake, by_month, month_of, require_true_manifests, same_rows, whole, without_ids

RUN: str = "RUN"


@dataclass(frozen=True)
class Moment:
    """What the source had when it was read: the CSV of the tables that are cleaned, with times in the zone."""

    zone: str
    tables: Mapping[str, bytes]

    @classmethod
    def of(cls, url: str, zone: str) -> "Moment":
        """What the source has now."""
        return cls(zone, bronze_of(url, zone))


def require_lake_of(moment: Moment, folder: Path, layout: str, *, is_reordered: bool = False) -> Lake:
    """The lake in a folder has what the source had, cleaned and added up as the contract says; returns it."""
    lake = Lake.at(folder)
    sales = moment.tables["transactions"]
    bronze, expected = lake.sales("bronze"), by_month(sales) if layout == "month" else {None: sales}
    assert bronze.keys() == expected.keys()
    for month, data in expected.items():
        assert same_rows(bronze[month], data), month
        assert is_reordered or bronze[month] == data, f"{month}: other order"
    for table in ("customers", "products"):
        assert lake.objects[f"bronze/{table}/{table}.csv"] == moment.tables[table]
    made = expected_of({**moment.tables, "transactions": whole(bronze)}, moment.zone, RUN)
    for table, cleaned in made.cleaned.items():
        if table != "transactions":
            assert lake.objects[f"silver/{table}/{table}_cleaned.csv"] == cleaned.silver
            found = lake.objects[f"quarantine/{table}/{table}_rejected.csv"]
            assert without_ids(found) == without_ids(cleaned.quarantine)
    assert_same_csv(whole(lake.sales("silver")), made.cleaned["transactions"].silver)
    assert without_ids(whole(lake.sales("quarantine"))) == without_ids(made.cleaned["transactions"].quarantine)
    assert not plain_gold.too_large(made.gold)
    assert_same_gold(folder, made)
    _require_months(lake, layout)
    require_true_manifests(lake)
    return lake


def _require_months(lake: Lake, layout: str) -> None:
    """All layers have the same months, and each file only rows of its month; the state is of these months, too."""
    months = lake.sales("bronze").keys()
    assert [layer for layer in FILES if lake.sales(layer).keys() != months] == []
    if layout == "month":
        for layer in FILES:
            for month, data in lake.sales(layer).items():
                (names, *rows) = read_csv(data)
                place = names.index("created_at")
                assert {month_of(row[place]) for row in rows} <= {month}, (layer, month)
    assert {key.split("/")[2] for key in lake.objects if key.startswith("_state/")} <= {
        f"sale_month={month}" for month in months
    }
