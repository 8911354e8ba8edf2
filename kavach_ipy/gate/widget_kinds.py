"""Kinds of values that traits of widgets have: what passes of each, and what a page may copy.

Guarantees: data only; `LINKED` never joins two kinds of which one is cleaned less than the other.
Assumes: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

__all__ = ["CHOICES", "KINDS", "LINKED", "NULLABLE", "Kind"]

Kind: TypeAlias = Literal[
    "children", "choice", "classes", "colour", "css", "dimension", "files", "flag", "format",
    "html", "icon", "icons", "image", "image format", "integer", "integers", "label", "labels",
    "layout", "line", "link", "message", "moment", "never", "number", "numbers", "outputs", "step",
    "style", "tags", "text", "texts", "types",
]  # fmt: skip

KINDS: Final[Mapping[Kind, str]] = {
    "children": "widgets of this session that can be shown, at most 2,000, in no circle",
    "choice": "one of the trait's words",
    "classes": "`widget-interact`; other classes are those of the page's own parts",
    "colour": "a CSS colour",
    "css": "a value that loads nothing and moves nothing over the page",
    "dimension": "pixels or per cent",
    "files": "names and sizes, without content: that goes from the page to the session only",
    "flag": "true or false",
    "format": "a number format of d3",
    "html": "HTML through the gate; where nothing of it may be shown, a line that says so",
    "icon": "a name of Font Awesome",
    "icons": "such names, at most 5,000",
    "image": "PNG, JPEG, GIF or WebP, checked by its head; else nothing",
    "image format": "png, jpeg, gif or webp; an address (`url`) would load, SVG could be opened",
    "integer": "an integer below 2**53",
    "integers": "such integers, at most 5,000",
    "label": "at most 10,000 filtered characters; `$` and backslashes only of harmless mathematics",
    "labels": "such texts of at most 1,000 characters, at most 5,000",
    "layout": "a layout of this session",
    "line": "one line of at most 1,000 filtered characters",
    "link": "a widget of this session and the name of a trait that can be linked",
    "message": "the id of a message that this session answers, or nothing",
    "moment": "year, month, date, hours, minutes, seconds, milliseconds: integers",
    "never": "always false: what it would allow is HTML in a description",
    "number": "a finite number",
    "numbers": "such numbers, at most 5,000",
    "outputs": "outputs, each through the gate, at most 1,000",
    "step": "a number, or `any`",
    "style": "a style of this session",
    "tags": "texts or numbers, at most 5,000",
    "text": "at most a million filtered characters, in a field that shows them as they are",
    "texts": "such texts of at most 1,000 characters, at most 5,000",
    "types": "file name endings and MIME types",
}
"""Each kind of value, and what passes of it; nothing else of a value of that kind does."""

NULLABLE: Final[frozenset[Kind]] = frozenset({
    "choice", "colour", "css", "flag", "integer", "label", "layout", "line", "moment", "number",
    "style", "tags",
})  # fmt: skip

LINKED: Final[Mapping[Kind, str]] = {
    "choice": "choice", "colour": "colour", "flag": "flag", "html": "html", "integer": "number",
    "label": "label", "line": "line", "moment": "moment", "number": "number", "text": "text",
}  # fmt: skip
"""Kinds that the page may copy from one trait to another, and with which others: the same word.

A page that copies what was typed, or what is shown as it is, into HTML would run it.
"""

_SHADES: Final = frozenset({"", "danger", "info", "primary", "success", "warning"})
CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "bar_style": _SHADES,
    "behavior": frozenset({"drag-tap", "drag-snap", "tap", "drag", "snap"}),
    "box_style": _SHADES,
    "button_style": _SHADES,
    "orientation": frozenset({"horizontal", "vertical"}),
    "tag_style": _SHADES,
}
"""The words of each trait of the kind "choice"."""

assert KINDS.keys() == set(get_args(Kind))
