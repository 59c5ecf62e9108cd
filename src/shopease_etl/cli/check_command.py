"""`shopease check`: what runs need, and how to fix what is missing."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Paragraph, verdict
from shopease_etl.operations.check.lines import CheckLine

_VERDICT_WIDTH: Final = 9


def check(
    context: CommandContext,
    test_alert: Annotated[
        bool, typer.Option("--test-alert", help="Also send a test alert to SHOPEASE_ALERTS.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also read the whole lake and compare its hashes with the manifests.")
    ] = False,
) -> None:
    """Diagnose settings, connections, permissions, disk space and clocks, and suggest fixes.

    Example: shopease check
    """
    from shopease_etl.operations.check.checks import check_lines

    console = context.console
    found = check_lines(
        context.settings,
        context.flags,
        console.secrets,
        test_alert=test_alert,
        verify=verify,
        progress=console.progress,
    )
    hidden = console.secrets.redacted
    lines = tuple(replace(line, detail=hidden(line.detail), fix=line.fix and hidden(line.fix)) for line in found)
    console.result(lines, lambda: Group(*(part for line in lines for part in _line(line))))
    if worst := max(line.exit_code for line in lines):
        raise typer.Exit(worst)


def _line(line: CheckLine) -> Iterator[RenderableType]:
    label = verdict("FAILED" if line.exit_code else "warning" if line.warning else "ok")
    label.pad_right(_VERDICT_WIDTH - len(label))
    yield Paragraph(f"{line.name}: {line.detail}", label)
    if line.fix:
        yield Paragraph(f"fix: {line.fix}", Text(" " * _VERDICT_WIDTH))
