"""PostgreSQL's errors as ours: which of them are temporary, which are not, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from shopease_etl.errors import ShopeaseError, SourceDownError, SourceFaultError, UnreachableError

# Classes and codes of SQLSTATE of temporary errors.
_TEMPORARY: Final = (
    "08",  # connection exceptions, by the server or a pooler before it
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P05",  # idle_session_timeout
    "25P03",  # idle_in_transaction_session_timeout
    "53300",  # too_many_connections
    "40001",  # serialization_failure, and a standby's conflict with recovery
    "40P01",  # deadlock_detected
)
POOL_HINT: Final = (
    "a pooler needs one free connection more than SHOPEASE_SOURCE_CONNECTIONS: enlarge its pool or lower the setting"
)
# An error of connecting has no SQLSTATE, only words: the system's, libpq's, a pooler's and the server's.
_TEMPORARY_WORDS: Final = (
    "connection reset",
    "broken pipe",
    "timed out",
    "timeout",
    "no route to host",
    "is unreachable",
    "is down",
    "temporary failure in name resolution",
    "server closed the connection",
    "connection has been closed",
    "eof detected",
    "synchronization",
    "message contents",
    "expected authentication request",
    "could not receive data",
    "could not send",
    "too many clients",
    "too many connections",
    "no more connections",
    "connection slots are reserved",
)

# What to do about a refusal, by words of the message; the last applies to all others.
_REFUSED_HINTS: Final = (
    (r'database ".*" does not exist', "correct the database in SHOPEASE_DATABASE_URL, or create it on that server"),
    (r'role ".*" does not exist', "correct the user in SHOPEASE_DATABASE_URL, or create the role on that server"),
    (r"password|authentication failed", "correct the user and password in SHOPEASE_DATABASE_URL, or ~/.pgpass"),
    (r"pg_hba\.conf", "let pg_hba.conf of that server accept this user, database and address"),
    (r"SSL|certificate", "correct sslmode and the certificates in SHOPEASE_DATABASE_URL, or set up SSL on that server"),
    (r"resolve host", "correct the host in SHOPEASE_DATABASE_URL"),
    (r"FATAL:", "see the log of that server, or correct SHOPEASE_DATABASE_URL"),
    ("", "start that server, or correct SHOPEASE_DATABASE_URL"),
)


def connection_error(error: psycopg.Error) -> UnreachableError:
    """The error that a failed connection means."""
    line = first_line(error)
    # Of several attempts the one that is shown decides: a wrong password is not tried again. Names do not count.
    text = "\n".join(str(error)[str(error).find(line) :].splitlines()[:2])
    text = re.sub("\"[^\"]*\"|'[^']*'", "", text).lower()
    down_words = (
        "connection refused",
        "no such file or directory\n\tis the server running",  # no socket: the server is being started
        "the database system is",
        "cannot connect to server",  # a pooler whose server is down
    )
    message = f"cannot connect to the database: {line}"
    if any(words in text for words in down_words):
        return SourceDownError(message, hint=_REFUSED_HINTS[-1][1])
    if any(words in text for words in _TEMPORARY_WORDS):
        return SourceFaultError(message, hint=_REFUSED_HINTS[-1][1])
    return UnreachableError(message, hint=next(hint for words, hint in _REFUSED_HINTS if re.search(words, line)))


def query_error(error: psycopg.Error, doing: str) -> ShopeaseError:
    """The error that one on an open connection means; `doing` says what the connection was used for."""
    message, state = f"{doing}: {first_line(error)}", error.sqlstate
    is_operational = isinstance(error, psycopg.OperationalError)
    if state is None:  # the server did not send it: the connection broke, or we misused psycopg
        is_broken = is_operational or type(error) is psycopg.DatabaseError
        return SourceFaultError(message) if is_broken else ShopeaseError(message)
    if state == "57P03":  # cannot_connect_now
        return SourceDownError(message)
    if state.startswith(_TEMPORARY):
        return SourceFaultError(message, hint=POOL_HINT if "query_wait_timeout" in message else None)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return UnreachableError(message, hint="`shopease check` names the right that is missing")
    hint = None
    if isinstance(error, psycopg.errors.LockNotAvailable):
        hint = "another session has locked it; SHOPEASE_SOURCE_LOCK_TIMEOUT is how many seconds to wait for a lock"
    elif isinstance(error, psycopg.errors.QueryCanceled) and "user request" not in message:
        hint = "SHOPEASE_SOURCE_STATEMENT_TIMEOUT is how many seconds a table may take"
    return (UnreachableError if is_operational else ShopeaseError)(message, hint=hint)


def first_line(error: psycopg.Error) -> str:
    """The server's own message, without psycopg's list of attempts and the notes below it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    relevant = [line for line in lines if "FATAL:" in line] or [line for line in lines if " failed: " in line]
    return (relevant or lines or [type(error).__name__])[0].removeprefix("- ").removeprefix("connection failed: ")


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Translate what psycopg raises in the block."""
    try:
        yield
    except psycopg.Error as error:
        raise query_error(error, doing) from error
