"""What the report consists of, whatever it is rendered as: sections with cards, tables and charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Table:
    """A table of texts; the columns after the first `texts` ones are numbers, and the first column names the row.

    `levels` has from 0 to 9 how strong a number is, for a heat map; None for texts and empty cells.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    levels: tuple[tuple[int | None, ...], ...] = ()


@dataclass(frozen=True)
class Drawing:
    """What a chart draws, see `charts`: columns over time, also `stacked` by series, or horizontal bars."""

    kind: Literal["columns", "stacked", "bars"]
    points: Sequence[Mapping[str, Any]]
    series: Sequence[str] = ()
    is_share: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart; `title` says what it shows, `description` of what, and `legend` how to read the picture.

    Its numbers are in `table`. A wide chart is drawn for wide and for narrow screens.
    """

    title: str
    description: str
    drawing: Drawing
    table: Table
    is_wide: bool = False
    legend: str = ""


@dataclass(frozen=True)
class Figure:
    """A table with a title of its own."""

    title: str
    description: str
    table: Table
    is_wide: bool = False


@dataclass(frozen=True)
class Card:
    """A key figure; each comparison has the change, with what, and its direction: `up`, `down` or nothing."""

    title: str
    value: str
    comparisons: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Section:
    """A part of the report with an anchor; `sources` names the datasets that it was made from."""

    anchor: str
    title: str
    intro: str
    cards: tuple[Card, ...] = ()
    blocks: Sequence[Chart | Figure] = ()
    sources: tuple[str, ...] = ()
