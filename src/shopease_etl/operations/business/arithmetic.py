"""Exact averages and percentages, rounded half up."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

CENT: Final = Decimal("0.01")
TENTH: Final = Decimal("0.1")
_DIGITS: Final = 60  # more than quotients of sums of decimal(18,2) need to round correctly


def quotient(total: Decimal | int | None, count: Decimal | int | None, step: Decimal = CENT) -> Decimal | None:
    """total ÷ count, rounded half up; None if either is None or the count is 0."""
    if total is None or not count:
        return None
    with localcontext(prec=_DIGITS):
        return (Decimal(total) / Decimal(count)).quantize(step, ROUND_HALF_UP)


def percent(part: Decimal | int | None, whole: Decimal | int | None) -> Decimal | None:
    """part ÷ whole in percent, with one decimal; None if either is None or the whole is 0."""
    return None if part is None else quotient(part * 100, whole, TENTH)


def change_percent(value: Decimal | int | None, before: Decimal | int | None) -> Decimal | None:
    """The change from an earlier value in percent of it; None if either is None or the earlier one is 0."""
    return None if value is None or before is None else percent(value - before, before)
