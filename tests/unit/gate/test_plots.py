"""plotly's figures: the page gets the cell's data as text, and scripts of ours alone."""

from __future__ import annotations

import html.parser
import json
import re

import pytest

from kavach_ipy.gate import plots
from kavach_ipy.gate.display import DisplayIds, show
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.plots import plotly_html, plotly_library
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Message

_MIME = "application/vnd.plotly.v1+json"


@pytest.fixture(autouse=True)
def library(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of plotly.js that is none: what it says is not the question here."""
    path = f"{tmp_path}/plotly.min.js"
    with open(path, "w", encoding="utf-8") as file:
        file.write("var Plotly = '</script><!--';")
    monkeypatch.setattr(plots, "_library_path", lambda: path)


class _Page(html.parser.HTMLParser):
    """Collects scripts and attributes as a browser would."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.figure = ""
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.figure = dict(attrs).get("data-figure") or self.figure

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script":
            self.scripts.append(data)


def test_a_figure_is_text_on_the_page() -> None:
    """Whatever a figure holds, the page's elements and script are the same."""
    texts = ["x", "</script><script>fired()//", '"><img src=x onerror=fired()>', "'", "${x}", "`"]
    scripts: set[str] = set()
    for text in texts:
        figure: Json = {"data": [{"name": text}], "layout": {"title": text}, "config": {"x": text}}
        out = plotly_html(figure)
        assert out is not None
        page = _Page(out)
        assert page.tags == ["div", "script"]
        assert json.loads(page.figure) == {
            "data": [{"name": text}], "layout": {"title": text}, "frames": []
        }  # fmt: skip
        (script,) = page.scripts
        ident = out.split('"')[1]
        scripts.add(script.replace(ident, ""))
    assert len(scripts) == 1


@pytest.mark.parametrize(
    "value",
    ["x", None, [], {}, {"data": {}}, {"data": [], "layout": []}, {"data": [], "frames": {"x": 1}},
     {"data": ["x" * (9 << 20)]}],
)  # fmt: skip
def test_what_is_no_figure_is_withheld(value: Json) -> None:
    """Another form, or one too large, leaves a line."""
    assert plotly_html(value) is None
    content: dict[str, Json] = {"data": {_MIME: value}, "metadata": {}}
    shown = show(Message("display_data", content, {}), DisplayIds())
    assert shown is not None
    assert "not shown" in str(shown.data["text/plain"])
    assert not shown.needs_plotly


def test_a_figure_needs_the_library_and_stands_for_its_html() -> None:
    """The cell's own HTML of the figure, a program, is not shown beside it."""
    figure: Json = {"data": [], "layout": {"height": 10**9}}
    content: dict[str, Json] = {"data": {"text/html": "<b>x</b>", _MIME: figure}, "metadata": {}}
    shown = show(Message("display_data", content, {}), DisplayIds())
    assert shown is not None
    assert shown.needs_plotly
    assert shown.data.keys() == {"text/html", "text/plain"}
    assert "kavach-plot-" in str(shown.data["text/html"])
    assert "height: 2000px" in str(shown.data["text/html"])
    withheld = show(
        Message("display_data", content, {}), DisplayIds(), DisplayPolicy.of(["application/*"])
    )
    assert withheld is not None
    assert withheld.data["text/html"] == "<b>x</b>"


def test_both_frames_have_no_origin_and_load_nothing() -> None:
    """What a figure makes plotly.js do stays in a frame of nobody's (seen in tests/browser)."""
    out = plotly_html({"data": []})
    assert out is not None
    # The inner frame is written by a script that stands in a text of the outer one's script.
    assert re.findall(r'\.sandbox ?= ?\\?"([^"\\]*)', out) == ["allow-scripts"] * 2
    policies = re.findall(r"default-src 'none'; script-src [^;]*; style-src [^;]*; ", out)
    assert len(policies) == 2
    assert out.count("frame-src 'none'") == 2


def test_the_library_is_text_that_ends_no_script() -> None:
    """It stands in a script element on the page, and in another one in the frame."""
    out = plotly_library()
    assert out is not None
    assert out.count("</script") == 1
    assert _Page(out).tags == ["script"]


def test_without_a_library_there_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the notebook's Python has no plotly, a picture is asked for."""
    monkeypatch.setattr(plots, "_library_path", lambda: None)
    assert plotly_html({"data": []}) is None
    assert plotly_library() is None
