"""Output on real terminals, and streams that are closed or full or whose reader has left."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import typer.main
from typer.testing import CliRunner

import shopease_etl
from commands import SHOPEASE, Shop, end, on_a_terminal
from shopease_etl.cli import app
from shopease_etl.pipeline.commit import NOTHING_KEPT

# Control characters that the query itself makes.
NASTY: Final = "SELECT 'a' || chr(27) || '[2J' || chr(8238) || 'b' || chr(155) || '31m' AS \"x\x1b[31m\", '[red]' AS y"
UNSAFE: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069\u200b]")
READING: Final = (
    ("--help",),
    ("--version",),
    ("query", "SELECT 1 AS a"),
    ("query", "SELECT 1 AS a", "--format", "csv"),
    ("query", "SELECT 1 AS a", "--json"),
    ("query", "--list"),
    ("tables",),
    ("tables", "stores"),
    ("status",),
    ("check",),
    ("cost",),
    ("schedule", "cron"),
    ("cleanup", "--all", "--dry-run"),
    ("run-all", "--dry-run"),
)
WRITING: Final = (("sample", "x.sql", "--scale", "0.001"), ("crawl",))


def dumb(shop: Shop, **more: str) -> Shop:
    """The shop on a terminal without colours and pager."""
    return replace(shop, more={"TERM": "dumb", **more})


@pytest.mark.parametrize("columns", [40, 70, 120])
@pytest.mark.quick(2)
def test_no_value_is_cut_on_a_terminal(shop: Shop, columns: int) -> None:
    written = shop.run("query", "--name", "category-performance", "--format", "csv").done().stdout
    values = [value for row in csv.reader(io.StringIO(written)) for value in row]
    shown = on_a_terminal(dumb(shop), "query", "--name", "category-performance", columns=columns).done().stdout
    assert [value for value in values if value not in shown] == []
    assert ("one value per line" in shown) == (columns < 100)
    assert max(map(len, shown.splitlines()[:-2])) <= columns


@pytest.mark.parametrize("columns", [40, 80])
def test_no_number_of_our_own_tables_is_cut(shop: Shop, columns: int) -> None:
    status = shop.run("status", "--json").done().document
    shown = on_a_terminal(dumb(shop), "status", columns=columns).done().stdout
    assert [item for item in status["datasets"] if f"{item['rows']:,}" not in shown or item["name"] not in shown] == []
    assert "hidden (" in shown
    plan = shop.run("run-all", "--dry-run", "--json").done().document
    steps = on_a_terminal(dumb(shop), "run-all", "--dry-run", columns=columns).done().stdout
    assert [key for step in plan for key in step["writes"] if key not in steps] == []
    for name in ("cost", "crawl") if columns == 40 else ("check",):
        assert "…" not in on_a_terminal(dumb(shop), name, columns=columns).done().stdout.replace("PRICE_…", "")


def test_vertical_prints_one_value_per_line_and_is_for_tables_only(shop: Shop) -> None:
    ended = shop.run("query", "SELECT 1 AS a, 'two' AS b", "--vertical").done()
    assert ended.stdout.splitlines()[1:] == ["a  1", "b  two"]
    shop.run("query", "SELECT 1", "--vertical", "--format", "csv").failed(2, "--vertical is for tables")


def test_long_results_go_through_the_pager(shop: Shop) -> None:
    paged = replace(shop, more={"TERM": "xterm", "PAGER": "sed s/^/PAGED:/"})
    sql = "SELECT transaction_id FROM shopease_catalog.transactions ORDER BY 1 LIMIT 60"
    shown = on_a_terminal(paged, "query", sql, lines=50).done().stdout.splitlines()
    assert [line.startswith("PAGED:") for line in shown] == [True] * 62 + [False]
    assert "PAGED:" not in on_a_terminal(paged, "query", sql, lines=70).done().stdout
    assert "PAGED:" not in on_a_terminal(dumb(shop, PAGER="sed s/^/PAGED:/"), "query", sql, lines=50).done().stdout
    assert "PAGED:" not in paged.run("query", sql).done().stdout


@pytest.mark.parametrize("options", [(), ("--format", "csv"), ("--format", "json"), ("--json",), ("--vertical",)])
def test_control_characters_are_escaped_on_a_terminal(shop: Shop, options: tuple[str, ...]) -> None:
    shown = on_a_terminal(dumb(shop), "query", NASTY, *options).done().stdout
    assert UNSAFE.findall(shown) == []
    assert "[red]" in shown
    if "json" in "".join(options):
        row = json.loads(shown)["rows"][0] if "--json" in options else json.loads(shown)[0]
        assert next(iter(row.values())) == "a\x1b[2J\u202eb\x9b31m"
    else:
        assert r"a\x1b[2J\u202eb\x9b31m" in shown
        assert r"x\x1b[31m" in shown


def test_a_pipe_gets_the_bytes_of_csv(shop: Shop) -> None:
    written = shop.run("query", NASTY, "--format", "csv").done().stdout
    assert written == "x\x1b[31m,y\na\x1b[2J\u202eb\x9b31m,[red]\n"


def test_control_characters_are_escaped_in_messages_and_logs(shop: Shop, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ended = shop.run("aggregate", "--dataset", "a\x1b[2J\u202e\nb", "--log-file", str(log)).failed(
        2, r"a\x1b[2J\u202e\nb"
    )
    assert UNSAFE.findall(ended.stderr + log.read_text()) == []
    shop.run("query", "SELECT \x1b[2J nope").failed(2)
    assert "\x1b" not in shop.run("query", 'SELECT "\x1b[2J" FROM shopease_catalog.stores').failed(2).stderr


def streams(shop: Shop, redirections: str, arguments: tuple[str, ...], **more: str) -> subprocess.CompletedProcess[str]:
    """The command with its streams as a shell redirects them."""
    script = f'exec "$@" {redirections}'
    environment = shop.environment | more
    command = ["sh", "-c", script, "sh", SHOPEASE, *arguments]
    return subprocess.run(
        command, cwd=shop.folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "redirection"),
    [
        *((command, (">/dev/full", ">&-")[number % 2]) for number, command in enumerate(READING)),
        *((command, redirection) for command in WRITING for redirection in (">/dev/full", ">&-")),
    ],
)
@pytest.mark.quick(6)
def test_a_result_that_cannot_be_written_to_stdout_is_one_line_and_exit_code_4(
    shop: Shop, arguments: tuple[str, ...], redirection: str
) -> None:
    ended = streams(shop, redirection, arguments, PYTHONUNBUFFERED="1" if "full" in redirection else "")
    errors = [line for line in ended.stderr.splitlines() if "error" in line]
    assert (ended.returncode, len(errors), "Traceback" in ended.stderr) == (4, 1, False), ended
    why = "No space left on device" if "full" in redirection else "it is closed"
    done = {"sample": "wrote x.sql, but ", "crawl": "succeeded, but "}.get(arguments[0], "error: ")
    assert errors[0].endswith(f"{done}cannot write to stdout: {why}")


@pytest.mark.parametrize(
    ("arguments", "redirections"),
    [
        (("query", "SELECT 1 AS a"), "<&- 2>&-"),
        (("query", "SELECT 1 AS a"), "2>/dev/full"),
        (("crawl",), "2>&-"),
        (("crawl",), "2>/dev/full"),
    ],
)
def test_messages_that_cannot_be_written_are_dropped(shop: Shop, arguments: tuple[str, ...], redirections: str) -> None:
    ended = streams(shop, redirections, arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


def test_a_run_continues_when_the_reader_of_its_messages_has_left(shop: Shop) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with shop.start("crawl", stdout=writer, stderr=writer) as process:
        os.close(writer)
    assert process.returncode == 0
    assert shop.run("status", "--json").done().document["runs"][0]["status"] == "succeeded"


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "SELECT * FROM shopease_catalog.transactions"),
        *(("status",), ("check",), ("--help",), ("run-all", "--help"), ("--version",), ()),
    ],
)
def test_it_is_no_error_when_the_reader_leaves(shop: Shop, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with shop.start(*arguments, stdout=writer) as process:
        os.close(writer)
        errors = process.stderr.read() if process.stderr else ""
    assert (process.returncode, "error" in errors, "Traceback" in errors) == (0, False, False)


def test_python_m_runs_the_same_program(shop: Shop) -> None:
    def run(*arguments: str, stdin: str = "") -> str:
        command = [sys.executable, "-m", "shopease_etl", *arguments]
        done = subprocess.run(
            command, cwd=shop.folder, env=shop.environment, input=stdin, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert run("query", "-", "--format", "csv", stdin="SELECT 1 AS a") == "a\n1\n"
    assert f"{SHOPEASE} run-all" in run("schedule", "cron")


def test_the_statement_may_be_piped(shop: Shop) -> None:
    for arguments in ((), ("-",)):
        assert shop.run("query", *arguments, "--format", "csv", stdin="SELECT 1 AS a").done().stdout == "a\n1\n"
    shop.run("query", stdin=" ").failed(2, "stdin has no statement")
    assert on_a_terminal(dumb(shop), "query").code == 2
    shop.run("query", "SELECT 1", "--name", "revenue-days").failed(2, "more than one statement")


@pytest.mark.parametrize(
    ("shell", "line", "offered"),
    [
        ("bash", "query --name r", ["revenue-days", "rfm-segments"]),
        ("zsh", "query -n top", ["top-customers"]),
        ("bash", "extract --table s", ["sales_managers", "stores"]),
        ("fish", "clean --table ", ["customers", "products", "transactions"]),
        ("bash", "aggregate --dataset c", ["customer_analytics"]),
        ("zsh", "cleanup --layer ", ["bronze", "gold", "quarantine", "silver"]),
        ("bash", "ex", ["extract"]),
    ],
)
def test_a_shell_completes_names(shell: str, line: str, offered: list[str]) -> None:
    typed = f"shopease {line}"
    environment = {
        "_SHOPEASE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
        "_TYPER_COMPLETE_ARGS": typed,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    printed = CliRunner().invoke(app, env=environment, prog_name="shopease").stdout
    pattern = r'(?:^|\()"([\w-]+)"' if shell == "zsh" else r"^([\w-]+)"
    assert set(re.findall(pattern, printed.replace("((", "(\n"), re.MULTILINE)) >= {*offered}
    others = {"customers-by-state", "daily_sales_summary", "run-all"}.difference(offered)
    assert [name for name in others if name in printed] == []


def test_a_shell_completes_the_names_of_own_queries(tmp_path: Path) -> None:
    (tmp_path / "stores-by-month.sql").write_text("-- Stores: by month\nSELECT 1")
    environment = {
        "_SHOPEASE_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "shopease query --name store",
        "SHOPEASE_QUERIES": str(tmp_path),
    }
    printed = CliRunner().invoke(app, env=environment, prog_name="shopease").stdout
    assert "stores-by-month" in printed
    assert "store-mix" in printed
    broken = environment | {"SHOPEASE_QUERIES": str(tmp_path / "nowhere")}
    assert "store-mix" in CliRunner().invoke(app, env=broken, prog_name="shopease").stdout


def test_an_interrupt_prints_what_is_kept_and_what_to_do_next(shop: Shop) -> None:
    with psycopg.connect(shop.database_url) as connection, shop.start("extract") as process:
        connection.execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
        assert process.stderr
        assert process.stderr.readline() == "extract\n"
        process.send_signal(signal.SIGINT)
        ended = end(process)
    assert ended.code == 130
    assert ended.stderr.splitlines()[-2:] == [
        "shopease: interrupted",
        f"  hint: {NOTHING_KEPT}",
    ]
    shop.run("retry").done()


def test_every_command_in_a_message_exists() -> None:
    program: Any = typer.main.get_command(app)
    source = "".join(path.read_text() for path in Path(shopease_etl.__file__).parent.rglob("*.py"))
    named = re.findall(r"`shopease ([^`{}]+)`", source)
    assert len(named) > 20
    for name, *words in map(str.split, named):
        command = program.commands.get(name, program)
        assert command is not program or name == "--help", name
        options = {option for parameter in command.params for option in parameter.opts}
        assert [word for word in words if word.startswith("--") and word not in options] == [], (name, words)


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (("clean",), 1, "run `shopease extract` first"),
        (("aggregate",), 1, "run `shopease clean` first"),
        (("query", "SELECT 1"), 1, "run `shopease crawl`, or `shopease run-all` if the lake is empty"),
        (("extract",), 4, "start that server, or correct SHOPEASE_DATABASE_URL"),
        (("run-all", "--dry-run", "--database-url", "embedded"), 4, "load a dump: `shopease restore DUMP`"),
        (("query", "SELECT 1", "--format", "parquet"), 2, "name a file: --output answer.parquet"),
        (("cleanup", "--bad"), 2, "shopease cleanup --help"),
        (("clean", "--table", "stores"), 2, "it processes customers, "),
    ],
)
def test_a_hint_names_the_next_step(tmp_path: Path, arguments: tuple[str, ...], code: int, hint: str) -> None:
    nothing = Shop(tmp_path, "postgresql://localhost:1/x", more={"SHOPEASE_SOURCE_WAIT": "0"})
    assert hint in nothing.run(*arguments).failed(code).stderr.splitlines()[-1]
