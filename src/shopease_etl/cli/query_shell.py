"""The shell of `shopease query`: it reads statements and commands and shows their results, until the user leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from shopease_etl import cancel
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.query_listing import list_queries, parameters_of
from shopease_etl.cli.query_results import draw, write
from shopease_etl.cli.result_tables import ResultTable
from shopease_etl.cli.shell_prompt import Prompt
from shopease_etl.cli.shell_text import COMMANDS, Vocabulary, arguments_in, command_in, statements_in
from shopease_etl.cli.tabular import Grid
from shopease_etl.contract import meanings
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.pipeline import costs
from shopease_etl.stages import query as stage
from shopease_etl.stages.named_queries import NamedQueries
from shopease_etl.warehouse.metadata_statements import nearest
from shopease_etl.warehouse.parameters import bind, parameters_in
from shopease_etl.wording import counted

if TYPE_CHECKING:
    from shopease_etl.warehouse import Warehouse

_SUFFIXES: Final = (".csv", ".json", ".parquet")
# Without a pager.
_MAX_ROWS: Final = 1000


@dataclass
class QueryShell:
    """One user at a terminal; `lake` is the lake's folder if it is local."""

    context: CommandContext
    warehouse: "Warehouse"
    named: NamedQueries
    lake: Path | None
    max_scan: int | None = None
    is_vertical: bool = False
    parameters: dict[str, str] = field(default_factory=dict)
    output: Path | None = None

    def run(self) -> None:
        r"""Read and run until the user leaves with `\q` or Ctrl-D; errors and Ctrl-C end only what they are about."""
        listed = self.warehouse.tables()
        words = {query.name: parameters_of(query) for query in self.named.queries.values()}
        prompt = Prompt(self.context.settings.home, Vocabulary(listed, words))
        tables = counted(len(listed), "table or view", "tables and views")
        lake = self.context.settings.lake
        self._say(f"{tables} of {lake}. End a statement with a semicolon; \\? shows help, \\q leaves.")
        while True:
            try:
                text = prompt.read()
            except EOFError:
                return
            except KeyboardInterrupt:
                text = ""
            cancel.resume()
            if text.strip() and not self._run(text):
                return

    def _run(self, text: str) -> bool:
        """Run what was typed; False if the user leaves."""
        command = command_in(text)
        if command and command[0] == r"\q":
            return False
        jobs = [partial(self._command, *command)] if command else []
        jobs += [partial(self._statement, sql, self.parameters) for sql in ([] if command else statements_in(text))]
        try:
            for job in jobs:
                self._try(job)
        except KeyboardInterrupt:
            self._say("Cancelled.")
        cancel.resume()
        return True

    def _try(self, job: Callable[[], None]) -> None:
        try:
            job()
        except ShopeaseError as error:
            self.context.console.failure(error)

    def _command(self, name: str, rest: str) -> None:
        commands: dict[str, Callable[[str], None]] = {
            r"\d": self._describe,
            r"\n": self._named,
            r"\p": self._parameters,
            r"\x": self._toggle,
            r"\o": self._send,
            r"\?": self._help,
        }
        if name not in commands:
            raise ConfigurationError(f"there is no command {name}", hint=r"\? lists the commands")
        commands[name](rest)

    def _statement(self, sql: str, values: dict[str, str]) -> None:
        """Run one statement, show or write its rows, and print how many there are, the time, and the cost on Athena."""
        settings, console, started = self.context.settings, self.context.console, monotonic()
        bound = bind(sql, {name: values[name] for name in parameters_in(sql) if name in values})
        with stage.query(bound, self.warehouse, max_scan=self.max_scan) as result:
            if self.output:
                write(result.reader, console, self.output.suffix.lstrip("."), self.output)
                self.output = None
                self._say(f"{monotonic() - started:,.2f} s")
            else:
                with ResultTable(result.reader) as table:
                    seconds = monotonic() - started
                    self._say(f"{draw(table, console, vertical=self.is_vertical, most=_MAX_ROWS)}, {seconds:,.2f} s")
                if table.rows > _MAX_ROWS and not console.has_pager:
                    self._say(r"For all of them: \o FILE, and the statement again; or install less.")
            if scan := result.engine.scan():
                self._say(costs.describe_scan(scan, settings.price_athena_tb))

    def _describe(self, name: str) -> None:
        listed = {table.name.lower(): table for table in self.warehouse.tables()}
        if not name:
            rows = [
                (table.name, "view" if table.is_view else "table", meanings.of_table(table.name))
                for _, table in sorted(listed.items())
            ]
            self._show(Grid(("name", "kind", "meaning"), rows, prose=("meaning",)))
            return
        wanted = name.rpartition(".")[2].strip('"').lower()
        if wanted not in listed:
            raise ConfigurationError(f"there is no table {name}", hint=nearest(wanted, listed))
        columns = [
            (column.name, column.type, meanings.of_column(wanted, column.name)) for column in listed[wanted].columns
        ]
        self._show(Grid(("column", "type", "meaning"), columns, prose=("meaning",)))

    def _named(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if not name:
            list_queries(self.named, self.context.console)
            return
        sql, given = self.named.find(name).sql, _arguments(rest)
        if unknown := given.keys() - set(parameters_in(sql)):
            raise ConfigurationError(
                f"{name} has no parameter {min(unknown)}", hint=f"it has {', '.join(parameters_in(sql)) or 'none'}"
            )
        self._statement(sql, self.parameters | given)

    def _parameters(self, text: str) -> None:
        self.parameters |= _arguments(text)
        if self.parameters:
            self._show(Grid(("parameter", "value"), list(self.parameters.items())))
        else:
            self._say("No parameter is set.")

    def _toggle(self, _: str) -> None:
        self.is_vertical = not self.is_vertical
        self._say(f"One value per line: {'on' if self.is_vertical else 'only where the table is too wide'}.")

    def _send(self, name: str) -> None:
        output = Path(name).expanduser() if name else None
        if output:
            if output.suffix not in _SUFFIXES:
                raise ConfigurationError(
                    f"{name} does not end with a format", hint=f"end it with {' or '.join(_SUFFIXES)}"
                )
            stage.check_output(output, self.lake, self.context.settings.home, r"\o")
        self.output = output
        self._say(f"The next result goes to {output or 'the terminal'}.")

    def _help(self, _: str) -> None:
        self._show(Grid(("command", "what it does"), list(COMMANDS.items()), prose=("what it does",)))

    def _show(self, grid: Grid) -> None:
        self.context.console.result(None, lambda: grid)

    def _say(self, text: str) -> None:
        self.context.console.message(text)


def _arguments(text: str) -> dict[str, str]:
    """The values of parameters by name; ConfigurationError if one is not `name=value`, or is given twice."""
    values: dict[str, str] = {}
    try:
        for name, value in arguments_in(text):
            if name in values:
                raise ConfigurationError(f"the parameter {name} is given twice", hint="give it once")
            values[name] = value
    except ValueError as error:
        raise ConfigurationError(
            f"{error} is not a parameter with its value", hint="NAME=VALUE, or NAME='a text with blanks'"
        ) from error
    return values
