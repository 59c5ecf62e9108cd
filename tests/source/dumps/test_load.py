"""Older and newer programs of PostgreSQL on a dump, and what is on their command lines."""

from pathlib import Path

import pytest

from dump_files import content, written
from shopease_etl.errors import DataRefusedError
from shopease_etl.stages.restore import restore


def test_old_psql(dumps: Path, dumped: str, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Path("/usr/bin/psql")
    if not old.exists():
        pytest.skip("no /usr/bin/psql")
    monkeypatch.setattr("shopease_etl.stages.restore.find_tool", lambda *_, **__: old)
    monkeypatch.setattr("shopease_etl.stages.restore.version", lambda _: (15, 0))
    restore(str(dumps / "plain.sql"), empty_database)
    assert content(empty_database) == content(dumped)


def test_archive_of_a_newer_version(dumps: Path, tmp_path: Path, empty_database: str) -> None:
    data = bytearray((dumps / "custom.dump").read_bytes())
    data[6] = 99
    with pytest.raises(DataRefusedError, match="written by a newer PostgreSQL") as caught:
        restore(written(tmp_path, bytes(data), "new.dump"), empty_database)
    assert "pg_dump --no-owner --format=plain" in str(caught.value.hint)


def test_password_is_not_on_the_command_line() -> None:
    from shopease_etl.source.dumps.load import Target

    target = Target.of("postgresql://u:p%20w@localhost/x")
    assert "p w" not in target.conninfo
    assert target.environment["PGPASSWORD"] == "p w"
