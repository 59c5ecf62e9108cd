"""Runs on a lake with a file for each month: what they verify, replace and restore, on a disk and on S3."""

import io
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import rich.console

from accounts import Account
from commands import Shop
from hand_made_runs import (
    JULY,
    JUNE,
    MAY,
    NOWHERE,
    PLAN,
    SUMS,
    Sales,
    carried_over,
    hand_made_run,
    hand_made_shop,
    sales,
)
from shopease_etl.cli.status_command import StatusView
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.lake.manifests import manifests, own_objects, recorded_datasets
from shopease_etl.lake.store import LakeStore, put_stream
from shopease_etl.operations.check.contents import lake_contents
from shopease_etl.operations.status import status
from shopease_etl.pipeline.plan import Plan
from shopease_etl.pipeline.preflight import check_plan, preflight
from shopease_etl.pipeline.resume import resume
from shopease_etl.pipeline.rollback import find_rollback, rollback
from shopease_etl.pipeline.verify import Verifier, verify
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.progress import SILENT
from shopease_etl.report import DatasetResult, StageResult, by_dataset

STATE = "_state"


@pytest.fixture(params=["local", "s3"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Pipeline:
    """A shop without a lake yet; on S3 in a bucket that keeps versions."""
    if request.param == "local":
        return hand_made_shop(tmp_path, str(tmp_path / "lake"), keep_generations="9")
    account: Account = request.getfixturevalue("account")
    bucket = account.new_bucket()
    account.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return hand_made_shop(tmp_path, f"s3://{bucket}/x")


@pytest.fixture
def local(tmp_path: Path) -> Pipeline:
    """A shop without a lake yet, on a disk."""
    return hand_made_shop(tmp_path, str(tmp_path / "lake"), keep_generations="9")


def content(lake: LakeStore, *folders: str) -> dict[str, bytes]:
    """The lake's objects by key, without those of gold."""
    found = own_objects(lake, folders or ("bronze", "silver", "quarantine"))
    return {item.key: lake.read(item.key) for item in found}


def back(shop: Pipeline, to: str | None = None) -> None:
    """Undo the last run, or all after a run."""
    rollback(shop, find_rollback(shop, to=to, to_nothing=True), skip_crawl=True)


def test_rollbacks_restore_changed_and_deleted_months_and_delete_new_ones(shop: Pipeline) -> None:
    lake, lakes, runs = shop.lake, [], []

    def ran(*written: Sales, carried: Sequence[DatasetResult] = ()) -> None:
        runs.append(hand_made_run(shop, *written, carried=carried).run_id)
        lakes.append(content(lake))

    ran(sales(TRANSACTIONS, "1.00", "2.00", rejected=1))
    ran(sales(MAY, "1.00"), sales(JUNE, "2.00", rejected=1))
    ran(sales(JUNE, "2.50"), sales(JULY, "3.00"))
    ran(sales(JULY, "3.00", "4.00"), carried=carried_over(lake, JUNE))
    ran(sales(TRANSACTIONS, "7.00"))
    assert content(lake, STATE) == {}
    for kept in lakes[3:1:-1]:
        back(shop)
        assert content(lake) == kept
    back(shop, to=runs[0])
    assert content(lake) == lakes[0]
    back(shop)
    assert content(lake, "bronze", "silver", "quarantine", "gold", STATE) == {}


def test_a_rollback_says_what_becomes_of_each_month(local: Pipeline) -> None:
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00", "2.00"))
    hand_made_run(local, sales(JULY, "3.00"), carried=carried_over(local.lake, JUNE))
    plan = find_rollback(local)
    changes = {item.key: (item.rows, item.rows_after) for item in plan.objects if item.key.startswith("silver/")}
    assert changes == {MAY.silver_key: (0, 1), JULY.silver_key: (1, None)}


def test_a_rollback_compares_what_it_touches_and_the_sizes_of_what_stays(local: Pipeline) -> None:
    lake = local.lake
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    hand_made_run(local, sales(MAY, "5.00"), carried=carried_over(lake, JUNE))
    whole = lake.read(JUNE.silver_key)
    put_stream(lake, JUNE.silver_key, [whole.replace(b"2", b"3")])
    find_rollback(local)
    put_stream(lake, JUNE.silver_key, [whole + b"1,1.00\n"])
    with pytest.raises(DataRefusedError, match="which would stay, is not as the run"):
        find_rollback(local)
    put_stream(lake, JUNE.silver_key, [whole])
    put_stream(lake, MAY.silver_key, [whole])
    with pytest.raises(DataRefusedError, match="it was changed or replaced since"):
        find_rollback(local)


def test_a_run_that_only_deletes_months_or_carries_all_over_is_published(shop: Pipeline) -> None:
    lake = shop.lake
    hand_made_run(shop, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    before = content(lake)
    run = hand_made_run(shop, carried=carried_over(lake, MAY))
    assert run.is_published
    assert content(lake, STATE).keys() == {MAY.state_key(SUMS)}
    assert content(lake) == {key: data for key, data in before.items() if key in MAY.keys}
    assert hand_made_run(shop, carried=carried_over(lake, MAY)).is_published
    assert {key: known.run_id for key, known in recorded_datasets(lake).items() if key in MAY.keys} == dict.fromkeys(
        MAY.keys, min(known.run_id for known in recorded_datasets(lake).values())
    )
    back(shop)
    back(shop)
    assert content(lake) == before


def test_one_carried_over_file_is_compared_in_each_run_in_turn(local: Pipeline) -> None:
    lake = local.lake
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    compared = []
    for _ in range(7):
        run = hand_made_run(local, carried=carried_over(lake, MAY, JUNE))
        assert run.verified["reread"]["objects"] == 2  # type: ignore[index]
        compared += [key for key, known in run.recorded.items() if known.result.verified_by == run.run_id]  # type: ignore[union-attr]
    assert compared[:6] == sorted((*MAY.keys, *JUNE.keys))
    assert compared[6] == compared[0]
    last = next(manifests(lake)).document["reconciliation"]
    assert last["reread"]["rows"]["silver/transactions"] == 2
    assert last["reread"]["silver_revenue"] == "3.00"
    assert last["rows"]["transactions"] == {"source": 2, "bronze": 2, "silver": 2, "quarantine": 0}


def test_a_damaged_file_is_noticed_when_it_is_its_turn(local: Pipeline) -> None:
    lake = local.lake
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    put_stream(lake, MAY.bronze_key, [lake.read(MAY.bronze_key).replace(b"1", b"3")])
    with pytest.raises(DataRefusedError, match="the hash") as raised:
        hand_made_run(local, carried=carried_over(lake, MAY, JUNE))
    assert "`shopease run-all --full`" in str(raised.value.hint)
    hand_made_run(local, sales(MAY, "1.00"), carried=carried_over(lake, JUNE))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sums": {"silver_revenue": "1.01"}}, "silver_revenue"),
        ({"state": {MAY.state_key(SUMS): "0"}}, "sums.zip"),
    ],
)
def test_what_clean_recorded_of_a_month_is_verified(
    local: Pipeline, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], word: str
) -> None:
    results = Sales.results

    def wrong(each: Sales) -> list[DatasetResult]:
        bronze, silver, quarantine = results(each)
        return [bronze, replace(silver, **change), quarantine]  # type: ignore[arg-type]

    monkeypatch.setattr(Sales, "results", wrong)
    with pytest.raises(DataRefusedError, match=word):
        hand_made_run(local, sales(MAY, "1.00"))
    assert content(local.lake) == {}


def test_rows_must_add_up_in_each_month(tmp_path: Path) -> None:
    local = hand_made_shop(tmp_path, str(tmp_path / "lake"))
    may, june = sales(MAY, "1.00", "2.00"), sales(JUNE, "3.00")
    stages = []
    for each in (may, june):
        for key, data in each.files.items():
            put_stream(local.lake, key, [data])
        stages += each.results()
    verify(local.lake, [StageResult("clean", 0, tuple(stages))])
    swapped = [replace(stages[3], key=stages[0].key), *stages[1:3], replace(stages[0], key=stages[3].key), *stages[4:]]
    put_stream(local.lake, MAY.bronze_key, [june.files[JUNE.bronze_key]])
    put_stream(local.lake, JUNE.bronze_key, [may.files[MAY.bronze_key]])
    with pytest.raises(DataRefusedError, match=rf"{MAY.silver_key}.*rows together with quarantine 2 instead of 1"):
        verify(local.lake, [StageResult("clean", 0, tuple(swapped))])
    with pytest.raises(DataRefusedError, match=r"silver/transactions,.*rows together with quarantine 2 instead of 3"):
        put_stream(local.lake, MAY.bronze_key, [may.files[MAY.bronze_key]])
        put_stream(local.lake, JUNE.bronze_key, [june.files[JUNE.bronze_key]])
        verify(local.lake, [StageResult("clean", 0, tuple(stages[:4]))])


def test_a_carried_over_month_without_recorded_sums_is_read(local: Pipeline) -> None:
    lake = local.lake
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    carried = [replace(item, sums={"silver_revenue": "?"}) for item in carried_over(lake, MAY, JUNE)]
    read = Verifier(lake)
    read.add(StageResult("clean", 0, tuple(carried)))
    assert read.result()["reread"]["silver_revenue"] == Decimal("3.00")  # type: ignore[index]
    assert {*read.compared} >= {MAY.silver_key, JUNE.silver_key}
    read.stop()


def test_a_retry_publishes_what_a_run_had_written_and_what_it_left(shop: Pipeline) -> None:
    lake = shop.lake
    hand_made_run(shop, sales(TRANSACTIONS, "9.00"))
    hand_made_run(shop, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    before = content(lake)
    with pytest.raises(ShopeaseError, match="it fails"):
        hand_made_run(shop, sales(JULY, "3.00"), carried=carried_over(lake, JUNE), fails=True)
    assert content(lake) == before
    resume(shop)
    july = sales(JULY, "3.00").files
    assert content(lake) == {key: data for key, data in (before | july).items() if key in (*JUNE.keys, *JULY.keys)}
    assert content(lake, STATE).keys() == {JUNE.state_key(SUMS), JULY.state_key(SUMS)}
    back(shop)
    assert content(lake) == before


@pytest.mark.parametrize("lost", ["carried over", "cut", "state"])
def test_a_retry_does_a_stage_again_whose_files_are_lost(local: Pipeline, lost: str) -> None:
    lake = local.lake
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    with pytest.raises(ShopeaseError, match="it fails"):
        hand_made_run(local, sales(JULY, "3.00"), carried=carried_over(lake, JUNE), fails=True)
    if lost == "carried over":
        lake.delete([JUNE.bronze_key])
    elif lost == "cut":
        put_stream(lake, JUNE.bronze_key, [b""])
    else:
        (path,) = lake.staged(JULY.state_key(SUMS))
        path.write_bytes(b"")
    # extract needs the source, which is not there; clean reads what extract wrote
    with pytest.raises(ShopeaseError) as raised:
        resume(local)
    assert isinstance(raised.value, UnreachableError) == (lost != "state")


def test_nothing_needs_the_state(local: Pipeline) -> None:
    lake = local.lake
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    before = content(lake)
    hand_made_run(local, sales(JULY, "3.00"), carried=carried_over(lake, MAY, JUNE))
    lake.delete([item.key for item in own_objects(lake, [STATE])])
    with pytest.raises(ShopeaseError, match="it fails"):
        hand_made_run(local, sales(MAY, "4.00", "5.00"), carried=carried_over(lake, JUNE), fails=True)
    resume(local)
    assert [line.detail for line in lake_contents(lake, SILENT)] == ["7 of 7 objects are as their runs wrote them"]
    assert status(lake).problem is None
    back(local)
    lake.delete([item.key for item in own_objects(lake, [STATE])])
    back(local)
    assert content(lake) == before


def test_a_month_that_no_run_left_there_is_reported(local: Pipeline) -> None:
    hand_made_run(local, sales(MAY, "1.00"))
    for key in (JUNE.silver_key, TRANSACTIONS.bronze_key):
        put_stream(local.lake, key, [b"x\n1\n"])
    lines = [line for line in lake_contents(local.lake, SILENT) if line.exit_code]
    assert [line.name for line in lines] == [f"object {TRANSACTIONS.bronze_key}", f"object {JUNE.silver_key}"]
    assert "is not one of the files that the run" in lines[0].detail
    hand_made_run(local, carried=carried_over(local.lake, MAY))
    assert [line for line in lake_contents(local.lake, SILENT) if line.exit_code] == []


def test_status_has_one_line_for_all_months_of_a_table(local: Pipeline) -> None:
    lake = local.lake
    first = hand_made_run(local, sales(MAY, "1.00", rejected=2), sales(JUNE, "2.00", rejected=1)).run_id
    second = hand_made_run(local, sales(JULY, "3.00", "4.00"), carried=carried_over(lake, MAY, JUNE)).run_id
    found = {item.key: item for item in status(lake).datasets}
    assert found.keys() == {
        "bronze/transactions",
        "silver/transactions",
        "quarantine/transactions",
        DAILY_SALES_SUMMARY.key,
    }
    silver = found["silver/transactions"]
    assert (silver.rows, silver.rejected, silver.months, silver.runs) == (4, 3, 3, (first, second))
    assert (silver.run_id, dict(silver.rejects)) == (second, {"missing_x": 3})
    assert silver.bytes == sum(item.bytes for item in own_objects(lake, ["silver/transactions"]))
    view = io.StringIO()
    rich.console.Console(file=view, width=200).print(StatusView(status(lake)))
    assert "3, of 2 runs" in view.getvalue()
    put_stream(lake, JUNE.silver_key, [b"another size"])
    assert {item.key: item for item in status(lake).datasets}["silver/transactions"].rows is None


def test_manifests_that_record_months_stay(tmp_path: Path) -> None:
    kept = {"keep_generations": "1", "keep_manifests": "1"}
    local = hand_made_shop(tmp_path, str(tmp_path / "lake"), **kept)
    oldest = hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00")).run_id
    former, last = (hand_made_run(local, carried=carried_over(local.lake, MAY, JUNE)).run_id for _ in range(2))
    assert [manifest.run.run_id for manifest in manifests(local.lake)] == [last, former]
    back(local)
    assert {known.run_id for key, known in recorded_datasets(local.lake).items() if "sale_month" in key} == {oldest}


def test_what_would_stop_a_run_is_found_before_it(local: Pipeline, tmp_path: Path) -> None:
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    clean = Plan(("clean",), (TRANSACTIONS,))
    check_plan(clean, local)
    path = tmp_path / "lake" / JUNE.bronze_key
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataRefusedError, match=f"{JUNE.bronze_key} has {len(whole) - 1} bytes"):
        check_plan(clean, local)
    path.unlink()
    with pytest.raises(DataRefusedError, match=f"{JUNE.bronze_key} is not in the lake"):
        check_plan(clean, local)
    path.mkdir()
    with pytest.raises(UnreachableError, match=f"cannot replace {path}: it is a folder"):
        preflight(PLAN, local)
    path.rmdir()
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path)
    with pytest.raises(UnreachableError, match=f"{path.parent} is a symbolic link"):
        preflight(PLAN, local)


def test_months_are_one_line_for_people(local: Pipeline, tmp_path: Path) -> None:
    hand_made_run(local, sales(TRANSACTIONS, "1.00", "2.00"))
    hand_made_run(local, sales(MAY, "1.00"), sales(JUNE, "2.00"))
    shop = Shop(tmp_path, NOWHERE, str(tmp_path / "lake"))
    shown = [" ".join(line.split()) for line in shop.run("rollback", "--dry-run").done().stdout.splitlines()]
    assert "silver/transactions (2 months) 2 removed" in shown
    assert f"{TRANSACTIONS.silver_key} 0 2" in shown
    shown = [
        " ".join(line.split())
        for line in shop.run("cleanup", "--layer", "silver", "--dry-run").done().stdout.splitlines()
    ]
    size = sum(item.bytes for item in own_objects(local.lake, ["silver/transactions"]))
    assert [line for line in shown if line.startswith(f"2 objects silver/transactions {size} ")]
    assert [line for line in shown if line.startswith("2 objects _state/transactions ")]


def test_results_of_one_dataset_are_added_up() -> None:
    items = [*sales(MAY, "1.00", rejected=1).results(), *sales(JUNE, "2.50", "0.01", rejected=2).results()]
    bronze, silver, quarantine = by_dataset([replace(item, seconds=0.5) for item in items])
    assert (bronze.key, bronze.rows_in, bronze.rows_out, bronze.seconds) == ("bronze/transactions", 6, 6, 0.5)
    assert (silver.rows_in, silver.rows_out, silver.rejected) == (6, 3, {"missing_x": 3})
    assert (silver.sums, quarantine.rows_out) == ({}, 3)
    assert by_dataset(items[:3]) == items[:3]
    carried = [replace(item, run_id=run_id) for item, run_id in zip(items[::3], ("b", "a"), strict=True)]
    assert [item.run_id for item in by_dataset(carried)] == ["b"]
    assert [item.run_id for item in by_dataset([*carried, *items[::3]])] == [None]
