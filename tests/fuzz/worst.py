"""The worst that hostile bytes can ask for: what takes few bytes on the wire and many in memory.

Guarantees: the same seed makes the same programs; every tag of the dialect is among them.
Assumes: as `tests.fuzz.programs`.
"""

from __future__ import annotations

import datetime as dt
import pickletools
import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kavach_ipy.gate.reader import RULES
from kavach_ipy.wire import arrow
from kavach_ipy.wire.values import write_value
from tests.fuzz.programs import HEAD, Program, opcode_text

__all__ = ["searched_programs", "worst_programs"]

_WIDE = "\U0001f600".encode()
_NUMBER4 = struct.Struct("<I").pack
_SIZE8 = struct.Struct("<Q").pack

_UNITS: dict[str, bytes] = {
    "lists": b"]",
    "lists of one": b"]Na",
    "lists of five": b"](NNNNNe",
    "dicts": b"}",
    "dicts of one": b"}NNs",
    "sets": b"\x8f",
    "sets of one": b"\x8f(N\x90",
    "sets of five": b"\x8f(NK\x02K\x03K\x04K\x05\x90",
    "frozensets": b"(\x91",
    "frozensets of one": b"(N\x91",
    "tuples of none": b"(t",
    "tuples of one": b"N\x85",
    "tuples of two": b"NN\x86",
    "tuples of three": b"NNN\x87",
    "tuples of four": b"(NNNNt",
    "memoised": b"N\x94",
    "memoised lists": b"]\x94",
    "numbers": b"M\x00\x10",
    "long numbers": b"\x8a\x02\x00\x10",
    "longer numbers": b"\x8a\xff" + b"\x10" * 255,
    "floats": b"G" + bytes(8),
    "bytes": b"C\x02xy",
    "bytearrays": b"\x96" + _SIZE8(1) + b"x",
    "texts": b"\x8c\x02xy",
    "wide texts": b"\x8c\x04" + _WIDE,
    "wide last": b"\x8c\xff" + b"x" * 251 + _WIDE,
    "longer texts": b"X" + _NUMBER4(300) + b"x" * 300,
    "longer wide texts": b"X" + _NUMBER4(304) + b"x" * 300 + _WIDE,
    "marks": b"(",
}


def _arguments() -> dict[str, list[tuple[Any, ...]]]:
    """Return arguments for each tag, as short as they can be for what they make."""
    index = pd.Index(np.array([1, 2], "i8"))
    many = [f"ab{at}" for at in range(100)]
    stream = bytes(memoryview(arrow.stream_of(pa.table({f"c{at}": [1] for at in range(30)}))))
    one = bytes(memoryview(arrow.stream_of(pa.table({"": pa.nulls(1)}))))
    path = "/".join(f"{at:x}" for at in range(1000))
    times = np.array([1, 2], "M8[D]").astype("M8[ns]")
    return {
        "tags.complex_number": [(1.0, 2.0)],
        "tags.date": [(2000, 1, 1)],
        "tags.time": [(1, 1, 1, 1, None, 0)],
        "tags.date_time": [(dt.date(2000, 1, 1), dt.time(1))],
        "tags.time_delta": [(1, 2, 3)],
        "tags.time_zone": [(dt.timedelta(0, 3600), "x"), (dt.timedelta(0, 3660), None)],
        "tags.zone": [("Africa/Casablanca",)],
        "tags.decimal": [("1.5",), ("1" * 4000,)],
        "tags.fraction": [(1, 3), (10**200, 3), (2**32_000, 6)],
        "tags.uuid": [(bytes(16),)],
        "tags.range_of": [(10**9, 10**10, 3), (-(2**32_000), 2**32_000, 1)],
        "tags.slice_of": [(1, 2, 3), (2**32_000, None, None)],
        "tags.path": [("Path", path), ("PureWindowsPath", path), ("Path", "a")],
        "tags.as_tuple": [((),), ((1, 2),)],
        "tags.ordered_dict": [({},), ({1: 1},), (dict.fromkeys(range(100)),)],
        "tags.default_dict": [(None, {}), ("list", dict.fromkeys(range(100)))],
        "tags.double_ended": [([], None), ([None] * 100, None)],
        "tags.counter": [({},), (dict.fromkeys(range(100), 1),)],
        "tags.int_list": [(b"",), (b"\x11" * 2000,)],
        "tags.float_list": [(b"",), (b"\x11" * 2000,)],
        "tags.text_list": [(b"", b""), (b"\2\0\0\0" * 500, b"xy" * 500)],
        "tags.text_lines": [(b"",), (b"xy\0" * 500,), (b"xy\0" * 500 + _WIDE,)],
        "tags.mapping": [([], []), (list(range(100)), [None] * 100)],
        "tags.padded": [([], b"")],
        "arrays.array": [
            ("|u1", (8,), "C", bytes(8)),
            ((8, (("a", "<i4", (), 0), ("b", "|b1", (), 4))), (1,), "C", bytes(8)),
        ],
        "arrays.object_array": [((1,), [None]), ((100,), [None] * 100)],
        "arrays.text_array": [((1,), ["x" * 100]), ((100,), many)],
        "arrays.masked_array": [(np.zeros(1), np.zeros(1, bool), np.array(1.0), True)],
        "arrays.scalar": [("<f8", bytes(8)), ("|S200", bytes(200))],
        "tables.categorical": [(np.array([0, 1]), index, False)],
        "tables.masked": [(np.array([1]), np.array([False]))],
        "tables.texts": [("python", "nan", many), ("pyarrow", "NA", many), ("python", "NA", [])],
        "tables.arrow_backed": [(pa.chunked_array([[1]]),)],
        "tables.arrow_texts": [("nan", pa.chunked_array([["a"]]))],
        "tables.zoned": [(times, "Africa/Casablanca"), (np.zeros(100, "M8[s]"), "Asia/Tokyo")],
        "tables.periods": [(np.array([1]), "D"), (np.zeros(100, "i8"), "D")],
        "tables.intervals": [(index, index, "left")],
        "tables.index": [(np.array(["a"], object), None)],
        "tables.dates": [(times, "D", None)],
        "tables.range_index": [(0, 10, 3, None)],
        "tables.multi_index": [([index], [np.array([0, 1])], ["a"])],
        "tables.series": [(np.array([1, 2]), index, None)],
        "tables.frame": [
            (index, index, [np.array([1, 2]), np.array([1.0, 2])]),
            (pd.RangeIndex(0), index, []),
        ],
        "tables.frame_of": [(index, index, np.zeros((2, 2)))],
        "tables.timestamp": [(1, "ns", "Africa/Casablanca")],
        "tables.time_delta": [(1, "ns")],
        "tables.period": [(1, "D")],
        "tables.interval": [(1, 2, "left")],
        "tables.missing": [("NA",)],
        "arrow.table": [(stream,), (one,)],
        "arrow.batch": [(stream,)],
        "arrow.chunked": [(one,)],
        "arrow.arrow_array": [(one,)],
        "polars_frames.frame": [(pa.table({"a": [1]}),), (pa.table({"a": ["x" * 20] * 100}),)],
        "polars_frames.series": [(pa.table({"a": ["x"]}),)],
        "sparse.compressed": [
            ("csr_array", (1, 2), np.array([1.0]), np.array([1], "i4"), np.array([0, 1], "i4"))
        ],
        "trusted.instance": [("no.Such", {})],
        "trusted.encoded": [("no.Such", None)],
    }


def worst_programs(size: int, *, is_short: bool = False) -> Iterator[tuple[str, Program]]:
    """Yield hostile programs of `size` bytes each, by a name: one thing, made again and again."""
    for name, unit in _UNITS.items():
        yield name, _filled(b"(", unit, b"t", size)
    for name, makes in _each_of(size).items():
        yield name, makes
    given = _arguments()
    for module, name in sorted(RULES):
        short = f"{module.rpartition('.')[2]}.{name}"
        for number, arguments in enumerate(given[short]):
            head, unit = _call(module, name, arguments)
            yield f"{short} {number}", _filled(head, unit, b"t", size)
            if is_short:
                continue
            # And with new arguments for each, where the old ones may not be used again.
            head, unit = _fresh_call(module, name, arguments)
            yield f"{short} {number}, fresh", _filled(head, unit, b"t", size)


def searched_programs(seed: int, size: int) -> Iterator[tuple[str, Program]]:
    """Yield programs of units drawn together, without end."""
    rng = random.Random(seed)
    given = _arguments()
    names = sorted(RULES)
    while True:
        heads, units = [b"("], []
        if rng.random() < 0.5:
            module, name = rng.choice(names)
            arguments = rng.choice(given[f"{module.rpartition('.')[2]}.{name}"])
            head, unit = rng.choice((_call, _fresh_call))(module, name, arguments)
            heads, units = [head], [unit]
        drawn = rng.sample(sorted(_UNITS), rng.randint(1, 4))
        units += [_UNITS[name] * rng.choice((1, 1, 2, 10, 200)) for name in drawn]
        glue = (b"", b"\x94", b"\x85", b"\x85\x94", b"(\x91", b"0", b"](Nh\x00e", b"}(NNh\x00Nu")
        body = b"".join(unit + rng.choice(glue) for unit in units)
        yield "+".join(drawn), _filled(heads[0], body, rng.choice((b"t", b"\x91", b"")), size)


def _filled(head: bytes, unit: bytes, tail: bytes, size: int) -> Program:
    count = max(1, (size - len(head) - len(tail) - 3) // len(unit))
    return Program(HEAD + head + unit * count + tail + b".", ())


def _each_of(size: int) -> dict[str, Program]:
    """Return programs whose parts are numbered."""
    count = size // 7
    shared = b"".join(b"j" + _NUMBER4(at) for at in range(count))
    keys = b"".join(b"J" + _NUMBER4(at) for at in range(size // 6))
    return {
        "lists handed out": Program(HEAD + b"(" + b"]\x94" * count + shared + b"t.", ()),
        "keys": Program(
            HEAD + b"}(" + b"".join(b"J" + _NUMBER4(at) + b"N" for at in range(size // 6)) + b"u.",
            (),
        ),
        "single keys": Program(
            HEAD + b"}" + b"".join(b"J" + _NUMBER4(at) + b"Ns" for at in range(size // 7)) + b".",
            (),
        ),
        "members": Program(HEAD + b"\x8f(" + keys + b"\x90.", ()),
        "frozen members": Program(HEAD + b"(" + keys + b"\x91.", ()),
        "long text": Program(HEAD + b"\x8d" + _SIZE8(size) + b"x" * (size - 4) + _WIDE + b".", ()),
        "text of buffers": Program(
            HEAD
            + opcode_text("kavach_ipy.wire.tags")
            + opcode_text("text_lines")
            + b"\x93\x97\x85R.",
            (b"xy\0" * (size // 3),),
        ),
        "numbers of buffers": Program(
            HEAD
            + opcode_text("kavach_ipy.wire.tags")
            + opcode_text("int_list")
            + b"\x93\x97\x85R.",
            (b"\x11" * (size // 8 * 8),),
        ),
    }


def _call(module: str, name: str, arguments: tuple[Any, ...]) -> tuple[bytes, bytes]:
    """Return a head that leaves a tag and its arguments in the memo, and a call of the two."""
    body = _body(arguments)
    head = b"(" + body + b"\x94" + opcode_text(module) + opcode_text(name) + b"\x93\x94"
    number = _memoised(body)
    return head, b"j" + _NUMBER4(number + 1) + b"j" + _NUMBER4(number) + b"R"


def _fresh_call(module: str, name: str, arguments: tuple[Any, ...]) -> tuple[bytes, bytes]:
    """Return a head that leaves a tag in the memo, and a call of it with its arguments."""
    head = b"(" + opcode_text(module) + opcode_text(name) + b"\x93\x94"
    return head, b"h\x00" + _plain(arguments) + b"R"


def _body(arguments: tuple[Any, ...]) -> bytes:
    data = write_value(arguments, None, 1 << 30)[0]
    assert not isinstance(data, tuple)
    return bytes(data)[2:-1]


def _memoised(body: bytes) -> int:
    """Return how many objects a pickle leaves in the memo."""
    return sum(op.name == "MEMOIZE" for op, _, _ in pickletools.genops(HEAD + body + b"."))


def _plain(arguments: tuple[Any, ...]) -> bytes:
    """Return the pickle of arguments that uses no memo."""
    body = HEAD + _body(arguments) + b"."
    ops = [(op.name, argument, at or 0) for op, argument, at in pickletools.genops(body)]
    ends = [*(at for _, _, at in ops[1:]), len(body)]
    made: list[bytes] = []
    memo: list[bytes] = []
    last = b""
    for (name, argument, at), end in zip(ops, ends, strict=True):
        piece = body[at:end]
        if name in {"PROTO", "FRAME", "STOP"}:
            continue
        if name == "MEMOIZE":
            memo.append(last)
            continue
        if name in {"BINGET", "LONG_BINGET"}:
            piece = memo[int(argument or 0)]
        made.append(piece)
        # Texts alone are handed out again by the arguments above, and tags.
        last = b"".join(made[-3:]) if name == "STACK_GLOBAL" else piece
    return b"".join(made)
