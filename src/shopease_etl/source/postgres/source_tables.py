"""Tables of the source as its catalog describes them, and the statements that read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

# COPY of a table leaves out generated columns and child tables. Only PostgreSQL's own heap is read in ranges of blocks.
_TABLES: Final = """
SELECT t.relname, t.is_plain, t.is_lockable, pg_table_size(t.oid), has_table_privilege(t.oid, 'SELECT'),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
             WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       ARRAY(SELECT CASE WHEN y.typtype = 'd' THEN format_type(y.typbasetype, y.typtypmod)
                         ELSE format_type(a.atttypid, a.atttypmod) END
             FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
             WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       CASE WHEN t.is_plain AND t.is_heap THEN pg_relation_size(t.oid) ELSE 0 END,
       current_setting('block_size')::integer, t.oid::bigint, t.is_heap
FROM (SELECT c.oid, c.relname,
             c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)
               AND NOT EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attgenerated <> '')
               AS is_plain,
             c.relkind IN ('r', 'p') AS is_lockable,
             EXISTS (SELECT FROM pg_am m WHERE m.oid = c.relam AND m.amname = 'heap') AS is_heap
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')) t
"""

# A key of several tables, as of one with child tables, is no key of what COPY reads.
_UNIQUE: Final = """
SELECT i.indrelid::bigint, array_agg(a.attname::text)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = ANY(%s) AND NOT (c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid))
  AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1 AND i.indpred IS NULL
  AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
GROUP BY 1
"""


@dataclass(frozen=True)
class Blocks:
    """Some blocks of a table: from `first` up to but without `end`, or to the last if `end` is None."""

    first: int
    end: int | None


@dataclass(frozen=True)
class SourceTable:
    """A table of the source: its columns with their types in order, and its size on disk in bytes.

    `is_plain`: COPY of the table copies all of it; it leaves out generated columns, child tables and partitions.
    `is_lockable` is false for views and foreign tables, as LOCK TABLE does not lock all that they read. `blocks` counts
    the table itself, 0 if it cannot be read in ranges. `base_types` are `types`, but for a domain the type below it.
    `is_heap`: its rows are in PostgreSQL's own kind of storage. `unique_columns` can have no value twice.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    bytes: int
    is_readable: bool
    is_plain: bool
    is_lockable: bool = True
    blocks: int = 0
    block_bytes: int = 8192
    base_types: tuple[str, ...] = ()
    oid: int = 0
    is_heap: bool = False
    unique_columns: tuple[str, ...] = ()

    def ranges(self, size: int) -> tuple[Blocks | None, ...]:
        """The table's rows in order, in ranges of about `size` bytes; None means the whole table.

        The last range has no end, as the table may grow meanwhile.
        """
        step = max(1, size // self.block_bytes)
        starts = range(0, self.blocks, step)
        if len(starts) < 2:
            return (None,)
        return (*(Blocks(first, first + step) for first in starts[:-1]), Blocks(starts[-1], None))

    def copy_statement(self, blocks: Blocks | None = None) -> sql.Composed:
        """The COPY of these blocks, or of the table, as CSV; only the first blocks come with the header."""
        if blocks:
            target = sql.SQL("(SELECT * FROM {})").format(self.rows(blocks))
        else:
            table = sql.Identifier(self.schema, self.name)
            target = sql.Composed([table]) if self.is_plain else sql.SQL("(SELECT * FROM {})").format(table)
        options = "FORMAT csv" if blocks and blocks.first else "FORMAT csv, HEADER"
        return sql.SQL("COPY {} TO STDOUT ({})").format(target, sql.SQL(options))

    def rows(self, blocks: Blocks | None = None, *conditions: sql.Composable) -> sql.Composed:
        """What follows FROM to read the rows of these blocks, or of the table, that meet the conditions."""
        table = sql.SQL("ONLY {}" if self.is_plain else "{}").format(sql.Identifier(self.schema, self.name))
        bounds = [sql.SQL("ctid >= {}").format(sql.Literal(f"({blocks.first},0)"))] if blocks else []
        if blocks and blocks.end is not None:
            bounds.append(sql.SQL("ctid < {}").format(sql.Literal(f"({blocks.end},0)")))
        if not (where := [*bounds, *conditions]):
            return sql.Composed([table])
        return sql.SQL("{} WHERE {}").format(table, sql.SQL(" AND ").join(where))


def read_tables(connection: psycopg.Connection, schema: str, names: list[str]) -> dict[str, SourceTable]:
    """The named tables that exist in the schema, by name.

    A type's name includes its schema unless that is on the search path, which a role may change: here it is always
    PostgreSQL's default, so that the same type has the same name in every run. What COPY runs, such as functions of
    views, has the role's own path.
    """
    has_ranges = connection.info.server_version >= 140_000  # older ones read all of a table to find a range of it
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = public")
        rows = connection.execute(_TABLES, [schema, names]).fetchall()
    return {
        name: SourceTable(
            schema,
            name,
            tuple(columns),
            tuple(types),
            size or 0,
            readable,
            plain,
            lockable,
            (heap or 0) // block_bytes if has_ranges else 0,
            block_bytes,
            tuple(base_types),
            oid,
            is_heap,
        )
        for name, plain, lockable, size, readable, columns, types, base_types, heap, block_bytes, *more in rows
        for oid, is_heap in (more,)
    }


def unique_columns(connection: psycopg.Connection, tables: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """By table, given by ids, the integer columns in which a unique index allows no value twice, but many NULLs.

    What is unique when this transaction has locked the table stays so until the transaction ends.
    """
    return {oid: tuple(names) for oid, names in connection.execute(_UNIQUE, [list(tables)]).fetchall()}
