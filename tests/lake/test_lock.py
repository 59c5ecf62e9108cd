"""One holder at a time among processes; a killed one leaves no lock behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from shopease_etl.errors import LakeLockedError
from shopease_etl.lake.lock.file import locked_file

HOLDER = """
import sys, time
from pathlib import Path
from shopease_etl.lake.lock.file import locked_file
with locked_file(Path(sys.argv[1]), "first", "of the first"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "_runs" / ".lock"


def test_a_second_process_learns_the_holder_and_gets_the_lock_of_a_killed_one(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(LakeLockedError, match=rf"first on .*, process {first.pid}, since") as caught,
            locked_file(path, "x"),
        ):
            pass
        assert caught.value.exit_code == 75
        first.kill()
        first.wait()
        with locked_file(path, "second", "of the second") as former:
            assert former
            assert (former.run_id, former.pid, former.token) == ("first", first.pid, "of the first")
            assert '"of the second"' in path.read_text()
    assert not path.exists()


def test_an_error_releases_the_lock(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked_file(path, "x"):
        raise ZeroDivisionError
    with locked_file(path, "y") as former:
        assert former is None
        assert '"y"' in path.read_text()
    assert not path.exists()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xff", b"[" * 100_000, b"[]", b'{"run_id": "x"}', b'{"run_id":"a\\nb","host":"h","pid":1,"since":"s"}'],
    ids=["empty", "no text", "deep", "a list", "no holder", "two lines"],
)
def test_lock_files_without_a_holder_are_ignored(path: Path, garbage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(garbage)
    with locked_file(path, "x") as former:
        assert former is None
        path.write_bytes(garbage)
        with pytest.raises(LakeLockedError, match=r"^another run holds the lake$"), locked_file(path, "y"):
            pytest.fail("two hold the lock")
