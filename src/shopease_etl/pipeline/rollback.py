"""Undoes runs: restores the lake and its catalog as they were before."""

from dataclasses import replace

from shopease_etl import cancel
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.generations import plan_rollback, runs_to_undo, undo
from shopease_etl.pipeline.events import Events, now
from shopease_etl.pipeline.plan import NO_OVERRIDES, Plan
from shopease_etl.pipeline.preflight import preflight
from shopease_etl.pipeline.recovery import prune, recover
from shopease_etl.pipeline.run import start
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import RollbackPlan, RollbackResult, Status


def find_rollback(
    shop: Pipeline,
    *,
    to: str | None = None,
    to_nothing: bool = False,
    is_dry_run: bool = False,
    wait: float = 0,
) -> RollbackPlan:
    """What `rollback` would do: undo the last run that published, or all that published after the run `to`.

    Unless it is a dry run, it first finishes what a dead run began to publish.

    Raises:
        ConfigurationError: the lake is as the run `to` left it.
        DataRefusedError: no run has published, a former object is not kept, an object is not as its run wrote it, or
            nothing would be left and `to_nothing` does not allow that.
        LakeLockedError: a run holds the lake.
    """
    shop.lake.check()
    if not is_dry_run:
        with shop.lock("rollback", wait=wait):
            recover(shop, keep_outputs=True)  # for a retry, if the answer is no
    plan = plan_rollback(shop.lake, runs_to_undo(shop.lake, to))
    if plan.leaves_nothing and not to_nothing:
        message = f"undoing the run {plan.undoes[-1]} leaves nothing in {shop.lake.location}: no run was before it"
        raise DataRefusedError(message, hint="`shopease rollback --to-nothing` does it")
    return plan


def rollback(shop: Pipeline, plan: RollbackPlan, *, skip_crawl: bool = False, wait: float = 0) -> RollbackResult:
    """Carry out what `find_rollback` found, and update the catalog.

    Raises:
        DataRefusedError: the lake has changed since then; nothing else has.
        LakeLockedError: a run holds the lake.
        ShopeaseError: the crawl failed; the lake is as it was before the runs all the same.
    """
    crawl = Plan(() if skip_crawl else ("crawl",))
    preflight(crawl, shop)
    with shop.lock("rollback", wait=wait) as lock:
        recover(shop)
        undone = runs_to_undo(shop.lake, plan.to if len(plan.undoes) > 1 else None)
        if plan_rollback(shop.lake, undone) != plan:
            message = f"{shop.lake.location} was changed by another run meanwhile; nothing was rolled back"
            raise DataRefusedError(message, hint="see what would change now: `shopease rollback --dry-run`")
        documents = [manifest.document for manifest in undone]
        with cancel.deferred("finishing the rollback"):
            changes = {"status": Status.ROLLED_BACK, "rolled_back_at": now()}
            result = undo(shop.lake, shop.aside, documents, lock.require, **changes)
            prune(shop.lake, shop.retention)
            if plan.leaves_nothing and not skip_crawl:
                shop.warehouse().clear()
    if skip_crawl or plan.leaves_nothing:
        return result
    try:
        cancel.check()
        return replace(result, crawl=start(crawl, shop, Events(*shop.listeners), overrides=NO_OVERRIDES, wait=wait))
    except KeyboardInterrupt as interrupt:
        interrupt.__notes__ = [f"run {result.run_id} is rolled back, but not its catalog: run `shopease crawl`"]
        raise
    except ShopeaseError as error:
        message = f"the run {result.run_id} is rolled back, but the catalog could not be updated: {error}"
        raise type(error)(message, hint=error.hint, details=error.details) from error
