"""Runs from their start to their end: looked over ahead, carried out under the lake's lock, taken up, rolled back."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from shopease_etl import extras, signals
from shopease_etl.errors import (
    ConfigurationError,
    DataRefusedError,
    NothingToRetryError,
    ShopeaseError,
    UnreachableError,
)
from shopease_etl.lake.generations import ROLLED_BACK, plan_rollback, runs_to_undo, undo
from shopease_etl.lake.manifests import Manifest, manifests, next_run_id, recorded_datasets, require_whole
from shopease_etl.lake.store import LakeStore, private_path
from shopease_etl.pipeline import guards, lineage, recovery
from shopease_etl.pipeline.cleanup import holding, tidy
from shopease_etl.pipeline.events import Events, log_event, now
from shopease_etl.pipeline.plan import STAGES, Consent, Plan, plan_of
from shopease_etl.pipeline.stage_calls import ASIDE, RUNNING, SUCCEEDED, Job
from shopease_etl.pipeline.wiring import crawlers, lake_store, source, warehouse
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import Replaced, RollbackPlan, RollbackResult, RunResult, SourceInfo, stage_of
from shopease_etl.settings import Settings
from shopease_etl.source.session import existing_source, require_embedded
from shopease_etl.stages.extract import resolve

log = logging.getLogger(__name__)

NO_CONSENT = Consent()
_ENDED: Final = {SUCCEEDED: "succeeded", ROLLED_BACK: "was rolled back"}


def check_plan(plan: Plan, settings: Settings, consent: Consent = NO_CONSENT) -> None:
    """Raise what a run of the plan would raise at its start: settings, connections, tables and columns, drift."""
    store = lake_store(settings)
    _check_ahead(plan, settings, store)
    if "extract" in plan.stages:
        with existing_source(source(settings)) as moment:
            sources = resolve(moment, plan.tables)
            if not consent.to_drift:
                guards.require_no_drift(guards.previous(store), sources, moment.sample_row)
    else:
        recorded = recorded_datasets(store)
        for key in (key for step in plan.steps() if step.stage == plan.stages[0] for key in step.reads):
            require_whole(store, key, recorded)


def run(
    plan: Plan,
    settings: Settings,
    progress: Progress = SILENT,
    *,
    consent: Consent = NO_CONSENT,
    wait: float = 0,
) -> RunResult:
    """Carry the plan out under the lake's lock and write its manifest, however it ends.

    `wait` is how many seconds to wait for the lock.

    Raises:
        LakeLockedError: another run holds the lake.
        ShopeaseError: a stage failed; what it and the stages before it wrote is not published.
    """
    store = lake_store(settings)
    _check_ahead(plan, settings, store)
    run_id = next_run_id(store)
    with holding(store, settings, run_id, wait=wait) as hold:
        tidy(store, settings)
        run_id = next_run_id(store, run_id)  # others may have run while this one waited
        return _carried_out(
            Job(plan, settings, store, hold, run_id, consent, progress, _events(run_id, plan, settings))
        )


def retry(
    settings: Settings, progress: Progress = SILENT, *, consent: Consent = NO_CONSENT, wait: float = 0
) -> RunResult:
    """Go on with the last run, which did not succeed, after the last of its stages whose outputs are as it left them.

    Raises:
        NothingToRetryError: there is no run, or the last one succeeded.
        ShopeaseError: as `run` does.
    """
    store = lake_store(settings)
    store.check()
    with holding(store, settings, "retry", wait=wait) as hold:
        tidy(store, settings, keep_outputs=True)
        last = _last_failed(store)
        plan = plan_of(last.document)
        _check_ahead(plan, settings, store)
        run_id = last.run.run_id
        job = Job(plan, settings, store, hold, run_id, consent, progress, _events(run_id, plan, settings))
        _taken_up(last, job).pending.sweep()
        return _carried_out(job)


def find_rollback(
    settings: Settings,
    *,
    to: str | None = None,
    to_nothing: bool = False,
    is_dry_run: bool = False,
    wait: float = 0,
) -> RollbackPlan:
    """What `rollback` would do: undo the last run that published, or all that published after the run `to`.

    Unless it is a dry run, what a run that died had begun to publish is finished before.

    Raises:
        ConfigurationError: the lake is as the run `to` left it.
        DataRefusedError: no run has published, a former object is not kept, an object is not as its run wrote it, or
            nothing would be left and `to_nothing` does not allow that.
        LakeLockedError: a run holds the lake.
    """
    store = lake_store(settings)
    store.check()
    if not is_dry_run:
        with holding(store, settings, "rollback", wait=wait):
            tidy(store, settings, keep_outputs=True)  # for a retry, if the answer is no
    plan = plan_rollback(store, runs_to_undo(store, to))
    if plan.leaves_nothing and not to_nothing:
        message = f"undoing the run {plan.undoes[-1]} leaves nothing in {store.location}: no run was before it"
        raise DataRefusedError(message, hint="`shopease rollback --to-nothing` does it")
    return plan


def rollback(
    settings: Settings, plan: RollbackPlan, progress: Progress = SILENT, *, skip_crawl: bool = False, wait: float = 0
) -> RollbackResult:
    """Carry out what `find_rollback` found, and bring the catalog up to it.

    Raises:
        DataRefusedError: the lake has changed since then; nothing else has.
        LakeLockedError: a run holds the lake.
        ShopeaseError: the crawl failed; the lake is as it was before the runs all the same.
    """
    store = lake_store(settings)
    crawl = Plan(() if skip_crawl else ("crawl",))
    _check_ahead(crawl, settings, store)
    with holding(store, settings, "rollback", wait=wait) as hold:
        tidy(store, settings)
        undone = runs_to_undo(store, plan.to if len(plan.undoes) > 1 else None)
        if plan_rollback(store, undone) != plan:
            message = f"{store.location} was changed by another run meanwhile; nothing was rolled back"
            raise DataRefusedError(message, hint="look again: `shopease rollback --dry-run`")
        documents = [manifest.document for manifest in undone]
        aside = private_path(settings.home, ASIDE, store.location)
        result = undo(store, aside, documents, hold.require, status=ROLLED_BACK, rolled_back_at=now())
        recovery.prune(store, settings)
        if plan.leaves_nothing and not skip_crawl:
            warehouse(settings, store).clear()
    signals.deliver()
    return result if skip_crawl or plan.leaves_nothing else _crawled(result, crawl, settings, progress, wait)


def _crawled(undone: RollbackResult, plan: Plan, settings: Settings, progress: Progress, wait: float) -> RollbackResult:
    try:
        return replace(undone, crawl=run(plan, settings, progress, wait=wait))
    except ShopeaseError as error:
        message = f"the run {undone.run_id} is rolled back, but the catalog could not be updated: {error}"
        raise type(error)(message, hint=error.hint, details=error.details) from error


def _events(run_id: str, plan: Plan, settings: Settings) -> Events:
    return Events(run_id, log_event, *lineage.listeners(plan, settings))


def _carried_out(job: Job) -> RunResult:
    with _ending(job), _in_time(job.settings):
        job.events.run_started(job.attempt)
        job.record(RUNNING, None)
        job.execute()
    with signals.held_back("telling how the run ended"):
        result = _recorded(job)
        job.events.run_ended(result)
        recovery.prune(job.store, job.settings)
    return result


def _recorded(job: Job) -> RunResult:
    """The run's last manifest; all that it tells of has been done."""
    try:
        return job.record(SUCCEEDED, None)
    except UnreachableError as error:
        message = f"all that the run wrote is published, but its manifest could not be written: {error}"
        raise UnreachableError(message, hint="`shopease retry` writes it") from error


@contextmanager
def _ending(job: Job) -> Iterator[None]:
    """Whatever ends the run, it is told in the manifest."""
    try:
        yield
    except BaseException as error:
        job.end(error)
        raise


@contextmanager
def _in_time(settings: Settings) -> Iterator[None]:
    hint = "SHOPEASE_RUN_TIMEOUT sets the limit; see what took so long with --verbose"
    with signals.time_limit(settings.run_timeout, "the run", hint=hint):
        yield


def _check_ahead(plan: Plan, settings: Settings, store: LakeStore) -> None:
    """Raise before anything is written what would stop the run at its end."""
    if plan.crawlers and not store.is_on_aws:
        message = f"Glue's crawlers are for lakes on S3, and {store.location} is a folder"
        raise ConfigurationError(message, hint="without --crawlers, `shopease crawl` does all that a local lake needs")
    if settings.alerts:
        extras.require("alerts", "SHOPEASE_ALERTS")
    if "extract" in plan.stages:
        require_embedded(source(settings))
    lineage.listeners(plan, settings)
    store.check()
    store.check_targets(plan.keys)
    if "crawl" in plan.stages:
        warehouse(settings, store).check()
    if plan.crawlers:
        crawlers(settings).check()


def _last_failed(store: LakeStore) -> Manifest:
    last = next(manifests(store), None)
    if last is None or last.run.status in _ENDED:
        message = f"there is nothing to retry in {store.location}: " + (
            f"the last run, {last.run.run_id}, {_ENDED[last.run.status]}" if last else "no run has begun yet"
        )
        raise NothingToRetryError(message, hint="`shopease run-all` begins a new run")
    return last


def _taken_up(last: Manifest, job: Job) -> Job:
    """The job with what its run had done."""
    document = last.document
    try:
        finished = [stage_of(stage) for stage in document["stages"] if stage["name"] in STAGES[:-1]]
        source = SourceInfo(**document["source"]) if document["source"] else None
        replaced = document["replaced"] and Replaced(
            document["replaced"]["objects"], tuple(document["replaced"]["new"])
        )
        job.started_at, job.attempt = str(document["started_at"]), int(document["attempt"]) + 1
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        message = f"the manifest of the run {last.run.run_id} does not tell what the run did"
        raise ShopeaseError(message, hint="start a new run: `shopease run-all`") from error
    if last.recorded:
        job.stages, job.source, job.replaced, job.is_published = finished, source, replaced, True
    else:
        job.adopt(finished, source)
    return job
