"""Builds source, lake, warehouse and limits from the settings; light, for commands that only read."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from shopease_etl import extras
from shopease_etl.lake.lock.lock import LockHandle
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import Encryption, LakeStore, Store, state_path
from shopease_etl.pipeline.costs import Prices
from shopease_etl.pipeline.events import Listener, LogListener
from shopease_etl.pipeline.lineage import Lineage
from shopease_etl.progress import SILENT, Progress
from shopease_etl.redaction import Secrets
from shopease_etl.settings import Settings
from shopease_etl.transform.executor import Executor, LocalExecutor

if TYPE_CHECKING:
    from shopease_etl.source.session import Source
    from shopease_etl.transform.rivals import Cluster
    from shopease_etl.transform.spark import SparkExecutor
    from shopease_etl.warehouse import Warehouse
    from shopease_etl.warehouse.crawlers import Crawlers


class WarehouseFactory(Protocol):
    """Creates the lake's warehouse."""

    def __call__(self, *, unpublished: Store | None = None) -> "Warehouse":
        """The warehouse; `unpublished` is the lake as a run sees it before it publishes."""


class ClusterFactory(Protocol):
    """Starts the cluster that works on months."""

    def check(self) -> None:
        """Raise ConfigurationError if it certainly cannot be started."""

    def __call__(self) -> "Cluster":
        """The cluster, started at the first call."""

    def close(self) -> None:
        """End the cluster's work, if it was started."""


class Spark:
    """Starts Spark."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._started: SparkExecutor | None = None

    def check(self) -> None:
        """Raise ConfigurationError unless Spark's packages are installed."""
        extras.require("spark", "the engine spark", otherwise="set SHOPEASE_ENGINE=local")

    def __call__(self) -> "Cluster":
        """The cluster, started at the first call.

        Raises:
            ConfigurationError: it does not start.
        """
        from shopease_etl.transform.spark import SparkExecutor, spark_session

        self._started = self._started or SparkExecutor(spark_session("shopease", self._log))
        return self._started

    def close(self) -> None:
        """End Spark, if it was started; it would take an end without that for a failure."""
        if self._started:
            self._started.close()
            self._started = None


@dataclass(frozen=True)
class RunLimits:
    """The limits of a run.

    The seconds of the run and of each stage, None for no limit; the bytes of memory, None for the default; the share of
    rows or revenue that may be lost, and the share of a table's rows that may be rejected.
    """

    run: float | None
    stage: float | None
    memory: int | None
    shrink: float
    rejected: float


@dataclass(frozen=True)
class Retention:
    """How many former lakes and how many manifests are kept."""

    generations: int
    manifests: int


@dataclass(frozen=True)
class Pipeline:
    """A shop's pipeline: its source, lake and warehouse, the listeners to its runs, and where clean and aggregate work.

    `home` is the folder for files that are not in the lake; `secrets` are never written. Sales are kept in one file, or
    `by_month`: then all months are copied again after `full_every` days.
    """

    source: "Source"
    lake: LakeStore
    home: Path
    warehouse: WarehouseFactory
    crawlers: Callable[[], "Crawlers"]
    limits: RunLimits
    retention: Retention
    lease_seconds: float
    secrets: Secrets
    listeners: tuple[Listener, ...]
    progress: Progress
    by_month: bool = False
    full_every: float = 30
    executor: Executor = field(default_factory=LocalExecutor)
    cluster: ClusterFactory | None = None

    @classmethod
    def from_settings(cls, settings: Settings, progress: Progress = SILENT, secrets: Secrets | None = None) -> Self:
        """The pipeline that the settings name; the log and lineage are its listeners, but not yet alerts and pings.

        It adds what must not be shown to the `secrets`.
        """
        secrets = secrets or Secrets()
        lake, database = lake_store(settings), source(settings, secrets)
        for address in (settings.database_url, *settings.alerts):
            secrets.learn(address.get_secret_value())
        lineage = [Lineage(settings.lineage, lake, database, secrets)] if settings.lineage else []
        return cls(
            source=database,
            lake=lake,
            home=settings.home,
            warehouse=partial(warehouse, settings, lake),
            crawlers=partial(crawlers, settings),
            limits=RunLimits(
                settings.run_timeout,
                settings.stage_timeout,
                settings.max_memory,
                settings.max_shrink,
                settings.max_rejected,
            ),
            retention=Retention(settings.keep_generations, settings.keep_manifests),
            lease_seconds=settings.lease_seconds,
            secrets=secrets,
            listeners=(LogListener(), *lineage),
            progress=progress,
            by_month=settings.partitions == "month",
            full_every=settings.full_every,
            cluster=Spark(settings.home / "spark.log") if settings.engine == "spark" else None,
        )

    def close(self) -> None:
        """End what was started for runs."""
        if self.cluster:
            self.cluster.close()

    def lock(self, who: str, *, wait: float = 0) -> AbstractContextManager[LockHandle]:
        """Hold the lake's lock, on S3 among all machines, see `LakeLock.hold`."""
        return self.lake.lock(self.home).hold(who, lease_seconds=self.lease_seconds, wait=wait)

    @property
    def spool(self) -> Path:
        """The folder for copies of what a run has not published yet, if the lake needs them."""
        return state_path(self.home, "spool", self.lake.location)

    @property
    def aside(self) -> Path:
        """The folder for copies of former objects that are restored, if the lake needs them."""
        return state_path(self.home, "undoing", self.lake.location)


def lake_store(settings: Settings) -> LakeStore:
    """The settings' lake, encrypted as they say."""
    return open_store(settings.lake, encryption(settings))


def encryption(settings: Settings) -> Encryption | None:
    """How objects are encrypted; None leaves that to the bucket."""
    algorithm = settings.s3_encryption
    return Encryption(algorithm, settings.s3_kms_key) if algorithm else None


def source(settings: Settings, secrets: Secrets) -> "Source":
    """The source database, within the settings' limits; `secrets` learn a password that is read when it is opened."""
    # psycopg is slow to import: only commands that need the source load it
    from shopease_etl.source.postgres import Limits
    from shopease_etl.source.secret import DatabaseSecret
    from shopease_etl.source.session import Source

    secret = DatabaseSecret(settings.database_secret, secrets) if settings.database_secret else None
    return Source(
        None if secret or settings.is_embedded else settings.database_url.get_secret_value(),
        settings.source_schema,
        settings.business_timezone,
        settings.home,
        Limits(settings.source_statement_timeout, settings.source_lock_timeout, settings.source_idle_timeout),
        settings.source_attempts,
        settings.source_wait,
        settings.source_connections,
        secret,
    )


def warehouse(
    settings: Settings, store: LakeStore, *, unpublished: Store | None = None, timeout: float | None = None
) -> "Warehouse":
    """Where the lake's tables are registered and SQL on them is run.

    `unpublished` is the lake as a run sees it before it publishes, `timeout` the seconds a query may take.
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
    # boto3 is slow to import: only commands that need the crawlers load it
    from shopease_etl.warehouse.crawlers import Crawlers

    return Crawlers(settings.crawlers, timeout=settings.crawler_timeout)


def prices(settings: Settings) -> Prices:
    """AWS's prices, from the settings."""
    return Prices(
        settings.price_s3_gb_month,
        settings.price_s3_1000_puts,
        settings.price_glue_dpu_hour,
        settings.price_athena_tb,
        settings.price_emr_vcpu_hour,
        settings.price_emr_gb_hour,
    )
