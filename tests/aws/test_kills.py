"""A run on S3 that is killed at any point leaves the former lake, or the new one; the next command tidies up."""

import hashlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from accounts import Account, new_account, set_environment
from commands import Shop, copy_of, end, execute
from lakes import KEYS
from shopease_etl.contract.layout import QUARANTINE

# A line on stderr, and which one of them; the last are when it publishes, and when it has.
BEFORE = (
    ("extract", 1),
    ("  transactions:", 1),
    ("extract: done", 1),
    ("rows share their key", 1),
    ("  transactions:", 2),
    ("clean: done", 1),
    ("  gold:", 1),
    ("crawl", 1),
)
PUBLISHING = "publishing 15 objects"
MOMENTS = (*BEFORE, (PUBLISHING, 1), ("crawl: done", 1))
DAYS = ("query", "SELECT SUM(total_transactions) AS n FROM shopease_catalog.daily_sales_summary", "--json")


@dataclass(frozen=True)
class Lake:
    """A shop on S3 whose source goes on changing, and its bucket."""

    shop: Shop
    account: Account
    bucket: str

    def hashes(self) -> dict[str, str]:
        """The datasets by key, but for the run's id in quarantine."""
        client = self.account.client("s3")
        found = {}
        for key in KEYS:
            data = client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            lines = [line.rpartition(b",")[0] for line in data.splitlines()] if key.startswith(QUARANTINE) else [data]
            found[key] = hashlib.sha256(b"\n".join(lines)).hexdigest()
        return found

    def uploads(self) -> list[str]:
        """Unfinished uploads."""
        found = self.account.client("s3").list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [upload["Key"] for upload in found]


@pytest.fixture(scope="module")
def lake(emulator: str, sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with copy_of(sales) as url, pytest.MonkeyPatch.context() as patch:
        account = new_account(emulator)
        set_environment(patch, account.environment)
        bucket = account.new_bucket()
        account.new_catalog(bucket)
        shop = Shop(tmp_path_factory.mktemp("killed"), url, f"s3://{bucket}")
        shop.run("run-all").done()
        yield Lake(shop, account, bucket)


def change(url: str) -> None:
    """Give every dataset other bytes."""
    for table, key in (("customers", "customer_id"), ("products", "product_id"), ("stores", "store_id")):
        execute(url, f"UPDATE {table} SET updated_at = updated_at + interval '1 day' WHERE {key} IS NOT NULL")
    for table in ("inventory", "sales_managers", "sale_transactions"):
        execute(url, f"UPDATE {table} SET updated_at = coalesce(updated_at, now()) + interval '1 day'")
    execute(
        url,
        "UPDATE sale_transactions SET unit_price = unit_price + 1 WHERE unit_price > 0",
        "UPDATE products SET product_name = product_name || '!' WHERE trim(product_name) <> ''",
        "UPDATE customers SET city = city || '!'",
    )


def kill_at(shop: Shop, line: str, occurrence: int) -> None:
    """Kill a run when this line has come on stderr so many times."""
    with shop.start("run-all", "--verbose") as process:
        assert process.stderr
        for text in process.stderr:
            occurrence -= line in text
            if not occurrence:
                break
        process.send_signal(signal.SIGKILL)
        assert end(process).code == -signal.SIGKILL


@pytest.mark.parametrize(("line", "occurrence"), MOMENTS)
@pytest.mark.quick(3)
def test_a_killed_run_leaves_the_former_lake_or_the_new_one(lake: Lake, line: str, occurrence: int) -> None:
    before = lake.hashes()
    change(lake.shop.database_url)
    kill_at(lake.shop, line, occurrence)
    if line != PUBLISHING:
        assert (lake.hashes() == before) == ((line, occurrence) in BEFORE)
    (answer,) = lake.shop.run(*DAYS).done().document["rows"]
    assert answer["n"] > 0
    # each of these refuses an object that is not as its run's manifest tells
    for command in ("crawl", "aggregate"):
        lake.shop.run(command).done()
    left = lake.hashes()
    lake.shop.run("run-all").done()
    after = lake.hashes()
    assert all(before[key] != after[key] for key in KEYS if not key.startswith(QUARANTINE))
    if line == PUBLISHING:  # it has written down that it will, or it has not
        assert left in (before, after)
    else:
        assert left == (before if (line, occurrence) in BEFORE else after)
    lake.shop.run("cleanup", "--uploads", "--older-than", "0", "--yes").done()
    assert lake.uploads() == []
