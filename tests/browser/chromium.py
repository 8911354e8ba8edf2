"""Debian's Chromium, driven by Playwright, and everything that a page does in it.

Guarantees: no request leaves the machine, as every name but the loopback's is unknown to the
browser; a page's requests, dialogs and new windows are recorded whatever starts them.
Assumes: Chromium is installed (``apt-get install chromium``); KAVACH_TEST_CHROMIUM names another.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Request

__all__ = ["DEADLINE", "Deeds", "browser_page", "chromium"]

DEADLINE = 120.0
"""Seconds for whatever a test waits for; a page of JupyterLab takes five on an idle machine."""

_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
    "--no-pings",
)


@dataclass(slots=True)
class Deeds:
    """What a page did.

    Attributes:
        home: scheme, host and port that the page came from.
        fired: names that scripts called ``fired()`` with.
        requests: addresses that are neither the page's own home nor data.
        dialogs: texts of alerts, confirms and prompts.
        windows: addresses of pages that it opened.
    """

    home: str
    fired: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Everything, as lines for a message."""
        return [
            *(f"script {name}" for name in self.fired),
            *(f"request {address}" for address in self.requests),
            *(f"dialog {text}" for text in self.dialogs),
            *(f"window {address}" for address in self.windows),
        ]

    def note_request(self, request: Request) -> None:
        """Keep the address of a request that leaves the page's home."""
        address = urlsplit(request.url)
        if address.scheme in {"data", "blob", "about"}:
            return
        if f"{address.scheme}://{address.netloc}".replace("ws", "http", 1) != self.home:
            self.requests.append(request.url)

    def note_failure(self, request: Request) -> None:
        """Take back a request that a content policy stopped: it never left the browser."""
        if request.failure == "csp" and request.url in self.requests:
            self.requests.remove(request.url)

    def end_dialog(self, dialog: Dialog) -> None:
        """Keep the text of a dialog, and close it."""
        self.dialogs.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; it is ended with the block."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("KAVACH_TEST_CHROMIUM") or shutil.which("chromium")
    assert path, "there is no chromium here: apt-get install chromium"
    # Chromium's own sandbox refuses to run as root.
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(_FLAGS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def browser_page(
    browser: Browser, home: str, *, dark: bool = False
) -> Iterator[tuple[Page, Deeds]]:
    """Open a page whose scripts can call ``fired(name)``, and record what it does.

    Args:
        browser: the running one.
        home: scheme, host and port that the page may ask for.
        dark: the system prefers dark colours.
    """
    context: BrowserContext = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": 1000, "height": 1400}
    )
    context.set_default_timeout(DEADLINE * 1000)
    deeds = Deeds(home)
    try:
        # Lambdas: Playwright puts an attribute on what a bound method is bound to, which has slots.
        context.on("request", lambda request: deeds.note_request(request))  # noqa: PLW0108
        context.on("requestfailed", lambda request: deeds.note_failure(request))  # noqa: PLW0108
        context.expose_function("fired", lambda name: deeds.fired.append(str(name)))
        page = context.new_page()
        page.on("dialog", lambda dialog: deeds.end_dialog(dialog))  # noqa: PLW0108
        context.on("page", lambda other: deeds.windows.append(other.url))
        yield page, deeds
    finally:
        context.close()
