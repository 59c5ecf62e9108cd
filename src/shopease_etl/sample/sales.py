"""Sales: who buys what, when, where and how, in batches in the order of time."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from shopease_etl.sample.dirt import ROW
from shopease_etl.sample.draws import Draws, choose_by_share, choose_by_weight
from shopease_etl.sample.seasons import DAY, HOUR, Month, months
from shopease_etl.sample.vocabulary import CATEGORIES, FIRST_ID, STORES, WORDS


@dataclass(frozen=True)
class Batch:
    """`count` of the `total` sales of a month, from its number `first` on; `row` is the first's number in the table."""

    month: Month
    first: int
    count: int
    total: int
    row: int


def sales(total: int, seed: int, people: pl.DataFrame, goods: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The clean sale_transactions table in batches, with column `row`; each month has its share of the total."""
    year = list(months(seed))
    weight = sum(month.weight for month in year)
    weights_so_far = row = 0
    for month in year:
        weights_so_far += month.weight
        in_month = total * weights_so_far // weight - row
        for first in range(0, in_month, 150_000):
            batch = Batch(month, first, min(150_000, in_month - first), in_month, row + first)
            yield _rows(batch, Draws(seed, "sales", batch.row), people, goods)
        row += in_month


def _rows(batch: Batch, draws: Draws, people: pl.DataFrame, goods: pl.DataFrame) -> pl.DataFrame:
    """The batch's rows of the table."""
    count, month = batch.count, batch.month
    moments = month.moments(batch.first, count, batch.total, draws)
    buyers = _buyers(month, moments, draws, people)
    bought = choose_by_weight(draws.uniform(count), _product_weights(month, goods))
    channels = _channels(month, moments, draws.uniform(count))
    cents = goods["cents"].gather(bought)
    row = pl.int_range(batch.row, batch.row + count, eager=True, dtype=pl.Int64)
    return pl.DataFrame(
        {
            ROW: row,
            "transaction_id": row + FIRST_ID["sales"],
            "store_id": _stores(draws.uniform(count), people["home"].gather(buyers)) + FIRST_ID["stores"],
            "customer_id": people[ROW].gather(buyers) + FIRST_ID["customers"],
            "product_id": goods[ROW].gather(bought) + FIRST_ID["products"],
            "quantity": _quantities(cents, draws.uniform(count)),
            "unit_price": _unit_prices(cents, month, draws.uniform(count)),
            "payment_method": _payment_methods(channels, draws.uniform(count)),
            "sales_channel": pl.Series(WORDS["channel"]).gather(channels),
            "created_at": moments.cast(pl.Datetime("us")),
            "updated_at": _last_updates(moments, draws).cast(pl.Datetime("us")),
        }
    )


def _buyers(month: Month, moments: pl.Series, draws: Draws, people: pl.DataFrame) -> pl.Series:
    """A customer for each sale, by weight among the month's customers; no customer buys before joining."""
    joined = people["joined"]
    weights = people["weight"] * ((joined < month.end) & (people["left"] > month.start)).cast(pl.Int64)
    known = weights * (joined <= month.start).cast(pl.Int64)
    chosen = choose_by_weight(draws.uniform(len(moments)), weights)
    instead = choose_by_weight(draws.uniform(len(moments)), known)
    return chosen.zip_with(joined.gather(chosen) <= moments, instead)


def _product_weights(month: Month, goods: pl.DataFrame) -> pl.Series:
    """The weight of each product in a month: its own times its category's in that month, and 0 before its launch."""
    season = pl.Series([category.months[month.month - 1] for category in CATEGORIES], dtype=pl.Int64)
    launched = (goods["launched"] <= month.start).cast(pl.Int64)
    return goods["weight"] * season.gather(goods["category"]) * launched


def _channels(month: Month, moments: pl.Series, uniform: pl.Series) -> pl.Series:
    """The channel of each sale by number; none is in a store that is closed."""
    hour = moments % DAY // HOUR
    is_open = (hour >= 9) & (hour < 21)
    if month.month == 12:
        is_open &= (moments - month.start) // DAY + 1 != 25
    by_year = {2021: (56, 30, 9, 5), 2022: (53, 31, 12, 4), 2023: (50, 31, 16, 3)}
    open_shares = by_year.get(month.year, (47, 31, 20, 2))
    return choose_by_share(uniform, (0, 58, 42, 0), open_shares, group=is_open.cast(pl.Int64))


def _stores(uniform: pl.Series, homes: pl.Series) -> pl.Series:
    """In four of five cases the customer's own store, else any."""
    loyal = 0.8
    shares = [store.share for store in STORES]
    elsewhere = choose_by_share(((uniform - loyal) / (1 - loyal)).clip(0, 0.999), shares)
    return homes.zip_with(uniform < loyal, elsewhere)


def _quantities(cents: pl.Series, uniform: pl.Series) -> pl.Series:
    """How many are bought: more of what is cheap."""
    band = (cents >= 1_500).cast(pl.Int64) + (cents >= 10_000).cast(pl.Int64)
    return choose_by_share(uniform, (46, 27, 13, 8, 6), (70, 19, 7, 3, 1), (93, 6, 1), group=band) + 1


def _unit_prices(cents: pl.Series, month: Month, uniform: pl.Series) -> pl.Series:
    """The price in dollars, sometimes lower by a multiple of five percent."""
    is_sale = month.month in (1, 7, 11, 12)
    shares = (58, 6, 12, 6, 11, 3, 4) if is_sale else (80, 5, 7, 2, 4, 1, 1)
    return (cents * (100 - choose_by_share(uniform, shares) * 5) + 50) // 100 / 100


def _payment_methods(channels: pl.Series, uniform: pl.Series) -> pl.Series:
    in_store, online = (43, 27, 15, 0, 6, 9), (50, 18, 0, 27, 5, 0)
    mobile_app, phone = (38, 14, 0, 21, 4, 23), (72, 22, 0, 0, 6, 0)
    numbers = choose_by_share(uniform, in_store, online, mobile_app, phone, group=channels)
    return pl.Series(WORDS["payment_method"]).gather(numbers)


def _last_updates(moments: pl.Series, draws: Draws) -> pl.Series:
    """When a sale was last changed: mostly within two minutes, sometimes days later."""
    count = len(moments)
    seconds = (draws.uniform(count) * 120_000_000).cast(pl.Int64) + 1_000_000
    days = (draws.uniform(count) * 20 * DAY).cast(pl.Int64)
    return moments + seconds + days * (draws.uniform(count) < 0.07).cast(pl.Int64)
