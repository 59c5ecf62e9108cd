"""The sections about products, places and stock."""

from collections.abc import Sequence
from typing import Final

from shopease_etl.operations.business import texts
from shopease_etl.operations.business.blocks import Chart, Drawing, Figure, Section, Table
from shopease_etl.operations.business.content_sales import part_name
from shopease_etl.operations.business.figures import Breakdown, ProductSales, Report, Stock

_STATUSES: Final = {
    "out_of_stock": "out of stock",
    "reorder": "to reorder",
    "low_cover": "lasts under 7 days",
    "no_sales": "no sale in 28 days",
    "ok": "ok",
    "unknown": "quantity unknown",
}


def breakdown(shown: Breakdown, title: str, noun: str, plural: str) -> Chart:
    """The revenue of the last year by something, with the year before."""
    names = [part_name(share, noun, plural) for share in shown.shares]
    largest = next((share for share in shown.shares if share.kind in {"named", "unnamed"}), None)
    points = [
        {
            "name": name,
            "x": float(share.revenue),
            "before": None if share.before is None else float(share.before),
            "value": texts.percentage(share.share_percent),
        }
        for name, share in zip(names, shown.shares, strict=True)
    ]
    rows = tuple(
        (
            name,
            texts.number(share.revenue),
            texts.percentage(share.share_percent),
            texts.number(share.transactions),
            texts.number(share.before),
            texts.change(share.change_percent, share.before),
        )
        for name, share in zip(names, shown.shares, strict=True)
    )
    finding = f": {names[0]} leads with {texts.percentage(largest.share_percent)}" if largest and len(names) > 1 else ""
    words = f"Revenue and its share of all revenue, {texts.period(shown.period)}."
    legend = f"The line at each bar is {texts.period(shown.before)}." if shown.before else ""
    columns = (noun, "revenue", "share", "transactions", "a year earlier", "change")
    return Chart(f"{title}{finding}", words, Drawing("bars", points), Table(title, columns, rows), legend=legend)


def products(report: Report) -> list[Chart | Figure]:
    """Best sellers and the products that lost most."""
    if (found := report.products) is None:
        return []
    when = texts.period(found.period)
    against = f"compared with {texts.period(found.before)}" if found.before else "with nothing earlier to compare"
    blocks: list[Chart | Figure] = []
    if found.best:
        points = [
            {
                "name": _product(item),
                "x": float(item.revenue),
                "before": None if item.before is None else float(item.before),
                "value": texts.change(item.change_percent, item.before) if found.before else "",
            }
            for item in found.best
        ]
        blocks.append(
            Chart(
                f"Best products: {_product(found.best[0])}",
                f"By revenue in {when}, {against}. Products sold: {found.products:,}.",
                Drawing("bars", points),
                _product_table("Best products", found.best),
            )
        )
    if found.falling:
        words = f"The products whose revenue fell most, in money: {when}, {against}."
        title = "Fastest falling products"
        blocks.append(Figure(title, words, _product_table(title, found.falling), is_wide=True))
    return blocks


def _product(item: ProductSales) -> str:
    return item.name or f"product {item.product_id}"


def _product_table(caption: str, items: Sequence[ProductSales]) -> Table:
    rows = tuple(
        (
            _product(item),
            item.category or "(unknown)",
            texts.number(item.revenue),
            texts.number(item.before),
            texts.number(item.change),
            texts.change(item.change_percent, item.before),
        )
        for item in items
    )
    return Table(caption, ("product", "category", "revenue", "before", "difference", "change"), rows, texts=2)


def assortment(report: Report) -> Section:
    """Categories, products and channels of the last year."""
    blocks: list[Chart | Figure] = []
    if report.categories:
        blocks.append(breakdown(report.categories, "Revenue by category", "category", "categories"))
    blocks += products(report)
    return Section("products", "Products", "", blocks=blocks, sources=("monthly_product_sales",))


def places(report: Report) -> Section:
    """Stores and channels of the last year."""
    blocks: list[Chart | Figure] = []
    if report.stores:
        blocks.append(breakdown(report.stores, "Revenue by store", "store", "stores"))
    if report.channels:
        blocks.append(breakdown(report.channels, "Revenue by channel", "channel", "channels"))
    return Section(
        "stores", "Stores and channels", "", blocks=blocks, sources=("store_performance", "monthly_channel_sales")
    )


def stock(report: Report) -> Section:
    """Items by status, and those that need action most urgently."""
    blocks: list[Chart | Figure] = []
    if report.stock and report.stock.items:
        blocks.append(_statuses(report.stock))
        blocks.append(_stores(report.stock))
        if report.stock.worst:
            blocks.append(_worst(report.stock))
    intro = "An item is a product in a store. Cover is how long its stock lasts at the pace of the last 28 days."
    return Section("stock", "Stock", intro, blocks=blocks, sources=("inventory_status",))


def _statuses(stock: Stock) -> Chart:
    urgent = ("out_of_stock", "reorder", "low_cover")
    found = [(_STATUSES.get(status, status), count, status in urgent) for status, count in stock.statuses.items()]
    points = [{"name": name, "x": count, "value": texts.number(count), "marked": bad} for name, count, bad in found]
    rows = tuple((name, texts.number(count)) for name, count, _ in found)
    return Chart(
        f"Stock: {stock.need_action:,} of {stock.items:,} items need action",
        "Number of items by status. To reorder: the quantity is at or below the reorder level.",
        Drawing("bars", points),
        Table("Items by status", ("status", "items"), rows),
    )


def _stores(stock: Stock) -> Figure:
    rows = tuple(
        (
            f"{store.members:,} other stores"
            if store.kind == "others"
            else texts.named(store.name, "store", store.store_id),
            *map(texts.number, (store.out_of_stock, store.reorder, store.low_cover, store.items)),
        )
        for store in stock.stores
    )
    columns = ("store", "out of stock", "to reorder", "low cover", "all items")
    words = "How many of a store's items need action; first the stores with most of them."
    return Figure("Stock by store", words, Table("Stock by store", columns, rows))


def _worst(stock: Stock) -> Figure:
    rows = tuple(
        (
            texts.named(item.product_name, "product", item.product_id),
            texts.named(item.store_name, "store", item.store_id),
            _STATUSES.get(item.stock_status, item.stock_status),
            texts.number(item.quantity),
            texts.number(item.reorder_level),
            texts.number(item.units_sold_28d),
            texts.number(item.days_of_cover),
        )
        for item in stock.worst
    )
    words = "At most 15: what is out of stock first, and of that what sells most."
    columns = ("product", "store", "status", "in stock", "reorder level", "sold in 28 days", "days of cover")
    return Figure("Most urgent items", words, Table("Most urgent items", columns, rows, texts=3), is_wide=True)
