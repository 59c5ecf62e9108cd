"""Restores an archive over several connections: first the definitions, then the rows, then keys and indexes."""

import logging
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shopease_etl import cancel
from shopease_etl.errors import ShopeaseError
from shopease_etl.source.dumps import load
from shopease_etl.source.dumps.plain import PlainDump
from shopease_etl.source.dumps.rules import Rules

log = logging.getLogger(__name__)

_AFTER_ROWS: Final = "all keys, indexes, triggers and policies"


class _StoppedError(Exception):
    """Another connection has failed."""


@dataclass
class Sections:
    """The sections of one archive; `rules` makes the rules of a section, `watched` passes its SQL on and reports it."""

    archive: Path
    pg_restore: Path
    loader: load.Loader
    rules: Callable[[bool], Rules]
    watched: Callable[[Iterable[bytes]], Iterator[bytes]]
    _stop: threading.Event = field(default_factory=threading.Event)

    def restore(self, jobs: int, *, clean: bool) -> None:
        """Restores the archive, its rows in `jobs` transactions at a time.

        First the archive is read to its end, and all definitions are tried and rolled back: an error there changes
        nothing. A later failure, because of rows or of the server, raises a ShopeaseError that names what is missing.
        """
        with load.script_of(self.archive, self.loader, self.pg_restore) as script:
            for _ in script:
                pass
        self._run(["--schema-only"], clean=clean, check=clean, commit=False)
        rows = self._rows()
        self._run(["--section=pre-data"], clean=clean)
        missing = dict.fromkeys(rows)
        try:
            self._load(rows, missing, jobs, clean=clean)
            self._run(["--section=post-data"])
        except BaseException as error:
            names = ", ".join(missing)
            lacks = f"the rows of {load.shortened(names, 1000)}, and {_AFTER_ROWS}" if names else _AFTER_ROWS
            if not isinstance(error, ShopeaseError):
                log.warning("%s was restored in part: the database lacks %s", self.loader.name, lacks)
                raise
            hint = "restore it again with --clean; without --jobs, it is restored completely or not at all"
            raise type(error)(f"{error}; the database now lacks {lacks}", hint=hint) from error

    def _rows(self) -> dict[str, list[str]]:
        """The lines of the archive's list for rows: of each table, and of sequences and large objects."""
        with load.script_of(self.archive, self.loader, self.pg_restore, "--list", "--section=data") as text:
            lines = b"".join(text).decode(errors="surrogateescape").splitlines()
        rows: dict[str, list[str]] = {}
        for line in lines:
            if line and not line.startswith(";"):
                table = re.match(r"\d+; \d+ \d+ TABLE DATA (\S+) (.*) \S+$", line)
                rows.setdefault(f"{table[1]}.{table[2]}" if table else "sequences and large objects", []).append(line)
        return rows

    def _load(self, rows: dict[str, list[str]], missing: dict[str, None], jobs: int, *, clean: bool) -> None:
        """Loads the rows, each table in a transaction of its own; removes those that are loaded from `missing`."""
        with ThreadPoolExecutor(jobs, thread_name_prefix="restore") as pool:
            running: dict[Future[None], str] = {
                pool.submit(self._load_lines, rows[name], clean=clean): name for name in rows
            }
            try:
                left = [*running]
                while left and not any(future.done() and future.exception() for future in running):
                    cancel.wait(None, *left)
                    left = [future for future in left if not future.done()]
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                failures = [future.exception() for future in running if not future.cancelled()]
                for future, name in running.items():
                    if not future.cancelled() and future.exception() is None:
                        del missing[name]
        for failure in sorted(filter(None, failures), key=lambda error: isinstance(error, _StoppedError)):
            raise failure

    def _load_lines(self, lines: list[str], *, clean: bool) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="shopease-list-", errors="surrogateescape") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            self._run([f"--use-list={file.name}"], clean=clean, rows=True)

    def _run(
        self,
        options: list[str],
        *,
        clean: bool = False,
        check: bool = False,
        commit: bool = True,
        rows: bool = False,
    ) -> None:
        """Restores a part of the archive in one transaction."""
        with ExitStack() as stack:
            script = stack.enter_context(load.script_of(self.archive, self.loader, self.pg_restore, *options))
            dump = PlainDump(self.loader.name, script, self.rules(clean))
            pieces: Iterable[bytes] = stack.enter_context(closing(dump.filtered()))
            pieces = self.watched(self._until_stopped(pieces) if rows else pieces)
            self.loader.run(pieces, clean=clean and not rows, check=check, commit=commit)

    def _until_stopped(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._stop.is_set():
                raise _StoppedError
            yield piece
