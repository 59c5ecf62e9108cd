"""Functions that the formulas of gold share."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import polars as pl

from shopease_etl.contract.gold.dataset import GoldDataset
from shopease_etl.contract.tables import BIGINT, DATE, INT, MONEY, RATE, STRING

_TYPES: Final[Mapping[str, pl.DataType]] = {
    BIGINT: pl.Int64(),
    DATE: pl.Date(),
    INT: pl.Int32(),
    MONEY: pl.Decimal(18, 2),
    RATE: pl.Decimal(9, 4),
    STRING: pl.String(),
}


def average(total: str, count: str) -> pl.Expr:
    """A decimal column ÷ a count to the cent, half up (no total is negative), in integers: decimal division is inexact.

    The total must be smaller than 10^18.
    """
    whole, number = pl.col(total).cast(pl.Int64), pl.col(count).cast(pl.Int64)
    cents = ((pl.col(total) - _decimal(whole)) * 100).cast(pl.Int64)
    rest = 100 * (whole % number) + cents
    cent = pl.lit("0.01").cast(pl.Decimal(38, 2))
    return _decimal(whole // number) + _decimal((2 * rest + number) // (2 * number)) * cent


def conform(frame: pl.DataFrame, dataset: GoldDataset) -> pl.DataFrame:
    """The dataset's columns in the contract's order and types, its rows in the contract's order."""
    names = [name for name, _ in dataset.order_by]
    descending = [is_descending for _, is_descending in dataset.order_by]
    columns = (pl.col(column.name).cast(_TYPES[column.type]) for column in dataset.columns)
    return frame.sort(names, descending=descending, nulls_last=True).select(*columns)


def divided(dividend: pl.Expr, divisor: pl.Expr, places: int) -> pl.Expr:
    """An integer ÷ a positive one, rounded half away from zero to so many decimal places; a divisor of 0 gives NULL.

    Both must be smaller than 10^30.
    """
    whole, number = dividend.cast(pl.Int128), divisor.cast(pl.Int128)
    rounded = (2 * whole.abs() * 10**places + number) // (2 * number) * whole.sign()
    unit = pl.lit(str(Decimal(1).scaleb(-places))).cast(pl.Decimal(38, places))
    return _decimal(rounded) * unit


def _decimal(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.Decimal(38, 0))
