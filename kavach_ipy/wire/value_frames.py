"""Frames that carry one value, or the reason why it cannot be carried.

A VALUE frame holds a pickle (see `kavach_ipy.wire.values`) and its out-of-band buffers, each either
in the frame itself or in the arena.

Guarantees: readers are strict, as those of `kavach_ipy.wire.messages`; spans are checked by the
arena when they are taken.
Assumes: nothing about what the texts and the pickle hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Frame, Kind
from kavach_ipy.wire.messages import take

__all__ = [
    "MAX_PARTS",
    "Carried",
    "Span",
    "Unsent",
    "carried_bytes",
    "read_carried",
    "read_unsent",
    "unsent_frame",
    "value_frame",
]

MAX_PARTS = 1 << 16
"""Parts of one value. An honest buffer that is a part of its own has 64 KiB or more."""

Span: TypeAlias = tuple[int, int]
"""Offset and length in the arena, in bytes."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A pickled value.

    Attributes:
        name: the variable.
        kind: the type's name.
        parts: the pickle, then its buffers in order: bytes, or a span of the arena.
    """

    name: str
    kind: str
    parts: tuple[bytes | memoryview | Span, ...]


@dataclass(frozen=True, slots=True)
class Unsent:
    """A value that stays in the sandbox: all of it text made there."""

    name: str
    kind: str
    reason: str
    remedy: str
    shown: str


def value_frame(carried: Carried) -> Frame:
    """Send a pickled value.

    Raises:
        ProtocolError: the other end would refuse it, as it has more than `MAX_PARTS`.
    """
    _check_number(len(carried.parts))
    places: list[Json] = []
    buffers: list[bytes | memoryview] = []
    for part in carried.parts:
        if isinstance(part, tuple):
            places.append([*part])
        else:
            places.append(None)
            buffers.append(part)
    body: dict[str, Json] = {"name": carried.name, "kind": carried.kind, "parts": places}
    return Frame(Kind.VALUE, body, tuple(buffers))


def read_carried(frame: Frame) -> Carried:
    """Read VALUE.

    Raises:
        ProtocolError: it is another frame, has more than `MAX_PARTS`, or its parts and buffers do
            not agree.
    """
    if frame.kind is not Kind.VALUE or frame.body.keys() != {"name", "kind", "parts"}:
        raise ProtocolError(0, frame.kind.name, "VALUE with name, kind and parts was due.")
    places = take(frame, frame.body, "parts", list)
    _check_number(len(places))
    buffers = iter(frame.buffers)
    parts: list[bytes | memoryview | Span] = []
    for place in places:
        if place is None:
            buffer = next(buffers, None)
            if buffer is None:
                raise ProtocolError(0, "VALUE", "more parts announced than buffers sent.")
            parts.append(buffer)
        else:
            parts.append(_read_span(place))
    if not parts or next(buffers, None) is not None:
        raise ProtocolError(0, "VALUE", f"{len(places)} parts, {len(frame.buffers)} buffers.")
    name, kind = take(frame, frame.body, "name", str), take(frame, frame.body, "kind", str)
    return Carried(name, kind, tuple(parts))


def carried_bytes(frame: Frame) -> int:
    """Return the bytes that a VALUE had on its way: of one that `read_carried` takes."""
    places = frame.body["parts"]
    assert isinstance(places, list)
    spans = sum(_read_span(place)[1] for place in places if place is not None)
    return spans + sum(len(buffer) for buffer in frame.buffers)


def unsent_frame(name: str, kind: str, reason: str, remedy: str = "", shown: str = "") -> Frame:
    """Say that a value stays in the sandbox, and why; the arguments are those of `Unsent`."""
    return Frame(
        Kind.UNSENT,
        {"name": name, "kind": kind, "reason": reason, "remedy": remedy, "shown": shown},
    )


def read_unsent(frame: Frame) -> Unsent:
    """Read UNSENT.

    Raises:
        ProtocolError: it is another frame, or not five texts.
    """
    keys = ("name", "kind", "reason", "remedy", "shown")
    if frame.kind is not Kind.UNSENT or frame.buffers or frame.body.keys() != set(keys):
        raise ProtocolError(0, frame.kind.name, f"UNSENT with {', '.join(keys)} was due.")
    return Unsent(*(take(frame, frame.body, key, str) for key in keys))


def _check_number(count: int) -> None:
    if count > MAX_PARTS:
        raise ProtocolError(0, "VALUE", f"{count} parts; {MAX_PARTS} are allowed.")


def _read_span(place: Json) -> Span:
    if type(place) is list and len(place) == 2:
        offset, length = place
        if type(offset) is int and type(length) is int and offset >= 0 and length >= 0:
            return offset, length
    raise ProtocolError(0, "VALUE", "a part is neither null nor [offset, length].")
