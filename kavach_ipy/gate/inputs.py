"""Inputs, read in the clean cell that they were packed for.

Guarantees: all of them, or `OutputWithheld` that names the first that cannot be made here.
Assumes: called in the cell, after "go". What `read_inputs` reads is the notebook's, so the reader
guards against mistakes there, and not against an attacker; who packed for `read_packed` is hostile.
"""

from __future__ import annotations

from collections.abc import Iterator

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.values import read_value
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.frames import Decoder, Frame

__all__ = ["read_inputs", "read_packed"]

_SECONDS = 600.0


def read_inputs(
    fd: int,
    frames: tuple[int, int],
    names: frozenset[str],
    limit: int,
    *,
    lives_on: bool,
) -> dict[str, object]:
    """Return what `wire.inputs.pack_inputs` packed, by name; the descriptor is closed.

    Args:
        fd: the sealed memory.
        frames: where the frames lie in it.
        names: what must be there.
        limit: bytes that it may hold.
        lives_on: as for `read_packed`.

    Raises:
        OutputWithheld: a value cannot be made in this process.
        ProtocolError: the memory is not what `pack_inputs` makes.
    """
    found: dict[str, object] = {}
    # The cell waits for what it was given, and a first value may import its whole library.
    allowance = Allowance(_SECONDS, limit)
    for name, value in read_packed(fd, frames, names, limit, allowance, lives_on=lives_on):
        if isinstance(value, Withheld):
            raise OutputWithheld(name, value.kind, value.reason, value.remedy)
        found[name] = value
    return found


def read_packed(  # noqa: PLR0913 - memory, what lies in it, and what it may become
    fd: int,
    frames: tuple[int, int],
    names: frozenset[str],
    limit: int,
    allowance: Allowance | None = None,
    *,
    lives_on: bool,
) -> Iterator[tuple[str, object]]:
    """Yield each name with its value, or its `Withheld`; the descriptor is closed.

    Args:
        fd: memory that nobody writes to any more; it is sealed here, or emptied.
        frames: where the frames lie in it.
        names: what may be there.
        limit: bytes that it may hold.
        allowance: what is left for all values of the run; a fresh one where it is None.
        lives_on: this process is a session's, which copies it; else its values use it as theirs.

    Raises:
        ProtocolError: the memory is not what an honest process makes.
    """
    allowance = Allowance() if allowance is None else allowance
    with Arena(fd, limit) as arena, arena.take() if lives_on else arena.seal() as sealed:
        for frame in _frames(bytes(sealed.view(*frames))):
            yield read_value(frame, sealed, names, allowance)


def _frames(data: bytes) -> Iterator[Frame]:
    decoder = Decoder()
    yield from decoder.feed(data)
    if decoder.broken is not None:
        raise decoder.broken
