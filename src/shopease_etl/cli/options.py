"""The options that every command has, and those that several commands share."""

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import typer

TEXT: Final = "text"

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
Full = Annotated[
    bool, typer.Option("--full", help="Copy or clean all months, not only those that changed (sales kept by month).")
]
Engine = Annotated[
    Literal["local", "spark"] | None,
    typer.Option("--engine", help="Where months are worked on (sales kept by month): on this machine, or by Spark."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show what would be done; change nothing.")]
SkipCrawl = Annotated[bool, typer.Option("--skip-crawl", help="Do not update the catalog.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Dump = Annotated[str, typer.Argument(metavar="DUMP", help="Path of the dump.", show_default=False)]


def completion(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell asks to complete a value: the names that begin as the value does."""
    offered = tuple(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in offered if name.startswith(incomplete)]

    return complete


@dataclass(frozen=True)
class GlobalOptions:
    """The options that every command has; they may also be given before the command's name."""

    json: Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line of stdout.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Verbose output.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Debug output with tracebacks.")] = False
    lake: Annotated[str | None, typer.Option(help="The lake: a folder, or s3://BUCKET/PREFIX.")] = None
    database_url: Annotated[str | None, typer.Option(metavar="URL", help="The source database, or `embedded`.")] = None
    home: Annotated[Path | None, typer.Option(help="Folder for the embedded database and the catalog.")] = None
    log_format: Annotated[Literal["text", "json"] | None, typer.Option(help="Format of the log on stderr.")] = None
    log_file: Annotated[Path | None, typer.Option(help="Also append the log to this file.")] = None

    @classmethod
    def names(cls) -> frozenset[str]:
        """The names of the parameters."""
        return frozenset(field.name for field in fields(cls))

    @classmethod
    def pop_from(cls, arguments: dict[str, Any]) -> Self:
        """The global options among a command's arguments, which keep only the command's own."""
        return cls(**{name: arguments.pop(name) for name in cls.names()})

    def over(self, other: "GlobalOptions | None") -> "GlobalOptions":
        """These options; where one was not given, the other's."""
        given = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}
        return replace(other or GlobalOptions(), **given)


def flag_or_env(flag: str | Path | None, setting: str) -> str | None:
    """A setting before all settings are read: the flag, else the environment variable."""
    return str(flag) if flag is not None else os.environ.get(f"SHOPEASE_{setting}")


def add_global_options(run: Callable[..., None], function: Callable[..., None]) -> Callable[..., None]:
    """Give `run` the signature that Typer reads: the parameters of `function` but the first, and the global options."""
    own = list(inspect.signature(function).parameters.values())[1:]
    options = [*own, *inspect.signature(GlobalOptions).parameters.values()]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    run.__signature__ = inspect.Signature([context, *keywords])  # type: ignore[attr-defined]
    return run
