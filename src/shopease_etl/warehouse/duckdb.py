"""DuckDB on one local lake: it reads only the lake's files, as tables, and understands Athena's SQL."""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Self, TypeVar

import pyarrow as pa

from shopease_etl import cancel
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.warehouse.dialect import metadata_statement, months_in, tables_in, translate
from shopease_etl.warehouse.duckdb_errors import no_table, not_available, reason, unknown_table, wrong_name
from shopease_etl.warehouse.duckdb_types import athena_batch, athena_schema
from shopease_etl.warehouse.file_tables import FileTable, as_glob, literal
from shopease_etl.warehouse.metadata_statements import Tables, plan
from shopease_etl.warehouse.schema import quoted
from shopease_etl.warehouse.scratch import ScratchFolder
from shopease_etl.warehouse.statements import TimeLimit
from shopease_etl.warehouse.trino_macros import MACROS

try:
    import duckdb
except ModuleNotFoundError as missing:
    raise ConfigurationError("local SQL needs duckdb", hint="pip install 'shopease[query]'") from missing

_Result = TypeVar("_Result")


class Engine:
    """A connection that reads one lake's files and nothing else, and gives Athena's results as far as DuckDB can."""

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
        self._tables: dict[str, FileTable] = {}
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
        # in the main thread DuckDB would turn Ctrl-C into an error of its own
        cancel.result(self._worker.submit(self._set_up, lake.resolve()))

    def _set_up(self, lake: Path) -> None:
        schema = quoted(self._database)
        for macro in MACROS:
            self._connection.execute(f"CREATE MACRO main.{macro}")
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self._connection.execute(f"SET search_path = {literal(f'{schema},main')}")
        self._connection.execute("SET TimeZone = 'UTC'")
        # files are named by patterns that match only themselves, and DuckDB looks for the pattern in this list too
        allowed = f"{literal(str(lake))}, {literal(as_glob(lake))}"
        self._connection.execute(f"SET allowed_directories = [{allowed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the running statement and delete the spill files; a reader that is still open ends with an error."""
        self._connection.interrupt()
        self._worker.shutdown()
        self._connection.close()
        self._spill.delete()

    def add_csv(
        self,
        name: str,
        paths: Sequence[Path],
        columns: Sequence[str],
        *,
        made_by: str,
        has_line_breaks: bool,
        is_by_month: bool = False,
    ) -> None:
        """A table of strings over a CSV file, or over one for each month.

        NULL and '' both read as '', as with Athena's OpenCSVSerDe.
        """
        self._add(name, FileTable(tuple(paths), made_by, tuple(columns), has_line_breaks, is_by_month))

    def add_parquet(self, name: str, path: Path, *, made_by: str) -> None:
        """A table over a Parquet file, with the file's types."""
        self._add(name, FileTable((path,), made_by))

    def add_view(self, name: str, athena_sql: str) -> None:
        """A view by a SELECT in Athena's SQL; if a table under it is broken, so is the view."""
        self._views[name] = athena_sql
        self._create_view(name, translate(athena_sql))

    def mark_broken(self, name: str, error: ShopeaseError) -> None:
        """Make queries on this table raise `error`; other queries work."""
        self._broken[name.lower()] = error

    def _add(self, name: str, table: FileTable) -> None:
        self._tables[name] = table
        self._create_view(name, table.select)

    def _create_view(self, name: str, select: str) -> None:
        try:
            view = f"CREATE OR REPLACE VIEW {quoted(self._database)}.{quoted(name)} AS {select}"
            cancel.result(self._worker.submit(self._connection.execute, view))
        except duckdb.Error as error:
            self.mark_broken(name, self._as_our_error(error, select))

    def execute(self, sql: str) -> pa.RecordBatchReader:
        """Run one read-only statement, one at a time; batches are computed while they are read.

        Ctrl-C stops it at once, and so does the timeout, which includes the time until the last batch is read.
        """
        self._limit = TimeLimit(self._timeout)
        if (statement := metadata_statement(sql)) is not None:
            return self._catalog(sql).execute(statement).to_reader()
        translated = translate(sql, self._columns_of)
        if translated.startswith("EXPLAIN "):
            (row,) = self._in_worker(sql, lambda: self._connection.sql(translated).fetchall())
            return plan(str(row[1])).to_reader()
        return self._read(sql, translated)

    def _catalog(self, sql: str) -> Tables:
        def columns(table: str) -> list[tuple[str, str]]:
            return self._in_worker(sql, lambda: self._described(table))

        return Tables(self._database, self._tables, self._views, columns)

    def execute_trusted(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement of shopease's own, which means the same to Athena and DuckDB."""
        self._limit = TimeLimit(self._timeout)
        return self._read(sql, sql)

    def _read(self, sql: str, translated: str) -> pa.RecordBatchReader:
        self._check_csv_files(sql)
        relation = self._in_worker(sql, lambda: self._connection.sql(translated))
        kinds = [str(kind) for kind in relation.types]
        # with such a map Arrow ends the process
        if any('MAP("NULL"' in kind for kind in kinds):
            raise not_available("a map whose keys have no type", "cast it: CAST(MAP() AS map(varchar, integer))")
        reader = self._in_worker(sql, lambda: relation.to_arrow_reader(65_536))
        schema = athena_schema(reader.schema, kinds)
        return pa.RecordBatchReader.from_batches(schema, self._batches(sql, reader, schema))

    def scan_limit(self) -> None:
        """None: DuckDB has no limit."""

    def scan(self) -> None:
        """None: reading local files is free."""

    def estimated_bytes(self, sql: str) -> int:
        """The size of all files of the statement's tables, see `months_in`: the most that it reads."""
        found = self._tables_in(sql).items()
        return sum(path.stat().st_size for name, months in found for path in self._tables[name].of(months))

    def _tables_in(self, sql: str) -> dict[str, Collection[str] | None]:
        """The tables over files in a statement, also those under its views, with months as by `months_in`."""
        months = months_in(sql)
        for view, select in self._views.items():
            if view.lower() in months:
                months |= {name: None if name in months else months[view.lower()] for name in tables_in(select)}
        return {name: months[name.lower()] for name in self._tables if name.lower() in months}

    def _check_csv_files(self, sql: str) -> None:
        """Refuse a CSV that was cut off, and enlarge the buffers for records that are longer than usual."""
        for name, months in self._tables_in(sql).items():
            table = self._tables[name]
            if table.check(months):
                self._create_view(name, table.select)

    def _batches(self, sql: str, reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The batches in Athena's types; a sum that does not fit bigint is an error."""
        while (batch := self._in_worker(sql, lambda: next(reader, None))) is not None:
            yield self._in_worker(sql, lambda batch=batch: athena_batch(batch, schema))  # type: ignore[misc]

    def _in_worker(self, sql: str, work: Callable[[], _Result]) -> _Result:
        """Run the work in another thread, as DuckDB delays signals; Ctrl-C interrupts it there and is raised here."""
        # each batch of a stream may be quick, and the stream endless
        self._limit.check()
        future: Future[_Result] = self._worker.submit(work)
        try:
            cancel.wait(self._limit.left, future)
            if not future.done():
                self._limit.check()
            return future.result()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._as_our_error(error, sql) from error
        except BaseException:
            self._stop(future)
            raise

    def _stop(self, future: Future[_Result]) -> None:
        future.cancel()
        while not future.done():
            self._connection.interrupt()
            wait([future], timeout=0.05)

    def _as_our_error(self, error: Exception, sql: str) -> ShopeaseError:
        message = str(error)
        for file_table in self._tables.values():
            if path := file_table.named_in(message):
                return file_table.unreadable(path, reason(message))
        if isinstance(error, duckdb.OutOfMemoryException) and (long := self._long_record(sql)):
            return ShopeaseError(long, hint="raise SHOPEASE_MAX_MEMORY, or shorten the value in the source")
        if (table := unknown_table(message)) is not None:
            return self._broken.get(table.rpartition(".")[2].lower()) or no_table(
                table, sql, [*self._tables, *self._views]
            )
        if isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)):
            return wrong_name(message, sql, lambda: self._columns_in(sql)) or ConfigurationError(reason(message))
        return ShopeaseError(reason(message))

    def _long_record(self, sql: str) -> str:
        """The place of a record that may not fit in memory, in the statement's tables; empty if they have none."""
        found = [(*self._tables[name].longest_record(), name) for name in self._tables_in(sql)]
        size, row, name = max(found, default=(0, 0, ""))
        return f"not enough memory for row {row:,} of {name}, which has {size / 1e6:,.0f} MB" if row else ""

    def _columns_in(self, sql: str) -> set[str]:
        """The columns of all readable tables and views in the statement."""
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
