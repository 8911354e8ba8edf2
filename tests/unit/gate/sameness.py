"""Equality as a user means it: the same type, the same value, NaN equal to NaN."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["is_same"]


def is_same(one: Any, other: Any) -> bool:  # noqa: C901, PLR0912 - one case a type.
    """Tell whether two values are the same in type and content, all the way down."""
    if type(one) is not type(other):
        return False
    match type(one).__module__.partition(".")[0]:
        case "pandas":
            return _is_same_table(one, other)
        case "pyarrow":
            # With the metadata of the schema; NaN is not equal to itself there.
            return bool(one.equals(other)) or repr(_plain(one)) == repr(_plain(other))
        case "polars":
            return bool(one.equals(other)) and _schema(one) == _schema(other)
        case "scipy":
            parts = ("data", "indices", "indptr")
            return one.shape == other.shape and all(
                is_same(getattr(one, part), getattr(other, part)) for part in parts
            )
        case _:
            pass
    match one:
        case np.ma.MaskedArray():
            return (
                is_same(one.data, other.data)
                and is_same(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
                and (one.mask is np.ma.nomask) == (other.mask is np.ma.nomask)
                and is_same(one.fill_value, other.fill_value)
                and one.hardmask == other.hardmask
            )
        case np.ndarray():
            if one.dtype != other.dtype or one.shape != other.shape:
                return False
            if one.dtype == object or type(one.dtype).__name__ == "StringDType":
                return is_same(one.tolist(), other.tolist())
            return bool(one.tobytes() == other.tobytes())
        case np.generic():
            return bool(one.dtype == other.dtype and one.tobytes() == other.tobytes())
        case dict():
            factories = [getattr(value, "default_factory", None) for value in (one, other)]
            return factories[0] is factories[1] and is_same(
                [*one, *one.values()], [*other, *other.values()]
            )
        case list() | tuple():
            return len(one) == len(other) and all(map(is_same, one, other))
        case deque():
            return one.maxlen == other.maxlen and is_same(list(one), list(other))
        case set() | frozenset():
            return bool(one == other)
        case _:
            # The repr says everything of a number, a text, a time, a path; and NaN equals NaN.
            return repr(one) == repr(other)


def _plain(value: Any) -> object:
    return value.type if not hasattr(value, "schema") else value.schema, value.to_pylist()


def _schema(value: Any) -> object:
    return (value.name, value.dtype) if hasattr(value, "dtype") else value.schema


def _is_same_table(one: Any, other: Any) -> bool:
    match one:
        case pd.DataFrame():
            pd.testing.assert_frame_equal(one, other)
        case pd.Series():
            pd.testing.assert_series_equal(one, other)
        case pd.Index():
            pd.testing.assert_index_equal(one, other, exact=True)
            return getattr(one, "freq", None) == getattr(other, "freq", None)
        case _:
            return repr(one) == repr(other)
    return True
