"""The log: for people and for machines, on stderr and in a file, and never with a secret in it."""

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from commands import PROMISED, Shop, end
from shopease_etl.cli.logs import LARGEST_BYTES, OLD_FILES, JsonFormatter, LogFile, TextFormatter
from shopease_etl.errors import ConfigurationError
from shopease_etl.pipeline.events import Event, Events, LogListener
from shopease_etl.pipeline.plan import plan_all
from shopease_etl.redaction import Secrets
from shopease_etl.report import DatasetResult, RunResult, StageResult, Status

SAMPLE: Final = ("sample", "sales.sql", "--scale", "0.01")
NEXT: Final = "Next: shopease restore sales.sql"
PASSWORD: Final = "pa#ss w/Rd:7@'é"
QUOTED: Final = "pa%23ss%20w%2FRd%3A7%40%27%C3%A9"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with neither database nor lake."""
    return Shop(tmp_path)


def lines(text: str) -> list[dict[str, Any]]:
    """The objects of a log, each of which has a line of its own."""
    found = [json.loads(line) for line in text.splitlines()]
    assert [item for item in found if not {"time", "level", "logger", "message"} <= item.keys()] == []
    return found


@pytest.mark.parametrize("before", [True, False])
def test_each_line_on_stderr_is_an_object_in_a_log_for_machines(shop: Shop, *, before: bool) -> None:
    option = ("--log-format", "json")
    told = shop.run(*option, *SAMPLE) if before else shop.run(*SAMPLE, *option)
    (line,) = lines(told.done().stderr)
    assert line["level"] == "info"
    assert line["message"].endswith(NEXT)
    assert line["time"].endswith("Z")
    assert "customers" in told.stdout


def test_quiet_leaves_errors_only(shop: Shop) -> None:
    assert shop.run(*SAMPLE, "--quiet", "--log-format", "json").done().stderr == ""
    (line,) = lines(shop.run("clean", "--table", "nope", "--quiet", "--log-format", "json").stderr)
    assert line["level"] == "error"


def test_the_flag_is_over_the_setting_and_that_over_dotenv(tmp_path: Path) -> None:
    set_json = Shop(tmp_path, more={"SHOPEASE_LOG_FORMAT": "json"})
    assert lines(set_json.run("status").stderr)
    assert set_json.run("status", "--log-format", "text").stderr.startswith("There is nothing in ")
    (tmp_path / ".env").write_text("SHOPEASE_LOG_FORMAT=json\nSHOPEASE_LOG_FILE=a.log\n")
    (line,) = lines(Shop(tmp_path).run("status").done().stderr)
    assert lines((tmp_path / "a.log").read_text()) == [line]
    assert lines(Shop(tmp_path).run("status", "--log-file", "b.log").stderr) == lines((tmp_path / "b.log").read_text())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("clean", "--table", "nope"), 2),
        (("extract", "--database-url", "postgresql://127.0.0.1:1/x"), 4),
        (("status", "--bogus"), 2),
        (("frobnicate",), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("option", [("--log-format", "json"), ("--log-format=json",)], ids=["apart", "joined"])
def test_what_failed_is_an_object_too(
    shop: Shop, arguments: tuple[str, ...], code: int, option: tuple[str, ...]
) -> None:
    told = replace(shop, more={"SHOPEASE_SOURCE_WAIT": "0"}).run(*option, "--json", *arguments)
    line = lines(told.stderr)[-1]
    assert (told.code, line["level"], line["exit_code"]) == (code, "error", code)
    assert {name: line[name] for name in ("error", "hint", "exit_code")}.items() <= told.document.items()
    assert "traceback" not in line
    assert PROMISED not in told.stderr


def test_a_setting_that_is_refused_is_logged_as_the_environment_says(tmp_path: Path) -> None:
    wrong = {"SHOPEASE_LOG_FORMAT": "json", "SHOPEASE_LOG_FILE": "a.log", "SHOPEASE_LAK": "x"}
    told = Shop(tmp_path, more=wrong).run("status")
    (line,) = lines(told.stderr)
    assert (told.code, line["error"]) == (2, "SHOPEASE_LAK is not a setting of shopease")
    assert lines((tmp_path / "a.log").read_text()) == [line]


def test_a_traceback_is_a_field_of_its_error(shop: Shop) -> None:
    found = lines(shop.run("clean", "--table", "nope", "--log-format", "json", "--debug").stderr)
    assert found[0]["level"] == "debug"
    assert "ConfigurationError: there is no table 'nope'" in found[-1]["traceback"]


def test_text_is_as_it_was(shop: Shop) -> None:
    told = shop.run("clean", "--table", "nope")
    hint = "  hint: there are customers, products, sale_transactions, transactions\n"
    assert told.stderr == f"{PROMISED}there is no table 'nope'\n{hint}"
    assert shop.run(*SAMPLE).done().stderr.splitlines()[-1].endswith(NEXT)
    assert "Traceback" in shop.run("clean", "--table", "nope", "--debug").stderr


# What other libraries do, in a process of its own, for it changes all of a process's logging.
OTHERS: Final = """
import logging, threading, warnings
from shopease_etl.cli.console import Console

console = Console(log_format="json")
console.progress.stage("extract")
logging.getLogger("other").warning("two\\nlines and %s", "more")
logging.getLogger("other").info("not for us")
logging.getLogger("shopease_etl.other").info("for us")
warnings.warn("as Python does")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
console.interrupted()
"""


def test_others_warnings_and_threads_that_fail_are_objects_too() -> None:
    done = subprocess.run([sys.executable, "-c", OTHERS], capture_output=True, text=True, check=True)
    told = [(line["logger"], line["level"], line["message"]) for line in lines(done.stderr)]
    assert told[:2] == [("other", "warning", "two\nlines and more"), ("shopease_etl.other", "info", "for us")]
    assert (told[2][0], "as Python does" in told[2][2]) == ("py.warnings", True)
    assert told[3] == ("shopease_etl.cli.logs", "error", "ZeroDivisionError: division by zero")
    assert told[4][1:] == ("error", "interrupted")
    assert lines(done.stderr)[4]["exit_code"] == 130
    assert len(told) == 5


def test_a_file_gets_the_log_too_whatever_quiet_says(shop: Shop) -> None:
    option = ("--log-file", "shop.log")
    usual = shop.run(*SAMPLE)
    assert shop.run(*SAMPLE, *option).stderr.splitlines()[-1] == usual.stderr.splitlines()[-1]
    assert shop.run(*SAMPLE, *option, "--quiet").stderr == ""
    assert shop.run("clean", "--table", "nope", *option, "--quiet").failed(2)
    file = shop.folder / "shop.log"
    written = file.read_text().splitlines()
    assert [line.endswith(NEXT) for line in written] == [True, True, False, False]
    assert "ERROR shopease_etl.cli.console: there is no table 'nope'" in written[2]
    assert written[3].startswith("  hint: there are customers")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("path", ["no/such/folder.log", ".", "fifo"])
def test_a_file_that_cannot_be_opened_is_refused(shop: Shop, path: str) -> None:
    os.mkfifo(shop.folder / "fifo")
    shop.run("status", "--log-file", path).failed(2, "cannot open the log file", path)
    document = shop.run("status", "--log-file", path, "--log-format", "json")
    assert lines(document.stderr)[-1]["exit_code"] == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_told_of_once_and_fails_nothing(shop: Shop) -> None:
    told = shop.run("check", "--log-file", "/dev/full", "--verbose", "--debug")
    assert told.stderr.count("cannot write to the log file /dev/full: No space left on device") == 1
    assert "Traceback" not in told.stderr
    assert shop.run("status", "--log-file", "/dev/full").done().stdout


# A process whose files may grow so far and no farther.
LITTLE_ROOM: Final = """
import logging, pathlib, resource, signal, sys
from shopease_etl.cli.logs import LogFile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = LogFile(pathlib.Path(sys.argv[1]))
for text, room in (("a" * 10, 50), ("b" * 100, 50), ("c" * 10, 200)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    file.handle(logging.makeLogRecord({"msg": text}))
"""


def test_a_line_cut_short_is_completed_once_there_is_space(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LITTLE_ROOM, str(tmp_path / "a.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "a.log").read_text().splitlines() == ["a" * 10, "b" * 100, "c" * 10]
    assert done.stderr.count("cannot write to the log file") == 1


def full(path: Path) -> str:
    """Fill a log file until the next command rotates it."""
    line = json.dumps({"time": "", "level": "info", "logger": "x", "message": "y" * 1000}) + "\n"
    path.write_text(line * (LARGEST_BYTES // len(line) + 1))
    return path.read_text()


def test_a_large_file_is_rotated_once_among_processes_that_start_together(shop: Shop) -> None:
    file = shop.folder / "shop.log"
    former = full(file)
    file.with_name("shop.log.1").write_text("older\n")
    arguments = ("status", "--log-format", "json", "--log-file", "shop.log")
    processes = [shop.start(*arguments) for _ in range(6)]
    assert [end(process).code for process in processes] == [0] * 6
    rotated = file.with_name("shop.log.1").read_text()
    assert rotated.startswith(former)
    assert file.with_name("shop.log.2").read_text() == "older\n"
    assert len(lines(rotated[len(former) :] + file.read_text())) == 6
    assert sorted(path.name for path in shop.folder.glob("shop.log*")) == ["shop.log", "shop.log.1", "shop.log.2"]


def test_only_so_many_former_files_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    for number in range(OLD_FILES + 2):
        full(file)
        with file.open("a") as more:
            more.write(f"{number}\n")
        LogFile(file).close()
    kept = [file.with_name(f"a.log.{number}").read_text().splitlines()[-1] for number in range(1, OLD_FILES + 1)]
    assert kept == ["6", "5", "4", "3", "2"]
    assert len(list(tmp_path.iterdir())) == OLD_FILES + 1
    assert file.read_text() == ""


def test_a_link_to_a_large_file_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.log", tmp_path / "link.log"
    full(real)
    link.symlink_to(real)
    LogFile(link).close()
    assert link.is_symlink()
    assert (real.stat().st_size, (tmp_path / "real.log.1").stat().st_size > LARGEST_BYTES) == (0, True)


def test_a_file_that_is_not_named_is_refused_in_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot open the log file"):
        LogFile(tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://joe:{QUOTED}@localhost/sales?sslmode=disable",
        f"postgresql://localhost/sales?user=joe&password={QUOTED}",
        "host=localhost user=joe password='pa#ss w/Rd:7@\\'é' dbname=sales",
    ],
    ids=["address", "query", "conninfo"],
)
def test_a_databases_password_is_hidden_however_it_is_written(address: str) -> None:
    secrets = Secrets()
    secrets.learn(address)
    forms = (PASSWORD, QUOTED, repr(PASSWORD), json.dumps(PASSWORD), address)
    shown = secrets.redacted(" ".join(f"<x{form}x>" for form in forms))
    assert [form for form in (PASSWORD, QUOTED, json.dumps(PASSWORD)[1:-1], "Rd:7", "Rd%3A7") if form in shown] == []
    assert shown.count("***") >= len(forms)


@pytest.mark.parametrize("name", ["PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OPENLINEAGE_API_KEY"])
def test_a_variables_secret_is_hidden(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "wJalr/K7MDENG+bPx")
    shown = Secrets().redacted("Authorization: Bearer wJalr/K7MDENG+bPx, escaped wJalr%2FK7MDENG%2BbPx")
    assert shown == "Authorization: Bearer ***, escaped ***"


def test_a_plain_word_is_hidden_where_it_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "postgres")
    assert Secrets().redacted("postgresql://postgres:postgres@h in /tmp/my-postgres: 'postgres'") == (
        "postgresql://***:***@h in /tmp/my-postgres: '***'"
    )
    monkeypatch.setenv("PGPASSWORD", "abc")
    assert Secrets().redacted("abc") == "abc"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("proxy http://joe:geheim@proxy:80/x", "proxy http://joe:***@proxy:80/x"),
        ("host=h password=geheim dbname=d", "host=h password=*** dbname=d"),
        (
            "?X-Amz-Security-Token=FwoG%2Bx&X-Amz-Signature=1a2b&a=b",
            "?X-Amz-Security-Token=***&X-Amz-Signature=***&a=b",
        ),
        ("write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE", None),
        ("postgresql://localhost:5432/x and s3://a:b/c me@example.com", None),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str | None) -> None:
    assert Secrets().redacted(text) == (shown or text)


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_shown_by_a_command_that_cannot_connect(shop: Shop, form: str) -> None:
    secrets = {
        "PGPASSWORD": "Zaunkönig/17",
        "AWS_SECRET_ACCESS_KEY": "Rotkehlchen/18",
        "AWS_SESSION_TOKEN": "Gartenspötter+19",
        "OPENLINEAGE_API_KEY": "Nachtigall-20",
    }
    address = f"postgresql://joe:{QUOTED}@127.0.0.1:1/x?application_name={QUOTED}"
    nosy = Shop(shop.folder, address, more={**secrets, "SHOPEASE_SOURCE_WAIT": "0"})
    told = nosy.run("extract", "--json", "--debug", "--log-format", form, "--log-file", "a.log")
    everywhere = told.stdout + told.stderr + (shop.folder / "a.log").read_text()
    assert told.code == 4
    assert "Traceback" in told.stderr
    assert "OperationalError" in (shop.folder / "a.log").read_text()
    assert [word for word in (PASSWORD, QUOTED, "Rd%3A7", *secrets.values()) if word in everywhere] == []


def test_no_secret_is_shown_where_it_stands_in_the_error_itself(tmp_path: Path) -> None:
    nosy = Shop(tmp_path, more={"AWS_SECRET_ACCESS_KEY": "Rotkehlchen/18"})
    told = nosy.run("--json", "clean", "--table", "Rotkehlchen/18", "--log-file", "a.log")
    told.failed(2, "there is no table '***'")
    assert told.document["error"] == "there is no table '***'"
    assert "Rotkehlchen" not in told.stderr + told.stdout + (tmp_path / "a.log").read_text()


def chained(secret: str) -> logging.LogRecord:
    """A record as other libraries make it, with a traceback of two errors."""
    try:
        try:
            raise ValueError(f"cause: {secret}")
        except ValueError as error:
            raise RuntimeError(f"effect: {secret}") from error
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
        return logging.LogRecord("lib", logging.ERROR, "", 0, "arguments: %s", (secret,), info)


def test_no_secret_is_in_a_traceback_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = 'q"uo\\te-ü'
    monkeypatch.setenv("PGPASSWORD", secret)
    text = TextFormatter("%(message)s", Secrets()).format(chained(secret))
    fields: Mapping[str, str] = json.loads(JsonFormatter(Secrets()).format(chained(secret)))
    assert text.startswith("arguments: ***\n")
    assert [text.count(word) for word in ("cause: ***", "effect: ***", secret)] == [1, 1, 0]
    assert fields["message"] == "arguments: ***"
    assert [fields["traceback"].count(word) for word in ("cause: ***", "effect: ***", secret)] == [1, 1, 0]


EXTRACTED: Final = StageResult(
    "extract", 1.5, (DatasetResult("bronze", "customers", "k", 7500, 7500, 1_200_000, "", {}, 0.04),)
)
CLEANED: Final = StageResult(
    "clean",
    2.0,
    (
        DatasetResult("silver", "customers", "k", 7500, 7490, 1_100_000, "", {"missing": 10}, 0.5),
        DatasetResult("quarantine", "customers", "q", 10, 10, 900, ""),
    ),
)


def ended(status: str, error: str | None = None) -> RunResult:
    times = ("2026-01-01T00:00:00.000+00:00", "2026-01-01T00:00:04.200+00:00")
    return RunResult("r1", Status(status), *times, "1", (EXTRACTED, CLEANED), {}, error=error)


def begun(*listeners: Callable[[Event], None]) -> Events:
    """The events of a run that has begun."""
    events = Events(*listeners)
    events.run_started("r1", plan_all())
    return events


def test_events_read_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shopease_etl"):
        events = begun(LogListener())
        events.stage_started("extract")
        events.stage_done(EXTRACTED)
        events.stage_done(CLEANED)
        events.run_ended(ended("succeeded"))
        events.run_ended(ended("failed", "no such file"))
        events.run_ended(ended("interrupted", "interrupted"))
    assert caplog.messages == [
        "run r1: started",
        "extract: started",
        "extract: customers: 7,500 rows, 1.2 MB, 0.0 s",
        "extract: done in 1.5 s",
        "clean: customers: 7,490 rows, 10 rejected, 1.1 MB, 0.5 s",
        "clean: quarantined customers: 10 rows, 0.9 kB",
        "clean: done in 2.0 s",
        "run r1: succeeded in 4.2 s",
        "run r1: failed in 4.2 s: no such file",
        "run r1: interrupted in 4.2 s: interrupted",
    ]


def test_events_are_fields_in_a_log_for_machines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shopease_etl"):
        begun(LogListener()).stage_done(CLEANED)
    written = [json.loads(JsonFormatter(Secrets()).format(record)) for record in caplog.records]
    told = [
        {name: item[name] for name in item if name not in {"time", "level", "logger", "message"}}
        for item in written[1:]
    ]
    common = {"run_id": "r1", "stage": "clean", "dataset": "customers", "event": "dataset_done"}
    assert told == [
        {**common, "layer": "silver", "rows": 7490, "rejected": 10, "bytes": 1_100_000, "seconds": 0.5},
        {**common, "layer": "quarantine", "rows": 10, "rejected": 0, "bytes": 900},
        {"run_id": "r1", "stage": "clean", "event": "stage_done", "seconds": 2.0},
    ]


def test_a_listener_that_raises_hears_no_more_and_harms_no_run(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def broken(_event: Event) -> None:
        heard.append("broken")
        raise ValueError("no room")

    events = begun(broken, lambda event: heard.append(event.kind))
    events.stage_started("extract")
    assert heard == ["broken", "run_started", "stage_started"]
    assert caplog.messages == ["broken gets no more events of this run: ValueError: no room"]


def test_an_interrupt_is_no_listeners_failure() -> None:
    def interrupted(_event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begun(interrupted)
