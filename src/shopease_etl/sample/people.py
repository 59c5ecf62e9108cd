"""Customers: when they come and go, how much they buy, where they live, what they are called."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from shopease_etl.sample.dirt import ROW
from shopease_etl.sample.draws import Draws, deal, deck, pareto_weights
from shopease_etl.sample.seasons import DAY, FIRST_DAY, LAST_DAY, moment
from shopease_etl.sample.vocabulary import (
    FIRST_CUSTOMER_ID,
    FIRST_NAMES,
    FIRST_NAMES_BEYOND_ASCII,
    LAST_NAMES,
    LAST_NAMES_BEYOND_ASCII,
    MAIL_DOMAINS,
    SHOPS,
    STREET_TYPES,
    STREETS,
    UNITS,
)

END: Final = moment(LAST_DAY) + DAY
_OPENING: Final = moment(FIRST_DAY)
_EARLIER: Final = 0.28
_EARLIER_SPAN: Final = 730 * DAY
_LEAVING: Final = 0.42
_BATCH: Final = 50_000
_SECOND: Final = 1_000_000

_FIRST: Final = [(name, name.lower()) for name in FIRST_NAMES for _ in range(4)] + list(FIRST_NAMES_BEYOND_ASCII)
_LAST: Final = [(name, name.lower().replace("'", "")) for name in LAST_NAMES for _ in range(4)] + list(
    LAST_NAMES_BEYOND_ASCII
)
_PLACES: Final = pl.DataFrame(
    [(home, number, *place) for home, shop in enumerate(SHOPS) for number, place in enumerate(shop.places)],
    schema=["home", "place", "city", "state", "zip", "area"],
    orient="row",
)


def lives(count: int, seed: int) -> pl.DataFrame:
    """The customers in order of joining as (row, joined, left, weight, home); moments in microseconds."""
    draws = Draws(seed, "lives")
    row = pl.int_range(count, eager=True, dtype=pl.Int64)
    joined = _joined((row + draws.uniform(count)) / count)
    leaving = draws.uniform(count) / _LEAVING
    stay = (leaving * (END - joined)).cast(pl.Int64)
    return pl.DataFrame(
        {
            ROW: row,
            "joined": joined,
            "left": joined + stay.clip(None, END - joined),
            "weight": pareto_weights(draws.order(count)),
            "home": deal(draws.uniform(count), deck(*(shop.share for shop in SHOPS))),
        }
    )


def customers(people: pl.DataFrame, seed: int) -> Iterator[pl.DataFrame]:
    """The clean customers table in batches, with column `row`."""
    for batch in people.iter_slices(_BATCH):
        yield _described(batch, Draws(seed, "customers", batch[ROW][0]))


def _joined(progress: pl.Series) -> pl.Series:
    """Some joined before the shop's years, the rest ever faster within them."""
    before = progress / _EARLIER
    within = (progress - _EARLIER) / (1 - _EARLIER)
    late = within * (1.3 - 0.3 * within) * (END - _OPENING - DAY) + _OPENING
    early = _OPENING - (1 - before) * _EARLIER_SPAN
    return late.zip_with(progress >= _EARLIER, early).cast(pl.Int64)


def _described(people: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    """The customers with all columns of their table."""
    count = len(people)
    chances = people.with_columns(
        _picked("first", _FIRST, draws, count),
        _picked("last", _LAST, draws, count),
        pl.Series("u", draws.uniform(count)),
        pl.Series("number", draws.whole(count, 10_000)),
        pl.Series("street", draws.words(count, STREETS) + " " + draws.words(count, STREET_TYPES)),
        pl.Series("unit", draws.words(count, UNITS)),
        pl.Series("domain", draws.words(count, MAIL_DOMAINS)),
        pl.Series("updated", draws.uniform(count)),
    )
    places = _PLACES.group_by("home").len("places")
    placed = (
        chances.join(places, on="home", how="left", maintain_order="left")
        .with_columns((pl.col("u") * pl.col("u") * pl.col("places")).cast(pl.Int64).alias("place"))
        .join(_PLACES, on=["home", "place"], how="left", maintain_order="left")
    )
    return placed.select(ROW, *_columns())


def _picked(name: str, choices: list[tuple[str, str]], draws: Draws, count: int) -> pl.Series:
    """Names as structs of their spelling and their spelling in a mail address."""
    frame = pl.DataFrame(choices, schema={"spelt": pl.String, "mailed": pl.String}, orient="row")
    return frame.to_struct(name).gather(draws.whole(count, len(choices)))


def _columns() -> tuple[pl.Expr, ...]:
    """The columns of the customers table out of chances and places."""
    first, last = pl.col("first").struct, pl.col("last").struct
    identity, number = pl.col(ROW) + FIRST_CUSTOMER_ID, pl.col("number")
    mailed = pl.concat_str(first.field("mailed"), pl.lit("."), last.field("mailed"))
    suffix = pl.when(number % 3 == 0).then(pl.lit("")).otherwise((identity % 89 + 11).cast(pl.String))
    updated = pl.col("joined") + _SECOND + (pl.col("updated") * (END - pl.col("joined"))).cast(pl.Int64)
    return (
        identity.alias("customer_id"),
        pl.concat_str(first.field("spelt"), pl.lit(" "), last.field("spelt")).alias("customer_name"),
        pl.concat_str(mailed, suffix, pl.lit("@"), pl.col("domain")).alias("email"),
        pl.format("({}) 555-01{}", "area", _padded(number % 100, 2)).alias("phone"),
        pl.concat_str((number % 997 + 1).cast(pl.String), pl.lit(" "), "street", "unit").alias("address"),
        pl.col("city"),
        pl.col("state"),
        pl.concat_str("zip", _padded(number // 7 % 40 + 1, 2)).alias("zip_code"),
        pl.col("joined").cast(pl.Datetime("us")).alias("created_at"),
        updated.cast(pl.Datetime("us")).alias("updated_at"),
    )


def _padded(number: pl.Expr, width: int) -> pl.Expr:
    return number.cast(pl.String).str.zfill(width)
