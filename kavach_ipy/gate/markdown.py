"""Markdown of the cell's, rendered here and cleaned as HTML; a page never sees the source.

JupyterLab would hand HTML in Markdown to the page as it is. A link becomes its text and its
address, an image from elsewhere its description: neither may be loaded or opened unread.

Guarantees: what comes out has been through `kavach_ipy.gate.html`; mathematics in dollar signs is
left as it is written, for MathJax, where it is harmless.
Assumes: markdown-it-py 3, a parser in pure Python, which loads and runs nothing.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Final

from kavach_ipy.gate.html import clean_html
from kavach_ipy.gate.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

__all__ = ["markdown_html"]

_SIZE: Final = 32 << 10
_LINES: Final = 1500
_MARKS: Final = 1000
"""Opening brackets, or signs of mathematics.

The parser takes time quadratic in items of a list, in rows of a table and in brackets that nothing
closes. The slowest text within these bounds that we know takes it a third of a second.
"""
_NESTING: Final = 20
# No sign of the parser's own may be passed over unread, so it ends at the first dollar sign.
_MATHEMATICS: Final = re.compile(
    r"\$\$[^$]{1,10000}\$\$|\$(?![\s$])[^$\n]{1,1000}(?<![\s\\])\$(?!\d)"
    r"|\\begin\{(\w{1,20}\*?)\}[^$]{1,10000}?\\end\{\1\}"
)
_SPECIAL: Final = "$\\"


def markdown_html(text: str) -> str | None:
    """Return Markdown as HTML that a page may show, or None when it is larger than allowed."""
    if len(text) > _SIZE or text.count("\n") > _LINES:
        return None
    if text.count("[") > _MARKS or text.count("$") + text.count("\\begin") > _MARKS:
        return None
    return clean_html(_parser().render(clean_text(text, _SIZE)))


@cache
def _parser() -> MarkdownIt:
    # With the first Markdown: most notebooks show none, and loading takes 30 ms.
    from markdown_it import MarkdownIt  # noqa: PLC0415

    made = MarkdownIt("commonmark", {"maxNesting": _NESTING})
    made.enable(["table", "strikethrough"])
    made.inline.ruler.before("escape", "mathematics", _mathematics)
    made.add_render_rule("link_open", _link_open)
    made.add_render_rule("link_close", _link_close)
    made.add_render_rule("image", _image)
    return made


def _mathematics(state: StateInline, silent: bool) -> bool:
    """Take mathematics as text, so that its underscores are no emphasis."""
    if state.src[state.pos] not in _SPECIAL:
        return False
    found = _MATHEMATICS.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("text", "", 0).content = found[0]
    state.pos = found.end()
    return True


def _link_open(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    del self, tokens, at, options, env
    return "<u>"


def _link_close(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    del self, options, env
    start = next(
        index
        for index in range(at, -1, -1)
        if tokens[index].type == "link_open" and tokens[index].level == tokens[at].level
    )
    address = str(tokens[start].attrs.get("href", ""))
    text = "".join(token.content for token in tokens[start + 1 : at])
    return "</u>" if not address or address == text else f"</u> <small>({escape(address)})</small>"


def _image(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[at]
    text = self.renderInlineAsText(token.children, options, env) if token.children else ""
    address = str(token.attrs.get("src", ""))
    if address.startswith("data:image/"):
        return f'<img alt="{escape(text)}" src="{escape(address)}">'
    return f"<em>[image: {escape(text or address[:200])}]</em>"
