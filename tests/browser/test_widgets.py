"""Widgets of a sandboxed session in a real JupyterLab: they work, and what means harm does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import DEADLINE
from tests.browser.notebooks import FRONT_ENDS, FrontEnd, Notebook, opened
from tests.browser.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_PRELUDE = "import ipywidgets as w\nfrom IPython.display import display"
_HONEST = (
    """
button, out = w.Button(description="go"), w.Output()
@button.on_click
def _(_):
    with out:
        print("was", "clicked")
display(button, out)
""",
    """
@w.interact(x=(0, 9))
def f(x):
    print("x is", x)
""",
    """
from tqdm.notebook import tqdm
for _ in tqdm(range(50), desc="bar"): pass
""",
    """
tab = w.Tab([w.HTML("<b>bold</b>"), w.Dropdown(options=["one", "two"])], titles=["A", "B"])
box = w.HBox([tab, w.Label("of $x^2$")], layout=w.Layout(border="solid 1px red"))
box
""",
)
_EVIL = "<img src=x onerror=\"fired('{0}')\"><script>fired('{0}')</script>"
_HOSTILE = (
    f"""
evil = {_EVIL!r}.format
shown = [
    w.HTML(evil("html")), w.HTMLMath(evil("htmlmath")), w.Label(evil("label")),
    w.HTML(description=evil("description"), description_allow_html=True),
    w.Button(description=evil("button")), w.Dropdown(options=[evil("option")]),
    w.ToggleButtons(options=[evil("toggle")], tooltips=[evil("tip")], icons=['x" ' + evil("i")]),
    w.RadioButtons(options=[evil("radio")]), w.Text(placeholder=evil("placeholder")),
    w.TagsInput(value=[evil("tag")], allowed_tags=[evil("tag")]),
    w.Combobox(options=[evil("combo")]),
    w.Accordion([w.HTML()], titles=[evil("title")]),
    w.Image(value=b"https://evil.example/image.png", format="url"),
    w.Video(value=b"https://evil.example/video.mp4", format="url"), w.Password(value="x"),
    w.Image(value=evil("svg").join(["<svg xmlns='http://www.w3.org/2000/svg'>", "</svg>"]).encode(),
            format="svg+xml"),
    w.Label(r"$\\href{{javascript:fired(1)}}{{x}}$"),
]
display(*shown)
""",
    f"""
text, page = w.Text({_EVIL.format("link")!r}), w.HTML("to be linked")
display(text, page, w.jslink((text, "value"), (page, "value")))
out = w.Output()
out.outputs = ({{"output_type": "display_data", "metadata": {{}},
                "data": {{"text/html": {_EVIL.format("output")!r}}}}},)
display(out)
""",
    """
import comm
comm.create_comm(target_name="jupyter.widget", target_module="https://evil.example/target.js",
                 data={"state": {"_model_name": "X", "_model_module": "https://evil.example/m.js",
                                 "_model_module_version": "1.0.0"}},
                 metadata={"version": "2.1.0"})
one, two = w.HBox(), w.VBox()
display(one)
one.children, two.children = [two], [one]
over = w.HTML("over", layout=w.Layout(top="-900px", margin="-900px 0 0 0", height="3000px"))
over.add_class("jp-Dialog")
over
""",
)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_widgets_work_in_a_sandboxed_session(
    browser: Browser, server: Server, front_end: FrontEnd
) -> None:
    """A button, interact, a bar, and a box of tabs and mathematics."""
    name = f"widgets-{front_end}.ipynb"
    server.write(name, [_PRELUDE, *_HONEST], kernel="sandboxed")
    with opened(browser, server, front_end, name) as notebook:
        notebook.page.set_viewport_size({"width": 1000, "height": 3000})
        notebook.run_all()
        _says(notebook, "x is 4")
        notebook.page.locator("button", has_text="go").last.click()
        _says(notebook, "was clicked")
        slider = notebook.page.locator(".noUi-base").first
        place = slider.bounding_box()
        assert place is not None
        # Notebook 7 takes the arrow keys for itself.
        slider.click(position={"x": place["width"] - 1, "y": place["height"] / 2}, force=True)
        _says(notebook, "x is 9")
        _says(notebook, "50/50")
        assert notebook.page.locator(".widget-tab b, .jupyter-widget-tab b").count() == 1
        notebook.page.wait_for_selector(".widget-label mjx-container", timeout=DEADLINE * 1000)
        assert notebook.deeds.all() == []


def test_hostile_widgets_do_nothing(browser: Browser, server: Server) -> None:
    """No script, no request, no dialog; nothing stands over the page, and the page goes on."""
    name = "widgets-hostile.ipynb"
    server.write(name, [_PRELUDE, *_HOSTILE, "print('the', 'end')"], kernel="sandboxed")
    with opened(browser, server, "lab", name) as notebook:
        notebook.page.set_viewport_size({"width": 1000, "height": 5000})
        notebook.run_all()
        _says(notebook, "the end")
        _says(notebook, "to be linked")
        notebook.page.locator("input[type=text]").last.press("x")
        notebook.click_all(".widget-html-content *, .widget-label *")
        assert notebook.deeds.all() == []
        assert notebook.page.locator("input[type=password]").count() == 0
        assert notebook.page.locator(".jp-Dialog").count() == 0
        over = notebook.page.locator(".widget-html", has_text="over").last.bounding_box()
        cell = notebook.page.locator(".jp-CodeCell").nth(3).bounding_box()
        assert over is not None
        assert cell is not None
        assert over["y"] >= cell["y"]


def test_hostile_widgets_act_without_the_sandbox(browser: Browser, server: Server) -> None:
    """The same notebook in a plain kernel: its scripts run, and its addresses are asked for."""
    name = "widgets-plain.ipynb"
    server.write(name, [_PRELUDE, *_HOSTILE[:2]])
    with opened(browser, server, "lab", name) as notebook:
        notebook.page.set_viewport_size({"width": 1000, "height": 5000})
        notebook.run_all()
        notebook.wait_until(
            lambda: (
                {"html", "htmlmath", "link", "output"} <= set(notebook.deeds.fired)
                and len(notebook.deeds.requests) >= 2
            )
        )
        assert {"html", "htmlmath", "link", "output"} <= set(notebook.deeds.fired)
        assert any("evil.example" in address for address in notebook.deeds.requests)
        assert notebook.page.locator("input[type=password]").count() == 1


def _says(notebook: Notebook, words: str) -> None:
    notebook.page.wait_for_function(
        "(words) => [...document.querySelectorAll('.jp-OutputArea-output')]"
        ".some((area) => area.innerText.replace(/\\s+/g, ' ').includes(words))",
        arg=words,
        timeout=DEADLINE * 1000,
    )
