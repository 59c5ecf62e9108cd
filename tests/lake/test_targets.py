"""What would make publishing fail midway is found before it begins, and looking for it changes nothing."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import pytest

from commands import Shop
from lakes import KEYS
from shopease_etl.contract.tables import CUSTOMERS, STORES
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.publish import publish_run
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import put_stream

KEY: Final = STORES.bronze_key
OTHER_USER: Final = 12345
ROOT_ONLY: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def everything(root: Path) -> dict[str, tuple[int, int]]:
    """Each path in a folder with its inode and its time of change."""
    found = {path: path.lstat() for path in root.rglob("*")}
    return {str(path): (status.st_ino, path.is_file() and status.st_mtime_ns) for path, status in found.items()}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with two objects and a manifest."""
    store = open_store(str(tmp_path / "lake"))
    for key in (KEY, CUSTOMERS.bronze_key, "_runs/x.json"):
        put_stream(store, key, [b"a\n1\n"])
    return tmp_path / "lake"


def try_targets(lake: Path, *keys: str) -> None:
    """Try to replace these objects, or all of the contract."""
    open_store(str(lake)).check_targets(keys or KEYS)


@contextmanager
def as_user(number: int, *owned: Path) -> Iterator[None]:
    """Be another user for the block, who owns these folders and nothing else; only root can."""
    for path in owned:
        os.chown(path, number, number)
    former = [(path, path.stat().st_mode) for path in (*owned, *owned[0].parents) if path.stat().st_uid == 0]
    for path, mode in former:
        path.chmod(mode | 0o755)
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        for path, mode in former:
            path.chmod(mode)


def folders(lake: Path) -> list[Path]:
    return [lake, *(path for path in lake.rglob("*") if path.is_dir())]


def test_checking_does_not_change_a_lake(lake: Path) -> None:
    before = everything(lake)
    try_targets(lake)
    assert everything(lake) == before


def test_checking_does_not_create_a_lake(tmp_path: Path) -> None:
    try_targets(tmp_path / "new" / "lake")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [try_targets, lambda lake: open_store(str(lake)).sweep()])
def test_a_probe_of_a_killed_command_is_deleted(lake: Path, end: Callable[[Path], None]) -> None:
    (lake / KEY).with_name(".shopease-probe").touch()
    end(lake)
    (lake / ".shopease-probe-0").mkdir()
    open_store(str(lake)).sweep()
    assert [path.name for path in lake.rglob(".shopease*")] == []


def folder_for_object(lake: Path) -> None:
    (lake / KEY).unlink()
    (lake / KEY).mkdir()


def file_for_folder(lake: Path) -> None:
    shutil.rmtree((lake / KEY).parent)
    (lake / KEY).parent.write_text("")


def link_to_nothing(lake: Path) -> None:
    shutil.rmtree((lake / KEY).parent)
    (lake / KEY).parent.symlink_to(lake / "nowhere")


@pytest.mark.parametrize("block", [folder_for_object, file_for_folder, link_to_nothing])
def test_obstacles_in_place_of_objects_or_folders_are_named(lake: Path, block: Callable[[Path], None]) -> None:
    block(lake)
    before = everything(lake)
    with pytest.raises(UnreachableError, match=str((lake / KEY).parent)) as raised:
        try_targets(lake)
    assert "mv " in str(raised.value.hint)
    assert everything(lake) == before
    if block is not link_to_nothing:
        try_targets(lake, CUSTOMERS.bronze_key)


@pytest.mark.parametrize("place", ["bronze", "bronze/stores", KEY])
def test_a_link_in_the_lake_is_always_refused(lake: Path, place: str) -> None:
    """A query would not follow it: DuckDB reads the lake's folder and nothing outside of it."""
    moved = lake.parent / "moved"
    (lake / place).rename(moved)
    (lake / place).symlink_to(moved)
    before = everything(lake)
    for keys in ((), (CUSTOMERS.bronze_key,)):
        with pytest.raises(UnreachableError, match=f"^{lake / place} is a symbolic link") as raised:
            open_store(str(lake)).check_targets(keys)
    assert str(raised.value.hint).endswith(f": rm {lake / place} && mv {moved} {lake / place}")
    assert everything(lake) == before
    (lake.parent / "link").symlink_to(lake)
    Shop(lake.parent, lake="link").run("crawl").failed(4, f"{lake / place} is a symbolic link")
    (lake / place).unlink()
    moved.rename(lake / place)
    try_targets(lake.parent / "link")


@ROOT_ONLY
@pytest.mark.parametrize("place", [KEY, "bronze/stores", "gold", "_runs"])
def test_a_mount_of_the_same_disk_is_refused(lake: Path, place: str) -> None:
    target, source = lake / place, lake.parent / "source"
    if place == KEY:
        source.write_text("")
    else:
        source.mkdir()
        target.mkdir(exist_ok=True)
    _changed("mount", "--bind", source, target)
    try:
        with pytest.raises(UnreachableError, match=f" {target}: ") as raised:
            try_targets(lake)
    finally:
        subprocess.run(["umount", target], check=True)
    assert "one disk" in str(raised.value.hint)


@ROOT_ONLY
def test_former_lakes_may_be_on_another_disk(lake: Path) -> None:
    (lake / "_generations").mkdir()
    _changed("mount", "-t", "tmpfs", "tmpfs", lake / "_generations")
    try:
        try_targets(lake)
    finally:
        subprocess.run(["umount", lake / "_generations"], check=True)


@ROOT_ONLY
@pytest.mark.parametrize("place", [KEY, "bronze/stores", "_runs", "."])
def test_immutable_files_are_refused_even_for_root(lake: Path, place: str) -> None:
    _changed("chattr", "+i", lake / place)
    try:
        with pytest.raises(UnreachableError, match=f" {lake / place}: ") as raised:
            try_targets(lake)
    finally:
        subprocess.run(["chattr", "-i", lake / place], check=True)
    assert "chattr -i" in str(raised.value.hint)
    try_targets(lake)


def _changed(*command: str | Path) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"{command[0]} cannot do that here: {ended.stderr.strip()}")


@pytest.mark.parametrize("place", ["bronze/stores", "_runs", "."])
def test_a_folder_of_another_user_is_refused(lake: Path, place: str) -> None:
    (lake / place).chmod(0o555)
    others = [path for path in folders(lake) if path != (lake / place).resolve()]
    user = as_user(OTHER_USER, *others) if os.geteuid() == 0 else nullcontext()
    try:
        with user, pytest.raises(UnreachableError, match=f" {lake / place}: Permission denied") as raised:
            try_targets(lake)
    finally:
        (lake / place).chmod(0o755)
    assert "chown" in str(raised.value.hint)


@ROOT_ONLY
def test_a_file_of_another_user_in_a_sticky_folder_is_refused(lake: Path) -> None:
    others = [path for path in folders(lake) if path.name != "stores"]
    (lake / KEY).parent.chmod(0o1777)
    with as_user(OTHER_USER, *others):
        with pytest.raises(UnreachableError, match=f"cannot replace {lake / KEY}: ") as raised:
            try_targets(lake)
        try_targets(lake, CUSTOMERS.bronze_key)
    assert "sticky" in str(raised.value.hint)
    (lake / KEY).parent.chmod(0o777)  # other users' files may be replaced where the folder is open
    with as_user(OTHER_USER, *others):
        try_targets(lake)


def test_a_run_that_is_blocked_at_its_end_publishes_nothing(lake: Path, tmp_path: Path) -> None:
    store = open_store(str(lake))
    pending = Transaction(store, tmp_path / "spool")
    for key in (CUSTOMERS.bronze_key, KEY):
        put_stream(pending, key, [b"new"])
    (lake / KEY).unlink()
    (lake / KEY).mkdir()
    with pytest.raises(UnreachableError, match=str(lake / KEY)):
        publish_run(store, pending, {"run_id": "y", "status": "running"})
    pending.discard()
    assert (store.read(CUSTOMERS.bronze_key), pending.is_committed) == (b"a\n1\n", False)
    assert [path.name for path in (lake / "_runs").iterdir()] == ["x.json"]
    store.delete([CUSTOMERS.bronze_key])
    with pytest.raises(UnreachableError, match=str(lake / KEY)):
        publish_run(store, Transaction(store, tmp_path / "spool"), {"run_id": "z", "status": "running"}, deletes=[KEY])
