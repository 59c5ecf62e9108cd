"""The command line as its users see it: help, options, streams and exit codes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import typer.main
from typer.testing import CliRunner

from commands import SCALE, Ended, Shop, count, database, execute, on_a_terminal
from shopease_etl import __version__
from shopease_etl.cli import app
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.tables import TABLES

# Typer itself brings pydantic
HEAVY: Final = (
    "polars",
    "pyarrow",
    "boto3",
    "botocore",
    "duckdb",
    "sqlglot",
    "psycopg",
    "pydantic_settings",
    "openlineage",
    "requests",
)
COMMANDS: Final = {
    "sample": ("sample", "sales.sql", "--scale", str(SCALE)),
    "restore": ("restore", "sales.sql"),
    "extract": ("extract",),
    "clean": ("clean",),
    "aggregate": ("aggregate",),
    "crawl": ("crawl",),
    "report": ("report",),
    "query": ("query", "SELECT store_id, store_name FROM shopease_catalog.stores ORDER BY store_id"),
    "tables": ("tables",),
    "status": ("status",),
    "check": ("check",),
    "cost": ("cost",),
    "schedule": ("schedule", "cron"),
    "cleanup": ("cleanup", "--all", "--dry-run"),
    "rollback": ("rollback", "--yes"),
    "run-all": ("run-all",),
}


@pytest.fixture(scope="module")
def shop(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with an empty database and no lake yet."""
    with database(database_url) as url:
        yield Shop(tmp_path_factory.mktemp("shop"), url)


@pytest.fixture(scope="module")
def answers(shop: Shop) -> dict[str, Ended]:
    """What every command answered under `--json`, each run once and in this order; the lake is made then."""
    return {name: shop.run(*arguments, "--json") for name, arguments in COMMANDS.items()}


@pytest.fixture
def sold(shop: Shop, answers: dict[str, Ended]) -> Shop:
    """The shop with its lake made."""
    answers["run-all"].done()
    return shop


def modules_after(environment: dict[str, str], *arguments: str) -> set[str]:
    """The top-level modules in memory when the command has ended."""
    script = """
import sys
from shopease_etl.cli import app
from shopease_etl.cli.program import run_program
sys.argv = ["shopease", *sys.argv[1:]]
try:
    run_program(app)
finally:  # completion ends the process by itself
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout
    return set(done.stderr.splitlines()[-1].split())


def test_every_command_and_option_has_help_and_every_command_an_example() -> None:
    program = typer.main.get_command(app)
    commands = getattr(program, "commands")  # noqa: B009 (typer types it as any command)
    assert set(commands) == {*COMMANDS, "retry", "submit"}  # for runs that failed, and for a service
    for name, command in commands.items():
        assert [option.name for option in command.params if not getattr(option, "help", None)] == []
        printed = " ".join(CliRunner().invoke(app, [name, "--help"]).stdout.split())
        assert command.help
        assert command.help in printed
        assert f"shopease {name}" in printed.partition("╯ Example: ")[2]
        assert "─ Global options ─" in printed
        assert "<bool>" not in printed  # flags take no value


# A command that exists only here: a function, and one call to add it.
GREET: Final = """
import sys
from typing import Annotated

import typer

from shopease_etl.cli import app, main
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.program import add_command


def greet_all(
    context: CommandContext, name: Annotated[list[str], typer.Option("--name", help="Whom to greet; repeatable.")]
) -> None:
    '''Greet people.

    Example: shopease greet-all --name Ada
    '''
    greeting = {"greeting": f"Hello {' and '.join(name)}", "lake": context.settings.lake}
    context.console.result(greeting, lambda: greeting["greeting"])


add_command(app, greet_all, "Operations")
sys.argv[0] = "shopease"
main()
"""


def test_a_command_is_added_in_one_place(shop: Shop) -> None:
    def run(*arguments: str) -> Ended:
        command = [sys.executable, "-c", GREET, *arguments]
        done = subprocess.run(command, env=shop.environment, capture_output=True, text=True, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    assert run("greet-all", "--name", "Ada", "--name", "Bob").done().stdout == "Hello Ada and Bob\n"
    document = run("--json", "greet-all", "--name", "Ada", "--lake", "x").done().document
    assert document == {"greeting": "Hello Ada", "lake": "x"}
    assert "│ greet-all  Greet people." in run("--help").done().stdout
    run("greet-all").failed(2, "Missing option '--name'")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("--help",), {}),
        (("run-all", "--help"), {}),
        (("--version",), {}),
        ((), {"_SHOPEASE_COMPLETE": "complete_bash", "COMP_WORDS": "shopease ex", "COMP_CWORD": "1"}),
    ],
    ids=["help", "help of a command", "version", "completion"],
)
def test_help_version_and_completion_import_nothing_slow(
    shop: Shop, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    assert modules_after(shop.environment | environment, *arguments).isdisjoint(HEAVY)


def test_version(shop: Shop) -> None:
    assert shop.run("--version").done().stdout == f"shopease {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_document_on_one_line(answers: dict[str, Ended], name: str) -> None:
    ended = answers[name].done()
    assert ended.stdout.count("\n") == 1
    assert ended.document


def test_json_reports_what_was_done(answers: dict[str, Ended], shop: Shop) -> None:
    rows = {table.source: count(shop.database_url, table.source) for table in TABLES}
    assert {item["name"]: item["rows"] for item in _tables(answers["sample"])} == rows
    assert {item["name"]: item["rows"] for item in _tables(answers["restore"])} == rows
    assert answers["query"].document["row_count"] == len(answers["query"].document["rows"]) == rows["stores"]
    assert [line["exit_code"] for line in answers["check"].document] == [0] * len(answers["check"].document)
    assert {run["status"] for run in answers["status"].document["runs"]} == {"succeeded"}
    run = answers["run-all"].document
    assert [stage["name"] for stage in run["stages"]] == ["extract", "clean", "aggregate", "crawl"]
    assert run["reconciliation"]["agrees"] is True


def _tables(ended: Ended) -> list[dict[str, object]]:
    """The tables of a document, which are pairs or objects."""
    tables = ended.document["tables"]
    return [item if isinstance(item, dict) else dict(zip(("name", "rows"), item, strict=True)) for item in tables]


@pytest.mark.parametrize("before", [True, False])
def test_global_options_may_be_given_before_and_after_the_command(sold: Shop, *, before: bool) -> None:
    options = ("--json", "--quiet", "--lake", "another", "--home", "elsewhere")
    ended = sold.run(*options, "status") if before else sold.run("status", *options)
    assert ended.done().document["location"] == str(sold.folder / "another")
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("query", "--name", "nope"), 2),
        (("--json", "extract", "--table", "nope"), 2),
        (("extract", "--database-url", "postgresql://localhost:1/x"), 4),
        (("status", "--bogus"), 2),
        (("frobnicate",), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_error_with_json_is_a_document_too(shop: Shop, arguments: tuple[str, ...], code: int) -> None:
    ended = replace(shop, more={"SHOPEASE_SOURCE_WAIT": "0"}).run(*arguments, "--json").failed(code)
    assert ended.stdout.count("\n") == 1
    assert ended.document["exit_code"] == code
    assert ended.document["error"] in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "frobnicate",
        "status --bogus",
        "sample x.sql --scale big",
        "restore missing.sql",
        "run-all --from nowhere",
        "extract --table nope",
        "clean --table stores",
        "aggregate --dataset nope",
        "query --format xml x",
        "query --name nope",
        "query --name revenue-days --format parquet",
        "status --lake gs://bucket",
        "check --database-url nonsense",
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(sold: Shop, arguments: str) -> None:
    assert sold.run(*arguments.split()).failed(2).stdout == ""


def test_a_hint_corrects_a_misspelt_name(shop: Shop) -> None:
    assert "customers" in shop.run("extract", "--table", "custmers").failed(2).stderr.splitlines()[-1]
    misspelt = Shop(shop.folder, more={"SHOPEASE_LAK": "x"})
    assert "SHOPEASE_LAKE" in misspelt.run("status").failed(2, "SHOPEASE_LAK").stderr.splitlines()[-1]


def test_stdout_has_results_and_stderr_has_messages(sold: Shop) -> None:
    ended = sold.run("clean").done()
    assert "Reconciled" in ended.stdout
    assert "Next:" not in ended.stdout
    assert [line for line in ("clean", "Next: shopease status") if line not in ended.stderr.splitlines()] == []
    assert "\x1b" not in ended.stdout + ended.stderr


def test_quiet_prints_nothing_about_success(sold: Shop) -> None:
    ended = sold.run("aggregate", "--quiet").done()
    assert ended.stdout + ended.stderr == ""


def test_colours_are_for_terminals_that_want_them(sold: Shop) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*[34][0-7]m")
    terminal = {"TERM": "xterm-256color"}
    assert colour.search(on_a_terminal(replace(sold, more=terminal), "status").stdout)
    assert not colour.search(on_a_terminal(replace(sold, more={**terminal, "NO_COLOR": "1"}), "status").stdout)


def everything(folder: Path) -> dict[str, float]:
    """All files with the time of their last change, and all folders (whose time a trial of their rights changes)."""
    return {str(path): 0 if path.is_dir() else path.lstat().st_mtime for path in folder.rglob("*")}


def test_a_dry_run_shows_the_plan_and_changes_nothing(sold: Shop, tmp_path: Path) -> None:
    before = everything(sold.folder)
    steps = sold.run("run-all", "--dry-run", "--json").done().document
    assert everything(sold.folder) == before
    assert [step["dataset"] for step in steps if step["stage"] == "extract"] == [table.name for table in TABLES]
    assert [step["dataset"] for step in steps if step["stage"] == "aggregate"] == [table.name for table in USUAL]
    fresh = Shop(tmp_path, sold.database_url)
    assert "daily_sales_summary" in fresh.run("run-all", "--dry-run").done().stdout
    assert everything(tmp_path) == {}


def test_a_dry_run_names_everything_that_is_missing(database_url: str, tmp_path: Path) -> None:
    with database(database_url) as url:
        execute(url, "CREATE TABLE customers (customer_id int)")
        ended = Shop(tmp_path, url).run("run-all", "--dry-run")
    ended.failed(3, "lacks the column email", *(f"table {table.source} is missing" for table in TABLES[1:]))
    assert everything(tmp_path) == {}


def test_a_run_may_start_at_a_later_stage_and_skip_the_crawl(sold: Shop) -> None:
    bronze = everything(sold.folder / "lake" / "bronze")
    run = sold.run("run-all", "--from", "clean", "--skip-crawl", "--json").done().document
    assert [stage["name"] for stage in run["stages"]] == ["clean", "aggregate"]
    assert everything(sold.folder / "lake" / "bronze") == bronze


@pytest.mark.parametrize("arguments", [("query", "--list"), ("sample", "x.sql"), ("status",)])
def test_a_misspelt_setting_is_refused_by_every_command(shop: Shop, arguments: tuple[str, ...]) -> None:
    wrong = replace(shop, more={"SHOPEASE_LAK": "x"})
    wrong.run(*arguments).failed(2, "SHOPEASE_LAK is not a setting")
