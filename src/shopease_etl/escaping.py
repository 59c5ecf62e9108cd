"""What a terminal would obey or hide, made visible: control characters, escape sequences, bidirectional overrides."""

import json
import unicodedata
from collections.abc import Callable
from io import TextIOBase
from typing import TextIO


def escaped(text: str, keep: str = "") -> str:
    r"""The text with `\x1b` or `\u202e` for each character that does not print; those in `keep` stay."""
    return _replaced(text, keep, lambda character: character.encode("unicode_escape").decode())


def escaped_lines(text: str) -> str:
    """The text escaped, with its line ends and tabs."""
    return escaped(text, keep="\n\t")


def json_escaped(text: str) -> str:
    r"""A JSON document that means the same, with `\u202e` for each character that does not print; line ends stay."""
    return _replaced(text, "\n", lambda character: json.dumps(character)[1:-1])


def _replaced(text: str, keep: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else escape(c) for c in text)


class EscapingStream(TextIOBase):
    """Writes to a terminal's stream what `escape` makes of each text."""

    def __init__(self, stream: TextIO, escape: Callable[[str], str]) -> None:
        self._stream = stream
        self._escape = escape

    def write(self, text: str, /) -> int:
        """Write the text escaped."""
        self._stream.write(self._escape(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()
