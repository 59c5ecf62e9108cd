"""Resumes a run that did not succeed."""

import logging

from shopease_etl.errors import NothingToRetryError, ShopeaseError
from shopease_etl.lake.manifests import Manifest, manifests
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore
from shopease_etl.pipeline.events import announced
from shopease_etl.pipeline.plan import NO_OVERRIDES, STAGES, Overrides, plan_in
from shopease_etl.pipeline.preflight import preflight
from shopease_etl.pipeline.recovery import recover
from shopease_etl.pipeline.run import carry_out
from shopease_etl.pipeline.run_log import RunLog
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import DatasetResult, PreviousVersions, RunResult, SourceInfo, Status, stage_of

log = logging.getLogger(__name__)


def resume(shop: Pipeline, *, overrides: Overrides = NO_OVERRIDES, wait: float = 0) -> RunResult:
    """Resume the last run, which did not succeed, after the last of its stages whose outputs are as it left them.

    Raises:
        NothingToRetryError: there is no run, or the last one succeeded.
        ShopeaseError: as `run` does.
    """
    with announced("retry", (), shop.listeners) as events:
        shop.lake.check()
        with shop.lock("retry", wait=wait) as lock:
            recover(shop, keep_outputs=True)
            last = _last_failed(shop.lake)
            run = RunLog(last.run.run_id, plan_in(last.document), shop.lake, events)
            preflight(run.plan, shop)
            staged = Transaction(shop.lake, shop.spool)
            _take_up(last, run, staged)
            staged.sweep()
            return carry_out(run, staged, shop, lock, overrides)


def _last_failed(lake: LakeStore) -> Manifest:
    last = next(manifests(lake), None)
    ends = {str(Status.SUCCEEDED): "succeeded", str(Status.ROLLED_BACK): "was rolled back"}
    if last is None or last.run.status in ends:
        message = f"there is nothing to retry in {lake.location}: " + (
            f"the last run, {last.run.run_id}, {ends[last.run.status]}" if last else "no run has started yet"
        )
        raise NothingToRetryError(message, hint="`shopease run-all` starts a new run")
    return last


def _take_up(last: Manifest, run: RunLog, staged: Transaction) -> None:
    """Restore the state of the run: all stages if it has published, else the first ones whose outputs are complete."""
    document = last.document
    try:
        finished = [stage_of(stage) for stage in document["stages"] if stage["name"] in STAGES[:-1]]
        source = SourceInfo(**document["source"]) if document["source"] else None
        replaced = document["replaced"] and PreviousVersions(
            document["replaced"]["objects"], tuple(document["replaced"]["new"])
        )
        run.started_at, run.attempt = str(document["started_at"]), int(document["attempt"]) + 1
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        message = f"the manifest of the run {last.run.run_id} does not say what the run did"
        raise ShopeaseError(message, hint="start a new run: `shopease run-all`") from error
    if last.recorded:
        run.stages, run.source, run.replaced, run.is_published = finished, source, replaced, True
        return
    for stage in finished:
        if not all(_is_there(item, staged) for item in stage.datasets):
            return
        staged.drop_others(stage.datasets)
        log.info("reusing %s: it is as the run left it", stage.name)
        run.stages.append(stage)
        run.source = source


def _is_there(item: DatasetResult, staged: Transaction) -> bool:
    """Whether the stage's file is still there: carried over in the lake, or reused with what was derived from it."""
    if item.run_id:
        found = staged.find(item.key)
        return found is not None and found.bytes == item.bytes
    return all(staged.reuse(key, sha256) for key, sha256 in ((item.key, item.sha256), *item.state.items()))
