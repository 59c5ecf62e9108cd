"""SHOW, DESCRIBE and EXPLAIN on a local lake, with Athena's columns."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from shopease_etl.contract.layout import SALE_MONTH
from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.file_tables import FileTable

FORMS: Final = (
    "SHOW TABLES",
    "SHOW VIEWS",
    "SHOW SCHEMAS",
    "SHOW DATABASES",
    "SHOW COLUMNS",
    "SHOW PARTITIONS",
    "SHOW CREATE TABLE",
    "SHOW CREATE VIEW",
    "DESCRIBE",
    "EXPLAIN",
)
# More would hide the similar ones.
_MOST_NAMES: Final = 20
_PART: Final = r"""(?:[`"](?:[^`"]+)[`"]|[\w-]+)"""
_NAME: Final = rf"(?:(?P<database>{_PART})\s*\.\s*)?(?P<table>{_PART})"
_IN: Final = rf"(?:\s+(?:IN|FROM)\s+(?P<database>{_PART}))?"
_LIKE: Final = r"(?:(?:\s+LIKE)?\s+'(?P<pattern>[^']*)')?"
_KINDS: Final = {
    kind: re.compile(form, re.IGNORECASE)
    for kind, form in {
        "databases": rf"SHOW\s+(?:DATABASES|SCHEMAS){_LIKE}",
        "tables": rf"SHOW\s+TABLES{_IN}{_LIKE}",
        "views": rf"SHOW\s+VIEWS{_IN}{_LIKE}",
        "columns": rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+{_NAME}",
        "columns in": rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+(?P<table>{_PART})\s+(?:IN|FROM)\s+(?P<database>{_PART})",
        "partitions": rf"SHOW\s+PARTITIONS\s+{_NAME}",
        "describe": rf"DESC(?:RIBE)?\s+{_NAME}",
        "create table": rf"SHOW\s+CREATE\s+TABLE\s+{_NAME}",
        "create view": rf"SHOW\s+CREATE\s+VIEW\s+{_NAME}",
    }.items()
}


@dataclass(frozen=True)
class Tables:
    """One database: the files of each table, the SELECT of each view, and the columns with types of a table or view."""

    database: str
    tables: Mapping[str, FileTable]
    views: Mapping[str, str]
    columns: Callable[[str], Sequence[tuple[str, str]]]

    def execute(self, statement: str) -> pa.Table:
        """The rows of a SHOW or DESCRIBE without comments.

        Raises:
            ConfigurationError: a local lake does not have this form, or has no such database, table or view.
        """
        kind, match = _parsed(statement)
        names = match.groupdict()
        self._check_database(_plain(names.get("database") or self.database))
        if kind == "databases":
            return _column("database_name", _matching([self.database], names["pattern"]))
        if kind == "tables":
            return _column("tab_name", _matching([*self.tables, *self.views], names["pattern"]))
        if kind == "views":
            return _column("views", _matching(self.views, names["pattern"]))
        table = _plain(names["table"]).lower()
        if kind.startswith("create"):
            return self._definition(kind.removeprefix("create "), table)
        if kind == "partitions":
            return self._partitions(table)
        columns = self._typed(table)
        if kind.startswith("columns"):
            return _column("field", columns.keys())
        return pa.table({"col_name": list(columns), "data_type": list(columns.values())})

    def _typed(self, table: str) -> dict[str, str]:
        types = {"varchar": "string", "integer": "int", "blob": "binary"}
        return {name: types.get(kind.lower(), kind.lower()) for name, kind in self.columns(table)}

    def _check_database(self, name: str) -> None:
        if name.lower() != self.database.lower():
            raise ConfigurationError(f"there is no database {name}", hint=f"the lake's database is {self.database}")

    def _partitions(self, name: str) -> pa.Table:
        asked = self._known("table", name)
        if asked not in self.tables or not self.tables[asked].is_by_month:
            raise ConfigurationError(
                f"{name} is not partitioned",
                hint="SHOW PARTITIONS silver_transactions works if the lake has a file for each month",
            )
        return _column("partition", [f"{SALE_MONTH}={month}" for month in self.tables[asked].months])

    def _known(self, kind: str, name: str) -> str:
        known = {other.lower(): other for other in (*self.tables, *self.views)}
        if name not in known:
            raise ConfigurationError(f"there is no {kind} {name}", hint=nearest(name, known))
        return known[name]

    def _definition(self, kind: str, name: str) -> pa.Table:
        asked = self._known(kind, name)
        if (asked in self.views) != (kind == "view"):
            other = "VIEW" if kind == "table" else "TABLE"
            raise ConfigurationError(f"{name} is not a {kind}", hint=f"SHOW CREATE {other} {name}")
        if kind == "view":
            lines = [f"CREATE VIEW {self.database}.{asked} AS", *self.views[asked].splitlines()]
            return _column("Create View", lines)
        return _column("createtab_stmt", self._table_definition(asked))

    def _table_definition(self, name: str) -> list[str]:
        table, columns = self.tables[name], self._typed(name)
        month = columns.pop(SALE_MONTH) if table.is_by_month else None
        *others, last = [f"  `{column}` {kind}" for column, kind in columns.items()]
        csv = ("ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'", "STORED AS TEXTFILE")
        return [
            f"CREATE EXTERNAL TABLE `{self.database}.{name}`(",
            *(f"{column}," for column in others),
            f"{last})",
            *((f"PARTITIONED BY (`{SALE_MONTH}` {month})",) if month else ()),
            *(("STORED AS PARQUET",) if table.is_parquet else csv),
            f"LOCATION '{table.folder}'",
        ]


def plan(text: str) -> pa.Table:
    """DuckDB's plan, one row per line as in Athena."""
    return _column("Query Plan", text.rstrip().splitlines())


def nearest(name: str, known: Collection[str]) -> str:
    """A hint for a name that does not exist: similar names, and all names, unless they are many."""
    close = difflib.get_close_matches(name.lower(), [other.lower() for other in known], 3)
    everything = f"there are: {', '.join(sorted(known)) or 'none'}"
    if not close:
        return everything
    question = f"did you mean {' or '.join(close)}?"
    return question if len(known) > _MOST_NAMES else f"{question} ({everything})"


def _parsed(statement: str) -> tuple[str, re.Match[str]]:
    for kind, form in _KINDS.items():
        if match := form.fullmatch(statement):
            return kind, match
    words = " ".join(statement.upper().split()[:3])
    raise ConfigurationError(
        f"this form is not available on a local lake: {words}", hint=f"available: {', '.join(FORMS)}"
    )


def _matching(names: Iterable[str], pattern: str | None) -> list[str]:
    """The sorted names that match; in Athena's patterns * is any text and | separates two patterns."""
    wanted = ".*" if pattern is None else "|".join(re.escape(part).replace(r"\*", ".*") for part in pattern.split("|"))
    return sorted(name for name in names if re.fullmatch(wanted, name, re.IGNORECASE))


def _column(name: str, values: Iterable[str]) -> pa.Table:
    return pa.table({name: pa.array(list(values), pa.string())})


def _plain(identifier: str) -> str:
    return identifier.strip('`"')
