"""What tables, views and columns mean: one line for each, in ASCII and short enough for a comment in Glue.

They are shown by `shopease tables`, and written into Glue, `terraform/catalog.json` and the Parquet files of gold.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from shopease_etl.contract import gold
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SALE_MONTH, SILVER
from shopease_etl.contract.tables import CLEANED_TABLES, REJECTION_COLUMNS, TABLES

PARQUET_KEY: Final = "shopease.columns"

# Gold datasets and typed views; the meanings of raw tables are made from their layers.
OF_TABLES: Final[Mapping[str, str]] = {
    "daily_sales_summary": "One row per day with sales: sales, items, revenue, customers.",
    "product_performance": "One row per product sold, best first: orders, items, revenue.",
    "customer_analytics": "One row per customer with a purchase: spending, RFM segment.",
    "store_performance": "One row per store and month with sales: sales, revenue, customers.",
    "inventory_status": "One row per stock record: quantity, days of cover, reorder status.",
    "cohort_retention": "One row per cohort of new customers and month: who came back.",
    "customer_lifetime_value": "One row per customer with a purchase: what to expect of them.",
    "monthly_channel_sales": "One row per channel and month with sales: sales, items, revenue.",
    "monthly_product_sales": "One row per product and month with sales: orders, items, revenue.",
    "customers": "Customers, cleaned: one row per customer_id.",
    "products": "Products, cleaned: one row per product_id.",
    "transactions": "Sales, cleaned: one row per transaction_id, with amount and date.",
    "stores": "Stores, as they are in the source.",
    "inventory": "Stock of products in stores, as it is in the source.",
    "sales_managers": "Sales managers and their stores, as they are in the source.",
}

# What a column of this name means wherever `OF_COLUMNS_IN` has nothing else.
OF_COLUMNS: Final[Mapping[str, str]] = {
    "transaction_id": "Number of the sale; unique.",
    "store_id": "Number of the store.",
    "store_name": "Name of the store; NULL if the source has no such store.",
    "customer_id": "Number of the customer.",
    "product_id": "Number of the product.",
    "product_name": "Name of the product; NULL if products has no such row.",
    "category": "Category of the product, in upper case; NULL if it is not known.",
    "email": "Email address, in lower case.",
    "phone": "Phone number.",
    "city": "City of the store; NULL if it is not known.",
    "state": "State of the store; NULL if it is not known.",
    "created_at": "When the row was created in the source, in business time.",
    "updated_at": "When the row was last changed in the source, in business time.",
    "sales_month": "Month of the sales, as the date of its first day.",
    "total_transactions": "Number of sales.",
    "total_orders": "Number of sales of the product.",
    "total_items_sold": "Items sold: sum of quantity.",
    "total_quantity_sold": "Items of the product sold: sum of quantity.",
    "total_revenue": "Revenue: sum of quantity * unit_price, exact.",
    "avg_transaction_value": "Revenue per sale: total_revenue / total_transactions, rounded half up to the cent.",
    "unique_customers": "Number of different customers who bought; sales without a customer do not count.",
    "first_purchase_date": "Day of the customer's first purchase.",
    "last_purchase_date": "Day of the customer's last purchase.",
    "sales_channel": "Channel of the sale, as the source names it; NULL if it is not known.",
    "quantity": "Items in stock; NULL if it is not a number.",
    "reorder_level": "Quantity at or below which to reorder; NULL if it is not a number.",
    "inventory_id": "Number of the stock record.",
}

OF_COLUMNS_IN: Final[Mapping[str, Mapping[str, str]]] = {
    "daily_sales_summary": {
        "sales_date": "Day of the sales, in business time.",
        "unique_products": "Number of different products sold.",
    },
    "product_performance": {
        "avg_order_value": "Revenue per sale: total_revenue / total_orders, rounded half up to the cent.",
        "avg_quantity_per_order": "Items per sale: total_quantity_sold / total_orders, rounded half up to 2 decimals.",
    },
    "customer_analytics": {
        "customer_name": "Name of the customer, in upper case; NULL if customers has no such row.",
        "city": "City of the customer; NULL if it is not known.",
        "state": "State of the customer; NULL if it is not known.",
        "total_purchases": "Number of the customer's purchases.",
        "total_items_bought": "Items bought: sum of quantity.",
        "total_spent": "Revenue with the customer: sum of quantity * unit_price, exact.",
        "avg_order_value": "Revenue per purchase: total_spent / total_purchases, rounded half up to the cent.",
        "recency_days": "Days from the customer's last purchase to the last day with sales of any customer.",
        "r_score": "Recency score, 1 to 5 (5: most recent): 1 + 5 * (customers strictly worse) // (all customers).",
        "f_score": "Frequency score by total_purchases, 1 to 5 (5: most purchases); same formula as r_score.",
        "m_score": "Monetary score by total_spent, 1 to 5 (5: highest spend); same formula as r_score.",
        "rfm_score": "r_score, f_score and m_score as three digits; 555 is best.",
        "rfm_segment": "Segment by r_score and f_score, such as champions, at_risk or hibernating.",
    },
    "store_performance": {
        "manager_names": "Names of the store's sales managers by manager_id, joined with '; '; NULL if it has none.",
    },
    "inventory_status": {
        "units_sold_28d": "Items sold in the store in the 28 days that end with the last day with sales.",
        "days_of_cover": "Days the stock lasts: quantity * 28 / units_sold_28d, half up; NULL if units_sold_28d is 0 "
        "or it is too large.",
        "stock_status": "The first that holds of out_of_stock (quantity <= 0), reorder (<= reorder_level), no_sales "
        "(in 28 days), low_cover (days_of_cover < 7), ok; NULL if quantity is NULL.",
    },
    "monthly_channel_sales": {
        "sales_channel": "Channel of the sales, as the source names it; sales without one are in no row.",
    },
    "cohort_retention": {
        "cohort_month": "Month of the customers' first purchase, as the date of its first day.",
        "months_since": "Months from cohort_month to the month of the purchases; 0 is cohort_month itself.",
        "cohort_size": "Number of customers in the cohort.",
        "customers": "Number of the cohort's customers who bought in that month.",
        "retention_rate": "Share of the cohort that bought in that month: customers / cohort_size.",
        "total_revenue": "Revenue with the cohort in that month: sum of quantity * unit_price, exact.",
    },
    "customer_lifetime_value": {
        "purchase_days": "Number of days on which the customer bought.",
        "p_alive": "Probability that the customer is still one (BG/NBD model), 0 to 1; NULL if no model fits.",
        "expected_purchases_90d": "Purchase days to expect in the next 90 days (BG/NBD); NULL if no model fits.",
        "expected_purchases_365d": "Purchase days to expect in the next 365 days (BG/NBD); NULL if no model fits.",
        "expected_purchase_value": "Revenue to expect per purchase day (Gamma-Gamma model); NULL if no model fits.",
        "clv_365d": "Revenue to expect in the next 365 days, not discounted; NULL if no model fits.",
        "clv_decile": "Tenth of the customers by clv_365d, 1 to 10 (10: highest); NULL if no model fits.",
    },
    "customers": {
        "customer_id": "Number of the customer; unique.",
        "customer_name": "Name of the customer, in upper case.",
        "address": "Street address.",
        "city": "City of the customer; NULL if it is not known.",
        "state": "State of the customer; NULL if it is not known.",
        "zip_code": "Postal code, as text.",
    },
    "products": {
        "product_id": "Number of the product; unique.",
        "product_name": "Name of the product.",
        "price": "Price of one item now, greater than 0; a sale has its own unit_price.",
        "description": "Description of the product.",
    },
    "transactions": {
        "store_id": "Store of the sale; NULL if it is not known.",
        "customer_id": "Customer of the sale; NULL if it is not known.",
        "product_id": "Product of the sale; NULL if it is not known.",
        "quantity": "Items sold, greater than 0.",
        "unit_price": "Price of one item in this sale, greater than 0.",
        "total_amount": "Revenue of the sale: quantity * unit_price, exact.",
        "payment_method": "Method of payment, as the source names it; NULL if it is not known.",
        "transaction_date": "Day of the sale: the date of created_at.",
        "year": "Year of transaction_date.",
        "month": "Month of transaction_date, 1 to 12.",
        "day": "Day of the month of transaction_date, 1 to 31.",
        "created_at": "When the sale was made, in business time.",
        SALE_MONTH: "Month of the sale as text, such as 2024-11, if the lake is kept by month: a condition on it reads "
        "only that month.",
    },
    "stores": {
        "store_name": "Name of the store.",
    },
    "sales_managers": {
        "manager_id": "Number of the sales manager.",
        "manager_name": "Name of the sales manager.",
        "email": "Email address of the sales manager.",
        "store_id": "Store of the sales manager.",
    },
}
_OF_REJECTIONS: Final = dict(
    zip(REJECTION_COLUMNS, ("The first rule that the row broke.", "The run that rejected the row."), strict=True)
)


def of_table(name: str) -> str:
    """What a table or view of the catalog means; empty if nothing is known of it."""
    return OF_TABLES.get(name) or dict(_of_raw_tables()).get(name, "")


def of_column(table: str, column: str) -> str:
    """What a column of gold or of a typed view means; empty if it is not the contract's, as extra source columns."""
    if table.startswith(f"{QUARANTINE}_"):
        return _OF_REJECTIONS.get(column, "")
    if column not in contract_columns().get(table, ()):
        return ""
    return OF_COLUMNS_IN.get(table, {}).get(column) or OF_COLUMNS.get(column, "")


def contract_columns() -> dict[str, tuple[str, ...]]:
    """The names of the columns of each gold dataset and of each typed view, without extra columns of the source."""
    views = {
        table.name: (
            *(column.name for column in (*table.columns, *table.calculated)),
            *((SALE_MONTH,) if table.month_column else ()),
        )
        for table in TABLES
    }
    return views | {dataset.name: tuple(column.name for column in dataset.columns) for dataset in gold.GOLD}


def parquet_metadata(dataset: str) -> dict[str, str]:
    """The metadata for a gold dataset's file: one key, with a JSON object of meanings by column."""
    columns = {column: of_column(dataset, column) for column in contract_columns().get(dataset, ())}
    return {PARQUET_KEY: json.dumps({column: meaning for column, meaning in columns.items() if meaning})}


def _of_raw_tables() -> Iterator[tuple[str, str]]:
    for table in TABLES:
        yield f"{BRONZE}_{table.name}", f"{table.source} as copied from the source; every column is text."
    for table in CLEANED_TABLES:
        yield f"{SILVER}_{table.name}", f"{table.name}, cleaned; every column is text, the view {table.name} has types."
        rejected = f"Rows of {table.source} that cleaning rejected, as they were, with the rule and the run."
        yield f"{QUARANTINE}_{table.name}", rejected
