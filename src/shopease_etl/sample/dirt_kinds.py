"""The kinds of dirt of each table, with their weights and what they change in a row."""

from datetime import timedelta
from typing import Any, Final

import polars as pl

from shopease_etl.sample.dirt import Dirt

UNKNOWN: Final = 9_000_000
"""Added to an id, it gives one that is in no table at any scale."""


def _set(kind: str, weight: int, column: str, value: Any) -> Dirt:
    return Dirt(kind, weight, {column: value if isinstance(value, pl.Expr) else pl.lit(value)})


def _surrounded(column: str, before: str, after: str) -> pl.Expr:
    return pl.concat_str(pl.lit(before), pl.col(column), pl.lit(after))


def _respaced(column: str, space: str) -> pl.Expr:
    return pl.col(column).str.replace_all(" ", space, literal=True)


def _copies(column: str, other: pl.Expr, refused: dict[str, pl.Expr]) -> tuple[Dirt, ...]:
    """The ways a row occurs twice: where the copies differ, `column` is `other`; `refused` breaks a rule."""
    edited = {column: other}
    return (
        Dirt("copy_newer", 4, {**edited, "updated_at": pl.col("updated_at") + timedelta(days=3)}, copies=True),
        Dirt("copy_older", 4, {**edited, "updated_at": pl.col("created_at")}, copies=True),
        Dirt(
            "copy_created_later", 1, {**edited, "created_at": pl.col("created_at") + timedelta(minutes=9)}, copies=True
        ),
        Dirt(
            "copy_created_earlier", 1, {**edited, "created_at": pl.col("created_at") - timedelta(hours=4)}, copies=True
        ),
        Dirt("copy_exact", 4, {}, copies=True),
        Dirt("copy_tied", 1, edited, copies=True),
        Dirt("copy_never_updated", 1, {**edited, "updated_at": pl.lit(None)}, copies=True),
        Dirt(
            "copy_newest_refused", 1, {**refused, "updated_at": pl.col("updated_at") + timedelta(days=9)}, copies=True
        ),
    )


CUSTOMER_DIRT: Final = (
    _set("padded_name", 8, "customer_name", _surrounded("customer_name", "  ", " ")),
    _set("lower_name", 6, "customer_name", pl.col("customer_name").str.to_lowercase()),
    _set("upper_name", 4, "customer_name", pl.col("customer_name").str.to_uppercase()),
    _set("spaced_name", 3, "customer_name", _respaced("customer_name", " \t ")),
    _set("broken_name", 2, "customer_name", _respaced("customer_name", "\n")),
    _set("no_break_space_name", 2, "customer_name", _surrounded("customer_name", "\u00a0", "\u00a0 ")),
    _set("sharp_s_name", 1, "customer_name", "Jürgen Groß"),
    _set("dotted_i_name", 1, "customer_name", "ışıl İnci"),
    _set("final_sigma_name", 1, "customer_name", "Αλέξης Δημητρίου"),
    _set("quoted_name", 2, "customer_name", 'Robert "Bob" Miller, Jr.'),
    _set("missing_name", 3, "customer_name", None),
    _set("empty_name", 3, "customer_name", ""),
    _set("blank_name", 2, "customer_name", " \t\u00a0 "),
    _set("missing_email", 4, "email", None),
    _set("empty_email", 4, "email", ""),
    _set("blank_email", 2, "email", "   "),
    _set("padded_email", 5, "email", _surrounded("email", " ", "\t")),
    _set("upper_email", 5, "email", pl.col("email").str.to_uppercase()),
    _set("unicode_email", 1, "email", "İPEK.ΝΊΚΟΣ@EXAMPLE.COM"),
    _set("missing_phone", 4, "phone", None),
    _set("quoted_address", 3, "address", '12 Main St, "Rear" door, Bldg 4'),
    _set("broken_address", 3, "address", "77 Oak Ave\nApt 5\n\nring twice"),
    _set("crlf_address", 2, "address", "4 Elm Ct\r\nFloor 2"),
    _set("cr_address", 1, "address", "9 Lake Rd\rBack office"),
    _set("backslash_address", 1, "address", "C\\O Smith\\\\Sons \\n 5"),
    _set("null_like_address", 1, "address", "\\N"),
    _set("end_like_address", 1, "address", "Hill Ln 8\n\\.\nEOF"),
    _set("tab_address", 1, "address", "100\tPark\tBlvd"),
    _set("foreign_address", 1, "address", "北京路 88號\u00a0\u2013 Łódź, São Paulo 🏠"),
    _set("padded_city", 3, "city", _surrounded("city", " ", "  ")),
    _set("empty_state", 2, "state", ""),
    _set("missing_id", 2, "customer_id", None),
    _set("missing_created_at", 1, "created_at", None),
    _set("missing_updated_at", 1, "updated_at", None),
    Dirt("several", 1, {column: pl.lit(None) for column in ("customer_id", "customer_name", "email")}),
    *_copies("phone", pl.lit("(800) 555-0199"), {"email": pl.lit("")}),
)

PRODUCT_DIRT: Final = (
    _set("padded_name", 2, "product_name", _surrounded("product_name", " ", "  ")),
    _set("upper_name", 2, "product_name", pl.col("product_name").str.to_uppercase()),
    _set("missing_name", 1, "product_name", None),
    _set("blank_name", 1, "product_name", " \n "),
    _set("lower_category", 2, "category", pl.col("category").str.to_lowercase()),
    _set("padded_category", 2, "category", _surrounded("category", " ", "\u00a0")),
    _set("empty_category", 1, "category", ""),
    _set("missing_price", 1, "price", None),
    _set("zero_price", 1, "price", 0.0),
    _set("negative_price", 1, "price", -pl.col("price")),
    _set("missing_description", 2, "description", None),
    _set("quoted_description", 1, "description", 'Screen 15.6", "like new", boxed'),
    _set("broken_description", 1, "description", "Line one\nline two\r\nline three\rline four"),
    _set("backslash_description", 1, "description", "see C:\\new\\table\\. and \\N"),
    _set("tab_description", 1, "description", "Width\t40 cm\tHeight\t90 cm"),
    _set("foreign_description", 1, "description", "Größe ½ \u2013 日本製, “très bien” ☕"),
    _set("missing_id", 1, "product_id", None),
    _set("missing_created_at", 1, "created_at", None),
    _set("missing_updated_at", 1, "updated_at", None),
    *_copies("description", pl.lit("Description to follow."), {"price": pl.lit(0.0)}),
)

SALE_DIRT: Final = (
    _set("missing_quantity", 4, "quantity", None),
    _set("zero_quantity", 4, "quantity", 0),
    _set("negative_quantity", 8, "quantity", -pl.col("quantity")),
    _set("missing_unit_price", 4, "unit_price", None),
    _set("zero_unit_price", 4, "unit_price", 0.0),
    _set("negative_unit_price", 4, "unit_price", -pl.col("unit_price")),
    _set("missing_id", 2, "transaction_id", None),
    _set("missing_store", 4, "store_id", None),
    _set("missing_customer", 8, "customer_id", None),
    _set("missing_product", 4, "product_id", None),
    _set("unknown_store", 2, "store_id", pl.col("store_id") + UNKNOWN),
    _set("unknown_customer", 4, "customer_id", pl.col("customer_id") + UNKNOWN),
    _set("unknown_product", 3, "product_id", pl.col("product_id") + UNKNOWN),
    _set("padded_payment", 5, "payment_method", _surrounded("payment_method", " ", " \u00a0")),
    _set("lower_payment", 5, "payment_method", pl.col("payment_method").str.to_lowercase()),
    _set("missing_payment", 3, "payment_method", None),
    _set("upper_channel", 3, "sales_channel", pl.col("sales_channel").str.to_uppercase()),
    _set("blank_channel", 2, "sales_channel", "  "),
    _set("missing_created_at", 3, "created_at", None),
    _set("missing_updated_at", 3, "updated_at", None),
    Dirt("several", 1, {column: pl.lit(None) for column in ("transaction_id", "quantity", "unit_price", "created_at")}),
    *_copies("quantity", pl.col("quantity") % 5 + 1, {"quantity": pl.lit(0)}),
)
