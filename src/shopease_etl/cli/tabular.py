"""Tables for terminals of any width, in which no number, date or key is cut.

If a table is too wide, whole columns are hidden (and a line says so), or each record becomes a block of lines.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from shopease_etl.escaping import escaped
from shopease_etl.report import Status
from shopease_etl.wording import counted

NULL: Final = "NULL"
GAP: Final = 2  # spaces between two columns
_SHORT: Final = 40  # a text up to this width may be a key or a time and is never wrapped
_NARROWEST_PROSE: Final = 16
_COLOURS: Final[Mapping[str, str]] = {
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.DIED: "red",
    Status.INTERRUPTED: "yellow",
    Status.ROLLED_BACK: "yellow",
    "ok": "green",
    "FAILED": "red",
    "warning": "yellow",
}


def verdict(word: str) -> Text:
    """A status such as failed or ok in its colour, if it has one."""
    return Text(word, _COLOURS.get(word, ""))


def width_of(text: str) -> int:
    """The width of a text on a terminal, in cells; wide characters take two."""
    return len(text) if text.isascii() else cell_len(text)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text, padded with spaces to a width in cells."""
    padding = " " * (width - width_of(text))
    return padding + text if right else text + padding


def record_lines(
    number: int, names: Sequence[str], values: Iterable[str], width: int, emphasis: Callable[[str], str] = str
) -> Iterator[str]:
    """A record as a block of lines: a name and its value per line, or the value on the next line if it does not fit.

    Texts of more than 40 cells are wrapped between words, others never. `emphasis` formats the heading.
    """
    yield emphasis(f"-- {number:,} ".ljust(min(width, 40), "-"))
    indent = max(map(width_of, names), default=0) + GAP
    for name, value in zip(names, values, strict=True):
        is_long = width_of(value) > max(_SHORT, width - indent)
        lines = wrapped(value, width - indent) if is_long and width >= 2 * indent else [value]
        if len(lines) == 1 and indent + width_of(value) > width and width_of(name) <= width:
            room = width - GAP
            yield name
            yield from (" " * GAP + line for line in (wrapped(value, room) if is_long else [value]))
        else:
            yield padded(name, indent) + lines[0]
            yield from (" " * indent + line for line in lines[1:])


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines, broken only at spaces and indented like the first; a word longer than a line stays whole."""
    words = text.lstrip(" ")
    indent = " " * (len(text) - len(words))
    lines = [""]
    for word in words.split(" "):
        if lines[-1] and len(indent) + width_of(lines[-1]) + 1 + width_of(word) > width:
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return [indent + line for line in lines]


@dataclass(frozen=True)
class Paragraph:
    """A text wrapped between words, to the right of a label."""

    text: str
    label: Text = field(default_factory=Text)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        indent = " " * self.label.cell_len
        lines = [w for line in self.text.split("\n") for w in wrapped(escaped(line), options.max_width - len(indent))]
        for number, line in enumerate(lines):
            yield Text.assemble(indent if number else self.label, line, no_wrap=True, overflow="ignore")


@dataclass(frozen=True)
class Grid:
    """A small table, with 1000 written as 1,000.

    Columns of prose are wrapped between words. If the terminal is too narrow, `droppable` columns are hidden, the first
    of them first, and a line says so; if that is not enough, each row becomes a block of lines.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str | None = None
    droppable: Sequence[str] = ()
    prose: Sequence[str] = ()

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if self.title:
            yield Text(escaped(self.title), "bold", no_wrap=True, overflow="ignore")
        cells = [[_cell(value) for value in row] for row in self.rows]
        for count in range(len(self.droppable) + 1):
            hidden = [heading for heading in self.droppable[:count] if heading in self.headings]
            kept = [index for index, heading in enumerate(self.headings) if heading not in hidden]
            table, width = self._table(kept, cells)
            if width <= options.max_width:
                yield table
                if hidden:
                    names = f"{counted(len(hidden), 'column')} hidden ({', '.join(hidden)})"
                    yield Text(f"{names}: widen the terminal, or use --json", "dim")
                return
        yield from self._blocks(cells, options.max_width)

    def _table(self, kept: Sequence[int], cells: Sequence[Sequence[Text]]) -> tuple[Table, int]:
        """The table of these columns, and the smallest width in which nothing is cut."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
        widths = []
        for index in kept:
            heading, column = self.headings[index], [row[index] for row in cells]
            width = max(width_of(line) for text in (heading, *map(str, column)) for line in text.split("\n"))
            is_prose = heading in self.prose
            if is_prose:
                words = max((width_of(word) for text in column for word in text.plain.split()), default=0)
                width = min(width, max(_NARROWEST_PROSE, words))
            numeric = any(isinstance(row[index], int | float | Decimal) for row in self.rows)
            table.add_column(
                Text(heading),
                justify="right" if numeric else "left",
                overflow="fold",
                no_wrap=not is_prose,
                min_width=width,
            )
            widths.append(width)
        for row in cells:
            table.add_row(*(row[index] for index in kept))
        return table, sum(widths) + GAP * (len(widths) - 1)

    def _blocks(self, cells: Sequence[Sequence[Text]], width: int) -> Iterator[RenderableType]:
        for number, row in enumerate(cells, 1):
            values = (" ".join(text.plain.split("\n")) for text in row)
            for line in record_lines(number, self.headings, values, width):
                yield Text(line.rstrip(), no_wrap=True, overflow="ignore")


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    if value is None:
        return Text(NULL, "dim")
    if isinstance(value, bool):
        return Text(str(value).lower())
    if isinstance(value, int | float | Decimal):
        return Text(f"{value:,.2f}" if isinstance(value, float) else f"{value:,}")
    return Text(escaped(str(value), keep="\n"))
