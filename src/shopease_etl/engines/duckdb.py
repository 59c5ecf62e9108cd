"""DuckDB over one local lake, shut in there: CSV and Parquet files as tables, and Athena's SQL on them."""

import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Final, Self, TypeVar

import pyarrow as pa

from shopease_etl.engines.athena_sql import place_of, tables_in, translate
from shopease_etl.engines.csv_files import USUAL_RECORD, CsvFile, Look, look_over, row_at
from shopease_etl.engines.trino_semantics import MACROS
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError

try:
    import duckdb
except ModuleNotFoundError as missing:
    raise ConfigurationError("local SQL needs duckdb", hint="pip install 'shopease[query]'") from missing

_Result = TypeVar("_Result")

_WRONG_SQL: Final = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
_BATCH_ROWS: Final = 65_536
_REASON_LENGTH: Final = 500
_CSV_OPTIONS: Final = (
    "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', "
    "strict_mode = true, null_padding = false, hive_partitioning = false"
)
_MISSING_NAME: Final = re.compile(r'(?:with name|[Cc]olumn) "?([^"\s]+)"? (?:does not exist|not found|must appear)')
_MISSING_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")


class Engine:
    """A connection that reads one lake's files and nothing else; it answers as Athena does, as far as DuckDB can."""

    def __init__(
        self,
        lake: Path,
        database: str,
        *,
        max_memory: int | None = None,
        timeout: float | None = None,
        temporary: Path | None = None,
    ) -> None:
        self._database = database
        self._timeout = timeout
        self._deadline = math.inf
        self._files: dict[str, tuple[Path, str]] = {}
        self._csv_files: dict[str, CsvFile] = {}
        self._views: dict[str, set[str]] = {}
        self._broken: dict[str, ShopeaseError] = {}
        self._spill = tempfile.TemporaryDirectory(prefix="shopease-query-", dir=temporary)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shopease-query")
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "ieee_floating_point_ops": False,
                "integer_division": True,
                "python_enable_replacements": False,
                "temp_directory": self._spill.name,
                **({} if max_memory is None else {"memory_limit": f"{max_memory}B"}),
            },
        )
        self._set_up(lake.resolve())

    def _set_up(self, lake: Path) -> None:
        schema = _quoted(self._database)
        for macro in MACROS:
            self._connection.execute(f"CREATE MACRO main.{macro}")
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self._connection.execute(f"SET search_path = {_literal(f'{schema},main')}")
        self._connection.execute("SET TimeZone = 'UTC'")
        # the files are named as patterns that match only themselves, and DuckDB holds the pattern against this list too
        allowed = f"{_literal(str(lake))}, {_literal(_as_glob(lake))}"
        self._connection.execute(f"SET allowed_directories = [{allowed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops what is running and removes the spill files; a reader that is still open ends with an error."""
        self._connection.interrupt()
        self._worker.shutdown()
        self._connection.close()
        self._spill.cleanup()

    def add_csv(self, name: str, path: Path, columns: Sequence[str], *, made_by: str, has_line_breaks: bool) -> None:
        """A table of strings over a CSV file; NULL and '' both read as '', as OpenCSVSerDe has them."""
        types = ", ".join(f"{_literal(column)}: 'VARCHAR'" for column in columns)
        names = ", ".join(_literal(column) for column in columns)
        # DuckDB's parallel reader takes lines inside quotes for rows
        parallel = "false" if has_line_breaks else "true"
        options = f"columns = {{{types}}}, force_not_null = [{names}], parallel = {parallel}, {_CSV_OPTIONS}"
        file = CsvFile(f"read_csv({_literal(_as_glob(path))}, {options}", has_line_breaks)
        self._csv_files[name] = file
        self._add_file(name, path, made_by, file.source(USUAL_RECORD))

    def add_parquet(self, name: str, path: Path, *, made_by: str) -> None:
        """A table over a Parquet file, with the file's types."""
        self._add_file(name, path, made_by, f"read_parquet({_literal(_as_glob(path))}, hive_partitioning = false)")

    def add_view(self, name: str, athena_sql: str) -> None:
        """A view from a SELECT in Athena's SQL; where a table under it is broken, the view is broken likewise."""
        self._views[name] = tables_in(athena_sql)
        self._create_view(name, translate(athena_sql, self._database))

    def mark_broken(self, name: str, error: ShopeaseError) -> None:
        """Has `error` raised by the first query that asks for this table; other queries are answered."""
        self._broken[name.lower()] = error

    def _add_file(self, name: str, path: Path, made_by: str, source: str) -> None:
        self._files[name] = (path, made_by)
        self._create_view(name, f"FROM {source}")

    def _create_view(self, name: str, select: str) -> None:
        try:
            self._connection.execute(f"CREATE OR REPLACE VIEW {_quoted(self._database)}.{_quoted(name)} AS {select}")
        except duckdb.Error as error:
            self.mark_broken(name, self._refused(error, select))

    def query(self, sql: str) -> pa.RecordBatchReader:
        """Runs one reading statement, one at a time; batches come as they are read.

        Ctrl-C stops it at once, and so does the end of the time that a statement may take.
        """
        return self._read(sql, translate(sql, self._database))

    def answer(self, sql: str) -> pa.RecordBatchReader:
        """Runs one statement of our own, which means the same to Athena and DuckDB."""
        return self._read(sql, sql)

    def _read(self, sql: str, translated: str) -> pa.RecordBatchReader:
        self._deadline = math.inf if self._timeout is None else time.monotonic() + self._timeout
        self._look_over(sql)
        relation = self._answered(sql, lambda: self._connection.sql(translated))
        bigints = [index for index, kind in enumerate(relation.types) if str(kind) == "HUGEINT"]
        reader = self._answered(sql, lambda: relation.to_arrow_reader(_BATCH_ROWS))
        schema = reader.schema
        for index in bigints:
            schema = schema.set(index, schema.field(index).with_type(pa.int64()))
        return pa.RecordBatchReader.from_batches(schema, self._batches(sql, reader, schema))

    def scan_limit(self) -> None:
        """DuckDB has none."""

    def scan(self) -> None:
        """Reading files of one's own is not paid for."""

    def bytes_named(self, sql: str) -> int:
        """The size of all files that the statement names: the most that it reads."""
        return sum(self._files[name][0].stat().st_size for name in self._tables_in(sql))

    def _tables_in(self, sql: str) -> list[str]:
        """The tables over files that the statement names, itself or by way of a view."""
        names = tables_in(sql)
        names |= {name for view, bases in self._views.items() if view.lower() in names for name in bases}
        return [name for name in self._files if name.lower() in names]

    def _look_over(self, sql: str) -> None:
        """Refuses a CSV that was cut off, and makes room for records that are longer than usual.

        DuckDB's serial reader silently drops a last field that is not closed.
        """
        for name in self._tables_in(sql):
            (path, made_by), file = self._files[name], self._csv_files.get(name)
            if file is None:
                continue
            look = look_over(path, has_line_breaks=file.has_line_breaks)
            if look.cut_off:
                raise _unreadable(path, look.cut_off, made_by)
            if look.longest != file.look.longest:
                self._create_view(name, f"FROM {file.source(look.longest)}")
            self._csv_files[name] = replace(file, look=look)

    def _batches(self, sql: str, reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Trino's sums of bigint are bigint, DuckDB's are wider: they are narrowed here, out of range is an error."""
        while (batch := self._answered(sql, lambda: next(reader, None))) is not None:
            yield self._answered(sql, lambda batch=batch: batch.cast(schema))  # type: ignore[misc]

    def _answered(self, sql: str, work: Callable[[], _Result]) -> _Result:
        """Works in another thread, for DuckDB holds signals up; Ctrl-C interrupts it there and is raised here."""
        future: Future[_Result] = self._worker.submit(work)
        try:
            # a signal may have come to another thread: this one must wake now and then to see it
            while not wait([future], timeout=0.1).done:
                self._stop_late(future)
            return future.result()
        except KeyboardInterrupt:
            self._stop(future)
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._refused(error, sql) from error

    def _stop_late(self, future: Future[_Result]) -> None:
        if time.monotonic() > self._deadline:
            self._stop(future)
            raise ShopeaseError(
                f"the statement took longer than {self._timeout:g} s, and was stopped",
                hint="SHOPEASE_QUERY_TIMEOUT sets the seconds that a query may take",
            )

    def _stop(self, future: Future[_Result]) -> None:
        future.cancel()
        while not future.done():
            self._connection.interrupt()
            wait([future], timeout=0.05)

    def _refused(self, error: Exception, sql: str) -> ShopeaseError:
        message = str(error)
        for path, made_by in self._files.values():
            if str(path) in message or _as_glob(path) in message:
                return _unreadable(path, _reason(message), made_by)
        if isinstance(error, duckdb.OutOfMemoryException) and (long := self._long_record(sql)):
            return ShopeaseError(
                f"DuckDB: {long}", hint="raise SHOPEASE_MAX_MEMORY, or shorten the value in the source"
            )
        if (table := _MISSING_TABLE.search(message)) is not None:
            return self._unknown_table(table[1].strip('"'), sql)
        name = _MISSING_NAME.search(message)
        place = place_of(sql, name[1]) if name else None
        kind = ConfigurationError if isinstance(error, _WRONG_SQL) else ShopeaseError
        return kind(f"DuckDB: {_reason(message)}" + (f" at {place}" if place else ""))

    def _long_record(self, sql: str) -> str:
        """Where the statement's tables have a record that may not fit in memory; empty where they have none."""
        files = [(self._csv_files[name].look, name) for name in self._tables_in(sql) if name in self._csv_files]
        look, name = max(files, key=lambda file: file[0].longest, default=(Look(), ""))
        if not look.longest_at:
            return ""
        row = row_at(self._files[name][0], look.longest_at)
        return f"not enough memory for row {row:,} of {name}, which has {look.longest / 1e6:,.0f} MB"

    def _unknown_table(self, name: str, sql: str) -> ShopeaseError:
        if (broken := self._broken.get(name.rpartition(".")[2].lower())) is not None:
            return broken
        rows = self._connection.execute(translate("SHOW TABLES", self._database)).fetchall()
        known = ", ".join(str(row[0]) for row in rows) or "none"
        place = place_of(sql, name)
        return ConfigurationError(
            f"there is no table {name}" + (f" at {place}" if place else ""), hint=f"there are these tables: {known}"
        )


def _unreadable(path: Path, reason: str, made_by: str) -> ShopeaseError:
    return DataRefusedError(f"{path} cannot be read: {reason}", hint=f"run `{made_by}` to make it again")


def _reason(message: str) -> str:
    """DuckDB's message in one line, without its echo of the translated SQL and its lists of options."""
    if "No files found" in message:
        return "it is not there"
    told = re.split(r"\n\s*LINE \d+:|\nPossible \w+|\s*Candidate (?:func|macro)| Use TRY\(", message)[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    if (csv_line := re.search(r"CSV Error on Line: (\d+)", told)) is not None:
        return f"line {csv_line[1]}: {lines[-1]}"[:_REASON_LENGTH]
    return re.sub(r"^(?:[A-Z]\w+ )+Error: ", "", " ".join(lines))[:_REASON_LENGTH]


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _as_glob(path: Path) -> str:
    """The path so written that DuckDB sees no pattern in it."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path))
