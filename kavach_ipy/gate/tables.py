"""Rules for the tags of pandas (`kavach_ipy.wire.tables`).

Guarantees: lengths agree before pandas sees them; texts that pandas parses (frequencies, units,
zones) are of a closed form; labels cannot be made to collide where pandas hashes them at once;
nobody else can change codes and labels that were checked.
Assumes: pandas' public constructors check intervals' ends against each other, and steady paces
against the values; they do in pandas 2.1 to 3.1 (tested).
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from kavach_ipy.gate import table_scalars
from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import EQUAL_HASHES, Budget
from kavach_ipy.gate.rules import Arguments, exactly, label, rules
from kavach_ipy.gate.table_checks import (
    check_closed,
    check_freq,
    check_int64,
    check_zone,
    many,
    three,
    two,
)
from kavach_ipy.wire import tables
from kavach_ipy.wire.prices import LABELS, besides, is_text

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RULES"]

_NONE: Final = type(None)
_STORAGES: Final = frozenset({"python", "pyarrow", "pyarrow_numpy"})
_LEVELS: Final = 64
# Above it, numbers must be sorted: then pandas needs no hash table to see that they are unique.
_UNSORTED: Final = 20_000
# Steps of a calendar that are timed before the others.
_WALK: Final = 1000
# Steps that show what a walk costs without them.
_FIRST_STEPS: Final = 20
# One Series, in microseconds: by far the dearest object that one opcode makes.
_TABLE: Final = 100


def _categorical(budget: Budget, arguments: Arguments) -> object:
    codes, categories, ordered = three(arguments)
    budget.own(_numpy(codes, "i", 1))
    budget.spend_memory(besides("tables.categorical", arguments))
    _unique_labels(budget, _index_of(categories))
    _codes(codes, categories)
    if type(ordered) is not bool:
        raise refused("a Categorical's order is not yes or no")
    _spend(budget, codes.nbytes)
    return tables.categorical(codes, categories, ordered)


def _masked(budget: Budget, arguments: Arguments) -> object:
    values, mask = two(arguments)
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
    budget.spend_memory(besides("tables.texts", arguments))
    budget.spend_work(len(items) // 10)
    return tables.texts(storage, na, items)


def _arrow_backed(budget: Budget, arguments: Arguments) -> object:
    import pyarrow as pa  # noqa: PLC0415 - the argument is pyarrow's, so it is loaded.

    exactly(arguments, pa.ChunkedArray)
    _spend(budget, 0)
    return tables.arrow_backed(arguments[0])


def _arrow_texts(budget: Budget, arguments: Arguments) -> object:
    import pyarrow as pa  # noqa: PLC0415 - the argument is pyarrow's, so it is loaded.

    exactly(arguments, str, pa.ChunkedArray)
    na, column = cast("tuple[Any, pa.ChunkedArray]", arguments)
    if na not in {"NA", "nan"} or column.type not in {pa.string(), pa.large_string()}:
        raise refused("an array of texts holds something else")
    # Offsets are made longer, where they are of 32 bits.
    _spend(budget, 8 * len(column))
    return tables.arrow_texts(na, column)


def _zoned(budget: Budget, arguments: Arguments) -> object:
    values, zone = two(arguments)
    _numpy(values, "M", 1)
    check_zone(zone)
    _spend(budget, 8 * values.nbytes)
    return tables.zoned(values, zone)


def _periods(budget: Budget, arguments: Arguments) -> object:
    ordinals, freq = two(arguments)
    _numpy(ordinals, "i", 1)
    check_freq(freq)
    _spend(budget, ordinals.nbytes)
    return tables.periods(ordinals, freq)


def _intervals(budget: Budget, arguments: Arguments) -> object:
    left, right, closed = three(arguments)
    _same_length(_index_of(left), _index_of(right))
    check_closed(closed)
    _spend(budget, 16 * len(left))
    return tables.intervals(left, right, closed)


def _index(budget: Budget, arguments: Arguments) -> object:
    values, name = two(arguments)
    # An index refers to its labels without holding them: who changed them would free them.
    budget.own(_column(values))
    label(budget, name)
    budget.spend_memory(besides("tables.index", arguments))
    _check_labels(budget, values)
    _spend(budget, 8 * len(values))
    return tables.index(values, name)


def _dates(budget: Budget, arguments: Arguments) -> object:
    values, freq, name = three(arguments)
    _column(values)
    if values.dtype.kind not in "mM":
        raise refused("an index of times holds something else")
    check_freq(freq)
    label(budget, name)
    _spend(budget, 32 * len(values))
    # pandas walks the calendar step by step to see whether the frequency fits, at hundredths of a
    # microsecond for seconds and at 150 for hours of business: so a first walk is timed.
    if len(values) > _WALK + _FIRST_STEPS:
        first = min(_walk(values[:_FIRST_STEPS], freq) for _ in range(3))
        step = (_walk(values[: _WALK + _FIRST_STEPS], freq) - first) / _WALK
        budget.spend_work(int(max(step, 0.0) * 1e6 * len(values)) + len(values) // 16)
    return tables.dates(values, freq, name)


def _walk(values: Any, freq: str) -> float:
    start = monotonic()
    tables.dates(values, freq, None)
    return monotonic() - start


def _range_index(budget: Budget, arguments: Arguments) -> object:
    start, stop, step, name = many(arguments, 4)
    for number in (start, stop, step):
        check_int64(number)
    label(budget, name)
    return tables.range_index(start, stop, step, name)


def _multi_index(budget: Budget, arguments: Arguments) -> object:
    exactly(arguments, list, list, list)
    levels, codes, names = cast("tuple[list[Any], list[Any], list[Any]]", arguments)
    if not len(levels) == len(codes) == len(names) <= _LEVELS:
        raise refused(f"an index has levels, codes and names of different number, or > {_LEVELS}")
    for level in levels:
        _index_of(level)
    budget.spend_memory(besides("tables.multi_index", arguments))
    for level, code, name in zip(levels, codes, names, strict=True):
        _unique_labels(budget, _index_of(level))
        budget.own(_numpy(code, "i", 1))
        _codes(code, level)
        label(budget, name)
        _spend(budget, code.nbytes + 16 * len(level))
    return tables.multi_index(levels, codes, names)


def _series(budget: Budget, arguments: Arguments) -> object:
    values, index, name = three(arguments)
    _same_length(_column(values), _index_of(index))
    label(budget, name)
    _spend(budget, 0)
    return tables.series(values, index, name)


def _frame(budget: Budget, arguments: Arguments) -> object:
    columns, index, arrays = three(arguments)
    _index_of(index)
    if type(arrays) is not list or len(_index_of(columns)) != len(arrays):
        raise refused("a DataFrame has more labels than columns, or fewer")
    for values in arrays:
        _same_length(_column(values), index)
        budget.spend_work(_TABLE)
        _spend(budget, 0)
    if not arrays:
        _spend_labels(budget, len(index))
    return tables.frame(columns, index, arrays)


def _frame_of(budget: Budget, arguments: Arguments) -> object:
    columns, index, values = three(arguments)
    _numpy(values, "biufc", 2)
    if values.shape != (len(_index_of(index)), len(_index_of(columns))):
        raise refused("a DataFrame's labels do not fit its shape")
    _spend(budget, 0)
    if not values.size:
        _spend_labels(budget, sum(values.shape))
    return tables.frame_of(columns, index, values)


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
    if _check_labels(budget, index):
        return
    if len(index) > _UNSORTED and not index.is_monotonic_increasing:
        raise refused(f"it has more than {_UNSORTED} categories or labels that are not sorted")


def _check_labels(budget: Budget, values: Any) -> bool:
    """Check labels that pandas hashes as objects or texts; tell whether they are such."""
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    if values.dtype != object and not is_text(values.dtype):
        return False
    # As for the keys of a dict, but labels may repeat. A forked child knows the secret of our hash.
    budget.spend_work(len(values) // 4 + (int(values.nbytes) >> 9))
    hashes = np.empty(len(values), "i8")
    for start in range(0, len(values), LABELS):
        labels = values[start : start + LABELS].tolist()
        for item in labels:
            if type(item) is not str:
                budget.check_key(item)
        hashes[start : start + LABELS] = np.fromiter(map(hash, labels), "i8", len(labels))
        budget.allowance.check_time()
    _check_hashes(values, hashes)
    return True


def _check_hashes(values: Any, hashes: np.ndarray[Any, Any]) -> None:
    import numpy as np  # noqa: PLC0415 - imported when needed only.

    ordered = np.sort(hashes)
    crowded = ordered[EQUAL_HASHES:][ordered[EQUAL_HASHES:] == ordered[:-EQUAL_HASHES]]
    if not len(crowded):
        return
    # Most are one label that stands in many places.
    crowds: dict[int, set[Any]] = {}
    for at in np.flatnonzero(np.isin(hashes, np.unique(crowded))):
        crowd = crowds.setdefault(int(hashes[at]), set())
        crowd.add(values[at])
        if len(crowd) > EQUAL_HASHES:
            raise refused(f"more than {EQUAL_HASHES} labels share a hash")


def _codes(codes: np.ndarray[Any, Any], labels: Any) -> None:
    """Check that every code has a label; pandas looks only after it has cut codes to few bits."""
    if len(codes) and not (codes.min() >= -1 and codes.max() < len(labels)):
        raise refused("a code of a table has no label")


def _same_length(one: Any, other: Any) -> None:
    if len(one) != len(other):
        raise refused(f"a table's parts are of different length: {len(one)} and {len(other)}")


def _spend(budget: Budget, size: int) -> None:
    budget.spend_work(size >> 10)


def _spend_labels(budget: Budget, count: int) -> None:
    # A frame without values has any number of labels for free, and printing it makes them all.
    budget.spend_items(8 * count)


_ARRAYS = rules(
    (tables.categorical, _categorical, _TABLE, True),
    (tables.masked, _masked, 20, False),
    (tables.texts, _texts, _TABLE, False),
    (tables.arrow_backed, _arrow_backed, _TABLE, False),
    (tables.arrow_texts, _arrow_texts, _TABLE, False),
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
)
RULES = {**_ARRAYS, **table_scalars.RULES}
