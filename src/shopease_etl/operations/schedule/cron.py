"""The pipeline as lines of a crontab that mean the same to every cron, in whatever zone the machine is."""

from datetime import time, tzinfo
from typing import Final

from shopease_etl.operations.schedule.request import RETRY_SECONDS, Request, Schedule, ScheduledFile, shell
from shopease_etl.operations.schedule.times import agree, irregular, is_fixed, machine_zone, seen_from

CRONTAB: Final = "crontab"
EVERY_HOUR: Final = "*"  # hours by name are skipped or held back by cron when the machine's own clock changes


def cron_schedule(request: Request, machine: tzinfo | None = None) -> Schedule:
    """The lines between two markers, by which a later installation finds them."""
    zone = machine or machine_zone()
    said, line, notes = _in_own_zone(request) if _is_own(request, zone) else _in_another(request, zone)
    begin, end = markers(request.folder)
    lines = (
        begin,
        f"# shopease, {request.told}",
        f"# {said}",
        "# A run that goes well says nothing, so that cron mails only what went wrong.",
        line,
        end,
    )
    add = f"(crontab -l; {shell(request.words('schedule', 'cron', *_options(request)))}) | crontab -"
    file = ScheduledFile(CRONTAB, "".join(f"{each}\n" for each in lines))
    return Schedule("cron", (file,), (add,), (), (*notes, *request.environment_notes))


def markers(folder: object) -> tuple[str, str]:
    """The first and the last line of what is ours in a crontab, one pair for each working folder."""
    return f"# BEGIN shopease {folder}", f"# END shopease {folder}"


def merged(crontab: str, ours: str) -> str:
    """A crontab with our lines in the place of our former ones, else at its end; all other lines stay.

    Former ones whose last marker is gone are not touched: nobody knows where they end.
    """
    begin, *_, end = ours.splitlines()
    lines = crontab.splitlines()
    if begin in lines and end in (rest := lines[lines.index(begin) :]):
        start = lines.index(begin)
        lines[start : start + rest.index(end) + 1] = ours.splitlines()
    else:
        lines += ours.splitlines()
    return "".join(f"{line}\n" for line in lines)


def _is_own(request: Request, machine: tzinfo) -> bool:
    return agree(request.zone, machine, request.today)


def _in_own_zone(request: Request) -> tuple[str, str, tuple[str, ...]]:
    said = "That is this machine's own zone: cron itself sees to changes of the clock."
    return said, _line(str(request.at.minute), str(request.at.hour), _command(request)), ()


def _in_another(request: Request, machine: tzinfo) -> tuple[str, str, tuple[str, ...]]:
    """Look whenever it may be time, and run when it is: CRON_TZ is known to some crons only, ignored by Debian's."""
    moments = seen_from(request.at, request.zone, machine, request.today)
    minutes = sorted({moment.minute for moment in moments})
    hours = ",".join(str(hour) for hour in sorted({moment.hour for moment in moments}))
    fields = (",".join(map(str, minutes)), hours if is_fixed(machine, request.today) else EVERY_HOUR)
    if len(moments) == 1:
        return "The hour below is this machine's.", _line(fields[0], hours, _command(request)), ()
    command = f"{_guard(request.at, request.zone.key, is_one_minute=len(minutes) == 1)} && {_command(request)}"
    return (
        "cron looks whenever it may be time, and `date` tells whether it is.",
        _line(*fields, command),
        _notes(request),
    )


def _guard(at: time, zone: str, *, is_one_minute: bool) -> str:
    """Whether it is time in the zone; by the hour where that is enough, for a cron may start what it runs late."""
    form = "%H" if is_one_minute else "%H:%M"
    return f'[ "$(TZ={zone} date +{form})" = {at:{form}} ]'


def _notes(request: Request) -> tuple[str, ...]:
    days = irregular(request.at, request.zone, request.today)
    told = f"The clock of {request.zone.key}"
    skipped = [f"{told} skips {request.at:%H:%M} on {day}: no run that day" for day in days.skipped[:1]]
    repeated = [f"{told} passes {request.at:%H:%M} twice on {day}: two runs that day" for day in days.repeated[:1]]
    return tuple(f"{note}. Another --at avoids it." for note in (*skipped, *repeated))


def _line(minute: str, hour: str, command: str) -> str:
    escaped = command.replace("%", "\\%")  # to cron, % is a line end
    return f"{minute} {hour} * * * {escaped}"


def _command(request: Request) -> str:
    run, folder = shell(request.run("run-all")), shell((str(request.folder),))
    if not request.retry:
        return f"cd {folder} && {run}"
    return f"cd {folder} && {{ {run} || {{ sleep {RETRY_SECONDS}; {shell(request.run('retry'))}; }}; }}"


def _options(request: Request) -> tuple[str, ...]:
    retry = ("--retry",) if request.retry else ()
    return ("--at", f"{request.at:%H:%M}", "--timezone", request.zone.key, *retry)
