"""The report as Markdown, for a pull request or a mail: key figures, small tables and data quality."""

from typing import Final

from shopease_etl.operations.business import content_quality
from shopease_etl.operations.business.blocks import Section, Table
from shopease_etl.operations.business.content import sections
from shopease_etl.operations.business.figures import Report
from shopease_etl.wording import counted

MAX_ROWS: Final = 24
MAX_COLUMNS: Final = 8
_SPECIAL: Final = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|~&"})


def markdown(report: Report) -> str:
    """The text; what comes from the data cannot be markup in it."""
    lines = ["# Business report", ""]
    lines += [f"- {name}: {_escaped(value)}" for name, value in content_quality.head(report)]
    if trouble := content_quality.trouble(report):
        lines += ["", f"> **{_escaped(trouble[0])}**", f"> {_escaped(trouble[1])}"]
    lines.append("")
    for section in sections(report):
        lines += _section(section, content_quality.missing(report, section))
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(section: Section, missing: list[str]) -> list[str]:
    lines = [f"## {_escaped(section.title)}", ""]
    lines += [line for text in (_escaped(section.intro), *missing) if text for line in (text, "")]
    if section.cards:
        rows = tuple(
            (card.title, card.value, "; ".join(f"{change} {against}" for change, against, _ in card.comparisons))
            for card in section.cards
        )
        lines += [*_table(Table("Key figures", ("figure", "value", "change"), rows)), ""]
    for block in section.blocks:
        lines += [f"### {_escaped(block.title)}", "", _escaped(block.description), ""]
        is_wide = block.table.levels and len(block.table.columns) > MAX_COLUMNS
        lines += [*(["Its table is on the HTML page."] if is_wide else _table(block.table)), ""]
    return lines


def _table(table: Table) -> list[str]:
    """The table's first rows; numbers are aligned to the right."""
    ruler = ["---" if place < table.texts else "---:" for place in range(len(table.columns))]
    rows = [table.columns, *table.rows[:MAX_ROWS]]
    lines = [f"| {' | '.join(map(_escaped, row))} |" for row in rows]
    lines.insert(1, f"| {' | '.join(ruler)} |")
    more = len(table.rows) - MAX_ROWS
    return lines + (["", f"{counted(more, 'more row')} on the HTML page."] if more > 0 else [])


def _escaped(text: str) -> str:
    """The text in one line, without meaning in Markdown: no tag, link or emphasis."""
    return " ".join(text.split()).translate(_SPECIAL).replace("://", ":\\//").replace("www.", "www\\.")
