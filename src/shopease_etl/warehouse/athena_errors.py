"""Translates Athena's errors into our exceptions, with the place in the SQL."""

import itertools
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from shopease_etl.aws import error_code
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.wording import one_line

_REASON_LENGTH: Final = 500
_PLACE: Final = re.compile(r"^(?P<code>(?:FAILED: )?(?:\w+:? )?)line (?P<line>\d+):(?P<column>\d+):?\s*")
_UNKNOWN: Final = re.compile(
    r"Table '(?:[^']+\.)?(?P<table>[^'.]+)' does not exist|Column '(?:[^']+\.)?(?P<column>[^'.]+)' cannot be resolved"
)
_AGAIN: Final = "try again later"
_BAD_DATA: Final = "run `shopease run-all` to rebuild the lake's files"
_TOO_MUCH: Final = "query fewer columns or days, or query gold, which is smaller than silver"


@dataclass(frozen=True)
class _Kind:
    """A kind of failure: Athena's numbers for it, a pattern of its text if there is no number, and our error."""

    numbers: Container[int]
    text: re.Pattern[str]
    error: type[ShopeaseError]
    hint: str | None = None


# The numbers: https://docs.aws.amazon.com/athena/latest/ug/error-reference.html
_INTERNAL: Final = _Kind(
    {*range(100, 1000), 1010, 1012, 1013, 1700, 1701, 9999},
    re.compile("INTERNAL_ERROR|internal error", re.IGNORECASE),
    UnreachableError,
    _AGAIN,
)
_BY_CODE: Final = (
    _Kind(
        {1001, 1002, 1004, 1005, 1007},
        re.compile(r"^(?:HIVE_BAD_DATA|HIVE_PARTITION_SCHEMA_MISMATCH|HIVE_INVALID_|ICEBERG_BAD_DATA)"),
        DataRefusedError,
        _BAD_DATA,
    ),
    _Kind(
        {1110},
        re.compile("^(?:TABLE_NOT_FOUND|SCHEMA_NOT_FOUND|Entity Not Found)"),
        ConfigurationError,
        "`SHOW TABLES` lists the tables; `shopease crawl` creates them",
    ),
    _Kind(
        {1006, 1107, 1200, 1201, 1202, 1300, 1301, 1303},
        re.compile(
            rf"{_PLACE.pattern}|^(?:SYNTAX_ERROR|\w+_NOT_FOUND|TYPE_MISMATCH|AMBIGUOUS_|MISSING_|NOT_SUPPORTED"
            "|mismatched input|no viable alternative|extraneous input|Queries of this type)"
        ),
        ConfigurationError,
    ),
)
_BY_WORDS: Final = (
    _Kind(
        {*range(1400, 1407), 1602},
        re.compile("throttl|rate exceeded|slow ?down|too ?many ?requests", re.IGNORECASE),
        UnreachableError,
        _AGAIN,
    ),
    _Kind(
        {1500, 1501},
        re.compile("access ?denied|permission|not authorized to perform", re.IGNORECASE),
        UnreachableError,
        "grant the credentials in use {right} (terraform/ has a policy with everything that shopease needs)",
    ),
    _Kind(
        range(9),
        re.compile(r"query exhausted resources|EXCEEDED_\w*MEMORY", re.IGNORECASE),
        ShopeaseError,
        _TOO_MUCH,
    ),
    _Kind((), re.compile("^(?:HIVE|ICEBERG)_"), DataRefusedError, _BAD_DATA),
    _INTERNAL,
)


@dataclass(frozen=True)
class Statement:
    """A statement for Athena, and its offset in the text that the user wrote."""

    text: str
    written: str
    start: int = 0

    def place(self, line: int, column: int) -> str:
        """Athena's place in terms of the user's text: `line 2, column 8: the line`."""
        before = self.written[: self.start]
        if line == 1:
            column += self.start - (before.rfind("\n") + 1)
        line += before.count("\n")
        lines = self.written.split("\n")
        shown = f": {lines[line - 1].strip()[:120]}" if line <= len(lines) else ""
        return f"line {line}, column {column}{shown}"


def workgroup_error(error: UnreachableError, workgroup: str) -> ShopeaseError:
    """Why GetWorkGroup failed; for a workgroup that does not exist AWS's code is InvalidRequestException."""
    if error_code(error.__cause__) != "InvalidRequestException":
        return error
    hint = "run `make deploy` to create it, or set SHOPEASE_ATHENA_WORKGROUP to one that exists"
    return UnreachableError(f"Athena has no workgroup {workgroup}: {_message_of(error)}", hint=hint)


def disabled_error(workgroup: str) -> ShopeaseError:
    """The error for a disabled workgroup."""
    hint = "enable it in Athena, or set SHOPEASE_ATHENA_WORKGROUP to another one"
    return UnreachableError(f"the Athena workgroup {workgroup} is disabled", hint=hint)


def submission_error(error: UnreachableError, statement: Statement, workgroup: str) -> ShopeaseError:
    """Why StartQueryExecution failed."""
    code, reason = error_code(error.__cause__), _message_of(error)
    if code == "TooManyRequestsException":
        message = f"Athena accepts no more queries now, after several attempts: {reason}"
        return UnreachableError(message, hint=_AGAIN)
    if code != "InvalidRequestException":
        return error
    if re.search(r"workgroup .*not found", reason, re.IGNORECASE):
        return workgroup_error(error, workgroup)
    if re.search(r"output (?:location|bucket)", reason, re.IGNORECASE):
        hint = f"give the workgroup {workgroup} a result location that the credentials may write to"
        return UnreachableError(f"Athena cannot store the result: {one_line(reason)[:_REASON_LENGTH]}", hint=hint)
    return ConfigurationError(_with_place(reason, statement), hint=_kind_of(reason, {}).hint)


def execution_error(
    execution: Mapping[str, Any], statement: Statement, workgroup: str, cutoff: int | None = None
) -> ShopeaseError:
    """Why a statement FAILED or was CANCELLED, with the exit code of the local engine in such a case."""
    status = execution["Status"]
    error = status.get("AthenaError") or {}
    reasons = [text for text in (status.get("StateChangeReason"), error.get("ErrorMessage")) if text]
    reason = next((text for text in reasons if _PLACE.search(text)), reasons[0] if reasons else status["State"])
    message = _with_place(reason, statement)
    if "bytes scanned limit" in reason.lower():
        limit = "" if cutoff is None else f" of {cutoff:,} bytes"
        hint = f"{_TOO_MUCH}; the limit{limit} is BytesScannedCutoffPerQuery of the workgroup {workgroup}"
        return ShopeaseError(message, hint=hint)
    if status["State"] == "CANCELLED":
        return ShopeaseError(message, hint="someone else or Athena stopped it; run it again")
    kind = _kind_of(reason, error)
    right = re.search(r"not authorized to perform:? ([\w-]+:\w+)", reason)
    needed = right[1] if right else "what it names"
    return kind.error(message, hint=None if kind.hint is None else kind.hint.format(right=needed))


def unknown_name(message: str) -> tuple[str | None, str | None]:
    """The table, or the column, that does not exist, if a message of Athena's is about one."""
    found = _UNKNOWN.search(message)
    return (found["table"], found["column"]) if found else (None, None)


def _kind_of(reason: str, error: Mapping[str, Any]) -> _Kind:
    """By the code at the start of the text, else by number, else by words, which may come from data or column names."""
    by_code = (kind for kind in _BY_CODE if kind.text.search(reason))
    by_number = (kind for kind in (*_BY_CODE, *_BY_WORDS) if error.get("ErrorType") in kind.numbers)
    by_words = (kind for kind in _BY_WORDS if kind.text.search(reason))
    is_of_system = error.get("ErrorCategory") == 1
    unknown = _INTERNAL if is_of_system else _Kind((), re.compile(""), ShopeaseError)
    return next(itertools.chain(by_code, by_number, by_words), unknown)


def _message_of(error: UnreachableError) -> str:
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Message", "")) if isinstance(cause, ClientError) else str(error)


def _with_place(reason: str, statement: Statement) -> str:
    found = _PLACE.search(reason)
    if found is None:
        return f"Athena: {one_line(reason)[:_REASON_LENGTH]}"
    place = statement.place(int(found["line"]), int(found["column"]))
    return f"Athena: {one_line(found['code'] + reason[found.end() :])[:_REASON_LENGTH]} at {place}"
