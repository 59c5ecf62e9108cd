"""Temporary folders of killed processes go with the next one; those in use stay."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from shopease_etl.warehouse.scratch import PREFIX, ScratchFolder

KILLED: Final = """
import os, signal, sys
from pathlib import Path
from shopease_etl.warehouse.scratch import ScratchFolder

(ScratchFolder(Path(sys.argv[1])).path / "spilled").write_text("rows")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_only_folders_of_killed_processes_are_deleted(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    first = ScratchFolder(tmp_path)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    kept = {first.path.name, f"{PREFIX}link", "other"}
    assert len(kept ^ {path.name for path in tmp_path.iterdir()}) == 1
    second = ScratchFolder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, second.path.name}
    for folder in (first, second, second):
        folder.delete()
    assert {path.name for path in tmp_path.iterdir()} == {f"{PREFIX}link", "other"}
