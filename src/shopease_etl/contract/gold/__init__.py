"""The gold datasets, one file each; catalog, aggregation, verification and reconciliation use this list.

`USUAL` are those that are built without a setting.
"""

from typing import Final

from shopease_etl.contract.gold.cohort_retention import COHORT_RETENTION
from shopease_etl.contract.gold.customer_analytics import CUSTOMER_ANALYTICS
from shopease_etl.contract.gold.customer_lifetime_value import CUSTOMER_LIFETIME_VALUE
from shopease_etl.contract.gold.daily_sales import DAILY_SALES_SUMMARY
from shopease_etl.contract.gold.dataset import GoldDataset
from shopease_etl.contract.gold.inventory_status import INVENTORY_STATUS
from shopease_etl.contract.gold.monthly_channel_sales import MONTHLY_CHANNEL_SALES
from shopease_etl.contract.gold.monthly_product_sales import MONTHLY_PRODUCT_SALES
from shopease_etl.contract.gold.product_performance import PRODUCT_PERFORMANCE
from shopease_etl.contract.gold.store_performance import STORE_PERFORMANCE

__all__ = ["CUSTOMER_ANALYTICS", "DAILY_SALES_SUMMARY", "GOLD", "PRODUCT_PERFORMANCE", "USUAL", "GoldDataset"]

GOLD: Final[tuple[GoldDataset, ...]] = (
    DAILY_SALES_SUMMARY,
    PRODUCT_PERFORMANCE,
    CUSTOMER_ANALYTICS,
    STORE_PERFORMANCE,
    MONTHLY_CHANNEL_SALES,
    MONTHLY_PRODUCT_SALES,
    INVENTORY_STATUS,
    COHORT_RETENTION,
    CUSTOMER_LIFETIME_VALUE,
)
USUAL: Final = tuple(dataset for dataset in GOLD if not dataset.is_optional)
