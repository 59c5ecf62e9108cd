"""A real Chromium, which shows pages as a reader sees them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="install chromium: apt-get install chromium")

_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

Scheme = Literal["light", "dark"]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless Chromium without a network of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_ARGUMENTS], env={**os.environ})
        yield browser
        browser.close()


@dataclass
class Shown:
    """A page that a browser shows, what its console said, and the addresses that it asked for."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(expression)


@contextmanager
def shown(
    browser: Browser, path: Path, *, width: int = 1280, scheme: Scheme = "light", obeys_policy: bool = True
) -> Iterator[Shown]:
    """A file as the browser shows it; tests that add scripts of their own do not obey the page's policy."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=not obeys_policy
    )
    page = context.new_page()
    found = Shown(page)
    page.on("console", lambda message: found.messages.append(message.text))
    page.on("pageerror", lambda error: found.messages.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(path.as_uri())
    yield found
    context.close()
