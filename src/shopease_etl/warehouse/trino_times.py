"""Rewrites of what Trino does with time zones and with patterns of dates."""

import re
from typing import Final

from sqlglot import exp

from shopease_etl.errors import ConfigurationError

_ZONES: Final = {"at_timezone", "with_timezone"}
# a time in a zone is computed as the clock's time there, which is right for all that reads its fields
_READS_FIELDS: Final = (
    *(exp.Select, exp.Alias, exp.Ordered, exp.Group, exp.Paren, exp.Window, exp.Extract, exp.TimeToStr, exp.Date),
    *(exp.TimestampTrunc, exp.DateTrunc, exp.Year, exp.Quarter, exp.Month, exp.Week, exp.WeekOfYear, exp.Day),
    *(
        exp.DayOfMonth,
        exp.DayOfWeekIso,
        exp.DayOfYear,
        exp.YearOfWeekIso,
        exp.Hour,
        exp.Minute,
        exp.Second,
        exp.LastDay,
    ),
)
_CLOCK_TYPES: Final = {exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMP}
_FIELD_FUNCTIONS: Final = {"format_datetime", "millisecond", "yow"}
_PATTERN: Final = re.compile(r"'(?P<text>[^']*)'|(?P<field>(?P<letter>[A-Za-z])(?P=letter)*)|(?P<other>[^A-Za-z']+)")
# Joda's letters, https://trino.io/docs/current/functions/datetime.html#java-date-functions
_FIELDS: Final = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "m": "%-M",
    "ss": "%S",
    "s": "%-S",
    "SSS": "%g",
    "a": "%p",
    "EEEE": "%A",
    "EEE": "%a",
    "E": "%a",
    "DDD": "%j",
}


def rewrite_time_zones(query: exp.Expr) -> None:
    """Computes AT TIME ZONE and its functions as the clock's time in the zone.

    ConfigurationError where the moment counts, not what the clock shows: DuckDB keeps no zone with a value.
    """
    for node in list(query.find_all(exp.AtTimeZone, exp.Anonymous)):
        if _is_zoned(node) and not (node.parent and _is_zoned(node.parent)):
            if not _reads_fields(node):
                raise ConfigurationError(
                    "a time in a zone can be shown, cast or read by fields on a local lake, not compared",
                    hint="cast it first: CAST(x AT TIME ZONE 'Europe/Paris' AS timestamp)",
                )
            node.replace(_clock(node))


def format_datetime(node: exp.Expr) -> None:
    """Writes format_datetime() as strftime()."""
    value, pattern = node.expressions
    node.replace(exp.func("strftime", value.copy(), _as_strftime(pattern)))


def parse_datetime(node: exp.Expr) -> None:
    """Writes parse_datetime() as strptime(); without a zone in the text it is a moment in UTC."""
    pattern = _as_strftime(node.args["format"])
    parsed = exp.Anonymous(this="strptime", expressions=[node.this.copy(), pattern])
    node.replace(exp.cast(parsed, "timestamptz"))


def _is_zoned(node: exp.Expr) -> bool:
    return isinstance(node, exp.AtTimeZone) or (isinstance(node, exp.Anonymous) and node.name.lower() in _ZONES)


def _reads_fields(node: exp.Expr) -> bool:
    parent = node.parent
    if isinstance(parent, exp.Cast):
        return parent.args["to"].this in _CLOCK_TYPES
    if isinstance(parent, exp.Anonymous):
        return parent.name.lower() in _FIELD_FUNCTIONS
    return isinstance(parent, _READS_FIELDS)


def _parts(node: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
    value, zone = (node.this, node.args["zone"]) if isinstance(node, exp.AtTimeZone) else node.expressions
    return value, zone.copy()


def _clock(node: exp.Expr) -> exp.Expr:
    """What the clock shows, as a timestamp without zone."""
    value, zone = _parts(node)
    if node.name.lower() == "with_timezone":
        return exp.cast(value.copy(), "timestamp")
    return exp.Anonymous(this="timezone", expressions=[zone, _moment(value)])


def _moment(node: exp.Expr) -> exp.Expr:
    """The moment, as a timestamp with time zone; a timestamp without zone is one in UTC, Athena's session zone."""
    inner = node.unnest()
    if not _is_zoned(inner):
        return exp.cast(node.copy(), "timestamptz")
    value, zone = _parts(inner)
    if inner.name.lower() == "with_timezone":
        return exp.Anonymous(this="timezone", expressions=[zone, exp.cast(value.copy(), "timestamp")])
    return _moment(value)


def _as_strftime(pattern: exp.Expr) -> exp.Expr:
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ConfigurationError("the pattern of a date has to be a literal on a local lake")
    return exp.Literal.string("".join(_field(match) for match in _PATTERN.finditer(pattern.name)))


def _field(match: re.Match[str]) -> str:
    if (field := match["field"]) is None:
        return (match["other"] or match["text"] or "'").replace("%", "%%")
    if field not in _FIELDS:
        raise ConfigurationError(
            f"the letters {field} in the pattern of a date are not available on a local lake",
            hint=f"available: {', '.join(_FIELDS)}",
        )
    return _FIELDS[field]
