"""What the writer writes, the reader reads, and so does stock pickle."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import nan
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import prices
from kavach_ipy.wire.arena import Arena, ArenaWriter
from kavach_ipy.wire.values import encode_value, write_value
from tests.unit.gate.sameness import is_same

_ZONES = st.none() | st.sampled_from(
    [dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30), "IST"), zoneinfo.ZoneInfo("Asia/Tokyo")]
)
_keys = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.dates()
    | st.datetimes(timezones=_ZONES)
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.timedeltas()
    | st.tuples(st.integers(), st.text(max_size=3))
    | st.frozensets(st.integers())
)
_leaves = (
    _keys
    | st.floats()
    | st.text(st.characters(), max_size=300)
    | st.complex_numbers()
    | st.times()
    | st.binary(max_size=300).map(bytearray)
    | st.slices(10)
    | st.builds(range, st.integers(), st.integers(), st.integers(1, 9))
    | st.sampled_from([Path("/a/b"), PurePosixPath("c"), PureWindowsPath("d:/e")])
    | st.sampled_from([zoneinfo.ZoneInfo("Europe/Paris"), dt.UTC, Decimal("-0"), Decimal("sNaN")])
)
_values: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(_keys, inner, max_size=5)
        | st.sets(_keys, max_size=5)
        | st.dictionaries(_keys, inner, max_size=3).map(OrderedDict)
        | st.dictionaries(_keys, inner, max_size=3).map(lambda d: defaultdict(list, d))
        | st.lists(inner, max_size=4).map(lambda items: deque(items, 10))
        | st.lists(_keys, max_size=4).map(Counter)
    ),
    max_leaves=20,
)
_dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.complex_number_dtypes(endianness="?", sizes=(64, 128))
    | hnp.datetime64_dtypes(endianness="?")
    | hnp.timedelta64_dtypes(endianness="?")
    | hnp.unicode_string_dtypes(endianness="?", max_len=9)
    | hnp.byte_string_dtypes(max_len=9)
)
_arrays = hnp.arrays(_dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
Named = namedtuple("Named", "a b")  # noqa: PYI024 - a class of a cell's, as a cell writes it.


@pytest.fixture(scope="module", autouse=True)
def nothing_is_free() -> Iterator[None]:
    """Let every value pay for itself, as it must where many come back together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prices, "FLOOR", 0)
        yield


def _both(value: object) -> list[object]:
    """Return what the reader and what stock pickle make of a value's pickle."""
    data, *buffers = write_value(value)
    assert not isinstance(data, tuple)
    parts = [bytearray(part) for part in buffers if not isinstance(part, tuple)]
    stock = pickle.loads(data, buffers=parts)
    return [read_pickle(bytes(data), [memoryview(bytearray(part)) for part in parts]), stock]


@given(_values)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_plain_values_come_back(value: object) -> None:
    """Built-ins, containers and the types of the standard library come back as they were."""
    for back in _both(value):
        assert is_same(value, back)


@given(_arrays, st.booleans(), st.integers(1, 3))
@settings(max_examples=300)
def test_arrays_come_back(array: Any, is_transposed: bool, step: int) -> None:
    """Arrays of every listed dtype, shape and layout come back, with gaps or without."""
    value = (array.T if is_transposed else array)[..., ::step] if array.ndim else array
    for back in _both(value):
        assert is_same(value, back)


@given(_arrays.filter(lambda array: array.size > 0))
def test_array_scalars_come_back(array: Any) -> None:
    """Scalars of every listed dtype come back with their dtype, or are refused with a reason."""
    value = array.reshape(-1)[0]
    if value.dtype.itemsize == 0:
        assert "listed" in str(encode_value("x", value, None).body["reason"])
        return
    for back in _both(value):
        assert is_same(value, back)


@pytest.mark.parametrize(
    "value",
    [
        list(range(-500, 500)),
        [2**63 - 1, -(2**63)] * 100,
        [2**63] * 200,
        [True, 1] * 100,
        [1.5, nan, -0.0] * 100,
        [f"é{at}\U0001f600\ud800" for at in range(300)],
        [f"{at}" for at in range(300)] + [None, nan],
        [f"{at}" for at in range(300)] + [1.5],
        [f"{at}" for at in range(300)] + ["a\0b"],
        {f"k{at}": f"v{at}" for at in range(300)},
        {at: at / 2 for at in range(300)},
        {f"k{at}": (at or None) for at in range(300)},
        {f"k{at}": [at] for at in range(300)},
        dict.fromkeys([True, *(f"k{at}" for at in range(300))], 1),
        ["same", "other"] * 200,
        [None] * 300,
        [1, 1.0] * 200,
        [b"x"] * 200,
    ],
)
def test_long_lists_of_one_kind_come_back(value: object) -> None:
    """Lists and dicts that travel as buffers, and those that nearly could, keep every type."""
    for back in _both(value):
        assert is_same(value, back)


def _frames() -> list[Any]:
    times = pd.date_range("2024-03-30", periods=4, freq="D", tz="Europe/Paris")
    frame = pd.DataFrame(
        {
            "float": [1.5, nan, -0.0, 2.0],
            "int": [1, 2, 3, 4],
            "small": np.array([1, 2, 3, 4], "i1"),
            "bool": [True, False, True, True],
            "text": ["a", None, "ü", "c"],
            "object": [1, "x", None, (1, 2)],
            "category": pd.Categorical(["u", "v", None, "u"], ["v", "u", "w"], ordered=True),
            "zoned": times,
            "naive": times.tz_localize(None),
            "delta": pd.to_timedelta([1, 2, None, 4], unit="s"),
            "Int64": pd.array([1, None, 3, 4], dtype="Int64"),
            "Float32": pd.array([1.5, None, 3, 4], dtype="Float32"),
            "boolean": pd.array([True, None, False, True], dtype="boolean"),
            "string": pd.array(["q", None, "r", "s"], dtype="string"),
            "period": pd.period_range("2024", periods=4, freq="M"),
            "interval": pd.interval_range(0, 4),
        },
        index=["r", "s", "r", "t"],
    )
    many = pd.DataFrame(np.arange(20.0).reshape(4, 5))
    long = pd.DataFrame({"k": ["x", "y"] * 300, "v": range(600)})
    return [
        frame,
        *(frame[name] for name in frame),
        *(pd.Index(frame[name], name=name) for name in frame if name != "object"),
        frame.describe(),
        frame.describe(include="all"),
        frame.groupby("text")["float"].mean(),
        frame.groupby(["text", "category"], observed=True)["int"].agg(["min", "max"]),
        frame.set_index(["text", "int"]),
        frame[["float", "float"]],
        frame.iloc[:0],
        frame[[]],
        frame.iloc[::2],
        many,
        many.T,
        many.iloc[::2, 1:3],
        many.astype("f4"),
        many.rename(columns=str),
        long,
        long.k,
        long.pivot_table(index="k", values="v", aggfunc=["sum", "mean"]),
        pd.DataFrame(),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame({("a", 1): [1], ("b", 2): [2]}),
        pd.Series([1, 2], name=("a", 1)),
        pd.Series([], dtype="float64"),
        pd.Series(times, index=times),
        pd.RangeIndex(3, 30, 3, name="n"),
        times,
        pd.timedelta_range("1s", periods=3, freq="2s"),
        pd.date_range("2024", periods=3, freq="MS"),
        pd.date_range("2024", periods=3, freq="W-SUN"),
        pd.MultiIndex.from_product([[1, 2], ["a", None]], names=["x", None]),
        pd.Index([], dtype=object),
        pd.Index([1, "a", None, (1,)], dtype=object),
        pd.Index([True, False]),
        pd.Timestamp("2024-01-01T01:02:03.000000004", tz="America/New_York"),
        pd.Timestamp("2024-01-01", tz="UTC"),
        pd.Timestamp("2024"),
        pd.Timedelta("1ns"),
        pd.Timedelta("-1D"),
        pd.Period("2024", "Q"),
        pd.Interval(1, 2.5, closed="both"),
        pd.Interval(pd.Timestamp("2024"), pd.Timestamp("2025")),
        pd.NaT,
        pd.NA,
        {"frame": many, "parts": [many, many.iloc[0]]},
    ]


@pytest.mark.parametrize("at", range(len(_frames())))
def test_tables_come_back(at: int) -> None:
    """Series, frames, indexes and scalars of every listed dtype come back as they were."""
    value = _frames()[at]
    for back in _both(value):
        assert is_same(value, back)


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_frames_of_any_columns_come_back(data: st.DataObject) -> None:
    """Frames of drawn columns, labels and rows come back."""
    rows = data.draw(st.integers(0, 5))
    kinds = ("i8", "f4", "u1", "bool", "M8[ns]", "m8[us]", "c16", "O")
    objects = st.integers(0, 9) | st.none() | st.text(max_size=2)
    drawn: list[str] = data.draw(st.lists(st.sampled_from(kinds), max_size=6))
    columns = [
        hnp.arrays(np.dtype(kind), rows, elements=objects if kind == "O" else None)
        for kind in drawn
    ]
    value = pd.DataFrame(dict(enumerate(map(data.draw, columns))), index=range(rows))
    labels = st.lists(
        st.text(max_size=2) | st.integers(), min_size=len(columns), max_size=len(columns)
    )
    value.columns = pd.Index(data.draw(labels), dtype=object)
    for back in _both(value):
        assert is_same(value, back)


def test_arrays_of_objects_come_back() -> None:
    """An array of objects keeps its shape and its objects, nested containers included."""
    value = np.array([[1, "x"], [None, [1, (2,)]]], dtype=object)
    for back in _both(value):
        assert is_same(value, back)


def test_aliasing_inside_a_value_survives() -> None:
    """One list or array in two places is one object again."""
    shared = [1, 2]
    array = np.arange(3)
    for back in _both([shared, shared, {"k": shared}, array, array]):
        assert isinstance(back, list)
        assert back[0] is back[1] is back[2]["k"]
        assert back[3] is back[4]


def test_named_tuples_come_back_as_tuples() -> None:
    """A named tuple's class stays outside; its items come."""
    for back in _both([Named(1, (2, 3))]):
        assert is_same(back, [(1, (2, 3))])


def test_small_arrays_stay_writable_and_read_only_ones_read_only() -> None:
    """An array may be written to afterwards exactly when it could be before."""
    fixed = np.arange(5)
    fixed.flags.writeable = False
    for value in (np.arange(5), fixed):
        for back in _both(value):
            assert isinstance(back, np.ndarray)
            assert back.flags.writeable == value.flags.writeable


def test_big_arrays_use_the_arena_s_memory() -> None:
    """A big array in the parent is the sealed memory itself, and writable."""
    value = {"a": np.arange(100_000.0), "b": np.arange(20_000)}
    with Arena.create(1 << 22) as arena:
        data, *spans = write_value(value, ArenaWriter(arena.fd, arena.limit))
        assert isinstance(data, memoryview)
        with arena.seal() as sealed:
            views = [sealed.view(*span) for span in spans if isinstance(span, tuple)]
            assert len(views) == 2
            back = read_pickle(bytes(data), views)
    assert is_same(back, value)
    assert isinstance(back, dict)
    views[0][:8] = np.float64(7.0).tobytes()
    assert back["a"][0] == 7.0
    back["a"][1] = 8.0


def _arena_mappings() -> int:
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:kavach-arena")


def test_memory_is_given_back_with_the_last_array() -> None:
    """The arena stays as long as one array over it lives, whatever became of the others."""
    before = _arena_mappings()
    with Arena.create(1 << 24) as arena:
        value = [np.arange(100_000.0), np.arange(200_000.0)]
        data, *spans = write_value(value, ArenaWriter(arena.fd, arena.limit))
        with arena.seal() as sealed:
            views = [sealed.view(*span) for span in spans if isinstance(span, tuple)]
            assert not isinstance(data, tuple)
            back: Any = read_pickle(bytes(data), views)
    del views, data
    assert _arena_mappings() == before + 1
    last = back[1][5:10]
    del back
    assert _arena_mappings() == before + 1
    assert last.tolist() == [5.0, 6.0, 7.0, 8.0, 9.0]
    del last
    assert _arena_mappings() == before


def test_many_small_buffers_are_packed() -> None:
    """Arrays of a kilobyte share the pages of the pickle, instead of taking one each."""
    value = [np.full(128, at, dtype="f8") for at in range(5000)]
    with Arena.create(1 << 26) as arena:
        parts = write_value(value, ArenaWriter(arena.fd, arena.limit))
        assert os.fstat(arena.fd).st_size < 1.3 * 5000 * 1024
        # The pickle, and what pays for five thousand objects.
        spans = [part for part in parts if isinstance(part, tuple)]
        assert len(spans) == len(parts) == 2
        with arena.seal() as sealed:
            data, padding = (sealed.view(*span) for span in spans)
            back: Any = read_pickle(data, [padding])
    assert is_same(back, value)
    back[0][0] = 9.0
    assert back[1][0] == 1.0


def test_uuid_and_fraction_are_what_stock_makes_of_them() -> None:
    """Two classes whose own pickles set attributes are made by their constructors here."""
    value = [UUID(int=5), Fraction(-1, 3)]
    for back in _both(value):
        assert is_same(back, value)
