"""Jobs on EMR Serverless: started, followed to their end, cancelled."""

import logging
import shlex
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from shopease_etl import cancel
from shopease_etl.aws import client, error_code, is_transient, translate_aws_errors
from shopease_etl.errors import UnreachableError
from shopease_etl.operations.emr.request import LOGS, JobRequest
from shopease_etl.progress import SILENT, Progress

log = logging.getLogger(__name__)

SUCCESS: Final = "SUCCESS"
ENDED: Final = frozenset({SUCCESS, "FAILED", "CANCELLED"})
_GRACE_SECONDS: Final = 30  # what a run has to discard what it has not published
_CANCEL_SECONDS: Final = 90.0
_PATIENCE: Final = 600.0  # how long a state may stay unknown
_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_SIGN_OF_LIFE: Final = 60.0


class Jobs:
    """The jobs of an EMR Serverless application."""

    def __init__(self, application: str) -> None:
        self.application = application
        self._what = f"the EMR Serverless application {application}"
        self._client = client("emr-serverless", self._what)

    @property
    def region(self) -> str:
        """The region of the application."""
        return str(self._client.meta.region_name)

    def start(self, request: JobRequest, entry_point: str) -> str:
        """Start a job that runs the script at this address, and return its id.

        A request that is repeated, because its answer was lost, starts no second job. Defer interrupts: a job whose id
        is not known cannot be cancelled.

        Raises:
            UnreachableError: there is no such application, or AWS refuses the job.
        """
        storage = {"logUri": f"{request.lake}/{LOGS}"}
        if request.log_key:
            storage["encryptionKeyArn"] = request.log_key
        script = {
            "entryPoint": entry_point,
            "entryPointArguments": list(request.words),
            "sparkSubmitParameters": request.spark_parameters(self.region),
        }
        known = f"a job may have been started: {_command('list-job-runs', self.application)}"
        cancel.hint_at_once(known)
        try:
            with translate_aws_errors(self._what):
                answer = self._client.start_job_run(
                    applicationId=self.application,
                    clientToken=str(uuid.uuid4()),
                    executionRoleArn=request.role,
                    name=f"shopease {request.words[0]}",
                    executionTimeoutMinutes=request.minutes,
                    jobDriver={"sparkSubmit": script},
                    configurationOverrides={"monitoringConfiguration": {"s3MonitoringConfiguration": storage}},
                )
        except UnreachableError as error:
            raise UnreachableError(str(error), hint=known if is_transient(error) else error.hint) from error
        job = str(answer["jobRunId"])
        cancel.hint_at_once(f"the job {job} may still be running; cancel it: {self.cancel_command(job)}")
        return job

    def cancel_command(self, job: str) -> str:
        """The command that cancels the job."""
        return _command("cancel-job-run", self.application, "--job-run-id", job)

    def follow(self, job: str, progress: Progress = SILENT) -> Mapping[str, Any]:
        """Wait for the job's end and return what AWS says of it.

        Raises:
            UnreachableError: its state could not be read, for a while or for good; the job goes on.
        """
        state, since, pause = "", "", _SHORTEST_PAUSE
        sign_of_life = time.monotonic()
        while True:
            found = self._get_patiently(job)
            if found["state"] != state:
                if state:
                    progress.finish(state.lower(), f"since {since}")
                state, since, pause = str(found["state"]), f"{datetime.now(UTC):%H:%M:%S} UTC", _SHORTEST_PAUSE
                log.info("the job %s is %s", job, state)
                if state in ENDED:
                    return found
                progress.start(state.lower())
            elif time.monotonic() - sign_of_life > _SIGN_OF_LIFE:
                sign_of_life = time.monotonic()
                progress.advance(state.lower())
            cancel.wait(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _get_patiently(self, job: str) -> Mapping[str, Any]:
        """The job's state; failures that may pass are endured for a while, as the job goes on meanwhile."""
        until, pause = time.monotonic() + _PATIENCE, _SHORTEST_PAUSE
        while True:
            try:
                return self._get(job)
            except UnreachableError as error:
                if not is_transient(error) or time.monotonic() + pause > until:
                    hint = f"the job goes on; cancel it: {self.cancel_command(job)}"
                    raise UnreachableError(f"the state of the job {job} is not known: {error}", hint=hint) from error
                log.warning("the state of the job %s is not known for now, asking again: %s", job, error)
            cancel.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _get(self, job: str) -> Mapping[str, Any]:
        with translate_aws_errors(f"the job {job} on EMR Serverless"):
            found: Mapping[str, Any] = self._client.get_job_run(applicationId=self.application, jobRunId=job)["jobRun"]
        return found

    def cancel(self, job: str) -> str:
        """Cancel the job, and return how far that went."""
        try:
            self._request_cancellation(job)
        except UnreachableError as error:
            log.warning("cannot cancel the job %s: %s", job, error)
            return f"the job {job} may still be running; cancel it: {self.cancel_command(job)}"
        state = self._state_after_cancellation(job)
        if state in ENDED:
            return f"the job {job} " + ("was cancelled" if state == "CANCELLED" else f"had ended before: {state}")
        return f"the job {job} is being cancelled, but is still {state}; to cancel it again: {self.cancel_command(job)}"

    def _state_after_cancellation(self, job: str) -> str:
        """The state in which the job ended, or is in when that takes too long."""
        state, until, pause = "CANCELLING", time.monotonic() + _CANCEL_SECONDS, _SHORTEST_PAUSE
        while state not in ENDED and time.monotonic() < until:
            cancel.wait(pause)
            pause = min(pause * 1.5, 5.0)
            with suppress(UnreachableError):
                state = str(self._get(job)["state"])
        return state

    def _request_cancellation(self, job: str) -> None:
        try:
            with translate_aws_errors(f"the job {job} on EMR Serverless"):
                self._client.cancel_job_run(
                    applicationId=self.application, jobRunId=job, shutdownGracePeriodInSeconds=_GRACE_SECONDS
                )
        except UnreachableError as error:
            if error_code(error.__cause__) != "ValidationException":  # of a job that has ended
                raise


def _command(name: str, application: str, *more: str) -> str:
    """A command of AWS's own command line about jobs."""
    return shlex.join(("aws", "emr-serverless", name, "--application-id", application, *more))
