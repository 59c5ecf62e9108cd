"""Runs made by hand: files such as stages write, recorded and published as the pipeline does it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Final

import polars as pl

from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.tables import TRANSACTIONS, Table
from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.manifests import next_run_id, recorded_datasets, write_group
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore
from shopease_etl.pipeline.commit import Commit
from shopease_etl.pipeline.events import Events
from shopease_etl.pipeline.plan import Plan
from shopease_etl.pipeline.recovery import prune, recover
from shopease_etl.pipeline.run_log import RunLog
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import DatasetResult, StageResult, Status
from shopease_etl.settings import load

PLAN: Final = Plan(("extract", "clean", "aggregate"), (TRANSACTIONS,), (DAILY_SALES_SUMMARY,))
MAY, JUNE, JULY = (TRANSACTIONS.in_month(f"2024-0{number}") for number in (5, 6, 7))
SUMS: Final = "sums.zip"
NOWHERE: Final = "postgresql://127.0.0.1:1/none"


@dataclass(frozen=True)
class Sales:
    """Sales of a month, or all of them: their amounts, and how many more are rejected."""

    part: Table
    amounts: tuple[str, ...]
    rejected: int = 0

    @property
    def files(self) -> dict[str, bytes]:
        """The files by key; the last is state if it is of a month."""
        good = "".join(f"{amount},{amount}\n" for amount in self.amounts)
        bad = "".join(f"x{number}\n" for number in range(self.rejected))
        texts = ["id,amount\n" + good + bad.replace("\n", ",\n"), "id,total_amount\n" + good, "id\n" + bad]
        if self.part.month:
            return dict(zip((*self.part.keys, self.part.state_key(SUMS)), map(str.encode, (*texts, good)), strict=True))
        return dict(zip(self.part.keys, map(str.encode, texts), strict=True))

    def results(self) -> list[DatasetResult]:
        """What stages record of bronze, silver and quarantine."""
        kept, every = len(self.amounts), len(self.amounts) + self.rejected
        rows = ((every, every), (every, kept), (self.rejected, self.rejected))
        hashes = {key: sha256(data).hexdigest() for key, data in self.files.items()}
        found = [
            DatasetResult(key.partition("/")[0], TRANSACTIONS.name, key, *counts, len(self.files[key]), hashes[key])
            for key, counts in zip(self.part.keys, rows, strict=True)
        ]
        state = {key: hashed for key, hashed in hashes.items() if key.startswith("_state/")}
        sums = {"silver_revenue": str(sum(map(Decimal, self.amounts)))}
        found[1] = replace(
            found[1], rejected={"missing_x": self.rejected} if self.rejected else {}, sums=sums, state=state
        )
        return found


def sales(part: Table, *amounts: str, rejected: int = 0) -> Sales:
    """Sales of a month or, if the table is not of a month, all of them."""
    return Sales(part, amounts, rejected)


def carried_over(store: LakeStore, *parts: Table) -> list[DatasetResult]:
    """What a run records of the files of these months that it leaves as they are: bronze, silver and quarantine."""
    recorded = recorded_datasets(store)
    records = [recorded[key] for part in parts for key in part.keys]
    return [replace(record.result, run_id=record.run_id) for record in records if record.result]


def hand_made_shop(folder: Path, lake: str, **more: str) -> Pipeline:
    """A shop whose source cannot be reached."""
    once = {"source_attempts": "1", "source_wait": "0"}
    return Pipeline.from_settings(load(database_url=NOWHERE, lake=lake, home=folder / "home", **once, **more))


def gold_of(amount: Decimal, count: int) -> tuple[bytes, DatasetResult]:
    """Daily sales of one day, and what aggregate records of them."""
    frame = pl.DataFrame(
        {"total_transactions": [count], "total_revenue": [amount]},
        schema_overrides={"total_revenue": pl.Decimal(18, 2)},
    )
    file = io.BytesIO()
    frame.write_parquet(file)
    data, dataset = file.getvalue(), DAILY_SALES_SUMMARY
    return data, DatasetResult("gold", dataset.name, dataset.key, count, 1, len(data), sha256(data).hexdigest())


def stages_of(written: Sequence[Sales], carried: Sequence[DatasetResult]) -> list[tuple[StageResult, dict[str, bytes]]]:
    """What the stages of a run record, and the files that each writes."""
    files = {key: data for each in written for key, data in each.files.items()}
    results = [*(item for each in written for item in each.results()), *carried]
    silver = [item for item in results if item.layer == "silver"]
    revenue, count = sum(Decimal(item.sums["silver_revenue"]) for item in silver), sum(item.rows_out for item in silver)
    data, gold = gold_of(Decimal(revenue), count)
    sums: dict[str, object] = {}
    for name in ("silver", "daily_sales_summary"):
        sums |= {f"{name}_transactions": count, f"{name}_revenue": Decimal(revenue)}
    bronze = {key: content for key, content in files.items() if key.startswith("bronze/")}
    of_clean = {key: content for key, content in files.items() if key not in bronze}
    return [
        (StageResult("extract", 0, tuple(item for item in results if item.layer == "bronze")), bronze),
        (StageResult("clean", 0, tuple(item for item in results if item.layer != "bronze")), of_clean),
        (StageResult("aggregate", 0, (gold,), sums), {gold.key: data}),
    ]


def hand_made_run(
    shop: Pipeline, *written: Sales, carried: Sequence[DatasetResult] = (), fails: bool = False
) -> RunLog:
    """A run that writes these sales, and carries the other files over; if it fails, then when its stages are done."""
    with shop.lock("hand-made") as lock:
        recover(shop)
        run = RunLog(next_run_id(shop.lake), PLAN, shop.lake, Events())
        staged = Transaction(shop.lake, shop.spool)
        with Commit(run, staged, shop, lock) as commit, commit.undo_on_error():
            run.start()
            for stage, files in stages_of(written, carried):
                with write_group(staged) as group:
                    for key, data in files.items():
                        group.writer(key).write(data)
                staged.drop_others(stage.datasets)
                run.stage_done(stage)
                commit.verify(stage)
            if fails:
                raise ShopeaseError("it fails")
            commit()
            staged.discard()
        run.write(Status.SUCCEEDED)
        prune(shop.lake, shop.retention)
    return run
