"""Products with their prices and appeal, and the small tables that hang on them: stores, inventory, managers."""

from typing import Final

import polars as pl

from shopease_etl.sample.dirt import ROW
from shopease_etl.sample.draws import Draws, pareto_weights
from shopease_etl.sample.people import END
from shopease_etl.sample.seasons import DAY, FIRST_DAY, moment
from shopease_etl.sample.vocabulary import CATEGORIES, FIRST_PRODUCT_ID, FIRST_STORE_ID, SHOPS

PRODUCTS: Final = sum(len(category.brands) * len(category.goods) for category in CATEGORIES)
_STORE_IDS: Final = range(FIRST_STORE_ID, FIRST_STORE_ID + len(SHOPS))
_OPENING: Final = moment(FIRST_DAY)
_OLD: Final = 0.75
_OLD_SPAN: Final = 900 * DAY
_NEW_SPAN: Final = 1_300 * DAY
_TAILS: Final = (1, 5, 1, 51, 1)
"""Cents off the full dollar: .99, .95, .99, .49, .99."""


def catalogue(seed: int) -> pl.DataFrame:
    """All products in order of launch as (row, name, category number, cents, pitch, launched, weight)."""
    draws = Draws(seed, "goods")
    listed = pl.DataFrame(
        [
            (f"{brand} {good}", number, _cents(dollars, place), f"{good} by {brand}. {category.pitch}")
            for number, category in enumerate(CATEGORIES)
            for good, dollars in category.goods
            for place, brand in enumerate(category.brands)
        ],
        schema=["name", "category", "cents", "pitch"],
        orient="row",
    )
    return listed.select(pl.all().gather(draws.order(PRODUCTS))).with_columns(
        pl.int_range(PRODUCTS, dtype=pl.Int64).alias(ROW),
        pl.Series("launched", _launched(draws)),
        pl.Series("updated", draws.uniform(PRODUCTS)),
        pl.Series("weight", pareto_weights(draws.order(PRODUCTS))),
    )


def products(goods: pl.DataFrame) -> pl.DataFrame:
    """The clean products table, with column `row`."""
    names = pl.Series([category.name for category in CATEGORIES])
    updated = pl.col("launched") + DAY + (pl.col("updated") * (END - pl.col("launched") - DAY)).cast(pl.Int64)
    return goods.select(
        ROW,
        (pl.col(ROW) + FIRST_PRODUCT_ID).alias("product_id"),
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
            "store_name": [shop.name for shop in SHOPS],
            "city": [shop.places[0][0] for shop in SHOPS],
            "state": [shop.places[0][1] for shop in SHOPS],
            **_stamps(len(SHOPS), Draws(seed, "stores")),
        }
    )


def inventory(seed: int) -> pl.DataFrame:
    """The inventory table: every store keeps every product."""
    draws = Draws(seed, "inventory")
    rows = len(SHOPS) * PRODUCTS
    row = pl.int_range(rows, eager=True, dtype=pl.Int64)
    level = draws.whole(rows, 6) * 5 + 10
    return pl.DataFrame(
        {
            "inventory_id": row + 1,
            "store_id": row // PRODUCTS + FIRST_STORE_ID,
            "product_id": row % PRODUCTS + FIRST_PRODUCT_ID,
            "quantity": (draws.uniform(rows) * draws.uniform(rows) * 12 * level).cast(pl.Int64),
            "reorder_level": level,
            **_stamps(rows, draws),
        }
    )


def sales_managers(seed: int) -> pl.DataFrame:
    """The managers table: one a store."""
    numbers = range(1, len(SHOPS) + 1)
    return pl.DataFrame(
        {
            "manager_id": numbers,
            "manager_name": [shop.manager[0] for shop in SHOPS],
            "email": [f"{shop.manager[1]}@shopease.example" for shop in SHOPS],
            "phone": [f"({shop.places[0][3]}) 555-01{number:02}" for number, shop in zip(numbers, SHOPS, strict=True)],
            "store_id": _STORE_IDS,
            **_stamps(len(SHOPS), Draws(seed, "managers")),
        }
    )


def _cents(dollars: int, place: int) -> int:
    """The price of a good under one of its brands, the later the dearer."""
    return max(2, dollars * (82 + 9 * place) // 100) * 100 - _TAILS[place]


def _launched(draws: Draws) -> pl.Series:
    """Most products are older than the shop's four years, the others come in the course of them."""
    progress = (pl.int_range(PRODUCTS, eager=True, dtype=pl.Int64) + draws.uniform(PRODUCTS)) / PRODUCTS
    early = _OPENING - (1 - progress / _OLD) * _OLD_SPAN
    late = _OPENING + (progress - _OLD) / (1 - _OLD) * _NEW_SPAN
    return late.zip_with(progress >= _OLD, early).cast(pl.Int64)


def _stamps(rows: int, draws: Draws) -> dict[str, pl.Series]:
    """When rows were made, before the shop's years, and when they were last changed, within them."""
    created = _OPENING - ((draws.uniform(rows) + 1) * 400 * DAY).cast(pl.Int64)
    updated = _OPENING + (draws.uniform(rows) * (END - _OPENING)).cast(pl.Int64)
    return {"created_at": created.cast(pl.Datetime("us")), "updated_at": updated.cast(pl.Datetime("us"))}
