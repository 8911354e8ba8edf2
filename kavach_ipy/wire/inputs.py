"""Values on their way into a fresh interpreter, in memory that is sealed before anybody reads it.

::

    kernel process  pack_inputs(values) ── sealed memfd ──▶ clean cell  gate.inputs.read_inputs

What a session is given is not sealed but for growth, and taken back when the cell is over.

They are the frames of values that come back, in the other direction: big buffers lie in an arena,
and the frames behind them in the same one.

Guarantees: all that was given is in it, or an error that names the variable; nothing has run then.
Assumes: the values are the notebook's own, and nobody changes them meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kavach_ipy.errors import OutputWithheld, PolicyError
from kavach_ipy.wire.arena import Arena, ArenaWriter
from kavach_ipy.wire.frames import Frame, Kind, encode
from kavach_ipy.wire.value_frames import Span, read_carried, read_unsent
from kavach_ipy.wire.values import encode_value

__all__ = ["PackedInputs", "pack_inputs"]

_NOTHING = "Nothing ran."


@dataclass(frozen=True, slots=True)
class PackedInputs:
    """Values that are ready to go in."""

    arena: Arena
    """The caller's to close."""

    frames: Span
    """Where the frames lie, one after the other."""


def pack_inputs(
    values: Mapping[str, object],
    limit: int,
    forbidden: Sequence[bytes] = (),
    *,
    lives_on: bool = False,
) -> PackedInputs:
    """Encode variables, and seal them.

    Args:
        values: by name.
        limit: bytes that they may take in all: the memory of the cell, which holds them.
        forbidden: bytes that none of them may hold: known secrets.
        lives_on: they go to a session, and the memory is to be released when its cell is over.

    Raises:
        PolicyError: naming a value of a type that does not cross, one that is too large, or one
            that holds what is forbidden.
    """
    arena = Arena.create(limit)
    try:
        writer = ArenaWriter(arena.fd, limit, "go in")
        span = _pack(values, writer, forbidden)
        if lives_on:
            writer.stop_growing()
        else:
            writer.finish()
        return PackedInputs(arena, span)
    except BaseException:
        arena.close()
        raise


def _pack(values: Mapping[str, object], writer: ArenaWriter, forbidden: Sequence[bytes]) -> Span:
    pieces: list[bytes | memoryview] = []
    for name, value in values.items():
        frame = encode_value(name, value, writer)
        if frame.kind is Kind.UNSENT:
            raise _refused(frame)
        frame_pieces = encode(frame)
        for secret in forbidden:
            is_apart = writer.holds(secret, _spans(frame))
            if is_apart or any(secret in bytes(piece) for piece in frame_pieces):
                raise PolicyError(
                    "inputs",
                    name,
                    f"it holds a value of known_secrets; no cell gets it. {_NOTHING}",
                )
        pieces += frame_pieces
    try:
        span = writer.put(b"".join(pieces))
    except OutputWithheld as error:
        raise PolicyError(
            "inputs", ", ".join(values), f"together, {error.reason}: {error.remedy}. {_NOTHING}"
        ) from None
    return span


def _spans(frame: Frame) -> list[Span]:
    return [part for part in read_carried(frame).parts if isinstance(part, tuple)]


def _refused(frame: Frame) -> PolicyError:
    unsent = read_unsent(frame)
    remedy = f"; {unsent.remedy}" if unsent.remedy else ""
    reason = f"a {unsent.kind} does not go into a fresh interpreter: {unsent.reason}{remedy}"
    return PolicyError("inputs", unsent.name, f"{reason}. {_NOTHING}")
