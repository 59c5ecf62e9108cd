"""Source databases made from a seed: odd types, values, names, duplicates and ties. A seed always gives the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import dirty_values
import psycopg
from plain_silver import COUNT, ID, KNOWN, MOMENT, PRICE, TEXT
from psycopg import sql

BASE: Final = Path(__file__).parent.parent / "cases" / "base.sql"
SOURCES: Final = {"customers": "customers", "products": "products", "transactions": "sale_transactions"}
RAW: Final = {"stores": "stores", "inventory": "inventory", "sales_managers": "sales_managers"}
RAW_COLUMNS: Final = {
    "stores": {"store_id": ID, "store_name": TEXT, "city": TEXT, "state": TEXT},
    "inventory": {"inventory_id": ID, "store_id": ID, "product_id": ID, "quantity": COUNT, "reorder_level": COUNT},
    "sales_managers": {"manager_id": ID, "manager_name": TEXT, "store_id": ID},
}
SIZES: Final = {"customers": 80, "products": 50, "transactions": 300}
KEYS: Final = {"customers": "customer_id", "products": "product_id", "transactions": "transaction_id"}
REFERRED: Final = {"customer_id": 60, "product_id": 40, "store_id": 5}
CHANCE_OF_TYPE: Final = 0.2
CHANCE_OF_DIRT: Final = 0.04
CHANCE_OF_NO_ROWS: Final = 0.06
CHANCE_OF_CHANGE: Final = 0.1
CHANCE_OF_CLOCK: Final = 0.5
CHANCE_OF_HUGE: Final = 0.03
OPTIONAL: Final = ("phone", "address", "zip_code", "description")

Draw = Callable[[Random], str | None]


@dataclass(frozen=True)
class Column:
    """A column of a table of the source: how a cell of it is drawn, and what a duplicate of a row has in its place."""

    name: str
    type: str
    draw: Draw
    again: Draw | None = None


@dataclass(frozen=True)
class DirtySource:
    """A seed's source: its business time zone, and whether sales may be so large that a sum does not fit."""

    seed: int
    zone: str
    is_huge: bool

    def fill(self, url: str) -> dict[str, list[Column]]:
        """Make the six tables in an empty database; returns the columns of those that are made from the seed."""
        random, made = Random(f"rows of {self.seed}"), dict[str, list[Column]]()
        with psycopg.connect(url, autocommit=True) as database:
            database.execute(BASE.read_bytes())
            database.execute(sql.SQL("SET TimeZone = {}").format(self.zone))
            for table, source in SOURCES.items():
                made[table] = self._columns(random, table)
                rows = self._rows(random, table, made[table])
                _replace(database, source, made[table], rows)
            for table, source in RAW.items():
                columns = [
                    self.known(random, name, kind, REFERRED.get(name, 9)) for name, kind in RAW_COLUMNS[table].items()
                ]
                rows = [[column.draw(random) for column in columns] for _ in range(random.choice((0, 1, 20, 200)))]
                _replace(database, source, columns, rows)
        return made

    def _columns(self, random: Random, table: str) -> list[Column]:
        known = {name: kind for name, (kind, _) in KNOWN[table].items()}
        left_out = {name for name in OPTIONAL if random.random() < CHANCE_OF_TYPE}
        most = {**REFERRED, KEYS[table]: 4 * SIZES[table]}
        columns = [
            self.known(random, name, kind, most.get(name, 9)) for name, kind in known.items() if name not in left_out
        ]
        columns += [_extra(random, name) for name in _names(random)]
        if random.random() < 0.5:
            random.shuffle(columns)
        return columns

    def known(self, random: Random, name: str, kind: str, most: int) -> Column:
        """A column of the contract: what stands in it is of its kind, more or less, and numbers are at most `most`."""
        if random.random() < CHANCE_OF_TYPE:
            return _typed(random, name, kind, most)
        if kind in (ID, COUNT):
            huge = self._huge(dirty_values.HUGE_COUNTS) if kind == COUNT else None
            return Column(name, "text", _mixed(_identifiers(most), dirty_values.odd_number, huge))
        if kind == PRICE:
            huge = self._huge(dirty_values.HUGE_NUMBERS)
            return Column(name, "text", _mixed(dirty_values.price, dirty_values.odd_number, huge))
        if kind == MOMENT:
            return Column(name, "text", _mixed(dirty_values.moment, dirty_values.odd_moment), dirty_values.moment)
        return Column(name, "text", _mixed(dirty_values.plain_text, dirty_values.text, dirt=0.3), dirty_values.text)

    def _rows(self, random: Random, table: str, columns: Sequence[Column]) -> list[list[str | None]]:
        """Rows with duplicates among them: equal ones, and such that differ in some cells other than their key."""
        if random.random() < CHANCE_OF_NO_ROWS:
            return []
        rows = [[column.draw(random) for column in columns] for _ in range(SIZES[table])]
        times = [place for place, column in enumerate(columns) if (column.name, column.type) == ("updated_at", "text")]
        for row in random.sample(rows, SIZES[table] // 8):
            again = list(row)
            for place, column in enumerate(columns):
                if column.again and random.random() < CHANCE_OF_CHANGE:
                    again[place] = column.again(random)
            if times and random.random() < CHANCE_OF_CLOCK:
                row[times[0]], again[times[0]] = random.choices(dirty_values.CLOCK_CHANGES[self.zone], k=2)
            rows.append(again)
        random.shuffle(rows)
        return rows

    def _huge(self, values: Sequence[str]) -> Draw | None:
        return (lambda random: random.choice(values)) if self.is_huge else None


def dirty_source(seed: int) -> DirtySource:
    """The source of a seed; every fourth has huge sales."""
    return DirtySource(seed, Random(seed).choice(list(dirty_values.CLOCK_CHANGES)), is_huge=seed % 4 == 2)


def _identifiers(most: int) -> Draw:
    return lambda random: dirty_values.identifier(random, random.randint(1, most))


def _mixed(clean: Draw, odd: Draw, huge: Draw | None = None, dirt: float = CHANCE_OF_DIRT) -> Draw:
    def draw(random: Random) -> str | None:
        chance = random.random()
        if huge and chance > 1 - CHANCE_OF_HUGE:
            return huge(random)
        return odd(random) if chance < dirt else clean(random)

    return draw


def _typed(random: Random, name: str, kind: str, most: int) -> Column:
    """A column of the type that it has elsewhere, or of one that is close to it."""
    kinds: Sequence[str]
    if kind in (ID, COUNT):
        kinds = ("smallint", "integer", "bigint", "numeric", "numeric(30)")
        return Column(
            name, random.choice(kinds), _mixed(lambda r: str(r.randint(1, most)), lambda r: r.choice((None, "-1", "0")))
        )
    if kind == PRICE:
        kinds = ("numeric", "numeric(10,2)", "numeric(20,5)", "double precision", "real")
        return Column(name, random.choice(kinds), _mixed(lambda r: f"{r.uniform(0, 1000):.3f}", _no_price))
    if kind == MOMENT:
        kinds = ("timestamp", "timestamptz", "timestamptz(0)", "date")
        odd = ("infinity", "0044-03-15 BC", "1850-01-01", None)
        return Column(name, random.choice(kinds), _mixed(dirty_values.moment, lambda r: r.choice(odd)))
    kinds = ("varchar", "char(40)")
    return Column(name, random.choice(kinds), _mixed(dirty_values.plain_text, dirty_values.text, dirt=0.3))


def _no_price(random: Random) -> str | None:
    return random.choice((None, "-7", "0", "0.125"))


def _names(random: Random) -> list[str]:
    """Names of extra columns; where one of them gets `source_` before it, another may have that name already."""
    names = random.sample(dirty_values.NAMES, random.randint(0, 5))
    taken = [f"source_{name}" for name in names if random.random() < CHANCE_OF_CHANGE]
    return list(dict.fromkeys((*names, *(name for name in taken if len(name.encode()) < 64))))


def _extra(random: Random, name: str) -> Column:
    others: Mapping[str, Sequence[str | None]] = {
        "boolean": ("t", "f", None),
        "jsonb": ('{"a": "b, c"}', "[]", "null", None),
        "text[]": ('{a,"b c"}', '{"a\nb"}', "{}", None),
        "real": ("NaN", "1.5", "1e20", "Infinity", None),
        "bytea": ("\\x00ff", "\\x", None),
        "integer": ("1", "-7", None),
    }
    if random.random() < 0.6:
        return Column(name, "text", dirty_values.text, dirty_values.text)
    chosen = random.choice(list(others))
    return Column(name, chosen, lambda r: r.choice(others[chosen]))


def _replace(
    database: psycopg.Connection, source: str, columns: Sequence[Column], rows: Sequence[Sequence[str | None]]
) -> None:
    defined = [sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in columns]
    database.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(source)))
    create = sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(source), sql.SQL(", ").join(defined))
    database.execute(create)
    with database.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(source))) as copy:
        for row in rows:
            copy.write_row(row)
