"""Makes what a run wrote visible at once: verifies it, publishes it, and undoes it if the run fails later."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, Self

from shopease_etl import cancel
from shopease_etl.contract.layout import JOURNAL, QUARANTINE, SILVER, STATE
from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.generations import undo
from shopease_etl.lake.lock.lock import LockHandle
from shopease_etl.lake.publish import FINISHING, publish_run
from shopease_etl.lake.reread import Content
from shopease_etl.lake.staging import Transaction
from shopease_etl.pipeline.recovery import prune
from shopease_etl.pipeline.run_log import RunLog
from shopease_etl.pipeline.verify import NOTHING, Verifier
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import PreviousVersions, StageResult, Status

log = logging.getLogger(__name__)

KEPT: Final = "what was copied is kept: `shopease retry` resumes with it, `shopease run-all` reads the source again"
NOTHING_KEPT: Final = "nothing has changed: `shopease retry` starts it again"


class Commit:
    """Call it when the stages are done, or in the crawl when the catalog is ready; a second call does nothing."""

    def __init__(self, run: RunLog, staged: Transaction, shop: Pipeline, lock: LockHandle) -> None:
        self._run = run
        self._staged = staged
        self._shop = shop
        self._lock = lock
        self._verifier = Verifier(staged)
        self._finishing = ExitStack()
        staged.on_write = self._follow

    def __enter__(self) -> Self:
        """Once it has published, nothing interrupts the block, unless a crawl of AWS follows."""
        return self

    def __exit__(self, *error: object) -> None:
        self._finishing.close()

    def _follow(self, key: str, path: Path) -> Callable[[], None]:
        """Read silver and quarantine while they are written: no later stage takes as long as reading them."""
        if key.startswith((f"{SILVER}/", f"{QUARANTINE}/")):
            return self._verifier.follow(key, path)
        return lambda: None

    def verify(self, stage: StageResult, cleaned: Mapping[str, int] = NOTHING) -> None:
        """Begin to read back what the stage wrote, beside the stages that follow; see `Verifier.add`."""
        self._verifier.add(stage, cleaned)

    def take(self, contents: Mapping[str, Content]) -> None:
        """Take what other machines found in objects that they wrote, see `Verifier.take`."""
        self._verifier.take(contents)

    def __call__(self) -> None:
        """Let readers see what the stages so far wrote.

        Raises:
            DataRefusedError: what was read back is not what the stages wrote.
            LakeLockedError: another machine has taken the lake over.
            UnreachableError: the store refuses something.
        """
        staged, is_listed = self._staged, any(stage.datasets for stage in self._run.stages)
        if self._run.is_published or not is_listed:
            return
        self._run.verified = self._verifier.result(self._shop.progress)
        self._record_compared(self._verifier.compared)
        # what is derived from the rows is not restored: clean makes it again
        keys = [key for key in (*staged.waiting, *staged.deletes) if not key.startswith(f"{STATE}/")]
        kept = self._shop.lake.keep_former(self._run.run_id, keys)
        self._run.replaced = PreviousVersions(kept, tuple(sorted({*staged.waiting} & {*keys} - kept.keys())))
        self._lock.require()
        if "crawl" not in self._run.plan.stages or not self._shop.lake.is_on_aws:
            # what follows takes no time: the catalog of a local lake, and the manifest
            self._finishing.enter_context(cancel.deferred(FINISHING))
        try:
            manifest = {**asdict(self._run.result(Status.RUNNING)), "published": True}
            publish_run(self._shop.lake, staged, manifest, deletes=staged.deletes)
        finally:
            self._run.is_published = staged.is_committed
        cancel.check()

    def _record_compared(self, keys: Collection[str]) -> None:
        """Record of the carried-over files with these keys that this run compared them with their hashes."""
        for number, stage in enumerate(self._run.stages):
            datasets = (
                replace(item, verified_by=self._run.run_id) if item.key in keys else item for item in stage.datasets
            )
            self._run.stages[number] = replace(stage, datasets=tuple(datasets))

    @contextmanager
    def undo_on_error(self) -> Iterator[None]:
        """If the block fails: undo what was published, keep what a retry can use, and write the manifest."""
        try:
            yield
        except BaseException as error:
            with cancel.deferred("cleaning up"):
                self._verifier.stop()
                self._clear_away(error)
                self._write_end(error)
            raise
        self._verifier.stop()

    def _clear_away(self, error: BaseException) -> None:
        is_interrupt = isinstance(error, KeyboardInterrupt)
        if self._run.is_published and not is_interrupt:
            self._undo()
        written = [item for stage in self._run.stages for item in stage.datasets if item.run_id is None]
        is_lost = self._run.is_published or not all(self._staged.has_copy(item.key) for item in written)
        kept = [] if is_lost else [key for item in written for key in (item.key, *item.state)]
        self._staged.discard(kept)
        if is_interrupt and self._run.is_published:
            error.add_note(f"run {self._run.run_id} is published, its catalog is not complete: run `shopease retry`")
        elif is_interrupt:
            error.add_note(KEPT if kept else NOTHING_KEPT)
        elif kept:
            log.warning("%s", KEPT)

    def _write_end(self, error: BaseException) -> None:
        """In the manifest, if that can be written, and to listeners; without secrets that the error may have."""
        is_interrupt = isinstance(error, KeyboardInterrupt)
        status = Status.INTERRUPTED if is_interrupt else Status.FAILED
        text = "interrupted" if is_interrupt else self._shop.secrets.redacted(str(error))
        try:
            self._run.write(status, text)
            prune(self._shop.lake, self._shop.retention)
        except ShopeaseError as failure:
            log.warning("the run's manifest could not be written: %s", failure)
        self._run.events.run_ended(self._run.result(status, text))

    def _undo(self) -> None:
        """Restore the former lake after a stage failed when the run was published; if that fails, log it."""
        if self._shop.lake.find(f"{JOURNAL}{self._run.run_id}"):
            return  # the next command publishes the rest
        try:
            undo(self._shop.lake, self._shop.aside, [asdict(self._run.result(Status.FAILED))], self._lock.require)
            self._run.is_published, self._run.replaced = False, None
            log.warning("rolled back what the run had published: the lake is as it was before")
        except ShopeaseError as failure:
            log.warning("what the run wrote stays published, as it cannot be undone: %s; see `shopease crawl`", failure)
