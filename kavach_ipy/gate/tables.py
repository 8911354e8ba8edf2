"""Rules for the tags of pandas (`kavach_ipy.wire.tables`).

Guarantees: lengths agree before pandas sees them; texts that pandas parses (frequencies, units,
zones) are of a closed form; labels cannot be made to collide where pandas hashes them at once.
Assumes: pandas' public constructors check intervals' ends against each other, and steady paces
against the values; they do in pandas 2.1 to 3.1 (tested).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import EQUAL_HASHES, Budget
from kavach_ipy.gate.builders import ZONES, is_zone_key
from kavach_ipy.gate.rules import Arguments, exactly, label, rules
from kavach_ipy.wire import tables

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RULES"]

_NONE: Final = type(None)
_UNITS: Final = frozenset({"s", "ms", "us", "ns"})
_CLOSED: Final = frozenset({"left", "right", "both", "neither"})
_STORAGES: Final = frozenset({"python", "pyarrow", "pyarrow_numpy"})
_FREQ: Final = re.compile(r"-?\d{0,9}[A-Za-z]{1,4}(?:-[A-Z]{3}){0,2}(?:-\d{1,2})?", re.ASCII)
_LEVELS: Final = 64
# Above it, numbers must be sorted: then pandas needs no hash table to see that they are unique.
_UNSORTED: Final = 20_000
# One Series, in microseconds: by far the dearest object that one opcode makes.
_TABLE: Final = 100


def _categorical(budget: Budget, arguments: Arguments) -> object:
    codes, categories, ordered = _three(arguments)
    _numpy(codes, "i", 1)
    _unique_labels(budget, _index_of(categories))
    _codes(codes, categories)
    if type(ordered) is not bool:
        raise refused("a Categorical's order is not yes or no")
    _spend(budget, codes.nbytes)
    return tables.categorical(codes, categories, ordered)


def _masked(budget: Budget, arguments: Arguments) -> object:
    values, mask = _two(arguments)
    _numpy(values, "iufb", 1)
    _numpy(mask, "b", 1)
    _same_length(values, mask)
    _spend(budget, values.nbytes)
    return tables.masked(values, mask)


def _texts(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, str, str, list)
    storage, na, items = cast("tuple[str, Any, list[Any]]", arguments)
    if storage not in _STORAGES or na not in {"NA", "nan"}:
        raise refused("a string dtype is not a listed one")
    if not set(map(type, items)) <= {str, _NONE}:
        raise refused("an array of texts holds something else")
    # An array of references, or Arrow's copy, whose texts are smaller than Python's.
    budget.spend_memory(1000 + 24 * len(items))
    budget.spend_work(len(items) // 10)
    return tables.texts(storage, na, items)


def _arrow_backed(budget: Budget, arguments: Arguments) -> object:
    import pyarrow as pa  # noqa: PLC0415 - the argument is pyarrow's, so it is loaded.

    exactly(arguments, pa.ChunkedArray)
    _spend(budget, 0)
    return tables.arrow_backed(arguments[0])


def _zoned(budget: Budget, arguments: Arguments) -> object:
    values, zone = _two(arguments)
    _numpy(values, "M", 1)
    _zone(zone)
    _spend(budget, 8 * values.nbytes)
    return tables.zoned(values, zone)


def _periods(budget: Budget, arguments: Arguments) -> object:
    ordinals, freq = _two(arguments)
    _numpy(ordinals, "i", 1)
    _freq(freq)
    _spend(budget, ordinals.nbytes)
    return tables.periods(ordinals, freq)


def _intervals(budget: Budget, arguments: Arguments) -> object:
    left, right, closed = _three(arguments)
    _same_length(_index_of(left), _index_of(right))
    _closed(closed)
    _spend(budget, 16 * len(left))
    return tables.intervals(left, right, closed)


def _index(budget: Budget, arguments: Arguments) -> object:
    values, name = _two(arguments)
    _column(values)
    label(budget, name)
    if values.dtype == object:
        _check_labels(budget, values.tolist())
    _spend(budget, 8 * len(values))
    return tables.index(values, name)


def _dates(budget: Budget, arguments: Arguments) -> object:
    values, freq, name = _three(arguments)
    _column(values)
    if values.dtype.kind not in "mM":
        raise refused("an index of times holds something else")
    _freq(freq)
    label(budget, name)
    # pandas walks the calendar step by step to see whether the frequency fits.
    budget.spend_work(5 * len(values))
    _spend(budget, 32 * len(values))
    return tables.dates(values, freq, name)


def _range_index(budget: Budget, arguments: Arguments) -> object:
    start, stop, step, name = _many(arguments, 4)
    for number in (start, stop, step):
        _int64(number)
    label(budget, name)
    return tables.range_index(start, stop, step, name)


def _multi_index(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, list, list, list)
    levels, codes, names = cast("tuple[list[Any], list[Any], list[Any]]", arguments)
    if not len(levels) == len(codes) == len(names) <= _LEVELS:
        raise refused(f"an index has levels, codes and names of different number, or > {_LEVELS}")
    for level, code, name in zip(levels, codes, names, strict=True):
        _unique_labels(budget, _index_of(level))
        _numpy(code, "i", 1)
        _codes(code, level)
        label(budget, name)
        _spend(budget, code.nbytes + 16 * len(level))
    return tables.multi_index(levels, codes, names)


def _series(budget: Budget, arguments: Arguments) -> object:
    values, index, name = _three(arguments)
    _same_length(_column(values), _index_of(index))
    label(budget, name)
    _spend(budget, 0)
    return tables.series(values, index, name)


def _frame(budget: Budget, arguments: Arguments) -> object:
    columns, index, arrays = _three(arguments)
    _index_of(index)
    if type(arrays) is not list or len(_index_of(columns)) != len(arrays):
        raise refused("a DataFrame has more labels than columns, or fewer")
    for values in arrays:
        _same_length(_column(values), index)
        budget.spend_work(_TABLE)
        _spend(budget, 0)
    return tables.frame(columns, index, arrays)


def _frame_of(budget: Budget, arguments: Arguments) -> object:
    columns, index, values = _three(arguments)
    _numpy(values, "biufc", 2)
    if values.shape != (len(_index_of(index)), len(_index_of(columns))):
        raise refused("a DataFrame's labels do not fit its shape")
    _spend(budget, 0)
    return tables.frame_of(columns, index, values)


def _timestamp(_: Budget, arguments: Arguments) -> object:
    value, unit, zone = _three(arguments)
    _unit(value, unit)
    if zone is not None:
        _zone(zone)
    return tables.timestamp(value, unit, zone)


def _time_delta(_: Budget, arguments: Arguments) -> object:
    value, unit = _two(arguments)
    _unit(value, unit)
    return tables.time_delta(value, unit)


def _period(_: Budget, arguments: Arguments) -> object:
    ordinal, freq = _two(arguments)
    _int64(ordinal)
    _freq(freq)
    return tables.period(ordinal, freq)


def _interval(_: Budget, arguments: Arguments) -> object:
    import numpy as np  # noqa: PLC0415 - imported when needed only.
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    left, right, closed = _three(arguments)
    kinds = (int, float, pd.Timestamp, pd.Timedelta)
    for end in (left, right):
        if type(end) not in kinds and not isinstance(end, np.number):
            raise refused("an Interval's end is neither a number nor a time")
    _closed(closed)
    return tables.interval(left, right, closed)


def _missing(_: Budget, arguments: Arguments) -> object:
    exactly(arguments, str)
    kind = cast("Any", arguments[0])
    if kind not in {"NA", "NaT"}:
        raise refused("a missing value is not a listed one")
    return tables.missing(kind)


def _many(arguments: Arguments, count: int) -> Any:
    if len(arguments) != count:
        raise refused(f"a tag has {len(arguments)} arguments instead of {count}")
    return arguments


def _two(arguments: Arguments) -> tuple[Any, Any]:
    return cast("tuple[Any, Any]", _many(arguments, 2))


def _three(arguments: Arguments) -> tuple[Any, Any, Any]:
    return cast("tuple[Any, Any, Any]", _many(arguments, 3))


def _numpy(value: Any, kinds: str, axes: int) -> np.ndarray[Any, Any]:
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    if type(value) is not np.ndarray or value.dtype.kind not in kinds or value.ndim != axes:
        raise refused("an array inside a table is of another type or shape than it must be")
    return value


def _column(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - imported when needed only.
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    if type(value) is np.ndarray:
        return _numpy(value, "biufcmMO", 1)
    # isinstance will do: the reader makes none but those of the rules above.
    if not isinstance(value, pd.api.extensions.ExtensionArray):
        raise refused("a column of a table is no array")
    return value


def _index_of(value: Any) -> Any:
    import pandas as pd  # noqa: PLC0415 - imported when needed only.

    if not isinstance(value, pd.Index):
        raise refused("the labels of a table are no index")
    return value


def _unique_labels(budget: Budget, index: Any) -> None:
    """Check labels that pandas will hash to see that none repeats."""
    budget.spend_work(len(index) // 8)
    if index.dtype.kind == "O":
        _check_labels(budget, index.tolist())
    elif len(index) > _UNSORTED and not index.is_monotonic_increasing:
        raise refused(f"it has more than {_UNSORTED} categories or labels that are not sorted")


def _check_labels(budget: Budget, labels: list[Any]) -> None:
    # As for the keys of a dict, but labels may repeat.
    first: dict[int, object] = {}
    collisions = 0
    budget.spend_work(len(labels) // 4)
    for item in labels:
        if type(item) is not str:
            budget.check_key(item)
        other = first.setdefault(hash(item), item)
        if other is not item and (type(other) is not type(item) or other != item):
            collisions += 1
            if collisions > EQUAL_HASHES:
                raise refused(f"more than {EQUAL_HASHES} labels share a hash")


def _codes(codes: np.ndarray[Any, Any], labels: Any) -> None:
    """Check that every code has a label; pandas looks only after it has cut codes to few bits."""
    if len(codes) and not (codes.min() >= -1 and codes.max() < len(labels)):
        raise refused("a code of a table has no label")


def _same_length(one: Any, other: Any) -> None:
    if len(one) != len(other):
        raise refused(f"a table's parts are of different length: {len(one)} and {len(other)}")


def _zone(zone: Any) -> None:
    is_key = type(zone) is str and (zone == "UTC" or is_zone_key(zone))
    if not is_key and type(zone) not in ZONES:
        raise refused("a time zone is not a listed one")


def _freq(freq: Any) -> None:
    if type(freq) is not str or len(freq) > 24 or _FREQ.fullmatch(freq) is None:
        raise refused("a frequency is not of the form that pandas writes")


def _unit(value: Any, unit: Any) -> None:
    _int64(value)
    if type(unit) is not str or unit not in _UNITS:
        raise refused("the unit of a time is not a listed one")


def _int64(value: Any) -> None:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise refused("a number of a table does not fit into 64 bits")


def _closed(closed: Any) -> None:
    if type(closed) is not str or closed not in _CLOSED:
        raise refused("an Interval is closed on no known side")


def _spend(budget: Budget, size: int) -> None:
    budget.spend_memory(1000 + 2 * size)
    budget.spend_work(size >> 10)


RULES = rules(
    (tables.categorical, _categorical, _TABLE, True),
    (tables.masked, _masked, 20, False),
    (tables.texts, _texts, _TABLE, False),
    (tables.arrow_backed, _arrow_backed, _TABLE, False),
    (tables.zoned, _zoned, 3 * _TABLE, False),
    (tables.periods, _periods, _TABLE, False),
    (tables.intervals, _intervals, _TABLE, True),
    (tables.index, _index, _TABLE // 2, True),
    (tables.dates, _dates, 5 * _TABLE, True),
    (tables.range_index, _range_index, 20, True),
    (tables.multi_index, _multi_index, 2 * _TABLE, True),
    (tables.series, _series, _TABLE, True),
    (tables.frame, _frame, _TABLE, True),
    (tables.frame_of, _frame_of, _TABLE, True),
    (tables.timestamp, _timestamp, 30, False),
    (tables.time_delta, _time_delta, 15, False),
    (tables.period, _period, 30, False),
    (tables.interval, _interval, 15, False),
    (tables.missing, _missing, 2, False),
)
