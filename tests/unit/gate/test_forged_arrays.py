"""NumPy and the standard library's tags, called with arguments that no honest writer sends."""

from __future__ import annotations

import datetime as dt
import struct
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from kavach_ipy.gate.reader import read_pickle
from kavach_ipy.wire import arrays, tags
from tests.unit.gate.forging import Call, forge, is_refused


def _array(dtype: object, shape: object, order: object, raw: object) -> bool:
    return is_refused(forge(Call(arrays.array, (dtype, shape, order, raw))))


@pytest.mark.parametrize(
    "dtype",
    [
        "O",
        "|O8",
        "object",
        "<f8,<f8",
        "f8",
        "<f16",
        "<c32",
        "|V8",
        "(2,)f4",
        "<i8 ",
        " <i8",
        "<i8\n",
        "<U0",
        "|S0",
        "<M8[0s]",
        "<M8[9999999s]",
        "<M8[s/1000]",
        "<U999999999999",
        "<f\uff18",
        "T",
        "",
        8,
        b"<f8",
        None,
        ("<f8",),
    ],
)
def test_dtypes_outside_the_list_are_refused(dtype: object) -> None:
    """Objects, structures, long doubles and anything that NumPy would parse freely are refused."""
    assert _array(dtype, (1,), "C", bytes(8))


@pytest.mark.parametrize(
    "shape",
    [
        (2,),
        (0,),
        (-1,),
        (-1, -1),
        (True,),
        (1.0,),
        (2**61,),
        (2**64 + 1,),
        (2**32, 2**32),
        (1,) * 33,
        [1],
        1,
        None,
        ((1,),),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: object) -> None:
    """A shape accounts for every byte, in plain lengths, or is refused."""
    assert not _array("<f8", (1,), "C", bytes(8))
    assert _array("<f8", shape, "C", bytes(8))


def test_empty_arrays_of_enormous_shape_are_refused_or_empty() -> None:
    """Axes of no length beside axes of all lengths neither crash nor take memory."""
    for shape in ((0, 2**61), (2**61, 0), (2**31, 2**31, 0), (0, 0, 5)):
        data = forge(Call(arrays.array, ("<f8", shape, "C", b"")))
        if not is_refused(data):
            value = read_pickle(data)
            assert isinstance(value, np.ndarray)
            assert value.nbytes == 0


@pytest.mark.parametrize("order", ["A", "K", "c", "", None, 0])
def test_other_orders_are_refused(order: object) -> None:
    """Only C and Fortran order exist."""
    assert _array("<f8", (1,), order, bytes(8))


@pytest.mark.parametrize("raw", ["x" * 8, [0] * 8, None, 8])
def test_what_is_no_buffer_is_refused(raw: object) -> None:
    """An array's memory is bytes."""
    assert _array("<f8", (1,), "C", raw)


def test_booleans_are_zero_or_one() -> None:
    """A boolean of another bit pattern, which is undefined for compilers, is refused."""
    assert not _array("|b1", (2,), "C", b"\0\1")
    for bad in (b"\0\2", b"\xff\0"):
        assert _array("|b1", (2,), "C", bad)
        assert is_refused(forge(Call(arrays.scalar, ("|b1", bad[:1])))) is (bad[0] > 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_characters_are_code_points(order: str) -> None:
    """A character above U+10FFFF, which CPython would index tables with, is refused."""
    for point, is_bad in ((0x10FFFF, False), (0x110000, True), (0xFFFFFFFF, True)):
        raw = struct.pack(f"{order}II", 97, point)
        assert _array(f"{order}U2", (1,), "C", raw) is is_bad
        assert is_refused(forge(Call(arrays.scalar, (f"{order}U2", raw)))) is is_bad


@pytest.mark.parametrize(
    "arguments",
    [("<f8", b"1234567"), ("<f8", bytes(16)), ("O", bytes(8)), ("<f8", bytearray(8)), ("<f8",), ()],
)
def test_scalars_of_another_size_are_refused(arguments: tuple[object, ...]) -> None:
    """A scalar is one item of a listed dtype."""
    assert is_refused(forge(Call(arrays.scalar, arguments)))


@pytest.mark.parametrize(
    "arguments",
    [((2,), [1]), ((1,), (1,)), ((-1,), []), ([1], [1]), ((1, 1, True), [1]), ((2**40,), [])],
)
def test_arrays_of_objects_of_another_shape_are_refused(arguments: tuple[object, ...]) -> None:
    """As many objects as the shape says, in a list."""
    assert is_refused(forge(Call(arrays.object_array, arguments)))


_BAD: list[tuple[Any, tuple[object, ...]]] = [
    (tags.complex_number, (1, 2)),
    (tags.complex_number, ("1", "2")),
    (tags.date, (2024, 1, 1.0)),
    (tags.date, (2024, 13, 1)),
    (tags.date, (True, 1, 1)),
    (tags.date, (b"\x07\xe8\x01\x01\0\0\0\0\0\0", 1, 1)),
    (tags.time, (1, 2, 3, 4, None, 2)),
    (tags.time, (1, 2, 3, 4, "UTC", 0)),
    (tags.date_time, (dt.date(2024, 1, 1), None)),
    (tags.time_delta, (10**10, 0, 0)),
    (tags.time_delta, (1.5, 0, 0)),
    (tags.time_zone, (3600, None)),
    (tags.zone, ("../../../../etc/passwd",)),
    (tags.zone, ("/etc/localtime",)),
    (tags.zone, ("Europe/../Europe/Paris",)),
    (tags.zone, ("No/Such",)),
    (tags.decimal, (1,)),
    (tags.decimal, ("x",)),
    (tags.decimal, ("1" * 5000,)),
    (tags.fraction, (1, 0)),
    (tags.fraction, ("1/3", 1)),
    (tags.uuid, (bytes(15),)),
    (tags.uuid, ("0" * 32,)),
    (tags.range_of, (0, 1, 0)),
    (tags.range_of, (0, 1.0, 1)),
    (tags.slice_of, ([], None, None)),
    (tags.path, ("str", "x")),
    (tags.path, ("__class__", "x")),
    (tags.path, ("Path", "x" * 5000)),
    (tags.as_tuple, ([1],)),
    (tags.ordered_dict, ([(1, 2)],)),
    (tags.default_dict, ("eval", {})),
    (tags.default_dict, ("list", [])),
    (tags.double_ended, ((1,), None)),
    (tags.double_ended, ([1], -1)),
    (tags.counter, ("aab",)),
    (tags.int_list, (b"1234567",)),
    (tags.int_list, ([1],)),
    (tags.float_list, ("12345678",)),
    (tags.text_list, (struct.pack("<i", 2), b"a")),
    (tags.text_list, (struct.pack("<i", 1), b"ab")),
    (tags.text_list, (b"\0", b"")),
    (tags.text_lines, ("a\0b",)),
    (tags.text_lines, (b"\xff",)),
    (tags.mapping, ([1, 2], [1])),
    (tags.mapping, ([1, 1], [1, 2])),
    (tags.mapping, ([1], [[]])),
    (tags.mapping, ([[]], [1])),
    (tags.mapping, ((1,), (1,))),
    (tags.mapping, ([at * (2**61 - 1) for at in range(1, 3000)], [1] * 2999)),
    (tags.text_list, (struct.pack("<i", 1), b"\xff")),
]


@pytest.mark.parametrize(("tag", "arguments"), _BAD)
def test_arguments_of_other_types_or_ranges_are_refused(
    tag: Any, arguments: tuple[object, ...]
) -> None:
    """Every argument is of exactly its type and range; how many there are is checked too."""
    plain = tuple(
        Call(tags.date, (value.year, value.month, value.day)) if type(value) is dt.date else value
        for value in arguments
    )
    assert is_refused(forge(Call(tag, plain)))
    assert is_refused(forge(Call(tag, (*plain, 1))))
    assert is_refused(forge(Call(tag, ())))


def test_zones_of_this_machine_are_read() -> None:
    """The zone that the database has is the counterpart of those that it has not."""
    assert read_pickle(forge(Call(tags.zone, ("Europe/Paris",)))) == ZoneInfo("Europe/Paris")
