"""A crawl that fails takes its run with it: readers and queries have the former lake and the former catalog."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from accounts import Account
from commands import Ended, Shop, copy_of, execute
from lakes import KEYS
from shopease_etl.lake.open import open_store

CHANGES: Final = (
    "ALTER TABLE customers ADD COLUMN loyalty text DEFAULT 'gold'",
    "UPDATE sale_transactions SET unit_price = unit_price + 1 WHERE unit_price > 0",
)
RUN: Final = ("run-all", "--accept-drift", "--json")
COUNT: Final = ("query", "SELECT count(*) AS n FROM shopease_catalog.customers", "--json")
DATABASE: Final = "shopease_catalog"


@dataclass(frozen=True)
class Catalogued:
    """A shop with a lake and a catalog, whose source has other columns by now."""

    shop: Shop
    account: Account | None = None

    def objects(self) -> dict[str, bytes]:
        store = open_store(self.shop.lake)
        return {key: store.read(key) for key in KEYS}

    def catalog(self) -> Any:
        """What is registered, without what tells when."""
        if self.account is None:
            return [path.read_bytes() for path in (self.shop.folder / "home" / "catalog").iterdir()]
        tables = self.account.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
        times = {"CreateTime", "UpdateTime", "LastAccessTime", "VersionId"}
        return [{name: value for name, value in table.items() if name not in times} for table in tables]

    def uploads(self) -> list[str]:
        return [upload.key for upload in open_store(self.shop.lake).unfinished_uploads()]

    def failing(self, *arguments: str) -> Ended:
        """A command whose crawl fails: no query may take any time, or the catalog cannot be written."""
        if self.account:
            return replace(self.shop, more={**self.shop.more, "SHOPEASE_QUERY_TIMEOUT": "0.000001"}).run(*arguments)
        catalog = self.shop.folder / "home" / "catalog"
        aside = catalog.rename(catalog.with_name("aside"))
        catalog.write_text("no folder")
        try:
            return self.shop.run(*arguments)
        finally:
            catalog.unlink()
            aside.rename(catalog)


@pytest.fixture(params=["local", "s3"])
def catalogued(request: pytest.FixtureRequest, sales: str, tmp_path: Path) -> Iterator[Catalogued]:
    with copy_of(sales) as url:
        if request.param == "local":
            made = Catalogued(Shop(tmp_path, url, str(tmp_path / "lake")))
        else:
            made = on_s3(request.getfixturevalue("account"), url, tmp_path, versions=True)
        made.shop.run("run-all").done()
        execute(url, *CHANGES)
        yield made


def on_s3(account: Account, url: str, folder: Path, *, versions: bool) -> Catalogued:
    bucket = account.new_bucket()
    account.new_catalog(bucket)
    if versions:
        status = {"Status": "Enabled"}
        account.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
    return Catalogued(Shop(folder, url, f"s3://{bucket}/x"), account)


def test_a_failed_crawl_leaves_lake_and_catalog_unchanged(catalogued: Catalogued) -> None:
    objects, catalog = catalogued.objects(), catalogued.catalog()
    ended = catalogued.failing(*RUN)
    assert ended.code in {1, 4}, ended
    assert (catalogued.objects(), catalogued.uploads()) == (objects, [])
    assert catalogued.catalog() == catalog
    told = catalogued.shop.run("status", "--json")
    status = told.document
    assert (told.code, status["runs"][0]["status"]) == (1, "failed")
    assert {item["run_id"] for item in status["datasets"]} == {status["runs"][1]["run_id"]}
    told = catalogued.shop.run("retry", "--accept-drift", "--json").done()
    # the stages that were done need not be done again, where their outputs are kept
    assert ("extract" in told.stderr.splitlines()) == (catalogued.account is None)
    assert catalogued.objects() != objects
    assert b"loyalty" in str(catalogued.catalog()).encode()
    assert catalogued.shop.run(*COUNT).done().document["row_count"] == 1


def test_without_versions_the_new_lake_stays_with_a_warning(sales: str, tmp_path: Path, account: Account) -> None:
    with copy_of(sales) as url:
        catalogued = on_s3(account, url, tmp_path, versions=False)
        catalogued.shop.run("run-all").done()
        objects, catalog = catalogued.objects(), catalogued.catalog()
        execute(url, *CHANGES)
        ended = catalogued.failing(*RUN)
        assert ended.code in {1, 4}, ended
        assert "what the run wrote stays published" in ended.stderr
        assert catalogued.objects() != objects
        assert (catalogued.catalog(), catalogued.uploads()) == (catalog, [])
        told = catalogued.shop.run("retry", "--json").done()
        assert [line for line in told.stderr.splitlines() if line in {"extract", "clean", "crawl"}] == ["crawl"]
        assert catalogued.catalog() != catalog
