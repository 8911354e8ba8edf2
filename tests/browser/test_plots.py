"""Interactive plots: drawn, zoomed and hovered over, in a frame that can reach nothing."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import DEADLINE
from tests.browser.notebooks import FRONT_ENDS, FrontEnd, opened
from tests.browser.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_PRELUDE = (
    "%load_ext kavach_ipy\nimport plotly.graph_objects as go\n"
    "import plotly.io; plotly.io.renderers.default = 'plotly_mimetype'"
)
_HOSTILE = {
    "layout": {
        "height": 300,
        "title": {"text": "<img src=x onerror=fired(1)><a href='javascript:fired(2)'>x</a>"},
        "images": [{"source": "BEACON/image", "x": 0, "y": 1, "sizex": 1, "sizey": 1}],
        "annotations": [{"text": "<a href='BEACON/link'>click</a></script><script>fired(3)//"}],
    },
    "data": [
        {"type": "scatter", "y": [1, 3, 2], "name": "</script><script>parent.parent.fired(4)//"},
        {"type": "choropleth", "locations": ["NOR"], "z": [1]},
    ],
}
_CELLS = [
    _PRELUDE,
    "%%sandbox\nfig = go.Figure(go.Scatter(y=[1, 3, 2]))\nfig.update_layout(height=300)",
    "%%sandbox\ngo.Figure(go.Bar(y=[2, 1])).update_layout(height=300)",
    "%%sandbox\ndisplay({'application/vnd.plotly.v1+json': "
    + repr(_HOSTILE)
    + ", 'text/plain': 'p'}, raw=True)",
]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_plots_are_drawn_and_reach_nothing(
    browser: Browser, server: Server, front_end: FrontEnd
) -> None:
    """Two honest plots and a hostile one: all are drawn, one library, no request, no script."""
    name = f"plots-{front_end}.ipynb"
    # Whoever is asked for an image or follows the link connects here.
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    cells = [cell.replace("BEACON", address) for cell in _CELLS]
    server.write(name, cells)
    with opened(browser, server, front_end, name) as notebook:
        page = notebook.page
        page.set_viewport_size({"width": 1000, "height": 3000})
        notebook.run_all()
        outers = page.locator(".jp-OutputArea-output iframe")
        plots = [outers.nth(at).content_frame.frame_locator("iframe") for at in range(3)]
        for plot in plots:
            plot.locator(".main-svg").first.wait_for(timeout=DEADLINE * 1000)
        # In Notebook 7 only what is drawn is looked at: it is the same frame.
        if front_end == "lab":
            # Hover shows the value, a drag zooms: the axis has other marks afterwards.
            area = plots[0].locator(".nsewdrag").first
            box = area.bounding_box()
            assert box is not None
            middle = box["width"] / 2
            told = plots[0].locator(".hovertext")

            def is_told() -> bool:
                # From place to place, as a mouse that stands still says nothing: near the first
                # point, then the second, as front ends give a plot different widths.
                for x, y in ((60, 60), (10, 100), (middle + 5, 60), (middle, 50)):
                    area.hover(position={"x": x, "y": y})
                    if told.count():
                        return True
                page.wait_for_timeout(300)
                return bool(told.count())

            notebook.wait_until(is_told)
            marks = plots[0].locator(".xtick text")
            before = marks.all_text_contents()
            page.mouse.move(box["x"] + 50, box["y"] + 20)
            page.mouse.down()
            page.mouse.move(box["x"] + 200, box["y"] + 150, steps=5)
            page.mouse.up()
            notebook.wait_until(lambda: marks.all_text_contents() != before)
            assert marks.all_text_contents() != before
        plots[2].locator(".annotation-text a, .annotation-text").first.click(force=True)
        notebook.wait_until(lambda: True)
        page.wait_for_timeout(1000)
        assert notebook.deeds.all() == []
        assert notebook.sources() == cells
        libraries = [
            output for at in range(1, 4) for output in notebook.outputs(at)
            if "window.kavachPlotly = " in str(output)
        ]  # fmt: skip
        assert len(libraries) == 1
        assert not select.select([listener], [], [], 0)[0], "somebody was asked"
        # Baseline: the listener hears the page itself.
        page.evaluate("address => void fetch(address)", address)
        assert select.select([listener], [], [], DEADLINE)[0]
    listener.close()
