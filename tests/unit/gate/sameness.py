"""Equality as a user means it: the same type, the same value, NaN equal to NaN."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["is_same"]


def is_same(one: Any, other: Any) -> bool:  # noqa: C901 - one case a type.
    """Tell whether two values are the same in type and content, all the way down."""
    if type(one) is not type(other):
        return False
    if type(one).__module__.startswith("pandas"):
        return _is_same_table(one, other)
    match one:
        case np.ndarray():
            if one.dtype != other.dtype or one.shape != other.shape:
                return False
            if one.dtype == object:
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
