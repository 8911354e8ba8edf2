"""From a VALUE or UNSENT frame to a value, or to what stands for it.

Guarantees: only names that were asked for come out; whatever a value's bytes hold, the answer is a
value or a `Withheld`, and only frames that no honest child sends raise.
Assumes: the sandbox is dead and its arena sealed, so nothing changes while it is read.
"""

from __future__ import annotations

import warnings

from kavach_ipy.errors import OutputWithheld, ProtocolError
from kavach_ipy.gate.allowance import Allowance
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.gate.withheld import withheld
from kavach_ipy.wire.arena import SealedArena
from kavach_ipy.wire.frames import Frame, Kind
from kavach_ipy.wire.prices import BUFFER
from kavach_ipy.wire.value_frames import Carried, read_carried, read_unsent

__all__ = ["read_value"]


def read_value(
    frame: Frame,
    arena: SealedArena | None,
    asked: frozenset[str],
    allowance: Allowance | None = None,
    *,
    is_stock: bool = False,
) -> tuple[str, object]:
    """Return a name and its value, or its `Withheld`.

    Args:
        frame: VALUE or UNSENT.
        arena: where big buffers lie; None where the child had no arena.
        asked: the names that the user wrote, and `RESULT` where the result is wanted.
        allowance: what is left for all values of the run; a fresh one where it is None.
        is_stock: the cell ran with --trust, so its pickles are loaded by stock Python, which runs
            whatever they say.

    Raises:
        ProtocolError: the frame is broken, its spans are, or nobody asked for its name.
    """
    match frame.kind:
        case Kind.UNSENT:
            unsent = read_unsent(frame)
            _check_name(unsent.name, asked)
            return unsent.name, withheld(
                unsent.name, unsent.kind, unsent.reason, unsent.remedy, unsent.shown
            )
        case Kind.VALUE:
            carried = read_carried(frame)
            _check_name(carried.name, asked)
            return carried.name, _rebuild(carried, arena, allowance, is_stock=is_stock)
        case _:
            raise ProtocolError(0, frame.kind.name, "VALUE or UNSENT was due.")


def _rebuild(
    carried: Carried, arena: SealedArena | None, allowance: Allowance | None, *, is_stock: bool
) -> object:
    allowance = Allowance() if allowance is None else allowance
    first, *rest = carried.parts
    sizes = [part[1] if isinstance(part, tuple) else len(part) for part in carried.parts]
    # Buffers without bytes are short to write, and an object each.
    if not is_stock and not allowance.account.pays(sum(sizes), len(rest) * BUFFER):
        return withheld(carried.name, carried.kind, f"it has {len(rest)} buffers in few bytes")
    # The pickle itself is only looked at.
    data = _part(first, arena) if isinstance(first, tuple) else memoryview(first)
    buffers = [_part(part, arena) for part in rest]
    try:
        # A library's warning about what the cell made would look like the notebook's own.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if is_stock:
                # Only now: no process that never uses --trust holds an unpickler of ours.
                from kavach_ipy.gate.stock import read_stock  # noqa: PLC0415

                return read_stock(data, buffers)
            return read_pickle(data, buffers, allowance)
    except OutputWithheld as error:
        return withheld(carried.name, carried.kind, error.reason, error.remedy)


def _part(part: bytes | memoryview | tuple[int, int], arena: SealedArena | None) -> memoryview:
    if not isinstance(part, tuple):
        # An array uses the memory as its own, and the user may write to it.
        return memoryview(bytearray(part))
    if arena is None:
        raise ProtocolError(0, "VALUE", "a span of an arena where there is none.")
    return arena.view(*part)


def _check_name(name: str, asked: frozenset[str]) -> None:
    if name not in asked:
        raise ProtocolError(0, "VALUE", f"{ascii(name)[:80]} was not asked for.")
