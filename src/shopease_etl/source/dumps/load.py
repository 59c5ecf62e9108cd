"""Runs PostgreSQL's psql and pg_restore on a dump and translates what they complain of."""

import contextlib
import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.source.dumps import replacing
from shopease_etl.source.dumps.source import CHUNK, DUMP_HINT

_SESSION: Final = "SET standard_conforming_strings = on; SET client_min_messages = warning"
_KNOWS_RESTRICT: Final = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}  # since which minor version; 18 and later all do
_ALREADY_THERE: Final = ("42P07", "42710", "42723", "42P06")
_NOT_THERE: Final = ("42704", "42883", "42P01", "3F000", "42703")
_CLEAN_HINT: Final = "`shopease restore --clean` replaces what the dump creates"
_UNCHANGED: Final = "the database is as it was"
_SHORT: Final = 160  # characters
_LONG: Final = 400
_LONGEST_COMPLAINT: Final = 4 << 20  # bytes; psql repeats the statement, which may be long
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


@dataclass(frozen=True)
class Loader:
    """Loads one dump by psql.

    `missing` are the extensions that were left out so far. `has_lines`: the SQL is the dump's own, so its lines can
    be named.
    """

    name: str
    target: Target
    psql: Path
    version: tuple[int, int]
    missing: Collection[str] = ()
    has_lines: bool = True

    def run(self, pieces: Iterable[bytes], *, clean: bool = False, check: bool = False, commit: bool = True) -> None:
        """Pipes SQL to psql in one transaction, which nothing but the last line of this pipe commits.

        Whatever ends the pipe early, be it the death of this process, leaves the database as it was. With `clean` the
        SQL may use what `replacing.SETUP` makes; `check` then refuses to lose others' objects.
        """
        end = (replacing.CHECK if check else b"") + (b"\nCOMMIT;\n" if commit else b"\nROLLBACK;\n")
        with tempfile.TemporaryFile() as errors:
            with _child(self._command(clean=clean), self.target, stdin=subprocess.PIPE, stderr=errors) as process:
                with contextlib.suppress(BrokenPipeError):  # psql has met an error, which is on stderr
                    for piece in pieces:
                        _write(process, piece)
                    _write(process, end)
                if process.stdin:
                    process.stdin.close()
                status = process.wait()
            if status != 0:
                raise self._failure(_text(errors), status, clean=clean)

    def _command(self, *, clean: bool) -> list[str | Path]:
        major, minor = self.version
        knows_restrict = major >= 18 or minor >= _KNOWS_RESTRICT.get(major, 1000)
        # psql itself then runs no command that hides in the dump (CVE-2025-8714), should we have overlooked one.
        restrict = ["-c", rf"\restrict {secrets.token_hex(16)}"] if knows_restrict else []
        setup = ["-c", replacing.SETUP] if clean else []
        options = ["-X", "-q", "-w", "-b", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
        start = ["-c", "BEGIN", "-c", _SESSION, *setup, *restrict]
        return [self.psql, *options, "-d", self.target.conninfo, *start, "-f", "-"]

    def _failure(self, complaint: str, status: int, *, clean: bool) -> ShopeaseError:
        failed = _FAILED.search(complaint)
        if failed is None:
            lines = complaint.strip().splitlines() or [f"psql ended with status {status}"]
            kind = UnreachableError if status == 2 else ShopeaseError  # 2: the connection went bad
            return kind(f"{self.name} was not restored: {lines[-1]}", hint=_UNCHANGED)
        line, code, message = failed.groups()
        if code == replacing.OTHERS_DROPPED:
            return _lost(message, _field(complaint, "HINT", _LONG), _field(complaint, "DETAIL", _LONG))
        where = _field(complaint, "CONTEXT") or shortened(complaint.partition("STATEMENT:  ")[2])
        hint = _field(complaint, "DETAIL") or _field(complaint, "HINT")
        if code in _ALREADY_THERE and not clean:
            hint = _CLEAN_HINT
        if code in _NOT_THERE and self.missing:
            hint = (
                f"the dump needs an extension that was left out: install {', '.join(sorted(self.missing))} on the "
                "server, or leave out what needs it: pg_dump --exclude-table=TABLE"
            )
        name = f"{self.name}, line {line}" if self.has_lines else self.name
        return ShopeaseError(f"{name}: {message} ({where})", hint=hint or _UNCHANGED)


def _lost(what: str, drops: str, others: str) -> DataRefusedError:
    """The refusal to drop what is not the dump's; `drops`: SQL for what is easily made again."""
    ways = [f"drop them before, and create them again afterwards: {drops}"] if drops else []
    ways += [f"save and drop {others} before"] if others else []
    return DataRefusedError(
        f"--clean would also drop what the dump does not bring back: {shortened(what, _LONG)}",
        hint=f"nothing was changed; {'; '.join(ways)}",
    )


@contextlib.contextmanager
def script_of(archive: Path, loader: Loader, pg_restore: Path, *options: str) -> Iterator[Iterator[bytes]]:
    """What pg_restore makes of an archive; its last step raises where pg_restore fails."""
    command: list[str | Path] = [pg_restore, *_UNKNOWN_OWNERS, "--no-tablespaces", *options, "--file=-", archive]
    with (
        tempfile.TemporaryFile() as errors,
        _child(command, loader.target, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        yield _output(process, errors, archive, loader.name)


def _output(process: subprocess.Popen[bytes], errors: IO[bytes], archive: Path, name: str) -> Iterator[bytes]:
    while process.stdout and (chunk := process.stdout.read(CHUNK)):
        yield chunk
    if process.wait() != 0:
        raise archive_failure(_text(errors).replace(str(archive), name), name)


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
    return file.read(_LONGEST_COMPLAINT).decode(errors="replace")


def _field(complaint: str, name: str, width: int = _SHORT) -> str:
    found = re.search(rf"^{name}: +(.*)$", complaint, re.M)  # empty where what follows is the next field
    return shortened(found[1], width) if found else ""


def shortened(text: str, width: int = _SHORT) -> str:
    """A text in one line of at most `width` characters."""
    line = " ".join(text[: 4 * width].split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def archive_failure(complaint: str, name: str) -> ShopeaseError:
    """What pg_restore's complaint means: an archive that it cannot read, or a statement that failed."""
    errors = re.findall(r"^pg_restore: error: (.*)$", complaint, re.M)
    if not errors:
        return ShopeaseError(f"{name} was not restored: pg_restore failed {shortened(complaint)}", hint=_UNCHANGED)
    first = errors[0]
    if "unsupported version" in first:
        return DataRefusedError(
            f"{name} was made by a newer PostgreSQL than the pg_restore here: {first}", hint=DUMP_HINT
        )
    if "compress" in first:
        return DataRefusedError(f"{name}: {first}", hint="make it with: pg_dump --compress=gzip --format=custom DBNAME")
    return ShopeaseError(f"{name} is damaged or cut off: {first}", hint=_UNCHANGED)
