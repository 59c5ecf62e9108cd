"""A run from its start to its end."""

from shopease_etl import cancel
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.lock.lock import LockHandle
from shopease_etl.lake.manifests import next_run_id
from shopease_etl.lake.staging import Transaction
from shopease_etl.pipeline import guards
from shopease_etl.pipeline.commit import Commit
from shopease_etl.pipeline.events import Events, announced
from shopease_etl.pipeline.plan import NO_OVERRIDES, Overrides, Plan
from shopease_etl.pipeline.preflight import preflight
from shopease_etl.pipeline.recovery import prune, recover
from shopease_etl.pipeline.run_log import RunLog
from shopease_etl.pipeline.stage_calls import StageCalls
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import RunResult, Status


def run(plan: Plan, shop: Pipeline, *, overrides: Overrides = NO_OVERRIDES, wait: float = 0) -> RunResult:
    """Carry out a plan; everything it writes becomes visible at once, or nothing does.

    The run's manifest is written however it ends. `wait` is how many seconds to wait for the lake's lock.

    Raises:
        LakeLockedError: another run holds the lake.
        ShopeaseError: a stage failed.
    """
    with announced(plan.command, plan.stages, shop.listeners) as events:
        return start(plan, shop, events, overrides=overrides, wait=wait)


def start(plan: Plan, shop: Pipeline, events: Events, *, overrides: Overrides, wait: float) -> RunResult:
    """Carry out a plan as `run` does, as part of a command that has started."""
    preflight(plan, shop)
    run_id = next_run_id(shop.lake)
    with shop.lock(run_id, wait=wait) as lock:
        recover(shop)
        run_id = next_run_id(shop.lake, run_id)  # others may have run while this one waited
        log = RunLog(run_id, plan, shop.lake, events)
        return carry_out(log, Transaction(shop.lake, shop.spool), shop, lock, overrides)


def carry_out(log: RunLog, staged: Transaction, shop: Pipeline, lock: LockHandle, overrides: Overrides) -> RunResult:
    """Do the stages that are not done, and publish what all of them wrote."""
    baseline = guards.read_baseline(shop.lake)
    limit = cancel.deadline(
        shop.limits.run, "the run", hint="SHOPEASE_RUN_TIMEOUT sets the limit; see what took so long with --verbose"
    )
    with Commit(log, staged, shop, lock) as commit:
        stages = StageCalls(log, staged, shop, baseline, overrides, commit)
        with commit.undo_on_error(), limit:
            log.start()
            for name in log.plan.stages:
                lock.require()
                result = log.find(name) or stages.carry_out(name)
                commit.take(stages.read_again)
                commit.verify(result, stages.cleaned)
                guards.require_within_limits(baseline, result, log.stages, overrides, shop.limits)
            commit()
            staged.discard()
        return _conclude(log, shop)


def _conclude(log: RunLog, shop: Pipeline) -> RunResult:
    with cancel.deferred("recording how the run ended"):
        try:
            result = log.write(Status.SUCCEEDED)
        except UnreachableError as error:
            message = f"all that the run wrote is published, but its manifest could not be written: {error}"
            raise UnreachableError(message, hint="`shopease retry` writes it") from error
        log.events.run_ended(result)
        prune(shop.lake, shop.retention)
    return result
