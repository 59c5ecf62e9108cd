"""What becomes of each statement of a plain dump: refused, left out, or changed to fit another server."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from shopease_etl.source.dumps import replacing

DATABASE: Final = "a database of its own"
"""The refusal of what `pg_dump --create` writes."""

_IDENTIFIER: Final = rb'(?:"(?:[^"]|"")+"|[\w$\x80-\xff]+)'
_NAME: Final = rb"(" + _IDENTIFIER + rb"(?:\." + _IDENTIFIER + rb")*)"
_ROLE: Final = rb'(?:"(?:[^"]|"")+"|[\w$\x80-\xff-]+)'
_ROUTINES: Final = rb"FUNCTION|PROCEDURE|AGGREGATE"
_OBJECTS: Final = (
    rb"FOREIGN TABLE|TABLE|MATERIALIZED VIEW|VIEW|SEQUENCE|TYPE|DOMAIN|COLLATION|CONVERSION|TEXT SEARCH \w+|STATISTICS"
    rb"|ACCESS METHOD|SERVER|FOREIGN DATA WRAPPER|(?:PROCEDURAL )?LANGUAGE|OPERATOR (?:CLASS|FAMILY)"
)
_REFUSED: Final = (
    (rb"(?:CREATE|ALTER|DROP) DATABASE\b", DATABASE),
    (
        rb"(?:CREATE|ALTER|DROP) (?:ROLE|USER(?! MAPPING)|GROUP|TABLESPACE)\b",
        "a role or tablespace (of pg_dumpall)",
    ),
    (rb"(?:ROLLBACK|ABORT|PREPARE TRANSACTION)\b", "ROLLBACK"),
    (
        rb"SET (?:SESSION |LOCAL )?standard_conforming_strings\s*(?:=|TO\b)\s*'?(?:off|false|no|0)",
        "standard_conforming_strings off",
    ),
)
_LEFT_OUT: Final = (
    # Owners and privileges belong to the old server; transactions too, as a restore is one of its own.
    rb"ALTER .* OWNER TO " + _ROLE + rb"\s*;",
    rb"(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|REASSIGN OWNED)\b.*",
    rb"(?:SET|RESET) (?:(?:SESSION |LOCAL )?SESSION AUTHORIZATION|(?:SESSION |LOCAL )?ROLE)\b.*",
    rb"SET default_tablespace\s*=\s*(?!''\s*;).*",
    rb"(?:BEGIN|START TRANSACTION|COMMIT|END)\b.*",
    # These need a superuser, and the data does not need them.
    rb"(?:COMMENT ON|DROP) EXTENSION\b.*",
    rb"(?:CREATE|ALTER|DROP|COMMENT ON) (?:EVENT TRIGGER|PUBLICATION|SUBSCRIPTION)\b.*",
    # A missing schema is created; in an existing one there may be objects of others.
    rb"DROP SCHEMA\b.*",
)


@cache
def _pattern(text: bytes) -> re.Pattern[bytes]:
    """A pattern in which a space matches any white space."""
    return re.compile(text.replace(b" ", rb"\s+"), re.I | re.S)


@dataclass(frozen=True)
class Server:
    """Names that a server knows: settings (in lower case), roles, and the extensions that this user can create."""

    settings: frozenset[str]
    roles: frozenset[str]
    extensions: frozenset[str]


@dataclass
class Rules:
    """The rules of one restore.

    With `clean`, each object is dropped before the dump creates it, with all that depends on it, in the same
    transaction; run `replacing.SETUP` first. `warn` gets a message for each thing that the dump needs and is left out.
    """

    server: Server
    clean: bool = False
    warn: Callable[[str], None] = field(default=lambda _: None)
    missing: set[str] = field(default_factory=set)
    """The extensions that were left out."""
    _created: bool = False
    _policies: set[tuple[bytes, ...]] = field(default_factory=set)

    def refusal(self, statement: bytes) -> str | None:
        """What makes the dump unacceptable, or None."""
        return next((what for pattern, what in _REFUSED if _pattern(pattern).match(statement)), None)

    def adapted(self, statement: bytes, *, is_complete: bool = True) -> bytes:
        """The statement to run; only its line breaks if it is left out.

        A statement that is not complete is the beginning of a long one; only its beginning changes.
        """
        setting = _pattern(rb"SET (?:SESSION |LOCAL )?(\w+)\s*(?:=|TO\b).*").fullmatch(statement)
        if setting and setting[1].decode().lower() not in self.server.settings:
            return line_breaks(statement)
        if any(_pattern(text).fullmatch(statement) for text in _LEFT_OUT) or self._lacks_something(statement):
            return line_breaks(statement)
        schema = _pattern(rb"\ACREATE SCHEMA(?= (?!IF\b|AUTHORIZATION\b))")
        statement = schema.sub(b"CREATE SCHEMA IF NOT EXISTS", statement, count=1)
        # pg_dump --clean drops before it creates.
        if not self._created and (dropped := self._drop_if_exists(statement)) is not None:
            return dropped
        self._created = self._created or statement[:6].upper() in (b"CREATE", b"INSERT")
        statement = self._policy_for_known_roles(statement)
        return self._replacing(statement, is_complete=is_complete) if self.clean else statement

    def _lacks_something(self, statement: bytes) -> bool:
        """Whether the statement needs an extension, a role or a policy that the server does not have."""
        extensions = rb"(?:CREATE EXTENSION (?:IF NOT EXISTS )?|ALTER EXTENSION )(" + _IDENTIFIER + rb")"
        mappings = (
            rb"(?:CREATE|ALTER|COMMENT ON|DROP) USER MAPPING (?:IF (?:NOT )?EXISTS )?FOR (" + _ROLE + rb") SERVER"
        )
        policies = rb"(?:COMMENT ON|DROP) POLICY (?:IF EXISTS )?(" + _IDENTIFIER + rb") ON " + _NAME
        if named := _pattern(extensions).match(statement):
            extension = _unquoted(named[1])
            if extension not in self.server.extensions and extension not in self.missing:
                self.missing.add(extension)
                self.warn(
                    f"extension {extension} is left out: the server does not have it, or this user may not create it"
                )
            return extension in self.missing
        if mapping := _pattern(mappings).match(statement):
            role = _unquoted(mapping[1])
            if not self._has_role(role):
                if statement[:6].upper() == b"CREATE":
                    self.warn(f"the user mapping of {role} is left out: this server has no such role")
                return True
        policy = _pattern(policies).match(statement)
        return policy is not None and policy.groups() in self._policies

    def _has_role(self, role: str) -> bool:
        return role in {"public", "current_user", "current_role", "session_user"} or role in self.server.roles

    def _policy_for_known_roles(self, statement: bytes) -> bytes:
        """A CREATE POLICY without the roles that the server does not have, left out if no role remains."""
        policy = _pattern(
            rb"CREATE POLICY (" + _IDENTIFIER + rb") ON " + _NAME + rb"(?: AS \w+)?(?: FOR \w+)? TO "
            rb"(" + _ROLE + rb"(?:\s*,\s*" + _ROLE + rb")*)"
        ).match(statement)
        if policy is None:
            return statement
        name, table, roles = policy.groups()
        named = re.findall(_ROLE, roles)
        known = [role for role in named if self._has_role(_unquoted(role))]
        if missing := ", ".join(sorted({_unquoted(role) for role in named} - {_unquoted(role) for role in known})):
            what = f"is restored without {missing}" if known else f"for {missing} is left out"
            text = (name + b" on " + table).decode(errors="replace")
            self.warn(f"policy {text} {what}: this server has no such role")
        if known:
            return statement[: policy.start(3)] + b", ".join(known) + statement[policy.end(3) :]
        self._policies.add((name, table))
        return line_breaks(statement)

    def _drop_if_exists(self, statement: bytes) -> bytes | None:
        """What becomes of a statement that drops or changes what may not exist; None for other statements.

        With `clean` they are not needed.
        """
        table = rb"(ALTER (?:(?:FOREIGN )?TABLE|DOMAIN) )(?:IF EXISTS )?((?:ONLY )?" + _NAME
        drops = (
            rb"(DROP (?:" + _OBJECTS + rb"|" + _ROUTINES + rb"|OPERATOR|INDEX|CAST"
            rb"|TRANSFORM|TRIGGER|RULE|POLICY|USER MAPPING) )(?:IF EXISTS )?(.*)"
        )
        column = rb"(ALTER (?:FOREIGN )?TABLE )(?:IF EXISTS )?((?:ONLY )?" + _NAME + rb" ALTER COLUMN \S+ DROP .*)"
        if unlink := _pattern(rb"SELECT pg_catalog\.lo_unlink\((\S+)\);").fullmatch(statement):
            changed = replacing.unlink_sql(unlink[1])
        elif dummy := _pattern(rb"CREATE OR REPLACE VIEW " + _NAME + rb" AS SELECT NULL::").match(statement):
            changed = replacing.if_exists_sql(dummy[1], statement)
        elif found := _pattern(table + rb" DROP CONSTRAINT )(?:IF EXISTS )?(.*)").fullmatch(statement):
            changed = found.expand(rb"\1IF EXISTS \2IF EXISTS \4")
        elif found := _pattern(drops).fullmatch(statement) or _pattern(column).fullmatch(statement):
            changed = found.expand(rb"\1IF EXISTS \2")
        else:
            return None
        return line_breaks(statement) if self.clean else changed

    def _replacing(self, statement: bytes, *, is_complete: bool) -> bytes:
        """The statement with SQL before it that drops the old object."""
        objects = (
            rb"CREATE (?:OR REPLACE )?(?:UNLOGGED |RECURSIVE |DEFAULT |TRUSTED |PROCEDURAL )*"
            rb"(" + _OBJECTS + rb") (?:IF NOT EXISTS )?" + _NAME
        )
        operators = rb"CREATE (OPERATOR) ((?:" + _IDENTIFIER + rb"\.)?[-+*/<>=~!@#%^&|`?]+)"
        routines = rb"CREATE (?:OR REPLACE )?(" + _ROUTINES + rb") " + _NAME
        if found := _pattern(objects).match(statement):
            return replacing.drop_sql(found[1], _parts(found[2])) + statement
        if found := _pattern(operators).match(statement):
            schema, _, name = found[2].rpartition(b".")
            return replacing.drop_sql(found[1], [*_parts(schema), name]) + statement
        if found := _pattern(rb"CREATE (CAST) (\(.*? AS .*?\)) (?=WITH)").match(statement):
            return replacing.drop_sql(found[1], [found[2]]) + statement
        if found := _pattern(rb"SELECT pg_catalog\.lo_create\(('\d+')\);").fullmatch(statement):
            return replacing.unlink_sql(found[1]) + statement
        if found := _pattern(routines).match(statement):
            rest = statement[found.end() :]
            drop = replacing.drop_routine_sql(found[1], found[2], _parts(found[2]), rest[:-1]) if is_complete else b""
            breaks = line_breaks(statement[: found.end()])
            return drop + b"CREATE OR REPLACE " + found[1] + b" " + found[2] + breaks + rest
        return statement


def _parts(name: bytes) -> list[bytes]:
    """The identifiers of a name as they are in the catalog."""
    found = re.findall(_IDENTIFIER, name)
    return [part[1:-1].replace(b'""', b'"') if part[:1] == b'"' else part.lower() for part in found]


def _unquoted(identifier: bytes) -> str:
    return b"".join(_parts(identifier)).decode(errors="replace")


def line_breaks(text: bytes) -> bytes:
    """The line breaks of a text that is left out, so that line numbers stay."""
    return b"\n" * text.count(b"\n")
