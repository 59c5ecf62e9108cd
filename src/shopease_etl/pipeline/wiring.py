"""What the settings name: the lake's store, its warehouse, AWS's prices; light, for commands that only look."""

from typing import TYPE_CHECKING

from shopease_etl.lake.store import Encryption, LakeStore, Store, open_store
from shopease_etl.pipeline.costs import Prices
from shopease_etl.settings import EMBEDDED, Settings

if TYPE_CHECKING:
    from shopease_etl.source.session import Source
    from shopease_etl.warehouse import Warehouse
    from shopease_etl.warehouse.crawlers import Crawlers


def lake_store(settings: Settings) -> LakeStore:
    """The settings' lake, encrypted as they say."""
    algorithm = settings.s3_encryption
    return open_store(settings.lake, Encryption(algorithm, settings.s3_kms_key) if algorithm else None)


def source(settings: Settings) -> "Source":
    """The source database, within the settings' limits."""
    # psycopg is slow to import: only who asks for the source pays
    from shopease_etl.source.postgres import Limits
    from shopease_etl.source.session import Source

    return Source(
        None if settings.database_url == EMBEDDED else settings.database_url,
        settings.source_schema,
        settings.business_timezone,
        settings.home,
        Limits(settings.source_statement_timeout, settings.source_lock_timeout, settings.source_idle_timeout),
        settings.source_attempts,
        settings.source_wait,
        settings.source_connections,
    )


def warehouse(
    settings: Settings, store: LakeStore, *, unpublished: Store | None = None, timeout: float | None = None
) -> "Warehouse":
    """Where the lake's tables are registered and SQL on them is run.

    `unpublished` is the lake as a run sees it that has published nothing yet, `timeout` the seconds a query may take.
    """
    seconds = timeout or settings.query_timeout
    if root := store.folder:
        from shopease_etl.warehouse.local import LocalWarehouse
        from shopease_etl.warehouse.local_catalog import catalog_path

        path = catalog_path(settings.home, settings.glue_database, root)
        return LocalWarehouse(unpublished or store, root, path, settings.glue_database, settings.max_memory, seconds)
    from shopease_etl.warehouse.aws import AwsWarehouse

    return AwsWarehouse(store, settings.glue_database, settings.athena_workgroup, seconds)


def crawlers(settings: Settings) -> "Crawlers":
    """Glue's crawlers that the settings name."""
    # boto3 is slow to import: only who asks for them pays
    from shopease_etl.warehouse.crawlers import Crawlers

    return Crawlers(settings.crawlers, timeout=settings.crawler_timeout)


def prices(settings: Settings) -> Prices:
    """What AWS asks, as the settings tell."""
    return Prices(
        settings.price_s3_gb_month,
        settings.price_s3_1000_puts,
        settings.price_glue_dpu_hour,
        settings.price_athena_tb,
    )
