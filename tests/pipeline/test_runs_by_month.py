"""Runs with sales kept by month: what the command line says and records of months, and when it copies all of them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import Shop, execute, hashes

BY_MONTH = {"SHOPEASE_PARTITIONS": "month"}
SALES = (
    "INSERT INTO sale_transactions "
    "SELECT n, 1, 1, 1, 1, 2.50, 'card', 'web', date '{}', now() FROM generate_series({}) n"
)


@pytest.fixture
def shop(bare: str, tmp_path: Path) -> Shop:
    """A shop with two sales in each of three months, kept by month."""
    sold = (("2024-01-31", "1, 2"), ("2024-02-01", "3, 4"), ("2024-03-01", "5, 6"))
    execute(bare, *(SALES.format(day, ids) for day, ids in sold))
    execute(bare, "INSERT INTO customers VALUES (1, 'ada', 'a@b.c')", "INSERT INTO products VALUES (1, 'tea')")
    return Shop(tmp_path, bare, more=BY_MONTH)


def extracted(shop: Shop, *arguments: str) -> tuple[str | None, list[str], str]:
    """Why a run copied all months, the months that it copied, and its summary."""
    ended = shop.run("run-all", "--allow-rejects", "--skip-crawl", *arguments).done()
    path = max((shop.folder / "lake/_runs").glob("*.json"))
    stage: dict[str, Any] = json.loads(path.read_text())["stages"][0]
    files = [item["key"] for item in stage["datasets"] if "sale_month" in item["key"] and item["run_id"] is None]
    return stage["full"], sorted(key.split("=")[1][:7] for key in files), ended.stdout


def test_a_summary_tells_which_months_were_copied_and_why(shop: Shop) -> None:
    full, months, text = extracted(shop)

    assert (full, months) == ("the first run by month", ["2024-01", "2024-02", "2024-03"])
    assert "Copied all 3 months: the first run by month" in text
    assert "Cleaned all 3 months" in text

    execute(shop.database_url, SALES.format("2024-02-29", "7, 8"))
    full, months, text = extracted(shop)

    assert (full, months) == (None, ["2024-02"])
    assert "Copied 1 of 3 months (2024-02), 2 unchanged" in text
    assert "Cleaned 1 of 3 months (2024-02), 2 unchanged" in text
    assert re.search(r"bronze +transactions +8 +8 ", text)

    full, months, text = extracted(shop)

    assert (full, months) == (None, [])
    assert "Copied 0 of 3 months, 3 unchanged" in text

    execute(shop.database_url, "DELETE FROM sale_transactions WHERE created_at < '2024-02-01'")
    assert "Copied 0 of 2 months, 2 unchanged, 1 month removed (2024-01)" in extracted(shop, "--allow-shrink")[2]
    execute(shop.database_url, "DELETE FROM sale_transactions WHERE created_at < '2024-03-01'")
    text = extracted(shop, "--allow-shrink", "--full")[2]
    assert "Copied the only month (2024-03), 1 month removed (2024-02): --full" in text


def test_all_months_are_copied_if_the_user_wants_it_or_the_last_full_copy_is_old(shop: Shop) -> None:
    extracted(shop)
    assert extracted(shop, "--full")[:2] == ("--full", ["2024-01", "2024-02", "2024-03"])

    full, months, _ = extracted(replace(shop, more={**BY_MONTH, "SHOPEASE_FULL_EVERY": "0"}))

    assert full == "the last full copy is 0 days old (SHOPEASE_FULL_EVERY)"
    assert len(months) == 3


def test_the_days_count_from_the_last_full_copy_not_from_the_last_run(shop: Shop) -> None:
    extracted(shop)
    extracted(shop)
    path = max((shop.folder / "lake/_runs").glob("*.json"))
    manifest = json.loads(path.read_text())
    manifest["stages"][0]["watermark"]["full_at"] = "2024-01-01T00:00:00+00:00"
    path.write_text(json.dumps(manifest))

    full, _, _ = extracted(replace(shop, more={**BY_MONTH, "SHOPEASE_FULL_EVERY": "400"}))

    assert full and full.endswith("(SHOPEASE_FULL_EVERY)")


def test_a_damaged_month_is_found_in_turn_and_made_again(shop: Shop) -> None:
    extracted(shop)
    path = shop.folder / "lake/bronze/transactions/sale_month=2024-01/sale_transactions.csv"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"card", b"cash"))

    ended = shop.run("run-all", "--allow-rejects", "--skip-crawl")
    while ended.code == 0:  # until it is the turn of that month
        ended = shop.run("run-all", "--allow-rejects", "--skip-crawl")

    ended.failed(3, "bronze/transactions/sale_month=2024-01/sale_transactions.csv", "the hash")
    assert "hint: nothing was published; `shopease run-all --full` makes all months again" in ended.stderr
    extracted(shop, "--full")
    assert path.read_bytes() == whole


def test_a_full_copy_also_cleans_what_was_damaged(shop: Shop) -> None:
    extracted(shop)
    path = shop.folder / "lake/silver/transactions/sale_month=2024-02/transactions_cleaned.csv"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"card", b"cash"))

    found = shop.run("check", "--verify", "--json")
    assert "shopease clean --full" in found.stdout
    extracted(replace(shop, more={**BY_MONTH, "SHOPEASE_FULL_EVERY": "0"}))

    assert path.read_bytes() == whole


def test_a_dry_run_refuses_dates_as_text(shop: Shop) -> None:
    execute(shop.database_url, "ALTER TABLE sale_transactions ALTER created_at TYPE text")

    shop.run("run-all", "--dry-run").failed(3, "sale_transactions.created_at is text")


def test_single_stages_take_up_what_others_left(shop: Shop) -> None:
    extracted(shop)
    execute(shop.database_url, "UPDATE sale_transactions SET quantity = 3 WHERE transaction_id = 3")
    for stage in ("extract", "clean", "aggregate", "crawl"):
        shop.run(stage, *(["--allow-rejects"] if stage == "clean" else [])).done()
    by_stages = hashes(shop.folder / "lake")

    extracted(shop, "--full")

    assert {key: value for key, value in hashes(shop.folder / "lake").items() if "quarantine" not in key} == {
        key: value for key, value in by_stages.items() if "quarantine" not in key
    }


def test_the_layout_changes_with_the_setting_and_a_rollback_goes_back(shop: Shop) -> None:
    extracted(shop)
    by_month = hashes(shop.folder / "lake")
    whole = replace(shop, more={})

    extracted(whole)

    now = hashes(shop.folder / "lake")
    assert "bronze/transactions/sale_transactions.csv" in now
    assert [key for key in now if "sale_month" in key] == []
    whole.run("rollback", "--yes").done()
    assert {key: value for key, value in by_month.items() if not key.startswith("_state/")} == hashes(
        shop.folder / "lake"
    )
    full, months, _ = extracted(shop)
    assert (full, months) == (None, [])
    assert hashes(shop.folder / "lake").keys() == by_month.keys()


def test_a_dry_run_shows_one_line_for_all_months(shop: Shop) -> None:
    shown = shop.run("run-all", "--dry-run", "--json").done().document

    assert ["bronze/transactions/sale_month=*/sale_transactions.csv"] in [step["writes"] for step in shown]
    assert ["silver/transactions/sale_month=*/transactions_cleaned.csv"] in [step["reads"] for step in shown]
