"""Removes secrets from output: those of the settings and the environment, and what looks like one."""

import json
import os
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote

HIDDEN: Final = "***"
SHORTEST: Final = 4
VARIABLES: Final = (
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "OPENLINEAGE_API_KEY",
)

# in addresses; hints write the word PASSWORD in its place
_IN_ADDRESS: Final = re.compile(r"(://[^\s:/@'\"]*:)(?!PASSWORD@)[^\s/@'\"]+(?=@)")
_NAMED: Final = re.compile(
    r"\b((?:ssl)?password|api_?key|token|aws_secret_access_key|aws_session_token|"
    r"x-amz-(?:security-token|signature|credential)|(?<=[?&])(?:key|secret|sig|auth))"
    r"=('(?:[^'\\]|\\.)*'|[^\s&'\"]+)",
    re.IGNORECASE,
)
_OF_URL: Final = re.compile(r"://[^:@/]*:(.*)@", re.DOTALL)
_OF_CONNINFO: Final = re.compile(r"\b(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)")


class Secrets:
    """What must not be shown: the environment's secrets, and passwords of the addresses given to `learn`."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._add(os.environ.get(name, "").strip() for name in VARIABLES)

    def learn(self, address: str | None) -> None:
        """Hide the password of a database's URL or conninfo from now on, both encoded and decoded."""
        self._add(_passwords(address or ""))

    def redacted(self, text: str) -> str:
        """The text with `***` in the place of every secret."""
        if self._pattern:
            text = self._pattern.sub(HIDDEN, text)
        return _NAMED.sub(rf"\1={HIDDEN}", _IN_ADDRESS.sub(rf"\1{HIDDEN}", text))

    def _add(self, secrets: Iterator[str]) -> None:
        self._known |= {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        longest_first = sorted(self._known, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(_matching, longest_first))) if longest_first else None


def _matching(form: str) -> str:
    """A pattern; a plain word, such as postgres or test, is hidden only as a separate word."""
    plain = form.isalpha() and form.islower()
    return rf"(?<![\w-]){form}(?![\w-])" if plain else re.escape(form)


def _forms(secret: str) -> set[str]:
    """The secret, and its forms in addresses, Python and JSON."""
    written = {repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *written}


def _passwords(address: str) -> Iterator[str]:
    for text in (address.partition("?")[0], address):
        if found := _OF_URL.search(text):
            yield from (found[1], unquote(found[1]))
    for found in _OF_CONNINFO.finditer(address):
        value = re.sub(r"\\(.)", r"\1", found[1].strip("'") if found[1].startswith("'") else found[1])
        yield from (value, unquote(value))
