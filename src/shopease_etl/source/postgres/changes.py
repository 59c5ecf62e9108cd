"""What changed in a table since an earlier snapshot: by month, how many rows it has, and how many are new versions.

A row version that a snapshot sees, and whose transaction (xmin) had ended before an earlier snapshot, was in that one
too. So a month without newer row versions is a subset of what it was, and is the same if its rows are as many.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any, Final

import psycopg
from psycopg import sql

from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.errors import DataRefusedError
from shopease_etl.source.postgres.copying import CopyOut, MonthsOut, lock_shared
from shopease_etl.source.postgres.errors import translate_errors
from shopease_etl.source.postgres.source_tables import Blocks, SourceTable

_INTEGERS: Final = frozenset({20, 21, 23})
_MOMENTS: Final = frozenset({1082, 1114, 1184})  # date, timestamp, timestamp with time zone
# Statements whose rows keep the table's order, and that need no more memory than a table of months.
_SETTINGS: Final = """
SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL enable_sort = off; SET LOCAL jit = off;
SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexonlyscan = off
"""


@dataclass(frozen=True)
class MonthRows:
    """A month's rows in the source: how many, how many of them are new versions, and the sums of columns."""

    rows: int = 0
    new: int = 0
    sums: tuple[int, ...] = ()

    def __add__(self, other: "MonthRows") -> "MonthRows":
        """Both together."""
        sums = (mine + its for mine, its in zip_longest(self.sums, other.sums, fillvalue=0))
        return MonthRows(self.rows + other.rows, self.new + other.new, tuple(sums))

    @property
    def mark(self) -> dict[str, Any]:
        """What a later run compares, JSON-able."""
        return {"rows": self.rows, "sums": [str(value) for value in self.sums]}


@dataclass(frozen=True)
class MonthTable:
    """A table that is read by the month of a column, which is in business time: that of the session."""

    source: SourceTable
    column: str
    summed: tuple[str, ...] = ()

    @property
    def _day(self) -> sql.Composed:
        return sql.SQL("{}::date").format(sql.Identifier(self.column))

    def probe(self, connection: psycopg.Connection, blocks: Blocks | None, horizon: int) -> dict[str, MonthRows]:
        """Count the rows of these blocks by month, in a transaction of the snapshot."""
        with translate_errors(f"counting the rows of {self.source.schema}.{self.source.name}"):
            lock_shared(connection, self.source)
            connection.execute(_SETTINGS)
            rows = connection.execute(self._probe_statement(blocks, horizon)).fetchall()
        return {
            month or NO_MONTH: MonthRows(count, new, tuple(int(total or 0) for total in sums))
            for month, count, new, *sums in rows
        }

    def header(self, connection: psycopg.Connection) -> bytes:
        """The header of the table's CSV."""
        statement = sql.SQL("COPY (SELECT * FROM {} LIMIT 0) TO STDOUT (FORMAT csv, HEADER)").format(self.source.rows())
        with translate_errors(f"COPY of {self.source.schema}.{self.source.name}"):
            lock_shared(connection, self.source)
            with connection.cursor().copy(statement) as copy:
                return b"".join(bytes(chunk) for chunk in copy)

    def _probe_statement(self, blocks: Blocks | None, horizon: int) -> sql.Composed:
        """By month (NULL for rows without one) the rows, the new versions since the horizon, and the sums."""
        names = {column: sql.Identifier(f"sum{number}") for number, column in enumerate(self.summed)}
        inner = [sql.SQL(", sum({}) AS {}").format(sql.Identifier(column), name) for column, name in names.items()]
        outer = [sql.SQL(", sum({})::text").format(name) for name in names.values()]
        return sql.SQL("""
            SELECT {month}, sum(n)::bigint, sum(new)::bigint{outer}
            FROM (SELECT {day} AS day, count(*) AS n,
                         count(*) FILTER (WHERE age(xmin) BETWEEN 1 AND (SELECT age({horizon}::xid))) AS new{inner}
                  FROM {rows} GROUP BY 1) days
            GROUP BY 1
        """).format(
            month=_month(sql.SQL("day")),
            outer=sql.Composed(outer),
            day=self._day,
            horizon=sql.Literal(str(horizon % 2**32)),
            inner=sql.Composed(inner),
            rows=self.source.rows(blocks),
        )

    def copy_out(
        self, connection: psycopg.Connection, blocks: Blocks | None, wanted: Collection[str], there: Collection[str]
    ) -> CopyOut:
        """The rows of the wanted months in these blocks, in chunks of one month each and without a header.

        `there` has the months of all the blocks' rows; it is empty where they were not counted, and all are wanted.
        """
        with translate_errors(f"COPY of {self.source.schema}.{self.source.name}"):
            connection.execute(_SETTINGS)
        months = sorted({*wanted} & {*there})
        rows = self.source.rows(blocks, *([self._within(months)] if len(months) < len(there) else ()))
        if len(months) == 1:
            statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv)").format(rows)
            return CopyOut(connection, self.source, statement=statement, month=months[0])
        statement = sql.SQL("COPY (SELECT {}, * FROM {}) TO STDOUT (FORMAT csv)").format(_month(self._day), rows)
        return MonthsOut(connection, self.source, statement=statement)

    def _within(self, months: Collection[str]) -> sql.Composed:
        day = self._day
        spans = [
            sql.SQL("({} >= {} AND {} < {})").format(day, sql.Literal(f"{first}-01"), day, sql.Literal(f"{end}-01"))
            for first, end in _spans(month for month in months if month != NO_MONTH)
        ]
        if NO_MONTH in months:
            spans.append(sql.SQL("({} >= '0001-01-01' AND {} < '10000-01-01') IS NOT TRUE").format(day, day))
        return sql.SQL("({})").format(sql.SQL(" OR ").join(spans))


def _month(day: sql.Composable) -> sql.Composed:
    return sql.SQL("CASE WHEN {0} >= '0001-01-01' AND {0} < '10000-01-01' THEN left({0}::text, 7) END").format(day)


def _spans(months: Iterable[str]) -> list[tuple[str, str]]:
    """The months as spans, each with its first month and the month after its last."""
    numbers = sorted(int(month[:-3]) * 12 + int(month[-2:]) - 1 for month in months)
    firsts = [number for former, number in pairwise([-1, *numbers]) if number != former + 1]
    ends = [number + 1 for number, following in pairwise([*numbers, -1]) if following != number + 1]
    return [(_named(first), _named(end)) for first, end in zip(firsts, ends, strict=True)]


def _named(number: int) -> str:
    return f"{number // 12:04}-{number % 12 + 1:02}"


def month_table(
    connection: psycopg.Connection, source: SourceTable, column: str, summed: Collection[str]
) -> MonthTable:
    """The table by month of the column; of the columns to be summed, those that are integers are.

    Raises:
        DataRefusedError: the column is no date or timestamp.
    """
    query = sql.SQL("SELECT * FROM {} LIMIT 0").format(source.rows())
    described = connection.execute(query).description or ()
    types = {item.name: item.type_code for item in described}
    if types.get(column) not in _MOMENTS:
        found = dict(zip(source.columns, source.types, strict=True)).get(column, "missing")
        message = (
            f"{source.name}.{column} is {found}, so the table cannot be kept by month: it must be a date or timestamp"
        )
        raise DataRefusedError(message, hint="set SHOPEASE_PARTITIONS=none, or make it a timestamp in a view")
    return MonthTable(source, column, tuple(name for name in summed if types.get(name) in _INTEGERS))
