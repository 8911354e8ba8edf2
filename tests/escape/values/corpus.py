"""The corpus: one hostile value for each way in that is known, by name.

Guarantees: each differs in one thing from what an honest child sends; `TOUCH` stands where a stock
unpickler would run a command.
Assumes: the reader's tags; tests/unit/gate holds many more of each kind.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from kavach_ipy.wire import arrays, arrow, polars_frames, sparse, tables, tags, trusted
from tests.unit.gate.forging import Call, forge, program, text

__all__ = ["TOUCH", "corpus"]

TOUCH = "touch @canary@"
"""The command of an attacker; who uses the corpus puts a path in."""

Hostile = tuple[bytes, tuple[bytes, ...]]


def corpus() -> dict[str, Hostile]:
    """Return pickles and their buffers by a name."""
    made: dict[str, Hostile] = {}
    for group in (_opcodes, _numpy, _pandas, _arrow, _scipy, _keys, _memo, _lengths):
        for name, value in group().items():
            if isinstance(value, tuple):
                made[name] = value
            else:
                made[name] = (forge(value) if isinstance(value, Call) else value, ())
    return made


def _command() -> bytes:
    raw = TOUCH.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def _opcodes() -> dict[str, Any]:
    command = _command()
    system = text("os") + text("system") + b"\x93"
    return {
        "STACK_GLOBAL os.system": program(system, command, b"\x85R"),
        "GLOBAL os.system": program(b"cos\nsystem\n", command, b"\x85R"),
        "INST os.system": program(b"(", command, b"ios\nsystem\n"),
        "OBJ os.system": program(b"(cos\nsystem\n", command, b"o"),
        "NEWOBJ": program(system, command, b"\x85\x81"),
        "NEWOBJ_EX": program(system, command, b"\x85}\x92"),
        "BUILD": program(b"}", text("__class__"), b"Nsb"),
        "EXT1": program(b"\x82\x01"),
        "EXT4": program(b"\x84\x01\x00\x00\x00"),
        "PERSID": program(b"Pname\n"),
        "BINPERSID": program(text("name"), b"Q"),
        "numpy.ndarray alone": program(text("numpy") + text("ndarray") + b"\x93)R"),
        "numpy _reconstruct": pickle.dumps(np.arange(3), 2),
        "a dotted tag": program(text("kavach_ipy.wire.tags") + text("date.__class__") + b"\x93)R"),
        "a tag of another module": program(
            text("kavach_ipy.wire.tags") + text("Path") + b"\x93", command, b"\x85R"
        ),
        "a class that nobody trusts": Call(trusted.instance, ("subprocess.Popen", {"args": TOUCH})),
        "a decoder that nobody trusts": Call(trusted.encoded, ("os.system", TOUCH)),
        "a factory": Call(tags.default_dict, ("eval", {})),
        "a zone that is a path": Call(tags.zone, ("../../../etc/passwd",)),
    }


def _array(dtype: object, shape: object, raw: object, order: object = "C") -> Call:
    return Call(arrays.array, (dtype, shape, order, raw))


def _ints(*values: float, dtype: str = "<i4") -> Call:
    raw = np.array(values, dtype)
    return _array(raw.dtype.str, raw.shape, raw.tobytes())


def _numpy() -> dict[str, Any]:
    overlapping = (8, (("a", "<i8", (), 0), ("b", "|O8", (), 0)))
    return {
        "dtype of objects": _array("|O8", (1,), struct.pack("<Q", 0x4141414141414141)),
        "dtype of objects inside": _array((8, (("a", "|O8", (), 0),)), (1,), b"A" * 8),
        "dtype of fields over each other": _array(overlapping, (1,), b"A" * 8),
        "dtype that NumPy parses": _array("<i4,(2**9)O", (1,), bytes(8)),
        "shape beyond the buffer": _array("<f8", (2**40,), bytes(8)),
        "shape that overflows": _array("<f8", (2**61, 8), bytes(0)),
        "negative shape": _array("<f8", (-1, -1), bytes(8)),
        "strides instead of an order": _array("<f8", (1,), bytes(8), (2**40,)),
        "boolean of 2": _array("|b1", (1,), b"\2"),
        "code point beyond the last": _array("<U1", (1,), b"\0\0\x11\0"),
        "mask of another shape": Call(
            arrays.masked_array, (_ints(1, 2), _array("|b1", (1,), b"\0"), None, False)
        ),
    }


def _twice(part: Call, make: Callable[[Call], Call]) -> bytes:
    return forge([part, make(part)])


def _labels(*values: object) -> Call:
    return Call(tables.index, (Call(arrays.object_array, ((len(values),), list(values))), None))


def _pandas() -> dict[str, Any]:
    three = Call(tables.range_index, (0, 3, 1, None))
    level = [_labels("a", "b")]
    return {
        "Categorical code beyond": Call(
            tables.categorical, (_ints(0, 99, dtype="i1"), _labels("a"), False)
        ),
        "Categorical code below": Call(
            tables.categorical, (_ints(0, -9, dtype="i1"), _labels("a"), False)
        ),
        "MultiIndex code beyond": Call(tables.multi_index, (level, [_ints(0, 2**30)], [None])),
        "MultiIndex code below": Call(tables.multi_index, (level, [_ints(-5)], [None])),
        "frame of other lengths": Call(tables.frame, (_labels("a"), three, [_ints(1)])),
        "frame of another shape": Call(tables.frame_of, (_labels("a"), three, _ints(1, 2, 3))),
        "mask of another length": Call(tables.masked, (_ints(1, 2), _array("|b1", (1,), b"\0"))),
        "frequency that is code": Call(tables.periods, (_ints(1, dtype="<i8"), TOUCH)),
        "codes that are an array too": _twice(
            _ints(0, 0), lambda codes: Call(tables.categorical, (codes, _labels("a"), False))
        ),
        "labels that are a column too": _twice(
            Call(arrays.object_array, ((1,), ["a"])),
            lambda labels: Call(tables.index, (labels, None)),
        ),
        "dates in hours of business": Call(
            tables.dates,
            (
                _array("<M8[h]", (200_000,), np.arange(200_000, dtype="<i8").tobytes()),
                "999cbh",
                None,
            ),
        ),
        "no rows of 2**40 columns": Call(
            tables.frame_of,
            (
                Call(tables.range_index, (0, 2**40, 1, None)),
                Call(tables.range_index, (0, 0, 1, None)),
                _array("<f8", (0, 2**40), b""),
            ),
        ),
        "zone of dateutil": Call(
            tables.zoned, (_array("<M8[s]", (1,), bytes(8)), "dateutil//etc/passwd")
        ),
    }


def _stream(change: Callable[[bytearray], object] | None = None, **options: Any) -> bytes:
    table = pa.table({"t": ["a", "bc", None, "def"], "d": pa.array(["x"] * 4).dictionary_encode()})
    sink = io.BytesIO()
    settings = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, table.schema, options=settings) as writer:
        writer.write_table(table)
    raw = bytearray(sink.getvalue())
    if change is not None:
        change(raw)
    return bytes(raw)


def _nulls() -> bytes:
    sink = io.BytesIO()
    column = pa.table({"l": pa.array([[None] * 0x12345], pa.large_list(pa.null()))})
    with pa.ipc.new_stream(sink, column.schema) as writer:
        writer.write_table(column)
    return sink.getvalue().replace(struct.pack("<q", 0x12345), struct.pack("<q", 2**60))


def _arrow() -> dict[str, Any]:
    def offsets(raw: bytearray) -> None:
        # The offsets of "t": 0, 1, 3, 3, 6.
        at = raw.index(struct.pack("<5i", 0, 1, 3, 3, 6))
        raw[at + 4 : at + 8] = struct.pack("<i", 2**30)

    def backwards(raw: bytearray) -> None:
        at = raw.index(struct.pack("<5i", 0, 1, 3, 3, 6))
        raw[at + 8 : at + 12] = struct.pack("<i", -1)

    def utf8(raw: bytearray) -> None:
        at = raw.index(b"abcdef")
        raw[at] = 0xFF

    def length(raw: bytearray) -> None:
        # Every 4 that is a 64-bit number: the batch's length and its nodes'.
        packed = struct.pack("<q", 4)
        at = raw.find(packed)
        while at >= 0:
            raw[at : at + 8] = struct.pack("<q", 2**40)
            at = raw.find(packed, at + 8)

    def overlap(raw: bytearray) -> None:
        # Six bytes of texts, which begin where the offsets of all columns do.
        size = struct.pack("<q", 6)
        at = raw.find(size)
        while at >= 0:
            raw[at - 8 : at] = bytes(8)
            at = raw.find(size, at + 8)

    def extension(raw: bytearray) -> None:
        at = raw.rindex(b"d\0\0\0")
        raw[at:at] = b"ARROW:extension:name"

    def table(raw: bytes) -> Call:
        return Call(arrow.table, (raw,))

    return {
        "Arrow offsets beyond": table(_stream(offsets)),
        "Arrow offsets backwards": table(_stream(backwards)),
        "Arrow text that is none": table(_stream(utf8)),
        "Arrow lengths of 2**40": table(_stream(length)),
        "Arrow extension": table(_stream(extension)),
        "Arrow inflated": table(_stream(compression="zstd")),
        "Arrow cut off": table(_stream()[:-40]),
        "Arrow buffers over each other": table(_stream(overlap)),
        "Arrow list of 2**60 nulls": table(_nulls()),
        "polars list of 2**60 nulls": Call(polars_frames.frame, (table(_nulls()),)),
        "polars of broken offsets": Call(polars_frames.frame, (table(_stream(offsets)),)),
    }


def _scipy() -> dict[str, Any]:
    def matrix(indices: Call, indptr: Call, kind: str = "csr_array") -> Call:
        return Call(sparse.compressed, (kind, (2, 3), _ints(1, 2, dtype="<f8"), indices, indptr))

    return {
        "CSR index beyond": matrix(_ints(0, 2**30), _ints(0, 1, 2)),
        "CSR index below": matrix(_ints(0, -1), _ints(0, 1, 2)),
        "CSR rows beyond": matrix(_ints(0, 1), _ints(0, 2**30, 2)),
        "CSR rows backwards": matrix(_ints(0, 1), _ints(0, 2, 1)),
        "CSR of another class": matrix(_ints(0, 1), _ints(0, 1, 2), "linalg"),
    }


def _keys() -> dict[str, Any]:
    # Python's hash of a number is the number modulo 2**61 - 1, for ints, Decimals and UUIDs' ints.
    equal = [at * (2**61 - 1) for at in range(1, 4000)]
    uuids = [Call(tags.uuid, (number.to_bytes(16, "big"),)) for number in equal]
    return {
        "ints of one hash": forge(dict.fromkeys(equal)),
        "tuples of one hash": forge({(number, 1): None for number in equal}),
        "Decimals of one hash": _members([Call(tags.decimal, (str(n),)) for n in equal]),
        "UUIDs of one hash": _members(uuids),
        "Fractions of one hash": _members([Call(tags.fraction, (n, 1)) for n in equal]),
        "labels of one hash": _labels(*equal),
        "a key that is endless to hash": program(
            b"K\x01\x94",
            *(b"h" + bytes([at]) * 1 + b"h" + bytes([at]) + b"\x86\x94" for at in range(60)),
            b"}h\x3cNs" + b"\x86",
        ),
    }


def _members(calls: list[Call]) -> bytes:
    """Put what calls make into a set; pickle itself would hash the calls."""
    return program(b"\x8f(", *(forge(call)[2:-1] for call in calls), b"\x90")


def _memo() -> dict[str, Any]:
    array = forge(_array("|u1", (8,), b"x" * 8))[2:-1]
    twice = text("kavach_ipy.wire.arrays") + text("array") + b"\x93("
    twice += text("|u1") + b"K\x08\x85" + text("C")
    return {
        "a list that contains itself": program(b"]\x94h\x00a"),
        "a dict that contains itself": program(b"}\x94Nh\x00s"),
        "a tuple that grows a list later": program(b"]\x94h\x00\x85h\x00K\x01a\x86"),
        "a memo that is not there": program(b"j\xff\xff\xff\xff"),
        "a buffer that is replayed": (
            program(b"\x97\x94", twice, b"h\x00tR", twice, b"h\x00tR\x87"),
            (b"x" * 8,),
        ),
        "a buffer that is no value": (program(b"\x97"), (b"x" * 8,)),
        "a buffer that is not there": program(b"\x97"),
        "a buffer too many": (program(array), (b"x",)),
        "nesting of a million": program(b"N", b"\x85" * 1_000_000),
        "2**60 items": program(
            b"(]\x94",
            *(b"](h" + bytes([at]) + b"h" + bytes([at]) + b"e\x94" for at in range(60)),
            b"t",
        ),
        "a bomb of lists": program(
            b"(B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"\x94",
            text("kavach_ipy.wire.tags") + text("int_list") + b"\x93\x94h\x00\x85\x94",
            b"h\x01h\x02R" * 10_000,
            b"t",
        ),
    }


def _lengths() -> dict[str, Any]:
    good = forge([1, "a", (2.5, None)])
    huge = struct.pack("<Q", 2**63)
    return {
        "text of 2**63": program(b"\x8d", huge, b"x"),
        "bytes of 2**63": program(b"\x8e", huge, b"x"),
        "bytearray of 2**64-1": program(b"\x96", struct.pack("<Q", 2**64 - 1), b"x"),
        "int of 2**31": program(b"\x8b", struct.pack("<i", 2**31 - 1), b"x"),
        "negative int": program(b"\x8b", struct.pack("<i", -1), b"x"),
        "cut off": good[:-3],
        "trailing bytes": good + b"N.",
        "two pickles": good + good,
        "protocol 4": pickle.dumps([1], 4),
        "nothing": b"",
    }
