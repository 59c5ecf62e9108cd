"""Disks with little room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

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
