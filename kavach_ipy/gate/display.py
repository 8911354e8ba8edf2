"""The display policy: what a page may be shown, by MIME type, as a table.

Guarantees: every message is rebuilt from nothing; data of a type that the table lacks never
passes, and one line of text says so; metadata are sizes only; display ids are ours.
Assumes: JupyterLab trusts what an executed cell shows, so what passes must be harmless there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, cast

from kavach_ipy.errors import ProtocolError
from kavach_ipy.gate.html import clean_html, svg_image
from kavach_ipy.gate.images import IMAGE_TYPES, check_image
from kavach_ipy.gate.text import clean_line, clean_text
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Message

__all__ = ["DisplayIds", "Shown", "ShownType", "show"]

ShownType: TypeAlias = Literal[
    "display_data", "update_display_data", "clear_output", "execute_result"
]
_Entry: TypeAlias = tuple[str, Json]
_Handler: TypeAlias = Callable[[Json], _Entry | None]

_TEXT: Final = 1 << 20
_IDS: Final = 10_000
_EDGE: Final = 10_000
_TYPES_NAMED: Final = 5
_NOTHING: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shown:
    """One message for the notebook, made by the gate.

    Attributes:
        msg_type: display_data, update_display_data, execute_result or clear_output.
        data: MIME type → content; empty for clear_output.
        metadata: MIME type → width and height, where the child gave them.
        transient: the display id, one of ours.
        wait: clear_output waits for the next output.
    """

    msg_type: ShownType
    data: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    metadata: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    transient: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    wait: bool = False


class DisplayIds:
    """The display ids of one run, each renamed, so that an update reaches only its own outputs."""

    __slots__ = ("_names", "_prefix")

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._names: dict[str, str] = {}

    def make(self, name: str) -> str | None:
        """Return our id for one that the cell shows; None when there are too many."""
        known = self._names.get(name)
        if known is None and len(self._names) < _IDS:
            known = self._names[name] = f"kavach-{self._prefix}-{len(self._names)}"
        return known

    def find(self, name: str) -> str | None:
        """Return our id for one that the cell has shown before, or None."""
        return self._names.get(name)


def show(message: Message, ids: DisplayIds) -> Shown | None:
    """Rebuild a message for the notebook.

    Returns:
        What to show; None for what is not shown: an update of an output that this cell did not
        make, comm messages, and streams and errors, which have ways of their own.

    Raises:
        ProtocolError: the content has not the form of the messaging protocol.
    """
    content = message.content
    match message.msg_type:
        case "clear_output":
            return Shown("clear_output", wait=content.get("wait") is True)
        case "display_data" | "execute_result":
            name = _display_id(content)
            known = None if name is None else ids.make(name)
        case "update_display_data":
            name = _display_id(content)
            known = None if name is None else ids.find(name)
            if known is None:
                return None
        case "comm_close" | "comm_msg" | "comm_open" | "error" | "stream":
            return None
    data = _record(content, "data")
    return Shown(
        message.msg_type,
        rebuilt := _rebuild(data),
        _sizes(_record(content, "metadata"), rebuilt),
        {} if known is None else {"display_id": known},
    )


def _rebuild(data: dict[str, Json]) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    refused: list[str] = []
    for mime, value in data.items():
        handler = _POLICY.get(mime)
        entry = handler(value) if handler else None
        if entry is None:
            refused.append(mime)
        elif entry[0] not in kept or mime == entry[0]:
            kept[entry[0]] = entry[1]
    # A text that only names a class of IPython's says less than the source it stands for.
    source = next((data[mime] for mime in _SOURCES if isinstance(data.get(mime), str)), None)
    plain = data.get("text/plain")
    if isinstance(source, str) and (plain is None or str(plain).startswith("<IPython.core.")):
        kept["text/plain"] = clean_text(source, _TEXT)
    if refused and not kept.keys() - {"text/plain"}:
        text = kept.get("text/plain")
        kept["text/plain"] = f"{text}\n{_refusal(refused)}" if text else _refusal(refused)
    kept.setdefault("text/plain", "")
    return kept


def _refusal(refused: list[str]) -> str:
    names = ", ".join(clean_line(mime, 60) for mime in sorted(refused)[:_TYPES_NAMED])
    more = ", …" if len(refused) > _TYPES_NAMED else ""
    return f"[not shown: {names}{more}; the sandbox passes text, tables and images]"


def _text(value: Json) -> _Entry | None:
    return ("text/plain", clean_text(value, _TEXT)) if isinstance(value, str) else None


def _html(value: Json) -> _Entry | None:
    cleaned = clean_html(value) if isinstance(value, str) else None
    # Nothing of it was left to see: then the text must be, which a page shows only without HTML.
    is_lost = cleaned is not None and not cleaned.strip() and bool(str(value).strip())
    return None if cleaned is None or is_lost else ("text/html", cleaned)


def _svg(value: Json) -> _Entry | None:
    image = svg_image(value) if isinstance(value, str) else None
    return None if image is None else ("text/html", image)


def _image(mime: str) -> _Handler:
    def handle(value: Json) -> _Entry | None:
        data = check_image(mime, value) if isinstance(value, str) else None
        return None if data is None else (mime, data)

    return handle


def _json(value: Json) -> _Entry | None:
    return "application/json", _clean_json(value)


def _clean_json(value: Json) -> Json:
    # Its depth was capped by the wire (kavach_ipy.wire.documents).
    if isinstance(value, str):
        return clean_text(value, _TEXT)
    if isinstance(value, list):
        return [_clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key, 1000): _clean_json(item) for key, item in value.items()}
    return value


_POLICY: Final[Mapping[str, _Handler]] = {
    "application/json": _json,
    "image/svg+xml": _svg,
    "text/html": _html,
    "text/plain": _text,
    **{mime: _image(mime) for mime in sorted(IMAGE_TYPES)},
    # As text until the gate has a renderer of its own.
    "text/latex": _text,
    "text/markdown": _text,
}
_SOURCES: Final = ("text/markdown", "text/latex")


def _display_id(content: Mapping[str, Json]) -> str | None:
    transient = content.get("transient")
    name = transient.get("display_id") if isinstance(transient, dict) else None
    return name if isinstance(name, str) else None


def _sizes(metadata: dict[str, Json], data: Mapping[str, Json]) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for mime in data.keys() & IMAGE_TYPES:
        given = metadata.get(mime)
        if isinstance(given, dict):
            sizes: dict[str, Json] = {}
            for key in ("width", "height"):
                number = given.get(key)
                # A bool is an int to isinstance.
                if type(number) in (int, float) and 0 < cast("float", number) <= _EDGE:
                    sizes[key] = number
            if sizes:
                kept[mime] = sizes
    return kept


def _record(content: Mapping[str, Json], key: str) -> dict[str, Json]:
    value = content.get(key)
    if type(value) is not dict:
        raise ProtocolError(0, "MESSAGE", f"{key} is a {type(value).__name__}; dict is allowed.")
    return value
