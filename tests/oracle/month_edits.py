"""What people do to a table of sales between two runs, made from a seed; it is known which months they have written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Self

import psycopg
from dirty_sources import Column
from month_sources import MonthSource
from psycopg import sql

SALES: Final = "sale_transactions"
KEY: Final = "transaction_id"
FEW: Final = 6
MONTH: Final = """CASE WHEN created_at::timestamp >= '0001-01-01' AND created_at::timestamp < '10000-01-01'
    THEN to_char(created_at::timestamp, 'YYYY-MM') ELSE 'none' END"""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass
class Edits:
    """Who edits the sales, in the time zone of the business.

    `table` has the rows, also where readers see a view or a partitioned table in its place. `touched` are the months
    whose rows were written, None once it may be all. `is_reordered` if rows have another order without having been
    written. `open` are transactions that go on, each a call that ends it, by a commit or not.
    """

    source: MonthSource
    url: str
    columns: list[Column]
    random: Random
    connection: Connection
    zone: str
    table: str = SALES
    touched: set[str] | None = field(default_factory=set)
    is_reordered: bool = False
    open: list[Callable[[bool], object]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def of(cls, source: MonthSource, url: str, columns: Sequence[Column]) -> Iterator[Self]:
        """The edits of a source that was filled."""
        connection = connected(url, source.zone, autocommit=True)
        edits = cls(source, url, list(columns), Random(f"edits of {source.seed}"), connection, source.zone)
        try:
            yield edits
            edits.settle()
        finally:
            edits.connection.close()

    def move_to(self, url: str) -> None:
        """The table is on another server from now on; what went on does so no more."""
        self.settle()
        self.connection.close()
        self.url, self.connection = url, connected(url, self.zone, autocommit=True)

    def be_in(self, zone: str) -> None:
        """The business has another time zone."""
        self.zone = zone
        self.connection.execute(sql.SQL("SET TimeZone = {}").format(zone))

    def run(self, statement: str, *values: object, by: Connection | None = None) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        cursor = (by or self.connection).execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    @property
    def is_plain(self) -> bool:
        """Whether readers see a table, all of whose columns are stored."""
        calculated = f"SELECT 1 FROM pg_attribute WHERE attrelid = '{SALES}'::regclass AND attgenerated <> ''"
        return self.table == SALES and not self.run(calculated)

    def settle(self) -> None:
        """End what goes on."""
        while self.open:
            self.end_one()

    def end_one(self) -> None:
        """One of the transactions ends, in one way or the other."""
        self.open.pop(self.random.randrange(len(self.open)))(self.random.random() < 0.7)
        self.touched = None

    def places(self, where: str = "true") -> list[str]:
        """The places of rows that no other transaction is about to change."""
        lock = "FOR UPDATE SKIP LOCKED" if self.open else ""
        return [
            place for (place,) in self.run(f"SELECT ctid::text FROM {self.table} WHERE {where} ORDER BY ctid {lock}")
        ]

    def some(self, at_most: int = FEW, where: str = "true") -> list[str]:
        """A few of these rows."""
        found = self.places(where)
        return self.random.sample(found, min(self.random.randint(1, at_most), len(found)))

    def month(self) -> str:
        """A month that has rows; `none` where there is none."""
        found = [month for (month,) in self.run(f"SELECT DISTINCT {MONTH} FROM {self.table} ORDER BY 1")]
        return self.random.choice(found) if found else "none"

    def write(self, statement: str, *values: object, places: Sequence[str] = (), by: Connection | None = None) -> None:
        """Insert rows, or change those at the places, which are the statement's last value; their months are noted."""
        noted = f"SELECT DISTINCT {MONTH} FROM {self.table} WHERE ctid = ANY(%s::tid[])"
        before = self.run(noted, list(places), by=by) if places else []
        after = self.run(f"{statement} RETURNING {MONTH}", *values, *([list(places)] if places else []), by=by)
        if self.touched is not None:
            self.touched |= {month for (month,) in (*before, *after)}

    def insert(self, row: Mapping[str, str | None], by: Connection | None = None) -> None:
        """One more row, with these values where nothing is drawn."""
        cells = [row[c.name] if c.name in row else c.draw(self.random) for c in self.columns]
        names, marks = map(quoted, self.columns), (f"%s::{column.type}" for column in self.columns)
        self.write(f"INSERT INTO {self.table} ({', '.join(names)}) VALUES ({', '.join(marks)})", *cells, by=by)

    def update(self, names: Sequence[str], places: Sequence[str], by: Connection | None = None) -> None:
        """Other values in these columns."""
        chosen = [column for column in self.columns if column.name in names]
        sets = ", ".join(f"{quoted(column)} = %s::{column.type}" for column in chosen)
        drawn = [column.draw(self.random) for column in chosen]
        if places:
            self.write(f"UPDATE {self.table} SET {sets} WHERE ctid = ANY(%s::tid[])", *drawn, places=places, by=by)

    def delete(self, places: Sequence[str], by: Connection | None = None) -> None:
        """These rows go."""
        if places:
            self.write(f"DELETE FROM {self.table} WHERE ctid = ANY(%s::tid[])", places=places, by=by)

    def copy(self, places: Sequence[str], *names: str) -> None:
        """These rows once more, with other values in the named columns."""
        drawn = [column.draw(self.random) for column in self.columns if column.name in names]
        cells = (f"%s::{column.type}" if column.name in names else quoted(column) for column in self.columns)
        if places:
            into = f"INSERT INTO {self.table} ({', '.join(map(quoted, self.columns))})"
            rows = f"SELECT {', '.join(cells)} FROM {self.table} WHERE ctid = ANY(%s::tid[])"
            self.write(f"{into} {rows}", *drawn, places=places)


def connected(url: str, zone: str, *, autocommit: bool = False) -> Connection:
    """A session in the business's time zone."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(sql.SQL("SET TimeZone = {}").format(zone))
    connection.autocommit = autocommit
    return connection


def quoted(column: Column) -> str:
    """The column's name in a statement with values."""
    return sql.Identifier(column.name).as_string().replace("%", "%%")


def more_sales(edits: Edits) -> None:
    """Of any time."""
    for _ in range(edits.random.randint(1, FEW)):
        edits.insert({})


def sales_of_a_month(edits: Edits) -> None:
    """Often of one that had none."""
    month = f"2024-{edits.random.randint(1, 12):02}"
    for _ in range(edits.random.randint(1, FEW)):
        edits.insert({"created_at": f"{month}-{edits.random.randint(2, 28):02} 12:00:00"})


def corrections(edits: Edits) -> None:
    """Of any columns, perhaps of key and month."""
    edits.update(edits.random.sample([column.name for column in edits.columns], 2), edits.some())


def corrections_in_a_month(edits: Edits) -> None:
    """Which leave the sales where they are."""
    names = [column.name for column in edits.columns if column.name != "created_at"]
    edits.update(edits.random.sample(names, 1), edits.some(where=f"{MONTH} = '{edits.month()}'"))


def nothing_new(edits: Edits) -> None:
    """Rows are written, and say what they said."""
    if places := edits.some():
        edits.write(f"UPDATE {edits.table} SET {KEY} = {KEY} WHERE ctid = ANY(%s::tid[])", places=places)


def moves(edits: Edits) -> None:
    """From month to month."""
    edits.update(["created_at"], edits.some())


def deletions(edits: Edits) -> None:
    """Of any rows."""
    edits.delete(edits.some())


def a_month_gone(edits: Edits) -> None:
    """All its rows."""
    edits.delete(edits.places(f"{MONTH} = '{edits.month()}'"))


def duplicates(edits: Edits) -> None:
    """The same keys in other months, newer or older."""
    edits.copy(edits.some(), "created_at", "updated_at")


def equal_duplicates(edits: Edits) -> None:
    """In the same month."""
    edits.copy(edits.some())


def fewer_duplicates(edits: Edits) -> None:
    """Those that counted, or those that did not."""
    again = f"SELECT {KEY} FROM {edits.table} GROUP BY {KEY} HAVING count(*) > 1"
    edits.delete(edits.some(3 * FEW, f"{KEY} IN ({again})"))


def other_customers(edits: Edits) -> None:
    """And fewer products: no sale has changed, but gold has."""
    edits.run(
        "UPDATE customers SET city = %s WHERE ctid IN (SELECT max(ctid) FROM customers)", str(edits.random.random())
    )
    edits.run("DELETE FROM products WHERE ctid IN (SELECT min(ctid) FROM products)")


def undone_work(edits: Edits) -> None:
    """A transaction that is rolled back; what it has touched is as it was."""
    touched = None if edits.touched is None else set(edits.touched)
    with edits.connection.transaction(force_rollback=True):
        corrections(edits)
        deletions(edits)
        more_sales(edits)
    edits.touched = touched


def savepoints(edits: Edits) -> None:
    """Rows of subtransactions, some of which are rolled back."""
    with edits.connection.transaction():
        corrections(edits)
        with edits.connection.transaction():
            more_sales(edits)
        with edits.connection.transaction(force_rollback=True):
            deletions(edits)
            more_sales(edits)
        moves(edits)


PLAIN: Final[Sequence[Callable[[Edits], None]]] = (
    *(more_sales, sales_of_a_month, corrections, corrections_in_a_month, nothing_new, moves, deletions, a_month_gone),
    *(duplicates, equal_duplicates, fewer_duplicates, other_customers, undone_work, savepoints),
)
