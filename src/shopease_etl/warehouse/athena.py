"""SQL on Athena: starts a statement, waits for it, and reads its result page by page."""

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa

from shopease_etl import cancel
from shopease_etl.aws import client, refusals
from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.warehouse.athena_errors import Statement, disabled, failure, submission_refusal, workgroup_refusal
from shopease_etl.warehouse.athena_types import first_batch, next_batch, rows_of
from shopease_etl.warehouse.limits import TimeLimit

_CATALOG: Final = "AwsDataCatalog"
_ENDED: Final = {"SUCCEEDED", "FAILED", "CANCELLED"}
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_PAGE_ROWS: Final = 1000
_MEGABYTE: Final = 1 << 20
_LEAST_MEGABYTES: Final = 10

_log = logging.getLogger(__name__)


class Athena:
    """SQL on Athena: one workgroup, one database.

    `results` is an s3:// folder for results, used only if the workgroup has none of its own. `timeout` limits the
    seconds of a statement, with its time in Athena's queue and the reading of its rows. Several threads may run
    statements at a time. `scanned` and `charged` are the bytes of all statements so far.
    """

    def __init__(self, database: str, workgroup: str, results: str, *, timeout: float) -> None:
        self._database = database
        self._workgroup = workgroup
        self._results = results
        self._timeout = timeout
        self._client = client("athena")
        self._told = f"the Athena workgroup {workgroup}"
        self._configuration: Mapping[str, Any] | None = None
        self._closed: Future[None] = Future()
        self._counting = threading.Lock()
        self.scanned = 0
        self.charged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Starts nothing more; each thread that waits for a statement stops it and ends with an error."""
        if not self._closed.done():
            self._closed.set_result(None)
        self._client.close()

    def check(self) -> None:
        """Raise UnreachableError if the workgroup does not exist, is disabled or may not be read."""
        try:
            with refusals(self._told):
                found = self._client.get_work_group(WorkGroup=self._workgroup)["WorkGroup"]
        except UnreachableError as error:
            raise workgroup_refusal(error, self._workgroup) from error
        if found.get("State") == "DISABLED":
            raise disabled(self._workgroup)
        self._configuration = found.get("Configuration") or {}

    @property
    def cutoff(self) -> int | None:
        """The most bytes that the workgroup lets a statement scan; None if there is no limit."""
        limit = self._settings().get("BytesScannedCutoffPerQuery")
        return None if limit is None else int(limit)

    def query(self, sql: str) -> pa.RecordBatchReader:
        """Run one read-only statement to its end; its rows follow, one batch per page of Athena's.

        Errors occur here, not while the rows are read: ConfigurationError for wrong SQL with its place,
        DataRefusedError for bad data, ShopeaseError for the workgroup's limit, UnreachableError for AWS.
        """
        # sqlglot is an extra, which views do not need
        from shopease_etl.warehouse.dialect import reading_statement

        text, start = reading_statement(sql)
        return self._reader(Statement(text, sql, start))

    def answer(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement of shopease's own, without checks, otherwise like `query`."""
        return self._reader(Statement(sql, sql))

    def execute(self, sql: str) -> None:
        """Run one statement of shopease's own without rows, such as CREATE OR REPLACE VIEW, to its end."""
        self._run(Statement(sql, sql), TimeLimit(self._timeout))

    def _settings(self) -> Mapping[str, Any]:
        if self._configuration is None:
            self.check()
        return self._configuration or {}

    def _run(self, statement: Statement, limit: TimeLimit) -> Mapping[str, Any]:
        identity = self._start(statement)
        try:
            execution = self._ended(identity, limit)
        except BaseException:
            # Ctrl-C, the time limit, a close, a lost connection: the statement would continue and be charged
            self._stop(identity)
            raise
        self._count(execution)
        if execution["Status"]["State"] != "SUCCEEDED":
            raise failure(execution, statement, self._workgroup, self.cutoff)
        return execution

    def _start(self, statement: Statement) -> str:
        """The statement's id. boto3 retries, also after too many queries at once; by the token Athena runs only one.

        Ctrl-C between the request and its answer leaves a query whose id is not known: it runs to its end or the
        workgroup's limit.
        """
        request = {
            "QueryString": statement.text,
            "ClientRequestToken": str(uuid.uuid4()),
            "QueryExecutionContext": {"Database": self._database, "Catalog": _CATALOG},
            "WorkGroup": self._workgroup,
            **_result_configuration(self._settings(), self._results),
        }
        self._refuse_if_closed()
        try:
            with refusals(self._told):
                identity = str(self._client.start_query_execution(**request)["QueryExecutionId"])
        except UnreachableError as error:
            raise submission_refusal(error, statement, self._workgroup) from error
        return identity

    def _ended(self, identity: str, limit: TimeLimit) -> Mapping[str, Any]:
        pause = _FIRST_PAUSE
        while (execution := self._execution(identity))["Status"]["State"] not in _ENDED:
            limit.check()
            cancel.wait(min(pause, limit.left), self._closed)
            self._refuse_if_closed()
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return execution

    def _refuse_if_closed(self) -> None:
        if self._closed.done():
            raise ShopeaseError(f"{self._told} was closed before the statement came to its end")

    def _execution(self, identity: str) -> Mapping[str, Any]:
        with refusals(self._told):
            execution: Mapping[str, Any] = self._client.get_query_execution(QueryExecutionId=identity)["QueryExecution"]
        return execution

    def _stop(self, identity: str) -> None:
        """Stop a statement; a failure is only logged, as the reason for the stop matters more."""
        try:
            with refusals(self._told):
                self._client.stop_query_execution(QueryExecutionId=identity)
            self._count(self._execution(identity))
        except UnreachableError as error:
            _log.warning("Athena's query %s may still be running: %s", identity, error)

    def _count(self, execution: Mapping[str, Any]) -> None:
        with self._counting:
            self.scanned += _scanned(execution)
            self.charged += charge(execution)

    def _reader(self, statement: Statement) -> pa.RecordBatchReader:
        limit = TimeLimit(self._timeout)
        execution = self._run(statement, limit)
        identity = execution["QueryExecutionId"]
        # a row may equal the names: only the kind of statement decides whether the first row has the names
        is_headed = execution.get("StatementType") == "DML"
        page = self._page(identity)
        infos = (page["ResultSet"].get("ResultSetMetadata") or {}).get("ColumnInfo", [])
        rows = rows_of(page["ResultSet"], len(infos), is_metadata=not is_headed)
        first = first_batch(infos, rows[1:] if is_headed else rows)
        batches = self._batches(identity, first, page.get("NextToken"), limit, is_metadata=not is_headed)
        return pa.RecordBatchReader.from_batches(first.schema, batches)

    def _batches(
        self, identity: str, first: pa.RecordBatch, token: str | None, limit: TimeLimit, *, is_metadata: bool
    ) -> Iterator[pa.RecordBatch]:
        if first.num_rows:
            yield first
        while token:
            limit.check()
            page = self._page(identity, NextToken=token)
            token = page.get("NextToken")
            # after a full last page Athena returns an empty one
            if rows := rows_of(page["ResultSet"], len(first.schema), is_metadata=is_metadata):
                yield next_batch(first.schema, rows)

    def _page(self, identity: str, **token: str) -> Mapping[str, Any]:
        with refusals(self._told):
            page: Mapping[str, Any] = self._client.get_query_results(
                QueryExecutionId=identity, MaxResults=_PAGE_ROWS, **token
            )
        return page


def charge(execution: Mapping[str, Any]) -> int:
    """The bytes that AWS charges: scanned bytes in whole megabytes, at least 10; failures and DDL are free.

    https://aws.amazon.com/athena/pricing
    """
    scanned = _scanned(execution)
    if not scanned or execution["Status"]["State"] == "FAILED" or execution.get("StatementType") == "DDL":
        return 0
    return max(-(-scanned // _MEGABYTE), _LEAST_MEGABYTES) * _MEGABYTE


def _scanned(execution: Mapping[str, Any]) -> int:
    return int(execution.get("Statistics", {}).get("DataScannedInBytes", 0))


def _result_configuration(workgroup: Mapping[str, Any], results: str) -> Mapping[str, Any]:
    """The result location, unless the workgroup defines or enforces its own."""
    has_own = (
        workgroup.get("EnforceWorkGroupConfiguration")
        or workgroup.get("ResultConfiguration", {}).get("OutputLocation")
        or workgroup.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
    )
    return {} if has_own else {"ResultConfiguration": {"OutputLocation": results}}


@dataclass(frozen=True)
class Workgroup:
    """The settings of a workgroup: where its results go (None: the client decides), whether clients must use these
    settings, and the bytes at which it stops a statement.
    """

    results: str | None
    is_enforced: bool
    cutoff: int | None


def workgroup(name: str) -> Workgroup:
    """The workgroup's settings.

    Raises:
        UnreachableError: it does not exist, or the credentials may not read it.
    """
    try:
        with refusals(f"the Athena workgroup {name}"):
            found = client("athena").get_work_group(WorkGroup=name)["WorkGroup"].get("Configuration") or {}
    except UnreachableError as error:
        raise workgroup_refusal(error, name) from error
    is_managed = found.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
    location = found.get("ResultConfiguration", {}).get("OutputLocation")
    return Workgroup(
        "Athena's own storage" if is_managed else location,
        bool(found.get("EnforceWorkGroupConfiguration")),
        found.get("BytesScannedCutoffPerQuery"),
    )
