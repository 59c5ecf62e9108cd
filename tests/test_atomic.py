"""A file that is replaced is the former one or the whole new one, whatever goes wrong."""

from pathlib import Path

import pytest

from shopease_etl.atomic import replacing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"before")
    return made


def test_readers_see_the_former_file_until_the_new_one_is_whole(path: Path) -> None:
    with replacing(path, 0o600) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o600)
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_changes_nothing(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"after")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_links_are_replaced_and_what_a_killed_command_left_is_too(tmp_path: Path, path: Path) -> None:
    for name in ("link", ".link.part"):
        (tmp_path / name).symlink_to(path)
    with replacing(tmp_path / "link") as file:
        file.write(b"after")
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "link").read_bytes()) == (False, b"after")
    assert path.read_bytes() == b"before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "link"]


def test_of_two_that_write_at_the_same_time_the_last_to_begin_wins_whole(path: Path) -> None:
    first = replacing(path)
    first.__enter__().write(b"first")
    with replacing(path) as last:
        last.write(b"last")
        with pytest.raises(BlockingIOError, match="another process writes it"):
            first.__exit__(None, None, None)
    assert path.read_bytes() == b"last"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_may_be_written_but_not_listed_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o300)
    try:
        with replacing(tmp_path / "file") as file:
            file.write(b"there")
    finally:
        tmp_path.chmod(0o700)
    assert (tmp_path / "file").read_bytes() == b"there"
