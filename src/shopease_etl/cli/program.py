"""The program around the commands: what each gets, how it ends, and true exit codes."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from shopease_etl import signals
from shopease_etl.cli.console import Console
from shopease_etl.cli.options import TEXT, early, taken_from, with_everywhere
from shopease_etl.cli.session import Session
from shopease_etl.cli.streams import discard
from shopease_etl.errors import INTERRUPTED_EXIT_CODE, ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.wording import one_line, reason

# Polars' allocator (jemalloc) reads this when Polars is imported. By default it keeps freed pages for ten seconds,
# longer than a stage takes, so that each stage would add to what the one before it used.
_ALLOCATOR = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:500,muzzy_decay_ms:0")


_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Command(TyperCommand):
    """A command as Typer makes it, but for the help of its flags."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters of the command."""
        return _without_types_of_flags(super().get_params(ctx))


class Program(TyperGroup):
    """The program as Typer makes it, but for the help of its flags."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters of the program."""
        return _without_types_of_flags(super().get_params(ctx))


def _without_types_of_flags(parameters: list[Any]) -> list[Any]:
    """Help shows no type beside a flag, which takes no value."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


class Commands(typer.Typer):
    """A group of commands."""

    def command(self, *arguments: Any, **settings: Any) -> Callable[[_Function], _Function]:
        """Make a function a command."""
        return super().command(*arguments, cls=_Command, **settings)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that stand everywhere; it gets a Session in their place."""

    @functools.wraps(function)
    def run(ctx: typer.Context, **arguments: Any) -> None:
        options = taken_from(arguments).over(ctx.obj)
        _guarded(Session(options), lambda session: function(session, **arguments))

    return with_everywhere(run, function)


def root(function: Callable[..., None]) -> Callable[..., None]:
    """Give the program itself the options that stand everywhere; they reach its commands."""

    @functools.wraps(function)
    def run(ctx: typer.Context, **arguments: Any) -> None:
        ctx.obj = taken_from(arguments)
        function(ctx, **arguments)

    return with_everywhere(run, function)


def run_program(app: typer.Typer) -> int:
    """Run the program; what Typer refuses is told as any other error is. Returns the exit code."""
    os.environ.setdefault(*_ALLOCATOR)
    try:
        with signals.guarded():
            return int(app(standalone_mode=False) or 0)
    except TyperException as error:
        message = one_line(error.format_message().replace("Value error, ", ""))
        context = getattr(error, "ctx", None)
        usage = ConfigurationError(
            message.rstrip("."), hint=f"{context.command_path if context else 'shopease'} --help"
        )
        Console(json="--json" in sys.argv, log_format=_format_in(sys.argv)).failure(usage)
        return usage.exit_code
    except KeyboardInterrupt:
        Console(json="--json" in sys.argv, log_format=_format_in(sys.argv)).interrupted()
        return INTERRUPTED_EXIT_CODE
    except BrokenPipeError:  # of help whose reader has left
        discard(sys.stdout)
        return 0
    except SystemExit as ended:  # Rich, which draws the help, ends the process where its reader has left
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return 0
    except OSError as error:  # of help that could not be written; commands tell their own
        return _unwritable(error)


def _unwritable(error: OSError) -> int:
    """Let what is left of the help go nowhere, and say why. Returns the exit code."""
    discard(sys.stdout)  # first, for a console flushes stdout
    failure = UnreachableError(f"cannot write to stdout: {reason(error)}")
    Console().failure(failure)
    return failure.exit_code


def _format_in(arguments: list[str]) -> str:
    """The log's form, as far as arguments tell that are refused."""
    given = " ".join(arguments).replace("--log-format=", "--log-format ").partition("--log-format ")[2]
    return given.partition(" ")[0] or early(None, "LOG_FORMAT") or TEXT


def _guarded(session: Session, work: Callable[[Session], None]) -> None:
    """Turn what the work raises into a message and the exit code that tells it."""
    try:
        with session.console:
            session.check_settings()
            work(session)
    except ShopeaseError as error:
        session.console.failure(error)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as interrupt:
        session.console.interrupted("; ".join(getattr(interrupt, "__notes__", ())) or None)
        raise typer.Exit(INTERRUPTED_EXIT_CODE) from None
    except typer.Exit:
        raise
    except Exception as error:
        failure = ShopeaseError(f"{type(error).__name__}: {reason(error)}", hint="run it again with --debug")
        failure.__cause__ = error  # whose traceback --debug shows
        session.console.failure(failure)
        raise typer.Exit(1) from error
    finally:
        signals.conclude()
