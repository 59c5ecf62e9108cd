"""Reads a plain dump statement by statement as psql does, and adapts it to a server that is not its own.

Line numbers stay as they are in the dump: of what is left out, the line breaks are kept. Memory does not depend on the
length of a statement, a string, a comment or a line.
"""

import re
import shlex
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.source.dumps.lexer import FLAT, NAME, Event, Lexer, construct_of
from shopease_etl.source.dumps.opening import CHUNK, DUMP_HINT
from shopease_etl.source.dumps.rules import DATABASE, Rules, line_breaks

LIMIT: Final = 8 << 20
"""How many bytes of a statement the rules see; longer ones pass in pieces."""

# Runs of INSERTs, which may be most of the dump, pass with one match for each megabyte.
_INSERTS: Final = re.compile(
    rb"(?:(?i:INSERT INTO )(?:" + NAME + rb'|"[^"]*+"|\.)+ ?(?:' + FLAT + rb"\s*)?"
    rb"(?i:OVERRIDING SYSTEM VALUE )?(?i:VALUES)\s*" + FLAT + rb"(?:,\s*+" + FLAT + rb")*;\r?\n\s*+)+",
    re.S,
)
_COPY: Final = re.compile(
    rb'COPY\s+(?:"(?:[^"]|"")+"|[\w$\x80-\xff.])+\s*(?:\((?:"[^"]*"|[^()"])*\))?\s*FROM\s+stdin\b(?!.*\bbinary\b)[^;]*;',
    re.S | re.I,
)
_ANY_COPY: Final = re.compile(rb"copy(?![\w$\x80-\xff])", re.I)
_HEADER: Final = re.compile(rb"-- PostgreSQL database (cluster )?dump( complete)?\s*$")
_BEFORE_DATABASE: Final = re.compile(rb"(?:SET|SELECT pg_catalog\.set_config)\b", re.I)
_SPACE: Final = re.compile(rb"\s*+")


@dataclass
class PlainDump:
    """A plain dump on its way to psql; call `filtered` once. `is_packed`: the file of that name is an archive."""

    name: str
    chunks: Iterable[bytes]
    rules: Rules
    is_packed: bool = False
    _data: bytes = b""
    _at: int = 0
    _line: int = 1
    _ended: bool = False
    _headers: set[bytes] = field(default_factory=set)
    _database_lines: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._source = iter(self.chunks)

    def filtered(self) -> Generator[bytes, None, None]:
        """The dump's bytes for psql; raises a ShopeaseError if it is cut off or contains what is not accepted."""
        self._more()
        self._data = self._data.removeprefix(b"\xef\xbb\xbf")
        while True:
            yield from self._gap()
            if self._at == len(self._data):
                break
            if self._data[self._at : self._at + 1] == b"\\":
                yield self._meta_command()
            elif inserts := _INSERTS.match(self._data, self._at, self._at + CHUNK):
                self._refuse_database()
                yield self._pass(inserts.end())
            else:
                yield from self._statement()
        self._refuse_database()
        if b"" in self._headers and b" complete" not in self._headers:
            raise self._cut_off("its last line, `-- PostgreSQL database dump complete`, is missing")

    def _more(self) -> bool:
        """Reads on and keeps what has not passed yet; False at the end of the dump, which gets a line break."""
        if self._ended:
            return False
        if len(self._data) - self._at > 2 * LIMIT:
            raise self._refused(f"a word or line of more than {LIMIT:,} bytes")
        chunk = next(self._source, None)
        self._ended = chunk is None
        self._data = self._data[self._at :] + (b"\n" if chunk is None else chunk)
        self._at = 0
        return True

    def _pass(self, end: int) -> bytes:
        """Takes the data up to `end`, counting its lines."""
        taken = self._data[self._at : end]
        self._line += taken.count(b"\n")
        self._at = end
        return taken

    def _gap(self) -> Iterator[bytes]:
        """Skips white space and comments; only their line breaks are kept."""
        while True:
            if space := _SPACE.match(self._data, self._at):
                yield line_breaks(self._pass(space.end()))
            mark = self._data[self._at : self._at + 2]
            if len(mark) < 2 and self._more():
                continue
            if mark not in (b"--", b"/*"):
                return
            yield from self._comment(mark)

    def _comment(self, mark: bytes) -> Iterator[bytes]:
        self._note_header()
        comment, at, closed = construct_of(mark), self._at + 2, False
        while not closed:
            at, closed = comment.close(self._data, at, final=self._ended)
            yield line_breaks(self._pass(at))
            if not closed and not self._more():
                if mark == b"/*":
                    raise self._cut_off("a comment does not end")
                return
            at = at if closed else self._at

    def _note_header(self) -> None:
        while len(self._data) - self._at < 100 and self._more():
            pass
        if header := _HEADER.match(self._data[self._at : self._at + 100].partition(b"\n")[0]):
            if header[1]:
                raise self._refused("a whole cluster (pg_dumpall)")
            self._headers.add(header[2] or b"")

    def _meta_command(self) -> bytes:
        while (end := self._data.find(b"\n", self._at)) < 0 and self._more():
            pass
        line = self._pass(end)
        word = line.split()[0].decode(errors="replace")
        if word in (r"\connect", r"\c"):
            self._database_lines.append(self._line)
        elif word not in (r"\restrict", r"\unrestrict"):
            raise self._refused_command(word, self._line)
        return b""

    def _statement(self) -> Iterator[bytes]:
        line, state, has_begun, kept = self._line, Lexer(), False, True
        for piece, is_complete in self._pieces(state, line):
            if has_begun:
                yield piece if kept else line_breaks(piece)
                continue
            has_begun = True
            if _ANY_COPY.match(piece):
                yield from self._copy(piece, line)
                return
            adapted = self._checked(piece, line) and self.rules.adapted(piece, is_complete=is_complete)
            kept = bool(adapted.strip())
            yield adapted or line_breaks(piece)

    def _checked(self, statement: bytes, line: int) -> bytes:
        """The statement if it is accepted; b"" if it will be refused with others at the end."""
        what = self.rules.refusal(statement)
        if what == DATABASE:
            self._database_lines.append(line)
            return b""
        if what:
            raise self._refused(what, line)
        if not _BEFORE_DATABASE.match(statement):
            self._refuse_database()
        return statement

    def _copy(self, statement: bytes, line: int) -> Iterator[bytes]:
        self._refuse_database()
        if not _COPY.fullmatch(statement):
            raise self._refused("a COPY that is not FROM stdin", line)
        yield statement
        yield from self._copy_data(line)

    def _pieces(self, state: Lexer, line: int) -> Iterator[tuple[bytes, bool]]:
        """The statement, in several pieces if it is longer than `LIMIT`, and with each whether it is all of it."""
        is_complete, at = True, self._at
        while True:
            at, event = state.advance(self._data, at, final=self._ended)
            if event == Event.END:
                yield self._pass(at), is_complete
                return
            if event != Event.MORE:
                raise self._refused_mark(event, at)
            if at - self._at > LIMIT:
                is_complete = False
                yield self._pass(at), is_complete
            scanned = at - self._at
            if not self._more():
                raise self._cut_off(f"the statement that begins in line {line} does not end")
            at = self._at + scanned

    def _refused_mark(self, event: Event, at: int) -> DataRefusedError:
        line = self._line + self._data.count(b"\n", self._at, at)
        if event == Event.AMBIGUOUS:
            return self._refused("a number that runs into a quote", line)
        return self._refused_command(self._data[at : at + 40].split()[0].decode(errors="replace"), line)

    def _copy_data(self, line: int) -> Iterator[bytes]:
        """Passes the rows of a COPY up to and including `\\.`, in big pieces."""
        while (end := self._data.find(b"\n", self._at)) < 0 and self._more():
            pass
        if self._data[self._at : end].strip():
            raise self._refused("text after a COPY in its line", line)
        yield self._pass(end)
        while True:  # the data begins with the line break before a row
            if (last := self._copy_end()) is not None:
                yield self._pass(last)
                return
            cut = self._data.rfind(b"\n", max(self._at, len(self._data) - 8))  # the end mark may be cut in two
            yield self._pass(cut if cut >= 0 else len(self._data))
            if not self._more() or (self._ended and self._copy_end() is None):
                raise self._cut_off(f"it ends within the rows of the COPY in line {line}")

    def _copy_end(self) -> int | None:
        at = self._data.find(b"\n\\.", self._at)
        while at >= 0:
            for end in (b"\n", b"\r\n"):
                if self._data.startswith(end, at + 3):
                    return at + 3
            at = self._data.find(b"\n\\.", at + 1)
        return None

    def _cut_off(self, why: str) -> ShopeaseError:
        return ShopeaseError(f"{self.name} is cut off: {why}", hint="nothing was restored; copy or dump it again")

    def _refused(self, what: str, line: int | None = None) -> DataRefusedError:
        return DataRefusedError(
            f"{self.name}, line {line or self._line} contains {what}, which restore does not accept", hint=DUMP_HINT
        )

    def _refuse_database(self) -> None:
        """Refuses the statements of `pg_dump --create` when all of them are known."""
        if lines := self._database_lines:
            numbers = ", ".join(map(str, lines))
            script = ";".join(f"{line}d" for line in lines)
            file = "UNPACKED.sql" if self.is_packed else shlex.quote(self.name)
            raise DataRefusedError(
                f"{self.name} creates or connects to a database of its own (pg_dump --create) in line {numbers}",
                hint=f"make the dump without --create, or remove these lines: sed '{script}' {file} > sales_db.sql",
            )

    def _refused_command(self, word: str, line: int) -> DataRefusedError:
        return DataRefusedError(
            f"{self.name}, line {line}: the psql command {word} is refused, as it could run programs on this machine",
            hint="pg_dump writes no such commands; do not restore this dump unless you trust its source",
        )
