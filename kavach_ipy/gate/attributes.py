"""Attributes of HTML elements: which are kept, and what their values may be.

Guarantees: a kept value names, loads and runs nothing; numbers are small.
Assumes: who writes them into a tag does it with `write_tag`, which escapes them.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Final

from kavach_ipy.gate.elements import ATTRIBUTES, CLASSES, WORDS
from kavach_ipy.gate.images import check_image
from kavach_ipy.gate.styles import clean_style
from kavach_ipy.gate.text import mark_bidi

__all__ = ["asked_by_selectors", "clean_attributes", "clean_characters", "write_tag"]

_CELLS: Final = 1000
_ATTRIBUTE: Final = re.compile(
    r"(?<![\w-])(?P<name>[a-z][\w-]*+)\s*+=\s*+"
    r"(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\s\"'<=>`]+))",
    re.IGNORECASE | re.ASCII,
)
_IS_OPEN: Final = re.compile(r"(?<![\w-])open(?![\w-])", re.IGNORECASE | re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]++"
)
_DATA_IMAGE: Final = re.compile(
    r"data:(image/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=\s]+)", re.ASCII
)


def clean_attributes(name: str, rest: str) -> dict[str, str] | None:
    """Return the attributes to write, or None when the element is worth nothing without one."""
    if not rest:
        return None if name == "img" else {}
    kept: dict[str, str] = {}
    if name == "details" and _IS_OPEN.search(rest):
        kept["open"] = ""
    for match in _ATTRIBUTE.finditer(rest):
        key = match["name"].lower()
        if key in kept or (key not in {"class", "style"} and key not in ATTRIBUTES.get(name, ())):
            continue
        raw = match["double"] or match["single"] or match["bare"] or ""
        value = _attribute(key, clean_characters(unescape(raw)))
        if value:
            kept[key] = value
    if name == "img" and "src" not in kept:
        return None
    return kept


def asked_by_selectors(rest: str) -> tuple[str, frozenset[str]]:
    """Return the id and the classes that a start tag gives, for style sheets alone."""
    ident, classes = "", frozenset[str]()
    for match in _ATTRIBUTE.finditer(rest):
        value = match["double"] or match["single"] or match["bare"] or ""
        match match["name"].lower():
            case "id":
                ident = ident or value
            case "class":
                classes = classes or frozenset(value.split())
    return ident, classes


def write_tag(name: str, attributes: dict[str, str]) -> str:
    """Return a start tag."""
    if not attributes:
        return f"<{name}>"
    written = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>"


def clean_characters(text: str) -> str:
    """Return a text without characters that HTML does not allow, and with marks for reordering."""
    if text.isascii() and text.isprintable():
        return text
    return mark_bidi(_CONTROLS.sub("", text))


def _attribute(key: str, value: str) -> str:
    match key:
        case "class":
            return " ".join(word for word in value.split() if word in CLASSES)
        case "style":
            return clean_style(value)
        case "src":
            return _source(value)
        case "scope":
            return value.lower() if value.lower() in WORDS else ""
        case "alt":
            return value[:1000]
        case "max" | "min" | "value":
            return value if _NUMBER.fullmatch(value) else ""
        case _:
            # Spans, sizes and counts: a browser would lay out a million cells.
            is_number = value.isascii() and value.isdigit() and len(value) <= 5
            limit = 10_000 if key in {"height", "width"} else _CELLS
            return str(min(int(value), limit)) if is_number else ""


def _source(value: str) -> str:
    match = _DATA_IMAGE.fullmatch(value.strip())
    data = check_image(match[1], "".join(match[2].split())) if match else None
    return f"data:{match[1]};base64,{data}" if match and data else ""
