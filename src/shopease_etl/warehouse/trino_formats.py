"""Trino's format() of numbers and texts."""

import re
from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from shopease_etl.errors import ConfigurationError

_PIECE: Final = re.compile(r"%%|%(?P<grouped>,?)(?:[.](?P<digits>\d{1,2}))?(?P<kind>[sdf])|(?P<text>[^%]+)|%")


def rewrite_format(node: exp.Expr) -> None:
    """Writes format() as a concatenation; ConfigurationError for what its pattern has and a local lake has not."""
    pattern = node.this
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ConfigurationError("format() needs its pattern as a literal on a local lake")
    values = iter(node.expressions)
    pieces = [_format_piece(match, values, pattern.name) for match in _PIECE.finditer(pattern.name)]
    node.replace(exp.func("concat", *(pieces or [exp.Literal.string("")])))


def _format_piece(match: re.Match[str], values: Iterator[exp.Expr], pattern: str) -> exp.Expr:
    if match["text"] is not None or match[0] == "%%":
        return exp.Literal.string(match["text"] or "%")
    value = next(values, None)
    if match["kind"] is None or value is None:
        raise ConfigurationError(f"format('{pattern}', …): a local lake knows %s, %d, %,d, %.2f, %,.2f and their like")
    return exp.func("coalesce", _formatted(value.copy(), match), exp.Literal.string("null"))


def _formatted(value: exp.Expr, match: re.Match[str]) -> exp.Expr:
    text = exp.cast(value, "varchar")
    if match["kind"] == "s":
        return text
    digits = 0 if match["kind"] == "d" else min(int(match["digits"] or 6), 30)
    # by way of its text a double is rounded in decimal digits, as Java's formatter does
    fixed = exp.cast(exp.cast(text, f"decimal(38, {digits})"), "varchar")
    return exp.func("shopease_grouped", fixed) if match["grouped"] else fixed
