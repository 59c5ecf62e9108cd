"""What must not change unless allowed: drift, shrinkage, and which manifests count."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.layout import dataset_of
from shopease_etl.contract.tables import CUSTOMERS, PRODUCTS, STORES, TRANSACTIONS, Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.store import put_stream
from shopease_etl.pipeline.guards import (
    Baseline,
    drift,
    read_baseline,
    require_few_rejected,
    require_no_drift,
    require_no_shrink,
    require_within_limits,
)
from shopease_etl.pipeline.plan import Overrides
from shopease_etl.pipeline.wiring import RunLimits
from shopease_etl.report import DatasetResult, RunResult, SourceInfo, StageResult, Status
from shopease_etl.source.postgres import SourceTable

NO_SAMPLE: Mapping[str, str | None] = {}
names = st.text(st.sampled_from('abcé "\n'), min_size=1, max_size=3)
types = st.sampled_from(["text", "bigint", "numeric(10,2)", "double precision"])
schemas = st.dictionaries(names, types, max_size=6)
shares = st.floats(0, 1)


def source(columns: Mapping[str, str], name: str = "customers") -> SourceTable:
    """A table of the source with these columns and types."""
    return SourceTable(
        "public", name, tuple(columns), bytes=0, is_readable=True, is_plain=True, types=tuple(columns.values())
    )


def seen(columns: Mapping[str, str], name: str = "customers", run_id: str = "earlier") -> Baseline:
    return Baseline(columns={name: (run_id, dict(columns))})


def dataset(table: Table, rows: int, layer: str = "bronze") -> DatasetResult:
    key = table.bronze_key if layer == "bronze" else table.silver_key
    return DatasetResult(layer, table.name, key, rows, rows, bytes=1, sha256="")


def extracted(**rows: int) -> StageResult:
    by_name = {table.name: table for table in (CUSTOMERS, PRODUCTS, STORES, TRANSACTIONS)}
    return StageResult("extract", 0, tuple(dataset(by_name[name], count) for name, count in rows.items()))


def had(**rows: int) -> Baseline:
    found = {dataset_of(item.key): ("earlier", item.rows_out) for item in extracted(**rows).datasets}
    return Baseline(rows=found)


def refusal(before: Baseline, stage: StageResult, share: float) -> DataRefusedError | None:
    try:
        require_no_shrink(before, stage, share)
    except DataRefusedError as error:
        return error
    return None


@given(schemas, st.randoms())
def test_another_order_of_columns_is_not_drift(columns: dict[str, str], random: Any) -> None:
    shuffled = random.sample(sorted(columns.items()), len(columns))
    assert drift(seen(columns), {"customers": source(dict(shuffled))}) == ()


@given(schemas, schemas)
def test_drift_turns_one_schema_into_the_other(before: dict[str, str], now: dict[str, str]) -> None:
    found = drift(seen(before), {"customers": source(now)})
    assert (found == ()) == (before == now)
    for item in found:
        kept = {name: kind for name, kind in before.items() if name not in item.dropped}
        retyped = {name: kind for name, (_, kind) in item.retyped.items()}
        assert {**kept, **retyped, **item.added} == now
        (back,) = drift(seen(now), {"customers": source(before)})
        assert (back.added, back.dropped) == (item.dropped, item.added)
        assert len(item.changes()) == len(item.added) + len(item.dropped) + len(item.retyped)
        assert [change for change in item.changes() if "\n" in change] == []


def test_drift_is_refused_with_a_sample_row() -> None:
    before = {"id": "bigint", "phone": "text", "price": "numeric(10,2)"}
    now = source({"price": "double precision", "id": "bigint", "loyalty": "text"})
    row = {"price": "1.5", "id": None, "loyalty": "gold\nand " + "silver" * 20}
    with pytest.raises(DataRefusedError) as caught:
        require_no_drift(seen(before), {"customers": now, "stores": source({"x": "text"}, "stores")}, lambda _: row)
    assert str(caught.value) == (
        "the source's schema has changed since run earlier: customers: column loyalty text added; phone text dropped; "
        "price numeric(10,2) is now double precision"
    )
    assert (caught.value.exit_code, caught.value.hint) == (3, "to continue, use --accept-drift")
    (last,) = caught.value.details
    assert last.startswith(r"customers, a row: price='1.5', id=NULL, loyalty='gold\nand silver")
    assert len(last) < 120


def test_every_drifted_table_is_named_and_only_those_are_sampled() -> None:
    before = Baseline({name: (f"run of {name}", {"id": "int"}) for name in ("customers", "products", "stores")})
    now = {
        name: source({"id": kind}, name)
        for name, kind in (("customers", "int"), ("products", "text"), ("stores", "date"))
    }
    sampled: list[str] = []

    def sample(table: SourceTable) -> Mapping[str, str | None]:
        sampled.append(table.name)
        return NO_SAMPLE

    with pytest.raises(
        DataRefusedError, match=r"since run run of products, run of stores: products: .*; stores: "
    ) as caught:
        require_no_drift(before, now, sample)
    assert sampled == ["products", "stores"]
    assert "stores, a row: there is none" in caught.value.details


def test_a_table_without_a_baseline_is_accepted() -> None:
    require_no_drift(Baseline(), {"customers": source({"id": "int"})}, lambda _: NO_SAMPLE)
    require_no_drift(seen({"id": "int"}), {}, lambda _: NO_SAMPLE)
    assert refusal(Baseline(), extracted(customers=0), 0) is None


@given(st.integers(1, 10**12), st.integers(0, 10**12), shares)
def test_a_table_that_does_not_shrink_is_never_refused(before: int, more: int, share: float) -> None:
    assert refusal(had(customers=before), extracted(customers=before + more), share) is None


@given(st.integers(1, 10**12), shares)
@example(1, 1.0)
def test_a_table_that_became_empty_is_always_refused(before: int, share: float) -> None:
    assert refusal(had(customers=before), extracted(customers=0), share)


@given(st.integers(max_value=0), st.integers(min_value=0), shares)
def test_a_table_that_was_empty_may_have_any_size(before: int, now: int, share: float) -> None:
    assert refusal(had(customers=before), extracted(customers=now), share) is None


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 100))
def test_the_share_is_exact(before: int, now: int, percent: int) -> None:
    is_too_much = 100 * (before - now) > percent * before
    assert (refusal(had(customers=before), extracted(customers=now), percent / 100) is not None) == is_too_much


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6), shares, shares)
def test_fewer_rows_or_a_smaller_share_are_refused_as_well(
    before: int, now: int, other: int, share: float, larger: float
) -> None:
    fewer, more = sorted((now, other))
    if refusal(had(customers=before), extracted(customers=more), share):
        assert refusal(had(customers=before), extracted(customers=fewer), share)
    if refusal(had(customers=before), extracted(customers=now), max(share, larger)):
        assert refusal(had(customers=before), extracted(customers=now), min(share, larger))


def test_all_tables_that_shrank_are_in_one_error() -> None:
    before = had(customers=1000, products=1000, stores=5)
    error = refusal(before, extracted(customers=799, products=800, stores=0, transactions=0), 0.2)
    assert error
    assert str(error) == (
        "there is much less data than before: bronze customers has 799 rows, 1,000 in run earlier; "
        "bronze stores has 0 rows, 5 in run earlier"
    )
    hint = "use --allow-shrink, or, if no table is empty, raise SHOPEASE_MAX_SHRINK"
    assert (error.exit_code, error.hint) == (3, hint)
    assert error.details == ("SHOPEASE_MAX_SHRINK allows 20% less than in the last run, and no table to become empty",)


@given(st.integers(0, 1000), st.integers(0, 1000), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_no_more_than_the_share_of_rows_may_be_rejected(kept: int, rejected: int, share: float) -> None:
    rules = {"missing_x": rejected - rejected // 3, "invalid_x": rejected // 3}
    silver = DatasetResult("silver", "products", PRODUCTS.silver_key, kept + rejected, kept, 1, "", rules)
    stage = StageResult("clean", 0, (silver,))
    if rejected <= Decimal(str(share)) * (kept + rejected):
        require_few_rejected(stage, share)
        return
    with pytest.raises(DataRefusedError, match=f"products: {rejected:,} of ") as caught:
        require_few_rejected(stage, share)
    assert f"(missing_x {rules['missing_x']:,}" in str(caught.value)
    assert "--allow-rejects" in str(caught.value.hint)


@given(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100))
def test_rejected_rows_are_refused_first_and_are_not_lost_rows_if_allowed(was: int, kept: int, bad: int) -> None:
    before = Baseline(rows={dataset_of(TRANSACTIONS.silver_key): ("r", was)}, revenue=("r", Decimal(was)))
    silver = DatasetResult(
        "silver", "transactions", TRANSACTIONS.silver_key, kept + bad, kept, 1, "", {"missing_x": bad} if bad else {}
    )
    stages = (StageResult("clean", 0, (silver,)), aggregated(Decimal(kept)))

    def refused(consent: Overrides) -> list[str]:
        found = []
        for stage in stages:
            try:
                require_within_limits(
                    before, stage, stages, consent, RunLimits(None, None, None, shrink=0.2, rejected=0.5)
                )
            except DataRefusedError as error:
                found.append(str(error).partition(":")[0])
        return found

    is_bad, is_shrunk = 2 * bad > kept + bad, "there is much less data than before"
    assert refused(Overrides(allow_shrink=True)) == (["too many rows are rejected"] if is_bad else [])
    assert refused(Overrides())[:1] == (
        ["too many rows are rejected"] if is_bad else [is_shrunk] * (10 * kept < 8 * was or not kept)
    )
    lost_rows = not kept + bad or 10 * (kept + bad) < 8 * was
    lost_revenue = not is_bad and 10 * kept < 8 * was
    assert refused(Overrides(allow_rejects=True)) == [is_shrunk] * (lost_rows + lost_revenue)


def test_silver_may_not_shrink_and_quarantine_may() -> None:
    before = Baseline(rows=dict.fromkeys(map(dataset_of, (PRODUCTS.silver_key, PRODUCTS.quarantine_key)), ("r", 9)))
    rejects = DatasetResult("quarantine", "products", PRODUCTS.quarantine_key, 0, 0, 1, "")
    assert refusal(before, StageResult("clean", 0, (dataset(PRODUCTS, 9, "silver"), rejects)), 0) is None
    assert refusal(before, StageResult("clean", 0, (dataset(PRODUCTS, 8, "silver"), rejects)), 0)


@pytest.mark.parametrize(
    ("before", "now", "is_refused"),
    [
        ("100.00", "80.00", False),
        ("100.00", "79.99", True),
        ("100.00", "0", True),
        ("0.00", "0", False),
        ("-5.00", "-50", False),
        ("10000000000000000000000000000000.01", "8000000000000000000000000000000.00", True),
    ],
)
def test_revenue_may_not_shrink(before: str, now: str, is_refused: bool) -> None:
    stage = StageResult("aggregate", 0, reconciliation={"silver_revenue": Decimal(now)})
    error = refusal(Baseline(revenue=("earlier", Decimal(before))), stage, 0.2)
    assert (error is not None) == is_refused
    assert refusal(Baseline(), stage, 0) is None


def test_no_text_of_a_manifest_breaks_a_message_in_two() -> None:
    before = Baseline(rows={dataset_of(CUSTOMERS.bronze_key): ("a\nb\ud800", 5)})
    error = refusal(before, extracted(customers=0), 0)
    assert str(error).endswith(r"5 in run a\nb\ud800")


class Lake(LocalStore):
    """A lake of manifests, whose objects are there and nothing more."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.was_read: list[str] = []

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.was_read.append(key)
        return super().read(key, start, length)

    def ran(self, run_id: str, *stages: StageResult, columns: Any = None, published: bool = True) -> None:
        source = SourceInfo("h", "d", "16", "s", {}, columns) if columns is not None else None
        sums = stages[-1].reconciliation if stages else {}
        moment = "2024-01-01T00:00:00+00:00"
        run = RunResult(run_id, Status.FAILED, moment, moment, "0", stages, sums, source, "crawl failed", published)
        document = {**asdict(run), "stages": [asdict(stage) for stage in stages]}
        put_stream(self, f"_runs/{run_id}.json", [json.dumps(document, default=str).encode()])
        for item in (item for stage in stages for item in stage.datasets):
            put_stream(self, item.key, [b"x\n"])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def aggregated(revenue: object) -> StageResult:
    item = DatasetResult("gold", DAILY_SALES_SUMMARY.name, DAILY_SALES_SUMMARY.key, 1, 1, 1, "")
    return StageResult("aggregate", 0, (item,), {"silver_revenue": revenue})


def test_the_baseline_is_from_the_latest_run_that_published_each_thing(lake: Lake) -> None:
    both = {"customers": {"id": "int"}, "products": {"id": "int"}}
    lake.ran("1", extracted(customers=1, products=1), aggregated(Decimal(1)), columns=both)
    lake.ran("2", extracted(customers=2), aggregated(Decimal("2.50")), columns={key: {"id": "text"} for key in both})
    lake.ran("3", extracted(customers=3), aggregated(Decimal(3)), columns=both, published=False)
    lake.ran("4", columns={"customers": {"id": "date"}})
    assert read_baseline(lake) == Baseline(
        {"customers": ("2", {"id": "text"}), "products": ("1", {"id": "int"})},
        {
            dataset_of(CUSTOMERS.bronze_key): ("2", 2),
            dataset_of(PRODUCTS.bronze_key): ("1", 1),
            dataset_of(DAILY_SALES_SUMMARY.key): ("2", 1),
        },
        ("2", Decimal("2.50")),
    )


@pytest.mark.parametrize(("columns", "revenue"), [(None, Decimal(2)), ({"customers": {"id": "text"}}, "?")])
def test_a_manifest_of_another_version_hides_nothing(lake: Lake, columns: Any, revenue: object) -> None:
    lake.ran("1", extracted(customers=1), aggregated(Decimal(1)), columns={"customers": {"id": "int"}})
    lake.ran("2", extracted(customers=2), aggregated(revenue), columns=columns)
    found = read_baseline(lake)
    assert found.rows[dataset_of(CUSTOMERS.bronze_key)] == ("2", 2)
    assert found.columns["customers"][0] == ("2" if columns else "1")
    assert found.revenue == (("1", Decimal(1)) if revenue == "?" else ("2", Decimal(2)))


@pytest.mark.parametrize("has_gold", [True, False])
def test_no_more_manifests_are_read_than_needed(lake: Lake, has_gold: bool) -> None:
    stages = [extracted(customers=1), *([aggregated(Decimal(1))] if has_gold else [])]
    for run_id in "123":
        lake.ran(run_id, *stages, columns={"customers": {"id": "int"}})
    read_baseline(lake)
    assert lake.was_read == ["_runs/3.json"]


def test_objects_that_are_no_longer_in_the_lake_are_ignored(lake: Lake) -> None:
    columns = {"customers": {"id": "int"}, "products": {"id": "int"}}
    lake.ran("1", extracted(customers=1, products=1), aggregated(Decimal(1)), columns=columns)
    lake.delete([CUSTOMERS.bronze_key, DAILY_SALES_SUMMARY.key])
    assert read_baseline(lake) == Baseline(
        {"products": ("1", {"id": "int"})}, {dataset_of(PRODUCTS.bronze_key): ("1", 1)}, None
    )


@pytest.mark.parametrize("columns", [None, 1, [], "customers", {"customers": 1}, {"customers": {"id": 1}}, {"x": {}}])
@pytest.mark.parametrize("revenue", [None, "NaN", "1E+999999999", "Infinity", {}, True, "1_0", "1\n"])
def test_what_an_older_or_odd_manifest_lacks_is_ignored(lake: Lake, columns: Any, revenue: object) -> None:
    lake.ran("1", extracted(customers=1), aggregated(revenue), columns=columns)
    found = read_baseline(lake)
    assert (found.columns, found.revenue) == ({}, None)
    assert found.rows[dataset_of(CUSTOMERS.bronze_key)] == ("1", 1)


def test_a_lake_without_runs_has_an_empty_baseline(lake: Lake) -> None:
    assert read_baseline(lake) == Baseline()


def in_months(*rows: int, layer: str = "bronze", rejected: tuple[int, ...] = ()) -> StageResult:
    """A stage that leaves so many sales in each month, and so many rejected ones besides."""
    parts = [TRANSACTIONS.in_month(f"2024-{month:02}") for month in range(1, len(rows) + 1)]
    found = [dataset(part, count, layer) for part, count in zip(parts, rows, strict=True)]
    for number, count in enumerate(rejected):
        found[number] = replace(found[number], rows_in=found[number].rows_out + count, rejected={"missing_x": count})
    return StageResult("clean" if layer == "silver" else "extract", 0, tuple(found))


def test_months_are_compared_as_one_table_in_either_layout() -> None:
    whole, months = had(transactions=10), Baseline(rows={"bronze/transactions": ("earlier", 10)})
    assert whole == months
    for now, is_refused in ((in_months(4, 0, 4), False), (extracted(transactions=8), False), (in_months(7, 0), True)):
        assert (refusal(whole, now, 0.2) is not None) == is_refused
    assert "bronze transactions has 7 rows, 10 in run earlier" in str(refusal(months, in_months(3, 4), 0.2))


def test_rejected_rows_of_months_are_added_up() -> None:
    require_few_rejected(in_months(1, 4, layer="silver", rejected=(3, 1)), 0.5)
    with pytest.raises(DataRefusedError, match=r"transactions: 5 of 9 rows \(missing_x 5\)"):
        require_few_rejected(in_months(1, 3, layer="silver", rejected=(3, 2)), 0.5)


def test_the_baseline_of_months_is_what_the_latest_run_with_the_table_has(lake: Lake) -> None:
    lake.ran("1", extracted(transactions=9), columns={"sale_transactions": {"id": "int"}})
    lake.ran("2", in_months(1, 2, 4))
    lake.ran("3", in_months(1, 2))
    assert read_baseline(lake).rows == {"bronze/transactions": ("3", 3)}
    assert read_baseline(lake, without=["3"]).rows == {"bronze/transactions": ("2", 7)}
    assert read_baseline(lake).columns == {"sale_transactions": ("1", {"id": "int"})}
