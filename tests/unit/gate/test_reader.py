"""The reader under attack: whatever the bytes, a value or `OutputWithheld`, and soon."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.budget import DEPTH, EQUAL_HASHES
from kavach_ipy.gate.reader import RULES, read_pickle
from kavach_ipy.wire import arrays, tags, values
from kavach_ipy.wire.values import write_value
from tests.unit.gate.forging import Call, forge, is_refused, program, text
from tests.unit.gate.pace import cpu_seconds

_TAG = text("kavach_ipy.wire.tags")
_SAMPLE = {
    "list": [1, 2.5, None, True, "é", b"b", (1, 2), {3}, frozenset([4])],
    "array": np.arange(6).reshape(2, 3),
    "frame": pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
    "time": pd.Timestamp("2024", tz="UTC"),
    "long": list(range(200)),
    "shared": [[1]] * 3,
}


def _sample() -> bytes:
    data = write_value(_SAMPLE)[0]
    assert not isinstance(data, tuple)
    return bytes(data)


_KNOWN = (
    "MEMOIZE SHORT_BINUNICODE BININT1 BINGET BINFLOAT BININT2 BININT LONG_BINGET NONE NEWTRUE "
    "NEWFALSE MARK EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE EMPTY_LIST EMPTY_DICT APPENDS SETITEMS "
    "APPEND SETITEM REDUCE STACK_GLOBAL NEXT_BUFFER READONLY_BUFFER SHORT_BINBYTES BYTEARRAY8 "
    "BINBYTES BINBYTES8 BINUNICODE BINUNICODE8 LONG1 LONG4 EMPTY_SET ADDITEMS FROZENSET FRAME STOP"
)


def test_opcodes_that_name_build_or_reach_out_do_not_exist() -> None:
    """Every opcode that the dialect has not is refused by its number, before it does anything."""
    known = set(_KNOWN.split())
    others = [code for code in pickletools.opcodes if code.name not in known]
    assert {"GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1", "EXT2", "EXT4"} <= {
        code.name for code in others
    }
    assert {"PERSID", "BINPERSID", "DUP", "POP", "POP_MARK", "PUT", "BINPUT", "GET"} <= {
        code.name for code in others
    }
    for code in others:
        data = program(b"NNN(NN", code.code.encode("latin-1"), b"\x00" * 8)
        with pytest.raises(OutputWithheld, match="opcode"):
            read_pickle(data)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("pandas", "DataFrame"),
        ("kavach_ipy.wire.tags", "Path"),
        ("kavach_ipy.wire.tags", "FACTORIES"),
        ("kavach_ipy.wire.tags", "cast"),
        ("kavach_ipy.wire.tags", "__builtins__"),
        ("kavach_ipy.wire.tags", "date.__globals__"),
        ("kavach_ipy.wire.arrays", "take_apart"),
        ("kavach_ipy.gate.builders", "date"),
        ("", ""),
    ],
)
def test_only_tags_have_a_name(module: str, name: str) -> None:
    """A name outside the table leads nowhere; nothing is imported or looked up for it."""
    assert is_refused(program(text(module), text(name), b"\x93)R"))


def test_every_tag_has_a_rule() -> None:
    """The writer can name nothing that the reader has no rule for."""
    assert {(tag.__module__, tag.__name__) for tag in values._TAGS} == set(RULES)


@pytest.mark.parametrize(
    "value", [os.system, pd.DataFrame({"a": [1]}), np.arange(3), ValueError("x"), Exception, len]
)
def test_stock_pickles_are_refused(value: object) -> None:
    """What stock pickle writes of anything but plain values is refused."""
    assert is_refused(pickle.dumps(value, 5))


@pytest.mark.parametrize("protocol", range(5))
def test_other_protocols_are_refused(protocol: int) -> None:
    """Only protocol 5 is read, as the others spell names in other ways."""
    assert is_refused(pickle.dumps([1, 2], protocol))


@pytest.mark.parametrize(
    "body",
    [
        _TAG + text("date") + b"\x93",
        b"](" + _TAG + text("date") + b"\x93e",
        b"]" + _TAG + text("date") + b"\x93a",
        b"}(" + _TAG + text("date") + b"\x93Nu",
        b"}(N" + _TAG + text("date") + b"\x93u",
        b"\x8f(" + _TAG + text("date") + b"\x93\x90",
        b"(" + _TAG + text("date") + b"\x93\x91",
        _TAG + text("date") + b"\x93\x85",
        _TAG + text("as_tuple") + b"\x93" + _TAG + text("date") + b"\x93\x85\x85R",
        _TAG + text("double_ended") + b"\x93](" + _TAG + text("date") + b"\x93eN\x86R",
        _TAG + text("counter") + b"\x93}(N" + _TAG + text("date") + b"\x93u\x85R",
    ],
)
def test_a_tag_is_never_a_value(body: bytes) -> None:
    """A tag can be called and nothing else: it gets into no container, key or result."""
    assert is_refused(program(body))


def test_a_buffer_is_never_a_value_and_is_used_once() -> None:
    """A view of the arena's memory cannot be handed to the user, hashed, or used twice."""
    array = _array_call(b"\x97", 8)
    assert read_pickle(program(array), [bytes(8)]) is not None
    assert is_refused(program(b"\x97"), b"x")
    assert is_refused(program(b"]\x97a"), b"x")
    assert is_refused(program(b"}\x97Ns"), b"x")
    assert is_refused(program(b"(\x97\x91"), b"x")
    assert is_refused(program(array), b"")
    assert is_refused(program(array))
    assert is_refused(program(array), bytes(8), bytes(8))
    assert is_refused(program(b"]\x97\x94", array.replace(b"\x97", b"h\x00"), b"a"), bytes(8))


def test_two_arrays_never_share_a_buffer() -> None:
    """A buffer that a memo hands out again is no memory for a second array."""
    first, again = _array_call(b"\x97\x94", 8), _array_call(b"h\x00", 8)
    assert not is_refused(program(b"(", first, b"t"), bytes(8))
    with pytest.raises(OutputWithheld, match="same memory"):
        read_pickle(program(b"(", first, again, b"t"), [bytes(8)])


def _array_call(raw: bytes, size: int) -> bytes:
    head = text("kavach_ipy.wire.arrays") + text("array") + b"\x93("
    return head + text("|u1") + b"K" + bytes([size]) + b"\x85" + text("C") + raw + b"tR"


def test_two_values_never_share_memory_that_can_change() -> None:
    """Two arrays, or an array and a bytearray, over the same memory are refused either way."""
    raw = b"\x96" + struct.pack("<Q", 8) + bytes(8)
    assert not is_refused(program(_array_call(raw, 8)))
    again = _array_call(b"h\x00", 8)
    assert is_refused(program(b"(", raw, b"\x94", again, again, b"t"))
    assert is_refused(program(b"(", _array_call(raw + b"\x94", 8), b"h\x00t"))
    assert is_refused(program(b"(", raw, b"\x94h\x00", again, b"t"))
    assert not is_refused(program(b"(", raw, b"\x94h\x00h\x00t"))


@pytest.mark.parametrize(
    "body",
    [
        b"]\x94(h\x00e",
        b"]\x94h\x00a",
        b"]\x94K\x01h\x00\x86a",
        b"}\x94(Nh\x00u",
        b"}\x94Nh\x00s",
        b"]\x94]\x94(h\x00eh\x01a",
        b"]\x94h\x00\x85\x94h\x00K\x01a",
        b"(]\x94h\x00h\x00(K\x01et",
    ],
)
def test_what_was_used_never_changes_again(body: bytes) -> None:
    """A container that a memo handed out is finished: so no value contains itself."""
    assert is_refused(program(body))


def test_cycles_are_withheld_with_that_reason() -> None:
    """A list that contains itself is withheld, and the reason says so."""
    value: list[object] = []
    value.append(value)
    with pytest.raises(OutputWithheld, match="contains itself"):
        read_pickle(bytes(_first(write_value(value))))


def _first(parts: tuple[Any, ...]) -> bytes:
    return bytes(parts[0])


@pytest.mark.parametrize(
    "body",
    [
        b"h\x00",
        b"j\xff\xff\xff\xff",
        b"\x94",
        b"(\x94",
        b"N(",
        b"NN",
        b"",
        b"e",
        b"(e",
        b"a",
        b"\x85",
    ],
)
def test_broken_stacks_and_memos_are_refused(body: bytes) -> None:
    """Opcodes that take what is not there are refused."""
    assert is_refused(program(body))


def test_marks_without_an_end_are_refused_soon() -> None:
    """Each takes a list of the reader's, and one byte of the pickle: some are honest depth."""
    assert not is_refused(program(b"(" * DEPTH, b"t" * DEPTH))
    with pytest.raises(OutputWithheld, match="containers inside each other"):
        read_pickle(b"\x80\x05" + b"(" * 100_000)


def test_tag_is_called_with_a_tuple_and_nothing_else() -> None:
    """A list could be changed by who gave it, after it was checked."""
    head = text("kavach_ipy.wire.arrays") + text("array") + b"\x93"
    arguments = text("|u1") + b"K\x08\x85" + text("C") + b"\x97"
    assert not is_refused(program(head, b"(", arguments, b"tR"), bytes(8))
    with pytest.raises(OutputWithheld, match="calls what is no tag"):
        read_pickle(program(head, b"](", arguments, b"eR"), [bytes(8)])
    with pytest.raises(OutputWithheld, match="calls what is no tag"):
        read_pickle(program(text("print"), b")R"))


def test_pickles_cut_anywhere_and_pickles_with_more_are_refused() -> None:
    """No beginning of a good pickle is good, and neither is one with a byte after its end."""
    data = _sample()
    assert not is_refused(data)
    assert all(is_refused(data[:at]) for at in range(len(data)))
    assert is_refused(data + b".")
    assert is_refused(data + data)


@pytest.mark.parametrize("code", [b"\x8d", b"\x8e", b"\x96"])
@pytest.mark.parametrize("length", [1 << 20, 2**31, 2**63, 2**64 - 1])
def test_lengths_beyond_the_end_take_no_memory(code: bytes, length: int) -> None:
    """A length that the pickle does not hold is refused at once."""
    assert is_refused(program(code, struct.pack("<Q", length), b"x"))


@pytest.mark.parametrize(
    "body",
    [
        b"\x8b" + struct.pack("<i", 5000) + bytes(5000),
        b"\x8b" + struct.pack("<i", -1),
        b"\x95" + struct.pack("<Q", 2**63),
        b"X" + struct.pack("<I", 1) + b"\xff",
    ],
)
def test_odd_integers_frames_and_texts_are_refused(body: bytes) -> None:
    """Integers of thousands of bytes, frames beyond the end and broken UTF-8 are refused."""
    assert is_refused(program(body))


@pytest.mark.parametrize(
    "body",
    [
        b"]" * 1_000_000 + b"a" * 999_999,
        b")" + b"\x85" * 1_000_000,
        b"(" * 1_000_000 + b"\x91" * 1_000_000,
        b"N" + b"\x85" * (DEPTH + 1),
        b"}" + b"N}" * 100_000 + b"s" * 100_000,
    ],
)
def test_deep_nesting_is_refused(body: bytes) -> None:
    """Containers nested a million deep are refused, and freed without a crash."""
    assert is_refused(program(body))


def test_nesting_up_to_the_limit_is_read() -> None:
    """The deepest value that is allowed is allowed."""
    value: object = 1
    for _ in range(DEPTH):
        value = [value]
    assert read_pickle(forge(value)) == value


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: Call(tags.double_ended, ([inner], None)),
        lambda inner: Call(tags.default_dict, ("list", {1: inner})),
        lambda inner: Call(tags.ordered_dict, ({1: inner},)),
        lambda inner: Call(arrays.object_array, ((1,), [inner])),
    ],
)
def test_objects_that_free_each_other_recursively_stay_shallow(
    wrap: Callable[[object], object],
) -> None:
    """Classes whose C code frees them without a limit of its own never nest deeper than ours."""
    value: object = 1
    for _ in range(DEPTH // 2 - 1):
        value = wrap(value)
    assert not is_refused(forge(value))
    for _ in range(DEPTH // 2 + 1):
        value = wrap(value)
    assert is_refused(forge(value))


def _soon(data: bytes, *buffers: bytes) -> None:
    assert cpu_seconds(lambda: _refuse(data, *buffers), 2.5) < 2.5


def _refuse(data: bytes, *buffers: bytes) -> None:
    assert is_refused(data, *buffers)


def test_values_that_would_be_endless_to_print_are_refused() -> None:
    """Sixty lists of two references to the one before stand for 2**60 items."""
    bomb = b"]\x94" + b"".join(
        b"](h" + bytes([at]) + b"h" + bytes([at]) + b"e\x94" for at in range(60)
    )
    _soon(program(b"(", bomb, b"t"))
    texts = (
        b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"\x94](" + b"h\x00" * 5000 + b"e"
    )
    _soon(program(b"(", texts, b"t"))


def test_keys_that_would_be_endless_to_hash_are_refused() -> None:
    """A tuple of two references to the one before, forty deep, never becomes a key."""
    tower = b"K\x01\x94" + b"".join(
        b"h" + bytes([at]) + b"h" + bytes([at]) + b"\x86\x94" for at in range(40)
    )
    _soon(program(tower, b"}h\x28Ns\x87"))
    _soon(program(b"(", tower, b"\x91"))


def _ints(count: int) -> list[int]:
    # Python's hash of an int is the int modulo 2**61 - 1.
    return [at * (2**61 - 1) for at in range(1, count + 1)]


@pytest.mark.parametrize(
    "make",
    [
        dict.fromkeys,
        lambda keys: frozenset(keys[: EQUAL_HASHES * 2]),
        lambda keys: {(key, 1): 1 for key in keys[:2000]},
    ],
)
def test_keys_that_collide_are_refused(make: Callable[[list[int]], object]) -> None:
    """Many keys of one hash are refused before they cost quadratic time."""
    _soon(forge(make(_ints(2000))))


def test_keys_that_collide_one_by_one_are_refused() -> None:
    """Keys that are added in pieces are counted together."""
    items = b"".join(
        b"\x8a\x10" + key.to_bytes(16, "little", signed=True) + b"Ns" for key in _ints(40_000)
    )
    _soon(program(b"}", items))
    members = b"".join(
        b"(\x8a\x10" + key.to_bytes(16, "little", signed=True) + b"\x90" for key in _ints(40_000)
    )
    _soon(program(b"\x8f", members))


def test_a_few_equal_hashes_are_fine() -> None:
    """Honest keys collide a little: -1 with -2, in every place of a tuple."""
    value = {(a, b, c): 0 for a in range(-3, 3) for b in range(-3, 3) for c in range(-3, 3)}
    assert read_pickle(forge(value)) == value


@pytest.mark.parametrize("body", [b"}K\x01NsK\x01Ns", b"}(K\x01NK\x01Nu", b"\x8f(K\x01K\x01\x90"])
def test_repeated_keys_are_refused(body: bytes) -> None:
    """No writer repeats a key; one that does may be comparing long texts for ever."""
    assert is_refused(program(body))


@pytest.mark.parametrize("name", ["int_list", "float_list"])
def test_one_buffer_cannot_become_many_lists(name: str) -> None:
    """A megabyte that is replayed ten thousand times runs out of budget, not of memory."""
    raw = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"\x94"
    call = _TAG + text(name) + b"\x93\x94h\x00\x85\x94"
    _soon(program(b"(", raw, call, b"h\x01h\x02R" * 10_000, b"t"))


def test_cheap_opcodes_cannot_buy_dear_objects() -> None:
    """Five bytes that make a Series each, 200,000 times, run out of budget."""
    _soon(program(b"(", _series_parts(), b"h\x00h\x01R" * 200_000, b"t"))


def _series_parts() -> bytes:
    tables = text("kavach_ipy.wire.tables")
    index = tables + text("range_index") + b"\x93(K\x00K\x01K\x01NtR"
    return (
        tables + text("series") + b"\x93\x94" + b"(" + _array_call(b"C\x01x", 1) + index + b"Nt\x94"
    )


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_are_a_value_or_withheld(data: bytes) -> None:
    """Bytes of any kind after the head never raise anything but OutputWithheld."""
    is_refused(b"\x80\x05" + data)
    is_refused(program(data), b"12345678")


_CODES = [code.code.encode("latin-1") for code in pickletools.opcodes]
_PIECES = st.sampled_from(
    [
        *_CODES,
        *(text(module) + text(name) + b"\x93" for module, name in RULES),
        *(
            b"K\x00",
            b"K\x01",
            b"h\x00",
            b"h\x01",
            b"C\x01x",
            b"X\x01\x00\x00\x00a",
            b"\x8a\x01\x05",
        ),
        text("<i8"),
        text("C"),
        text("python"),
    ]
)


@given(st.lists(_PIECES, max_size=40).map(b"".join))
@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
def test_any_program_is_a_value_or_withheld(body: bytes) -> None:
    """Programs of real opcodes and real tags never raise anything but OutputWithheld."""
    is_refused(program(body), bytes(16))


@given(st.data())
@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
def test_a_good_pickle_with_changed_bytes_is_a_value_or_withheld(data: st.DataObject) -> None:
    """Flipped, dropped and doubled bytes of a good pickle raise nothing but OutputWithheld."""
    raw = bytearray(_sample())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "double"])):
            case "flip":
                raw[at] ^= data.draw(st.integers(1, 255))
            case "drop":
                del raw[at : at + data.draw(st.integers(1, 9))]
            case _:
                raw[at:at] = raw[at : at + data.draw(st.integers(1, 9))]
    is_refused(bytes(raw))
