"""The file `.env` with settings, in the working folder."""

import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

DOTENV: Final = Path(".env")


def dotenv_variables() -> Mapping[str, str | None]:
    """The variables in `.env`, not expanded. None stands for a name without a value.

    Raises:
        UnicodeDecodeError: it is not in UTF-8.
    """
    return _parsed(DOTENV.read_text(encoding="utf-8")) if DOTENV.is_file() or DOTENV.is_fifo() else {}


@functools.lru_cache(1)  # parsing warns about bad lines, once is enough
def _parsed(text: str) -> Mapping[str, str | None]:
    return dotenv_values(stream=io.StringIO(text), interpolate=False)
