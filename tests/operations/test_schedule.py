"""`shopease schedule`: cron, systemd and time zones with what it prints."""

import json
import os
import pty
import re
import shutil
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from commands import SHOPEASE, Shop, end
from shopease_etl.operations.schedule import Request
from shopease_etl.operations.schedule.cron import cron_schedule, merged
from shopease_etl.settings import load

TODAY = date(2027, 1, 1)
YEAR = 366
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
)
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
needs_crontab = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("crontab") or not shutil.which("unshare"),
    reason="needs crontab, unshare and root, who gives crontab a folder of its own",
)


def request(at: time, zone: str, *, retry: bool = False, folder: Path = Path("/work")) -> Request:
    return Request(at, ZoneInfo(zone), TODAY, Path("/opt/shopease"), folder, (), load(), retry)


def job(text: str) -> str:
    """The one line of a crontab that is neither a comment nor empty."""
    (line,) = [line for line in text.splitlines() if line and not line.startswith("#")]
    return line


def firings(text: str, machine: str) -> list[datetime]:
    """When a cron of Debian's kind, in the machine's zone, runs the job, in a year, with its guard heeded."""
    line = job(text)
    expression, command = " ".join(line.split(" ", 5)[:5]), line.split(" ", 5)[5]
    moments = CronSim(expression, datetime(2026, 12, 31, 12, tzinfo=ZoneInfo(machine)))
    last = datetime(2028, 1, 1, tzinfo=UTC)
    fired = []
    while (moment := next(moments).astimezone(UTC)) < last:
        if is_time(command, moment):
            fired.append(moment)
    return fired


def is_time(command: str, moment: datetime) -> bool:
    guard = re.match(r'\[ "\$\(TZ=(\S+) date \+(\S+)\)" = (\S+) \] && ', command.replace("\\%", "%"))
    return guard is None or moment.astimezone(ZoneInfo(guard[1])).strftime(guard[2]) == guard[3]


@given(
    st.times().map(lambda at: at.replace(second=0, microsecond=0, fold=0)),
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
)
@pytest.mark.quick(0)
def test_cron_runs_once_on_every_day_that_has_the_time_once(at: time, zone: str, machine: str) -> None:
    wanted = request(at, zone)
    fired = firings(cron_schedule(wanted, ZoneInfo(machine)).files[0].text, machine)
    odd = {*wanted.skipped_days(), *wanted.repeated_days()}
    regular = [day for number in range(1, 364) if (day := TODAY + timedelta(days=number)) not in odd]
    expected = {datetime.combine(day, at, wanted.zone).astimezone(UTC) for day in regular}
    assert sorted(moment for moment in fired if moment.astimezone(wanted.zone).date() in regular) == sorted(expected)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_cron_in_the_machines_own_zone_skips_no_day(zone: str) -> None:
    schedule = cron_schedule(request(time(2, 30), zone), ZoneInfo(zone))
    assert job(schedule.files[0].text).startswith("30 2 * * * cd /work && ")
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in firings(schedule.files[0].text, zone)]
    assert len(days) == len(set(days)) >= YEAR - 1
    assert schedule.notes == ()


def test_days_on_which_cron_cannot_run_once_are_named() -> None:
    schedule = cron_schedule(request(time(2, 30), "Europe/Berlin"), UTC)
    assert [re.findall(r"skips|twice|\d{4}-\d\d-\d\d", note) for note in schedule.notes] == [
        ["skips", "2027-03-28"],
        ["twice", "2027-10-31"],
    ]
    fired = [moment.astimezone(ZoneInfo("Europe/Berlin")).date() for moment in firings(schedule.files[0].text, "UTC")]
    assert (fired.count(date(2027, 3, 28)), fired.count(date(2027, 10, 31))) == (0, 2)
    assert cron_schedule(request(time(3, 30), "Europe/Berlin"), UTC).notes == ()


@pytest.mark.parametrize(("moment", "is_due"), [("2027-07-01 00:30", True), ("2027-07-01 01:30", False)])
def test_the_guard_works_in_a_shell(moment: str, is_due: bool) -> None:
    text = cron_schedule(request(time(2, 30), "Europe/Berlin"), UTC).files[0].text
    guard = job(text).split(" ", 5)[5].partition(" && ")[0].replace("\\%", "%")
    at = guard.replace(" date ", f" date -d '{moment} UTC' ")
    assert (subprocess.run(["sh", "-c", at], check=False).returncode == 0) == is_due


def test_a_new_installation_replaces_the_former_one() -> None:
    first = cron_schedule(request(time(3, 30), "UTC"), UTC).files[0].text
    second = cron_schedule(request(time(4, 30), "UTC"), UTC).files[0].text
    elsewhere = cron_schedule(request(time(5, 30), "UTC", folder=Path("/other")), UTC).files[0].text
    theirs = "MAILTO=me\n0 1 * * * true"
    once = merged(f"{theirs}\n", first)
    assert once == f"{theirs}\n{first}"
    both = merged(merged(once, elsewhere), second)
    assert both == f"{theirs}\n{second}{elsewhere}"
    cut = f"{first.splitlines()[0]}\n{theirs}\n"
    assert merged(cut, second) == cut + second


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "a $ shop 100%"
    folder.mkdir()
    return Shop(folder)


@needs_crontab
def test_crontab_accepts_the_lines_and_keeps_others(shop: Shop, tmp_path: Path) -> None:
    spool = tmp_path / "crontabs"
    spool.mkdir()
    own = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /var/spool/cron/crontabs && exec "$@"', str(spool))
    alone = Shop(shop.folder, wrapper=own)
    subprocess.run([*own, "crontab", "-"], input="0 1 * * * true\n", text=True, check=True)
    for at in ("03:30", "04:30"):
        document = alone.run("schedule", "cron", "--at", at, "--install", "--yes", "--json").done().document
        assert (document["installed"], document["next"]) == (True, [])
    listed = subprocess.run([*own, "crontab", "-l"], capture_output=True, text=True, check=True).stdout
    assert "0 1 * * * true\n" in listed
    assert listed.endswith(document["files"][0]["text"])
    assert listed.count("run-all") == 1


@needs_systemd
@pytest.mark.parametrize("arguments", [("--timezone", "Europe/Berlin"), ("--retry", "--lake", "s3://bucket/lake")])
def test_systemd_accepts_the_units(shop: Shop, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    document = shop.run("schedule", "systemd", "--json", *arguments).done().document
    units = tmp_path / "units"
    units.mkdir()
    for file in document["files"]:
        (units / Path(file["path"]).name).write_text(file["text"])
    checked = subprocess.run(
        ["systemd-analyze", "verify", *sorted(units.iterdir())], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    service = (units / "shopease.service").read_text()
    assert f"WorkingDirectory={str(shop.folder).replace('%', '%%')}\n" in service
    failure = "shopease-retry.service" if "--retry" in arguments else "shopease-failure@%n.service"
    assert f"OnFailure={failure}\n" in service


@needs_systemd
def test_the_systemd_timer_uses_the_time_zone(shop: Shop) -> None:
    text = shop.run("schedule", "systemd", "--at", "02:30", "--timezone", "Europe/Berlin").done().stdout
    calendar = re.findall(r"^OnCalendar=(.*)$", text, re.MULTILINE)
    command = ["systemd-analyze", "calendar", "--iterations=3", "--base-time=2027-03-26 12:00 UTC", *calendar]
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert re.findall(r"(2027-\d\d-\d\d \d\d:\d\d):00 UTC", said) == [
        "2027-03-27 01:30",
        "2027-03-29 00:30",
        "2027-03-30 00:30",
    ]


def test_the_scheduled_command_has_the_flags_but_no_secret(shop: Shop) -> None:
    words = shop.run("--lake", "s3://b/l", "schedule", "cron", "--quiet").done().stdout
    assert f"{SHOPEASE} run-all --quiet --wait 600 --lake s3://b/l" in words
    assert "a $ shop 100\\%" in job(words)
    secret = "postgresql://me:secret@host/sales"
    refused = shop.run("--database-url", secret, "schedule", "cron").failed(2, "--database-url")
    told = Shop(shop.folder, secret).run("schedule", "cron").done()
    assert "SHOPEASE_DATABASE_URL" in told.stderr
    assert "secret" not in refused.stdout + refused.stderr + told.stdout + told.stderr
    (shop.folder / ".env").write_text(f"SHOPEASE_DATABASE_URL={secret}\n")
    assert "SHOPEASE_DATABASE_URL" not in Shop(shop.folder, secret).run("schedule", "cron").done().stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--at", "24:00"), "is not a valid time"),
        (("--timezone", "Europe/Bonn"), "is not a time zone"),
        (("--install",), "cannot ask for confirmation"),
        (("--install", "--json"), "cannot ask for confirmation"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(shop: Shop, arguments: tuple[str, ...], words: str) -> None:
    shop.run("schedule", "airflow", *arguments).failed(2, words)
    assert list(shop.folder.iterdir()) == []


@pytest.mark.parametrize("answer", ["y\n", "n\n"])
def test_installing_the_dags_needs_a_confirmation(shop: Shop, tmp_path: Path, answer: str) -> None:
    home = tmp_path / "airflow"
    asked = Shop(shop.folder, more={"AIRFLOW_HOME": str(home)})
    asked.run("schedule", "airflow", "--install", "--yes").failed(2, "there is no Airflow")
    home.mkdir()
    master, terminal = pty.openpty()
    with asked.start("schedule", "airflow", "--install", stdin=terminal) as process:
        os.write(master, answer.encode())
        ended = end(process).done()
    assert "shopease_dags.py? [y/N]" in ended.stderr
    written = home / "dags" / "shopease_dags.py"
    assert written.exists() == (answer == "y\n")
    assert not written.exists() or written.read_text() == ended.stdout
    compile(ended.stdout, "dags", "exec")


def test_the_schedule_of_another_folder_is_not_overwritten(shop: Shop, tmp_path: Path) -> None:
    home = tmp_path / "airflow"
    (home / "dags").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    first, other = (Shop(folder, more={"AIRFLOW_HOME": str(home)}) for folder in (shop.folder, tmp_path / "other"))
    first.run("schedule", "airflow", "--install", "--yes").done()
    other.run("schedule", "airflow", "--install", "--yes").failed(2, "another folder", str(shop.folder))
    first.run("schedule", "airflow", "--at", "04:30", "--install", "--yes").done()


def test_json_lists_the_remaining_commands(shop: Shop) -> None:
    document = json.loads(shop.run("schedule", "airflow", "--json").done().stdout)
    assert set(document) == {"kind", "files", "next", "notes", "installed"}
    assert "airflow/dags/shopease_dags.py" in document["next"][0]
    assert [command.split()[0] for command in document["next"][1:]] == ["airflow", "airflow"]
