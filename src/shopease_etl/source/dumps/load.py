"""Runs PostgreSQL's psql and pg_restore on a dump, and translates their errors."""

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
from shopease_etl.source.dumps.opening import CHUNK, DUMP_HINT
from shopease_etl.wording import one_line

_UNCHANGED: Final = "the database is as it was"


@dataclass(frozen=True)
class Target:
    """The database to fill, for PostgreSQL's programs: secrets go through the environment, never through argv."""

    conninfo: str
    environment: dict[str, str]

    @classmethod
    def of(cls, url: str) -> "Target":
        """Separates the secret from the rest of a libpq URL."""
        parameters = dict(conninfo_to_dict(url))
        if unfit := {"sslpassword", "oauth_client_secret"} & parameters.keys():
            raise ConfigurationError(f"restore cannot pass {min(unfit)} on secretly", hint="leave it out of the URL")
        environment = os.environ | {"LC_ALL": "C", "PGCLIENTENCODING": "UTF8", "PGAPPNAME": "shopease restore"}
        if (password := parameters.pop("password", None)) is not None:
            environment["PGPASSWORD"] = str(password)
        return cls(make_conninfo("", **parameters), environment)


@dataclass(frozen=True)
class Loader:
    """Loads one dump by psql.

    `missing`: the extensions that were left out so far. `has_lines`: the SQL is the dump's own, so that errors can name
    its lines.
    """

    name: str
    target: Target
    psql: Path
    version: tuple[int, int]
    missing: Collection[str] = ()
    has_lines: bool = True

    def run(self, pieces: Iterable[bytes], *, clean: bool = False, check: bool = False, commit: bool = True) -> None:
        """Pipes SQL to psql in one transaction, which only the last line of this pipe commits.

        If the pipe ends early, even because this process dies, the database stays as it was. With `clean` the SQL may
        use the functions of `replacing.SETUP`; `check` then refuses to drop objects that the dump does not create.
        """
        end = (replacing.CHECK if check else b"") + (b"\nCOMMIT;\n" if commit else b"\nROLLBACK;\n")
        with tempfile.TemporaryFile() as errors:
            with _child(self._command(clean=clean), self.target, stdin=subprocess.PIPE, stderr=errors) as process:
                with contextlib.suppress(BrokenPipeError):  # psql had an error, which is on stderr
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
        knows_restrict = major >= 18 or minor >= {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}.get(major, 1000)
        # psql itself then runs no command that is hidden in the dump (CVE-2025-8714), if we have overlooked one.
        restrict = ["-c", rf"\restrict {secrets.token_hex(16)}"] if knows_restrict else []
        setup = ["-c", replacing.SETUP] if clean else []
        options = ["-X", "-q", "-w", "-b", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
        session = "SET standard_conforming_strings = on; SET client_min_messages = warning"
        start = ["-c", "BEGIN", "-c", session, *setup, *restrict]
        return [self.psql, *options, "-d", self.target.conninfo, *start, "-f", "-"]

    def _failure(self, output: str, status: int, *, clean: bool) -> ShopeaseError:
        """The error that psql's output means."""
        failed = re.search(r"^psql:<stdin>:(\d+): [^:\n]+:\s+([0-9A-Z]{5}): (.*)$", output, re.M)
        if failed is None:
            lines = output.strip().splitlines() or [f"psql ended with status {status}"]
            kind = UnreachableError if status == 2 else ShopeaseError  # 2: the connection broke
            return kind(f"{self.name} was not restored: {lines[-1]}", hint=_UNCHANGED)
        line, code, message = failed.groups()
        if code == replacing.OTHERS_DROPPED:
            return _refused_drops(message, _field(output, "HINT", 400), _field(output, "DETAIL", 400))
        where = _field(output, "CONTEXT") or shortened(output.partition("STATEMENT:  ")[2])
        hint = _field(output, "DETAIL") or _field(output, "HINT")
        if code in ("42P07", "42710", "42723", "42P06") and not clean:  # it exists already
            hint = "`shopease restore --clean` replaces what the dump creates"
        if code in ("42704", "42883", "42P01", "3F000", "42703") and self.missing:  # it does not exist
            hint = (
                f"the dump needs an extension that was left out: install {', '.join(sorted(self.missing))} on the "
                "server, or leave out what needs it: pg_dump --exclude-table=TABLE"
            )
        name = f"{self.name}, line {line}" if self.has_lines else self.name
        return ShopeaseError(f"{name}: {message} ({where})", hint=hint or _UNCHANGED)


def _refused_drops(objects: str, drops: str, others: str) -> DataRefusedError:
    """The refusal to drop objects that the dump does not create; `drops`: SQL for those without data."""
    ways = [f"drop them before, and create them again afterwards: {drops}"] if drops else []
    ways += [f"save and drop {others} before"] if others else []
    return DataRefusedError(
        f"--clean would also drop what the dump does not create again: {shortened(objects, 400)}",
        hint=f"nothing was changed; {'; '.join(ways)}",
    )


@contextlib.contextmanager
def script_of(archive: Path, loader: Loader, pg_restore: Path, *options: str) -> Iterator[Iterator[bytes]]:
    """The SQL that pg_restore makes of an archive; the last step raises if pg_restore fails."""
    left_out = ["--no-owner", "--no-privileges", "--no-tablespaces"]
    command: list[str | Path] = [pg_restore, *left_out, *options, "--file=-", archive]
    with (
        tempfile.TemporaryFile() as errors,
        _child(command, loader.target, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        yield _output(process, errors, archive, loader.name)


def _output(process: subprocess.Popen[bytes], errors: IO[bytes], archive: Path, name: str) -> Iterator[bytes]:
    while process.stdout and (chunk := process.stdout.read(CHUNK)):
        yield chunk
    if process.wait() != 0:
        raise _archive_failure(_text(errors).replace(str(archive), name), name)


@contextlib.contextmanager
def _child(
    command: list[str | Path],
    target: Target,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: IO[bytes],
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with the block, in a process group of its own, so that Ctrl-C does not reach it."""
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
    return file.read(4 << 20).decode(errors="replace")  # psql repeats the statement, which may be long


def _field(output: str, name: str, width: int = 160) -> str:
    found = re.search(rf"^{name}: +(.*)$", output, re.M)  # empty if the next field follows
    return shortened(found[1], width) if found else ""


def shortened(text: str, width: int = 160) -> str:
    """A text in one line of at most `width` characters."""
    line = one_line(text[: 4 * width])
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _archive_failure(output: str, name: str) -> ShopeaseError:
    """The error that pg_restore's output means: an archive that it cannot read, or a statement that failed."""
    errors = re.findall(r"^pg_restore: error: (.*)$", output, re.M)
    if not errors:
        return ShopeaseError(f"{name} was not restored: pg_restore failed {shortened(output)}", hint=_UNCHANGED)
    first = errors[0]
    if "unsupported version" in first:
        return DataRefusedError(
            f"{name} was written by a newer PostgreSQL than the pg_restore here: {first}", hint=DUMP_HINT
        )
    if "compress" in first:
        return DataRefusedError(f"{name}: {first}", hint="make it with: pg_dump --compress=gzip --format=custom DBNAME")
    return ShopeaseError(f"{name} is damaged or cut off: {first}", hint=_UNCHANGED)
