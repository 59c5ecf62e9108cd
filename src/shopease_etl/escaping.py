"""Makes control characters, escape sequences and bidirectional overrides visible, which a terminal would act on."""

import json
import unicodedata
from collections.abc import Callable
from io import TextIOBase
from typing import TextIO


def escaped(text: str, keep: str = "") -> str:
    r"""The text with `\x1b` or `\u202e` for each unprintable character, except those in `keep`."""
    return _replaced(text, keep, lambda character: character.encode("unicode_escape").decode())


def escaped_lines(text: str) -> str:
    """The text escaped, except for line ends and tabs."""
    return escaped(text, keep="\n\t")


def json_escaped(text: str) -> str:
    r"""An equal JSON document with `\u202e` for each unprintable character, except line ends."""
    return _replaced(text, "\n", lambda character: json.dumps(character)[1:-1])


def _replaced(text: str, keep: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else escape(c) for c in text)


class EscapingStream(TextIOBase):
    """Applies `escape` to each text and writes the result to a terminal's stream."""

    def __init__(self, stream: TextIO, escape: Callable[[str], str]) -> None:
        self._stream = stream
        self._escape = escape

    def write(self, text: str, /) -> int:
        """Write the text, escaped."""
        self._stream.write(self._escape(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()
