"""A lake that others can write to: symbolic links in it lead no command of ours to files elsewhere."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import pytest

from commands import Shop
from shopease_etl.contract.layout import GENERATIONS, JOURNAL
from shopease_etl.contract.tables import CUSTOMERS
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.lock.file import locked_file
from shopease_etl.lake.lock.holder import this_process
from shopease_etl.lake.manifests import manifests, recorded_datasets
from shopease_etl.lake.open import open_store
from shopease_etl.lake.publish import recover, unfinished_publications
from shopease_etl.lake.spool import clear_spool
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import UnfinishedUpload, put_stream
from shopease_etl.operations.status import status
from shopease_etl.warehouse.local_catalog import LocalCatalog, load, save

KEY: Final = CUSTOMERS.bronze_key
SECRET: Final = b"somebody else's\n"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a file, which no command has to do with."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o750)
    (folder / "file").write_bytes(SECRET)
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    put_stream(open_store(str(tmp_path / "lake")), KEY, [b"a\n1\n"])
    return tmp_path / "lake"


def untouched(folder: Path) -> bool:
    """Whether the folder is as it was made."""
    names = [path.name for path in folder.iterdir()]
    status = (folder / "file").stat()
    return (names, (folder / "file").read_bytes(), status.st_nlink) == (["file"], SECRET, 1)


USES: Final[dict[str, tuple[str, Callable[[Any], object]]]] = {
    "write": ("_staging", lambda store: put_stream(store, KEY, [b"new"])),
    "sweep": ("_staging", lambda store: store.sweep()),
    "list uploads": ("_staging", lambda store: list(store.unfinished_uploads())),
    "abort": ("_staging", lambda store: store.abort(UnfinishedUpload(KEY, "file", 0))),
    "finish": ("_staging", lambda store: store.finish({"key": KEY, "staged": "file", "inode": 0})),
    "reuse": ("_staging", lambda store: Transaction(store, store.root.parent / "spool").reuse(KEY, "")),
    "try": ("_staging", lambda store: store.check_targets([KEY])),
    "keep": (GENERATIONS, lambda store: store.keep_former("run", [KEY])),
    "prune": (GENERATIONS, lambda store: store.prune([])),
    "former writer": (GENERATIONS, lambda store: store.former_writer(KEY, f"{GENERATIONS}/file")),
    "manifest": ("_runs", lambda store: put_stream(store, "_runs/r.json", [b"{}"])),
    "list": ("_runs", lambda store: list(store.list("_runs/"))),
    "find": ("_runs", lambda store: store.find("_runs/file")),
    "read": ("_runs", lambda store: store.read("_runs/file")),
    "delete": ("_runs", lambda store: store.delete(["_runs/file"])),
    "recover": ("_runs", recover),
    "look": ("_runs", lambda store: store.lock(Path()).status()),
    "lock": ("_runs", lambda store: locked_file(store.root / "_runs" / ".lock", "r").__enter__()),
}


@pytest.mark.parametrize("use", USES)
def test_our_own_folders_must_not_be_links(lake: Path, elsewhere: Path, use: str) -> None:
    name, work = USES[use]
    shutil.rmtree(lake / name, ignore_errors=True)
    (lake / name).symlink_to(elsewhere)
    with pytest.raises(UnreachableError, match=f"{lake / name} is a symbolic link") as raised:
        work(open_store(str(lake)))
    back = f"rm {lake / name} && mv {elsewhere} {lake / name}"
    assert f"replace the link: {back}; else remove it: rm {lake / name}" in str(raised.value.hint)
    assert untouched(elsewhere)
    assert (lake / KEY).read_bytes() == b"a\n1\n"


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_lock_that_is_a_link_is_neither_taken_nor_deleted(lake: Path, elsewhere: Path, kind: str) -> None:
    path = lake / "_runs" / ".lock"
    path.parent.mkdir()
    (elsewhere / "file").write_text(json.dumps(asdict(this_process("nobody", ""))))
    former = (elsewhere / "file").read_bytes()
    path.symlink_to(elsewhere / "file") if kind == "symbolic" else path.hardlink_to(elsewhere / "file")
    with pytest.raises(UnreachableError, match=f"{path} is "), locked_file(path, "run"):
        pytest.fail("it was taken")
    assert ((elsewhere / "file").read_bytes(), path.exists()) == (former, True)
    if kind == "symbolic":
        with pytest.raises(UnreachableError, match="is a symbolic link"):
            open_store(str(lake)).lock(Path()).status()


def test_a_journal_that_is_a_link_is_refused(lake: Path, elsewhere: Path) -> None:
    (lake / "_runs").mkdir()
    (lake / f"{JOURNAL}run").symlink_to(elsewhere / "file")
    store = open_store(str(lake))
    assert unfinished_publications(store) == ("run",)
    with pytest.raises(UnreachableError, match=r"\.publishing-run is a symbolic link"):
        recover(store)
    assert untouched(elsewhere)


def test_a_kept_object_that_is_a_link_is_not_restored(lake: Path, elsewhere: Path) -> None:
    store = open_store(str(lake))
    name = cast("str", store.keep_former("run", [KEY])[KEY])
    (lake / name).unlink()
    (lake / name).symlink_to(elsewhere / "file")
    with pytest.raises(DataRefusedError, match="no longer kept"):
        store.former_writer(KEY, name)
    (lake / GENERATIONS / "link").symlink_to(elsewhere)
    store.prune([])
    assert (untouched(elsewhere), (lake / GENERATIONS).exists()) == (True, False)


def test_the_target_of_a_staged_link_stays(lake: Path, elsewhere: Path) -> None:
    (lake / "_staging").mkdir()
    (lake / "_staging" / "x.0").symlink_to(elsewhere)
    open_store(str(lake)).sweep()
    assert (untouched(elsewhere), (lake / "_staging").exists()) == (True, False)


@pytest.mark.parametrize("link", ["folder", "file"])
def test_copies_of_a_run_follow_no_link(
    new_bucket: Callable[[], str], tmp_path: Path, elsewhere: Path, link: str
) -> None:
    store, spool = open_store(f"s3://{new_bucket()}"), tmp_path / "spool" / "of-the-lake"
    spool.parent.mkdir()
    if link == "folder":
        spool.symlink_to(elsewhere)
        with pytest.raises(UnreachableError, match="is a symbolic link"):
            clear_spool(spool)
    else:
        spool.mkdir()
        (spool / "file").symlink_to(elsewhere / "file")
    with pytest.raises(UnreachableError, match="is a symbolic link"):
        Transaction(store, spool).raw_writer("file")
    assert untouched(elsewhere)


def test_writing_a_catalog_follows_no_link(tmp_path: Path, elsewhere: Path) -> None:
    path = tmp_path / "catalog" / "c.json"
    path.parent.mkdir()
    path.symlink_to(elsewhere / "file")
    path.with_name(".c.json.part").symlink_to(elsewhere / "file")
    catalog = LocalCatalog("c", "lake", (), ())
    save(catalog, path)
    assert (load(path), path.is_symlink()) == (catalog, False)
    assert untouched(elsewhere)


def test_a_lake_may_itself_be_a_link(lake: Path) -> None:
    (lake.parent / "link").symlink_to(lake)
    store = open_store(str(lake.parent / "link"))
    put_stream(store, KEY, [b"new"])
    assert (lake / KEY).read_bytes() == b"new"
    shutil.rmtree(lake)
    for use in (status, LocalStore.check):
        with pytest.raises(UnreachableError, match="which is not there"):
            use(LocalStore(lake.parent / "link"))


def test_folders_that_link_in_a_circle_are_listed_once(lake: Path) -> None:
    (lake / "bronze" / "circle").symlink_to(lake / "bronze")
    assert [item.key for item in open_store(str(lake)).list("bronze/")] == [KEY]


def no_folder(runs: Path) -> None:
    runs.write_text("")


def dangling(runs: Path) -> None:
    runs.symlink_to(runs.parent / "nowhere")


@pytest.mark.parametrize("spoil", [no_folder, dangling])
def test_an_unreadable_history_is_not_taken_for_an_empty_one(lake: Path, spoil: Callable[[Path], None]) -> None:
    spoil(lake / "_runs")
    shop = Shop(lake.parent)
    for command in ("status", "clean", "retry", "rollback"):
        shop.run(command).failed(4, str(lake / "_runs"))
    lines = shop.run("check", "--json").document
    assert [line["name"] for line in lines if line["exit_code"] and str(lake / "_runs") in line["detail"]]


@pytest.mark.parametrize("folder", ["_runs", "bronze", "."])
def test_an_unreadable_folder_is_not_taken_for_an_empty_one(lake: Path, folder: str) -> None:
    (lake / "_runs").mkdir()
    (lake / folder).chmod(0)
    user = os.geteuid()
    if user == 0:
        for path in lake.parents:
            if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001:
                path.chmod(path.stat().st_mode | 0o001)
        os.seteuid(12345)
    try:
        store = open_store(str(lake))
        for look in (status, recorded_datasets, lambda store: list(manifests(store))):
            if folder == "bronze" and look not in {status, recorded_datasets}:
                continue
            with pytest.raises(UnreachableError, match="Permission denied") as raised:
                look(store)
            assert "chmod" in str(raised.value.hint)
    finally:
        os.seteuid(user)
        (lake / folder).chmod(0o755)
