"""What becomes of each statement of a plain dump: refused, left out, or changed to fit another server."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from shopease_etl.source.dumps import replacing

DATABASE: Final = "a database of its own"
"""The refusal of what `pg_dump --create` writes."""

_IDENTIFIER = rb'(?:"(?:[^"]|"")+"|[\w$\x80-\xff]+)'
_NAME = rb"(" + _IDENTIFIER + rb"(?:\." + _IDENTIFIER + rb")*)"
_ROLE = rb'(?:"(?:[^"]|"")+"|[\w$\x80-\xff-]+)'
_RELATION = rb"FOREIGN TABLE|TABLE|MATERIALIZED VIEW|VIEW|SEQUENCE"
_TYPED = rb"TYPE|DOMAIN|COLLATION|CONVERSION|TEXT SEARCH \w+|STATISTICS|ACCESS METHOD"
_FOREIGN = rb"SERVER|FOREIGN DATA WRAPPER|(?:PROCEDURAL )?LANGUAGE"
_OPERATORS = rb"OPERATOR (?:CLASS|FAMILY)"
_ROUTINES = rb"FUNCTION|PROCEDURE|AGGREGATE"


def _pattern(text: bytes) -> re.Pattern[bytes]:
    return re.compile(text.replace(b" ", rb"\s+"), re.I | re.S)


_REFUSED: Final = (
    (_pattern(rb"(?:CREATE|ALTER|DROP) DATABASE\b"), DATABASE),
    (
        _pattern(rb"(?:CREATE|ALTER|DROP) (?:ROLE|USER(?! MAPPING)|GROUP|TABLESPACE)\b"),
        "a role or tablespace (of pg_dumpall)",
    ),
    (_pattern(rb"(?:ROLLBACK|ABORT|PREPARE TRANSACTION)\b"), "ROLLBACK"),
    (
        _pattern(rb"SET (?:SESSION |LOCAL )?standard_conforming_strings\s*(?:=|TO\b)\s*'?(?:off|false|no|0)"),
        "standard_conforming_strings off",
    ),
)
# Who owns and who may do what belongs to the old server; so do transactions, as a restore is one of its own.
_LEFT_OUT: Final = (
    _pattern(rb"ALTER .* OWNER TO " + _ROLE + rb"\s*;"),
    _pattern(rb"(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|REASSIGN OWNED)\b.*"),
    _pattern(rb"(?:SET|RESET) (?:(?:SESSION |LOCAL )?SESSION AUTHORIZATION|(?:SESSION |LOCAL )?ROLE)\b.*"),
    _pattern(rb"SET default_tablespace\s*=\s*(?!''\s*;).*"),
    _pattern(rb"(?:BEGIN|START TRANSACTION|COMMIT|END)\b.*"),
    # For these a superuser is needed, and none is needed for the data.
    _pattern(rb"(?:COMMENT ON|DROP) EXTENSION\b.*"),
    _pattern(rb"(?:CREATE|ALTER|DROP|COMMENT ON) (?:EVENT TRIGGER|PUBLICATION|SUBSCRIPTION)\b.*"),
    # It is made where it is missing, and others may have put their own into it.
    _pattern(rb"DROP SCHEMA\b.*"),
)
_SETTING: Final = _pattern(rb"SET (?:SESSION |LOCAL )?(\w+)\s*(?:=|TO\b).*")
_SCHEMA: Final = _pattern(rb"\ACREATE SCHEMA(?= (?!IF\b|AUTHORIZATION\b))")
_EXTENSION: Final = _pattern(rb"(?:CREATE EXTENSION (?:IF NOT EXISTS )?|ALTER EXTENSION )(" + _IDENTIFIER + rb")")
_USER_MAPPING: Final = _pattern(
    rb"(?:CREATE|ALTER|COMMENT ON|DROP) USER MAPPING (?:IF (?:NOT )?EXISTS )?FOR (" + _ROLE + rb") SERVER"
)
_POLICY: Final = _pattern(
    rb"CREATE POLICY (" + _IDENTIFIER + rb") ON " + _NAME + rb"(?: AS \w+)?(?: FOR \w+)? TO "
    rb"(" + _ROLE + rb"(?:\s*,\s*" + _ROLE + rb")*)"
)
_POLICY_NOTE: Final = _pattern(rb"(?:COMMENT ON|DROP) POLICY (?:IF EXISTS )?(" + _IDENTIFIER + rb") ON " + _NAME)
_EVERYBODY: Final = frozenset({"public", "current_user", "current_role", "session_user"})
# pg_dump --clean drops before it creates.
_DROPS: Final = (
    _pattern(
        rb"(DROP (?:" + b"|".join((_RELATION, _TYPED, _FOREIGN, _OPERATORS, _ROUTINES)) + rb"|OPERATOR|INDEX|CAST"
        rb"|TRANSFORM|TRIGGER|RULE|POLICY|USER MAPPING) )(?:IF EXISTS )?(.*)"
    ),
    _pattern(rb"(ALTER (?:FOREIGN )?TABLE )(?:IF EXISTS )?((?:ONLY )?" + _NAME + rb" ALTER COLUMN \S+ DROP .*)"),
)
_DROP_CONSTRAINT: Final = _pattern(
    rb"(ALTER (?:(?:FOREIGN )?TABLE|DOMAIN) )(?:IF EXISTS )?((?:ONLY )?"
    + _NAME
    + rb" DROP CONSTRAINT )(?:IF EXISTS )?(.*)"
)
_UNLINK: Final = _pattern(rb"SELECT pg_catalog\.lo_unlink\((\S+)\);")
_DUMMY_VIEW: Final = _pattern(rb"CREATE OR REPLACE VIEW " + _NAME + rb" AS SELECT NULL::")
_OBJECT: Final = _pattern(
    rb"CREATE (?:OR REPLACE )?(?:UNLOGGED |RECURSIVE |DEFAULT |TRUSTED |PROCEDURAL )*"
    rb"(" + _RELATION + rb"|" + _TYPED + rb"|" + _FOREIGN + rb"|" + _OPERATORS + rb") (?:IF NOT EXISTS )?" + _NAME
)
_OPERATOR: Final = _pattern(rb"CREATE (OPERATOR) ((?:" + _IDENTIFIER + rb"\.)?[-+*/<>=~!@#%^&|`?]+)")
_CAST: Final = _pattern(rb"CREATE (CAST) (\(.*? AS .*?\)) (?=WITH)")
_LARGE_OBJECT: Final = _pattern(rb"SELECT pg_catalog\.lo_create\(('\d+')\);")
_ROUTINE: Final = _pattern(rb"CREATE (?:OR REPLACE )?(" + _ROUTINES + rb") " + _NAME)


@dataclass(frozen=True)
class Server:
    """What a server knows, by name: settings (in lower case), roles, and the extensions that this user can have."""

    settings: frozenset[str]
    roles: frozenset[str]
    extensions: frozenset[str]


@dataclass
class Rules:
    """The rules of one restore.

    With `clean`, what the dump creates is dropped right before, with all that depends on it, in the same transaction;
    `replacing.SETUP` is to be run first. `warn` is called with what is left out although the dump asks for it.
    """

    server: Server
    clean: bool = False
    warn: Callable[[str], None] = field(default=lambda _: None)
    missing: set[str] = field(default_factory=set)
    """The extensions that were left out."""
    _created: bool = False
    _policies: set[tuple[bytes, ...]] = field(default_factory=set)

    def refusal(self, statement: bytes) -> str | None:
        """What it is that makes the dump unfit, None where nothing does."""
        return next((what for pattern, what in _REFUSED if pattern.match(statement)), None)

    def adapted(self, statement: bytes, *, whole: bool = True) -> bytes:
        """The statement as it is to be run; only its line breaks where it is left out.

        A statement that is not `whole` is the beginning of a long one, which is changed at its beginning only.
        """
        setting = _SETTING.fullmatch(statement)
        unknown = setting is not None and setting[1].decode().lower() not in self.server.settings
        if unknown or any(pattern.fullmatch(statement) for pattern in _LEFT_OUT) or self._is_unfit(statement):
            return _line_breaks(statement)
        statement = _SCHEMA.sub(b"CREATE SCHEMA IF NOT EXISTS", statement, count=1)
        if not self._created and (dropped := self._drop_if_there(statement)) is not None:
            return dropped
        self._created = self._created or statement[:6].upper() in (b"CREATE", b"INSERT")
        if policy := _POLICY.match(statement):
            statement = self._policy_for_roles_here(policy, statement)
        return self._replacing(statement, whole=whole) if self.clean else statement

    def _is_unfit(self, statement: bytes) -> bool:
        """Whether the statement needs an extension or a role that is not here."""
        if named := _EXTENSION.match(statement):
            extension = _unquoted(named[1])
            if extension not in self.server.extensions and extension not in self.missing:
                self.missing.add(extension)
                self.warn(
                    f"extension {extension} is left out: the server does not have it, or this user may not create it"
                )
            return extension in self.missing
        if mapping := _USER_MAPPING.match(statement):
            role = _unquoted(mapping[1])
            if not self._is_here(role):
                if statement[:6].upper() == b"CREATE":
                    self.warn(f"the user mapping of {role} is left out: this server has no such role")
                return True
        if note := _POLICY_NOTE.match(statement):
            return note.groups() in self._policies
        return False

    def _is_here(self, role: str) -> bool:
        return role in _EVERYBODY or role in self.server.roles

    def _policy_for_roles_here(self, policy: re.Match[bytes], statement: bytes) -> bytes:
        """The policy without the roles that are not here; without any role left it has no effect."""
        name, table, roles = policy.groups()
        here = [role for role in re.findall(_ROLE, roles) if self._is_here(_unquoted(role))]
        if missing := ", ".join(
            sorted({_unquoted(role) for role in re.findall(_ROLE, roles)} - {*map(_unquoted, here)})
        ):
            what = f"is restored without {missing}" if here else f"for {missing} is left out"
            self.warn(f"policy {_text(name)} on {_text(table)} {what}: this server has no such role")
        if here:
            return statement[: policy.start(3)] + b", ".join(here) + statement[policy.end(3) :]
        self._policies.add((name, table))
        return _line_breaks(statement)

    def _drop_if_there(self, statement: bytes) -> bytes | None:
        """What becomes of a statement that drops or changes what may not be there, None where it is none of these.

        `clean` makes them superfluous.
        """
        if unlink := _UNLINK.fullmatch(statement):
            changed = replacing.unlinking(unlink[1])
        elif dummy := _DUMMY_VIEW.match(statement):
            changed = replacing.if_there(dummy[1], statement)
        elif found := _DROP_CONSTRAINT.fullmatch(statement):
            changed = found.expand(rb"\1IF EXISTS \2IF EXISTS \4")
        elif found := next(filter(None, (pattern.fullmatch(statement) for pattern in _DROPS)), None):
            changed = found.expand(rb"\1IF EXISTS \2")
        else:
            return None
        return _line_breaks(statement) if self.clean else changed

    def _replacing(self, statement: bytes, *, whole: bool) -> bytes:
        if found := _OBJECT.match(statement):
            return replacing.dropping(found[1], _parts(found[2])) + statement
        if found := _OPERATOR.match(statement):
            schema, _, name = found[2].rpartition(b".")
            return replacing.dropping(found[1], [*_parts(schema), name]) + statement
        if found := _CAST.match(statement):
            return replacing.dropping(found[1], [found[2]]) + statement
        if found := _LARGE_OBJECT.fullmatch(statement):
            return replacing.unlinking(found[1]) + statement
        if found := _ROUTINE.match(statement):
            rest = statement[found.end() :]
            way = replacing.dropping_routine(found[1], found[2], _parts(found[2]), rest[:-1]) if whole else b""
            breaks = _line_breaks(statement[: found.end()])
            return way + b"CREATE OR REPLACE " + found[1] + b" " + found[2] + breaks + rest
        return statement


def _parts(name: bytes) -> list[bytes]:
    """The identifiers of a name as they are in the catalog."""
    found = re.findall(_IDENTIFIER, name)
    return [part[1:-1].replace(b'""', b'"') if part[:1] == b'"' else part.lower() for part in found]


def _unquoted(identifier: bytes) -> str:
    return b"".join(_parts(identifier)).decode(errors="replace")


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


def _line_breaks(text: bytes) -> bytes:
    return b"\n" * text.count(b"\n")
