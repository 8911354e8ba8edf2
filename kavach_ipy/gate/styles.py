"""CSS: a list of properties, and values that can name no resource.

Guarantees: what comes out sets colours, sizes and borders inside its own element; it loads nothing,
positions nothing over the page and runs nothing.
Assumes: what `clean_style` returns is put into a `style` attribute, escaped; what `is_layout`
accepts becomes the value of that one property.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["clean_style", "is_layout"]

_PROPERTIES: Final = frozenset(
    {
        "background", "background-color", "border", "border-bottom", "border-collapse",
        "border-color", "border-left", "border-radius", "border-right", "border-spacing",
        "border-style", "border-top", "border-width", "color", "font-family", "font-size",
        "font-style", "font-variant", "font-weight", "height", "letter-spacing", "line-height",
        "max-width", "min-width", "padding", "padding-bottom", "padding-left", "padding-right",
        "padding-top", "text-align", "text-decoration", "text-transform", "vertical-align",
        "white-space", "width",
    }
)  # fmt: skip
_VALUE: Final = re.compile(r"[\w\s.,%#()+!'-]{1,400}", re.ASCII)
_FUNCTION: Final = re.compile(r"([\w-]*)\s*\(", re.ASCII)
_FUNCTIONS: Final = frozenset({"hsl", "hsla", "linear-gradient", "rgb", "rgba"})
# What a notebook hides is a fallback for pages that know no style, or opens by a script.
_DISPLAYS: Final = frozenset({"block", "flex", "inline", "inline-block", "inline-flex", "none"})
_DECLARATIONS: Final = 40
# Layouts of widgets also say where their parts stand: grids, fractions, areas by name.
_PLACED: Final = re.compile(r"[\w\s.,%#()+*/!'\"\[\]-]{0,400}", re.ASCII)
_PLACING: Final = _FUNCTIONS | {"calc", "clamp", "fit-content", "max", "min", "minmax", "repeat"}
_THEME: Final = re.compile(r"var\(\s*--jp-[\w-]{1,80}\s*\)", re.ASCII)
# Nothing is drawn over what stands around it: JupyterLab's widgets have a relative position.
_MOVING: Final = frozenset({"bottom", "left", "right", "top"})
_MARGIN: Final = re.compile(r"[\w\s.%!]*", re.ASCII)


def clean_style(style: str) -> str:
    """Return the declarations of a style attribute that are allowed; the rest goes without a word.

    A backslash or a comment never passes, so a name is what it looks like.
    """
    kept: list[str] = []
    for declaration in style.split(";", _DECLARATIONS)[:_DECLARATIONS]:
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), " ".join(value.split())
        is_listed = (
            name in _PROPERTIES
            and _VALUE.fullmatch(value)
            and {match[1].lower() for match in _FUNCTION.finditer(value)} <= _FUNCTIONS
        )
        if is_listed or (name == "display" and value in _DISPLAYS):
            kept.append(f"{name}: {value}")
    return "; ".join(kept)


def is_layout(name: str, value: str) -> bool:
    """Tell whether a widget's layout or style may set a property, spelt with ``_``, to a value."""
    if name in _MOVING:
        return value in {"", "auto", "inherit", "initial", "unset"}
    if name == "margin" and not _MARGIN.fullmatch(value):
        return False
    # A theme's own colours and sizes name no resource of the session's.
    plain = _THEME.sub("0", value)
    return (
        _PLACED.fullmatch(plain) is not None
        and "/*" not in plain
        and {match[1].lower() for match in _FUNCTION.finditer(plain)} <= _PLACING | {""}
    )
