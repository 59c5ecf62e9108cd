"""The pipeline as lines of a crontab that mean the same to every cron, whatever the machine's time zone is."""

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from shopease_etl.operations.schedule.request import RETRY_SECONDS, Request, Schedule, ScheduledFile, shell


def cron_schedule(request: Request, machine: tzinfo | None = None) -> Schedule:
    """The lines between two markers, which a later installation replaces; `machine` is the time zone of cron."""
    zone = machine or _machine_zone()
    is_own = all(run.utcoffset() == run.astimezone(zone).utcoffset() for run in request.runs())
    minutes, hours, guard = str(request.at.minute), str(request.at.hour), ""
    comment = "This is the machine's own time zone; cron handles the change to summer time."
    if not is_own:
        # cron skips or repeats jobs with a fixed hour when the machine's own clock changes
        (minutes, guard), hours = _guard(request, zone), "*"
        comment = "cron starts this every hour; `date` decides whether it is time."
    begin = f"# BEGIN shopease {request.folder}"
    lines = (
        begin,
        f"# shopease, {request.when}",
        f"# {comment}",
        "# A successful run prints nothing, so cron sends mail only about failures.",
        f"{minutes} {hours} * * * {guard}{_command(request)}".replace("%", "\\%"),  # to cron, % is a line end
        begin.replace("BEGIN", "END", 1),
    )
    add = f"(crontab -l; {shell(request.schedule('cron'))}) | crontab -"
    file = ScheduledFile("crontab", "".join(f"{line}\n" for line in lines))
    notes = () if is_own else _notes(request)
    return Schedule("cron", (file,), (add,), (), (*notes, *request.environment_notes))


def _command(request: Request) -> str:
    run, folder = shell(request.run("run-all")), shell((str(request.folder),))
    if not request.retry:
        return f"cd {folder} && {run}"
    return f"cd {folder} && {{ {run} || {{ sleep {RETRY_SECONDS}; {shell(request.run('retry'))}; }}; }}"


def merged(crontab: str, ours: str) -> str:
    """A crontab in which our lines replace those of an earlier installation, or are added at the end.

    If the end marker of the earlier lines is missing, they stay: their end is not known.
    """
    begin, *_, end = ours.splitlines()
    lines = crontab.splitlines()
    if begin in lines and end in (rest := lines[lines.index(begin) :]):
        start = lines.index(begin)
        lines[start : start + rest.index(end) + 1] = ours.splitlines()
    else:
        lines += ours.splitlines()
    return "".join(f"{line}\n" for line in lines)


def _machine_zone() -> tzinfo:
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def _guard(request: Request, machine: tzinfo) -> tuple[str, str]:
    """The minutes of the machine's clock at which it may be time, and a test whether it is.

    Debian's cron ignores CRON_TZ. The test compares only the hour where that is enough, as cron may start a job late.
    """
    minutes = sorted({run.astimezone(machine).minute for run in request.runs()})
    form = "%H" if len(minutes) == 1 else "%H:%M"
    return ",".join(map(str, minutes)), f'[ "$(TZ={request.zone.key} date +{form})" = {request.at:{form}} ] && '


def _notes(request: Request) -> tuple[str, ...]:
    skipped = [f"skips {request.at:%H:%M} on {day}: no run that day" for day in request.skipped_days()[:1]]
    repeated = [f"passes {request.at:%H:%M} twice on {day}: two runs that day" for day in request.repeated_days()[:1]]
    return tuple(f"The clock of {request.zone.key} {what}. Another --at avoids it." for what in (*skipped, *repeated))
