"""An interrupt while a command publishes: what was begun is finished, catalog included, and the command says so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from accounts import Account
from commands import Shop, copy_of, execute

# The command interrupts itself when its objects are in place and only the journal is left.
INTERRUPTING: Final = """
import os
import signal

from shopease_etl.lake import publish

delete_journal = publish._delete_journal


def interrupt(store, key):
    os.kill(os.getpid(), signal.{signal})
    delete_journal(store, key)


publish._delete_journal = interrupt
"""
QUERY: Final = ("query", "SELECT * FROM shopease_catalog.products LIMIT 1", "--json")


def interrupted(folder: Path, number: str) -> dict[str, str]:
    """The environment of a command that gets the signal while it publishes."""
    (folder / "sitecustomize.py").write_text(INTERRUPTING.replace("{signal}", number))
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_run_is_finished_with_its_catalog(sales: str, tmp_path: Path, number: str) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url)
        shop.run("run-all").done()
        execute(url, "ALTER TABLE products ADD COLUMN shelf text")
        more = {**interrupted(tmp_path, number), "SHOPEASE_LINEAGE": "lineage.jsonl"}
        ended = Shop(tmp_path, url, more=more).run("run-all", "--accept-drift", "--json")
    assert "interrupted; finishing what is being published first" in ended.stderr
    assert (ended.code, ended.document["status"], ended.document["published"]) == (0, "succeeded", True)
    assert "shelf" in shop.run(*QUERY).done().document["rows"][0]
    assert shop.run("status", "--json").done().document["runs"][0]["status"] == "succeeded"
    last = (tmp_path / "lineage.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["eventType"] == "COMPLETE"


def test_a_crawl_of_aws_says_how_to_complete_the_catalog(sales: str, tmp_path: Path, account: Account) -> None:
    bucket = account.new_bucket()
    account.new_catalog(bucket)
    shop = Shop(tmp_path, sales, f"s3://{bucket}")
    ended = replace(shop, more=interrupted(tmp_path, "SIGTERM")).run("run-all")
    assert (ended.code, ended.stderr.splitlines()[-2]) == (130, "shopease: interrupted")
    assert "is published, its catalog is not complete: run `shopease retry`" in ended.stderr.splitlines()[-1]
    (run,) = shop.run("status", "--json").document["runs"]
    assert run["status"] == "interrupted"
    shop.run("retry").done()
    assert shop.run(*QUERY).done().document["row_count"] == 1


def test_a_rollback_is_finished_and_says_what_is_left(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url)
        for _ in range(2):
            shop.run("run-all").done()
        ended = Shop(tmp_path, url, more=interrupted(tmp_path, "SIGTERM")).run("rollback", "--yes")
    assert ended.code == 130
    assert "is rolled back, but not its catalog: run `shopease crawl`" in ended.stderr
    assert shop.run("status", "--json").document["runs"][0]["status"] == "rolled back"
    shop.run("crawl").done()
    shop.run(*QUERY).done()
