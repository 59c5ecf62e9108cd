"""The report as sections, from its figures; rendered by `page` and `markdown`."""

from shopease_etl.operations.business.blocks import Section
from shopease_etl.operations.business.content_customers import customers
from shopease_etl.operations.business.content_goods import assortment, places, stock
from shopease_etl.operations.business.content_quality import quality
from shopease_etl.operations.business.content_sales import key_figures, over_time
from shopease_etl.operations.business.figures import Report


def sections(report: Report) -> list[Section]:
    """All sections in their order; without sales only those that need none."""
    if report.sales is None:
        return [key_figures(report), stock(report), quality(report)]
    parts = (key_figures, over_time, assortment, places, stock, customers, quality)
    return [part(report) for part in parts]
