"""Reads a plain dump statement by statement as psql does, and makes it fit for a server that is not its own.

Line numbers stay as they are in the dump: what is left out leaves its line breaks behind.
"""

import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from shopease_etl.dumps.rules import Rules
from shopease_etl.dumps.source import DUMP_HINT
from shopease_etl.errors import DataRefusedError, ShopeaseError

_LONGEST_STATEMENT: Final = 64 << 20

# Only single characters are repeated possessively: before Python 3.11.5 a group that is matches too little. Each
# alternative begins in its own way, so that there is but one way to match and backtracking finds no other.
_STRING = rb"'[^']*+'"
_ESCAPE_STRING = rb"[eE]'(?:[^'\\]|\\.|'')*'(?!')(?:\s*\n\s*'(?:[^'\\]|\\.|'')*'(?!'))*(?!\s*\n\s*')"
_NAME = rb"(?![eE]')[A-Za-z_\x80-\xff][\w$\x80-\xff]*+"
_DOLLAR = rb"\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*+)?\$"
_COMMENT = rb"--[^\n]*+\n|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/"
_OTHER = rb"[^'\"$;\\/A-Za-z_\x80-\xff()-]++|-(?!-)|/(?!\*)"

_GAP: Final = re.compile(rb"(?:\s++|" + _COMMENT + rb")*", re.S)
_TOKEN: Final = re.compile(
    rb"(?P<escape>" + _ESCAPE_STRING + rb")|(?P<word>" + _NAME + rb")|" + _STRING + rb'|"[^"]*+"|'
    rb"(?P<tag>" + _DOLLAR + rb").*?(?P=tag)|" + _COMMENT + rb"|" + _OTHER + rb"|(?P<mark>[();\\])"
    rb"|(?P<open>[eE]?'|\"|--|/\*|" + _DOLLAR + rb")|\$",
    re.S,
)
# Runs of INSERTs, which may be the whole dump, are passed by one match each megabyte.
_INSERTS: Final = re.compile(
    rb"(?:(?i:INSERT INTO )(?:" + _ESCAPE_STRING + rb"|" + _NAME + rb"|" + _STRING + rb'|"[^"]*+"|'
    rb"[^'\"$;\\/A-Za-z_\x80-\xff-]++|-(?!-)|/(?!\*))*;\r?\n\s*+)+",
    re.S,
)
_COPY: Final = re.compile(
    rb'COPY\s+(?:"(?:[^"]|"")+"|[\w$\x80-\xff.])+\s*(?:\((?:"[^"]*"|[^()"])*\))?\s*FROM\s+stdin\b(?!.*\bbinary\b)[^;]*;',
    re.S | re.I,
)
_ROUTINE: Final = re.compile(r"create (?:or replace )?(?:function|procedure)\b")
_HEADER: Final = re.compile(rb"^-- PostgreSQL database (cluster )?dump( complete)?\s*$", re.M)


@dataclass
class PlainDump:
    """A plain dump on its way to psql; `filtered` may be called once."""

    name: str
    chunks: Iterable[bytes]
    rules: Rules
    _data: bytes = b""
    _at: int = 0
    _line: int = 1
    _ended: bool = False
    _headers: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._source = iter(self.chunks)

    def filtered(self) -> Generator[bytes, None, None]:
        """The dump's bytes for psql; raises a ShopeaseError where it is cut off or holds what we do not take."""
        self._more()
        self._data = self._data.removeprefix(b"\xef\xbb\xbf")
        while self._skip_gap():
            yield self._passed(self._at)
            if self._data[:1] == b"\\":
                yield self._meta_command()
            elif inserts := _INSERTS.match(self._data):
                yield self._passed(inserts.end())
            else:
                yield from self._statement()
        yield self._passed(len(self._data))
        if b"" in self._headers and b" complete" not in self._headers:
            raise self._cut_off("its last line, `-- PostgreSQL database dump complete`, is missing")

    def _more(self) -> bool:
        """Reads on, by at least as much as is pending, so that a long statement is not scanned too often."""
        pending = [self._data]
        wanted = len(self._data)
        while not self._ended and wanted >= 0:
            chunk = next(self._source, None)
            self._ended = chunk is None
            pending.append(b"\n" if chunk is None else chunk)
            wanted -= len(pending[-1]) + 1
        grown = sum(map(len, pending)) > len(self._data)
        self._data = b"".join(pending)
        return grown

    def _passed(self, end: int) -> bytes:
        """Takes the data up to `end` out of the buffer, counting its lines."""
        taken, self._data = self._data[:end], self._data[end:]
        self._line += taken.count(b"\n")
        self._at = 0
        return taken

    def _skip_gap(self) -> bool:
        """Sets `_at` behind white space and comments; False at the end of the dump."""
        while True:
            gap = _GAP.match(self._data)
            self._at = gap.end() if gap else 0
            rest = self._data[self._at : self._at + 2]
            if rest and not (rest in (b"-", b"/") or rest.startswith((b"--", b"/*"))):
                break
            if len(self._data) > _LONGEST_STATEMENT or not self._more():
                break
        for cluster, complete in _HEADER.findall(self._data, 0, self._at):
            if cluster:
                raise self._refused("a whole cluster (pg_dumpall)")
            self._headers.add(complete)
        return self._at < len(self._data)

    def _meta_command(self) -> bytes:
        while b"\n" not in self._data and self._more():
            pass
        line = self._data[: self._data.index(b"\n")]
        word = line.split()[0].decode(errors="replace")
        if word in (r"\restrict", r"\unrestrict"):
            self._passed(len(line))
            return b""
        raise self._refused_command(word, self._line)

    def _statement(self) -> Iterator[bytes]:
        while (end := self._statement_end()) is None:
            if len(self._data) > _LONGEST_STATEMENT or not self._more():
                raise self._cut_off(f"the statement that begins in line {self._line} does not end")
        line, statement = self._line, self._passed(end)
        if what := self.rules.refusal(statement):
            raise self._refused(what, line)
        if _COPY.fullmatch(statement):
            yield statement
            yield from self._copy_data(line)
        elif statement[:5].lower().rstrip() == b"copy":
            raise self._refused("a COPY that is not FROM stdin", line)
        else:
            yield self.rules.adapted(statement)

    def _statement_end(self) -> int | None:
        """The end of the first statement, None where the data does not reach it; psql's rules (psqlscan.l)."""
        depth, blocks, words = 0, 0, ""
        for token in _TOKEN.finditer(self._data):
            if word := token["word"]:
                text = word.decode(errors="replace").lower()
                words += f"{text} " if len(words) < 40 else ""
                blocks += _block_step(text, blocks, depth, words)
            elif token["open"]:
                return None
            elif mark := token["mark"]:
                depth = max(0, depth + {b"(": 1, b")": -1}.get(mark, 0))
                if mark == b"\\":
                    self._refuse_backslash(token.start())
                if mark == b";" and depth == blocks == 0:
                    return token.end()
        return None

    def _refuse_backslash(self, at: int) -> None:
        word = self._data[at : at + 40].split()[0].decode(errors="replace")
        raise self._refused_command(word, self._line + self._data.count(b"\n", 0, at))

    def _copy_data(self, line: int) -> Iterator[bytes]:
        """Passes the rows of a COPY up to and with `\\.`, in big pieces."""
        while b"\n" not in self._data and self._more():
            pass
        rest = self._data.index(b"\n") + 1 if b"\n" in self._data else len(self._data)
        if self._data[:rest].strip():
            raise self._refused("something behind a COPY in its line", line)
        yield self._passed(rest - 1)
        while True:  # the data begins with the line break before a row
            end = self._copy_end()
            if end is not None:
                yield self._passed(end)
                return
            last = self._data.rfind(b"\n", max(0, len(self._data) - 8))  # it may begin the end, which is cut in two
            yield self._passed(last if last >= 0 else len(self._data))
            if not self._more() or (self._ended and self._copy_end() is None):
                raise self._cut_off(f"it ends among the rows of the COPY in line {line}")

    def _copy_end(self) -> int | None:
        at = self._data.find(b"\n\\.")
        while at >= 0:
            for end in (b"\n", b"\r\n"):
                if self._data.startswith(end, at + 3):
                    return at + 3
            at = self._data.find(b"\n\\.", at + 1)
        return None

    def _cut_off(self, why: str) -> ShopeaseError:
        return ShopeaseError(
            f"{self.name} is cut off: {why}", hint="nothing was restored; fetch or make the dump again"
        )

    def _refused(self, what: str, line: int | None = None) -> DataRefusedError:
        return DataRefusedError(
            f"{self.name}, line {line or self._line} holds {what}, which restore does not take", hint=DUMP_HINT
        )

    def _refused_command(self, word: str, line: int) -> DataRefusedError:
        if word in (r"\connect", r"\c"):
            return self._refused(r"\connect (of pg_dumpall or pg_dump --create)", line)
        return DataRefusedError(
            f"{self.name}, line {line}: the psql command {word} is refused, as it could run programs on this machine",
            hint="a dump of pg_dump holds none; do not restore this one unless you trust who made it",
        )


def _block_step(word: str, blocks: int, depth: int, words: str) -> int:
    """How a word changes the depth of BEGIN ATOMIC … END in the body of an SQL function."""
    if depth or not _ROUTINE.match(words):
        return 0
    if word == "begin" or (word == "case" and blocks):
        return 1
    return -1 if word == "end" and blocks else 0
