"""Customers: when they come and go, how much they buy, where they live, what they are called."""

from collections.abc import Iterator, Sequence

import polars as pl

from shopease_etl.sample.dirt import ROW
from shopease_etl.sample.draws import Draws, choose_by_share, pareto_weights
from shopease_etl.sample.seasons import DAY, END, START
from shopease_etl.sample.vocabulary import FIRST_ID, FIRST_NAMES, LAST_NAMES, STORES, WORDS


def population(count: int, seed: int) -> pl.DataFrame:
    """The customers in order of joining as (row, joined, left, weight, home); moments in microseconds."""
    draws = Draws(seed, "lives")
    row = pl.int_range(count, eager=True, dtype=pl.Int64)
    joined = _joined((row + draws.uniform(count)) / count)
    stay = (draws.uniform(count) / 0.42 * (END - joined)).cast(pl.Int64)
    return pl.DataFrame(
        {
            ROW: row,
            "joined": joined,
            "left": joined + stay.clip(None, END - joined),
            "weight": pareto_weights(draws.permutation(count)),
            "home": choose_by_share(draws.uniform(count), [store.share for store in STORES]),
        }
    )


def _joined(progress: pl.Series) -> pl.Series:
    """Some joined before the sample's years, the rest faster and faster within them."""
    early = 0.28
    within = (progress - early) / (1 - early)
    during = within * (1.3 - 0.3 * within) * (END - START - DAY) + START
    before = START - (1 - progress / early) * (730 * DAY)
    return during.zip_with(progress >= early, before).cast(pl.Int64)


def customers(people: pl.DataFrame, seed: int) -> Iterator[pl.DataFrame]:
    """The clean customers table in batches, with column `row`."""
    for batch in people.iter_slices(50_000):
        yield _rows(batch, Draws(seed, "customers", batch[ROW][0]))


def _rows(people: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    """The customers with all columns of their table."""
    count = len(people)
    drawn = people.with_columns(
        _names("first", FIRST_NAMES, draws, count),
        _names("last", LAST_NAMES, draws, count),
        pl.Series("place", draws.uniform(count)),
        pl.Series("number", draws.integers(count, 10_000)),
        pl.Series("street", draws.words(count, WORDS["street"]) + " " + draws.words(count, WORDS["street_type"])),
        pl.Series("unit", draws.words(count, WORDS["unit"])),
        pl.Series("domain", draws.words(count, WORDS["mail_domain"])),
        pl.Series("updated", draws.uniform(count)),
    )
    places = pl.DataFrame(
        [(home, number, *place) for home, store in enumerate(STORES) for number, place in enumerate(store.places)],
        schema=["home", "place", "city", "state", "zip", "area"],
        orient="row",
    )
    placed = (
        drawn.join(places.group_by("home").len("places"), on="home", how="left", maintain_order="left")
        .with_columns((pl.col("place") * pl.col("place") * pl.col("places")).cast(pl.Int64))
        .join(places, on=["home", "place"], how="left", maintain_order="left")
    )
    return placed.select(ROW, *_columns())


def _names(column: str, choices: Sequence[tuple[str, str]], draws: Draws, count: int) -> pl.Series:
    """Names as structs of their spelling and their spelling in a mail address."""
    frame = pl.DataFrame(choices, schema={"name": pl.String, "mailbox": pl.String}, orient="row")
    return frame.to_struct(column).gather(draws.integers(count, len(choices)))


def _columns() -> tuple[pl.Expr, ...]:
    """The columns of the customers table, from what was drawn."""
    first, last = pl.col("first").struct, pl.col("last").struct
    identity, number = pl.col(ROW) + FIRST_ID["customers"], pl.col("number")
    mailbox = pl.concat_str(first.field("mailbox"), pl.lit("."), last.field("mailbox"))
    suffix = pl.when(number % 3 == 0).then(pl.lit("")).otherwise((identity % 89 + 11).cast(pl.String))
    updated = pl.col("joined") + 1_000_000 + (pl.col("updated") * (END - pl.col("joined"))).cast(pl.Int64)
    return (
        identity.alias("customer_id"),
        pl.concat_str(first.field("name"), pl.lit(" "), last.field("name")).alias("customer_name"),
        pl.concat_str(mailbox, suffix, pl.lit("@"), pl.col("domain")).alias("email"),
        pl.format("({}) 555-01{}", "area", (number % 100).cast(pl.String).str.zfill(2)).alias("phone"),
        pl.concat_str((number % 997 + 1).cast(pl.String), pl.lit(" "), "street", "unit").alias("address"),
        pl.col("city"),
        pl.col("state"),
        pl.concat_str("zip", (number // 7 % 40 + 1).cast(pl.String).str.zfill(2)).alias("zip_code"),
        pl.col("joined").cast(pl.Datetime("us")).alias("created_at"),
        updated.cast(pl.Datetime("us")).alias("updated_at"),
    )
