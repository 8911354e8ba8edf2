"""The form of comm messages: states with their binary parts, in and out.

ipywidgets sends binary values apart: `buffer_paths` says where in the state each buffer belongs
(jupyter-widgets, packages/schema/messages.md). No trait that passes holds one anywhere but as its
whole value, so paths of one key are followed, and others lead nowhere.

Guarantees: messages are made anew; a path that does not fit puts nothing anywhere.
Assumes: contents are plain, as `kavach_ipy.wire.documents` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from kavach_ipy.gate.widgets import Given, State
from kavach_ipy.wire.documents import Json

__all__ = [
    "Buffers",
    "CommMessage",
    "Heard",
    "closed",
    "opened",
    "parts",
    "updated",
    "with_buffers",
]

CommType: TypeAlias = Literal["comm_open", "comm_msg", "comm_close"]
Buffers: TypeAlias = "Sequence[bytes | memoryview]"

_VERSION: Final = "2.1.0"


@dataclass(frozen=True, slots=True)
class CommMessage:
    """A message made by the gate, without headers.

    Attributes:
        msg_type: comm_open, comm_msg or comm_close.
        content: as the messaging protocol has it, with the receiver's name of the comm.
        metadata: the version of the widgets' protocol.
        buffers: what the paths in `content` put into its state.
        parent: what `Comms.from_session` was given as the parent of the latest part of it.
    """

    msg_type: CommType
    content: dict[str, Json]
    metadata: dict[str, Json] = field(default_factory=dict)
    buffers: tuple[bytes | memoryview, ...] = ()
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What becomes of one message.

    Attributes:
        messages: what is to be sent now, in order.
        reason: one line about what is not, the first time that it is so; else empty.
    """

    messages: tuple[CommMessage, ...] = ()
    reason: str = ""


def opened(name: str, target: str, state: State, parent: str) -> CommMessage:
    """Return the message that opens a widget's comm on the page."""
    plain, keys, buffers = parts(state)
    data: dict[str, Json] = {"state": plain, "buffer_paths": [[key] for key in keys]}
    # A page loads the module that target_module names, from anywhere.
    content: dict[str, Json] = {
        "comm_id": name, "target_name": target, "target_module": None, "data": data,
    }  # fmt: skip
    return CommMessage("comm_open", content, {"version": _VERSION}, buffers, parent)


def updated(name: str, state: State, parent: str, method: str = "update") -> CommMessage:
    """Return the message that changes a widget's state on the page."""
    plain, keys, buffers = parts(state)
    paths: list[Json] = [[key] for key in keys]
    data: dict[str, Json] = {"method": method, "state": plain, "buffer_paths": paths}
    return CommMessage("comm_msg", {"comm_id": name, "data": data}, {}, buffers, parent)


def closed(name: str, parent: str = "") -> CommMessage:
    """Return the message that closes a comm."""
    return CommMessage("comm_close", {"comm_id": name, "data": {}}, {}, (), parent)


def parts(state: State) -> tuple[dict[str, Json], tuple[str, ...], tuple[bytes, ...]]:
    """Return a state without its binary values, their keys, and the values."""
    binary = {key: value for key, value in state.items() if isinstance(value, bytes)}
    plain = {key: value for key, value in state.items() if not isinstance(value, bytes)}
    return plain, tuple(binary), tuple(binary.values())


def with_buffers(
    state: Mapping[str, Json], paths: Json, buffers: Buffers, below: tuple[str, ...] = ()
) -> Given:
    """Return a state with its binary values in their places.

    Args:
        state: what was sent of it.
        paths: where in the message each buffer belongs.
        buffers: the binary values.
        below: where in the message the state stands.
    """
    given: dict[str, Json | bytes | memoryview] = dict(state)
    if not isinstance(paths, list):
        return given
    start, end = list(below), len(below)
    for path, buffer in zip(paths, buffers, strict=False):
        if isinstance(path, list) and len(path) == end + 1 and path[:end] == start:
            key = path[end]
            if isinstance(key, str):
                given[key] = buffer
    return given
