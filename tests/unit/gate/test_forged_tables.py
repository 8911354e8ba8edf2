"""The tags of pandas, called with arguments that no honest writer sends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate import tables as gate_tables
from kavach_ipy.gate.budget import EQUAL_HASHES
from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import arrays, tables, tags
from kavach_ipy.wire.values import write_value
from tests.unit.gate.forging import Call, forge, is_refused, paid
from tests.unit.gate.pace import cpu_seconds


def _numbers(*values: float, dtype: str = "<i8") -> Call:
    raw = np.array(values, dtype)
    return Call(arrays.array, (raw.dtype.str, raw.shape, "C", raw.tobytes()))


def _labels(*values: object) -> Call:
    return Call(tables.index, (Call(arrays.object_array, ((len(values),), list(values))), None))


def _index(*values: float) -> Call:
    return Call(tables.index, (_numbers(*values), None))


_RANGE3 = Call(tables.range_index, (0, 3, 1, None))
_CATEGORICAL = Call(tables.categorical, (_numbers(0, 1, -1, dtype="i1"), _labels("a", "b"), False))


def test_the_attacks_start_from_what_is_accepted() -> None:
    """Each call below differs in one thing from one that the gate accepts."""
    good = [
        _CATEGORICAL,
        Call(tables.series, (_CATEGORICAL, _RANGE3, "x")),
        Call(tables.frame, (_labels("a"), _RANGE3, [_numbers(1, 2, 3)])),
        Call(tables.multi_index, ([_labels("a", "b")], [_numbers(0, 1, dtype="i1")], [None])),
        Call(tables.masked, (_numbers(1, 2), _numbers(0, 1, dtype="?"))),
        Call(tables.texts, ("python", "NA", ["a", None])),
        Call(tables.zoned, (_numbers(1, dtype="<M8[ns]"), "UTC")),
        Call(tables.periods, (_numbers(1, 2), "M")),
        Call(tables.intervals, (_index(0, 1, 2), _index(1, 2, 3), "left")),
        Call(tables.dates, (_numbers(0, 1, 2, dtype="<M8[s]"), "s", None)),
        Call(tables.timestamp, (1, "ns", None)),
        Call(tables.period, (1, "M")),
        Call(tables.interval, (1, 2, "left")),
        Call(tables.missing, ("NA",)),
    ]
    assert not any(is_refused(forge(call)) for call in good)


@pytest.mark.parametrize(
    "codes", [(0, 2), (-2, 0), (127,), (-128,), (256,), (2**30,), (-(2**32),), (2**62,)]
)
def test_codes_without_a_category_are_refused(codes: tuple[int, ...]) -> None:
    """A code beyond the categories, with which pandas would read out of bounds, is refused."""
    call = Call(tables.categorical, (_numbers(*codes), _labels("a", "b"), False))
    assert is_refused(forge(call))
    level = [_labels("a", "b")]
    assert is_refused(forge(Call(tables.multi_index, (level, [_numbers(*codes)], [None]))))


_BAD: list[tuple[Any, tuple[object, ...]]] = [
    (tables.categorical, (_numbers(0.0, dtype="<f8"), _labels("a"), False)),
    (tables.categorical, (_numbers(0), _labels("a", "a"), False)),
    (tables.categorical, (_numbers(0), ["a"], False)),
    (tables.categorical, (_numbers(0), _labels("a"), 1)),
    (tables.categorical, ([0], _labels("a"), False)),
    (tables.masked, (_numbers(1, 2), _numbers(1, dtype="?"))),
    (tables.masked, (_numbers(1), _numbers(1, dtype="i1"))),
    (tables.masked, (_numbers(1, dtype="<M8[s]"), _numbers(1, dtype="?"))),
    (tables.texts, ("python", "NA", [1])),
    (tables.texts, ("python", "x", ["a"])),
    (tables.texts, ("os", "NA", ["a"])),
    (tables.zoned, (_numbers(1), "UTC")),
    (tables.zoned, (_numbers(1, dtype="<M8[s]"), "dateutil//etc/passwd")),
    (tables.zoned, (_numbers(1, dtype="<M8[s]"), None)),
    (tables.periods, (_numbers(1), "M" * 30)),
    (tables.periods, (_numbers(1), "M;M")),
    (tables.periods, (_numbers(1.0, dtype="<f8"), "M")),
    (tables.intervals, (_RANGE3, _labels("a"), "left")),
    (tables.intervals, (Call(tables.range_index, (5, 8, 1, None)), _RANGE3, "left")),
    (tables.intervals, (_RANGE3, _RANGE3, "middle")),
    (tables.index, ([1, 2], None)),
    (tables.index, (_numbers(1), [1])),
    (tables.index, (_numbers(1), {})),
    (tables.index, (_labels("a"), None)),
    (tables.dates, (_numbers(0, 1, 5, dtype="<M8[s]"), "s", None)),
    (tables.dates, (_numbers(0, 1, 2), "s", None)),
    (tables.dates, (_numbers(0, dtype="<M8[s]"), None, None)),
    (tables.range_index, (0, 3, 0, None)),
    (tables.range_index, (0, 2**63, 1, None)),
    (tables.range_index, (0.0, 3, 1, None)),
    (tables.multi_index, ([_labels("a")], [], [None])),
    (tables.multi_index, ([], [], [])),
    (tables.multi_index, ([_labels("a")], [_numbers(0)], [[]])),
    (tables.multi_index, ([["a"]], [_numbers(0)], [None])),
    (
        tables.multi_index,
        ([_labels("a")] * 2, [_numbers(0), _numbers(0, 0)], [None, None]),
    ),
    (tables.series, (_numbers(1, 2), _RANGE3, None)),
    (tables.series, ([1, 2, 3], _RANGE3, None)),
    (tables.series, (_numbers(1, 2, 3), [0, 1, 2], None)),
    (tables.series, (_numbers(1, 2, 3), _RANGE3, [])),
    (tables.frame, (_labels("a", "b"), _RANGE3, [_numbers(1, 2, 3)])),
    (tables.frame, (_labels("a"), _RANGE3, [_numbers(1, 2)])),
    (tables.frame, (_labels("a"), _RANGE3, [[1, 2, 3]])),
    (tables.frame, (_labels("a"), _RANGE3, (_numbers(1, 2, 3),))),
    (tables.frame, (_labels("a"), [0, 1, 2], [_numbers(1, 2, 3)])),
    (tables.frame_of, (_labels("a"), _RANGE3, _numbers(1, 2, 3))),
    (
        tables.frame_of,
        (_labels("a"), _RANGE3, Call(arrays.array, ("|u1", (3, 2), "C", bytes(6)))),
    ),
    (tables.timestamp, (2**63, "ns", None)),
    (tables.timestamp, (1, "D", None)),
    (tables.timestamp, (1, "ns", "No/Such")),
    (tables.timestamp, ("2024", "ns", None)),
    (tables.time_delta, (1, "Y")),
    (tables.period, (1, "nonsense-here")),
    (tables.period, (2**70, "M")),
    (tables.interval, (2, 1, "left")),
    (tables.interval, ("a", "b", "left")),
    (tables.interval, (1, 2, "top")),
    (tables.missing, ("NaN",)),
]


@pytest.mark.parametrize("at", range(len(_BAD)))
def test_parts_that_do_not_fit_are_refused(at: int) -> None:
    """Lengths, dtypes, labels, units and zones that do not agree are refused, never repaired."""
    tag, arguments = _BAD[at]
    assert is_refused(forge(Call(tag, arguments)))
    assert is_refused(forge(Call(tag, (*arguments, 1))))
    assert is_refused(forge(Call(tag, arguments[:-1])))


def test_labels_that_collide_are_refused() -> None:
    """Labels of one hash, which pandas would compare each with each, are refused."""
    equal = [at * (2**61 - 1) for at in range(1, 3000)]
    assert is_refused(forge(_labels(*equal)))
    assert not is_refused(forge(_labels(*equal[:EQUAL_HASHES])))
    assert not is_refused(forge(_labels(*(["a", "b"] * 2000))))


@pytest.mark.parametrize("dtype", ["string[python]", "string[pyarrow]", "str", "arrow"])
def test_texts_that_collide_are_refused_as_labels(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child knows the secret of the kernel's hash; its texts are looked at in every dtype."""
    if dtype == "str" and not pd.__version__.startswith("3"):
        pytest.skip("pandas has this dtype from 3 on")
    kind = pd.ArrowDtype(pa.string()) if dtype == "arrow" else dtype
    # The hash of a text is a secret of the process: here it is a poor one.
    monkeypatch.setattr(gate_tables, "hash", lambda text: hash(text[:1]), raising=False)

    def read(labels: list[str]) -> object:
        values = pd.array(labels, dtype=kind)
        series = pd.Series(range(len(labels)), index=pd.Index(values))
        return read_pickle(*_paid(pd.CategoricalIndex(values))), read_pickle(*_paid(series))

    def _paid(value: object) -> tuple[Any, list[Any]]:
        data, *buffers = write_value(value)
        return data, [bytearray(part) for part in buffers]

    texts = [f"x{at}" for at in range(200)]
    read([f"{chr(65 + at % 50)}{at}" for at in range(200)])
    read(texts[:EQUAL_HASHES])
    with pytest.raises(OutputWithheld, match="labels share a hash"):
        read(texts)
    repeated = pd.Series(range(400), index=pd.Index(pd.array(["xa", "xb"] * 200, dtype=kind)))
    read_pickle(*_paid(repeated))


def test_many_unsorted_numbers_are_no_categories() -> None:
    """Numbers that pandas would have to hash, with a hash that anyone can make collide."""
    numbers = np.arange(30_000)
    for order, is_bad in ((1, False), (-1, True)):
        raw = np.ascontiguousarray(numbers[::order])
        index = Call(
            tables.index, (Call(arrays.array, ("<i8", (30_000,), "C", raw.tobytes())), None)
        )
        call = Call(tables.categorical, (_numbers(0), index, False))
        assert is_refused(forge(call)) is is_bad


def test_a_column_cannot_be_a_whole_frame() -> None:
    """Values that pandas would unpack by itself are refused as columns and labels."""
    frame = Call(tables.frame, (_labels("a"), _RANGE3, [_numbers(1, 2, 3)]))
    for bad in (frame, _RANGE3, Call(tags.double_ended, ([1, 2, 3], None)), {0: 1, 1: 2, 2: 3}):
        assert is_refused(forge(Call(tables.series, (bad, _RANGE3, None))))
        assert is_refused(forge(Call(tables.frame, (_labels("a"), _RANGE3, [bad]))))


@pytest.mark.parametrize(("freq", "step"), [("333cbh", "h"), ("cbh", "h"), ("CBMS", "D")])
def test_a_long_walk_through_the_calendar_is_refused(freq: str, step: str) -> None:
    """Hours of business and their like take pandas half a minute for 200,000 dates."""

    def dates(count: int) -> bytes:
        first = pd.date_range("2000-01-03 09:00", periods=1250, freq=freq)
        rest = np.arange(max(0, count - 1250)).astype(f"m8[{step}]") + first[-1].to_datetime64()
        values = np.concatenate([first.to_numpy().astype("M8[s]"), rest.astype("M8[s]")])[:count]
        raw = Call(arrays.array, (values.dtype.str, values.shape, "C", values.tobytes()))
        return forge(Call(tables.dates, (raw, first.freqstr, None)))

    assert not is_refused(dates(1250))
    long = dates(200_000)
    assert cpu_seconds(lambda: is_refused(long), 1.0) < 1.0
    assert is_refused(long)


@pytest.mark.parametrize(("freq", "count"), [("D", 100_000), ("s", 1_000_000), ("B", 20_000)])
def test_a_long_index_of_times_is_read(freq: str, count: int) -> None:
    """A pace that pandas computes at once costs what it takes."""
    index = pd.date_range("1900-01-01", periods=count, freq=freq)
    values = index.to_numpy().astype("M8[s]")
    raw = Call(arrays.array, (values.dtype.str, values.shape, "C", values.tobytes()))
    back = read_pickle(*paid(forge(Call(tables.dates, (raw, freq, None))), 150 * count))
    assert isinstance(back, pd.DatetimeIndex)
    # pandas 2.1 spells some in capitals.
    assert back.freqstr == index.freqstr


@pytest.mark.parametrize("count", [2**31, 2**40])
def test_frames_without_values_have_no_free_labels(count: int) -> None:
    """Printing no rows of 2**31 columns takes 16 GiB; a thousand labels come back."""

    def frames(count: int) -> list[bool]:
        many, none = (Call(tables.range_index, (0, stop, 1, None)) for stop in (count, 0))
        wide = Call(arrays.array, ("<f8", (0, count), "C", b""))
        tall = Call(arrays.array, ("<f8", (count, 0), "C", b""))
        return [
            is_refused(forge(call))
            for call in (
                Call(tables.frame_of, (many, none, wide)),
                Call(tables.frame_of, (none, many, tall)),
                Call(tables.frame, (none, many, [])),
            )
        ]

    assert frames(1000) == [False] * 3
    assert frames(count) == [True] * 3


def test_a_frame_with_repeated_labels_is_read() -> None:
    """Repeated labels of rows and columns are honest, and come back."""
    call = Call(
        tables.frame,
        (_labels("a", "a"), _labels("x", "x"), [_numbers(1, 2), _CATEGORICAL_OF_TWO]),
    )
    value = read_pickle(forge(call))
    assert isinstance(value, pd.DataFrame)
    assert list(value.columns) == ["a", "a"]
    assert list(value.index) == ["x", "x"]


_CATEGORICAL_OF_TWO = Call(
    tables.categorical, (_numbers(1, 0, dtype="i1"), _labels("u", "v"), True)
)
