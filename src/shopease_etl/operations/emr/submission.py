"""A job from its start to its end, and what became of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.lake.open import open_store
from shopease_etl.operations.emr.jobs import SUCCESS, Jobs
from shopease_etl.operations.emr.logs import DriverLog, driver_log_key, read_driver_log
from shopease_etl.operations.emr.request import LOGS, JobRequest
from shopease_etl.pipeline.costs import Prices
from shopease_etl.progress import SILENT, Progress


@dataclass(frozen=True)
class JobResult:
    """A job as it was last seen; `log` is the address of what its driver wrote to stderr.

    The rest is None as long as it runs. Hours and dollars are what AWS bills, if it says so; storage is not in them.
    """

    job_id: str
    application: str
    state: str
    log: str
    exit_code: int | None = None
    seconds: int | None = None
    vcpu_hours: float | None = None
    gb_hours: float | None = None
    dollars: float | None = None


class JobFailedError(ShopeaseError):
    """The job failed, or was cancelled elsewhere; the exit code is the job's, or else 1."""

    def __init__(self, result: JobResult, reason: str, log: DriverLog) -> None:
        ended = f"exit code {result.exit_code}" if log.exit_code is not None else f"{result.state}: {reason}"
        facts = {name: value for name, value in asdict(result).items() if name != "exit_code"}
        super().__init__(
            f"the job {result.job_id} on EMR Serverless ended with {ended}",
            hint=f"for the whole log: aws s3 cp {result.log} - | gunzip",
            details=log.lines,
            facts=facts,
        )
        self.result = result
        self.exit_code = result.exit_code or 1


class Submission:
    """A job that has been started."""

    def __init__(self, request: JobRequest, jobs: Jobs, job: str, prices: Prices) -> None:
        self._jobs = jobs
        self._job = job
        self._prices = prices
        self._store = open_store(request.lake)
        self._log = driver_log_key(LOGS, request.application, job)
        self.started = JobResult(job, request.application, "SUBMITTED", self._store.uri(self._log))

    @classmethod
    def start(cls, request: JobRequest, script: str, prices: Prices) -> "Submission":
        """Start a job that runs the script at this address, see `Jobs.start`."""
        jobs = Jobs(request.application)
        return cls(request, jobs, jobs.start(request, script), prices)

    @property
    def cancel_command(self) -> str:
        """The command that cancels the job."""
        return self._jobs.cancel_command(self._job)

    def cancel(self) -> str:
        """Cancel the job, and return how far that went."""
        return self._jobs.cancel(self._job)

    def finish(self, progress: Progress = SILENT) -> JobResult:
        """Follow the job to its end.

        Raises:
            JobFailedError: it failed, with the end of its log.
            UnreachableError: its state could not be read.
        """
        found = self._jobs.follow(self._job, progress)
        if found["state"] == SUCCESS:
            return self._result(found, 0)
        log = self._read_log(progress)
        reason = str(found.get("stateDetails") or "AWS gives no reason")
        raise JobFailedError(self._result(found, log.exit_code or 1), reason, log)

    def _read_log(self, progress: Progress) -> DriverLog:
        """The end of the log; that the job has failed matters more than that its log cannot be read."""
        progress.start("log of the driver")
        try:
            log = read_driver_log(self._store, self._log)
        except UnreachableError as error:
            log = DriverLog((f"(the log cannot be read: {error})",))
        progress.finish("log of the driver", "read" if log.exit_code is not None else "without an exit code")
        return log

    def _result(self, found: Mapping[str, Any], exit_code: int) -> JobResult:
        billed = found.get("billedResourceUtilization") or {}
        cpu, memory = billed.get("vCPUHour"), billed.get("memoryGBHour")
        return JobResult(
            self.started.job_id,
            self.started.application,
            str(found["state"]),
            self.started.log,
            exit_code,
            found.get("totalExecutionDurationSeconds"),
            cpu,
            memory,
            None if cpu is None or memory is None else self._prices.job(cpu, memory),
        )
