"""DuckDB over one local lake, shut in there: CSV and Parquet files as tables, and Athena's SQL on them."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Final, Self, TypeVar

import pyarrow as pa

from shopease_etl import cancel
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError
from shopease_etl.warehouse.csv_files import USUAL_RECORD, CsvFile, Look, look_over, row_at
from shopease_etl.warehouse.dialect import metadata_statement, tables_in, translate
from shopease_etl.warehouse.duckdb_errors import no_table, not_available, reason, unknown_table, wrong_name
from shopease_etl.warehouse.intervals import interval_texts
from shopease_etl.warehouse.limits import TimeLimit
from shopease_etl.warehouse.metadata_statements import Tables, plan
from shopease_etl.warehouse.schema import quoted
from shopease_etl.warehouse.scratch import ScratchFolder
from shopease_etl.warehouse.trino_macros import MACROS

try:
    import duckdb
except ModuleNotFoundError as missing:
    raise ConfigurationError("local SQL needs duckdb", hint="pip install 'shopease[query]'") from missing

_Result = TypeVar("_Result")

_WRONG_SQL: Final = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
# sums of bigint are bigint in Trino, and wider in DuckDB; Athena gives intervals as text
_ATHENAS_TYPES: Final = {"HUGEINT": pa.int64(), "INTERVAL": pa.string()}
_BATCH_ROWS: Final = 65_536
_CSV_OPTIONS: Final = (
    "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', "
    "strict_mode = true, null_padding = false, hive_partitioning = false"
)


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
        self._limit = TimeLimit(None)
        self._files: dict[str, tuple[Path, str]] = {}
        self._csv_files: dict[str, CsvFile] = {}
        self._views: dict[str, str] = {}
        self._broken: dict[str, ShopeaseError] = {}
        self._spill = ScratchFolder(temporary)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shopease-query")
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "ieee_floating_point_ops": False,
                "integer_division": True,
                "python_enable_replacements": False,
                "temp_directory": str(self._spill.path),
                **({} if max_memory is None else {"memory_limit": f"{max_memory}B"}),
            },
        )
        # in the main thread DuckDB would make an error of its own of Ctrl-C
        cancel.result(self._worker.submit(self._set_up, lake.resolve()))

    def _set_up(self, lake: Path) -> None:
        schema = quoted(self._database)
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
        self._spill.delete()

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
        self._views[name] = athena_sql
        self._create_view(name, translate(athena_sql))

    def mark_broken(self, name: str, error: ShopeaseError) -> None:
        """Has `error` raised by the first query that asks for this table; other queries are answered."""
        self._broken[name.lower()] = error

    def _add_file(self, name: str, path: Path, made_by: str, source: str) -> None:
        self._files[name] = (path, made_by)
        self._create_view(name, f"FROM {source}")

    def _create_view(self, name: str, select: str) -> None:
        try:
            view = f"CREATE OR REPLACE VIEW {quoted(self._database)}.{quoted(name)} AS {select}"
            cancel.result(self._worker.submit(self._connection.execute, view))
        except duckdb.Error as error:
            self.mark_broken(name, self._refused(error, select))

    def query(self, sql: str) -> pa.RecordBatchReader:
        """Runs one read-only statement, one at a time; batches come as they are read.

        Ctrl-C stops it at once, and so does the end of its time, which counts until the last batch is read.
        """
        self._limit = TimeLimit(self._timeout)
        if (statement := metadata_statement(sql)) is not None:
            return self._catalog(sql).answer(statement).to_reader()
        translated = translate(sql, self._columns_of)
        if translated.startswith("EXPLAIN "):
            (row,) = self._answered(sql, lambda: self._connection.sql(translated).fetchall())
            return plan(str(row[1])).to_reader()
        return self._read(sql, translated)

    def _catalog(self, sql: str) -> Tables:
        files = {name: path for name, (path, _) in self._files.items()}

        def columns(table: str) -> list[tuple[str, str]]:
            return self._answered(sql, lambda: self._described(table))

        return Tables(self._database, files, self._views, columns)

    def answer(self, sql: str) -> pa.RecordBatchReader:
        """Runs one statement of our own, which means the same to Athena and DuckDB."""
        self._limit = TimeLimit(self._timeout)
        return self._read(sql, sql)

    def _read(self, sql: str, translated: str) -> pa.RecordBatchReader:
        self._look_over(sql)
        relation = self._answered(sql, lambda: self._connection.sql(translated))
        kinds = [_ATHENAS_TYPES.get(str(kind)) for kind in relation.types]
        # Arrow ends the process over one
        if any('MAP("NULL"' in str(kind) for kind in relation.types):
            raise not_available("a map whose keys have no type", "cast it: CAST(MAP() AS map(varchar, integer))")
        reader = self._answered(sql, lambda: relation.to_arrow_reader(_BATCH_ROWS))
        schema = reader.schema
        for index, kind in enumerate(kinds):
            if kind is not None:
                schema = schema.set(index, schema.field(index).with_type(kind))
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
        names |= {name for view, select in self._views.items() if view.lower() in names for name in tables_in(select)}
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
        """The batches in the types that Athena gives; a sum that does not fit bigint is an error."""
        while (batch := self._answered(sql, lambda: next(reader, None))) is not None:
            yield self._answered(sql, lambda batch=batch: _cast(batch, schema))  # type: ignore[misc]

    def _answered(self, sql: str, work: Callable[[], _Result]) -> _Result:
        """Works in another thread, for DuckDB holds signals up; Ctrl-C interrupts it there and is raised here."""
        # a result that streams may give each batch in no time, and still never end
        self._limit.check()
        future: Future[_Result] = self._worker.submit(work)
        try:
            cancel.wait(self._limit.left, future)
            if not future.done():
                self._limit.check()
            return future.result()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._refused(error, sql) from error
        except BaseException:
            self._stop(future)
            raise

    def _stop(self, future: Future[_Result]) -> None:
        future.cancel()
        while not future.done():
            self._connection.interrupt()
            wait([future], timeout=0.05)

    def _refused(self, error: Exception, sql: str) -> ShopeaseError:
        message = str(error)
        for path, made_by in self._files.values():
            if str(path) in message or _as_glob(path) in message:
                return _unreadable(path, reason(message), made_by)
        if isinstance(error, duckdb.OutOfMemoryException) and (long := self._long_record(sql)):
            return ShopeaseError(long, hint="raise SHOPEASE_MAX_MEMORY, or shorten the value in the source")
        if (table := unknown_table(message)) is not None:
            return self._broken.get(table.rpartition(".")[2].lower()) or no_table(
                table, sql, [*self._files, *self._views]
            )
        if isinstance(error, _WRONG_SQL):
            return wrong_name(message, sql, lambda: self._columns_in(sql)) or ConfigurationError(reason(message))
        return ShopeaseError(reason(message))

    def _long_record(self, sql: str) -> str:
        """Where the statement's tables have a record that may not fit in memory; empty where they have none."""
        files = [(self._csv_files[name].look, name) for name in self._tables_in(sql) if name in self._csv_files]
        look, name = max(files, key=lambda file: file[0].longest, default=(Look(), ""))
        if not look.longest_at:
            return ""
        row = row_at(self._files[name][0], look.longest_at)
        return f"not enough memory for row {row:,} of {name}, which has {look.longest / 1e6:,.0f} MB"

    def _columns_in(self, sql: str) -> set[str]:
        """The columns of all tables and views that the statement names and that can be read."""
        found: set[str] = set()
        for name in tables_in(sql):
            found.update(self._columns_of(name) or ())
        return found

    def _columns_of(self, table: str) -> list[str] | None:
        try:
            return [column for column, _ in self._described(table)]
        except duckdb.Error:
            return None

    def _described(self, table: str) -> list[tuple[str, str]]:
        rows = self._connection.sql(f"DESCRIBE {quoted(self._database)}.{quoted(table)}").fetchall()
        return [(str(row[0]), str(row[1])) for row in rows]


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        interval_texts(column) if pa.types.is_interval(column.type) else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _unreadable(path: Path, reason: str, made_by: str) -> ShopeaseError:
    return DataRefusedError(f"{path} cannot be read: {reason}", hint=f"run `{made_by}` to make it again")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _as_glob(path: Path) -> str:
    """The path so written that DuckDB sees no pattern in it."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path))
