"""The report as one HTML page without scripts, pictures from elsewhere or any request."""

from typing import TYPE_CHECKING, Any, Final

from shopease_etl.operations.business import charts, content_quality
from shopease_etl.operations.business.blocks import Chart
from shopease_etl.operations.business.content import sections
from shopease_etl.operations.business.figures import Report

if TYPE_CHECKING:
    from jinja2 import Environment

WIDE: Final = 1080
HALF: Final = 420
NARROW: Final = 340


def html(report: Report) -> str:
    """The page."""
    return (
        environment()
        .get_template("report.html")
        .render(
            report=report,
            head=content_quality.head(report),
            trouble=content_quality.trouble(report),
            sections=[(section, content_quality.missing(report, section)) for section in sections(report)],
            pictures=pictures,
        )
    )


def pictures(chart: Chart) -> list[tuple[str, str]]:
    """The chart's SVGs, each with the class of the screens that it is for."""
    widths = [("wide", WIDE), ("narrow", NARROW)] if chart.is_wide else [("any", HALF)]
    return [(name, charts.svg(chart.drawing, width)) for name, width in widths]


def environment() -> "Environment":
    """Jinja with the report's templates; in HTML every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    loader = PackageLoader("shopease_etl.operations.business")
    options: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    return Environment(loader=loader, autoescape=select_autoescape(["html"]), **options)
