"""Where a server is in its history, and what the text of a table's rows depends on besides the rows."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import psycopg

from shopease_etl.source.postgres.source_tables import SourceTable

# Facts by name, each of a query that a server may refuse to this user.
_FACTS: Final = {
    "system": "SELECT system_identifier::text FROM pg_control_system()",
    "timeline": "SELECT timeline_id FROM pg_control_checkpoint()",
    "replayed": "SELECT nullif(min_recovery_end_timeline, 0) FROM pg_control_recovery()",
    "written": """SELECT CASE WHEN NOT pg_is_in_recovery()
                              THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END""",
}
_SAME: Final = {
    "system": "the server is another one (system identifier)",
    "timeline": "the server's history took another course (timeline)",
    "database": "the database is another one",
    "version": "the server's major version changed",
    "table": "the table is another one",
    "columns": "the table's columns changed",
    "labels": "labels of an enum changed",
    "settings": "a setting changed that decides how values are written, such as the time zone",
    "extensions": "extensions of the database changed",
    "names": "the table has a column whose text depends on names of the catalog (such as regclass)",
    "zone": "the rules of the time zone changed",
}
_PARTS: Final = ("columns", "labels", "settings", "extensions", "names", "zone")
# Transaction ids are compared within 2^31 of each other, and more begin while the rows are counted.
MOST_XIDS: Final = 1_500_000_000
_POSITION: Final = """
SELECT (SELECT oid FROM pg_database WHERE datname = current_database())::bigint,
       (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
             ELSE pg_current_wal_lsn() END - '0/0')::bigint,
       current_setting('server_version_num')::integer / 10000
"""
# The types of the columns and those that they are made of, with the labels of enums; the table's columns, of which one
# that is added, with a value for all rows, has a new number; settings that we do not set; extensions, which may have
# types; and the time zone's rules. Of types that show names of the catalog, nothing is known: they are always other.
_TEXTS: Final = """
WITH RECURSIVE made_of(type) AS (
    SELECT atttypid FROM pg_attribute WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped
    UNION
    SELECT part FROM made_of JOIN pg_type t ON t.oid = made_of.type CROSS JOIN LATERAL (
        SELECT t.typelem UNION ALL SELECT t.typbasetype
        UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid
        UNION ALL SELECT atttypid FROM pg_attribute
                  WHERE attrelid = t.typrelid AND t.typtype = 'c' AND attnum > 0 AND NOT attisdropped) parts(part)
    WHERE part <> 0)
SELECT ARRAY(SELECT jsonb_build_array(attnum, attname, format_type(atttypid, atttypmod))::text
             FROM pg_attribute WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
       ARRAY(SELECT jsonb_build_array(enumtypid, oid, enumlabel)::text
             FROM pg_enum WHERE enumtypid IN (SELECT type FROM made_of) ORDER BY oid),
       ARRAY(SELECT jsonb_build_array(name, setting)::text FROM pg_settings
             WHERE name IN ('DateStyle', 'TimeZone', 'IntervalStyle', 'extra_float_digits', 'bytea_output',
                            'lc_monetary', 'search_path', 'quote_all_identifiers') ORDER BY name),
       ARRAY(SELECT jsonb_build_array(extname, extversion)::text FROM pg_extension ORDER BY extname),
       (SELECT clock_timestamp()::text FROM pg_type WHERE oid IN (SELECT type FROM made_of)
          AND typnamespace = 'pg_catalog'::regnamespace AND (typname ~ '^reg' OR typname = 'aclitem') LIMIT 1),
       (SELECT md5(string_agg(extract(timezone FROM day)::text, ' ' ORDER BY day))
        FROM generate_series(timestamptz '1990-01-01 12:00Z', '2040-01-01 12:00Z', '1 day') day)
"""


def read_marks(connection: psycopg.Connection, sees: str, table: SourceTable) -> dict[str, Any]:
    """Where a server and a table are in their history at a snapshot, given as text, `xmin:xmax:…`; JSON-able.

    It has hashes of all that the text of the table's rows depends on, but for the rows themselves. A fact that the
    server does not let this user read is None.
    """
    facts: dict[str, Any] = {}
    for name, query in _FACTS.items():
        facts[name] = None
        try:
            with connection.transaction():
                facts[name] = connection.execute(query).fetchall()[0][0]
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction):
            """It stays None."""
    database, wal, version = connection.execute(_POSITION).fetchall()[0]
    horizon, next_xid, *_ = sees.split(":")
    timelines = facts["written"], facts["replayed"], facts["timeline"]
    texts = connection.execute(_TEXTS, {"table": table.oid}).fetchall()[0]
    hashes = (hashlib.sha256(json.dumps(part).encode()).hexdigest() for part in texts)
    return {
        "system": facts["system"],
        "timeline": max((number for number in timelines if number), default=None),
        "database": database,
        "table": table.oid,
        "version": version,
        **dict(zip(_PARTS, hashes, strict=True)),
        "next_xid": int(next_xid),
        "horizon": int(horizon),
        "wal": wal,
    }


def why_not_comparable(former: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Why the versions of rows do not show what changed since the former marks; None if they do.

    Raises:
        LookupError, TypeError: the former ones are no marks.
    """
    for name, reason in _SAME.items():
        if former[name] != now[name]:
            return reason
    if now["next_xid"] < former["next_xid"] or now["wal"] < former["wal"]:
        return "the server is at an older point than at the last extract"
    if now["next_xid"] - former["horizon"] > MOST_XIDS:
        return "too many transactions since the last extract"
    return None
