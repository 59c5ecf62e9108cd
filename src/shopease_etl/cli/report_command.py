"""`shopease report`: a page for managers about the business and the data."""

import logging
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from shopease_etl import extras
from shopease_etl.atomic import replacing
from shopease_etl.cli.context import CommandContext
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.wording import reason, room_hint

if TYPE_CHECKING:
    from shopease_etl.operations.business.figures import Report

log = logging.getLogger(__name__)

HTML: Final = Path("report.html")
STDOUT: Final = Path("-")


def report(
    context: CommandContext,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write to this file; - for stdout. With --json only if given.",
            show_default="report.html; stdout for md",
        ),
    ] = None,
    output_format: Annotated[
        Literal["html", "md"], typer.Option("--format", help="A page, or Markdown for a mail or a pull request.")
    ] = "html",
    with_customers: Annotated[
        bool, typer.Option("--with-customers", help="Name the 20 customers who have spent most (personal data).")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Write a report for managers: sales, products, stores, stock, customers and data quality, as one HTML file.

    Example: shopease report --output report.html --open
    """
    is_json = context.console.json
    target = output or (None if is_json else STDOUT if output_format == "md" else HTML)
    if open_it and target in {None, STDOUT}:
        raise ConfigurationError("--open needs a file", hint="name one: --output report.html")
    if is_json and target == STDOUT:
        raise ConfigurationError("--json writes its own document to stdout", hint="leave out --output -")
    if target:
        check_target(context, target, output_format)
    figures = compute(context, with_customers=with_customers)
    if target:
        write(context, figures, target, output_format)
    if is_json:
        context.console.result(figures, str, f"wrote {target}" if target else None)
    if open_it and target:
        webbrowser.open(target.absolute().as_uri())


def check_target(context: CommandContext, target: Path, output_format: str = "html", option: str = "--output") -> None:
    """Refuse, before anything is done, what cannot be written.

    Raises:
        ConfigurationError: the packages for the page are missing, or the file is in the lake or in shopease's home.
        UnreachableError: its folder does not exist.
    """
    from shopease_etl.pipeline import wiring
    from shopease_etl.stages.query import check_output

    if output_format == "html":
        extras.require("report", "the report as a page", otherwise="use --format md or --json")
    if target != STDOUT:
        check_output(target, wiring.lake_store(context.settings).folder, context.settings.home, option)


def compute(context: CommandContext, *, with_customers: bool = False) -> "Report":
    """The figures of the lake of the settings."""
    from shopease_etl.operations.business.compute import report as business_report
    from shopease_etl.pipeline import wiring

    store = wiring.lake_store(context.settings)
    lock = store.lock(context.settings.home).status()
    return business_report(store, is_running=bool(lock and lock.is_alive), with_customers=with_customers)


def write(context: CommandContext, figures: "Report", target: Path, output_format: str = "html") -> None:
    """Write the report to the file, completely or not at all, or to stdout.

    Raises:
        UnreachableError: it cannot be written.
    """
    text = _rendered(figures, output_format)
    if target == STDOUT:
        context.console.line(text.rstrip("\n"))
        return
    try:
        with replacing(target) as file:
            file.write(text.encode())
    except OSError as error:
        hint = room_hint(error, target.absolute().parent)
        raise UnreachableError(f"cannot write {target}: {reason(error)}", hint=hint) from error
    context.console.message(f"Wrote the report to {target}")


def _rendered(figures: "Report", output_format: str) -> str:
    if output_format == "html":
        from shopease_etl.operations.business.page import html

        return html(figures)
    from shopease_etl.operations.business.markdown import markdown

    return markdown(figures)


@contextmanager
def written_afterwards(context: CommandContext, target: Path | None) -> Iterator[None]:
    """Write the page when the block has ended, also if it failed, for the lake as it is then; None writes nothing.

    The alert of a failure has the page attached.

    Raises:
        ShopeaseError: the block succeeded, but the report could not be made.
    """
    if target is None:
        yield
        return
    check_target(context, target, option="--report")
    # the alert of a failed run makes it first
    context.attachment = made = cache(partial(_made, context, target))
    try:
        yield
    except ShopeaseError:
        made()
        raise
    try:
        write(context, compute(context), target)
    except ShopeaseError as error:
        message = f"the run has published its data, but the report could not be made: {error}"
        raise type(error)(message, hint=error.hint) from error


def _made(context: CommandContext, target: Path) -> Path | None:
    """Write the page; None if it cannot be made, which is logged."""
    try:
        write(context, compute(context), target)
    except ShopeaseError as error:
        log.warning("the report could not be made: %s", error)
        return None
    return target
