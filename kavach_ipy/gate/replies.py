"""What a session answers, as a front end may be told: each reply rebuilt from nothing.

Guarantees: a reply has the keys of the messaging protocol and no others; texts and displays went
through the gate; only what was asked for is answered; of payloads nothing is left but that the cell
asked to end the kernel, as ``exit`` does.
Assumes: nothing of what the session says; what was asked comes from the kernel's process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from kavach_ipy.errors import ProtocolError
from kavach_ipy.gate.display import DisplayIds, show
from kavach_ipy.gate.failures import shown_failure
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.text import clean_line
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Failure, Message

__all__ = ["Executed", "completed", "executed", "failed", "inspected", "packed"]

_COUNT: Final = 1 << 31
_SIZE: Final = 1 << 62
_MATCHES: Final = 10_000
_MATCH: Final = 2000
_TYPES: Final = "_jupyter_types_experimental"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Executed:
    """The reply to an ``execute_request``."""

    content: dict[str, Json]
    count: int
    """The prompt number that the session was at."""

    keeps_kernel: bool | None = None
    """The cell called ``exit``: whether it asked for the kernel to go on; None where it did not."""


def executed(
    content: Mapping[str, Json], asked: Collection[str], policy: DisplayPolicy
) -> Executed:
    """Rebuild the reply to an ``execute_request``.

    Args:
        content: what the session says.
        asked: the names of the user expressions that were asked for.
        policy: what they may show.

    Raises:
        ProtocolError: it has not the form of the messaging protocol.
    """
    count = _take(content, "execution_count", int, -1)
    if not -1 <= count < _COUNT:
        raise _broken(f"an execution count of {count}")
    payload = _take(content, "payload", list, [])
    ends = [it for it in payload if isinstance(it, dict) and it.get("source") == "ask_exit"]
    keeps = ends[-1].get("keepkernel") is True if ends else None
    reply: dict[str, Json] = {"execution_count": count, "payload": [], "user_expressions": {}}
    if keeps is not None:
        reply["payload"] = [{"source": "ask_exit", "keepkernel": keeps}]
    if _take(content, "status", str) != "ok":
        return Executed(reply | failed(content), count, keeps)
    found = _take(content, "user_expressions", dict, {})
    shown: dict[str, Json] = {
        name: _expression(found[name], policy) for name in asked if name in found
    }
    return Executed(reply | {"status": "ok", "user_expressions": shown}, count, keeps)


def packed(content: Mapping[str, Json]) -> list[Json]:
    """Return where a cell that is undone has put its values; nobody here reads there.

    Raises:
        ProtocolError: that is no place.
    """
    found = _take(content, "packed", list)
    if len(found) != 2 or not all(type(it) is int and 0 <= it < _SIZE for it in found):
        raise _broken(f"values at {found!r:.80}")
    return found


def failed(content: Mapping[str, Json]) -> dict[str, Json]:
    """Rebuild what a reply says of an error."""
    lines = _take(content, "traceback", list, [])
    failure = shown_failure(
        Failure(
            _take(content, "ename", str),
            _take(content, "evalue", str),
            tuple(line for line in lines if isinstance(line, str)),
        )
    )
    return {
        "status": "error",
        "ename": failure.name,
        "evalue": failure.text,
        "traceback": list(failure.lines),
    }


def completed(content: Mapping[str, Json], length: int) -> dict[str, Json]:
    """Rebuild the reply to a ``complete_request``.

    Args:
        content: what the session says.
        length: of the code, beyond which no cursor stands.

    Raises:
        ProtocolError: it has not the form of the messaging protocol.
    """
    matches = [it for it in _take(content, "matches", list, [])[:_MATCHES] if _is_plain(it)]
    start, end = _place(content, "cursor_start", length), _place(content, "cursor_end", length)
    metadata = _take(content, "metadata", dict, {})
    kinds: list[Json] = []
    for it in _take(metadata, _TYPES, list, [])[:_MATCHES]:
        if isinstance(it, dict) and all(_is_plain(it.get(key)) for key in ("text", "type")):
            signature = it.get("signature")
            kinds.append(
                {
                    "start": _place(it, "start", length),
                    "end": _place(it, "end", length),
                    "text": it["text"],
                    "type": it["type"],
                    "signature": _line(signature),
                }
            )
    return {
        "status": "ok",
        "matches": matches,
        "cursor_start": min(start, end),
        "cursor_end": end,
        "metadata": {_TYPES: kinds},
    }


def inspected(content: Mapping[str, Json], policy: DisplayPolicy) -> dict[str, Json]:
    """Rebuild the reply to an ``inspect_request``.

    Raises:
        ProtocolError: it has not the form of the messaging protocol.
    """
    if content.get("found") is not True:
        return {"status": "ok", "found": False, "data": {}, "metadata": {}}
    data, metadata = _shown(content, policy)
    return {"status": "ok", "found": True, "data": data, "metadata": metadata}


def _expression(value: Json, policy: DisplayPolicy) -> Json:
    if not isinstance(value, dict):
        raise _broken(f"a user expression that is a {type(value).__name__}")
    if value.get("status") != "ok":
        return failed(value)
    data, metadata = _shown(value, policy)
    return {"status": "ok", "data": data, "metadata": metadata}


def _shown(
    content: Mapping[str, Json], policy: DisplayPolicy
) -> tuple[dict[str, Json], dict[str, Json]]:
    bundle: dict[str, Json] = {
        "data": _take(content, "data", dict, {}),
        "metadata": _take(content, "metadata", dict, {}),
    }
    shown = show(Message("display_data", bundle, {}), DisplayIds(), policy)
    return ({}, {}) if shown is None else (dict(shown.data), dict(shown.metadata))


def _line(value: Json) -> str:
    return clean_line(value, _MATCH) if isinstance(value, str) else ""


def _is_plain(value: Json) -> bool:
    """Tell whether a text is one line that the filter leaves as it is."""
    return isinstance(value, str) and len(value) <= _MATCH and clean_line(value, _MATCH) == value


def _place(record: Mapping[str, Json], key: str, length: int) -> int:
    return max(0, min(_take(record, key, int), length))


def _take(record: Mapping[str, Json], key: str, kind: type[_T], default: _T | None = None) -> _T:
    value = record.get(key, cast("Json", default))
    # isinstance would take True for an int.
    if type(value) is not kind:
        raise _broken(f"{key} is a {type(value).__name__}; {kind.__name__} is allowed")
    return value


def _broken(detail: str) -> ProtocolError:
    return ProtocolError(0, "REPLY", f"{detail}.")
