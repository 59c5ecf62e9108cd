"""`shopease report`, and `run-all --report`: what they write, where, and what they refuse."""

import json
import re
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from commands import Shop, copy_of, execute
from shopease_etl.lake.open import open_store
from shopease_etl.operations.business.compute import report


def test_the_report_is_one_file_or_text_or_one_document(shop: Shop, tmp_path: Path) -> None:
    there = replace(shop, folder=tmp_path, lake=str(shop.folder / "lake"), more={"SHOPEASE_HOME": str(tmp_path / "h")})
    assert "Wrote the report to report.html" in there.run("report").done().stderr
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    document = there.run("report", "--json").done().document
    revenue = next(item["value"] for item in document["key_figures"]["figures"] if item["name"] == "revenue")
    assert isinstance(revenue, str)
    text = there.run("report", "--format", "md").done().stdout
    assert f"| Revenue | {int(revenue.partition('.')[0]):,}.{revenue.partition('.')[2]} |" in text
    there.run("report", "--format", "md", "--output", "report.md").done()
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert _without_times(told) == _without_times(text)
    assert document["top_customers"] == []
    assert len(there.run("report", "--json", "--with-customers").done().document["top_customers"]) == 20
    both = there.run("report", "--json", "--output", "both.html").done()
    assert both.document["revenue"] == document["revenue"]
    assert (tmp_path / "both.html").exists()


def _without_times(text: str) -> str:
    return re.sub(r"^- (Data from|Report made).*$", "", text, flags=re.MULTILINE)


def test_the_report_writes_neither_into_the_lake_nor_where_it_cannot(shop: Shop, tmp_path: Path) -> None:
    shop.run("report", "--output", "lake/report.html").failed(2, "is inside the lake")
    shop.run("report", "--output", "lake/gold/x.html").failed(2, "is inside the lake")
    shop.run("report", "--output", str(tmp_path)).failed(2, "is a folder")
    shop.run("report", "--output", str(tmp_path / "none" / "x.html")).failed(4, "there is no folder")
    shop.run("report", "--open", "--format", "md").failed(2, "--open needs a file")
    shop.run("report", "--json", "--output", "-").failed(2, "--json writes its own document")
    assert [*tmp_path.iterdir()] == []
    never = replace(shop, folder=tmp_path)
    never.run("report").failed(1, "has no gold/daily_sales_summary/data.parquet yet")


def test_the_report_opens_in_the_browser_that_the_user_has(shop: Shop, tmp_path: Path) -> None:
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    script.chmod(0o755)
    reader = replace(shop, more={"BROWSER": str(script)}, starts_cold=True)
    target = tmp_path / "a page.html"
    reader.run("report", "--open", "--output", str(target)).done()
    assert (tmp_path / "opened").read_text().strip() == target.as_uri()


def test_a_run_writes_its_report_also_if_it_fails(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop, page = Shop(tmp_path, url), tmp_path / "report.html"
        shop.run("run-all", "--report", "none/report.html").failed(4, "there is no folder")
        assert not (tmp_path / "lake").exists()
        done = shop.run("run-all", "--report", "report.html", "--json").done()
        assert done.document["run_id"] in page.read_text(encoding="utf-8")
        assert "The last run" not in page.read_text(encoding="utf-8")
        execute(url, "DROP TABLE stores")
        shop.run("run-all", "--report", "report.html").failed(3, "stores is missing")
        text = page.read_text(encoding="utf-8")
        failed = json.loads(max((tmp_path / "lake" / "_runs").glob("*.json")).read_text())
        assert "The last run failed on " in text
        assert "stores is missing" in text
        assert failed["run_id"] in text
        assert f"All figures stand still since the run {done.document['run_id']}" in text
        document = shop.run("report", "--json").done().document
        assert document["trouble"]["figures_run_id"] == document["run_id"] == done.document["run_id"]
        assert document["quality"]["runs"][0]["status"] == "failed"
        fresh = replace(shop, lake="other")
        failure = fresh.run("run-all", "--report", "report.html").failed(3, "stores is missing")
        assert "the report could not be made" in failure.stderr


def test_a_report_that_fails_after_a_good_run_says_that_the_data_is_published(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url)
        shop.run("run-all").done()
        (tmp_path / ".report.html.part").mkdir()  # where the file would be written first
        shop.run("run-all", "--report", "report.html").failed(4, "published its data, but the report could not be made")
        assert len([*(tmp_path / "lake" / "_runs").glob("*.json")]) == 2
        shop.run("status").done()


def test_the_page_needs_its_packages_and_says_so(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['vl_convert'] = None\n")
    without = replace(shop, more={"PYTHONPATH": str(tmp_path)}, starts_cold=True)
    if "sitecustomize" in sys.modules:
        pytest.skip("this interpreter has a sitecustomize of its own")
    without.run("report").failed(2, "needs packages that are not installed: vl_convert")
    without.run("report", "--format", "md").done()
    without.run("report", "--json").done()


def test_a_report_waits_for_files_that_are_being_published(shop: Shop, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(shop.folder / "lake", lake)
    path = lake / "gold" / "store_performance" / "data.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    threading.Timer(0.8, path.write_bytes, [whole]).start()
    assert report(open_store(str(lake))).stores is not None


def test_the_report_of_a_lake_on_s3_equals_that_of_the_same_lake_in_a_folder(
    shop: Shop, new_bucket: Callable[[], str], tmp_path: Path
) -> None:
    address = f"s3://{new_bucket()}/some/prefix"
    away = open_store(address)
    for path in sorted((shop.folder / "lake").rglob("*")):
        key = path.relative_to(shop.folder / "lake").as_posix()
        if path.is_file() and key.startswith(("gold/", "_runs/2")):
            upload = away.writer(key)
            upload.write(path.read_bytes())
            upload.complete()
            upload.publish()
    document = replace(shop, lake=address).run("report", "--json").done().document
    here = shop.run("report", "--json").done().document
    assert document.pop("lake") == address
    for each in (document, here):
        each.pop("made_at")
    here.pop("lake")
    assert document == here
    replace(shop, lake=address, folder=tmp_path).run("report").done()
    assert (tmp_path / "report.html").exists()
