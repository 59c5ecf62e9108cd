"""The charts, drawn with Altair; colours are variables of the page's style sheet, so that they suit light and dark.

Charts are pictures: their numbers are floats, the exact ones are in the tables.
"""

import itertools
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import vl_convert

from shopease_etl.operations.business.blocks import Drawing

_SHORT: Final = "~s"
_HEIGHT: Final = 240
_BAR: Final = 26
_LABEL: Final = 34
_MAX_COLUMN: Final = 44
_LABEL_UNITS: Final = 28.0
_LEGEND_UNITS: Final = 16.0
_SERIES: Final = ("var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)", "var(--s6)", "var(--s7)")
_CONFIG: Final[dict[str, Any]] = {
    "aria": False,
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "padding": {"left": 14, "right": 8, "top": 5, "bottom": 5},
    "view": {"strokeWidth": 0},
    "axis": {
        "labelColor": "var(--muted)",
        "labelFontSize": 12.5,
        "gridColor": "var(--line)",
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "title": None,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": "var(--text)",
        "labelFontSize": 12,
        "symbolType": "square",
        "labelLimit": 0,
        "columns": 3,
        "offset": 8,
    },
    "text": {"color": "var(--text)", "fontSize": 12.5},
}
_COLOUR: Final = alt.condition("datum.marked", alt.value("var(--s3)"), alt.value("var(--s1)"))


def svg(drawing: Drawing, size: int) -> str:
    """The SVG of a drawing that is `size` pixels wide, without a width or height of its own."""
    over_time = {"columns": _columns, "stacked": _stacked}
    chart = _bars(drawing) if drawing.kind == "bars" else over_time[drawing.kind](drawing, size)
    spec = chart.to_dict(validate=False)
    fit = {"config": _CONFIG, "autosize": {"type": "fit-x", "contains": "padding"}, "width": size}
    drawn = vl_convert.vegalite_to_svg({**spec, **fit})
    return re.sub(r'^<svg[^>]*? width="([0-9.]+)" height="([0-9.]+)"[^>]*>', _root, drawn, count=1)


def _root(found: re.Match[str]) -> str:
    width, height = found.groups()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false">'
    )


def _data(points: Sequence[Mapping[str, Any]]) -> alt.Data:
    return alt.Data(values=[*points])  # type: ignore[no-untyped-call]


def _lookup(labels: Mapping[str, Any]) -> str:
    """An expression for an axis that finds the label of a value; JSON makes any text a safe part of it."""
    return f"({json.dumps(labels)})[datum.value] || ''"


def _shortened(text: str, units: float) -> str:
    """A text that takes at most so many times the width of an average letter.

    Vega would cut a text between the two halves of a character beyond U+FFFF, and then fail.
    """
    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1.4 if c.isupper() else 1 for c in text]
    if sum(widths) <= units:
        return text
    length = sum(total <= units - 1 for total in itertools.accumulate(widths))
    return text[:length].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _time(labels: Sequence[Any], width: int) -> tuple[alt.X, float]:
    """The axis below columns with these labels, of which only as many are shown as fit; and the width of a column.

    The columns' field is `place`.
    """
    step = -(-_LABEL * len(labels) // width)
    shown = {str(place): label for place, label in enumerate(labels) if not place % step}
    axis = alt.Axis(labelAngle=0, labelExpr=_lookup(shown), labelOverlap=False, grid=False)
    scale = alt.Scale(domain=[str(place) for place in range(len(labels))])
    return alt.X("place:O", sort=None, axis=axis, scale=scale), min(0.7 * width / len(labels), _MAX_COLUMN)


def _columns(drawing: Drawing, width: int) -> Any:
    """Columns over time: `x` is the label below and `y` the value.

    `before` is shown as a line; `pale` columns are incomplete; `marked` ones are bad.
    """
    points = drawing.points
    x, size = _time([point["x"] for point in points], width)
    base = alt.Chart(_data([{**point, "place": str(place)} for place, point in enumerate(points)]))
    chart: Any = base.mark_bar(cornerRadiusEnd=2, size=size).encode(
        x=x,
        y=alt.Y("y:Q", axis=alt.Axis(format=_SHORT, tickCount=5)),
        opacity=alt.condition("datum.pale", alt.value(0.45), alt.value(1)),
        color=_COLOUR,
    )
    if any(point.get("before") is not None for point in points):
        chart += base.mark_tick(color="var(--mark)", thickness=2.5, size=size).encode(x=x, y=alt.Y("before:Q"))
    return chart.properties(height=_HEIGHT)


def _stacked(drawing: Drawing, width: int) -> Any:
    """Columns over time, in which the values `y` of several series stand on each other; `key` names a column."""
    keys = list(dict.fromkeys(point["key"] for point in drawing.points))
    labels = {point["key"]: point["x"] for point in drawing.points}
    x, size = _time([labels[key] for key in keys], width)
    places = {key: str(place) for place, key in enumerate(keys)}
    order = {name: place for place, name in enumerate(drawing.series)}
    points = [{**point, "place": places[point["key"]], "order": order[point["series"]]} for point in drawing.points]
    legend = alt.Legend(labelExpr=_lookup({name: _shortened(name, _LEGEND_UNITS) for name in drawing.series}))
    colours = alt.Scale(domain=[*drawing.series], range=[*_SERIES[: len(drawing.series)]])
    axis = alt.Axis(format="%" if drawing.is_share else _SHORT, tickCount=5)
    return (
        alt.Chart(_data(points))
        .mark_bar(size=size)
        .encode(
            x=x,
            y=alt.Y("y:Q", stack="normalize" if drawing.is_share else "zero", axis=axis),
            color=alt.Color("series:N", scale=colours, sort=None, legend=legend),
            order=alt.Order("order:Q"),
        )
        .properties(height=_HEIGHT)
    )


def _bars(drawing: Drawing) -> Any:
    """Horizontal bars: `name`, the value `x`, its text `value`; `before` is marked by a line."""
    points = drawing.points
    data = _data([{**point, "place": str(place)} for place, point in enumerate(points)])
    names = {str(place): _shortened(str(point["name"]), _LABEL_UNITS) for place, point in enumerate(points)}
    axis = alt.Axis(labelExpr=_lookup(names), labelLimit=0, grid=False, labelColor="var(--text)")
    y = alt.Y("place:O", sort=None, axis=axis, scale=alt.Scale(paddingInner=0.3))
    top = max([*(point["x"] for point in points), *(point.get("before") or 0 for point in points)]) or 1.0
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, top * 1.22], nice=False))
    base = alt.Chart(data)
    chart = base.mark_bar(cornerRadiusEnd=2).encode(x=x, y=y, color=_COLOUR)
    if any(point.get("before") is not None for point in points):
        chart += base.mark_tick(color="var(--mark)", thickness=2.5).encode(x=alt.X("before:Q"), y=y)
    end = alt.X("end:Q")
    text = base.transform_calculate(end="max(datum.x, datum.before || 0)").mark_text(align="left", dx=6)
    chart += text.encode(x=end, y=y, text="value:N")
    return chart.properties(height=_BAR * max(len(points), 1))
