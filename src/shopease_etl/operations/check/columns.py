"""Columns whose type in the source cannot give what the contract expects, so that their values would be rejected."""

import re
from collections.abc import Iterator
from typing import Final

from shopease_etl.contract.tables import BIGINT, MONEY, TIMESTAMP, Table
from shopease_etl.operations.check.lines import warned
from shopease_etl.report import CheckLine
from shopease_etl.source.postgres import SourceTable

# Types whose text is never a number nor a date. What is text, an enum or of an extension may fit: only its values tell.
_OTHER: Final = (
    r"boolean|uuid|bytea|money|interval.*|time(\(\d\))? with(out)? time zone|inet|cidr|macaddr8?|pg_lsn|xml|tsvector"
    r"|tsquery|point|line|lseg|box|path|polygon|circle|\w+range|\w+multirange|.*\[\]"
)
_DATES: Final = r"date|timestamp(\(\d\))? with(out)? time zone"
_NUMBERS: Final = r"smallint|integer|bigint|numeric(\(.*\))?|real|double precision|oid"
# numeric(10,2) writes 3.00, and an integer has no point; numeric(10,0) and numeric write 3.
_FRACTIONS: Final = r"numeric\(\d+,[1-9]\d*\)"
_NEVER: Final = {
    BIGINT: ("an integer", re.compile(f"{_OTHER}|{_DATES}|{_FRACTIONS}")),
    MONEY: ("a number", re.compile(f"{_OTHER}|{_DATES}")),
    TIMESTAMP: ("a timestamp or a date", re.compile(f"{_OTHER}|{_NUMBERS}")),
}


def unfit_columns(table: Table, source: SourceTable) -> Iterator[CheckLine]:
    """A warning for each known column whose type cannot fit, with the type and what is expected."""
    known = {column.name: column.type for column in table.columns}
    for name, kind in zip(source.columns, source.base_types, strict=True):
        expected, never = _NEVER.get(known.get(name, ""), ("", None))
        if never and never.fullmatch(kind):
            detail = f"{kind}, but {expected} is expected: its values would be rejected or read as NULL"
            fix = f"change the type, or set SHOPEASE_SOURCE_SCHEMA to a schema of views that cast {name}"
            yield warned(f"column {table.source}.{name}", detail, fix)
