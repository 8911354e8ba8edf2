"""One notebook in a front end, run from top to bottom as a user does it.

Guarantees: what a page, its outputs and the server's folder look like is read from outside the
cells; commands of the front end that run with or after "run all" are recorded.
Assumes: the front end exposes its application as ``jupyterapp``, which makes attacks easier only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.browser.chromium import DEADLINE, Deeds, browser_page
from tests.browser.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["FRONT_ENDS", "FrontEnd", "Notebook", "opened"]

FrontEnd = Literal["lab", "classic"]
FRONT_ENDS: tuple[FrontEnd, ...] = ("lab", "classic")

_PANEL = "window.jupyterapp && window.jupyterapp.shell.currentWidget"
_READY = f"""() => {{
    const panel = {_PANEL};
    const kernel = panel?.sessionContext?.session?.kernel;
    return panel?.content?.model && kernel?.status === "idle" && panel.content.isVisible;
}}"""
# A cell's count is set when its reply is there; the kernel is idle when all it sent is there.
_OVER = f"""() => {{
    const panel = {_PANEL};
    // Those that Server.write made; an attack may have added others.
    const cells = [...panel.content.model.cells].filter((cell) => cell.id.startsWith("cell-"));
    return window.areAllRun && panel.sessionContext.session.kernel.status === "idle"
        && cells.every((cell) => cell.executionCount !== null);
}}"""
_RUN = """() => {
    const app = window.jupyterapp;
    window.commandsRun = [];
    window.areAllRun = false;
    app.commands.execute("notebook:run-all-cells").finally(() => { window.areAllRun = true; });
    // That one was told of before it returned; its cells run from here on.
    app.commands.commandExecuted.connect((_, told) => window.commandsRun.push(told.id));
}"""
# The server keeps what is chosen, for the pages that follow too.
_WEAR = """async (theme) => {
    await window.jupyterapp.commands.execute("apputils:change-theme", {theme});
    const isLight = String(theme.endsWith("Light"));
    while (document.body.dataset.jpThemeLight !== isLight) {
        await new Promise((done) => requestAnimationFrame(done));
    }
}"""
# Two frames: the first lays out what the last message brought, the second has painted it.
_SETTLED = """async () => {
    for (let at = 0; at < 2; at++) {
        await new Promise((done) => requestAnimationFrame(done));
    }
    await new Promise((done) => setTimeout(done, 500));
}"""
# All in one go: a click, or what an attack still does, may take others off the page.
_CLICK_ALL = """(selector) => {
    for (const place of document.querySelectorAll(selector)) {
        place.dispatchEvent(new MouseEvent("click", {
            bubbles: true, cancelable: true, composed: true,
        }));
    }
}"""


@dataclass(slots=True)
class Notebook:
    """An open notebook."""

    page: Page
    deeds: Deeds
    folder: Path

    def run_all(self) -> None:
        """Run every cell and wait until all that they show is on the page."""
        self.page.evaluate(_RUN)
        self.page.wait_for_function(_OVER, timeout=DEADLINE * 1000)
        self.page.evaluate(_SETTLED)

    def commands(self) -> list[str]:
        """Commands of the front end that ran since."""
        return list(self.page.evaluate("window.commandsRun"))

    def sources(self) -> list[str]:
        """The texts of the cells, as they are now."""
        return list(
            self.page.evaluate(
                f"[...({_PANEL}).content.model.cells].map((cell) => cell.sharedModel.source)"
            )
        )

    def files(self) -> set[str]:
        """Names in the server's folder."""
        return {path.name for path in self.folder.iterdir()}

    def outputs(self, at: int) -> list[dict[str, object]]:
        """What the model of a cell holds as its outputs."""
        return list(
            self.page.evaluate(
                f"({_PANEL}).content.model.cells.get({at}).sharedModel.toJSON().outputs"
            )
        )

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Let the page go on until something is so, or the deadline has passed."""
        limit = time.monotonic() + DEADLINE
        while not is_so() and time.monotonic() < limit:
            self.page.evaluate(_SETTLED)

    def click_all(self, selector: str) -> None:
        """Click whatever matches, as a reader would who is curious, or fooled."""
        self.page.evaluate(_CLICK_ALL, selector)
        self.page.evaluate(_SETTLED)


@contextmanager
def opened(
    browser: Browser, server: Server, front_end: FrontEnd, name: str, *, dark: bool = False
) -> Iterator[Notebook]:
    """Open a notebook of the server's folder, with its kernel started."""
    address = server.lab(name) if front_end == "lab" else server.classic(name)
    with browser_page(browser, server.home, dark=dark) as (page, deeds):
        page.goto(address)
        page.wait_for_function(_READY, timeout=DEADLINE * 1000)
        if dark:
            page.evaluate(_WEAR, "JupyterLab Dark")
        try:
            yield Notebook(page, deeds, server.folder)
        finally:
            if dark:
                page.evaluate(_WEAR, "JupyterLab Light")
