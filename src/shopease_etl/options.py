"""What the commands' options are: those that stand anywhere, and those that several commands share."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

TEXT: Final = "text"

_PANEL = "Everywhere"

Names = Annotated[list[str] | None, typer.Option("--table", metavar="NAME", help="Only this table; repeatable.")]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for a run that holds the lake.")
]
AcceptDrift = Annotated[
    bool, typer.Option("--accept-drift", help="Go on though the source's columns have changed since the last run.")
]
AllowShrink = Annotated[
    bool, typer.Option("--allow-shrink", help="Go on though rows or revenue have gone since the last run.")
]
AllowRejects = Annotated[
    bool, typer.Option("--allow-rejects", help="Publish even if most rows of a table are rejected.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show what would be done; change nothing.")]
SkipCrawl = Annotated[bool, typer.Option("--skip-crawl", help="Leave the catalog as it is.")]
FirstStage = Annotated[
    Literal["extract", "clean", "aggregate", "crawl"], typer.Option("--from", help="The stage to begin with.")
]
MaxScan = Annotated[
    str | None, typer.Option("--max-scan", metavar="SIZE", help="Refuse to read more than this, such as 10MB.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0.001, help="Stop it then.", show_default="the setting"),
]
OlderThan = Annotated[
    float,
    typer.Option("--older-than", metavar="HOURS", min=0, help="List uploads begun before that."),
]
Layers = Annotated[
    list[str] | None, typer.Option("--layer", metavar="NAME", help="Delete this layer's datasets; repeatable.")
]
Dump = Annotated[str, typer.Argument(metavar="DUMP", help="The dump's path.", show_default=False)]


@dataclass(frozen=True)
class Everywhere:
    """The options that stand before or after any command's name."""

    json: Annotated[
        bool, typer.Option("--json", help="One JSON document as stdout's last line.", rich_help_panel=_PANEL)
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.", rich_help_panel=_PANEL)] = (
        False
    )
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell more.", rich_help_panel=_PANEL)] = False
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell everything, with tracebacks.", rich_help_panel=_PANEL)
    ] = False
    lake: Annotated[
        str | None, typer.Option(help="The lake: a folder, or s3://BUCKET/PREFIX.", rich_help_panel=_PANEL)
    ] = None
    database_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The source database, or `embedded`.", rich_help_panel=_PANEL)
    ] = None
    home: Annotated[
        Path | None, typer.Option(help="Folder of the embedded database and the catalog.", rich_help_panel=_PANEL)
    ] = None
    log_format: Annotated[
        Literal["text", "json"] | None, typer.Option(help="Form of the log on stderr.", rich_help_panel=_PANEL)
    ] = None
    log_file: Annotated[
        Path | None, typer.Option(help="Append the log to this file as well.", rich_help_panel=_PANEL)
    ] = None

    def over(self, other: "Everywhere | None") -> "Everywhere":
        """These options, and where one was not given, the other's."""
        given = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}
        return replace(other or Everywhere(), **given)


def early(flag: str | Path | None, setting: str) -> str | None:
    """A setting as far as it is known before all are read: the flag, or else the environment's."""
    return str(flag) if flag is not None else os.environ.get(f"SHOPEASE_{setting}")


def taken_from(arguments: dict[str, Any]) -> Everywhere:
    """The options that stand anywhere, taken out of a command's arguments."""
    return Everywhere(**{field.name: arguments.pop(field.name) for field in fields(Everywhere)})


def with_everywhere(run: Callable[..., None], function: Callable[..., None]) -> Callable[..., None]:
    """Let Typer see the function's own parameters but the first, and those of Everywhere."""
    own = list(inspect.signature(function).parameters.values())[1:]
    options = [*own, *inspect.signature(Everywhere).parameters.values()]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    run.__signature__ = inspect.Signature([context, *keywords])  # type: ignore[attr-defined]
    return run
