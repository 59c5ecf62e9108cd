"""Runs PostgreSQL's psql and pg_restore on a dump and translates what they complain of."""

import contextlib
import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shopease_etl.dumps.source import CHUNK, DUMP_HINT
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError, UnreachableError

_SESSION: Final = "SET standard_conforming_strings = on; SET client_min_messages = warning"
_KNOWS_RESTRICT: Final = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}  # since which minor version; 18 and later all do
_ALREADY_THERE: Final = ("42P07", "42710", "42723", "42P06")
_CLEAN_HINT: Final = "--clean drops what the dump creates before it is restored"
_UNKNOWN_OWNERS: Final = ("--no-owner", "--no-privileges")
_FAILED: Final = re.compile(r"^psql:<stdin>:(\d+): [^:\n]+:\s+([0-9A-Z]{5}): (.*)$", re.M)


@dataclass(frozen=True)
class Target:
    """The database to fill, as its programs are told: what is secret goes through the environment, never argv."""

    conninfo: str
    environment: dict[str, str]

    @classmethod
    def of(cls, url: str) -> "Target":
        """Parts the secret from the rest of a libpq URL."""
        parameters = dict(conninfo_to_dict(url))
        if unfit := {"sslpassword", "oauth_client_secret"} & parameters.keys():
            raise ConfigurationError(f"restore cannot pass {min(unfit)} on in secret", hint="leave it out of the URL")
        environment = os.environ | {"LC_ALL": "C", "PGCLIENTENCODING": "UTF8", "PGAPPNAME": "shopease restore"}
        if (password := parameters.pop("password", None)) is not None:
            environment["PGPASSWORD"] = str(password)
        return cls(make_conninfo("", **parameters), environment)


def run_script(pieces: Iterable[bytes], name: str, target: Target, psql: Path, version: tuple[int, int]) -> None:
    """Pipes SQL to psql in one transaction, which nothing but the last line of this pipe commits.

    Whatever ends the pipe early, be it the death of this process, leaves the database as it was.
    """
    with tempfile.TemporaryFile() as errors:
        with _child(_psql_command(psql, version, target), target, stdin=subprocess.PIPE, stderr=errors) as process:
            with contextlib.suppress(BrokenPipeError):  # psql has met an error, and tells it on stderr
                for piece in pieces:
                    _write(process, piece)
                _write(process, b"\nCOMMIT;\n")
            if process.stdin:
                process.stdin.close()
            status = process.wait()
        if status != 0:
            raise _script_failure(_text(errors), name, status)


def _psql_command(psql: Path, version: tuple[int, int], target: Target) -> list[str | Path]:
    major, minor = version
    knows_restrict = major >= 18 or minor >= _KNOWS_RESTRICT.get(major, 1000)
    # psql itself then runs no command that hides in the dump (CVE-2025-8714), should we have overlooked one.
    restrict = ["-c", rf"\restrict {secrets.token_hex(16)}"] if knows_restrict else []
    options = ["-X", "-q", "-w", "-b", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
    return [psql, *options, "-d", target.conninfo, *restrict, "-c", "BEGIN", "-c", _SESSION, "-f", "-"]


@contextlib.contextmanager
def script_of(archive: Path, pg_restore: Path, target: Target) -> Iterator[Iterator[bytes]]:
    """The SQL that pg_restore makes of an archive; its last step raises where pg_restore fails."""
    command: list[str | Path] = [pg_restore, *_UNKNOWN_OWNERS, "--no-tablespaces", "--file=-", archive]
    with (
        tempfile.TemporaryFile() as errors,
        _child(command, target, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        yield _output(process, errors, archive)


def _output(process: subprocess.Popen[bytes], errors: IO[bytes], archive: Path) -> Iterator[bytes]:
    while process.stdout and (chunk := process.stdout.read(CHUNK)):
        yield chunk
    if process.wait() != 0:
        raise archive_failure(_text(errors), archive.name)


def run_parallel(archive: Path, name: str, target: Target, pg_restore: Path, *, jobs: int, clean: bool) -> None:
    """Lets pg_restore fill the database over several connections, so in several transactions."""
    cleaning = ["--clean", "--if-exists"] if clean else []
    options = [*_UNKNOWN_OWNERS, "--no-tablespaces", "--exit-on-error", "--no-password", f"--jobs={jobs}", *cleaning]
    command: list[str | Path] = [pg_restore, *options, "-d", target.conninfo, archive]
    with tempfile.TemporaryFile() as errors:
        with _child(command, target, stderr=errors) as process:
            status = process.wait()
        if status != 0:
            raise archive_failure(_text(errors), name)


@contextlib.contextmanager
def _child(
    command: list[str | Path],
    target: Target,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: IO[bytes],
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that does not outlive the block, in a process group of its own: Ctrl-C reaches us alone."""
    with subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, env=target.environment, bufsize=0, process_group=0
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()  # pg_restore then ends its workers, too
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()


def _write(process: subprocess.Popen[bytes], piece: bytes) -> None:
    rest = memoryview(piece)
    while rest and process.stdin:
        rest = rest[process.stdin.write(rest) :]


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _script_failure(complaint: str, name: str, status: int) -> ShopeaseError:
    failed = _FAILED.search(complaint)
    if failed is None:
        lines = complaint.strip().splitlines() or [f"psql ended with status {status}"]
        kind = UnreachableError if status == 2 else ShopeaseError  # 2: the connection went bad
        return kind(f"{name} was not restored: {lines[-1]}", hint="the database is as it was")
    line, code, message = failed.groups()
    statement = complaint.partition("STATEMENT:  ")[2]
    where = _field(complaint, "CONTEXT") or shortened(statement)
    hint = _CLEAN_HINT if code in _ALREADY_THERE else _field(complaint, "DETAIL") or _field(complaint, "HINT")
    return ShopeaseError(f"{name}, line {line}: {message} ({where})", hint=hint or "the database is as it was")


def _field(complaint: str, name: str) -> str:
    found = re.search(rf"^{name}:\s+(.*)$", complaint, re.M)
    return shortened(found[1]) if found else ""


def shortened(text: str, width: int = 160) -> str:
    """A text in one line of at most `width` characters."""
    line = " ".join(text[: 4 * width].split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def archive_failure(complaint: str, name: str) -> ShopeaseError:
    """What pg_restore's complaint means: an archive that it cannot read, or a statement that failed."""
    errors = re.findall(r"^pg_restore: error: (.*)$", complaint, re.M)
    first = errors[0] if errors else shortened(complaint) or "pg_restore failed"
    if "unsupported version" in first:
        return DataRefusedError(
            f"{name} was made by a newer PostgreSQL than the pg_restore here: {first}", hint=DUMP_HINT
        )
    if "compress" in first:
        return DataRefusedError(f"{name}: {first}", hint="make it with: pg_dump --compress=gzip --format=custom DBNAME")
    statement = complaint.partition("Command was: ")[2]
    where = f" ({shortened(statement)})" if statement else ""
    hint = _CLEAN_HINT if "already exists" in first else None
    return ShopeaseError(f"{name} was not restored: {first}{where}", hint=hint)
