"""What administrators, migrations and slow clients do to a table of sales between two runs."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import psycopg
from dirty_sources import Column
from month_edits import FEW, KEY, SALES, Edits, connected
from psycopg import sql

BEHIND: Final = "sales_behind"


def slow_transaction(edits: Edits) -> None:
    """It has changed rows, and will commit later, or not at all."""
    uniqueness_gone(edits)
    changing = connected(edits.url, edits.zone)
    deleted, changed = edits.some(3), edits.some(3)
    edits.delete(deleted, by=changing)
    edits.update(["quantity"], [place for place in changed if place not in deleted], by=changing)
    for _ in range(edits.random.randint(1, FEW)):
        edits.insert({}, by=changing)

    def end(commits: bool) -> None:
        (changing.commit if commits else changing.rollback)()
        changing.close()

    edits.open.append(end)


def slow_end(edits: Edits) -> None:
    """Of one such transaction."""
    if edits.open:
        edits.end_one()


def idle_transaction(edits: Edits) -> None:
    """It has an id, and has written nothing: transactions that began later have ended."""
    idle = connected(edits.url, edits.zone)
    idle.execute("SELECT pg_current_xact_id()")
    edits.open.append(lambda _: idle.close())


def prepared_transaction(edits: Edits) -> None:
    """Half of a commit in two phases, if the server has them; another session has the other half."""
    if edits.run("SHOW max_prepared_transactions") == [("0",)] or edits.run("SELECT 1 FROM pg_prepared_xacts"):
        return
    uniqueness_gone(edits)
    with connected(edits.url, edits.zone) as connection:
        edits.delete(edits.some(3), by=connection)
        edits.insert({}, by=connection)
        connection.execute("PREPARE TRANSACTION 'half'")
    edits.open.append(lambda commits: edits.run(f"{'COMMIT' if commits else 'ROLLBACK'} PREPARED 'half'"))


def emptied(edits: Edits) -> None:
    """No row is left."""
    _begin(edits)
    edits.run(f"TRUNCATE {edits.table}")


def emptied_and_filled(edits: Edits) -> None:
    """Most rows are there again."""
    _begin(edits)
    with edits.connection.transaction():
        edits.run(f"CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM {edits.table}")
        edits.run(f"TRUNCATE {edits.table}")
        _insert_from(edits, "kept WHERE hashtext(ctid::text) % 10 <> 0")


def frozen_copy(edits: Edits) -> None:
    """Most rows are there again, born frozen."""
    _begin(edits)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in edits.columns)
    table = sql.Identifier(edits.table)
    with edits.connection.cursor().copy(sql.SQL("COPY {} ({}) TO STDOUT").format(table, names)) as out:
        kept = [bytes(line) for line in out if edits.random.random() < 0.95]
    with edits.connection.transaction():
        edits.run(f"TRUNCATE {edits.table}")
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FREEZE)").format(table, names)
        with edits.connection.cursor().copy(statement) as copy:
            for line in kept:
                copy.write(line)


def vacuum(edits: Edits) -> None:
    """Rows are frozen, or places for new ones found."""
    edits.run(f"VACUUM {edits.random.choice(('', '(FREEZE)', '(FREEZE, DISABLE_PAGE_SKIPPING)'))} {edits.table}")


def vacuum_full(edits: Edits) -> None:
    """All rows are written to another file, and none is new."""
    edits.settle()
    edits.run(f"VACUUM {edits.random.choice(('(FULL)', '(FULL, FREEZE)'))} {edits.table}")


def cluster(edits: Edits) -> None:
    """All rows have another order, and none is new."""
    edits.settle()
    edits.run(f"CREATE INDEX by_time ON {edits.table} (updated_at)")
    edits.run(f"CLUSTER {edits.table} USING by_time")
    edits.run("DROP INDEX by_time")
    edits.is_reordered = True


def new_column(edits: Edits) -> None:
    """All rows have one more value, and none is written."""
    _begin(edits, as_table=True)
    name, given = f"more {edits.random.randrange(10**6)}", edits.random.choice(("'x'", "NULL", "''", "now()::text"))
    edits.run(f'ALTER TABLE {SALES} ADD COLUMN "{name}" text DEFAULT {given}')
    edits.columns.append(Column(name, "text", lambda random: random.choice((None, "y"))))


def dropped_column(edits: Edits) -> None:
    """One of those."""
    _begin(edits, as_table=True)
    if dropped := next((column for column in edits.columns if column.name.startswith("more ")), None):
        edits.run(f'ALTER TABLE {SALES} DROP COLUMN "{dropped.name}"')
        edits.columns.remove(dropped)


def renamed_label(edits: Edits) -> None:
    """An enum's label is another: the text of rows changes that are not written."""
    _begin(edits, as_table=True)
    label = f"label {edits.random.randrange(10**6)}"
    if found := edits.run("SELECT enumlabel FROM pg_enum"):
        edits.run(f"ALTER TYPE mood RENAME VALUE '{found[0][0]}' TO '{label}'")
        return
    edits.run(f"CREATE TYPE mood AS ENUM ('{label}')")
    edits.run(f"ALTER TABLE {SALES} ADD COLUMN mood mood DEFAULT '{label}'")
    edits.columns.append(Column("mood", "mood", lambda _: None))


def other_expression(edits: Edits) -> None:
    """Of a column that is calculated when it is read, which PostgreSQL 18 has."""
    _begin(edits, as_table=True)
    text = f"'{edits.random.randrange(10**6)}' || payment_method"
    if edits.run(f"SELECT 1 FROM pg_attribute WHERE attrelid = '{SALES}'::regclass AND attname = 'virtual'"):
        edits.run(f"ALTER TABLE {SALES} ALTER COLUMN virtual SET EXPRESSION AS ({text})")
    elif edits.connection.info.server_version >= 180000:
        edits.run(f"ALTER TABLE {SALES} ADD COLUMN virtual text GENERATED ALWAYS AS ({text}) VIRTUAL")


def other_type(edits: Edits) -> None:
    """Of the moment of the sale; a session in UTC may change it without writing a row."""
    _begin(edits, as_table=True)
    place, column = next((number, each) for number, each in enumerate(edits.columns) if each.name == "created_at")
    other = "timestamp" if column.type == "timestamptz" else "timestamptz"
    with edits.connection.transaction():
        edits.run("SET LOCAL TimeZone = 'UTC'")
        edits.run(f"ALTER TABLE {SALES} ALTER COLUMN created_at TYPE {other}")
    edits.columns[place] = Column("created_at", other, column.draw, column.again)


def new_table(edits: Edits) -> None:
    """Of the same name, with the same rows."""
    _begin(edits, as_table=True)
    with edits.connection.transaction():
        edits.run(f"ALTER TABLE {SALES} RENAME TO old_sales")
        edits.run(f"CREATE TABLE {SALES} (LIKE old_sales INCLUDING GENERATED)")
        _insert_from(edits, "old_sales")
        edits.run("DROP TABLE old_sales")


def hidden(edits: Edits) -> None:
    """Readers see a view, or a partitioned table, where they saw the table."""
    _begin(edits, as_table=True)
    edits.run(f"ALTER TABLE {SALES} RENAME TO {BEHIND}")
    edits.table = BEHIND
    if edits.random.random() < 0.5:
        edits.run(f"CREATE VIEW {SALES} AS SELECT * FROM {BEHIND}")
    else:
        edits.run(f"CREATE TABLE {SALES} (LIKE {BEHIND} INCLUDING GENERATED) PARTITION BY RANGE (created_at)")
        edits.run(f"ALTER TABLE {SALES} ATTACH PARTITION {BEHIND} DEFAULT")


def unique_key(edits: Edits) -> None:
    """Of rows with one key one stays, and an index sees to that: a good one, or one that only looks like it."""
    _begin(edits)
    uniqueness_gone(edits)
    edits.run(f"DELETE FROM {edits.table} a USING {edits.table} b WHERE a.ctid < b.ctid AND a.{KEY} = b.{KEY}")
    index, constraint = f"CREATE UNIQUE INDEX one ON {edits.table}", f"ALTER TABLE {edits.table} ADD CONSTRAINT one"
    edits.run(
        edits.random.choice(
            (
                *(f"{index} ({KEY})", f"{index} ({KEY})", f"{constraint} UNIQUE ({KEY})"),
                *(f"{constraint} UNIQUE ({KEY}) DEFERRABLE INITIALLY DEFERRED", f"{index} ({KEY}, created_at)"),
                *(f"{index} ({KEY}) WHERE quantity IS NULL", f"{index} (({KEY} || '' || quantity))"),
            )
        )
    )


def uniqueness_gone(edits: Edits) -> None:
    """Any number of rows may have one key."""
    if edits.run("SELECT 1 FROM pg_class WHERE relname = 'one'"):
        edits.settle()
        edits.run(f"ALTER TABLE {edits.table} DROP CONSTRAINT IF EXISTS one")
        edits.run("DROP INDEX IF EXISTS one")


def _begin(edits: Edits, *, as_table: bool = False) -> None:
    """Before all rows change, or seem to: nothing else goes on, and perhaps readers see the table itself."""
    edits.settle()
    edits.touched = None
    if as_table and edits.table != SALES:
        is_parted = edits.run(f"SELECT 1 FROM pg_class WHERE relname = '{SALES}' AND relkind = 'p'")
        if is_parted:
            edits.run(f"ALTER TABLE {SALES} DETACH PARTITION {BEHIND}")
        edits.run(f"DROP {'TABLE' if is_parted else 'VIEW'} {SALES}")
        edits.run(f"ALTER TABLE {BEHIND} RENAME TO {SALES}")
        edits.table = SALES


def visible(edits: Edits) -> None:
    """Readers see the table."""
    _begin(edits, as_table=True)


def _insert_from(edits: Edits, rows: str) -> None:
    names = ", ".join(sql.Identifier(column.name).as_string() for column in edits.columns)
    edits.run(f"INSERT INTO {edits.table} ({names}) SELECT {names} FROM {rows}")


def carry_out(edits: Edits, edit: Callable[[Edits], None]) -> None:
    """An edit; if an index forbids it, the index goes."""
    try:
        edit(edits)
    except psycopg.errors.UniqueViolation:
        uniqueness_gone(edits)
        with suppress(psycopg.errors.UniqueViolation):
            edit(edits)


UPHEAVALS: Final[Sequence[Callable[[Edits], None]]] = (
    *(slow_transaction, slow_transaction, slow_end, slow_end, idle_transaction, prepared_transaction),
    *(emptied, emptied_and_filled, frozen_copy, vacuum, vacuum, vacuum_full, cluster, new_column, dropped_column),
    *(renamed_label, other_expression, other_type, new_table, hidden, visible, unique_key, unique_key, uniqueness_gone),
)
