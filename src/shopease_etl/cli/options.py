"""What the commands' options are: those that stand anywhere, and those that several commands share."""

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from shopease_etl.contract.layout import LAYERS
from shopease_etl.contract.tables import CLEANED_TABLES, TABLES, Table

TEXT: Final = "text"

_PANEL = "Everywhere"


def offering(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Has a shell complete a value to one of the names."""
    offered = tuple(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in offered if name.startswith(incomplete)]

    return complete


def _shipped_queries(incomplete: str) -> list[tuple[str, str]]:
    """The names that a shell completes, each with the query's first line, and nothing heavy imported for it."""
    files = sorted((Path(__file__).parents[1] / "queries").glob("*.sql"))
    found = [(file.stem, file.read_text(encoding="utf-8").partition("\n")[0]) for file in files]
    return [(name, line.removeprefix("-- ")) for name, line in found if name.startswith(incomplete)]


def _table(offered: Iterable[Table]) -> Any:
    names = offering(table.name for table in offered)
    return typer.Option("--table", metavar="NAME", help="Only this table; repeatable.", autocompletion=names)


Names = Annotated[list[str] | None, _table(TABLES)]
CleanedNames = Annotated[list[str] | None, _table(CLEANED_TABLES)]
QueryName = Annotated[
    str | None,
    typer.Option(
        "--name", "-n", metavar="NAME", help="A query that ships with shopease.", autocompletion=_shipped_queries
    ),
]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait up to SECONDS if another run is in progress.")
]
AcceptDrift = Annotated[
    bool, typer.Option("--accept-drift", help="Publish even if the source's columns changed since the last run.")
]
AllowShrink = Annotated[
    bool, typer.Option("--allow-shrink", help="Publish even if rows or revenue dropped sharply since the last run.")
]
AllowRejects = Annotated[
    bool, typer.Option("--allow-rejects", help="Publish even if most rows of a table are rejected.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show what would be done; change nothing.")]
SkipCrawl = Annotated[bool, typer.Option("--skip-crawl", help="Leave the catalog as it is.")]
FirstStage = Annotated[
    Literal["extract", "clean", "aggregate", "crawl"], typer.Option("--from", help="The first stage to run.")
]
MaxScan = Annotated[
    str | None, typer.Option("--max-scan", metavar="SIZE", help="Refuse to read more than SIZE, such as 10MB.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        help="Cancel the query after this many seconds.",
        show_default="the setting",
    ),
]
OlderThan = Annotated[
    float,
    typer.Option("--older-than", metavar="HOURS", min=0, help="Only uploads older than HOURS."),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", metavar="NAME", help="Delete this layer's datasets; repeatable.", autocompletion=offering(LAYERS)
    ),
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
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Verbose output.", rich_help_panel=_PANEL)] = False
    debug: Annotated[bool, typer.Option("--debug", help="Debug output with tracebacks.", rich_help_panel=_PANEL)] = (
        False
    )
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
