"""What the commands' options are: those that stand anywhere, and those that several commands share."""

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

TEXT: Final = "text"


def offering(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Has a shell complete a value to one of the names."""
    offered = tuple(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in offered if name.startswith(incomplete)]

    return complete


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
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Dump = Annotated[str, typer.Argument(metavar="DUMP", help="The dump's path.", show_default=False)]


@dataclass(frozen=True)
class GlobalOptions:
    """The options that stand before or after any command's name."""

    json: Annotated[bool, typer.Option("--json", help="One JSON document as stdout's last line.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Verbose output.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Debug output with tracebacks.")] = False
    lake: Annotated[str | None, typer.Option(help="The lake: a folder, or s3://BUCKET/PREFIX.")] = None
    database_url: Annotated[str | None, typer.Option(metavar="URL", help="The source database, or `embedded`.")] = None
    home: Annotated[Path | None, typer.Option(help="Folder of the embedded database and the catalog.")] = None
    log_format: Annotated[Literal["text", "json"] | None, typer.Option(help="Form of the log on stderr.")] = None
    log_file: Annotated[Path | None, typer.Option(help="Append the log to this file as well.")] = None

    def over(self, other: "GlobalOptions | None") -> "GlobalOptions":
        """These options, and where one was not given, the other's."""
        given = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}
        return replace(other or GlobalOptions(), **given)


GLOBAL_NAMES: Final = frozenset(field.name for field in fields(GlobalOptions))


def flag_or_env(flag: str | Path | None, setting: str) -> str | None:
    """A setting as far as it is known before all are read: the flag, or else the environment's."""
    return str(flag) if flag is not None else os.environ.get(f"SHOPEASE_{setting}")


def taken_from(arguments: dict[str, Any]) -> GlobalOptions:
    """The options that stand anywhere, taken out of a command's arguments."""
    return GlobalOptions(**{field.name: arguments.pop(field.name) for field in fields(GlobalOptions)})


def add_global_options(run: Callable[..., None], function: Callable[..., None]) -> Callable[..., None]:
    """Let Typer see the function's own parameters but the first, and those of GlobalOptions."""
    own = list(inspect.signature(function).parameters.values())[1:]
    options = [*own, *inspect.signature(GlobalOptions).parameters.values()]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    run.__signature__ = inspect.Signature([context, *keywords])  # type: ignore[attr-defined]
    return run
