"""The results as Markdown, ready for the documentation."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.entrants import COPY, FLOOR, GROUPS, LIMIT, LOCAL

_COLUMNS: Final = (
    *("", "seconds", "÷ COPY", "CPU s", "the server's CPU s", "peak memory", "objects", "MB"),
    "leaves out, or does otherwise",
)
_STAGES: Final = ("extract", "clean", "aggregate", "crawl")
Series = Mapping[str, Any]


def markdown(told: Mapping[str, Any]) -> str:
    """All that was measured: the groups' tables, the tool by stage, who could not be measured, and the conditions."""
    series = told["series"]
    measured = {one["name"]: one for one in series if one["seconds"] and not one["failure"]}
    parts = [
        f"# Scale {told['scale']:g}: {told['rows']:,} rows, {told['bronze_bytes'] / 1e6:.0f} MB of CSV\n",
        _conditions(told),
        *(_group(name, title, measured) for name, title in GROUPS.items()),
        _stages(measured),
        _absent(series),
        _versions(told),
    ]
    return "\n".join(part for part in parts if part)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first and those with words are figures."""
    rule = "|".join(["---", *("---" if " or " in name else "---:" for name in columns[1:])])
    lines = (f"| {' | '.join(cells)} |" for cells in (columns, *rows))
    return "\n".join((next(lines), f"|{rule}|", *lines)) + "\n"


def machine_line(machine: Mapping[str, str]) -> str:
    """The machine on one line."""
    return "{processor}, {cores} cores, {memory}, {system}".format(**machine)


def _conditions(told: Mapping[str, Any]) -> str:
    return (
        f"{told['date']}; {machine_line(told['machine'])}. Medians of {told['rounds']} rounds, in each of which every "
        "entrant runs once, as a process of its own from its start to its end, on the same database and the same "
        "loopback S3 server, which drops what it gets. CPU and memory are those of the command with all its children; "
        "memory is the most of all rounds, with pages that processes share counted once. The database's CPU has "
        "a column of its own; that of the S3 server is not measured.\n"
    )


def _group(group: str, title: str, measured: Mapping[str, Series]) -> str:
    found = sorted((one for one in measured.values() if one["group"] == group), key=_median)
    return f"## {title}\n\n{table(_COLUMNS, [_cells(one, measured) for one in found])}" if found else ""


def _cells(one: Series, measured: Mapping[str, Series]) -> tuple[str, ...]:
    return (
        one["title"] + _fewer_rounds(one, measured),
        f"{_median(one):.2f}",
        f"{_median(one) / _median(measured[COPY]):.1f}" if COPY in measured else "",
        f"{_median(one, 'cpu'):.2f}",
        f"{_median(one, 'server_cpu'):.2f}",
        f"{max(one['peak']) / 1e6:.0f} MB",
        str(one["objects"] or ""),
        f"{one['bytes'] / 1e6:.0f}" if one["objects"] else "",
        one["leaves_out"],
    )


def _fewer_rounds(one: Series, measured: Mapping[str, Series]) -> str:
    rounds = len(one["seconds"])
    most = max(len(other["seconds"]) for other in measured.values())
    return f" ({rounds} rounds)" if rounds < most else ""


def _stages(measured: Mapping[str, Series]) -> str:
    """The tool's own account of its stages, and what they are of the limit of such work."""
    ours = [one for one in measured.values() if not one["is_peer"] and one["group"] != LIMIT]
    if not ours or FLOOR not in measured:
        return ""
    columns = ("", *_STAGES, "clean and aggregate ÷ CSV in = CSV out")
    rows = [(f"{_plain(one['title'])} ({_where(one)})", *_by_stage(one), _share(one, measured)) for one in ours]
    work = f"The work of CSV in = CSV out, without the interpreter's start, took {_floor(measured):.2f} s.\n"
    return f"## The tool by stage, in seconds\n\n{table(columns, rows)}\n{work}"


def _where(one: Series) -> str:
    return "local" if one["group"] == LOCAL else "S3"


def _by_stage(one: Series) -> Iterator[str]:
    for name in _STAGES:
        yield f"{statistics.median(one['stages'][name]):.2f}" if name in one["stages"] else ""


def _floor(measured: Mapping[str, Series]) -> float:
    return float(statistics.median(measured[FLOOR]["stages"]["work"]))


def _share(one: Series, measured: Mapping[str, Series]) -> str:
    """Cleaning and aggregation to the least that the same reading and writing takes, both without any start."""
    if "clean" not in one["stages"]:
        return ""
    both = zip(one["stages"]["clean"], one["stages"]["aggregate"], strict=True)
    return f"{statistics.median(map(sum, both)) / _floor(measured):.1f}"


def _absent(series: Sequence[Series]) -> str:
    lines = [f"- {_plain(one['title'])} ({one['versions']}): {one['failure']}\n" for one in series if one["failure"]]
    return f"## Not measured\n\n{''.join(lines)}" if lines else ""


def _versions(told: Mapping[str, Any]) -> str:
    ours = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    peers = (f"- {_plain(one['title'])}: {one['versions']}\n" for one in told["series"] if one["is_peer"])
    return f"## Versions\n\n- the tool: {ours}\n{''.join(peers)}"


def _median(one: Series, what: str = "seconds") -> float:
    return float(statistics.median(one[what]))


def _plain(title: str) -> str:
    return str(title).replace("*", "")
