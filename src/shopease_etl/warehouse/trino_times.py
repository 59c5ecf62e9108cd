"""Rewrites of arithmetic with dates, of time zones, and of patterns of dates."""

import re
from typing import Final

from sqlglot import exp

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.trino_numbers import replace_typed

# a time in a zone becomes the local time there, which is right for everything that reads its fields
_READS_FIELDS: Final = (
    *(exp.Select, exp.Alias, exp.Ordered, exp.Group, exp.Paren, exp.Window, exp.Extract, exp.TimeToStr, exp.Date),
    *(exp.TimestampTrunc, exp.DateTrunc, exp.Year, exp.Quarter, exp.Month, exp.Week, exp.WeekOfYear, exp.Day),
    *(exp.DayOfMonth, exp.DayOfWeekIso, exp.DayOfYear, exp.YearOfWeekIso, exp.Hour, exp.Minute, exp.Second),
    exp.LastDay,
)
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
_EXTRACTED: Final = {
    **{field: field for field in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")},
    **dict.fromkeys(("DAY_OF_WEEK", "DAYOFWEEK", "DOW"), "ISODOW"),
    **dict.fromkeys(("DAY_OF_YEAR", "DAYOFYEAR", "DOY"), "DOY"),
    **dict.fromkeys(("YEAR_OF_WEEK", "YEAROFWEEK", "YOW"), "ISOYEAR"),
    **dict.fromkeys(("DAY_OF_MONTH", "DAYOFMONTH"), "DAY"),
}


def rewrite_time_zones(query: exp.Expr) -> None:
    """AT TIME ZONE and its functions give the local time of the zone.

    ConfigurationError where the instant matters, not the local time: DuckDB's values have no zone.
    """
    for node in list(query.find_all(exp.AtTimeZone, exp.Anonymous)):
        if _is_zoned(node) and not (node.parent and _is_zoned(node.parent)):
            if not _reads_fields(node):
                raise ConfigurationError(
                    "a time in a zone can be shown, cast or read by fields on a local lake, not compared",
                    hint="cast it first: CAST(x AT TIME ZONE 'Europe/Paris' AS timestamp)",
                )
            node.replace(_local_time(node))


def format_datetime(node: exp.Expr) -> None:
    """Write format_datetime() as strftime()."""
    value, pattern = node.expressions
    node.replace(exp.func("strftime", value.copy(), _as_strftime(pattern)))


def parse_datetime(node: exp.Expr) -> None:
    """Write parse_datetime() as strptime(); a text without a zone is in UTC."""
    pattern = _as_strftime(node.args["format"])
    parsed = exp.Anonymous(this="strptime", expressions=[node.this.copy(), pattern])
    node.replace(exp.cast(parsed, "timestamptz"))


def _is_zoned(node: exp.Expr) -> bool:
    return isinstance(node, exp.AtTimeZone) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in {"at_timezone", "with_timezone"}
    )


def _reads_fields(node: exp.Expr) -> bool:
    parent = node.parent
    if isinstance(parent, exp.Cast):
        return parent.args["to"].this in {exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMP}
    if isinstance(parent, exp.Anonymous):
        return parent.name.lower() in {"format_datetime", "millisecond", "yow"}
    return isinstance(parent, _READS_FIELDS)


def _parts(node: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
    value, zone = (node.this, node.args["zone"]) if isinstance(node, exp.AtTimeZone) else node.expressions
    return value, zone.copy()


def _local_time(node: exp.Expr) -> exp.Expr:
    """The local time, as a timestamp without zone."""
    value, zone = _parts(node)
    if node.name.lower() == "with_timezone":
        return exp.cast(value.copy(), "timestamp")
    return exp.Anonymous(this="timezone", expressions=[zone, _instant(value)])


def _instant(node: exp.Expr) -> exp.Expr:
    """The instant, as a timestamp with time zone; a timestamp without zone is in UTC, Athena's session zone."""
    inner = node.unnest()
    if not _is_zoned(inner):
        return exp.cast(node.copy(), "timestamptz")
    value, zone = _parts(inner)
    if inner.name.lower() == "with_timezone":
        return exp.Anonymous(this="timezone", expressions=[zone, exp.cast(value.copy(), "timestamp")])
    return _instant(value)


def _as_strftime(pattern: exp.Expr) -> exp.Expr:
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ConfigurationError("a date pattern must be a literal on a local lake")
    parts = r"'(?P<text>[^']*)'|(?P<field>(?P<letter>[A-Za-z])(?P=letter)*)|(?P<other>[^A-Za-z']+)"
    return exp.Literal.string("".join(_field(match) for match in re.finditer(parts, pattern.name)))


def _field(match: re.Match[str]) -> str:
    if (field := match["field"]) is None:
        return (match["other"] or match["text"] or "'").replace("%", "%%")
    if field not in _FIELDS:
        raise ConfigurationError(
            f"the letters {field} in a date pattern are not available on a local lake",
            hint=f"available: {', '.join(_FIELDS)}",
        )
    return _FIELDS[field]


def keep_type(node: exp.Expr) -> None:
    """A date stays a date: the result gets the type of the value that it is computed from."""
    node.replace(exp.func("cast_to_type", node.copy(), node.this.copy()))


def keep_type_of_other_side(node: exp.Expr) -> None:
    """A date plus an interval stays a date; the difference of two dates is an interval."""
    sides = [side for side in (node.this, node.expression) if not isinstance(side.unnest(), exp.Interval)]
    if len(sides) == 1:
        node.replace(exp.func("cast_to_type", node.copy(), sides[0].copy()))
    elif isinstance(node, exp.Sub) and not any(isinstance(side, exp.Literal) for side in sides):
        replace_typed(node, "shopease_minus", sides)


def whole_units(node: exp.Expr) -> None:
    """Trino counts complete units, DuckDB's date_diff the boundaries between them."""
    unit = exp.Literal.string(node.text("unit").lower() or "day")
    node.replace(exp.func("datesub", unit, node.expression.copy(), node.this.copy()))


def extract(node: exp.Expr) -> None:
    """Fields of extract() under DuckDB's names; ConfigurationError for a field that Athena does not have."""
    unit = node.this.name.upper()
    if unit not in _EXTRACTED:
        known = (
            "YEAR, QUARTER, MONTH, WEEK, DAY, DAY_OF_MONTH, DAY_OF_WEEK, DOW, DAY_OF_YEAR, DOY, YEAR_OF_WEEK, YOW, "
            "HOUR, MINUTE, SECOND"
        )
        raise ConfigurationError(f"Athena has no field {unit} in extract()", hint=f"it has {known}")
    node.set("this", exp.var(_EXTRACTED[unit]))


def week_of_year(node: exp.Expr) -> None:
    """Trino's %v is DuckDB's %V."""
    pattern = node.args["format"]
    if isinstance(pattern, exp.Literal):
        pattern.replace(exp.Literal.string(re.sub("%(.)", lambda field: field[0].replace("v", "V"), pattern.name)))
