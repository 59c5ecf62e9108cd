"""Queries with names: those that ship with the tool, and a user's own in a folder."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from shopease_etl.errors import ConfigurationError

SHIPPED: Final = "shopease"
_DATABASE: Final = "shopease_catalog"
_NAME: Final = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class NamedQuery:
    """A query in Athena's SQL; `source` is `shopease` if it ships with the tool, else its file."""

    name: str
    description: str
    sql: str
    source: str = SHIPPED


@dataclass(frozen=True)
class NamedQueries:
    """All queries by name, and why each other file of the user's folder is none."""

    queries: Mapping[str, NamedQuery]
    refused: Mapping[Path, str]

    def find(self, name: str) -> NamedQuery:
        """The query with this name.

        Raises:
            ConfigurationError: there is none, or its file is none.
        """
        if name in self.queries:
            return self.queries[name]
        for file, why in self.refused.items():
            if name in (file.stem, file.name):
                raise ConfigurationError(f"{file} is not a query: {why}")
        close = difflib.get_close_matches(name, self.queries, 3)
        everything = f"the queries are: {', '.join(self.queries)}"
        hint = f"did you mean {' or '.join(close)}? ({everything})" if close else everything
        raise ConfigurationError(f"there is no query named {name}", hint=hint)


def named_queries(database: str = _DATABASE, folder: Path | None = None) -> NamedQueries:
    """The shipped queries, on the tables of `database`, and those of the user's folder, as they are written.

    Raises:
        ConfigurationError: the folder does not exist or cannot be read.
    """
    shipped = {query.name: query for query in shipped_queries(database)}
    own: dict[str, NamedQuery] = {}
    refused: dict[Path, str] = {}
    for file in _sql_files(folder) if folder else ():
        if why := _why_refused(file, [*shipped, *own]):
            refused[file] = why
            continue
        try:
            own[file.stem] = _read(file)
        except (OSError, ValueError) as error:
            refused[file] = _reason(error)
    return NamedQueries({**shipped, **own}, refused)


def _sql_files(folder: Path) -> list[Path]:
    """The files in the folder that end with .sql, by name; not hidden ones, which editors leave."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        message = f"the folder of queries {folder} cannot be read: {error.strerror}"
        raise ConfigurationError(
            message, hint="set SHOPEASE_QUERIES to a folder with .sql files, or unset it"
        ) from error
    return [file for file in found if file.suffix.lower() == ".sql" and not file.name.startswith(".")]


def _why_refused(file: Path, names: Iterable[str]) -> str | None:
    """Why a file is not a query, by its name and kind; `names` are taken."""
    if not _NAME.fullmatch(file.stem):
        return "its name may have letters, digits, _, - and . only: rename it"
    for name in names:
        if name.lower() == file.stem.lower():
            return f"there is a query {name} already, and case does not count: rename it"
    return None if file.is_file() else "it is not a regular file"


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _read(file: Path) -> NamedQuery:
    """The query in a file, with all its lines: places in errors are those of the file; ValueError if there is none."""
    text = file.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError("it is empty")
    return NamedQuery(file.stem, _description(text), text, str(file))


def _description(text: str) -> str:
    """What the first line says, if it is a comment."""
    first = text.partition("\n")[0]
    return first.removeprefix("--").strip() if first.startswith("--") else ""


@cache
def shipped_queries(database: str = _DATABASE) -> tuple[NamedQuery, ...]:
    """All queries that ship with the tool, by name, on the tables of `database`."""
    queries = []
    for file in sorted(files("shopease_etl").joinpath("queries").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            text = file.read_text(encoding="utf-8")
            sql = text.partition("\n")[2]
            if database != _DATABASE:
                sql = sql.replace(f"{_DATABASE}.", f'"{database}".')
            queries.append(NamedQuery(file.name.removesuffix(".sql"), _description(text), sql.strip()))
    return tuple(queries)


def shipped_query(name: str, database: str = _DATABASE) -> NamedQuery:
    """The shipped query with this name; ConfigurationError if there is none."""
    return named_queries(database).find(name)
