"""plotly's figures: the cell's data, drawn by the notebook's own copy of plotly.js.

The page gets an element with the figure as text, and a script of ours that puts it into a frame
within a frame. Both have an origin of their own that is nobody's, so they reach neither the page
nor the server; the content policy of the outer one lets nothing be loaded, and holds for where the
inner one may go as well (CSP 3, "frame-src"). plotly.js comes once for a notebook, see
`plotly_library`, and is handed to each frame by the page.

Guarantees: no text of the cell's is read by the page's own scripts; it is bounded.
Assumes: the copy of plotly.js is the one that belongs to the notebook's Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
from html import escape
from typing import Final

from kavach_ipy.gate.text import clean_text
from kavach_ipy.wire.documents import Json

__all__ = ["plotly_html", "plotly_library"]

_SIZE: Final = 8 << 20
_LIBRARY: Final = ("package_data", "plotly.min.js")
_LEAST, _MOST, _USUAL = 100, 2000, 450
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data: blob:; font-src data:; frame-src 'none'; form-action 'none'; base-uri 'none'"
)
_FRAME: Final = (
    f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    "<style>html,body,iframe{margin:0;border:0;width:100%;height:100%;overflow:hidden}</style>"
    '<script>addEventListener("message",(event)=>{if(event.source!==parent)return;'
    'const inner=document.createElement("iframe");inner.sandbox="allow-scripts";'
    "inner.srcdoc=event.data;document.body.append(inner)},{once:true})</script><body></body>"
)
_INNER_HEAD: Final = (
    f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    "<style>html,body,#plot{margin:0;width:100%;height:100%}</style>"
    '<body><div id="plot"></div><script>'
)
_INNER_FIGURE: Final = '</script><script type="application/json" id="figure">'
_INNER_TAIL: Final = (
    '</script><script>const figure=JSON.parse(document.getElementById("figure").textContent);'
    'Plotly.newPlot("plot",figure.data,figure.layout,{responsive:true,displaylogo:false,'
    "showSendToCloud:false,plotlyServerURL:''}).then(()=>figure.frames.length&&"
    'Plotly.addFrames("plot",figure.frames))</script>'
)
_START: Final = """(() => {
const place = document.getElementById(%s);
const start = () => {
    const outer = document.createElement("iframe");
    outer.sandbox = "allow-scripts";
    outer.style = "border: 0; width: 100%%; height: 100%%";
    outer.srcdoc = %s;
    outer.addEventListener("load", () => outer.contentWindow.postMessage(
        %s + window.kavachPlotly + %s + place.dataset.figure.replaceAll("<", "\\\\u003c") + %s, "*"
    ), {once: true});
    place.replaceChildren(outer);
};
if (window.kavachPlotly) start();
else addEventListener("kavach-plotly", start, {once: true});
})()"""
_WAITS: Final = (
    "This plot waits for plotly.js, which comes with the first plot of a notebook."
    " Run the cell again after a restart of the kernel."
)


def plotly_html(value: Json) -> str | None:
    """Return HTML that draws a figure, or None where there is no library or no figure."""
    if _library_path() is None or not isinstance(value, dict):
        return None
    data, layout = value.get("data"), value.get("layout", {})
    frames = value.get("frames") or []
    if not isinstance(data, list) or not isinstance(layout, dict) or not isinstance(frames, list):
        return None
    text = _literal({"data": data, "layout": layout, "frames": frames})
    if len(text) > _SIZE:
        return None
    height = layout.get("height")
    # A bool is an int to isinstance.
    pixels = int(height) if type(height) in (int, float) else _USUAL  # type: ignore[arg-type]
    pixels = min(max(pixels, _LEAST), _MOST)
    ident = f"kavach-plot-{secrets.token_hex(8)}"
    script = _START % (
        _literal(ident),
        _literal(_FRAME),
        _literal(_INNER_HEAD),
        _literal(_INNER_FIGURE),
        _literal(_INNER_TAIL),
    )
    return (
        f'<div id="{ident}" data-figure="{escape(clean_text(text, _SIZE))}"'
        f' style="height: {pixels}px">{_WAITS}</div><script>{script}</script>'
    )


def plotly_library() -> str | None:
    """Return HTML that gives a page plotly.js, as text, for all plots of a notebook."""
    path = _library_path()
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        source = file.read()
    # In the frame it stands in a script element, which ends at the first end tag.
    text = _literal(source.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
    return (
        f'<script>window.kavachPlotly = {text};dispatchEvent(new Event("kavach-plotly"));</script>'
    )


def _library_path() -> str | None:
    try:
        found = importlib.util.find_spec("plotly")
    except (ImportError, ValueError):
        return None
    if found is None or found.origin is None:
        return None
    path = os.path.join(os.path.dirname(found.origin), *_LIBRARY)
    return path if os.path.isfile(path) else None


def _literal(value: object) -> str:
    """Return JSON that may stand in a script element: no tag or comment begins in it."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e")
