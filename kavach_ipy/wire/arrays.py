"""NumPy in the dialect: how arrays and scalars are taken apart, and the tags that rebuild them.

Guarantees: an array's memory is neither copied here (unless it has gaps) nor when it is rebuilt;
NumPy is imported only when a tag or `take_apart` is called.
Assumes: for the tags, arguments that were checked (`kavach_ipy.gate.arrays`), or a trusted pickle.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Literal

from kavach_ipy.wire.packing import Reduced, packed, unlisted
from kavach_ipy.wire.tags import Buffer

if TYPE_CHECKING:
    import numpy as np

__all__ = ["array", "object_array", "scalar", "take_apart"]


def array(
    dtype: str, shape: tuple[int, ...], order: Literal["C", "F"], raw: Buffer
) -> np.ndarray[Any, Any]:
    """An array without objects; writable where its buffer is.

    Args:
        dtype: NumPy's short text for it (`<f8`, `<M8[ns]`, `<U5`).
        shape: the lengths of its axes; their product by the item size is the buffer's size.
        order: how the buffer is laid out.
        raw: the buffer.
    """
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    return np.frombuffer(raw, np.uint8).view(np.dtype(dtype)).reshape(shape, order=order)


def object_array(shape: tuple[int, ...], items: list[object]) -> np.ndarray[Any, Any]:
    """An array of objects, filled in C order."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    made = np.empty(len(items), dtype=object)
    # One by one: made[:] = items would look into nested sequences.
    for at, item in enumerate(items):
        made[at] = item
    return made.reshape(shape)


def scalar(dtype: str, raw: bytes) -> np.generic:
    """A scalar of one item."""
    value: np.generic = array(dtype, (1,), "C", raw)[0]
    return value


def take_apart(value: object) -> Reduced:
    """Return the tag and the arguments that rebuild a NumPy array or scalar.

    Raises:
        OutputWithheld: its class or its dtype is not one that comes back.
    """
    import numpy as np  # noqa: PLC0415 - the value is NumPy's, so it is loaded.

    if type(value) is np.ndarray:
        return _take_array_apart(value)
    if isinstance(value, np.generic) and _is_plain(value.dtype) and type(value) is value.dtype.type:
        return scalar, (value.dtype.str, value.tobytes())
    if isinstance(value, np.ndarray):
        raise unlisted("it is a subclass of ndarray", "convert it first: numpy.asarray(value)")
    raise unlisted("this NumPy type is not a listed type")


def _take_array_apart(value: np.ndarray[Any, Any]) -> Reduced:
    import numpy as np  # noqa: PLC0415 - see take_apart.

    if value.dtype == np.dtype(object):
        return object_array, (value.shape, packed(value.ravel().tolist()))
    if not _is_plain(value.dtype):
        raise unlisted(
            f"its dtype {str(value.dtype)[:80]} is not a listed type",
            "convert it first: value.astype(…), or one array a field",
        )
    order: Literal["C", "F"] = "C"
    if not value.flags.c_contiguous:
        if value.flags.f_contiguous:
            order = "F"
        else:
            value = np.ascontiguousarray(value)
    flat = value.reshape(-1, order=order).view(np.uint8)
    return array, (value.dtype.str, value.shape, order, pickle.PickleBuffer(flat.data))


def _is_plain(dtype: np.dtype[Any]) -> bool:
    # long double has padding whose size depends on the machine; items without size have no buffer.
    return dtype.kind in "biufcmMSU" and dtype.char not in "gG" and dtype.itemsize > 0
