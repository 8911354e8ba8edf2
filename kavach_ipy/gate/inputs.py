"""Inputs, read in the clean cell that they were packed for.

Guarantees: all of them, or `OutputWithheld` that names the first that cannot be made here.
Assumes: called in the cell, after "go"; what is read is the notebook's, so the reader guards
against mistakes here, and not against an attacker.
"""

from __future__ import annotations

from collections.abc import Iterator

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.values import read_value
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.frames import Decoder, Frame

__all__ = ["read_inputs"]

_SECONDS = 600.0


def read_inputs(
    fd: int, frames: tuple[int, int], names: frozenset[str], limit: int
) -> dict[str, object]:
    """Return what `wire.inputs.pack_inputs` packed, by name; the descriptor is closed.

    Args:
        fd: the sealed memory.
        frames: where the frames lie in it.
        names: what must be there.
        limit: bytes that it may hold.

    Raises:
        OutputWithheld: a value cannot be made in this process.
        ProtocolError: the memory is not what `pack_inputs` makes.
    """
    found: dict[str, object] = {}
    # The cell waits for what it was given, and a first value may import its whole library.
    allowance = Allowance(_SECONDS, limit)
    with Arena(fd, limit).seal() as sealed:
        for frame in _frames(bytes(sealed.view(*frames))):
            name, value = read_value(frame, sealed, names, allowance)
            if isinstance(value, Withheld):
                raise OutputWithheld(name, value.kind, value.reason, value.remedy)
            found[name] = value
    return found


def _frames(data: bytes) -> Iterator[Frame]:
    decoder = Decoder()
    yield from decoder.feed(data)
    if decoder.broken is not None:
        raise decoder.broken
