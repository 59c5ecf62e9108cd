"""Products, and the small tables that depend on them: stores, inventory, managers."""

from typing import Final

import polars as pl

from shopease_etl.sample.dirt import ROW
from shopease_etl.sample.draws import Draws, pareto_weights
from shopease_etl.sample.seasons import DAY, END, START
from shopease_etl.sample.vocabulary import CATEGORIES, FIRST_ID, STORES

_PRODUCTS: Final = sum(len(category.brands) * len(category.goods()) for category in CATEGORIES)
_STORE_IDS: Final = range(FIRST_ID["stores"], FIRST_ID["stores"] + len(STORES))


def catalogue(seed: int) -> pl.DataFrame:
    """All products in order of launch as (row, name, category, cents, pitch, launched, updated, weight).

    `category` is a number; `launched` in microseconds; `updated` in [0, 1) is when in the time since the launch.
    """
    draws = Draws(seed, "goods")
    listed = pl.DataFrame(
        [
            (f"{brand} {good}", number, _cents(dollars, place), f"{good} by {brand}. {category.pitch}")
            for number, category in enumerate(CATEGORIES)
            for good, dollars in category.goods()
            for place, brand in enumerate(category.brands)
        ],
        schema=["name", "category", "cents", "pitch"],
        orient="row",
    )
    return listed.select(pl.all().gather(draws.permutation(_PRODUCTS))).with_columns(
        pl.int_range(_PRODUCTS, dtype=pl.Int64).alias(ROW),
        pl.Series("launched", _launches(draws)),
        pl.Series("updated", draws.uniform(_PRODUCTS)),
        pl.Series("weight", pareto_weights(draws.permutation(_PRODUCTS))),
    )


def products(goods: pl.DataFrame) -> pl.DataFrame:
    """The clean products table, with column `row`."""
    names = pl.Series([category.name for category in CATEGORIES])
    updated = pl.col("launched") + DAY + (pl.col("updated") * (END - pl.col("launched") - DAY)).cast(pl.Int64)
    return goods.select(
        ROW,
        (pl.col(ROW) + FIRST_ID["products"]).alias("product_id"),
        pl.col("name").alias("product_name"),
        pl.lit(names).gather(pl.col("category")).alias("category"),
        (pl.col("cents") / 100).alias("price"),
        pl.col("pitch").alias("description"),
        pl.col("launched").cast(pl.Datetime("us")).alias("created_at"),
        updated.cast(pl.Datetime("us")).alias("updated_at"),
    )


def stores(seed: int) -> pl.DataFrame:
    """The stores table."""
    return pl.DataFrame(
        {
            "store_id": _STORE_IDS,
            "store_name": [store.name for store in STORES],
            "city": [store.places[0][0] for store in STORES],
            "state": [store.places[0][1] for store in STORES],
            **_timestamps(len(STORES), Draws(seed, "stores")),
        }
    )


def inventory(seed: int) -> pl.DataFrame:
    """The inventory table: every store stocks every product."""
    draws = Draws(seed, "inventory")
    rows = len(STORES) * _PRODUCTS
    row = pl.int_range(rows, eager=True, dtype=pl.Int64)
    level = draws.integers(rows, 6) * 5 + 10
    return pl.DataFrame(
        {
            "inventory_id": row + 1,
            "store_id": row // _PRODUCTS + FIRST_ID["stores"],
            "product_id": row % _PRODUCTS + FIRST_ID["products"],
            "quantity": (draws.uniform(rows) * draws.uniform(rows) * 12 * level).cast(pl.Int64),
            "reorder_level": level,
            **_timestamps(rows, draws),
        }
    )


def sales_managers(seed: int) -> pl.DataFrame:
    """The sales_managers table: one for each store."""
    numbers = range(1, len(STORES) + 1)
    return pl.DataFrame(
        {
            "manager_id": numbers,
            "manager_name": [store.manager[0] for store in STORES],
            "email": [f"{store.manager[1]}@shopease.example" for store in STORES],
            "phone": [
                f"({store.places[0][3]}) 555-01{number:02}" for number, store in zip(numbers, STORES, strict=True)
            ],
            "store_id": _STORE_IDS,
            **_timestamps(len(STORES), Draws(seed, "managers")),
        }
    )


def _cents(dollars: int, place: int) -> int:
    """The price of a good under the brand at this place: later brands cost more, and prices end in .99, .95 or .49."""
    below_dollar = (1, 5, 1, 51, 1)[place]
    return max(2, dollars * (82 + 9 * place) // 100) * 100 - below_dollar


def _launches(draws: Draws) -> pl.Series:
    """Three of four products are older than the sample's four years, the others are launched during them."""
    progress = (pl.int_range(_PRODUCTS, eager=True, dtype=pl.Int64) + draws.uniform(_PRODUCTS)) / _PRODUCTS
    old = 0.75
    before = START - (1 - progress / old) * (900 * DAY)
    during = START + (progress - old) / (1 - old) * (1_300 * DAY)
    return during.zip_with(progress >= old, before).cast(pl.Int64)


def _timestamps(rows: int, draws: Draws) -> dict[str, pl.Series]:
    """When rows were created, before the sample's years, and last updated, within them."""
    created = START - ((draws.uniform(rows) + 1) * 400 * DAY).cast(pl.Int64)
    updated = START + (draws.uniform(rows) * (END - START)).cast(pl.Int64)
    return {"created_at": created.cast(pl.Datetime("us")), "updated_at": updated.cast(pl.Datetime("us"))}
