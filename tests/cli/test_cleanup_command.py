"""`shopease cleanup` shows its list, asks, and deletes only what belongs to the lake."""

import os
import pty
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts import Account
from commands import Shop, end
from lakes import KEYS
from leases import holder
from shopease_etl.contract import gold
from shopease_etl.lake.lock.lease import leased
from shopease_etl.lake.s3 import S3Store
from shopease_etl.lake.store import put_stream

GOLD = {table.key for table in gold.USUAL}


@pytest.fixture
def full(shop: Shop, tmp_path: Path) -> Shop:
    """A shop with its own copy of a local lake, and a file in it that is not part of the lake."""
    shutil.copytree(shop.folder / "lake", tmp_path / "lake")
    (tmp_path / "lake" / "gold" / "notes.txt").write_text("mine")
    return Shop(tmp_path, shop.database_url)


def keys(shop: Shop) -> set[str]:
    root = shop.folder / "lake"
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_nothing_is_deleted_without_confirmation(full: Shop) -> None:
    before = keys(full)
    full.run("cleanup").failed(2, "--uploads, --layer NAME or --all")
    full.run("cleanup", "--layer", "golden").failed(2, "golden is not a layer")
    ended = full.run("cleanup", "--layer", "gold")
    assert "--yes" in ended.failed(2, "cannot ask for confirmation").stderr
    assert all(key in ended.stdout for key in GOLD)
    assert all(key in full.run("cleanup", "--all", "--dry-run").done().stdout for key in KEYS)
    assert keys(full) == before


def test_a_layer_is_deleted_and_nothing_else(full: Shop) -> None:
    before = keys(full)
    document = full.run("cleanup", "--layer", "gold", "--yes", "--json").done().document
    assert document["deleted"] is True
    assert {item["key"] for item in document["datasets"]["objects"]} == GOLD
    assert keys(full) == before - GOLD
    assert full.run("cleanup", "--layer", "gold", "--yes", "--json").done().document["deleted"] is False


def test_all_keeps_files_that_are_not_part_of_the_lake(full: Shop) -> None:
    ended = full.run("cleanup", "--all", "--yes").done()
    assert "1 object not of the lake's layout" in ended.stderr
    assert keys(full) - {"_runs/.lock"} == {"gold/notes.txt"}


@pytest.mark.parametrize(("answer", "is_gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_only_yes_deletes(full: Shop, answer: str, is_gone: bool) -> None:
    master, terminal = pty.openpty()
    with full.start("cleanup", "--layer", "gold", stdin=terminal) as process:
        os.write(master, answer.encode())
        ended = end(process)
    assert f"Delete {len(gold.USUAL)} objects" in ended.stderr
    assert (keys(full) & GOLD == set()) == is_gone


def test_nothing_is_deleted_during_a_run(full: Shop) -> None:
    from shopease_etl.lake.lock.file import locked_file

    before = keys(full)
    with locked_file(full.folder / "lake" / "_runs" / ".lock", "a run"):
        full.run("cleanup", "--all", "--yes").failed(75, "a run")
    assert keys(full) == before


@pytest.fixture
def killed(sales: str, tmp_path: Path, account: Account) -> Iterator[tuple[Shop, str]]:
    """A shop on S3 with unfinished uploads, one to a key that is not the lake's, and its bucket."""
    bucket = account.new_bucket()
    for key in ("x/bronze/stores/stores.csv", "x/elsewhere.bin", "y/bronze/stores/stores.csv"):
        account.client("s3").create_multipart_upload(Bucket=bucket, Key=key)
    yield Shop(tmp_path, sales, f"s3://{bucket}/x"), bucket


def test_old_unfinished_uploads_are_aborted(killed: tuple[Shop, str], account: Account) -> None:
    shop, bucket = killed

    def unfinished() -> list[str]:
        return sorted(item["Key"] for item in account.client("s3").list_multipart_uploads(Bucket=bucket)["Uploads"])

    young = shop.run("cleanup", "--uploads", "--yes").done()
    assert "1 younger upload," in young.stderr
    assert len(unfinished()) == 3
    document = shop.run("cleanup", "--uploads", "--older-than", "0", "--yes", "--json").done().document
    assert [upload["key"] for upload in document["uploads"]["uploads"]] == ["bronze/stores/stores.csv"]
    assert unfinished() == ["x/elsewhere.bin", "y/bronze/stores/stores.csv"]


def test_nothing_is_deleted_during_a_run_on_another_machine(killed: tuple[Shop, str]) -> None:
    shop, bucket = killed
    store = S3Store(bucket, "x")
    put_stream(store, min(GOLD), [b"x"])
    for arguments in (("--all",), ("--uploads", "--older-than", "0")):
        with leased(store, holder("a run"), 60):
            shop.run("cleanup", *arguments, "--yes").failed(75, "a run on somewhere")
            assert shop.run("cleanup", *arguments, "--dry-run", "--json").done().document["deleted"] is False
        assert len(list(store.unfinished_uploads())) == 2
    shop.run("cleanup", "--all", "--yes").done()
    assert [item.key for item in store.list("")] == []


def test_outputs_that_wait_for_a_retry_are_kept_until_they_are_old(full: Shop) -> None:
    staged = full.folder / "lake" / "_staging" / "bronze%2Fstores%2Fstores.csv.1"
    staged.parent.mkdir()
    staged.touch()
    full.run("cleanup", "--layer", "gold").failed(2, "cannot ask for confirmation")
    full.run("cleanup", "--uploads", "--yes").done()
    assert staged.exists()
    full.run("cleanup", "--uploads", "--older-than", "0", "--yes").done()
    assert not staged.exists()


def test_ctrl_c_at_the_question_deletes_nothing(full: Shop) -> None:
    before = keys(full)
    _, terminal = pty.openpty()
    with full.start("cleanup", "--layer", "gold", stdin=terminal) as process:
        assert process.stderr
        asked = ""
        while not asked.endswith("[y/N] "):
            asked += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert keys(full) == before


def test_the_end_of_the_input_means_no(full: Shop) -> None:
    before = keys(full)
    master, terminal = pty.openpty()
    with full.start("cleanup", "--layer", "gold", stdin=terminal) as process:
        os.write(master, b"\x04")
        ended = end(process)
    assert "Nothing was deleted" in ended.done().stderr
    assert keys(full) == before


def test_json_never_asks(full: Shop) -> None:
    before = keys(full)
    full.run("cleanup", "--layer", "gold", "--json").failed(2, "cannot ask for confirmation")
    assert keys(full) == before
