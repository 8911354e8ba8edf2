"""How pandas' objects are taken apart for the tags of `kavach_ipy.wire.tables`.

Guarantees: nothing is lost silently: what a tag cannot say (attrs, flags, subclasses, sparse
arrays) is refused with that reason.
Assumes: it runs in the child, on objects of an imported pandas, 2.0 or later.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kavach_ipy.wire import tables
from kavach_ipy.wire.packing import Reduced, packed, unlisted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["take_apart"]


def take_apart(value: Any) -> Reduced:
    """Return the tag and the arguments that rebuild an object of pandas.

    Raises:
        OutputWithheld: its class is not one that comes back, or it carries what no tag can say.
    """
    cls = type(value)
    # The module too, as a subclass may have any name.
    take = _PARTS.get(cls.__name__) if cls.__module__.split(".")[0] == "pandas" else None
    if take is None:
        raise unlisted("it is not a listed type of pandas", "convert it first: value.astype(…)")
    return take(value)


def _series(value: pd.Series) -> Reduced:
    _check_extras(value)
    return tables.series, (_values(value), value.index, value.name)


def _frame(value: pd.DataFrame) -> Reduced:
    _check_extras(value)
    kinds = set(value.dtypes)
    if len(kinds) == 1 and value.shape[1] > 1 and next(iter(kinds)).kind in "biufc":
        block = value.to_numpy()
        if block.dtype in kinds:
            return tables.frame_of, (value.columns, value.index, block)
    arrays = [_values(value.iloc[:, at]) for at in range(value.shape[1])]
    return tables.frame, (value.columns, value.index, arrays)


def _check_extras(value: Any) -> None:
    if value.attrs:
        raise unlisted("it carries attrs, which do not come back", "clear them: value.attrs = {}")
    if not value.flags.allows_duplicate_labels:
        raise unlisted(
            "it forbids duplicate labels, which does not come back",
            "value.set_flags(allows_duplicate_labels=True)",
        )


def _values(value: Any) -> Any:
    """Return a Series' or an index's array: NumPy's own where one says everything."""
    array = value.array
    is_numpy = type(array).__name__ in {"NumpyExtensionArray", "PandasArray"}
    is_plain_time = type(array).__name__ in {"DatetimeArray", "TimedeltaArray"} and (
        getattr(array, "tz", None) is None
    )
    return value.to_numpy() if is_numpy or is_plain_time else array


def _labels(value: pd.Index) -> Any:
    # A view, as a copy of an index shares its array here, and may not there.
    return _values(value).view()


def _index(value: pd.Index) -> Reduced:
    return tables.index, (_labels(value), value.name)


def _dates(value: Any) -> Reduced:
    if value.freq is None:
        return tables.index, (_labels(value), value.name)
    return tables.dates, (_values(value), value.freqstr, value.name)


def _range_index(value: pd.RangeIndex) -> Reduced:
    return tables.range_index, (value.start, value.stop, value.step, value.name)


def _multi_index(value: pd.MultiIndex) -> Reduced:
    import numpy as np  # noqa: PLC0415 - pandas has loaded it.

    # Views, as in _labels.
    codes = [np.asarray(code).view() for code in value.codes]
    return tables.multi_index, (list(value.levels), codes, list(value.names))


def _categorical(value: pd.Categorical) -> Reduced:
    import numpy as np  # noqa: PLC0415 - pandas has loaded it.

    codes = np.asarray(value.codes).view()
    return tables.categorical, (codes, value.categories, bool(value.ordered))


def _masked(value: Any) -> Reduced:
    filler = False if value.dtype.kind == "b" else 0
    values = value.to_numpy(dtype=value.dtype.numpy_dtype, na_value=filler)
    return tables.masked, (values, value.isna())


def _texts(value: Any) -> Reduced:
    import pandas as pd  # noqa: PLC0415 - the value is pandas', so it is loaded.

    na = "NA" if value.dtype.na_value is pd.NA else "nan"
    if value.dtype.storage == "pyarrow":
        return tables.arrow_texts, (na, _chunked(value))
    items = value.to_numpy(dtype=object, na_value=None).tolist()
    return tables.texts, (str(value.dtype.storage), na, packed(items))


def _arrow_backed(value: Any) -> Reduced:
    return tables.arrow_backed, (_chunked(value),)


def _chunked(value: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - the value is pyarrow's, so it is loaded.

    array = value.__arrow_array__()
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _zoned(value: Any) -> Reduced:
    import numpy as np  # noqa: PLC0415 - pandas has loaded it.

    return tables.zoned, (np.asarray(value.tz_convert(None)), _zone(value.tz))


def _periods(value: Any) -> Reduced:
    import pandas as pd  # noqa: PLC0415 - the value is pandas', so it is loaded.

    return tables.periods, (pd.PeriodIndex(value).asi8, value.dtype.name[7:-1])


def _intervals(value: Any) -> Reduced:
    return tables.intervals, (value.left, value.right, value.closed)


def _timestamp(value: pd.Timestamp) -> Reduced:
    number = int(value.asm8.astype("i8"))
    return tables.timestamp, (number, value.unit, None if value.tz is None else _zone(value.tz))


def _timedelta(value: pd.Timedelta) -> Reduced:
    return tables.time_delta, (int(value.asm8.astype("i8")), value.unit)


def _period(value: pd.Period) -> Reduced:
    import pandas as pd  # noqa: PLC0415 - the value is pandas', so it is loaded.

    return tables.period, (value.ordinal, pd.PeriodDtype(value.freq).name[7:-1])


def _interval(value: pd.Interval) -> Reduced:
    return tables.interval, (value.left, value.right, value.closed)


def _zone(zone: dt.tzinfo) -> dt.tzinfo | str:
    # pytz, which pandas 2 still makes of a text, is named by that text again.
    return str(zone) if type(zone).__module__.startswith("pytz") else zone


_PARTS: dict[str, Callable[[Any], Reduced]] = {
    "ArrowExtensionArray": _arrow_backed,
    "ArrowStringArray": _texts,
    "ArrowStringArrayNumpySemantics": _texts,
    "BooleanArray": _masked,
    "Categorical": _categorical,
    "CategoricalIndex": _index,
    "DataFrame": _frame,
    "DatetimeArray": _zoned,
    "DatetimeIndex": _dates,
    "FloatingArray": _masked,
    "Index": _index,
    "IntegerArray": _masked,
    "Interval": _interval,
    "IntervalArray": _intervals,
    "IntervalIndex": _index,
    "MultiIndex": _multi_index,
    "NAType": lambda _: (tables.missing, ("NA",)),
    "NaTType": lambda _: (tables.missing, ("NaT",)),
    "Period": _period,
    "PeriodArray": _periods,
    "PeriodIndex": _index,
    "RangeIndex": _range_index,
    "Series": _series,
    "StringArray": _texts,
    "StringArrayNumpySemantics": _texts,
    "TimedeltaIndex": _dates,
    "Timedelta": _timedelta,
    "Timestamp": _timestamp,
}
