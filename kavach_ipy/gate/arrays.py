"""Rules for the tags of NumPy (`kavach_ipy.wire.arrays`).

Guarantees: a dtype is one of a closed set of texts, or a structure of such without overlaps; the
shape accounts for every byte of the buffer; booleans are 0 or 1 and characters are code points,
which NumPy itself would not check.
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
from kavach_ipy.wire.prices import besides

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
_FIELDS: Final = 256
_NESTED: Final = 4
_NAME: Final = 1000
_NONE: Final = type(None)


def _dtype(layout: object, depth: int = _NESTED) -> np.dtype[Any]:
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    if type(layout) is tuple:
        return _structure(layout, depth)
    if type(layout) is not str or len(layout) > 24 or _DTYPE.fullmatch(layout) is None:
        raise refused("an array's dtype is not a listed one")
    return np.dtype(layout)


def _structure(layout: tuple[Any, ...], depth: int) -> np.dtype[Any]:
    """Check the fields of a structure: each inside, none over another, so that each is its own."""
    size, fields = layout
    if depth == 0 or type(size) is not int or type(fields) is not tuple:
        raise refused(f"a structure of an array is none, or nests deeper than {_NESTED}")
    if not 0 < size < 2**31 or not 0 < len(fields) <= _FIELDS:
        raise refused(f"a structure of an array has no size, or more than {_FIELDS} fields")
    names: set[str] = set()
    spans: list[tuple[int, int]] = []
    for name, inner, shape, offset in fields:
        if type(name) is not str or len(name) > _NAME or type(offset) is not int:
            raise refused("a field of an array's dtype has no name or no offset")
        if type(shape) is not tuple:
            raise refused("a field of an array's dtype has no shape")
        names.add(name)
        spans.append((offset, offset + _dtype(inner, depth - 1).itemsize * _shape(shape)))
    spans.sort()
    bounds = [0, *(edge for span in spans for edge in span), size]
    if len(names) != len(fields) or bounds != sorted(bounds):
        raise refused("two fields of an array's dtype share a name or memory")
    return arrays.dtype_of(cast("arrays.Layout", layout))


def _shape(shape: tuple[Any, ...]) -> int:
    if len(shape) > _AXES or not all(type(axis) is int and 0 <= axis < 2**62 for axis in shape):
        raise refused("an array's shape is no tuple of lengths")
    return prod(shape)


def _check_items(budget: Budget, items: np.ndarray[Any, Any]) -> None:
    """Check what NumPy trusts: a boolean above 1 or a character above U+10FFFF is undefined."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    dtype = items.dtype
    if dtype.names is not None:
        for name in dtype.names:
            _check_items(budget, items[name])
        return
    if dtype.kind not in "bU" or not items.size:
        return
    budget.spend_work(items.nbytes >> 12)
    if not items.flags.c_contiguous:
        # A field of a structure, whose characters do not stand side by side.
        budget.spend_work(items.size >> 6)
    flat = np.ascontiguousarray(items).reshape(-1)
    unit = "u1" if dtype.kind == "b" else np.dtype("u4").newbyteorder(dtype.byteorder)
    if flat.view(unit).max() > (1 if dtype.kind == "b" else 0x10FFFF):
        raise refused("an array holds a boolean that is neither 0 nor 1, or no code point")


def _array(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, (str, tuple), tuple, str, BUFFERS)
    layout, shape, order, raw = cast("tuple[Any, tuple[Any, ...], Any, Buffer]", arguments)
    budget.spend_memory(besides("arrays.array", arguments))
    dtype = _layout(budget, layout)
    size = _shape(shape) * dtype.itemsize
    if order not in {"C", "F"} or size != len(raw):
        raise refused(f"an array of {len(raw)} bytes has a shape of {str(size)[:20]}")
    budget.claim(raw)
    made = arrays.array(layout, shape, order, raw)
    _check_items(budget, made.reshape(-1, order=order))
    return made


def _layout(budget: Budget, layout: object) -> np.dtype[Any]:
    if type(layout) is tuple:
        # Four tuples inside each other, of four each, and 20 µs a field: measured.
        _, weight = budget.weigh(layout)
        budget.spend_work(6 * weight)
    return _dtype(layout)


def _object_array(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, tuple, list)
    shape, items = cast("tuple[tuple[Any, ...], list[object]]", arguments)
    if _shape(shape) != len(items):
        raise refused(f"an array of {len(items)} objects has another shape")
    budget.spend_work(len(items) // 16)
    return arrays.object_array(shape, items)


def _text_array(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, tuple, list)
    shape, items = cast("tuple[tuple[Any, ...], list[Any]]", arguments)
    if _shape(shape) != len(items) or not set(map(type, items)) <= {str}:
        raise refused(f"an array of {len(items)} texts has another shape, or holds something else")
    budget.spend_memory(besides("arrays.text_array", arguments))
    budget.spend_work(len(items) // 8)
    return arrays.text_array(shape, items)


def _masked_array(_: Budget, arguments: Arguments) -> object:
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    exactly(arguments, np.ndarray, (np.ndarray, _NONE), (np.ndarray, _NONE), bool)
    data, mask, fill, is_hard = cast("tuple[Any, Any, Any, bool]", arguments)
    if data.dtype.names is not None:
        raise refused("a masked array has structures")
    if mask is not None and (mask.dtype != np.bool_ or mask.shape != data.shape):
        raise refused("the mask of an array is of another type or shape")
    if fill is not None and (fill.dtype != data.dtype or fill.shape != () or data.dtype == object):
        raise refused("the filling of a masked array is of another type")
    return arrays.masked_array(data, mask, fill, is_hard)


def _scalar(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, (str, tuple), bytes)
    layout, raw = cast("tuple[Any, bytes]", arguments)
    budget.spend_memory(besides("arrays.scalar", arguments))
    dtype = _layout(budget, layout)
    if dtype.itemsize != len(raw):
        raise refused(f"a NumPy scalar of {dtype.itemsize} bytes comes with {len(raw)}")
    _check_items(budget, arrays.array(layout, (1,), "C", raw))
    return arrays.scalar(layout, raw)


RULES = rules(
    (arrays.array, _array, 10, False),
    (arrays.object_array, _object_array, 5, True),
    (arrays.text_array, _text_array, 10, False),
    (arrays.masked_array, _masked_array, 50, True),
    (arrays.scalar, _scalar, 10, False),
)
