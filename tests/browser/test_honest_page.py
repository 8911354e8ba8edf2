"""A page of honest output looks as it does without the sandbox: words, colours, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import DEADLINE
from tests.browser.honest import CELLS, PRELUDE
from tests.browser.notebooks import FRONT_ENDS, FrontEnd, opened
from tests.browser.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

Seen = dict[str, dict[str, Any]]

# What is drawn of each cell: its words, and what a reader sees of each part that has some.
_LOOK = """() => [...document.querySelectorAll(".jp-CodeCell")].map((cell) => {
    const area = cell.querySelector(".jp-OutputArea");
    const parts = [...area.querySelectorAll("td, th, caption, b, strong, p, h2, code, kbd, span")];
    return {
        words: area.innerText.replace(/\\s+/g, " ").trim(),
        drawn: [...area.querySelectorAll("img, mjx-container, table, ol, details[open]")].map(
            (part) => `${part.localName} ${part.getBoundingClientRect().height > 5}`),
        looks: parts.filter((part) => part.innerText.trim()).map((part) => {
            const style = getComputedStyle(part);
            return [part.localName, part.innerText.trim(), style.color, style.backgroundColor,
                    style.backgroundImage, style.fontWeight, style.textAlign, style.verticalAlign];
        }),
    };
})"""
# Where words differ on purpose: a link tells its address, a widget why it is not there.
_OWN_WORDS = {"markdown", "widget", "error", "progress"}
_OWN_LOOKS = {"markdown", "latex", "json", "error", "widget", "dollars"}


def _seen(browser: Browser, server: Server, front_end: FrontEnd, magic: str, *, dark: bool) -> Seen:
    theme = "dark" if dark else "light"
    # A notebook of its own has a kernel of its own.
    name = f"honest-{front_end}-{theme}-{'inside' if magic else 'outside'}.ipynb"
    server.write(name, [PRELUDE, *(magic + code for code in CELLS.values())])
    with opened(browser, server, front_end, name, dark=dark) as notebook:
        # All of it is laid out, as front ends draw only the cells that are in sight.
        notebook.page.set_viewport_size({"width": 1000, "height": 4000})
        notebook.run_all()
        notebook.page.wait_for_function(
            "document.querySelectorAll('mjx-container').length >= 2", timeout=DEADLINE * 1000
        )
        looks = notebook.page.evaluate(_LOOK)
        assert notebook.deeds.all() == []
        if magic:
            _keep_picture(notebook.page.screenshot, f"{front_end}-{theme}")
    return dict(zip(CELLS, looks[1:], strict=True))


def _keep_picture(take: Callable[..., bytes], name: str) -> None:
    """Keep a screenshot for people who want to look: build/browser/."""
    folder = Path(__file__).resolve().parents[2] / "build/browser"
    folder.mkdir(parents=True, exist_ok=True)
    take(path=str(folder / f"{name}.png"))


@pytest.fixture(scope="module", params=[(name, False) for name in FRONT_ENDS] + [("lab", True)])
def pages(request: pytest.FixtureRequest, browser: Browser, server: Server) -> tuple[Seen, Seen]:
    """What the page looks like with the sandbox, and without."""
    pytest.importorskip("polars")
    front_end, dark = request.param
    inside = _seen(browser, server, front_end, "%%sandbox\n", dark=dark)
    return inside, _seen(browser, server, front_end, "", dark=dark)


def test_words_are_the_same(pages: tuple[Seen, Seen]) -> None:
    """Every table, text, formula and traceback says what it says without the sandbox."""
    inside, outside = pages
    for name in CELLS.keys() - _OWN_WORDS:
        assert inside[name]["words"] == outside[name]["words"], name


def test_pictures_tables_and_formulas_are_drawn(pages: tuple[Seen, Seen]) -> None:
    """What has a size without the sandbox has one with it."""
    inside, outside = pages
    for name in CELLS.keys() - {"svg", "widget"}:
        assert inside[name]["drawn"] == outside[name]["drawn"], name
    assert inside["svg"]["drawn"] == ["img true"]


def test_colours_and_places_are_the_same(pages: tuple[Seen, Seen]) -> None:
    """Cells of tables have the colours, gradients, weights and alignments that they were given."""
    inside, outside = pages
    for name in CELLS.keys() - _OWN_LOOKS:
        assert inside[name]["looks"] == outside[name]["looks"], name
    backgrounds = {look[3] for look in inside["styler"]["looks"]}
    assert len(backgrounds) > 2


def test_a_link_tells_its_address_and_a_widget_why_it_is_not_there(
    pages: tuple[Seen, Seen],
) -> None:
    """Where the sandbox shows less, words stand in the place."""
    inside, _ = pages
    assert "quoted link (https://example.org)" in inside["markdown"]["words"]
    assert inside["widget"]["words"].startswith("IntSlider(value=3) [not shown: ")
    assert "ZeroDivisionError: division by zero" in inside["error"]["words"]
