"""A cell of 20 MB goes through all stages, and queries answer with it."""

from pathlib import Path
from typing import Final

from commands import Shop, copy_of, execute

MEGABYTES: Final = 20
_LONG: Final = f"repeat('1 Long, Road' || repeat(' ', 3) || '2', {MEGABYTES} * 65536)"
_QUOTED: Final = f"repeat(E'\"1\" Long,\nRoad 3', {MEGABYTES} * 65536)"


def test_a_value_of_20_mb_survives(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        execute(
            url,
            "TRUNCATE products",
            f"INSERT INTO products VALUES (1, 'Tea', 'x', 1, {_LONG}), (2, 'Pot', 'x', 0, {_QUOTED})",
        )
        shop = Shop(tmp_path, url)
        shop.run("run-all").done()
        lengths = "SELECT max(length(description)) AS most FROM shopease_catalog."
        found = {
            name: int(shop.run("query", lengths + name, "--format", "csv").done().stdout.split()[1])
            for name in ("products", "silver_products", "bronze_products", "quarantine_products")
        }
    characters = 16 * MEGABYTES << 16
    standardised = 14 * MEGABYTES << 16  # three blanks are one
    assert found == {
        "products": standardised,
        "silver_products": standardised,
        "bronze_products": characters,
        "quarantine_products": characters,
    }
