"""The report's page in a real browser: readable by everyone, complete on paper, and without any request."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from browser import Scheme, needs_chromium, running_browser, shown
from gold_files import Sale, many_sales, write_gold
from shopease_etl.lake.open import open_store
from shopease_etl.operations.business.compute import report
from shopease_etl.operations.business.markdown import markdown
from shopease_etl.operations.business.page import html
from shopease_etl.operations.business.quality import Trouble

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE: Final = (
    "<script>document.title='broken'</script>",
    '"><img src=x onerror=alert(1)>',
    "Tom & Jerry's \"best\" {{ 7*7 }} \\' ${x} `",
    "\u0634\u0627\u064a \u0628\u0627\u0644\u0646\u0639\u0646\u0627\u0639 \u202eoverride",
    "\N{SHOPPING TROLLEY}\N{SLICE OF PIZZA}" * 20,
    "W" * 200,
    "several words " * 15,
    "]]> --> </svg></style></title> | [a](http://example.org)",
)
NEW: Final = (
    *("monthly_channel_sales", "monthly_product_sales", "store_performance"),
    *("inventory_status", "cohort_retention"),
)
TROUBLE: Final = Trouble(
    "20260102T000000.000000Z-0000",
    "failed",
    "2026-01-02T03:04:05+00:00",
    f"table <b>stores</b> is missing {'x' * 300}",
    "20260101T000000.000000Z-0000",
    "2026-01-01T03:04:05+00:00",
)
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
PAGES: Final = ("full", "hostile", "one-day", "empty", "old", "large")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of all kinds of lakes."""
    folder = tmp_path_factory.mktemp("pages")
    full = many_sales(date(2023, 1, 1), 31 + 28 + 731 + 12)
    stores = [Sale(sale.day, sale.amount, 1, n, n % 900, n % 300, f"channel {n % 40}") for n, sale in enumerate(full)]
    ten_years = [replace(sale, day=sale.day - timedelta(days=350 * (n % 10))) for n, sale in enumerate(stores)]
    lakes = {
        "full": write_gold(folder / "a", full),
        "hostile": write_gold(folder / "b", full, names=lambda product: HOSTILE[product % len(HOSTILE)]),
        "one-day": write_gold(folder / "c", [Sale(date(2024, 2, 10), Decimal("12.50"), customer=None)], stock=1),
        "empty": write_gold(folder / "d", [], stock=0),
        "old": write_gold(folder / "e", full, without=NEW),
        "large": write_gold(folder / "f", ten_years, stock=5_000),
    }
    result = {}
    for name, lake in lakes.items():
        figures = report(open_store(str(lake)), with_customers=name == "full")
        figures = replace(figures, trouble=TROUBLE) if name == "hostile" else figures
        result[name] = folder / f"{name}.html"
        result[name].write_text(html(figures), encoding="utf-8")
    return result


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with running_browser() as started:
        yield started


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_screen_and_asks_for_nothing(
    browser: "Browser", pages: dict[str, Path], name: str, width: int
) -> None:
    with shown(browser, pages[name], width=width) as page:
        for is_open in (False, True):
            page.evaluate(f"document.querySelectorAll('details').forEach(each => each.open = {str(is_open).lower()})")
            wide, screen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert (wide, screen) == (width, width)
        assert page.messages == []
        assert page.requests == [pages[name].as_uri()]
        assert page.evaluate("document.title").startswith("Business report")
        assert page.evaluate("document.querySelectorAll('script, img, link, iframe, object, [onerror]').length") == 0
        visible = "[...document.querySelectorAll('.picture')].filter(each => each.checkVisibility())"
        charts, articles = page.evaluate(f"[{visible}.length, document.querySelectorAll('article details').length]")
        assert charts == articles


@needs_chromium
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *((name, 1280, "light") for name in PAGES),
        *((name, 1280, "dark") for name in PAGES if name != "large"),
        *(("full", 390, scheme) for scheme in SCHEMES),
    ],
)
def test_axe_finds_no_barrier(
    browser: "Browser", pages: dict[str, Path], name: str, width: int, scheme: Scheme
) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    with shown(browser, pages[name], width=width, scheme=scheme, obeys_policy=False) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        page.page.add_script_tag(content=axe)
        found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
        assert [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found] == []


@needs_chromium
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_text_of_charts_has_contrast(browser: "Browser", pages: dict[str, Path], scheme: Scheme) -> None:
    with shown(browser, pages["full"], scheme=scheme) as page:
        texts, cards = page.evaluate(
            "[[...new Set([...document.querySelectorAll('svg text')].map(each => getComputedStyle(each).fill))],"
            " getComputedStyle(document.querySelector('.block')).backgroundColor]"
        )
    assert texts
    assert [text for text in texts if _contrast(text, cards) < 4.5] == []


def _contrast(first: str, second: str) -> float:
    """The contrast of two CSS colours as WCAG 2 defines it."""
    levels = []
    for colour in (first, second):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_on_paper_no_chart_is_cut(browser: "Browser", pages: dict[str, Path], name: str) -> None:
    with shown(browser, pages[name], width=703, scheme="dark") as page:  # A4 without its margins
        page.page.emulate_media(media="print", color_scheme="light")
        blocks = page.evaluate(
            "[...document.querySelectorAll('.block')]"
            ".map(each => [each.offsetHeight, getComputedStyle(each).breakInside])"
        )
        assert [block for block in blocks if block[0] > 1016 or block[1] != "avoid"] == []
        printed = page.page.pdf(prefer_css_page_size=True, print_background=True)
        assert page.messages == []
    sizes = {tuple(map(float, found)) for found in re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", printed)}
    assert sizes
    assert all(abs(width - 595) < 1.5 and abs(height - 842) < 1.5 for width, height in sizes)


@needs_chromium
def test_headings_are_in_order_and_charts_have_words_and_numbers(browser: "Browser", pages: dict[str, Path]) -> None:
    with shown(browser, pages["full"]) as page:
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(each => +each.tagName[1])")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        charts = page.evaluate(
            "[...document.querySelectorAll('.picture')].map(each => [each.getAttribute('role'), "
            "each.getAttribute('aria-label'), each.parentElement.querySelector('details table tbody tr') !== null])"
        )
        assert len(charts) >= 10
        assert [chart for chart in charts if chart[0] != "img" or len(chart[1]) < 30 or not chart[2]] == []
        tables = "[...document.querySelectorAll('table')]"
        assert page.evaluate(f"{tables}.every(each => each.caption && each.querySelector('th[scope=col]'))") is True


@needs_chromium
def test_hostile_names_are_shown_as_they_are(browser: "Browser", pages: dict[str, Path]) -> None:
    with shown(browser, pages["hostile"]) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        text = page.evaluate("document.body.textContent")
        assert [name for name in HOSTILE if name not in text and name.strip() not in text] == []
        assert TROUBLE.error is not None
        assert TROUBLE.error in text
        assert page.evaluate("document.title").startswith("Business report")


def test_the_page_has_a_strict_policy_and_is_small(pages: dict[str, Path]) -> None:
    for name, path in pages.items():
        text = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert "<script" not in text.lower().replace("&lt;script", "")
        assert "http://www.w3.org" in text or name in {"empty"}
        addresses = {*re.findall(r"(?:href|src)\s*=\s*[\"']?([^\"'> ]+)", text)}
        assert [address for address in addresses if not address.startswith("#") and name != "hostile"] == []
        assert len(text) < 1_000_000


def test_markdown_has_the_figures_and_no_markup_of_the_data(tmp_path: Path) -> None:
    lake = write_gold(
        tmp_path / "lake", many_sales(date(2023, 1, 1), 800), names=lambda product: HOSTILE[product % len(HOSTILE)]
    )
    figures = replace(report(open_store(str(lake))), trouble=TROUBLE)
    text = re.sub(r"`shopease [a-z-]+`", "", markdown(figures))
    assert figures.key_figures is not None
    assert f"| Revenue | {figures.key_figures.figures[0].value:,} |" in text
    assert "The last run failed on 2 January 2026, 03:04 UTC" in text
    assert re.findall(r"(?<!\\)[<>\[\]`*]|https?://", text.replace("> **", "").replace("**\n> ", "")) == []
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) > 5
    assert [table for table in tables if len({len(re.split(r"(?<!\\)\|", line)) for line in table}) != 1] == []


def test_all_forms_show_the_same_figures(tmp_path: Path) -> None:
    lake = write_gold(tmp_path / "lake", many_sales(date(2023, 1, 1), 800))
    figures = report(open_store(str(lake)))
    assert figures.key_figures is not None
    page, text = html(figures), markdown(figures)
    for item in figures.key_figures.figures:
        assert f"{item.value:,}" in text
        assert f"{item.value:,}" in re.sub(r"<[^>]+>", "", page)
    for month in figures.months[-12:]:
        assert f"{month.revenue:,}" in page
        assert f"{month.revenue:,}" in text
