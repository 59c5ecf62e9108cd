"""Runs in this process, and what then lies in the lake."""

from pathlib import Path
from typing import Final

import polars as pl

from memory_store import MemoryStore
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.tables import CLEANED_TABLES, TABLES
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.s3 import S3Store
from shopease_etl.lake.store import Store
from shopease_etl.pipeline import plan
from shopease_etl.pipeline.run import run
from shopease_etl.pipeline.wiring import Pipeline, source
from shopease_etl.redaction import Secrets
from shopease_etl.report import RunResult
from shopease_etl.settings import Settings, load
from shopease_etl.source.session import Source
from shopease_etl.transform.chunks import CsvObject

KEYS: Final = {
    *(table.bronze_key for table in TABLES),
    *(key for table in CLEANED_TABLES for key in (table.silver_key, table.quarantine_key)),
    *(table.key for table in USUAL),
}


def unfinished(store: Store) -> list[object]:
    """Half-written objects, as the store itself tells of them."""
    if isinstance(store, LocalStore):
        return [path for path in store.root.rglob("*") if "_staging" in path.parts]
    if isinstance(store, MemoryStore):
        return [*store.uploads]
    assert isinstance(store, S3Store)
    uploads: list[object] = store.client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])
    return uploads


def given_settings(url: str, folder: Path, **more: str) -> Settings:
    return load(database_url=url, lake=str(folder / "lake"), home=folder / "home", **more)


def given_pipeline(url: str, folder: Path, **more: str) -> Pipeline:
    return Pipeline.from_settings(given_settings(url, folder, **more))


def given_source(url: str, folder: Path, **more: str) -> Source:
    return source(given_settings(url, folder, **more), Secrets())


def extracted(url: str, folder: Path, *names: str, **more: str) -> RunResult:
    """The run that brings the named tables to bronze, in this process, whatever has become of them since the last."""
    overrides = plan.Overrides(accept_drift=True, allow_shrink=True, allow_rejects=True)
    return run(plan.plan_tables("extract", names), given_pipeline(url, folder, **more), overrides=overrides)


def read(folder: Path, key: str) -> pl.DataFrame:
    """A CSV of the lake as text, as every stage reads it."""
    file = CsvObject(LocalStore(folder / "lake"), key, {})
    return pl.concat(chunk.frame() for chunk in file.chunks())
