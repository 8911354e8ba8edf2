"""Tags for pandas: the functions that rebuild arrays of its own, indexes, Series and DataFrame.

Guarantees: public constructors only, which check what `__setstate__` would not; memory of NumPy
arrays is not copied; pandas is imported only when a tag is called.
Assumes: arguments that were checked (`kavach_ipy.gate.tables`), or a trusted pickle.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "arrow_backed",
    "arrow_texts",
    "categorical",
    "dates",
    "frame",
    "frame_of",
    "index",
    "interval",
    "intervals",
    "masked",
    "missing",
    "multi_index",
    "period",
    "periods",
    "range_index",
    "series",
    "texts",
    "time_delta",
    "timestamp",
    "zoned",
]

_Array: TypeAlias = "np.ndarray[Any, Any]"
_Closed: TypeAlias = Literal["left", "right", "both", "neither"]
_Unit: TypeAlias = Literal["s", "ms", "us", "ns"]


def categorical(codes: _Array, categories: pd.Index, ordered: bool) -> pd.Categorical:
    """A Categorical; pandas itself checks that every code has a category."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)


def masked(values: _Array, mask: _Array) -> pd.api.extensions.ExtensionArray:
    """A nullable array of integers, floats or booleans; `mask` is True where a value is missing."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    match values.dtype.kind:
        case "i" | "u":
            return pd.arrays.IntegerArray(values, mask)
        case "f":
            return pd.arrays.FloatingArray(values, mask)
        case _:
            return pd.arrays.BooleanArray(values, mask)


def texts(
    storage: str, na: Literal["NA", "nan"], items: list[str | None]
) -> pd.api.extensions.ExtensionArray:
    """An array of pandas' string dtype; None stands for its missing value."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    # pandas before 2.3 has no choice of the missing value.
    dtype = (
        pd.StringDtype(storage) if na == "NA" else pd.StringDtype(storage, na_value=float("nan"))
    )
    return pd.array(items, dtype=dtype)


def arrow_backed(column: Any) -> pd.api.extensions.ExtensionArray:
    """An array of an Arrow dtype, over a chunked array of Arrow's."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.arrays.ArrowExtensionArray(column)


def arrow_texts(na: Literal["NA", "nan"], column: Any) -> pd.api.extensions.ExtensionArray:
    """An array of pandas' string dtype that Arrow stores, over a chunked array of texts."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    dtype = (
        pd.StringDtype("pyarrow")
        if na == "NA"
        else pd.StringDtype("pyarrow", na_value=float("nan"))
    )
    return dtype.__from_arrow__(column)


def zoned(values: _Array, zone: dt.tzinfo | str) -> pd.api.extensions.ExtensionArray:
    """Times with a zone, from datetime64 values in UTC."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(zone).array


def periods(ordinals: _Array, freq: str) -> pd.api.extensions.ExtensionArray:
    """Periods, from their 64-bit ordinals."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    if not hasattr(pd.PeriodIndex, "from_ordinals"):  # pandas before 2.2
        return pd.PeriodIndex(ordinal=ordinals, freq=freq).array
    return pd.PeriodIndex.from_ordinals(ordinals, freq=freq).array


def intervals(left: pd.Index, right: pd.Index, closed: _Closed) -> pd.api.extensions.ExtensionArray:
    """Intervals, from their ends."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)


def index(values: Any, name: Hashable) -> pd.Index:
    """An index of one level, of the class that pandas gives this dtype."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.Index(values, dtype=values.dtype, name=name, copy=False)


def dates(values: Any, freq: str, name: Hashable) -> pd.Index:
    """An index of times or durations at a steady pace, which pandas checks against the values."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    kind = pd.TimedeltaIndex if values.dtype.kind == "m" else pd.DatetimeIndex
    return kind(values, freq=freq, name=name)


def range_index(start: int, stop: int, step: int, name: Hashable) -> pd.RangeIndex:
    """A RangeIndex."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.RangeIndex(start, stop, step, name=name)


def multi_index(
    levels: list[pd.Index], codes: list[_Array], names: list[Hashable]
) -> pd.MultiIndex:
    """A MultiIndex; pandas itself checks that every code has a level."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.MultiIndex(levels=levels, codes=codes, names=names, verify_integrity=True)


def series(values: Any, index: pd.Index, name: Hashable) -> pd.Series:
    """A Series of one array."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.Series(values, index=index, dtype=values.dtype, name=name, copy=False)


def frame(columns: pd.Index, index: pd.Index, arrays: list[Any]) -> pd.DataFrame:
    """A DataFrame of one array a column; labels may repeat."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    # Each column as a Series keeps its dtype, as pandas infers none for one.
    parts = {at: series(values, index, None) for at, values in enumerate(arrays)}
    made = pd.DataFrame(parts, index=index, columns=range(len(arrays)), copy=False)
    made.columns = columns
    return made


def frame_of(columns: pd.Index, index: pd.Index, values: _Array) -> pd.DataFrame:
    """A DataFrame of one dtype, from a two-dimensional array; rows come first."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.DataFrame(values, index=index, columns=columns, copy=False)


def timestamp(value: int, unit: _Unit, zone: dt.tzinfo | str | None) -> pd.Timestamp:
    """A Timestamp: `value` units since 1970 in UTC."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    made = pd.Timestamp(np.datetime64(value, unit))
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


def time_delta(value: int, unit: _Unit) -> pd.Timedelta:
    """A Timedelta of `value` units."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.Timedelta(np.timedelta64(value, unit))


def period(ordinal: int, freq: str) -> pd.Period:
    """A Period."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.Period(ordinal=ordinal, freq=freq)


def interval(left: Any, right: Any, closed: _Closed) -> pd.Interval:
    """An Interval of two numbers, Timestamps or Timedeltas."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.Interval(left, right, closed)


def missing(kind: Literal["NA", "NaT"]) -> object:
    """One of pandas' two missing values."""
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    return pd.NA if kind == "NA" else pd.NaT
