"""The umask decides who can read a lake; private copies can be read only by their user."""

from collections.abc import Callable
from pathlib import Path

import pytest

from commands import Shop
from shopease_etl.contract.layout import GENERATIONS, RUNS
from shopease_etl.contract.tables import STORES
from shopease_etl.lake.open import open_store
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import put_stream


def modes(folder: Path, *, of_folders: bool) -> set[int]:
    """The permissions of all files, or of all folders, in a folder and of itself."""
    paths = [folder, *folder.rglob("*")]
    return {path.stat().st_mode & 0o7777 for path in paths if path.is_dir() == of_folders}


@pytest.mark.parametrize("umask", [0o002, 0o027, 0o077])
def test_a_lakes_files_have_the_permissions_of_the_umask(sales: str, tmp_path: Path, umask: int) -> None:
    shop = Shop(tmp_path, sales, wrapper=("sh", "-c", f'umask {umask:04o}; exec "$@"', "sh"))
    for _ in range(2):
        shop.run("extract", "--table", STORES.source).done()
    lake = tmp_path / "lake"
    assert {path.name for path in lake.iterdir()} == {"bronze", RUNS, GENERATIONS}
    assert modes(lake, of_folders=False) == {0o666 & ~umask}
    assert modes(lake, of_folders=True) == {0o777 & ~umask}


def test_only_the_user_can_read_copies_of_a_run_on_s3(new_bucket: Callable[[], str], tmp_path: Path) -> None:
    pending = Transaction(open_store(f"s3://{new_bucket()}"), tmp_path / "spool" / "of-the-lake")
    put_stream(pending, STORES.bronze_key, [b"a\n1\n"])
    assert modes(tmp_path / "spool" / "of-the-lake", of_folders=False) == {0o600}
    assert modes(tmp_path / "spool" / "of-the-lake", of_folders=True) == {0o700}
    pending.discard()
