"""NumPy in the dialect: how arrays and scalars are taken apart, and the tags that rebuild them.

Guarantees: an array's memory is neither copied here (unless it has gaps) nor when it is rebuilt;
NumPy is imported only when a tag or `take_apart` is called.
Assumes: for the tags, arguments that were checked (`kavach_ipy.gate.arrays`), or a trusted pickle.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kavach_ipy.wire.packing import Reduced, packed, unlisted
from kavach_ipy.wire.tags import Buffer

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Layout",
    "array",
    "dtype_of",
    "masked_array",
    "object_array",
    "scalar",
    "take_apart",
    "text_array",
]

_FLAT = frozenset({str, int, float, bool, type(None)})
Layout: TypeAlias = "str | tuple[int, tuple[tuple[str, Layout, tuple[int, ...], int], ...]]"
"""A dtype: NumPy's short text for it (`<f8`, `<M8[ns]`, `<U5`), or the item size of a structure and
for each of its fields the name, the layout, the shape and the offset."""


def array(
    dtype: Layout, shape: tuple[int, ...], order: Literal["C", "F"], raw: Buffer
) -> np.ndarray[Any, Any]:
    """An array without objects; writable where its buffer is.

    Args:
        dtype: what its items are.
        shape: the lengths of its axes; their product by the item size is the buffer's size.
        order: how the buffer is laid out.
        raw: the buffer.
    """
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    return np.frombuffer(raw, np.uint8).view(dtype_of(dtype)).reshape(shape, order=order)


def dtype_of(layout: Layout) -> np.dtype[Any]:
    """Return the dtype that a layout describes."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    if isinstance(layout, str):
        return np.dtype(layout)
    size, fields = layout
    parts: list[Any] = [(dtype_of(inner), shape) for _, inner, shape, _ in fields]
    return np.dtype(
        {
            "names": [name for name, _, _, _ in fields],
            "formats": parts,
            "offsets": [offset for _, _, _, offset in fields],
            "itemsize": size,
        }
    )


def object_array(shape: tuple[int, ...], items: list[object]) -> np.ndarray[Any, Any]:
    """An array of objects, filled in C order."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    made = np.empty(len(items), dtype=object)
    if set(map(type, items)) <= _FLAT:
        made[:] = items
        return made.reshape(shape)
    # One by one: made[:] = items would look into nested sequences.
    for at, item in enumerate(items):
        made[at] = item
    return made.reshape(shape)


def text_array(shape: tuple[int, ...], items: list[str]) -> np.ndarray[Any, Any]:
    """An array of NumPy's own variable-width texts (`numpy.dtypes.StringDType`, NumPy 2)."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    return np.array(items, dtype=np.dtypes.StringDType()).reshape(shape)


def masked_array(
    data: np.ndarray[Any, Any],
    mask: np.ndarray[Any, Any] | None,
    fill: np.ndarray[Any, Any] | None,
    is_hard: bool,
) -> np.ma.MaskedArray[Any, Any]:
    """A masked array over its data; `fill` is an array of the one value that stands for missing."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    return np.ma.MaskedArray(
        data,
        mask=np.ma.nomask if mask is None else mask,
        fill_value=None if fill is None else fill.reshape(-1)[0],
        hard_mask=is_hard,
        copy=False,
    )


def scalar(dtype: Layout, raw: bytes) -> np.generic:
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
    if type(value) is np.ma.MaskedArray:
        return _take_masked_apart(value)
    if isinstance(value, np.generic) and type(value) is value.dtype.type:
        return scalar, (_layout(value.dtype), value.tobytes())
    if isinstance(value, np.ndarray):
        raise unlisted("it is a subclass of ndarray", "convert it first: numpy.asarray(value)")
    raise unlisted("this NumPy type is not a listed type")


def _take_array_apart(value: np.ndarray[Any, Any]) -> Reduced:
    import numpy as np  # noqa: PLC0415 - see take_apart.

    if value.dtype == np.dtype(object):
        return object_array, (value.shape, packed(value.ravel().tolist()))
    if type(value.dtype).__name__ == "StringDType":
        return _take_texts_apart(value)
    layout = _layout(value.dtype)
    order: Literal["C", "F"] = "C"
    if not value.flags.c_contiguous:
        if value.flags.f_contiguous:
            order = "F"
        else:
            value = np.ascontiguousarray(value)
    flat = value.reshape(-1, order=order).view(np.uint8)
    return array, (layout, value.shape, order, pickle.PickleBuffer(flat.data))


def _take_texts_apart(value: np.ndarray[Any, Any]) -> Reduced:
    if hasattr(value.dtype, "na_object"):
        raise unlisted(
            "its StringDType has a missing value of its own", "convert it: value.astype(object)"
        )
    return text_array, (value.shape, packed(value.ravel().tolist()))


def _take_masked_apart(value: np.ma.MaskedArray[Any, Any]) -> Reduced:
    import numpy as np  # noqa: PLC0415 - see take_apart.

    if value.dtype.names is not None:
        raise unlisted("it is a masked array of structures", "bring back one array a field")
    data = np.asarray(value.data)
    mask = None if value.mask is np.ma.nomask else np.asarray(value.mask)
    # What nobody has set or asked for is the dtype's default, and filling it in would set it.
    is_default = getattr(value, "_fill_value", None) is None or data.dtype == object
    fill = None if is_default else np.array(value.fill_value, data.dtype)
    return masked_array, (data, mask, fill, bool(value.hardmask))


def _layout(dtype: np.dtype[Any]) -> Layout:
    if _is_plain(dtype):
        return dtype.str
    if dtype.names is None or dtype.fields is None or dtype.itemsize == 0:
        raise unlisted(
            f"its dtype {str(dtype)[:80]} is not a listed type", "convert it: value.astype(…)"
        )
    fields = []
    for name in dtype.names:
        inner, offset, *title = dtype.fields[name]
        if title:
            raise unlisted("a field of its dtype has a title", "rename the fields")
        base, shape = inner.subdtype or (inner, ())
        fields.append((name, _layout(base), tuple(map(int, shape)), int(offset)))
    return dtype.itemsize, tuple(fields)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    # long double has padding whose size depends on the machine; items without size have no buffer.
    return dtype.kind in "biufcmMSU" and dtype.char not in "gG" and dtype.itemsize > 0
