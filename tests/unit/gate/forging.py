"""Tools of an attacker: pickles of any opcodes, and calls of tags with any arguments."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import metering

__all__ = ["Call", "forge", "is_refused", "paid", "program", "text"]


@dataclass(frozen=True)
class Call:
    """A call of a tag with arguments that its writer would never send."""

    tag: Callable[..., object]
    arguments: tuple[object, ...]


class _Forger(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        return (value.tag, value.arguments) if type(value) is Call else NotImplemented


def forge(value: object) -> bytes:
    """Pickle a value in which a Call may stand anywhere."""
    stream = io.BytesIO()
    _Forger(stream, 5).dump(value)
    return stream.getvalue()


def program(*parts: bytes) -> bytes:
    """Put opcodes between the head and STOP."""
    return b"\x80\x05" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def paid(data: bytes, room: int) -> tuple[bytes, tuple[bytes, ...]]:
    """Pay for a pickle that takes up to `room` bytes of the kernel's memory, as a writer does."""
    return metering.paid(data), (bytes(room // 3 + 1),)


def is_refused(data: bytes, *buffers: bytes) -> bool:
    """Tell whether the reader withholds it; any other exception is the test's failure."""
    try:
        read_pickle(data, buffers)
    except OutputWithheld:
        return True
    return False
