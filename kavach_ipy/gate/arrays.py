"""Rules for the tags of NumPy (`kavach_ipy.wire.arrays`).

Guarantees: a dtype is one of a closed set of texts; the shape accounts for every byte of the
buffer; booleans are 0 or 1 and characters are code points, which NumPy itself would not check.
Assumes: buffers are the reader's own, or a sealed arena's: their bytes change no more.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any, Final, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.gate.builders import BUFFERS
from kavach_ipy.gate.rules import Arguments, exactly, rules
from kavach_ipy.wire import arrays

if TYPE_CHECKING:
    import numpy as np

    from kavach_ipy.wire.tags import Buffer

__all__ = ["RULES"]

_UNIT: Final = r"(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)"
_DTYPE: Final = re.compile(
    r"[<>|](?:b1|[iu][1248]|f[248]|c8|c16|S[1-9]\d{0,8}|U[1-9]\d{0,8}"
    rf"|[mM]8(?:\[(?:[1-9]\d{{0,5}})?{_UNIT}\])?)",
    re.ASCII,
)
# NumPy 1 allows 32 axes, NumPy 2 64; a writer under either must be readable under either.
_AXES: Final = 32


def _dtype(text: str) -> np.dtype[Any]:
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    if len(text) > 24 or _DTYPE.fullmatch(text) is None:
        raise refused("an array's dtype is not a listed one")
    return np.dtype(text)


def _shape(shape: tuple[Any, ...]) -> int:
    if len(shape) > _AXES or not all(type(axis) is int and 0 <= axis < 2**62 for axis in shape):
        raise refused("an array's shape is no tuple of lengths")
    return prod(shape)


def _check_items(dtype: np.dtype[Any], raw: Buffer) -> None:
    """Check what NumPy trusts: a boolean above 1 or a character above U+10FFFF is undefined."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    if dtype.kind == "b":
        is_valid = not len(raw) or np.frombuffer(raw, np.uint8).max() <= 1
    elif dtype.kind == "U":
        points = np.frombuffer(raw, np.uint8).view(f"{dtype.byteorder}u4".replace("=", "<"))
        is_valid = not len(raw) or points.max() <= 0x10FFFF
    else:
        is_valid = True
    if not is_valid:
        raise refused("an array holds a boolean that is neither 0 nor 1, or no code point")


def _array(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, str, tuple, str, BUFFERS)
    text, shape, order, raw = cast("tuple[str, tuple[Any, ...], Any, Buffer]", arguments)
    dtype = _dtype(text)
    size = _shape(shape) * dtype.itemsize
    if order not in {"C", "F"} or size != len(raw):
        raise refused(f"an array of {len(raw)} bytes has a shape of {str(size)[:20]}")
    budget.spend_memory(200)
    budget.spend_work(len(raw) >> 12 if dtype.kind in "bU" else 0)
    budget.claim(raw)
    _check_items(dtype, raw)
    return arrays.array(text, shape, order, raw)


def _object_array(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, tuple, list)
    shape, items = cast("tuple[tuple[Any, ...], list[object]]", arguments)
    if _shape(shape) != len(items):
        raise refused(f"an array of {len(items)} objects has another shape")
    budget.spend_memory(200 + 8 * len(items))
    budget.spend_work(len(items) // 16)
    return arrays.object_array(shape, items)


def _scalar(_: Budget, arguments: Arguments) -> object:
    exactly(arguments, str, bytes)
    text, raw = cast("tuple[str, bytes]", arguments)
    dtype = _dtype(text)
    if dtype.itemsize != len(raw):
        raise refused(f"a NumPy scalar of {dtype.itemsize} bytes comes with {len(raw)}")
    _check_items(dtype, raw)
    return arrays.scalar(text, raw)


RULES = rules(
    (arrays.array, _array, 10, False),
    (arrays.object_array, _object_array, 5, True),
    (arrays.scalar, _scalar, 10, False),
)
