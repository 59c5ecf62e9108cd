"""Tables over a local lake's files, as DuckDB reads them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shopease_etl.contract.layout import SALE_MONTH
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.warehouse.csv_files import USUAL_RECORD, CsvCheck, check_csv, row_at
from shopease_etl.warehouse.schema import quoted

_CSV_OPTIONS: Final = (
    "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', "
    "strict_mode = true, null_padding = false, hive_partitioning = false"
)
# The month in a file's path; the name of a file that is not published yet is its key with = and / quoted. Hive
# partitions of DuckDB would be every `name=value` in the path of the lake, too.
_MONTH_IN_PATH: Final = f"{SALE_MONTH}(?:=|%3D)([^/%]+)(?:/|%2F)[^/]*$"
_PATH: Final = "shopease:path"


@dataclass
class FileTable:
    """A table's files, the command that makes them, and of CSV the columns and the last check of each file.

    Files by month, which are CSV, have the month in their paths; it is the table's last column.
    """

    paths: tuple[Path, ...]
    made_by: str
    columns: tuple[str, ...] = ()
    has_line_breaks: bool = False
    is_by_month: bool = False
    checks: dict[Path, CsvCheck] = field(default_factory=dict)

    @property
    def is_parquet(self) -> bool:
        """Whether the files are Parquet, else CSV."""
        return not self.columns

    @property
    def folder(self) -> Path:
        """The folder of all files."""
        return self.paths[0].parent.parent if self.is_by_month else self.paths[0].parent

    @property
    def select(self) -> str:
        """The SELECT of all rows in DuckDB's SQL, for records as long as the last checks found."""
        files = ", ".join(literal(as_glob(path)) for path in self.paths)
        if self.is_parquet:
            return f"FROM read_parquet([{files}], hive_partitioning = false)"
        types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in self.columns)
        names = ", ".join(literal(column) for column in self.columns)
        # DuckDB's parallel reader would read lines inside quotes as rows
        parallel = "false" if self.has_line_breaks else "true"
        room = self._longest + 16  # DuckDB counts the line end
        options = f"columns = {{{types}}}, force_not_null = [{names}], parallel = {parallel}, {_CSV_OPTIONS}"
        source = f"read_csv([{files}], {options}, max_line_size = {room}, buffer_size = {2 * room}"
        if not self.is_by_month:
            return f"FROM {source})"
        # for a month DuckDB skips the other files, as it knows this expression before it reads any
        month = f"regexp_extract({quoted(_PATH)}, {literal(_MONTH_IN_PATH)}, 1) AS {quoted(SALE_MONTH)}"
        columns = ", ".join((*map(quoted, self.columns), month))
        return f"SELECT {columns} FROM {source}, filename = {literal(_PATH)})"  # noqa: S608 - all parts are quoted

    @property
    def _longest(self) -> int:
        return max((check.longest for check in self.checks.values()), default=USUAL_RECORD)

    @property
    def months(self) -> dict[str, Path]:
        """The files by month; empty if the table is not by month."""
        found = ((re.search(_MONTH_IN_PATH, str(path)), path) for path in self.paths if self.is_by_month)
        return {match[1]: path for match, path in found if match}

    def of(self, months: Collection[str] | None) -> list[Path]:
        """The files of these months; all for None, or if the table is not by month."""
        if months is None or not self.is_by_month:
            return list(self.paths)
        return [path for month, path in self.months.items() if month in months]

    def check(self, months: Collection[str] | None) -> bool:
        """Check the CSV files of these months, see `check_csv`; whether `select` has changed.

        DuckDB's serial reader silently drops a last field whose quote is not closed.

        Raises:
            DataRefusedError: a file is cut off.
        """
        if self.is_parquet:
            return False
        before = self._longest
        for path in self.of(months):
            check = check_csv(path, has_line_breaks=self.has_line_breaks)
            if check.cut_off:
                raise self.unreadable(path, check.cut_off)
            self.checks[path] = check
        return before != self._longest

    def longest_record(self) -> tuple[int, int]:
        """The bytes of the longest record, and the number of its row in its file; 0 if it is not longer than usual."""
        path, check = max(self.checks.items(), key=lambda item: item[1].longest, default=(Path(), CsvCheck()))
        return check.longest, row_at(path, check.longest_at) if check.longest_at else 0

    def unreadable(self, path: Path, reason: str) -> ShopeaseError:
        """The error for one of the files."""
        command = f"{self.made_by} --full" if self.is_by_month else self.made_by
        return DataRefusedError(f"{path} cannot be read: {reason}", hint=f"run `{command}` to rebuild it")

    def named_in(self, message: str) -> Path | None:
        """The file that DuckDB names in a message."""
        return next((path for path in self.paths if str(path) in message or as_glob(path) in message), None)


def literal(text: str) -> str:
    """A string in SQL."""
    return "'" + text.replace("'", "''") + "'"


def as_glob(path: Path) -> str:
    """A pattern of DuckDB that matches only this path."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path))
