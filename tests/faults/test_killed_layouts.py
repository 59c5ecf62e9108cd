"""A run that changes the layout is killed while it publishes: the next command finishes it, and it can be undone."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from commands import Shop, hashes, leftovers
from shopease_etl.contract.layout import JOURNAL, STATE, month_of
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.lake.open import open_store
from shopease_etl.operations.check.contents import lake_contents
from shopease_etl.progress import SILENT

# The command kills itself at this step of its publication.
KILLING: Final = """
import os
import signal

from shopease_etl.lake import local, publish


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


numbers = iter(range({number}))
put_in_place = local.FileWriter.publish
delete = local.LocalStore.delete


def publish_some(writer):
    if writer._key.startswith(("bronze/", "silver/")) and next(numbers, None) is None:
        die()
    put_in_place(writer)


def delete_some(store, keys):
    if any(key.startswith("bronze/") for key in keys):
        delete(store, keys[:{deleted}])
        die()
    delete(store, keys)


local.FileWriter.publish = publish_some
local.LocalStore.delete = delete_some
"""
MONTHS: Final = {"SHOPEASE_PARTITIONS": "month"}


def sales_files(shop: Shop) -> set[str]:
    """The keys of sales in the layers, and of what is derived from them."""
    keys = (path.relative_to(shop.lake).as_posix() for path in Path(shop.lake).rglob("*") if path.is_file())
    return {key for key in keys if key.split("/")[1] == TRANSACTIONS.name and not key.startswith("_generations")}


@pytest.mark.parametrize("is_back", [False, True], ids=["to months", "from months"])
@pytest.mark.parametrize(("published", "deleted"), [(2, 0), (999, 0), (999, 2), (999, 999)])
@pytest.mark.quick(2)
def test_the_next_command_finishes_it(sales: str, tmp_path: Path, published: int, deleted: int, is_back: bool) -> None:
    none, folder = Shop(tmp_path, sales, str(tmp_path / "lake")), tmp_path / "lake"
    by_month = replace(none, more=MONTHS)
    former, shop = (by_month, none) if is_back else (none, by_month)
    former.run("run-all", "--skip-crawl").done()
    before = {key: hashed for key, hashed in hashes(folder).items() if not key.startswith(f"{STATE}/")}
    kill = KILLING.replace("{number}", str(published)).replace("{deleted}", str(deleted))
    (tmp_path / "sitecustomize.py").write_text(kill)
    killed = replace(shop, more={**shop.more, "PYTHONPATH": str(tmp_path)}).run("run-all", "--skip-crawl")
    assert (killed.code, len(list(folder.glob(f"{JOURNAL}*")))) == (-signal.SIGKILL, 1), killed.stderr
    former.run("cleanup", "--uploads", "--yes").done()
    assert {month_of(key) is None for key in sales_files(shop)} == {is_back}
    assert bool(list(folder.glob(f"{STATE}/*/*/*"))) != is_back
    assert [line for line in lake_contents(open_store(shop.lake), SILENT) if line.exit_code] == []
    shop.run("rollback", "--yes", "--skip-crawl").done()
    assert {key: hashed for key, hashed in hashes(folder).items() if not key.startswith(f"{STATE}/")} == before
    assert {*leftovers(folder)} <= {STATE}
