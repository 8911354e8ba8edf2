"""Round trips of what NumPy, pandas, Arrow, polars and SciPy make, drawn by hypothesis."""

from __future__ import annotations

import base64
import datetime as dt
import pickle
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import prices
from kavach_ipy.wire.values import write_value
from tests.unit.gate.sameness import is_same
from tests.unit.linux.throwaway import forked

_calm = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_IS_NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"
_PANDAS = tuple(map(int, pd.__version__.split(".")[:2]))


@pytest.fixture(scope="module", autouse=True)
def nothing_is_free() -> Iterator[None]:
    """Let every value pay for itself, as it must where many come back together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prices, "FLOOR", 0)
        yield


def _comes_back(value: object) -> None:
    """Assert that the reader and stock pickle make the same of a value's pickle as it was."""
    data, *buffers = write_value(value)
    parts = [bytes(part) for part in buffers if not isinstance(part, tuple)]
    assert not isinstance(data, tuple)
    back = read_pickle(bytes(data), [memoryview(bytearray(part)) for part in parts])
    stock = pickle.loads(data, buffers=[bytearray(part) for part in parts])
    assert is_same(value, back)
    assert is_same(value, stock)


def _has_a_form(dtype: Any) -> bool:
    """Tell whether no part of a dtype is without size or has a title; both are withheld."""
    if dtype.subdtype is not None:
        return _has_a_form(dtype.subdtype[0])
    fields = [] if dtype.names is None else [dtype.fields[name] for name in dtype.names]
    return dtype.itemsize > 0 and all(len(part) == 2 and _has_a_form(part[0]) for part in fields)


_plain_dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.datetime64_dtypes(endianness="?")
    | hnp.unicode_string_dtypes(endianness="?", min_len=1, max_len=4)
    | hnp.byte_string_dtypes(min_len=1, max_len=4)
)
_structures = hnp.array_dtypes(
    subtype_strategy=hnp.nested_dtypes(_plain_dtypes, max_leaves=4, max_itemsize=200),
    min_size=1,
    max_size=4,
    allow_subarrays=True,
).filter(_has_a_form)


@given(st.data())
@_calm
def test_structured_arrays_come_back(data: st.DataObject) -> None:
    """Structures inside structures, with arrays as fields, keep every byte and their dtype."""
    dtype = data.draw(_structures)
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    _comes_back(data.draw(hnp.arrays(dtype, shape)))


def test_structures_with_gaps_and_their_scalars_come_back() -> None:
    """Alignment's gaps are kept, and one record is as good as many."""
    dtype = np.dtype([("a", "<i2"), ("b", "?"), ("c", "<f8"), ("d", "<U3", (2,))], align=True)
    value = np.zeros((2, 3), dtype)
    value["c"] = 1.5
    value["d"] = "äöü"
    for item in (value, value.T, value[0], value[0, 0], value[:, ::2]):
        _comes_back(item)


@given(st.data())
@_calm
def test_masked_arrays_come_back(data: st.DataObject) -> None:
    """Data below the mask, the mask or its absence, the filling and its hardness are kept."""
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    dtype = data.draw(st.sampled_from(["<f8", "i4", "?", "<U3", "M8[s]", "c16", "u1"]))
    mask = data.draw(st.none() | hnp.arrays("?", shape))
    value: Any = np.ma.MaskedArray(
        data.draw(hnp.arrays(dtype, shape)),
        mask=np.ma.nomask if mask is None else mask,
        hard_mask=data.draw(st.booleans()),
    )
    if data.draw(st.booleans()) and value.size:
        value.set_fill_value(value.data.reshape(-1)[0])
    _comes_back(value)


@pytest.mark.skipif(not _IS_NUMPY_2, reason="StringDType came with NumPy 2")
@given(st.lists(st.text(max_size=30), max_size=120))
@_calm
def test_arrays_of_numpy_s_own_texts_come_back(items: list[str]) -> None:
    """StringDType comes back where NumPy has it."""
    # NumPy's texts are UTF-8, in which no lone surrogate stands, and trailing NULs are kept.
    items = [item.encode("utf-8", "replace").decode() for item in items]
    dtypes: Any = np.dtypes
    _comes_back(np.array(items, dtype=dtypes.StringDType()))


_zones = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu"])
# Without a zone, as what is drawn is put into one.
_BOUNDS = (dt.datetime(1980, 1, 1), dt.datetime(2060, 1, 1))  # noqa: DTZ001
_times = st.datetimes(*_BOUNDS)


@st.composite
def _columns(draw: st.DrawFn, rows: int) -> Any:  # noqa: C901, PLR0912 - one case a dtype.
    def items(of: st.SearchStrategy[Any], *, missing: bool = True) -> list[Any]:
        inner = st.none() | of if missing else of
        return draw(st.lists(inner, min_size=rows, max_size=rows))

    small = st.integers(-100, 100)
    match draw(st.integers(0, 15)):
        case 0:
            return pd.array(items(small), dtype=draw(st.sampled_from(["Int8", "Int64", "Int32"])))
        case 1:
            return pd.array(items(st.integers(0, 200)), dtype="UInt8")
        case 2:
            return pd.array(items(st.floats(width=32, allow_nan=False)), dtype="Float32")
        case 3:
            return pd.array(items(st.booleans()), dtype="boolean")
        case 4:
            return pd.array(items(st.text(max_size=5)), dtype="string")
        case 5 if _PANDAS >= (3, 0):
            return pd.array(items(st.text(st.characters(codec="utf-8"), max_size=5)), dtype="str")
        case 6:
            categories = draw(st.lists(st.text(max_size=3), unique=True, max_size=4))
            codes = st.integers(-1, len(categories) - 1)
            return pd.Categorical.from_codes(
                items(codes, missing=False), categories, ordered=draw(st.booleans())
            )
        case 7:
            unit = draw(st.sampled_from(["s", "ms", "us", "ns"]))
            stamps = pd.DatetimeIndex(items(_times)).as_unit(unit)
            return stamps.tz_localize("UTC").tz_convert(draw(_zones)).array
        case 8:
            return np.array(items(_times), dtype="M8[us]")
        case 9:
            return pd.PeriodIndex(items(_times), freq=draw(st.sampled_from(["D", "M", "Y"]))).array
        case 10:
            left = np.array(items(small, missing=False), dtype="i8")
            closed = draw(st.sampled_from(["left", "right", "both", "neither"]))
            return pd.arrays.IntervalArray.from_arrays(left, left + 1, closed=closed)
        case 11:
            return np.array(items(st.floats(width=16), missing=False), dtype="f4")
        case 12:
            mixed = small | st.text(max_size=2) | st.tuples(small) | st.lists(small, max_size=2)
            made = np.empty(rows, dtype=object)
            for at, item in enumerate(items(mixed)):
                made[at] = item
            return made
        case 13:
            texts = items(st.text(st.characters(codec="utf-8"), max_size=3))
            return pd.array(texts, dtype=pd.ArrowDtype(pa.string()))
        case 14:
            return pd.array(items(small), dtype=pd.ArrowDtype(pa.int32()))
        case _:
            return np.array(items(st.booleans(), missing=False), dtype="?")


_labels = st.integers(-5, 5) | st.text(max_size=2) | st.none() | st.tuples(st.integers(0, 2))


@st.composite
def _indexes(draw: st.DrawFn, rows: int) -> Any:
    name = draw(st.none() | st.text(max_size=3))
    match draw(st.integers(0, 5)):
        case 0:
            return pd.RangeIndex(0, 3 * rows, 3, name=name)
        case 1:
            made = np.empty(rows, dtype=object)
            for at, item in enumerate(draw(st.lists(_labels, min_size=rows, max_size=rows))):
                made[at] = item
            return pd.Index(made, dtype=object, name=name, tupleize_cols=False)
        case 2:
            return pd.date_range("2024-03-30", periods=rows, freq="D", tz=draw(_zones), name=name)
        case 3 if rows:
            firsts = draw(st.lists(st.sampled_from("ab"), min_size=rows, max_size=rows))
            return pd.MultiIndex.from_arrays([firsts, range(rows)], names=[name, None])
        case 4:
            column = draw(_columns(rows))
            return pd.Index(column, name=name) if getattr(column, "dtype", 0) != "O" else None
        case _:
            return pd.Index(range(rows, 0, -1), dtype="i4", name=name)


@given(st.data())
@settings(parent=_calm, max_examples=200)
def test_frames_of_every_dtype_come_back(data: st.DataObject) -> None:
    """Frames of drawn columns, rows and labels, which may repeat or be mixed, are as they were."""
    rows = data.draw(st.integers(0, 4))
    columns = data.draw(st.lists(_columns(rows), max_size=4))
    index = data.draw(_indexes(rows))
    series = {at: pd.Series(column, index=index) for at, column in enumerate(columns)}
    value = pd.DataFrame(series, index=index if index is not None else range(rows))
    made = np.empty(len(columns), dtype=object)
    for at in range(len(columns)):
        made[at] = data.draw(_labels)
    value.columns = pd.Index(made, dtype=object, tupleize_cols=False)
    _comes_back(value)
    for at in range(len(columns)):
        _comes_back(value.iloc[:, at])


_arrow_types: st.SearchStrategy[Any] = st.sampled_from(
    [
        pa.bool_(),
        pa.int8(),
        pa.uint64(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.binary(3),
        pa.date32(),
        pa.time64("us"),
        pa.timestamp("ms"),
        pa.timestamp("us", "Europe/Paris"),
        pa.duration("s"),
        pa.decimal128(10, 2),
        pa.null(),
    ]
)


def _item(kind: Any) -> st.SearchStrategy[Any]:
    items = {
        pa.bool_(): st.booleans(),
        pa.int8(): st.integers(-128, 127),
        pa.uint64(): st.integers(0, 2**64 - 1),
        pa.float32(): st.floats(width=32),
        pa.float64(): st.floats(),
        pa.string(): st.text(st.characters(codec="utf-8"), max_size=5),
        pa.large_string(): st.text(st.characters(codec="utf-8"), max_size=5),
        pa.binary(): st.binary(max_size=5),
        pa.binary(3): st.binary(min_size=3, max_size=3),
        pa.date32(): st.dates(),
        pa.time64("us"): st.times(),
        pa.timestamp("ms"): _times.map(lambda time: time.replace(microsecond=0)),
        pa.timestamp("us", "Europe/Paris"): _times,
        pa.duration("s"): st.integers(0, 10**6).map(lambda n: dt.timedelta(seconds=n)),
        pa.decimal128(10, 2): st.integers(-(10**8), 10**8).map(lambda n: Decimal(n) / 100),
        pa.null(): st.none(),
    }
    return st.none() | items[kind]


@st.composite
def _arrow_columns(draw: st.DrawFn, rows: int) -> Any:
    kind = draw(_arrow_types)
    items = draw(st.lists(_item(kind), min_size=rows, max_size=rows))
    match draw(st.integers(0, 6)):
        case 0:
            size = draw(st.integers(0, rows))
            return pa.chunked_array([items[:size], items[size:]], type=kind)
        case 1:
            return pa.array([[item] * at for at, item in enumerate(items)], pa.list_(kind))
        case 2:
            return pa.array([{"k": item} for item in items], pa.struct([("k", kind)]))
        case 3:
            pairs = [[("k", item)] for item in items]
            return pa.array(pairs, pa.map_(pa.string(), kind))
        case 4:
            return pa.array([[item, item] for item in items], pa.list_(kind, 2))
        case 5:
            texts = draw(st.lists(st.sampled_from(["a", "b", None]), min_size=rows, max_size=rows))
            return pa.array(texts, pa.string()).dictionary_encode()
        case _:
            return pa.array(items, kind)


@given(st.data())
@_calm
def test_arrow_tables_come_back(data: st.DataObject) -> None:
    """Tables of flat and nested types, in chunks or cut out of others, are as they were."""
    rows = data.draw(st.integers(0, 5))
    columns = data.draw(st.lists(_arrow_columns(rows), max_size=4))
    names = data.draw(st.lists(st.text(max_size=3), min_size=len(columns), max_size=len(columns)))
    names = [name.encode("utf-8", "replace").decode() for name in names]
    value = pa.table(columns, names=names, metadata={"made": "here"})
    for item in (value, value.slice(1), *value.columns):
        _comes_back(item)
    flat = value.combine_chunks()
    for item in (*flat.to_batches(), *(chunk for c in flat.columns for chunk in c.chunks)):
        _comes_back(item)


_polars_types: st.SearchStrategy[Any] = st.sampled_from(
    [
        (pl.Int16, st.integers(-100, 100)),
        (pl.UInt64, st.integers(0, 2**64 - 1)),
        (pl.Float32, st.floats(width=32, allow_nan=False)),
        (pl.Boolean, st.booleans()),
        (pl.String, st.text(st.characters(codec="utf-8"), max_size=20)),
        (pl.Binary, st.binary(max_size=5)),
        (pl.Date, st.dates()),
        (pl.Time, st.times()),
        (pl.Datetime("us"), _times),
        (pl.Datetime("ms", "Europe/Paris"), _times.map(lambda time: time.replace(microsecond=0))),
        (pl.Duration("us"), st.timedeltas(dt.timedelta(-9), dt.timedelta(9))),
        (pl.Categorical, st.sampled_from(["u", "v"])),
        (pl.Decimal(10, 2), st.integers(-99, 99).map(Decimal)),
        (pl.List(pl.Int8), st.lists(st.integers(0, 9), max_size=3)),
        (pl.Array(pl.Int8, 2), st.tuples(*[st.integers(0, 9)] * 2).map(list)),
        (pl.Struct({"k": pl.String}), st.fixed_dictionaries({"k": st.sampled_from("ab")})),
        (pl.Null, st.none()),
    ]
)


@given(st.data())
@_calm
def _polars_frames_come_back(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 4))
    columns = []
    for at in range(data.draw(st.integers(0, 4))):
        kind, of = data.draw(_polars_types)
        items = data.draw(st.lists(st.none() | of, min_size=rows, max_size=rows))
        columns.append(pl.Series(f"c{at}", items, dtype=kind))
    value = pl.DataFrame(columns)
    for item in (value, value[::2], pl.concat([value, value]) if columns else value, *columns):
        _comes_back(item)


def test_polars_frames_come_back() -> None:
    """Frames and series of drawn dtypes, in one chunk or several, are as they were."""
    # Comparing them starts the pool of polars, and a process that has it can run no forked cell.
    forked(_polars_frames_come_back)


@given(st.data())
@_calm
def test_sparse_arrays_come_back(data: st.DataObject) -> None:
    """CSR and CSC, arrays and matrices, of drawn numbers and shapes, keep their three parts."""
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dtype = data.draw(st.sampled_from(["f8", "f4", "i4", "u1", "?", "c16"]))
    dense = data.draw(hnp.arrays(dtype, shape))
    kind = data.draw(st.sampled_from(["csr_array", "csc_array", "csr_matrix", "csc_matrix"]))
    value = getattr(scipy.sparse, kind)(dense)
    _comes_back(value)
    _comes_back(getattr(scipy.sparse, kind)((0, 3)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (pl.LazyFrame({"a": [1]}), "plan"),
        (pl.Series([object()], dtype=pl.Object), "Arrow"),
        (pl.Series(["a"], dtype=pl.Enum(["a"])), "Arrow"),
        (pa.array([1], pa.int64()).view(pa.int64())[0], "listed"),
        (pa.schema([]), "listed"),
        (scipy.sparse.coo_matrix((2, 2)), "listed"),
        (scipy.sparse.random_array((3, 3)).tolil(), "listed"),
        (pd.arrays.SparseArray([0, 1]), "listed"),
        (np.longdouble(1), "listed"),
        (np.zeros(2, "V4"), "listed"),
        (np.ma.masked, "subclass"),
        (np.rec.array([(1,)], dtype=[("a", "i4")]), "subclass"),
    ],
)
def test_what_has_no_form_on_the_wire_is_withheld(value: object, reason: str) -> None:
    """Relatives of listed types say that they are none, and are never turned into one."""
    with pytest.raises(OutputWithheld, match=reason):
        write_value(value)


_THREADS = """
import base64, os, sys
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import prices
prices.FLOOR = 1 << 30

def pool():
    names = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as name:
            names.append(name.read().strip())
    return [name for name in names if name.startswith("polars-") and name[7:].isdigit()]

frame = read_pickle(base64.b64decode(sys.stdin.buffer.read()))
print(frame.shape, pool())
frame.group_by("t").len()
print(pool() != [])
"""


def test_polars_frames_come_back_without_its_pool_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel that only takes frames can still be forked; its own first query starts the pool."""
    texts = ["a", "b"] * 50_000
    frame = pl.DataFrame(
        {"t": texts, "c": pl.Series(texts, dtype=pl.Categorical), "l": [[1], [2]] * 50_000}
    )
    # In one piece, so without padding.
    monkeypatch.setattr(prices, "FLOOR", 1 << 30)
    data = write_value(frame, None, 1 << 30)[0]
    assert not isinstance(data, tuple)
    run = subprocess.run(
        [sys.executable, "-c", _THREADS],
        input=base64.b64encode(data),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.decode().splitlines() == ["(100000, 3) []", "True"]
