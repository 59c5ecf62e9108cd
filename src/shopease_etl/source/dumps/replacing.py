"""Replaces the objects of a database by those that a dump creates, and checks that no others are lost.

A dump says only what it creates, in a stream that can be read once. So temporary functions in the server drop the old
object of a name, of any kind, right before the new one is created. At the end, an object that is gone, was not
created again and was no part of a replaced object is not the dump's.
"""

from typing import Final

OTHERS_DROPPED: Final = "SHOP1"
"""The SQLSTATE of `CHECK` when it fails; its message names what would be dropped."""

CHECK: Final = b"\nSELECT pg_temp.restore_check();"
"""Fails if objects are gone that the dump does not create."""

SETUP: Final = r"""
CREATE TEMP TABLE restore_before ON COMMIT DROP AS
  SELECT d.*, i.type, i.identity FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
  WHERE d.objid >= 16384 AND i.identity !~ '\mpg_(temp|toast)';
CREATE TEMP TABLE restore_dropped (classid oid, objid oid) ON COMMIT DROP;

CREATE FUNCTION pg_temp.restore_drop(kinds text[], schema text, name text) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
  home text := coalesce(schema, current_schema(), '');
  names text[] := ARRAY[format('%I.%I', home, name), format('%I', name), format('%I.%s', home, name), name];
  old record;
BEGIN
  FOR old IN
    SELECT DISTINCT b.classid, b.objid, b.type, b.identity FROM pg_temp.restore_before b, unnest(names) n
    WHERE b.objsubid = 0 AND b.type = ANY (kinds) AND (b.identity = n
      OR b.type LIKE 'operator%' AND (starts_with(b.identity, n || '(') OR starts_with(b.identity, n || ' USING ')))
    ORDER BY b.classid DESC  -- a table before its type
  LOOP
    INSERT INTO pg_temp.restore_dropped VALUES (old.classid, old.objid);
    IF (pg_identify_object(old.classid, old.objid, 0)).identity IS NOT NULL THEN
      EXECUTE format('DROP %s %s CASCADE',
        replace(replace(old.type, 'foreign-data', 'foreign data'), 'statistics object', 'statistics'), old.identity);
    END IF;
  END LOOP;
END $f$;

-- A routine is replaced if possible, as others may use it. To learn its arguments it is created in another schema.
CREATE FUNCTION pg_temp.restore_routine(kind text, name text, schema text, base text, rest text) RETURNS void
LANGUAGE plpgsql AS $f$
DECLARE old oid; copy oid;
BEGIN
  BEGIN
    EXECUTE format('CREATE OR REPLACE %s %s%s', kind, name, rest);
    RETURN;
  EXCEPTION
    WHEN invalid_function_definition OR wrong_object_type THEN NULL;
    WHEN OTHERS THEN RETURN;  -- the statement itself will fail, and say so in its place
  END;
  EXECUTE format('CREATE %s pg_temp.%I%s', kind, base, rest);
  SELECT oid FROM pg_proc WHERE pronamespace = pg_my_temp_schema() AND proname = base INTO STRICT copy;
  SELECT p.oid FROM pg_proc p, pg_proc c WHERE c.oid = copy AND p.proname = base AND p.proargtypes = c.proargtypes
    AND p.pronamespace = to_regnamespace(quote_ident(coalesce(schema, current_schema()))) INTO old;
  EXECUTE format('DROP ROUTINE %s', copy::regprocedure);
  IF old IS NOT NULL THEN
    INSERT INTO pg_temp.restore_dropped VALUES ('pg_proc'::regclass, old);
    EXECUTE format('DROP ROUTINE %s CASCADE', old::regprocedure);
  END IF;
END $f$;

CREATE FUNCTION pg_temp.restore_check() RETURNS void LANGUAGE plpgsql AS $f$
DECLARE lost text; drops text; others text;
BEGIN
  WITH RECURSIVE replaced AS (
    SELECT classid, objid FROM pg_temp.restore_dropped
    UNION
    SELECT b.classid, b.objid FROM pg_temp.restore_before b
    JOIN replaced r ON (b.refclassid, b.refobjid) = (r.classid, r.objid) WHERE b.deptype IN ('a', 'i', 'P', 'S')
  ), now AS (
    SELECT i.type, i.identity FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
  ), gone AS (
    SELECT * FROM pg_temp.restore_before
    WHERE (type, identity) NOT IN (SELECT * FROM now WHERE identity IS NOT NULL)
    AND (classid, objid) NOT IN (SELECT * FROM replaced)
  ), whole AS (
    SELECT type, identity, max(objid) AS made FROM gone g WHERE NOT EXISTS (
      SELECT FROM gone o WHERE o.objsubid = 0 AND g.objsubid <> 0 AND (o.classid, o.objid) = (g.classid, g.objid)
    ) AND NOT EXISTS (
      SELECT FROM gone part JOIN gone o ON (o.classid, o.objid) = (part.refclassid, part.refobjid)
        AND o.objsubid IN (0, part.refobjsubid)
      WHERE (part.classid, part.objid, part.objsubid) = (g.classid, g.objid, g.objsubid)
      AND part.deptype IN ('a', 'i', 'P', 'S') AND (o.classid, o.objid) <> (g.classid, g.objid))
    GROUP BY type, identity
  ), named AS (  -- mine_id_fkey on public.mine
    SELECT w.*, format('%s %s', type, identity) AS text, pair[1] AS part, pair[2] AS home
    FROM whole w, regexp_match(identity, '^("(?:[^"]|"")*"|\S+) on (.*)$') pair
  ), way AS (  -- none for what holds data
    SELECT *, CASE
      WHEN type = 'table constraint' THEN format('ALTER TABLE %s DROP CONSTRAINT %s', home, part)
      WHEN type IN ('trigger', 'rule', 'policy') THEN format('DROP %s %s ON %s', upper(type), part, home)
      WHEN type IN ('view', 'materialized view', 'function', 'procedure')
        THEN format('DROP %s %s', upper(type), identity)
    END AS command FROM named
  )
  SELECT string_agg(text, ', ' ORDER BY identity), string_agg(command, '; ' ORDER BY made DESC),  -- users before used
    string_agg(text, ', ' ORDER BY identity) FILTER (WHERE command IS NULL)
  FROM way INTO lost, drops, others;
  IF lost IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'SHOP1', MESSAGE = lost, HINT = coalesce(drops, ''), DETAIL = coalesce(others, '');
  END IF;
END $f$;
"""


def drop_sql(kind: bytes, parts: list[bytes]) -> bytes:
    """SQL in one line that drops the old object of a name; `parts`: the schema, if any, and the name."""
    kind = b" ".join(kind.lower().split())
    if kind in (b"table", b"foreign table", b"view", b"materialized view", b"sequence", b"type", b"domain"):
        kind = b"table,view,materialized view,sequence,foreign table,type"
    catalog = {
        b"foreign data wrapper": b"foreign-data wrapper",
        b"statistics": b"statistics object",
        b"procedural language": b"language",
    }
    kinds = catalog.get(kind, kind)
    return b"SELECT pg_temp.restore_drop(%s, %s); " % (_literal(b"{" + kinds + b"}"), _schema_and_name(parts))


def drop_routine_sql(kind: bytes, name: bytes, parts: list[bytes], rest: bytes) -> bytes:
    """SQL in one line that drops the old routine if the new one cannot replace it; `rest`: the text after its name."""
    values = (_literal(kind), _literal(name), _schema_and_name(parts), _literal(rest))
    return b"SELECT pg_temp.restore_routine(%s); " % b", ".join(values)


def unlink_sql(large_object: bytes) -> bytes:
    """SQL in one line that drops a large object if it exists."""
    return b"SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = %s; " % large_object


def if_exists_sql(relation: bytes, statement: bytes) -> bytes:
    """SQL in one line that runs the statement if the relation exists; the statement's line breaks follow."""
    body = b"BEGIN IF pg_catalog.to_regclass(%s) IS NOT NULL THEN EXECUTE %s; END IF; END"
    return b"DO " + _literal(body % (_literal(relation), _literal(statement))) + b";" + b"\n" * statement.count(b"\n")


def _schema_and_name(parts: list[bytes]) -> bytes:
    schema = _literal(parts[-2]) if len(parts) > 1 else b"NULL"
    return schema + b", " + _literal(parts[-1])


def _literal(text: bytes) -> bytes:
    escaped = text.replace(b"\\", b"\\\\").replace(b"'", b"''").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return b"E'" + escaped + b"'"
