"""`shopease submit`: run a command as a job on EMR Serverless."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from rich.console import Group
from typer.exceptions import TyperException

from shopease_etl import cancel
from shopease_etl.cli.console import Console
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.program import usage_error
from shopease_etl.cli.tabular import Paragraph
from shopease_etl.errors import ConfigurationError
from shopease_etl.pipeline.costs import Prices, dollars

if TYPE_CHECKING:
    from shopease_etl.operations.emr.request import JobRequest
    from shopease_etl.operations.emr.submission import JobResult, Submission

# Options that a job cannot have, each with what to do instead.
_REFUSED: Final[Mapping[str, str]] = {
    "json": "write it before the command: shopease submit --json {command}",
    "lake": "write it before the command: shopease submit --lake s3://BUCKET/PREFIX {command}",
    "database_url": "set SHOPEASE_DATABASE_SECRET, or SHOPEASE_DATABASE_URL without a password",
    "engine": "leave it out: a job works on months with Spark",
    "home": "leave it out: a job has a folder of its own",
    "log_file": "leave it out: the job's log is in S3; or write it before the command, for the log of submit",
    "report": "run `shopease report` when the job has ended: its machine and the file on it are gone then",
    "dry_run": "run it here: shopease {command} --dry-run",
}

_ENDINGS: Final = {"SUCCESS": "succeeded", "FAILED": "failed", "CANCELLED": "was cancelled"}


def submit(
    context: CommandContext,
    command: Annotated[
        Literal["run-all", "retry", "extract", "clean", "aggregate"],
        typer.Argument(metavar="COMMAND", help="run-all, retry, extract, clean or aggregate."),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="OPTIONS", help="Options of the command, for the job.")
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait for the job's end (otherwise Ctrl-C cancels it).")
    ] = False,
) -> None:
    """Run a command on EMR Serverless with Spark, and wait for it; the exit code is the job's.

    Example: shopease submit run-all --wait 600
    """
    words = (command, *(arguments or ()))
    wait = _checked(words)
    from shopease_etl.operations.emr.entry import entry_point
    from shopease_etl.operations.emr.request import job_request
    from shopease_etl.pipeline import wiring

    settings = context.settings
    request = job_request(settings, words, wait)
    for note in request.notes:
        context.console.message(note)
    script = entry_point(request.archive, wiring.encryption(settings))
    _run(context.console, request, script, wiring.prices(settings), no_wait=no_wait)


def _run(console: Console, request: "JobRequest", script: str, prices: Prices, *, no_wait: bool) -> None:
    """Start the job, and show how it ended; an interrupt cancels it."""
    from shopease_etl.operations.emr.submission import Submission

    job: Submission | None = None
    try:
        with cancel.deferred("starting the job"):
            job = Submission.start(request, script, prices)
        console.message(f"Started the job {job.started.job_id} on the application {request.application}.")
        if no_wait:
            text = f"Job {job.started.job_id}\nLog: {job.started.log}"
            console.result(job.started, lambda: text, f"started the job {job.started.job_id}")
            console.message(f"To cancel it: {job.cancel_command}")
        else:
            _follow(console, job)
    except KeyboardInterrupt as interrupt:
        if job:
            interrupt.add_note(job.cancel())
        raise


def _follow(console: Console, job: "Submission") -> None:
    from shopease_etl.operations.emr.submission import JobFailedError

    try:
        result = job.finish(console.progress)
    except JobFailedError as error:
        if error.result.dollars is not None:
            console.message(_summary(error.result))
        raise
    if console.json or not console.quiet:
        done = f"the job {result.job_id} succeeded"
        console.result(result, lambda: Group(Paragraph(_summary(result)), Paragraph(f"Log: {result.log}")), done)
        console.message("Next: shopease status")


def _checked(words: Sequence[str]) -> float:
    """Check the words with the command's own parser; returns how many seconds it may wait for another run.

    Raises:
        ConfigurationError: they are not valid, or a job cannot do what they say.
    """
    from shopease_etl.cli import app  # which imports this module

    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]  # typer types it as any
    try:
        given: Mapping[str, Any] = command.make_context(
            f"shopease {words[0]}", list(words[1:]), help_option_names=["-h", "--help"]
        ).params
    except TyperException as error:
        raise usage_error(error) from None
    for name, instead in _REFUSED.items():
        if given.get(name):
            option = f"--{name.replace('_', '-')}"
            raise ConfigurationError(f"a job cannot have {option}", hint=instead.format(command=words[0]))
    return float(given["wait"])


def _summary(result: "JobResult") -> str:
    """How a job ended, and what it cost."""
    text = f"The job {result.job_id} {_ENDINGS[result.state]}"
    text += f" after {result.seconds:,} s" if result.seconds is not None else ""
    if result.dollars is None:
        return f"{text}."
    billed = f"{result.vcpu_hours:,.3g} vCPU hours and {result.gb_hours:,.3g} GB hours"
    return f"{text}, billed {billed}: {dollars(result.dollars)}."
