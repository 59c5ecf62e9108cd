"""Finds where SQL statements end by psql's own rules (psqlscan.l), in data that arrives in pieces.

Nothing is scanned twice, and only a few bytes of state are kept, however long a string or comment is.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol


class Event(Enum):
    """What a lexer has found where it stopped."""

    MORE = "the end of its data"
    END = "the end of a statement, which it has passed"
    COMMAND = "a psql command, before its backslash"
    AMBIGUOUS = "text that versions of psql read in different ways"


NAME: Final = rb"(?![eE]')[A-Za-z_\x80-\xff][\w$\x80-\xff]*+"
# Parentheses without others inside. Only single characters are repeated possessively: before Python 3.11.5 a possessive
# group matches too little. Each alternative begins in its own way, so there is only one way to match.
# A string with backslashes is included only if it certainly ends with its quote.
FLAT: Final = (
    rb"\((?:[^'\"$;\\/()eE-]++|[eE](?!')|(?<![eE])'[^']*+'|-(?!-)"
    rb"|(?<![\w$\x80-\xff])[eE]'(?:[^'\\]++|\\.|'')*'(?=\s*+[,)]))*\)"
)
_TAG = rb"\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*+)?"
_TOKEN: Final = re.compile(
    rb"(?P<skip>[^'\"$;\\/()\dA-Za-z_\x80-\xff-]++)|(?P<word>" + NAME + rb")"
    rb"|(?P<number>\d[\d.]*+(?:[A-Za-z_\x80-\xff][\w.\x80-\xff]*+(?P<odd>['$])?)?)"
    rb"|(?P<cut>" + _TAG + rb"\Z|[eE]\Z|-\Z|/\Z)|(?P<open>[eE]?'|\"|--|/\*|" + _TAG + rb"\$)"
    rb"|(?P<mark>[();\\])|[-/$eE]",
    re.S,
)
_WIDTH: Final = 1 << 16  # bytes; a match takes some hundred times the memory of its text at worst
_LINE_END: Final = re.compile(rb"[\r\n]")


class Construct(Protocol):
    """A string, name or comment that has started."""

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        """The place up to which the data from `at` is used, and whether the construct ends there."""


@dataclass(frozen=True)
class _Quoted:
    """Text up to the next `closer`; a doubled quote ends a string and begins the next."""

    closer: bytes

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        end = data.find(self.closer, at)
        if end >= 0:
            return end + len(self.closer), True
        return (len(data) if final else max(at, len(data) - len(self.closer) + 1)), False


class _Line:
    """A comment up to the end of its line; for psql a carriage return is one too."""

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        end = _LINE_END.search(data, at)
        return (end.end(), True) if end else (len(data), final)


class _Block:
    """A comment that may contain others."""

    _MARK: Final = re.compile(rb"/\*|\*/")

    def __init__(self) -> None:
        self._depth = 1

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        for mark in self._MARK.finditer(data, at):
            self._depth += 1 if mark[0] == b"/*" else -1
            at = mark.end()
            if not self._depth:
                return at, True
        return (len(data) if final else max(at, len(data) - 1)), False


class _Escape:
    """A string with backslashes, which continues in a later line that begins with a quote."""

    _RUN: Final = re.compile(rb"(?:[^'\\]++|\\.)*", re.S)
    _GAP: Final = re.compile(rb"(?:\s++|--[^\r\n]*+)*")

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        while run := self._RUN.match(data, at, at + _WIDTH):
            if not run[0] and data[at : at + 1] != b"'":
                break
            at = run.end()
            if data[at : at + 1] != b"'":
                continue
            gap = self._GAP.match(data, at + 1)
            after = gap.end() if gap else at + 1
            if after >= len(data) - 1 and not final:  # a comment may begin with the last byte
                break
            if data[after : after + 1] != b"'" or not (after == at + 1 or _LINE_END.search(data, at, after)):
                return at + 1, True
            at = after + 1
        return (len(data) if final else at), False


def construct_of(mark: bytes) -> Construct:
    """What begins with the mark, one of `'`, `E'`, `"`, `--`, `/*` and the tags of dollar quotes."""
    match mark:
        case b"--":
            return _Line()
        case b"/*":
            return _Block()
        case b"e'" | b"E'":
            return _Escape()
        case _:
            return _Quoted(mark)


class Lexer:
    """The state of one statement."""

    _FLAT: Final = re.compile(FLAT + rb"(?:,\s*+" + FLAT + rb")*", re.S)
    _ROUTINE: Final = re.compile(r"create (?:or replace )?(?:function|procedure)\b")

    def __init__(self) -> None:
        self._construct: Construct | None = None
        self._depth = self._blocks = 0
        self._words = ""

    def advance(self, data: bytes, at: int, *, final: bool) -> tuple[int, Event]:
        """Reads on from `at`: returns where it stopped, and what is there; `final`: no more data follows."""
        while True:
            if self._construct:
                at, closed = self._construct.close(data, at, final=final)
                if not closed:
                    return at, Event.MORE
                self._construct = None
            token = _TOKEN.match(data, at)
            if token is None or (not final and self._is_open(token, len(data))):
                return at, Event.MORE
            if token["mark"] == b"(" and (flat := self._FLAT.match(data, at, at + _WIDTH)):
                token = flat
            elif (event := self._step(token)) != Event.MORE:
                return (token.end() if event == Event.END else token.start()), event
            at = token.end()

    def _is_open(self, token: re.Match[bytes], size: int) -> bool:
        return token["cut"] is not None or (token.end() == size and token.lastgroup in {"word", "number"})

    def _step(self, token: re.Match[bytes]) -> Event:
        """Takes a token in and returns its event; MORE if it has none."""
        match token.lastgroup:
            case "word" if not self._depth:
                self._count_block(token["word"])
            case "open":
                self._construct = construct_of(token["open"])
            case "number" if token["odd"]:
                return Event.AMBIGUOUS
            case "mark":
                mark = token["mark"]
                self._depth = max(0, self._depth + {b"(": 1, b")": -1}.get(mark, 0))
                if mark == b"\\":
                    return Event.COMMAND
                if mark == b";" and self._depth == self._blocks == 0:
                    return Event.END
        return Event.MORE

    def _count_block(self, name: bytes) -> None:
        """Counts the BEGIN ATOMIC … END in the body of an SQL function."""
        word = name[:40].decode(errors="replace").lower()
        self._words += f"{word} " if len(self._words) < 40 else ""
        if self._ROUTINE.match(self._words):
            if word == "begin" or (word == "case" and self._blocks):
                self._blocks += 1
            elif word == "end" and self._blocks:
                self._blocks -= 1
