"""What a hostile cell shows, each kind once, as cells of a notebook.

A script says ``fired(NAME)``; a load asks ``BEACON/NAME``, where nobody answers and the listener of
`tests.browser.chromium` counts. Whether an attack fires without the sandbox is part of the table:
one that never fires proves nothing, and is here because another front end might heed it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ATTACKS", "BEACON", "PRELUDE", "Attack", "names_in"]

# Port 9 is "discard" (RFC 863); nothing listens there.
BEACON = "http://127.0.0.1:9"

PRELUDE = """\
%load_ext kavach_ipy
import base64, comm
from IPython.display import HTML, Javascript, Markdown, display, publish_display_data
def raw(mime, value, **metadata):
    publish_display_data({mime: value, "text/plain": "shown"}, metadata)
def model(name, **state):
    made = comm.create_comm(target_name="jupyter.widget", data={"state": {
        "_model_module": "@jupyter-widgets/controls", "_model_module_version": "2.0.0",
        "_view_module": "@jupyter-widgets/controls", "_view_module_version": "2.0.0",
        "_model_name": f"{name}Model", "_view_name": f"{name}View", **state}},
        metadata={"version": "2.1.0"})
    return made.comm_id
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind.

    Attributes:
        name: what its script or its request says.
        code: the cell, where NAME and BEACON stand for both.
        fires: it is seen to fire without the sandbox, in JupyterLab and in Notebook 7.
    """

    name: str
    code: str
    fires: bool = True

    def cell(self) -> str:
        """The cell."""
        return self.code.replace("NAME", self.name).replace("BEACON", BEACON)


def names_in(deeds: list[str]) -> set[str]:
    """Which attacks something that a page did belongs to."""
    said = "\n".join(deeds)
    return {
        attack.name
        for attack in ATTACKS
        if re.search(rf"(?<![\w-]){re.escape(attack.name)}(?![\w-])", said)
    }


def _html(name: str, markup: str, *, fires: bool = True) -> Attack:
    return Attack(name, f"raw('text/html', {markup!r})", fires)


def _shows(mime: str, name: str, source: str, *, fires: bool = True) -> Attack:
    return Attack(name, f"raw({mime!r}, {source!r})", fires)


_SAVE = (
    "jupyterapp.serviceManager.contents.save('NAME.txt',"
    "{type:'file',format:'text',content:'owned'}).then(()=>fired('NAME'))"
)
_INSERT = "jupyterapp.commands.execute('notebook:insert-cell-below');fired('NAME')"

ATTACKS: tuple[Attack, ...] = (
    _html("html-script", "<script>fired('NAME')</script>"),
    _html("html-module", "<script type=module>fired('NAME')</script>"),
    _html("html-remote-script", "<script src='BEACON/NAME'></script>"),
    _html("html-file", f"<script>{_SAVE}</script>"),
    _html("html-command", f"<script>{_INSERT}</script>"),
    _html("html-dialog", "<script>alert('NAME')</script>"),
    _html("html-window", "<script>window.open('BEACON/NAME')</script>", fires=False),
    _html("html-fetch", "<script>fetch('BEACON/NAME')</script>"),
    _html("html-onerror", "<img src=x onerror=\"fired('NAME')\">"),
    _html("html-svg-onload", "<svg onload=\"fired('NAME')\"></svg>", fires=False),
    _html("html-svg-image", "<svg><image href='BEACON/NAME'/></svg>"),
    _html("html-srcdoc", "<iframe srcdoc=\"<script>parent.fired('NAME')</script>\"></iframe>"),
    _html("html-frame-url", "<iframe src=\"javascript:parent.fired('NAME')\"></iframe>"),
    _html("html-frame-remote", "<iframe src='BEACON/NAME'></iframe>"),
    _html("html-object", "<object data='BEACON/NAME'></object>"),
    _html("html-embed", "<embed src='BEACON/NAME'>"),
    _html("html-image", "<img src='BEACON/NAME'>"),
    _html("html-srcset", "<img srcset='BEACON/NAME 1x'>"),
    _html("html-video", "<video poster='BEACON/NAME'></video>"),
    _html("html-source", "<video><source src=x onerror=\"fired('NAME')\"></video>"),
    _html("html-link", "<link rel=stylesheet href='BEACON/NAME'>"),
    _html("html-prefetch", "<link rel=prefetch href='BEACON/NAME'>"),
    _html("html-import", "<style>@import url('BEACON/NAME');</style>"),
    _html("html-background", "<b style=\"background:url('BEACON/NAME')\">x</b>"),
    _html("html-attribute", "<table background='BEACON/NAME'><tr><td>x</table>"),
    _html("html-font", "<style>@font-face{font-family:f;src:url(BEACON/NAME)}"
          "b.f{font-family:f}</style><b class=f>x</b>"),
    _html("html-toggle", "<details open ontoggle=\"fired('NAME')\">x</details>"),
    _html("html-animation", "<style>@keyframes k{from{top:0}}</style>"
          "<b style='animation:k 1s' onanimationstart=\"fired('NAME')\">x</b>"),
    _html("html-focus", "<input autofocus onfocus=\"fired('NAME')\">", fires=False),
    _html("html-link-script", "<a class=click href=\"javascript:fired('NAME')\">x</a>",
          fires=False),
    _html("html-onclick", "<b class=click onclick=\"fired('NAME')\">x</b>"),
    _html("html-button", "<button class=click onclick=\"fired('NAME')\">x</button>"),
    _html("html-ping", "<a class=click href='#x' ping='BEACON/NAME'>x</a>", fires=False),
    _html("html-linker", "<b class=click data-commandlinker-command='notebook:insert-cell-below'"
          " data-commandlinker-args='{\"name\":\"NAME\"}'>x</b>", fires=False),
    _html("html-math", "<math><mtext><img src=x onerror=\"fired('NAME')\"></mtext></math>"),
    _html("html-template", "<div><template shadowrootmode=open><script>fired('NAME')</script>"
          "</template></div>", fires=False),
    Attack("html-isolated", "raw('text/html', \"<script>parent.fired('NAME')</script>\","
           " **{'text/html': {'isolated': True}})"),
    Attack("html-typeset", "raw('text/html', r'$\\require{BEACON/NAME}$')", fires=False),
    Attack("html-typeset-link", "raw('text/html', r\"$\\href{javascript:fired('NAME')}{x}$\")",
           fires=False),
    _shows("text/markdown", "markdown-script", "<script>fired('NAME')</script>"),
    _shows("text/markdown", "markdown-onerror", "<img src=x onerror=\"fired('NAME')\">"),
    _shows("text/markdown", "markdown-image", "![x](BEACON/NAME)"),
    _shows("text/markdown", "markdown-link", "[x](javascript:fired('NAME'))", fires=False),
    _shows("text/latex", "latex-require", r"$\require{BEACON/NAME}$", fires=False),
    _shows("text/latex", "latex-link", r"$\href{javascript:fired('NAME')}{x}$", fires=False),
    _shows("text/latex", "latex-image", r"$\mmlToken{mglyph}[src=BEACON/NAME]{}$"),
    _shows("image/svg+xml", "svg-script",
           "<svg xmlns='http://www.w3.org/2000/svg'><script>fired('NAME')</script></svg>",
           fires=False),
    _shows("image/svg+xml", "svg-onload",
           "<svg xmlns='http://www.w3.org/2000/svg' onload=\"fired('NAME')\"></svg>",
           fires=False),
    _shows("image/svg+xml", "svg-image",
           "<svg xmlns='http://www.w3.org/2000/svg'><image href='BEACON/NAME'/></svg>",
           fires=False),
    _shows("image/svg+xml", "svg-foreign",
           "<svg xmlns='http://www.w3.org/2000/svg'><foreignObject><img"
           " xmlns='http://www.w3.org/1999/xhtml' src='BEACON/NAME'/></foreignObject></svg>",
           fires=False),
    _shows("image/png", "png-attribute", "\" onerror=\"fired('NAME')", fires=False),
    _shows("application/javascript", "javascript", "fired('NAME')"),
    _shows("text/javascript", "javascript-text", "fired('NAME')"),
    _shows("application/x-ecmascript", "javascript-ecma", "fired('NAME')", fires=False),
    Attack("javascript-class", "display(Javascript(\"fired('NAME')\"))"),
    Attack("widget-html", "raw('application/vnd.jupyter.widget-view+json', {'version_major': 2,"
           " 'version_minor': 0, 'model_id': model('HTML',"
           " value=\"<img src=x onerror=fired('NAME')>\")})"),
    Attack("widget-module", "model('X', _model_module='BEACON/NAME')", fires=False),
    Attack("vega-data", "raw('application/vnd.vegalite.v5+json', {'data': {'url':"
           " 'BEACON/NAME'}, 'mark': 'point', 'encoding': {}})"),
    Attack("bokeh", "raw('application/vnd.bokehjs_exec.v0+json', '', **{"
           "'application/vnd.bokehjs_exec.v0+json': {'id': 'NAME'}})", fires=False),
    Attack("plotly-image", "raw('application/vnd.plotly.v1+json', {'data': [], 'layout': {"
           "'images': [{'source': 'BEACON/NAME'}]}})", fires=False),
    Attack("geojson", "raw('application/geo+json', {'type': 'Point', 'coordinates': [1, 2]},"
           " **{'application/geo+json': {'url_template': 'BEACON/NAME'}})", fires=False),
    Attack("vdom", "raw('application/vdom.v1+json', {'tagName': 'img', 'attributes': {'src':"
           " 'BEACON/NAME'}, 'children': []})", fires=False),
    Attack("pdf", "raw('application/pdf', base64.b64encode(b'%PDF-1.4 NAME').decode())",
           fires=False),
    Attack("next-cell", "get_ipython().set_next_input(\"import os # NAME\"); display('x')"),
    Attack("payload", "get_ipython().payload_manager.write_payload({'source': 'set_next_input',"
           " 'text': 'NAME', 'replace': False})"),
    Attack("pager", "get_ipython().payload_manager.write_payload({'source': 'page', 'start': 0,"
           " 'data': {'text/html': \"<img src=x onerror=fired('NAME')>\"}})", fires=False),
    Attack("update", "display(HTML(\"<b>NAME</b><img src=x onerror=fired('NAME')>\"),"
           " display_id='known', update=True)"),
    Attack("stream-markup", "print(\"<img src=x onerror=fired('NAME')>\")", fires=False),
    Attack("stream-link", "print('\\x1b]8;;javascript:fired(\"NAME\")\\x07x\\x1b]8;;\\x07')",
           fires=False),
    Attack("stream-escapes", "print('\\x1b]0;NAME\\x07\\x1bP1$r\\x1b\\\\\\x9b6n\\x1b[?1049h')",
           fires=False),
    Attack("repr-markup", "class X:\n    def __repr__(self): return"
           " \"<img src=x onerror=fired('NAME')>\"\ndisplay(X())", fires=False),
    Attack("error-markup", "raise type(\"<img src=x onerror=fired('NAME')>\", (Exception,), {})("
           "\"<img src=x onerror=fired('NAME')>\")", fires=False),
)  # fmt: skip
