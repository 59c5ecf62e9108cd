"""The program around the commands: what each gets, how it ends, and exit codes that scripts can rely on."""

import ctypes
import functools
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from shopease_etl import cancel
from shopease_etl.cli.console import Console
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.options import TEXT, GlobalOptions, add_global_options, flag_or_env
from shopease_etl.cli.streams import discard
from shopease_etl.errors import INTERRUPTED_EXIT_CODE, ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.wording import one_line, reason

# Polars' allocator (jemalloc) reads this when Polars is imported. By default it keeps freed pages for ten seconds,
# longer than a stage takes, so that each stage would add to what the one before it used.
_JEMALLOC: Final = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:500,muzzy_decay_ms:0")

# Options of glibc's allocator, which has Python's chunks of several MB, by their numbers in <malloc.h>: few arenas for
# all threads (M_ARENA_MAX), and chunks that are used again rather than returned to the system and fetched from it each
# time (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD).
_GLIBC: Final = {-8: 2, -3: 32 << 20, -1: 256 << 20}


class _Command(TyperCommand):
    """A command of Typer's with simpler help for its options."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters of the command."""
        return _with_plain_help(super().get_params(ctx))


class Program(TyperGroup):
    """A group of commands of Typer's with simpler help for its options."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters of the program."""
        return _with_plain_help(super().get_params(ctx))


def _with_plain_help(parameters: list[Any]) -> list[Any]:
    """Help shows no type beside a flag, and the global options in a panel of their own."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        if parameter.name in GlobalOptions.names():
            parameter.rich_help_panel = "Global options"
    return parameters


def add_command(app: typer.Typer, function: Callable[..., None], panel: str, *, takes_command: bool = False) -> None:
    """Make a function a command of the same name; `panel` is where the program's help lists it.

    One that `takes_command` has its own options before the first argument; what follows is the other command's. The
    function's first parameter is its `CommandContext`, the others are its options. Its docstring is the help, and
    ends with a paragraph `Example: shopease ...`.
    """
    described, _, example = (inspect.getdoc(function) or "").partition("\n\nExample: ")

    @functools.wraps(function)
    def run(ctx: typer.Context, **arguments: Any) -> None:
        options = GlobalOptions.pop_from(arguments).over(ctx.obj)
        _guarded(CommandContext(options), lambda context: function(context, **arguments))

    register = app.command(
        cls=_Command,
        help=described,
        epilog=f"Example: {example}",
        rich_help_panel=panel,
        context_settings={"allow_interspersed_args": not takes_command},
    )
    register(add_global_options(run, function))


def root(function: Callable[..., None]) -> Callable[..., None]:
    """Give the program itself the global options, which its commands then get from Typer's context."""

    @functools.wraps(function)
    def run(ctx: typer.Context, **arguments: Any) -> None:
        ctx.obj = GlobalOptions.pop_from(arguments)
        function(ctx, **arguments)

    return add_global_options(run, function)


def run_program(app: typer.Typer) -> int:
    """Run the program and return the exit code; errors of usage are reported like all others."""
    _tune_allocators()
    try:
        code = int(app(standalone_mode=False) or 0)
        if code == INTERRUPTED_EXIT_CODE and not cancel.is_concluded():
            raise KeyboardInterrupt  # outside of a command's work Typer makes an exit code of it
        return code
    except TyperException as error:
        usage = usage_error(error)
        Console(json="--json" in sys.argv, log_format=_format_in(sys.argv)).failure(usage)
        return usage.exit_code
    except KeyboardInterrupt:
        Console(json="--json" in sys.argv, log_format=_format_in(sys.argv)).interrupted()
        return INTERRUPTED_EXIT_CODE
    except BrokenPipeError:  # the reader of the help has left
        discard(sys.stdout)
        return 0
    except SystemExit as ended:  # Rich, which draws the help, ends the process when its reader has left
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return 0
    except OSError as error:  # the help could not be written; commands report their own errors
        return _unwritable(error)


def usage_error(error: TyperException) -> ConfigurationError:
    """Arguments that could not be parsed, as an error of ours."""
    message = one_line(error.format_message().replace("Value error, ", ""))
    context = getattr(error, "ctx", None)
    return ConfigurationError(message.rstrip("."), hint=f"{context.command_path if context else 'shopease'} --help")


def _tune_allocators() -> None:
    """Before Polars is imported and other threads begin."""
    os.environ.setdefault(*_JEMALLOC)
    with suppress(AttributeError, OSError):  # other C libraries do not have it
        for option, value in _GLIBC.items():
            ctypes.CDLL(None).mallopt(option, value)


def _unwritable(error: OSError) -> int:
    """Discard the rest of the help, report why, and return the exit code."""
    discard(sys.stdout)  # first, because a console flushes stdout
    failure = UnreachableError(f"cannot write to stdout: {reason(error)}")
    Console().failure(failure)
    return failure.exit_code


def _format_in(arguments: list[str]) -> str:
    """The format of the log when the arguments could not be parsed."""
    given = " ".join(arguments).replace("--log-format=", "--log-format ").partition("--log-format ")[2]
    return given.partition(" ")[0] or flag_or_env(None, "LOG_FORMAT") or TEXT


def _guarded(context: CommandContext, work: Callable[[CommandContext], None]) -> None:
    """Turn what the work raises into a message and an exit code."""
    try:
        with context.console:
            context.check_settings()
            work(context)
    except ShopeaseError as error:
        context.console.failure(error)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as interrupt:
        context.console.interrupted("; ".join(getattr(interrupt, "__notes__", ())) or None)
        raise typer.Exit(INTERRUPTED_EXIT_CODE) from None
    except typer.Exit:
        raise
    except Exception as error:
        failure = ShopeaseError(f"{type(error).__name__}: {reason(error)}", hint="run it again with --debug")
        failure.__cause__ = error  # --debug shows its traceback
        context.console.failure(failure)
        raise typer.Exit(1) from error
    finally:
        cancel.conclude()
