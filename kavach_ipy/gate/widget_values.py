"""Values of a widget's traits: one rule a kind, as `kavach_ipy.gate.widget_table` lists them.

Guarantees: a value is what its kind says and new, or `REFUSED`; no text of it is run, loaded or
typeset by a page unless the gate has cleaned it for that.
Assumes: values come from `kavach_ipy.wire.documents`, so they are plain and bounded in depth. Kinds
that refer to other widgets are read by `kavach_ipy.gate.widgets`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from math import isfinite
from typing import Final, Literal, TypeAlias

from kavach_ipy.gate.html import clean_html
from kavach_ipy.gate.images import IMAGE_TYPES, is_image
from kavach_ipy.gate.mathematics import unset
from kavach_ipy.gate.styles import is_layout
from kavach_ipy.gate.text import clean_line, clean_text
from kavach_ipy.gate.widget_kinds import CHOICES, NULLABLE, Kind
from kavach_ipy.wire.documents import Json

__all__ = ["REFUSED", "Refused", "clean_trait", "safe_image", "size_of"]


class Refused(Enum):
    """What is said of a value that its kind does not allow."""

    REFUSED = "refused"


REFUSED: Final = Refused.REFUSED
_Cleaned: TypeAlias = "Json | Literal[Refused.REFUSED]"

_TEXT: Final = 1_000_000
_LABEL: Final = 10_000
_LINE: Final = 1000
_ITEMS: Final = 5000
# JavaScript holds integers exactly below this (ECMAScript, Number.MAX_SAFE_INTEGER).
_INTEGER: Final = 2**53
_CLASSES: Final = frozenset({"widget-interact"})
_ICON: Final = re.compile(r"[a-z0-9 -]{0,80}", re.ASCII)
_DIMENSION: Final = re.compile(r"(?:\d{1,4}(?:\.\d{1,4})?(?:px|%)?)?", re.ASCII)
# d3-format: [[fill]align][sign][symbol][0][width][,][.precision][~][type].
_FORMAT: Final = re.compile(
    r"(?:[^{]?[<>=^])?[-+( ]?[$#]?0?\d{0,3},?(?:\.\d{1,3})?~?[A-Za-z%]?", re.ASCII
)
_TYPES: Final = re.compile(r"[\w.,/*+ -]{0,400}", re.ASCII)
_IMAGE_FORMATS: Final = frozenset({"gif", "jpeg", "jpg", "png", "webp"})
_MOMENT: Final = frozenset({"date", "hours", "milliseconds", "minutes", "month", "seconds", "year"})
_FILE: Final = ("last_modified", "size")
_NOT_SHOWN: Final = "<em>[not shown: nothing of this HTML may be, or it is too large]</em>"


def clean_trait(name: str, kind: Kind, value: Json) -> _Cleaned:
    """Return what may be shown of a trait's value, or `REFUSED`."""
    if value is None:
        return None if kind in NULLABLE else REFUSED
    if kind == "choice":
        return value if isinstance(value, str) and value in CHOICES.get(name, ()) else REFUSED
    if kind == "css":
        return value if isinstance(value, str) and is_layout(name, value) else REFUSED
    return _RULES[kind](value)


def safe_image(data: bytes | memoryview) -> bytes:
    """Return an image's bytes, or none where they are not what a page may show."""
    raw = bytes(data)
    # An element for images looks at the data, whatever type they are given (MIME Sniffing, 8.1).
    return raw if any(is_image(mime, raw) for mime in IMAGE_TYPES) else b""


def size_of(value: Json) -> int:
    """Return about how many bytes a page keeps of a value."""
    if isinstance(value, str):
        return 16 + len(value)
    if isinstance(value, list):
        return 16 + sum(map(size_of, value))
    if isinstance(value, dict):
        return 16 + sum(len(key) + size_of(item) for key, item in value.items())
    return 16


def _flag(value: Json) -> _Cleaned:
    return value if type(value) is bool else REFUSED


def _never(_: Json) -> _Cleaned:
    return False


def _integer(value: Json) -> _Cleaned:
    return value if type(value) is int and abs(value) < _INTEGER else REFUSED


def _number(value: Json) -> _Cleaned:
    if type(value) is float:
        return value if isfinite(value) else REFUSED
    return _integer(value)


def _step(value: Json) -> _Cleaned:
    return value if value == "any" else _number(value)


def _text(value: Json) -> _Cleaned:
    return clean_text(value, _TEXT) if isinstance(value, str) else REFUSED


def _line(value: Json) -> _Cleaned:
    return clean_line(value, _LINE) if isinstance(value, str) else REFUSED


def _label(value: Json) -> _Cleaned:
    return unset(clean_text(value, _LABEL)) if isinstance(value, str) else REFUSED


def _short_label(value: Json) -> _Cleaned:
    return unset(clean_text(value, _LINE)) if isinstance(value, str) else REFUSED


def _short_text(value: Json) -> _Cleaned:
    return clean_text(value, _LINE) if isinstance(value, str) else REFUSED


def _tag(value: Json) -> _Cleaned:
    return _short_text(value) if isinstance(value, str) else _number(value)


def _html(value: Json) -> _Cleaned:
    if not isinstance(value, str):
        return REFUSED
    cleaned = clean_html(value)
    return _NOT_SHOWN if cleaned is None or (value.strip() and not cleaned) else cleaned


def _matching(pattern: re.Pattern[str]) -> Callable[[Json], _Cleaned]:
    def rule(value: Json) -> _Cleaned:
        return value if isinstance(value, str) and pattern.fullmatch(value) else REFUSED

    return rule


_icon = _matching(_ICON)


def _all(rule: Callable[[Json], _Cleaned]) -> Callable[[Json], _Cleaned]:
    def rule_of_all(value: Json) -> _Cleaned:
        if not isinstance(value, list) or len(value) > _ITEMS:
            return REFUSED
        kept: list[Json] = []
        for item in value:
            cleaned = rule(item)
            if cleaned is REFUSED:
                return REFUSED
            kept.append(cleaned)
        return kept

    return rule_of_all


def _classes(value: Json) -> _Cleaned:
    if not isinstance(value, list):
        return REFUSED
    return [name for name in value if isinstance(name, str) and name in _CLASSES]


def _colour(value: Json) -> _Cleaned:
    return value if isinstance(value, str) and is_layout("color", value) else REFUSED


def _moment(value: Json) -> _Cleaned:
    if not isinstance(value, dict) or not value.keys() <= _MOMENT:
        return REFUSED
    return dict(value) if all(_integer(part) is not REFUSED for part in value.values()) else REFUSED


def _image_format(value: Json) -> _Cleaned:
    # An address would be loaded, whatever the value is; the data are checked in any case.
    return value if isinstance(value, str) and value in _IMAGE_FORMATS else "png"


def _files(value: Json) -> _Cleaned:
    if not isinstance(value, list) or len(value) > _ITEMS:
        return REFUSED
    return [_file(entry) for entry in value if isinstance(entry, dict)]


def _file(entry: dict[str, Json]) -> Json:
    kept: dict[str, Json] = {}
    for key in ("name", "type"):
        text = entry.get(key)
        kept[key] = clean_line(text, _LINE) if isinstance(text, str) else ""
    for key in _FILE:
        number = _integer(entry.get(key))
        kept[key] = 0 if number is REFUSED else number
    return kept


_RULES: Final[Mapping[str, Callable[[Json], _Cleaned]]] = {
    "classes": _classes,
    "colour": _colour,
    "dimension": _matching(_DIMENSION),
    "files": _files,
    "flag": _flag,
    "format": _matching(_FORMAT),
    "html": _html,
    "icon": _icon,
    "icons": _all(_icon),
    "image format": _image_format,
    "integer": _integer,
    "integers": _all(_integer),
    "label": _label,
    "labels": _all(_short_label),
    "line": _line,
    "moment": _moment,
    "never": _never,
    "number": _number,
    "numbers": _all(_number),
    "step": _step,
    "tags": _all(_tag),
    "text": _text,
    "texts": _all(_short_text),
    "types": _matching(_TYPES),
}
