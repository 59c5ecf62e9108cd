"""Tables of the source as its catalog tells of them, and the statements that read them."""

from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

# COPY of a table leaves out generated columns and child tables. Ranges of blocks are those of PostgreSQL's own heap.
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
       current_setting('block_size')::integer
FROM (SELECT c.oid, c.relname,
             c.relkind = 'r' AND NOT c.relhassubclass
               AND NOT EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attgenerated <> '')
               AS is_plain,
             c.relkind IN ('r', 'p') AS is_lockable,
             EXISTS (SELECT FROM pg_am m WHERE m.oid = c.relam AND m.amname = 'heap') AS is_heap
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')) t
"""
_FIRST_WITH_RANGES: Final = 140_000  # older servers read a whole table to find a range of it


@dataclass(frozen=True)
class Blocks:
    """Some blocks of a table: from `first` up to `end`, which is none of them; to the last where `end` is None."""

    first: int
    end: int | None


@dataclass(frozen=True)
class SourceTable:
    """A table of the source: its columns and their types in order, its size on disk in bytes, and whether plain COPY
    takes all of it.

    COPY of a table leaves out generated columns, child tables and partitions; `plain` is false where there are any.
    `lockable` is false for what LOCK TABLE does not take whole: views, foreign tables. `blocks` are those of the table
    itself, and 0 where it cannot be read in ranges of them. `base_types` has for a domain the type that it is made of.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    bytes: int
    readable: bool
    plain: bool
    lockable: bool = True
    blocks: int = 0
    block_bytes: int = 8192
    base_types: tuple[str, ...] = ()

    def ranges(self, size: int) -> tuple[Blocks | None, ...]:
        """The table's rows in order, parted into ranges of about so many bytes; None is the whole of it.

        The last range has no end, so that none depends on what the table grows to meanwhile.
        """
        step = max(1, size // self.block_bytes)
        starts = range(0, self.blocks, step)
        if len(starts) < 2:
            return (None,)
        return (*(Blocks(first, first + step) for first in starts[:-1]), Blocks(starts[-1], None))

    def copy_statement(self, blocks: Blocks | None = None) -> sql.Composed:
        """The COPY that gives bronze's bytes of these blocks; the header comes with the first."""
        table = sql.Identifier(self.schema, self.name)
        if blocks:
            target = sql.SQL("(SELECT * FROM ONLY {} WHERE {})").format(table, _within(blocks))
        else:
            target = sql.Composed([table]) if self.plain else sql.SQL("(SELECT * FROM {})").format(table)
        options = "FORMAT csv" if blocks and blocks.first else "FORMAT csv, HEADER"
        return sql.SQL("COPY {} TO STDOUT ({})").format(target, sql.SQL(options))


def _within(blocks: Blocks) -> sql.Composed:
    bounds = [sql.SQL("ctid >= {}").format(sql.Literal(f"({blocks.first},0)"))]
    if blocks.end is not None:
        bounds.append(sql.SQL("ctid < {}").format(sql.Literal(f"({blocks.end},0)")))
    return sql.SQL(" AND ").join(bounds)


def tables_of(connection: psycopg.Connection, schema: str, names: list[str]) -> dict[str, SourceTable]:
    """Those of the named tables that the schema has, by name.

    A type's name has its schema unless that is on the search path, which a role may set as it likes: here it is always
    PostgreSQL's default, so that the same type has the same name in every run. Whatever COPY runs, such as functions of
    views, has the role's own path.
    """
    has_ranges = connection.info.server_version >= _FIRST_WITH_RANGES
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
        )
        for name, plain, lockable, size, readable, columns, types, base_types, heap, block_bytes in rows
    }
