"""Disks without room: one clear line, the right exit code, the former lake."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from commands import Shop, hashes, leftovers

ROOT_ONLY: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 MB, mounted for the block."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, left: int) -> None:
    """Leave this many bytes free."""
    free = shutil.disk_usage(disk).free
    (disk / "filling").write_bytes(bytes(max(free - left, 0)))


@ROOT_ONLY
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize(
    ("left", "command"), [(600_000, "extract"), (600_000, "clean"), (40_960, "aggregate"), (0, "extract")]
)
def test_a_full_disk_is_exit_4_and_leaves_the_former_lake(shop: Shop, tmp_path: Path, left: int, command: str) -> None:
    with small_disk(tmp_path / "disk") as disk:
        lake = Path(shutil.copytree(shop.folder / "lake", disk / "lake"))
        before = hashes(lake)
        fill(disk, left)
        Shop(tmp_path, shop.database_url, str(lake)).run(command).failed(4, "No space left on device")
        assert (hashes(lake), leftovers(lake)) == (before, [])


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments", [("status",), ("status", "--json"), ("query", "SELECT 1 AS one", "--format", "csv")]
)
def test_an_answer_that_finds_no_room_is_one_line(shop: Shop, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full, shop.start(*arguments, stdout=full) as process:
        assert process.stderr
        complaint = process.stderr.read()
    assert process.returncode in {1, 4}
    assert complaint.startswith("shopease: error: "), complaint
    assert "No space left on device" in complaint
    assert "Traceback" not in complaint
