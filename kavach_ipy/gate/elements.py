"""The HTML elements that a cell's output may show, and how they may stand in each other.

Guarantees: none of them runs, loads, names or links anything.
Assumes: attributes and text are cleaned by whoever writes the elements.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ATTRIBUTES",
    "BLOCK",
    "CLASSES",
    "ENDS",
    "HOLDERS",
    "INLINE",
    "PARTS",
    "TABLE",
    "TAGS",
    "VOID",
    "WORDS",
]

VOID: Final = frozenset({"br", "col", "hr", "img"})
INLINE: Final = frozenset({
    "abbr", "b", "br", "cite", "code", "del", "em", "i", "img", "ins", "kbd", "mark", "meter",
    "progress", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "u", "var",
})  # fmt: skip
BLOCK: Final = frozenset({
    "blockquote", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "h3",
    "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "summary", "table", "ul",
})  # fmt: skip
# What stands directly in a table and its parts; anything else there would be moved about.
TABLE: Final = {
    "table": frozenset({"caption", "colgroup", "thead", "tbody", "tfoot", "tr"}),
    "thead": frozenset({"tr"}),
    "tbody": frozenset({"tr"}),
    "tfoot": frozenset({"tr"}),
    "tr": frozenset({"td", "th"}),
    "colgroup": frozenset({"col"}),
}
PARTS: Final = frozenset().union(*TABLE.values())
HOLDERS: Final = frozenset({"td", "th", "caption"})
TAGS: Final = INLINE | BLOCK | PARTS
# A new one ends the one before it, as authors leave out the end tag.
ENDS: Final = {
    "li": {"li"},
    "dt": {"dt", "dd"},
    "dd": {"dt", "dd"},
    "tr": {"td", "th", "tr"},
    "td": {"td", "th"},
    "th": {"td", "th"},
    "tbody": {"td", "th", "tr", "thead", "tbody", "tfoot"},
    "thead": {"td", "th", "tr", "thead", "tbody", "tfoot", "colgroup"},
    "tfoot": {"td", "th", "tr", "thead", "tbody", "tfoot"},
}
ATTRIBUTES: Final = {
    "col": {"span"},
    "details": {"open"},
    "img": {"alt", "height", "src", "width"},
    "meter": {"max", "min", "value"},
    "ol": {"start"},
    "progress": {"max", "value"},
    "table": {"border"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
# The last two keep MathJax away, of version 3 and later and of version 2.
CLASSES: Final = frozenset({"dataframe", "mathjax_ignore", "tex2jax_ignore"})
WORDS: Final = frozenset({"col", "row", "colgroup", "rowgroup"})
