"""ShopEase ETL: a PostgreSQL shop database to a three-layer data lake, catalogued and queryable."""

__version__ = "0.2.0"
