"""Finds where SQL statements end by psql's own rules (psqlscan.l), in data that arrives in pieces.

Nothing is scanned twice and nothing is kept but a state of a few bytes, however long a string or comment is.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

MORE: Final = ""
"""The event of a lexer that has used up its data."""
END: Final = ";"
"""The event of a lexer that stands behind a statement."""
BACKSLASH: Final = "\\"
"""The event of a lexer that stands before a psql command."""
AMBIGUOUS: Final = "?"
"""The event of a lexer that stands before what versions of psql read in different ways."""

NAME: Final = rb"(?![eE]')[A-Za-z_\x80-\xff][\w$\x80-\xff]*+"
# Parentheses without others inside. Only single characters are repeated possessively: before Python 3.11.5 a group that
# is matches too little. Each alternative begins in its own way, so there is only one way to match.
# A string with backslashes is among them only where it surely ends with its quote.
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
_FLAT: Final = re.compile(FLAT + rb"(?:,\s*+" + FLAT + rb")*", re.S)
_WIDTH: Final = 1 << 16  # bytes; a match takes some hundred times the memory of its text at worst
_ROUTINE: Final = re.compile(r"create (?:or replace )?(?:function|procedure)\b")
_LINE_END: Final = re.compile(rb"[\r\n]")
_BLOCK_MARK: Final = re.compile(rb"/\*|\*/")
_ESCAPE_RUN: Final = re.compile(rb"(?:[^'\\]++|\\.)*", re.S)
_AFTER_ESCAPE: Final = re.compile(rb"(?:\s++|--[^\r\n]*+)*")


class Construct(Protocol):
    """A string, name or comment that has begun."""

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        """The place up to which the data from `at` is used up, and whether the construct has ended there."""


@dataclass(frozen=True)
class _Quoted:
    """Ends with the next `closer`; a doubled quote ends a string and begins the next."""

    closer: bytes

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        end = data.find(self.closer, at)
        if end >= 0:
            return end + len(self.closer), True
        return (len(data) if final else max(at, len(data) - len(self.closer) + 1)), False


class _Line:
    """A comment up to the end of its line, which psql sees in a carriage return, too."""

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        end = _LINE_END.search(data, at)
        return (end.end(), True) if end else (len(data), final)


class _Block:
    """A comment that may hold others."""

    def __init__(self) -> None:
        self._depth = 1

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        for mark in _BLOCK_MARK.finditer(data, at):
            self._depth += 1 if mark[0] == b"/*" else -1
            at = mark.end()
            if not self._depth:
                return at, True
        return (len(data) if final else max(at, len(data) - 1)), False


class _Escape:
    """A string with backslashes, which goes on in a later line that begins with a quote."""

    def close(self, data: bytes, at: int, *, final: bool) -> tuple[int, bool]:
        while run := _ESCAPE_RUN.match(data, at, at + _WIDTH):
            if not run[0] and data[at : at + 1] != b"'":
                break
            at = run.end()
            if data[at : at + 1] != b"'":
                continue
            gap = _AFTER_ESCAPE.match(data, at + 1)
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

    def __init__(self) -> None:
        self._construct: Construct | None = None
        self._depth = self._blocks = 0
        self._words = ""

    def advance(self, data: bytes, at: int, *, final: bool) -> tuple[int, str]:
        """Reads on from `at`: the place that was reached, and what is there; `final`: no data follows this."""
        while True:
            if self._construct:
                at, closed = self._construct.close(data, at, final=final)
                if not closed:
                    return at, MORE
                self._construct = None
            token = _TOKEN.match(data, at)
            if token is None or (not final and self._is_open(token, len(data))):
                return at, MORE
            if token["mark"] == b"(" and (flat := _FLAT.match(data, at, at + _WIDTH)):
                token = flat
            elif event := self._step(token):
                return (token.end() if event == END else token.start()), event
            at = token.end()

    def _is_open(self, token: re.Match[bytes], size: int) -> bool:
        return token["cut"] is not None or (token.end() == size and token.lastgroup in {"word", "number"})

    def _step(self, token: re.Match[bytes]) -> str:
        """Takes in a token; the event that it makes, if any."""
        match token.lastgroup:
            case "word" if not self._depth:
                self._count_block(token["word"])
            case "open":
                self._construct = construct_of(token["open"])
            case "number" if token["odd"]:
                return AMBIGUOUS
            case "mark":
                mark = token["mark"]
                self._depth = max(0, self._depth + {b"(": 1, b")": -1}.get(mark, 0))
                if mark == b"\\":
                    return BACKSLASH
                if mark == b";" and self._depth == self._blocks == 0:
                    return END
        return MORE

    def _count_block(self, name: bytes) -> None:
        """Counts the BEGIN ATOMIC … END in the body of an SQL function."""
        word = name[:40].decode(errors="replace").lower()
        self._words += f"{word} " if len(self._words) < 40 else ""
        if _ROUTINE.match(self._words):
            if word == "begin" or (word == "case" and self._blocks):
                self._blocks += 1
            elif word == "end" and self._blocks:
                self._blocks -= 1
