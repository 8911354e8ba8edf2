"""Outputs that an `Output` widget holds: notebook documents' outputs, each rebuilt by the gate.

JupyterLab trusts what such a widget holds as it trusts what a cell shows.

Guarantees: an output passes as the message that it stands for would, or not at all; what comes
after two million characters to be read does not.
Assumes: the form of outputs of notebook format 4.
"""

from __future__ import annotations

from typing import Final

from kavach_ipy.errors import ProtocolError
from kavach_ipy.gate.display import DisplayIds, Views, show
from kavach_ipy.gate.failures import shown_failure
from kavach_ipy.gate.images import IMAGE_TYPES
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.text import clean_text
from kavach_ipy.gate.widget_values import size_of
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Message, read_error

__all__ = ["clean_outputs"]

_MOST: Final = 1000
_TEXT: Final = 1 << 20
_COSTLY: Final = 2 << 20
"""Characters of all that the gate has to read; pictures are looked at by their heads."""
_STREAMS: Final = ("stdout", "stderr")


def clean_outputs(value: Json, policy: DisplayPolicy, views: Views) -> list[Json] | None:
    """Return what may be shown of a list of outputs, or None where it is none or too long."""
    if not isinstance(value, list) or len(value) > _MOST:
        return None
    kept: list[Json] = []
    left = _COSTLY
    for output in value:
        if isinstance(output, dict):
            left -= _cost(output.get("data"))
            if left < 0:
                break
            try:
                cleaned = _clean(output, policy, views)
            except ProtocolError:
                continue
            if cleaned is not None:
                kept.append(cleaned)
    return kept


def _cost(data: Json) -> int:
    if not isinstance(data, dict):
        return 0
    return sum(size_of(data[mime]) for mime in data if mime not in IMAGE_TYPES)


def _clean(output: dict[str, Json], policy: DisplayPolicy, views: Views) -> Json:
    match output.get("output_type"):
        case "stream":
            name, text = output.get("name"), output.get("text")
            if name not in _STREAMS or not isinstance(text, str):
                return None
            return {"output_type": "stream", "name": name, "text": clean_text(text, _TEXT)}
        case "error":
            content = {key: output.get(key) for key in ("ename", "evalue", "traceback")}
            failure = shown_failure(read_error(Message("error", content, {})))
            return {
                "output_type": "error",
                "ename": failure.name,
                "evalue": failure.text,
                "traceback": list(failure.lines),
            }
        case "display_data" | "execute_result":
            content = {"data": output.get("data"), "metadata": output.get("metadata", {})}
            shown = show(Message("display_data", content, {}), DisplayIds(), policy, views)
            if shown is None:
                return None
            return {
                "output_type": "display_data",
                "data": dict(shown.data),
                "metadata": dict(shown.metadata),
            }
        case _:
            return None
