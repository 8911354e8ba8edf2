"""Values of a cell that is undone, on their way past its end into the session that goes on.

::

    cell ── pack ──▶ an arena ── the kernel's process, which reads nothing of it ──▶ session, unpack

Guarantees: nothing of what the cell wrote is unpickled; the gate reads it, as it reads what comes
back into a notebook, and only names that were asked for are assigned.
Assumes: runs in the session, on both sides of the cell's end; who wrote the arena is dead when it
is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kavach_ipy.errors import KavachError
from kavach_ipy.front.names import UNDEFINED, why_undefined
from kavach_ipy.front.words import say
from kavach_ipy.gate.inputs import read_packed
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.gate.withheld import Withheld
from kavach_ipy.wire.arena import ArenaWriter
from kavach_ipy.wire.frames import encode
from kavach_ipy.wire.values import encode_value, unsent_frame

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell
    from kavach_ipy.wire.value_frames import Span

__all__ = ["pack", "unpack"]


def pack(
    shell: Shell, names: Sequence[str], before: Mapping[str, int], arena: int, limit: int
) -> Span:
    """Write what stands behind names, and return where the frames of it lie.

    Args:
        shell: after the cell.
        names: what was asked for.
        before: ``id`` of what stood behind each name before the cell.
        arena: a descriptor of the memory for it, closed here.
        limit: bytes that it may hold.

    Raises:
        OutputWithheld: not even the frames fit.
    """
    writer = ArenaWriter(arena, limit)
    pieces: list[bytes | memoryview] = []
    try:
        for name in names:
            if name in shell.user_ns:
                frame = encode_value(name, shell.user_ns[name], writer)
            else:
                frame = unsent_frame(name, UNDEFINED, why_undefined(shell, before))
            pieces += encode(frame)
        return writer.put(b"".join(pieces))
    finally:
        os.close(arena)


def unpack(shell: Shell, names: Sequence[str], arena: int, span: Span, limit: int) -> None:
    """Assign what a cell has packed, and say what does not come back.

    Args:
        shell: of the session that goes on.
        names: what was asked for.
        arena: as `pack` was given it, closed here.
        span: what `pack` returned, by the word of the cell.
        limit: bytes that it may hold.
    """
    # Shows what came back, and is not needed before.
    from kavach_ipy.front.render import assign, explain_missing  # noqa: PLC0415

    try:
        found = dict(read_packed(arena, span, frozenset(names), limit, lives_on=True))
    except KavachError as error:
        say(f"not brought back: {', '.join(names)} ({error})", "stderr")
        return
    withheld = {name: value for name, value in found.items() if isinstance(value, Withheld)}
    values = {name: value for name, value in found.items() if name not in withheld}
    outcome = Outcome(values=values, withheld=withheld)
    assign(shell, outcome, names)
    explain_missing(outcome, names)
