"""What every command has: the settings, the console, and what is shown of each result."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shopease_etl.cli.console import Console
from shopease_etl.cli.options import TEXT, Everywhere, early
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from shopease_etl.lake.cleanup import Garbage
    from shopease_etl.operations.schedule import Schedule
    from shopease_etl.pipeline.plan import Plan
    from shopease_etl.pipeline.wiring import Pipeline
    from shopease_etl.report import CheckLine, LakeStatus, RunResult
    from shopease_etl.sample import SampleResult
    from shopease_etl.settings import Settings
    from shopease_etl.stages.restore import RestoreResult

log = logging.getLogger(__name__)


class Session:
    """One command's run: settings read at first use, and the console."""

    def __init__(self, options: Everywhere) -> None:
        self._options = options
        self.console = Console(
            json=options.json,
            quiet=options.quiet,
            verbose=options.verbose,
            debug=options.debug,
            log_format=early(options.log_format, "LOG_FORMAT") or TEXT,
        )

    @cached_property
    def settings(self) -> "Settings":
        """The settings, with the flags over the environment."""
        from shopease_etl.settings import load

        chosen = ("lake", "database_url", "home", "log_format", "log_file")
        return load(**{name: getattr(self._options, name) for name in chosen})

    @property
    def flags(self) -> "Collection[str]":
        """The settings that flags gave."""
        return [name for name in type(self.settings).model_fields if getattr(self._options, name, None) is not None]

    def check_settings(self) -> None:
        """Read the settings, so that a wrong one is refused by every command, even by those that need none.

        What is refused is logged as a flag or the environment says; `.env` is read too late for that.
        """
        options, console = self._options, self.console
        console.secrets.learn(early(options.database_url, "DATABASE_URL"))
        file = early(options.log_file, "LOG_FILE")
        console.log_to(early(options.log_format, "LOG_FORMAT") or TEXT, Path(file) if file else None)
        for address in (self.settings.database_url, *self.settings.alerts):
            console.secrets.learn(address)
        console.log_to(self.settings.log_format, self.settings.log_file)
        log.debug("settings: lake %s, home %s", self.settings.lake, self.settings.home)

    def run(
        self,
        plan: "Plan",
        *,
        wait: float,
        accept_drift: bool = False,
        allow_shrink: bool = False,
        allow_rejects: bool = False,
    ) -> None:
        """Carry a plan out, and show what it did."""
        from shopease_etl.pipeline.plan import Consent
        from shopease_etl.pipeline.run import run

        overrides = Consent(accept_drift, allow_shrink, allow_rejects)
        self.show_run(run(plan, self.pipeline, overrides=overrides, wait=wait))

    @cached_property
    def pipeline(self) -> "Pipeline":
        """The pipeline of the settings, which draws its progress here; alerts and pings hear of its commands."""
        from shopease_etl.pipeline.wiring import Pipeline

        shop = Pipeline.from_settings(self.settings, self.console.progress)
        listeners = list(shop.listeners)
        if self.settings.ping_url:
            from shopease_etl.operations.pings import Pings

            listeners.append(Pings(self.settings.ping_url, shop.secrets))
        if self.settings.alerts:
            from shopease_etl.operations.alerts import Alerts

            listeners.append(Alerts(self.settings.alerts, shop.lake, shop.home, shop.secrets))
        return replace(shop, listeners=tuple(listeners))

    def show_run(self, run: "RunResult") -> None:
        """A run's summary, and what to do next; `--quiet` leaves a run that went well without a word, for cron."""
        from shopease_etl.cli import render
        from shopease_etl.pipeline import wiring

        if self.console.json or not self.console.quiet:
            prices = wiring.prices(self.settings) if self._is_on_aws else None
            location = self.settings.lake.rstrip("/")
            summary = f"run {run.run_id} {run.status}"
            self.console.result(run, lambda: render.run_summary(run, location, prices), summary)
        if not self.console.json:
            self.console.message(render.next_steps(run))

    @property
    def _is_on_aws(self) -> bool:
        from shopease_etl.pipeline import wiring

        return wiring.lake_store(self.settings).is_on_aws

    def show_plan(self, plan: "Plan") -> None:
        """What a run would read and write."""
        from shopease_etl.cli import render

        steps = plan.steps()
        self.console.result(steps, lambda: render.plan_steps(steps))

    def show_status(self, status: "LakeStatus") -> None:
        """The lake as it is, and exit code 1 where that is a problem."""
        from shopease_etl.cli import render_status

        self.console.result(status, lambda: render_status.lake_status(status))
        if not status.datasets and not status.runs:
            self.console.message(f"There is nothing in {status.location} yet. Next: shopease run-all")
        if status.problem:
            log.warning("%s", status.problem)
            raise typer.Exit(ShopeaseError.exit_code)

    def clean_up(self, garbage: "Garbage", delete: Callable[[], None], *, dry_run: bool, yes: bool) -> None:
        """List what was found, and delete it if that is wanted; ConfigurationError where nobody can be asked."""
        from shopease_etl.cli import render

        is_asked = garbage.count and not (dry_run or yes)
        if not self.console.json:
            self.console.result(garbage, lambda: render.garbage(garbage))
        elif is_asked:
            raise ConfigurationError(
                "--json cannot ask for confirmation", hint="add --dry-run to list, or --yes to delete"
            )
        if told := render.left_alone(garbage):
            self.console.message(told)
        if is_asked and not sys.stdin.isatty():
            raise ConfigurationError(
                "nothing deleted: cannot ask for confirmation without a terminal",
                hint="add --yes to delete without asking",
            )
        is_wanted = self.console.asks(f"Delete {garbage.told}?") if is_asked else bool(garbage.count) and not dry_run
        if is_wanted:
            delete()
            kept = " Former versions stay as long as the bucket keeps them." if self._is_on_aws else ""
            self.console.message(f"Deleted {garbage.told}.{kept}")
        elif garbage.count and not dry_run:
            self.console.message("Nothing was deleted.")
        if self.console.json:
            done = f"deleted {garbage.told}" if is_wanted else None
            self.console.result({**asdict(garbage), "deleted": is_wanted}, lambda: "", done)

    def confirms_rollback(self) -> bool:
        """Whether a person agrees to a rollback; ConfigurationError where there is no terminal to ask on."""
        if self.console.json or not sys.stdin.isatty():
            reason = "--json asks nothing" if self.console.json else "cannot ask for confirmation without a terminal"
            hint = "--yes does it without asking, --dry-run only shows it"
            raise ConfigurationError(f"Nothing changed: {reason}", hint=hint)
        return self.console.asks("Roll back?")

    def show_sample(self, result: "SampleResult") -> None:
        """What was written, and how to load it."""
        from shopease_etl.cli import render

        self.console.result(result, lambda: render.rows_by_table(result.tables), f"wrote {result.path}")
        self.console.message(f"Wrote {result.path}, {result.bytes / 1e6:,.1f} MB. Next: shopease restore {result.path}")

    def show_restore(self, result: "RestoreResult") -> None:
        """What the database holds now."""
        from shopease_etl.cli import render

        self.console.result(result, lambda: render.rows_by_table(result.tables), "restored the dump")
        self.console.message(
            f"Restored a dump ({result.format}, {result.bytes / 1e6:,.1f} MB) in {result.seconds:.1f} s. "
            "Next: shopease run-all"
        )

    def show_checks(self, checks: "Iterable[CheckLine]") -> None:
        """Each line without secrets, and an exit code that is not 0 if one failed."""
        from shopease_etl.cli import render

        hidden = self.console.secrets.redacted
        lines = tuple(replace(line, detail=hidden(line.detail), fix=line.fix and hidden(line.fix)) for line in checks)
        self.console.result(lines, lambda: render.check_lines(lines))
        if worst := max(line.exit_code for line in lines):
            raise typer.Exit(worst)

    def show_schedule(self, schedule: "Schedule", install: Callable[[], None] | None, *, yes: bool) -> None:
        """What runs the pipeline, installed if that is wanted; ConfigurationError where nobody can be asked."""
        if not self.console.json:
            self.console.line(schedule.text)
        for note in schedule.notes:
            self.console.message(f"Note: {note}")
        is_installed = install is not None and (yes or self._agrees_to_write(schedule))
        if install and is_installed:
            install()
        if self.console.json:
            done = "installed the schedule" if is_installed else None
            self.console.result(schedule.document(is_installed=is_installed), lambda: "", done)
        commands = "".join(f"\n  {command}" for command in schedule.next(is_installed=is_installed))
        following = f" Next:{commands}" if commands else ""
        self.console.message(
            f"Installed.{following}" if is_installed else f"Nothing is installed: --install does it, or{commands}"
        )

    def _agrees_to_write(self, schedule: "Schedule") -> bool:
        if self.console.json or not sys.stdin.isatty():
            raise ConfigurationError(
                "nothing installed: cannot ask for confirmation without a terminal",
                hint="add --yes to install without asking",
            )
        return self.console.asks(f"Write {', '.join(file.path for file in schedule.files)}?")

    def show_shipped_queries(self) -> None:
        """The queries that ship with the tool."""
        from shopease_etl.cli import render
        from shopease_etl.stages.query import shipped_queries

        queries = shipped_queries()
        self.console.result(queries, lambda: render.query_list((q.name, q.description) for q in queries))

    def statement(self, sql: str | None, file: Path | None, name: str | None) -> str:
        """The one statement that was given, as text, in a file, or by a shipped query's name.

        Raises:
            ConfigurationError: none or several were given, or the file cannot be read.
        """
        from shopease_etl.stages.query import shipped_query

        given = sum(source is not None for source in (sql, file, name))
        if given > 1 or (not given and sys.stdin.isatty()):
            message = f"{'more than one statement' if given else 'no statement'} given"
            hint = "give one: as an argument, with --file, on stdin, or with --name (`shopease query --list`)"
            raise ConfigurationError(message, hint=hint)
        if name is not None:
            return shipped_query(name, self.settings.glue_database).sql
        return sql if sql not in {None, "-"} else _text(file)

    def show_answer(
        self,
        sql: str,
        output_format: str,
        output: Path | None,
        max_scan: str | None,
        timeout: float | None,
        *,
        vertical: bool = False,
    ) -> None:
        """Run the statement, write its rows to stdout or to a file, and tell what it cost, if it did."""
        from shopease_etl.cli import answers
        from shopease_etl.lake.publish import warn_of_publishing
        from shopease_etl.pipeline import costs, wiring
        from shopease_etl.settings import size
        from shopease_etl.stages.query import check_output, query

        limit = size(max_scan) if max_scan else None
        output_format = answers.chosen_format(self.console, output_format, output, vertical=vertical)
        store = wiring.lake_store(self.settings)
        if output:
            check_output(output, store.folder, self.settings.home)
        warehouse = wiring.warehouse(self.settings, store, timeout=timeout)
        with suppress(UnreachableError):  # an analyst may have no right to read `_runs`
            warn_of_publishing(store)
        with query(sql, warehouse, max_scan=limit) as result:
            answers.write(result.reader, self.console, output_format, output, vertical=vertical)
            if scan := result.engine.scan():
                self.console.message(costs.told(scan, self.settings.price_athena_tb))


def _text(file: Path | None) -> str:
    source = "stdin" if file is None or str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if source == "stdin" or file is None else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{source} is not UTF-8 text", hint=f"save it as UTF-8: {error.reason}") from error
    except OSError as error:
        raise ConfigurationError(f"cannot read {source}: {error.strerror}") from error
    if not text.strip():
        hint = "give a statement: as an argument, with --file, on stdin, or with --name (`shopease query --list`)"
        raise ConfigurationError(f"{source} has no statement", hint=hint)
    return text
