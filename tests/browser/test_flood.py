"""A flood of output ends in a line, and the page stays usable meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.notebooks import opened
from tests.browser.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_FLOODS = {
    "displays": "for at in range(9000): display(at)",
    "html": "for at in range(900): display(HTML('<table>' + '<tr><td>x' * 20 + '</table>'))",
    "updates": "handle = display(0, display_id=True)\nfor at in range(9000): handle.update(at)",
    "clears": "for at in range(4000):\n    clear_output(wait=True)\n    display(at)",
    "lines": "for at in range(100_000): print(at)",
    "megabytes": "print('x' * 10_000_000)",
    "bytes": "import os\nfor at in range(3000): os.write(1, b'y' * 1000 + b'\\n')",
    "mathematics": "display(HTML('<p>$x^2$</p>' * 20_000))",
}
# How long the page was busy at a stretch: the longest time between two frames, in milliseconds.
_WATCH = """() => {
    let last = performance.now();
    window.longest = 0;
    const look = (now) => {
        window.longest = Math.max(window.longest, now - last);
        last = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
_LONGEST = 5000.0
"""Milliseconds. On an idle machine the worst of these takes a second; CI has two busy cores."""


def test_floods_leave_the_page_usable(browser: Browser, server: Server) -> None:
    """After any flood the next cell runs, and the page was never away for long."""
    name = "flood.ipynb"
    prelude = "%load_ext kavach_ipy\nfrom IPython.display import HTML, clear_output, display"
    cells = [prelude, *(f"%%sandbox\n{code}" for code in _FLOODS.values()), "6 * 7"]
    server.write(name, cells)
    with opened(browser, server, "lab", name) as notebook:
        notebook.page.evaluate(_WATCH)
        notebook.run_all()
        longest = float(notebook.page.evaluate("window.longest"))
        outputs = dict(zip(_FLOODS, map(notebook.outputs, range(1, len(cells) - 1)), strict=True))
        (answer,) = notebook.outputs(len(cells) - 1)
    assert answer["data"] == {"text/plain": "42"}
    assert len(outputs["displays"]) == 1001
    assert "8000 more displays are not shown" in str(outputs["displays"][-1]["text"])
    assert outputs["updates"][0]["data"] == {"text/plain": "8999"}
    assert [output["data"] for output in outputs["clears"]] == [{"text/plain": "3999"}]
    assert "99999" in str(outputs["lines"][-1]["text"])
    assert longest < _LONGEST, f"{longest:.0f} ms"
