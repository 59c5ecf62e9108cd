"""PostgreSQL's refusals and broken connections in our words: which pass, which do not, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from shopease_etl.errors import ShopeaseError, SourceDownError, SourceFaultError, UnreachableError

# Classes and codes of SQLSTATE that say: not now.
_PASSING: Final = (
    "08",  # connection exceptions, by the server or a pooler before it
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P05",  # idle_session_timeout
    "25P03",  # idle_in_transaction_session_timeout
    "53300",  # too_many_connections
    "40001",  # serialization_failure, and a standby's conflict with recovery
    "40P01",  # deadlock_detected
)
_DOWN: Final = "57P03"  # cannot_connect_now
POOL_HINT: Final = (
    "a pooler needs one free connection more than SHOPEASE_SOURCE_CONNECTIONS: enlarge its pool or lower the setting"
)
_STATEMENT_TIMEOUT: Final = "57014"
_LOCK_TIMEOUT: Final = "55P03"
_BY_SOMEBODY: Final = "user request"
_QUOTED: Final = re.compile("\"[^\"]*\"|'[^']*'")

# A connection that does not come about has no SQLSTATE, only words: the system's, libpq's, a pooler's and the server's.
_DOWN_WORDS: Final = (
    "connection refused",
    "no such file or directory\n\tis the server running",  # no socket: the server is being started
    "the database system is",
    "cannot connect to server",  # a pooler whose server is down
)
_PASSING_WORDS: Final = (
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

_START_HINT: Final = "start that server, or correct SHOPEASE_DATABASE_URL"
# What to do where a server answers, and refuses; by words of the message, the last of which holds for all.
_REFUSED_HINTS: Final = (
    (r'database ".*" does not exist', "correct the database in SHOPEASE_DATABASE_URL, or create it on that server"),
    (r'role ".*" does not exist', "correct the user in SHOPEASE_DATABASE_URL, or create the role on that server"),
    (r"password|authentication failed", "correct the user and password in SHOPEASE_DATABASE_URL, or ~/.pgpass"),
    (r"pg_hba\.conf", "let pg_hba.conf of that server accept this user, database and address"),
    (r"SSL|certificate", "correct sslmode and the certificates in SHOPEASE_DATABASE_URL, or set up SSL on that server"),
    (r"resolve host", "correct the host in SHOPEASE_DATABASE_URL"),
    (r"FATAL:", "see the log of that server, or correct SHOPEASE_DATABASE_URL"),
    ("", _START_HINT),
)


def refusal(error: psycopg.Error) -> UnreachableError:
    """What a connection that did not come about is to us."""
    told = first_line(error)
    message = f"cannot connect to the database: {told}"
    # Of several attempts the one that is told decides: a wrong password is not tried again. Names are no words.
    spoken = "\n".join(str(error)[str(error).find(told) :].splitlines()[:2])
    spoken = _QUOTED.sub("", spoken).lower()
    kind: type[UnreachableError] = UnreachableError
    if any(words in spoken for words in _DOWN_WORDS):
        kind = SourceDownError
    elif any(words in spoken for words in _PASSING_WORDS):
        kind = SourceFaultError
    if kind is UnreachableError:
        return kind(message, hint=next(hint for words, hint in _REFUSED_HINTS if re.search(words, told)))
    return kind(message, hint=_START_HINT)


def translated(error: psycopg.Error, doing: str) -> ShopeaseError:
    """What an error on an open connection is to us; `doing` says what it was used for."""
    message, state = f"{doing}: {first_line(error)}", error.sqlstate
    if state is None:
        return SourceFaultError(message) if _is_loss(error) else ShopeaseError(message)
    if state == _DOWN:
        return SourceDownError(message)
    if state.startswith(_PASSING):
        return SourceFaultError(message, hint=POOL_HINT if "query_wait_timeout" in message else None)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return UnreachableError(message, hint="`shopease check` names the right that is missing")
    kind = UnreachableError if isinstance(error, psycopg.OperationalError) else ShopeaseError
    return kind(message, hint=_hint(state, message))


def _is_loss(error: psycopg.Error) -> bool:
    """Whether the connection broke: an error that the server did not send, and that is no misuse of ours."""
    return isinstance(error, psycopg.OperationalError) or type(error) is psycopg.DatabaseError


def _hint(state: str, message: str) -> str | None:
    if state == _LOCK_TIMEOUT:
        return "somebody holds a lock on it; SHOPEASE_SOURCE_LOCK_TIMEOUT is how many seconds we wait for that"
    if state == _STATEMENT_TIMEOUT and _BY_SOMEBODY not in message:
        return "SHOPEASE_SOURCE_STATEMENT_TIMEOUT is how many seconds a table may take"
    return None


def first_line(error: psycopg.Error) -> str:
    """The server's own words, without psycopg's list of attempts and the notes below them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL:" in line] or [line for line in lines if " failed: " in line]
    return (telling or lines or [type(error).__name__])[0].removeprefix("- ").removeprefix("connection failed: ")


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Translate what psycopg raises in the block."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, doing) from error
