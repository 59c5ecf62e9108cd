"""A run that needs too much memory ends with a clear error before the kernel kills it."""

from dataclasses import replace
from pathlib import Path

import pytest

from commands import Shop, hashes
from shopease_etl.errors import ShopeaseError
from shopease_etl.transform import memory
from shopease_etl.transform.memory import Memory, available_bytes, resident_bytes


def test_a_run_over_its_limit_says_so_and_changes_nothing(shop: Shop) -> None:
    before = hashes(shop.folder / shop.lake)
    small = replace(shop, more={"SHOPEASE_MAX_MEMORY": "20MB"})
    small.run("clean").failed(1, "needs more memory than SHOPEASE_MAX_MEMORY allows", "of 20 MB")
    replace(shop, more={"SHOPEASE_MAX_MEMORY": "10"}).run("clean").failed(1, " MB of 10 bytes")
    small.run("aggregate").failed(1, "needs more memory than SHOPEASE_MAX_MEMORY allows")
    after = hashes(shop.folder / shop.lake)
    assert {key: value for key, value in after.items() if not key.startswith("_runs/")} == {
        key: value for key, value in before.items() if not key.startswith("_runs/")
    }


def test_a_small_limit_gives_the_same_bytes(shop: Shop) -> None:
    before = hashes(shop.folder / shop.lake)
    replace(shop, more={"SHOPEASE_MAX_MEMORY": "500MB"}).run("aggregate").done()
    after = hashes(shop.folder / shop.lake)
    assert {key for key in before if key.startswith("gold/")} <= {key for key in after if after[key] == before.get(key)}


def test_too_little_free_memory_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Memory().require_room()
    (tmp_path / "memory.max").write_text("1000000000\n")
    (tmp_path / "memory.current").write_text("990000000\n")
    (tmp_path / "memory.stat").write_text("anon 980000000\nfile 5000000\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    with pytest.raises(ShopeaseError, match=r"memory is used up: .* and 15 MB are left"):
        Memory().require_room()
    (tmp_path / "memory.max").write_text("max\n")
    Memory().require_room()


def test_memory_of_the_system() -> None:
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert resident_bytes() > len(held)
    assert (available_bytes() or 0) > 0
