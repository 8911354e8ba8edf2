"""The display policy: what a page may be shown, by MIME type, as a table.

Guarantees: every message is rebuilt from nothing; data of a type that the table lacks never
passes, and one line of text says so; metadata are sizes only; display ids are ours.
Assumes: JupyterLab trusts what an executed cell shows, so what passes must be harmless there.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, Protocol, TypeAlias, cast

from kavach_ipy.errors import ProtocolError
from kavach_ipy.gate.html import clean_html, svg_image
from kavach_ipy.gate.images import IMAGE_TYPES, check_image
from kavach_ipy.gate.markdown import markdown_html
from kavach_ipy.gate.mathematics import is_harmless
from kavach_ipy.gate.mimes import NO_SESSION, WIDGET_VIEW, DisplayPolicy, MimeRule, Treatment
from kavach_ipy.gate.plots import plotly_html
from kavach_ipy.gate.text import clean_line, clean_text
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Message

__all__ = ["DisplayIds", "Shown", "ShownType", "Views", "show"]

ShownType: TypeAlias = Literal[
    "display_data", "update_display_data", "clear_output", "execute_result"
]
_Entry: TypeAlias = tuple[str, Json]
_Handler: TypeAlias = Callable[[str, Json], _Entry | None]

_TEXT: Final = 1 << 20
_IDS: Final = 10_000
_EDGE: Final = 10_000
_TYPES_NAMED: Final = 5
_JSON_ITEMS: Final = 20_000
"""Items, and each 64 characters as one more: a page makes an element for each that is opened."""
_SPOILT: Final = "it is not what its type says, or nothing of it may be shown, or it is too large"
_TABLE: Final = DisplayPolicy()
_PLOTLY: Final = "application/vnd.plotly.v1+json"
_TAG: Final = re.compile(r"<[^>]*>")
_DRAWN: Final = re.compile(r"<(?:hr|img|table)\b| style=")
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
        needs_plotly: it is drawn where the page has `kavach_ipy.gate.plots.plotly_library`.
    """

    msg_type: ShownType
    data: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    metadata: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    transient: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    wait: bool = False
    needs_plotly: bool = False


class DisplayIds:
    """The display ids of one run, each renamed, so that an update reaches only its own outputs.

    A session may show any number of them; the oldest are forgotten, and updated no more.
    """

    __slots__ = ("_made", "_names", "_prefix")

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._names: dict[str, str] = {}
        self._made = 0

    def make(self, name: str) -> str:
        """Return our id for one that the cell shows."""
        known = self._names.pop(name, None)
        if known is None:
            known = f"kavach-{self._prefix}-{self._made}"
            self._made += 1
            while len(self._names) >= _IDS:
                del self._names[next(iter(self._names))]
        # What was shown last goes last.
        self._names[name] = known
        return known

    def find(self, name: str) -> str | None:
        """Return our id for one that the cell has shown before, or None."""
        return self._names.get(name)


class Views(Protocol):
    """The widgets of a session that lives on, as far as displays are concerned with them."""

    def view(self, value: Json) -> dict[str, Json] | None:
        """Return a reference to a widget as the page knows it, or None for what may not be shown.

        Called once for each place where a widget is displayed.
        """

    def cleared(self) -> None:
        """Hear that what a cell, or an `Output` widget, shows is cleared."""


def show(
    message: Message,
    ids: DisplayIds,
    policy: DisplayPolicy = _TABLE,
    views: Views | None = None,
) -> Shown | None:
    """Rebuild a message for the notebook.

    Args:
        message: what the cell sent.
        ids: the display ids of its run.
        policy: what it may show.
        views: the widgets of its session; None where its process ends with it.

    Returns:
        What to show; None for what is not shown: an update of an output that this cell did not
        make, comm messages, and streams and errors, which have ways of their own.

    Raises:
        ProtocolError: the content has not the form of the messaging protocol.
    """
    content = message.content
    match message.msg_type:
        case "clear_output":
            if views is not None:
                views.cleared()
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
    data, metadata = _record(content, "data"), _record(content, "metadata")
    transient: dict[str, Json] = {} if known is None else {"display_id": known}
    if policy.is_trusted:
        if views is not None and WIDGET_VIEW in data:
            # A page knows widgets by names of ours, whatever it trusts.
            data = data | {WIDGET_VIEW: views.view(data[WIDGET_VIEW])}
        return Shown(message.msg_type, data, metadata, transient)
    rebuilt = _rebuild(data, policy, views)
    figure = rebuilt.pop(_PLOTLY, None)
    if figure is not None:
        # It says all that its own HTML would, which is a program for the page.
        rebuilt["text/html"] = figure
    return Shown(
        message.msg_type,
        rebuilt,
        _sizes(metadata, rebuilt),
        transient,
        needs_plotly=figure is not None,
    )


def _rebuild(data: dict[str, Json], policy: DisplayPolicy, views: Views | None) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    refused: dict[str, MimeRule] = {}
    for mime, value in data.items():
        rule = policy.rule(mime)
        if rule.treatment == "widget":
            rule = NO_SESSION if views is None else rule
            view = None if views is None else views.view(value)
            entry: _Entry | None = None if view is None else (mime, view)
        else:
            entry = _HANDLERS[rule.treatment](mime, value)
        if entry is None:
            refused[mime] = rule
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


def _refusal(refused: dict[str, MimeRule]) -> str:
    """One line: which types, why, and what would be shown."""
    reasons: dict[str, list[str]] = {}
    for mime, rule in sorted(refused.items())[:_TYPES_NAMED]:
        reason = rule.becomes if rule.treatment == "withheld" else _SPOILT
        reasons.setdefault(reason, []).append(clean_line(mime, 60))
    told = "; ".join(f"{', '.join(mimes)}: {reason}" for reason, mimes in reasons.items())
    more = ", …" if len(refused) > _TYPES_NAMED else ""
    remedies = list(dict.fromkeys(rule.remedy for rule in refused.values() if rule.remedy))
    advice = f"; {remedies[0]}" if remedies else ""
    return f"[not shown: {told}{more}{advice}]"


def _text(_: str, value: Json) -> _Entry | None:
    return ("text/plain", clean_text(value, _TEXT)) if isinstance(value, str) else None


def _html(_: str, value: Json) -> _Entry | None:
    cleaned = clean_html(value) if isinstance(value, str) else None
    if cleaned is None or (not _is_visible(cleaned) and value):
        # Nothing is left of what was a program alone.
        return None
    return "text/html", cleaned


def _is_visible(markup: str) -> bool:
    return _DRAWN.search(markup) is not None or bool(_TAG.sub("", markup).strip())


def _markdown(_: str, value: Json) -> _Entry | None:
    rendered = markdown_html(value) if isinstance(value, str) else None
    return None if rendered is None else ("text/html", rendered)


def _latex(_: str, value: Json) -> _Entry | None:
    if not isinstance(value, str):
        return None
    cleaned = clean_text(value, _TEXT)
    return ("text/latex", cleaned) if is_harmless(cleaned) else None


def _svg(_: str, value: Json) -> _Entry | None:
    image = svg_image(value) if isinstance(value, str) else None
    return None if image is None else ("text/html", image)


def _image(mime: str, value: Json) -> _Entry | None:
    data = check_image(mime, value) if isinstance(value, str) else None
    return None if data is None else (mime, data)


def _json(_: str, value: Json) -> _Entry | None:
    # Its depth was capped by the wire (kavach_ipy.wire.documents).
    if _count(value, _JSON_ITEMS) < 0:
        return None
    return "application/json", _clean_json(value)


def _count(value: Json, left: int) -> int:
    """Take the items and a share of the texts of a value from a number; below zero is too many."""
    if isinstance(value, str):
        return left - 1 - (len(value) >> 6)
    if isinstance(value, list):
        for item in value:
            left = _count(item, left)
            if left < 0:
                break
    elif isinstance(value, dict):
        for key, item in value.items():
            left = _count(item, left - (len(key) >> 6))
            if left < 0:
                break
    return left - 1


def _clean_json(value: Json) -> Json:
    if isinstance(value, str):
        return clean_text(value, _TEXT)
    if isinstance(value, list):
        return [_clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key, 1000): _clean_json(item) for key, item in value.items()}
    return value


def _plotly(_: str, value: Json) -> _Entry | None:
    drawn = plotly_html(value)
    return None if drawn is None else (_PLOTLY, drawn)


def _withheld(_: str, __: Json) -> None:
    return None


_HANDLERS: Final[Mapping[Treatment, _Handler]] = {
    "html": _html,
    "image": _image,
    "json": _json,
    "latex": _latex,
    "markdown": _markdown,
    "plotly": _plotly,
    "svg": _svg,
    "text": _text,
    "widget": _withheld,
    "withheld": _withheld,
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
