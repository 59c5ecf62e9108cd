"""Sales: who buys what, when, where and how, in batches in the order of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from shopease_etl.sample.dirt import ROW
from shopease_etl.sample.draws import Draws, choose, deal, deck
from shopease_etl.sample.seasons import DAY, HOUR, Month, months
from shopease_etl.sample.vocabulary import (
    CATEGORIES,
    CHANNELS,
    FIRST_CUSTOMER_ID,
    FIRST_PRODUCT_ID,
    FIRST_SALE_ID,
    FIRST_STORE_ID,
    PAYMENT_METHODS,
    SHOPS,
)

_BATCH: Final = 150_000
_OPENS: Final = 9
_CLOSES: Final = 21
_CHRISTMAS: Final = 25
_AT_NIGHT: Final = deck(0, 58, 42, 0)
_BY_YEAR: Final = {2021: deck(56, 30, 9, 5), 2022: deck(53, 31, 12, 4), 2023: deck(50, 31, 16, 3)}
_SINCE: Final = deck(47, 31, 20, 2)
_PAYMENTS: Final = (
    deck(43, 27, 15, 0, 6, 9),
    deck(50, 18, 0, 27, 5, 0),
    deck(38, 14, 0, 21, 4, 23),
    deck(72, 22, 0, 0, 6, 0),
)
_QUANTITIES: Final = (deck(46, 27, 13, 8, 6), deck(70, 19, 7, 3, 1), deck(93, 6, 1))
_MIDDLING: Final = 1_500
_DEAR: Final = 10_000
"""Where the price bands begin, in cents."""
_USUAL_DISCOUNT: Final = deck(80, 5, 7, 2, 4, 1, 1)
_SALE_DISCOUNT: Final = deck(58, 6, 12, 6, 11, 3, 4)
_SALE_MONTHS: Final = (1, 7, 11, 12)
_STORES: Final = deck(*(shop.share for shop in SHOPS))
_FAITHFUL: Final = 0.8


@dataclass(frozen=True)
class Part:
    """A batch of sales: `count` of the `of` sales of a month, from the month's `first` on; `row` numbers the first."""

    month: Month
    first: int
    count: int
    of: int
    row: int


def sales(total: int, seed: int, people: pl.DataFrame, goods: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The clean sale_transactions table in batches, with column `row`."""
    for part in _parts(total, seed):
        yield _sold(part, Draws(seed, "sales", part.row), people, goods)


def _parts(total: int, seed: int) -> Iterator[Part]:
    """The months in batches, each month with its share of the total."""
    year = list(months(seed))
    weight = sum(month.weight for month in year)
    reach = row = 0
    for month in year:
        reach += month.weight
        of = total * reach // weight - row
        for first in range(0, of, _BATCH):
            yield Part(month, first, min(_BATCH, of - first), of, row + first)
        row += of


def _sold(part: Part, draws: Draws, people: pl.DataFrame, goods: pl.DataFrame) -> pl.DataFrame:
    """One batch of the table."""
    count, month = part.count, part.month
    moments = month.moments(part.first, count, part.of, draws)
    buyers = _buyers(month, moments, draws, people)
    things = choose(draws.uniform(count), _appeal(month, goods))
    channels = deal(draws.uniform(count), _AT_NIGHT, _BY_YEAR.get(month.year, _SINCE), of=_open(month, moments))
    cents = goods["cents"].gather(things)
    row = pl.int_range(part.row, part.row + count, eager=True, dtype=pl.Int64)
    return pl.DataFrame(
        {
            ROW: row,
            "transaction_id": row + FIRST_SALE_ID,
            "store_id": _stores(draws.uniform(count), people["home"].gather(buyers)) + FIRST_STORE_ID,
            "customer_id": people[ROW].gather(buyers) + FIRST_CUSTOMER_ID,
            "product_id": goods[ROW].gather(things) + FIRST_PRODUCT_ID,
            "quantity": deal(draws.uniform(count), *_QUANTITIES, of=_price_band(cents)) + 1,
            "unit_price": _discounted(cents, month, draws.uniform(count)),
            "payment_method": _named(PAYMENT_METHODS, deal(draws.uniform(count), *_PAYMENTS, of=channels)),
            "sales_channel": _named(CHANNELS, channels),
            "created_at": moments.cast(pl.Datetime("us")),
            "updated_at": _settled(moments, draws).cast(pl.Datetime("us")),
        }
    )


def _buyers(month: Month, moments: pl.Series, draws: Draws, people: pl.DataFrame) -> pl.Series:
    """A customer for each sale, by weight among those who are there; nobody buys before joining."""
    joined = people["joined"]
    weights = people["weight"] * ((joined < month.end) & (people["left"] > month.start)).cast(pl.Int64)
    known = weights * (joined <= month.start).cast(pl.Int64)
    chosen = choose(draws.uniform(len(moments)), weights)
    instead = choose(draws.uniform(len(moments)), known)
    return chosen.zip_with(joined.gather(chosen) <= moments, instead)


def _appeal(month: Month, goods: pl.DataFrame) -> pl.Series:
    """The weight of each product in a month: its own, by its category's season, and none before its launch."""
    season = pl.Series([category.seasons[month.month - 1] for category in CATEGORIES], dtype=pl.Int64)
    launched = (goods["launched"] <= month.start).cast(pl.Int64)
    return goods["weight"] * season.gather(goods["category"]) * launched


def _open(month: Month, moments: pl.Series) -> pl.Series:
    """1 where the stores are open at the moment, else 0."""
    hour = moments % DAY // HOUR
    is_open = (hour >= _OPENS) & (hour < _CLOSES)
    if month.month == 12:
        is_open &= (moments - month.start) // DAY + 1 != _CHRISTMAS
    return is_open.cast(pl.Int64)


def _stores(uniform: pl.Series, homes: pl.Series) -> pl.Series:
    """Mostly the customer's own store, else any."""
    elsewhere = deal(((uniform - _FAITHFUL) / (1 - _FAITHFUL)).clip(0, 0.999), _STORES)
    return homes.zip_with(uniform < _FAITHFUL, elsewhere)


def _price_band(cents: pl.Series) -> pl.Series:
    """0 for cheap things, of which people take several, to 2 for dear ones."""
    return (cents >= _MIDDLING).cast(pl.Int64) + (cents >= _DEAR).cast(pl.Int64)


def _discounted(cents: pl.Series, month: Month, uniform: pl.Series) -> pl.Series:
    """The price in dollars, now and then some multiple of five percent lower."""
    cards = _SALE_DISCOUNT if month.month in _SALE_MONTHS else _USUAL_DISCOUNT
    return (cents * (100 - deal(uniform, cards) * 5) + 50) // 100 / 100


def _settled(moments: pl.Series, draws: Draws) -> pl.Series:
    """When a sale was last touched: mostly within two minutes, some days later."""
    count = len(moments)
    seconds = (draws.uniform(count) * 120_000_000).cast(pl.Int64) + 1_000_000
    days = (draws.uniform(count) * 20 * DAY).cast(pl.Int64)
    return moments + seconds + days * (draws.uniform(count) < 0.07).cast(pl.Int64)


def _named(names: tuple[str, ...], numbers: pl.Series) -> pl.Series:
    return pl.Series(names).gather(numbers)
