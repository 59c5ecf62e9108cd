"""Disks without room: one clear line, the right exit code, the former lake."""

import shutil
import sys
from pathlib import Path

import pytest
from small_disks import ROOT_ONLY, fill, small_disk

from commands import Shop, hashes, leftovers


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
        ended = Shop(tmp_path, shop.database_url, str(lake)).run(command)
        ended.failed(4, f" {lake}/", "No space left on device")
        assert f"hint: make room on its disk: df -h {lake}" in ended.stderr
        assert (hashes(lake), leftovers(lake)) == (before, [])


@ROOT_ONLY
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_full_disk_of_the_home_is_exit_4(shop: Shop, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = Path(shutil.copytree(shop.folder / "home", disk / "home"))
        fill(disk, 0)
        full = Shop(tmp_path, shop.database_url, str(shop.folder / shop.lake), more={"SHOPEASE_HOME": str(home)})
        ended = full.run("crawl").failed(4, f"{home}/", "No space left on device")
        assert f"hint: make room on its disk: df -h {home}" in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments", [("status",), ("status", "--json"), ("query", "SELECT 1 AS one", "--format", "csv")]
)
def test_a_result_on_a_full_disk_is_one_line(shop: Shop, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full, shop.start(*arguments, stdout=full) as process:
        assert process.stderr
        complaint = process.stderr.read()
    assert process.returncode in {1, 4}
    assert complaint.startswith("shopease: error: "), complaint
    assert "No space left on device" in complaint
    assert "Traceback" not in complaint
