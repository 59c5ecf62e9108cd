"""What becomes of each statement of a plain dump: refused, left out, or changed to fit another server."""

import re
from dataclasses import dataclass
from typing import Final

_NAME = rb'((?:"(?:[^"]|"")+"|[\w$\x80-\xff]+)(?:\.(?:"(?:[^"]|"")+"|[\w$\x80-\xff]+))*)'
_ROLE = rb'(?:"(?:[^"]|"")+"|[\w$\x80-\xff-]+)'


def _pattern(text: bytes) -> re.Pattern[bytes]:
    return re.compile(text.replace(b" ", rb"\s+"), re.I | re.S)


_REFUSED: Final = (
    (_pattern(rb"(?:CREATE|ALTER|DROP) DATABASE\b"), "CREATE DATABASE (of pg_dump --create)"),
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
    _pattern(rb"COMMENT ON EXTENSION\b.*"),
    _pattern(rb"(?:CREATE|ALTER|COMMENT ON) (?:EVENT TRIGGER|PUBLICATION|SUBSCRIPTION)\b.*"),
)
_SETTING: Final = _pattern(rb"SET (?:SESSION |LOCAL )?(\w+)\s*(?:=|TO\b).*")
_CREATED: Final = _pattern(
    rb"CREATE (?:UNLOGGED )?(FOREIGN TABLE|TABLE|MATERIALIZED VIEW|VIEW|SEQUENCE|TYPE(?= \S+ AS\b)|DOMAIN)"
    rb" (?:IF NOT EXISTS )?" + _NAME
)
_ROUTINE: Final = _pattern(rb"CREATE(?= (?:FUNCTION|PROCEDURE|AGGREGATE)\b)")
_SCHEMA: Final = _pattern(rb"\ACREATE SCHEMA(?= (?!IF\b|AUTHORIZATION\b))")


@dataclass(frozen=True)
class Rules:
    """The rules of one restore: `settings` are the names that the server knows, in lower case.

    With `clean`, what the dump creates is dropped right before, with all that depends on it, in the same transaction.
    """

    settings: frozenset[str]
    clean: bool = False

    def refusal(self, statement: bytes) -> str | None:
        """What it is that makes the dump unfit, None where nothing does."""
        return next((what for pattern, what in _REFUSED if pattern.match(statement)), None)

    def adapted(self, statement: bytes) -> bytes:
        """The statement as it is to be run; only its line breaks where it is left out."""
        setting = _SETTING.fullmatch(statement)
        unknown = setting is not None and setting[1].decode().lower() not in self.settings
        if unknown or any(pattern.fullmatch(statement) for pattern in _LEFT_OUT):
            return b"\n" * statement.count(b"\n")
        statement = _SCHEMA.sub(b"CREATE SCHEMA IF NOT EXISTS", statement, count=1)
        return self._cleaned(statement) if self.clean else statement

    def _cleaned(self, statement: bytes) -> bytes:
        if created := _CREATED.match(statement):
            return b"DROP " + b" ".join(created[1].split()) + b" IF EXISTS " + created[2] + b" CASCADE; " + statement
        if routine := _ROUTINE.match(statement):
            return b"CREATE OR REPLACE" + statement[routine.end() :]
        return statement
