"""What is typed into the shell: where a statement ends, commands and their words, and what completes a word."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shopease_etl.warehouse.schema import ListedTable, quoted

COMMANDS: Final[Mapping[str, str]] = {
    r"\d": "list the tables and views",
    r"\d NAME": "list the columns of a table or view",
    r"\n": "list the queries with names",
    r"\n NAME [PARAMETER=VALUE…]": "run a query with a name",
    r"\p": "list the parameters that are set",
    r"\p NAME=VALUE…": "set parameters: :NAME in a statement stands for VALUE",
    r"\x": "one value per line, or as fits: on or off",
    r"\o FILE": "write the next result to FILE, by its suffix .csv, .json or .parquet",
    r"\o": "show the next result on the terminal after all",
    r"\?": "show this help",
    r"\q": "leave, as Ctrl-D does",
}
_WORDS: Final = {"exit": r"\q", "quit": r"\q", "help": r"\?"}
_KEYWORDS: Final = (
    "ALL AND AS ASC BETWEEN BY CASE CAST COALESCE COUNT CROSS CURRENT_DATE DATE DESC DESCRIBE DISTINCT ELSE END EXISTS "
    "EXPLAIN FALSE FILTER FROM FULL GROUP HAVING IN INNER INTERSECT INTERVAL IS JOIN LEFT LIKE LIMIT MAX MIN NOT NULL "
    "NULLS OFFSET ON OR ORDER OUTER OVER PARTITION RIGHT ROUND SELECT SHOW SUM TABLES THEN TIMESTAMP TRUE UNION UNNEST "
    "USING VALUES VIEWS WHEN WHERE WITH"
)
KEYWORDS: Final = tuple(_KEYWORDS.split())
# Strings, quoted names and comments, then the end of a statement.
_PART: Final = re.compile(r"""'[^']*'|"[^"]*"|--[^\n]*|/\*.*?\*/|(?P<open>['"]|/\*)|(?P<end>;)""", re.DOTALL)
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_ARGUMENT: Final = re.compile(r"(?P<name>[^\s=']+)=(?P<value>'(?:[^']|'')*'|\S*)(?=\s|$)\s*")


def is_complete(text: str) -> bool:
    """Whether Enter runs what was typed: a command, nothing, or statements of which the last one has its semicolon."""
    if command_in(text) is not None:
        return True
    rest = _split(text)[1]
    return not _COMMENT.sub("", rest).strip()


def statements_in(text: str) -> list[str]:
    """The statements, without the semicolons between them."""
    found, rest = _split(text)
    return [statement for statement in (*found, rest) if _COMMENT.sub("", statement).strip()]


def _split(text: str) -> tuple[list[str], str]:
    """The statements that have ended, and the rest."""
    found, start = [], 0
    for part in _PART.finditer(text):
        if part["open"]:
            break
        if part["end"]:
            found.append(text[start : part.start()])
            start = part.end()
    return found, text[start:]


def command_in(text: str) -> tuple[str, str] | None:
    r"""The command and what follows it, such as `\d` and `stores`; None if it is no command."""
    first, _, rest = text.strip().rstrip(";").partition(" ")
    first = first if rest else _WORDS.get(first.lower(), first)
    return (first, rest.strip()) if first.startswith("\\") else None


def arguments_in(text: str) -> Iterator[tuple[str, str]]:
    """The names and values in `a=1 b='x y'`; ValueError with the word that is no argument."""
    end = 0
    for found in _ARGUMENT.finditer(text):
        if found.start() != end:
            break
        yield found["name"], found["value"]
        end = found.end()
    if text[end:].strip():
        raise ValueError(text[end:].split()[0])


@dataclass(frozen=True)
class Vocabulary:
    """What can complete a word: tables and views, and queries by name with their parameters."""

    tables: Sequence[ListedTable] = ()
    queries: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def completions(self, before: str, whole: str) -> list[tuple[str, int]]:
        """What completes the word at the end of `before`, and how much of it that replaces; `whole` is all text."""
        if command := command_in(before):
            return self._of_command(before, *command)
        word = re.search(r"[\w.]*$", before)
        typed = word[0] if word else ""
        owner, _, last = typed.rpartition(".")
        names = self._names(whole, owner.rpartition(".")[2].strip('"'), has_owner="." in typed)
        return _starting(last, names, is_lower=last.islower())

    def _of_command(self, before: str, command: str, rest: str) -> list[tuple[str, int]]:
        words = before.split(" ")
        last = words[-1]
        if len(words) == 1:
            names: Iterable[str] = dict.fromkeys(text.split(" ")[0] for text in COMMANDS)
        elif command == r"\d":
            names = [table.name for table in self.tables]
        elif command == r"\n":
            name = rest.split(" ")[0]
            names = self.queries if len(words) == 2 else [f"{each}=" for each in self.queries.get(name, ())]
        else:
            names = ()
        return _starting(last, names)

    def _names(self, whole: str, owner: str, *, has_owner: bool) -> Iterable[str]:
        """Columns of the owner or of the tables in the text; without an owner also keywords and tables."""
        mentioned = {word.lower() for word in re.findall(r"\w+", whole)}
        named = [table for table in self.tables if table.name.lower() in mentioned]
        owners = [table for table in named if table.name.lower() == owner.lower()]
        read = owners or named or self.tables
        columns = dict.fromkeys(_written(column.name) for table in read for column in table.columns)
        tables = [table.name for table in self.tables]
        if has_owner:  # a table, else an alias or a database
            return columns if owners else [*tables, *columns]
        return [*KEYWORDS, *tables, *columns]


def _written(name: str) -> str:
    """A name as SQL has it, in quotes if it needs them."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else quoted(name)


def _starting(word: str, names: Iterable[str], *, is_lower: bool = False) -> list[tuple[str, int]]:
    """The names that start with the word in any case; keywords as it is written."""
    found = dict.fromkeys(name for name in names if name.strip('"').lower().startswith(word.lower()))
    shown = (name.lower() if is_lower and name in KEYWORDS else name for name in found)
    return [(name, len(word)) for name in sorted(shown, key=str.lower)]
