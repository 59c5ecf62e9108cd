"""The gold datasets, a file each; catalog, aggregation, verification and reconciliation are made from this list."""

from typing import Final

from shopease_etl.contract.gold.customer_analytics import CUSTOMER_ANALYTICS
from shopease_etl.contract.gold.daily_sales import DAILY_SALES_SUMMARY
from shopease_etl.contract.gold.dataset import GoldDataset
from shopease_etl.contract.gold.product_performance import PRODUCT_PERFORMANCE

__all__ = ["CUSTOMER_ANALYTICS", "DAILY_SALES_SUMMARY", "GOLD", "PRODUCT_PERFORMANCE", "GoldDataset"]

GOLD: Final[tuple[GoldDataset, ...]] = (DAILY_SALES_SUMMARY, PRODUCT_PERFORMANCE, CUSTOMER_ANALYTICS)
