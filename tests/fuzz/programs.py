"""Programs for the reader: good pickles, taken apart into opcodes, changed, and put together again.

Guarantees: the same seed makes the same programs, whatever the machine's pace.
Assumes: NumPy, pandas, pyarrow, polars and SciPy are installed, as the seeds hold values of each.
"""

from __future__ import annotations

import datetime as dt
import io
import pickletools
import random
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse

from kavach_ipy.gate.reader import RULES
from kavach_ipy.wire.values import write_value

__all__ = ["HEAD", "Program", "Programs", "long_programs", "opcode_text", "seeds"]

HEAD = b"\x80\x05"
_TEXTS = ("", "a", "C", "F", "NA", "nan", "python", "left", "ns", "UTC", "<f8", "|O8", "<U2", "|b1")
_NUMBERS = (0, 1, 2, 3, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_NAMES = (*RULES, ("os", "system"), ("builtins", "eval"), ("numpy", "ndarray"))


@dataclass(frozen=True, slots=True)
class Program:
    """A pickle and its buffers, as a hostile cell sends them."""

    data: bytes
    buffers: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.data) + sum(map(len, self.buffers))


def seeds() -> list[Program]:
    """Return a good program for each group of types, with buffers in the pickle and apart."""
    frame = pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [1.5, None, -0.0],
            "t": ["a", None, "ü"],
            "c": pd.Categorical(["u", None, "v"]),
            "z": pd.date_range("2024-03-30", periods=3, tz="Europe/Paris"),
            "n": pd.array([1, None, 3], dtype="Int64"),
            "p": pd.period_range("2024", periods=3, freq="M"),
            "v": pd.interval_range(0, 3),
            "a": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int32())),
        }
    )
    table = pa.table({"n": [1, None], "t": ["x", "yy"], "l": [[1], None]})
    texts = pa.table({"d": pa.array(["u", "v", "u"]).dictionary_encode()})
    record = np.zeros(2, [("a", "<i4"), ("b", "?"), ("c", "<U2", (2,))])
    shared: list[object] = [1, 2.5, None, True, "é\ud800", b"b"]
    values: list[object] = [
        [shared, shared, (shared, {"k": shared}), {1, "a"}, frozenset([(1, 2)])],
        {"i": list(range(200)), "f": [0.5] * 200, "t": [f"t{at}" for at in range(150)]},
        [OrderedDict(a=1), Counter("abca"), deque([1, [2]], 5), defaultdict(list, {1: [2]})],
        [dt.datetime(2024, 1, 2, 3, tzinfo=ZoneInfo("Asia/Tokyo")), dt.timedelta(1), dt.UTC],
        [Decimal("1.5"), Fraction(1, 3), UUID(int=7), PurePosixPath("/a"), range(3), 2**80, 1j],
        [np.arange(6).reshape(2, 3).T, np.array(["a", "bc"]), np.float32(1), record, record[0]],
        [np.ma.array([1, 2], mask=[False, True]), np.array([None, [1]], dtype=object)],
        frame,
        frame.set_index(["t", "i"])[["f"]],
        [pd.Timestamp("2024", tz="UTC"), pd.Timedelta(1), pd.Period("2024", "Q"), pd.NA, pd.NaT],
        [pd.Interval(1, 2), pd.Index(["a", 1]), pd.MultiIndex.from_product([[1, 2], ["a"]])],
        [table, texts, texts["d"], table["t"].chunk(0), table.to_batches()[0]],
        [pl.DataFrame({"a": [1, None], "s": ["x", None]}), pl.Series("c", ["u"], pl.Categorical)],
        [kind(np.eye(4, 3)) for kind in (scipy.sparse.csr_array, scipy.sparse.csc_matrix)],
    ]
    made = []
    for value in values:
        for limit in (1, 1 << 16):
            data, *buffers = write_value(value, None, limit)
            made.append(Program(bytes(_raw(data)), tuple(bytes(_raw(part)) for part in buffers)))
    return made


def _raw(part: Any) -> memoryview:
    return memoryview(part)


class Programs:
    """Makes programs from seeds, one after the other.

    Args:
        seed: decides all of them.
    """

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)
        self._seeds = seeds()
        self._pieces = [_pieces(program.data) for program in self._seeds]

    def next(self) -> Program:
        """Return the next program: a seed that was changed in one to six places."""
        rng = self._random
        at = rng.randrange(len(self._seeds))
        return self._changed(list(self._pieces[at]), self._seeds[at].buffers)

    def changed(self, data: bytes, buffers: Iterable[bytes], rng: random.Random) -> Program:
        """Return a program that was changed in the same way, by a chance of its own."""
        kept, self._random = self._random, rng
        try:
            return self._changed(_pieces(data), buffers)
        finally:
            self._random = kept

    def _changed(self, pieces: list[bytes], given: Iterable[bytes]) -> Program:
        rng = self._random
        buffers = [bytearray(buffer) for buffer in given]
        for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
            self._change(pieces, buffers)
        data = bytearray(HEAD + b"".join(pieces))
        if rng.random() < 0.1 and len(data) > 2:
            data[rng.randrange(2, len(data))] ^= 1 << rng.randrange(8)
        return Program(bytes(data), tuple(bytes(buffer) for buffer in buffers))

    def _change(self, pieces: list[bytes], buffers: list[bytearray]) -> None:
        rng = self._random
        at = rng.randrange(len(pieces))
        match rng.randrange(10):
            case 0:
                del pieces[at : at + rng.randint(1, 3)]
                pieces.append(b"") if not pieces else None
            case 1:
                pieces[at:at] = pieces[at : at + rng.randint(1, 4)]
            case 2:
                other = rng.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3:
                other_pieces = rng.choice(self._pieces)
                start = rng.randrange(len(other_pieces))
                pieces[at:at] = other_pieces[start : start + rng.randint(1, 12)]
            case 4:
                pieces.insert(at, self._piece())
            case 5 | 6:
                pieces[at] = self._piece_like(pieces[at])
            case 7:
                module, name = rng.choice(_NAMES)
                pieces[at : at + 1] = [opcode_text(module), opcode_text(name), b"\x93"]
            case 8 if buffers:
                _change_bytes(rng, rng.choice(buffers))
            case _:
                if buffers and rng.random() < 0.3:
                    rng.choice((buffers.pop, lambda: buffers.append(bytearray(b"x" * 8))))()
                else:
                    piece = bytearray(pieces[at])
                    _change_bytes(rng, piece)
                    pieces[at] = bytes(piece)

    def _piece(self) -> bytes:
        """Return an opcode with an argument, known to the reader or not."""
        rng = self._random
        number = rng.choice(_NUMBERS)
        return rng.choice(
            (
                bytes([rng.randrange(256)]),
                b"K" + bytes([number & 0xFF]),
                b"J" + struct.pack("<I", number & 0xFFFFFFFF),
                b"\x8a\x09" + number.to_bytes(9, "little"),
                b"h" + bytes([rng.randrange(40)]),
                b"j" + struct.pack("<I", number & 0xFFFFFFFF),
                b"\x96" + struct.pack("<Q", number),
                b"\x8d" + struct.pack("<Q", number),
                opcode_text(rng.choice(_TEXTS)),
                b"G" + struct.pack(">d", rng.choice((0.0, 1e308, float("nan"), -1.5))),
                *(b"N", b"]", b"}", b")", b"(", b"\x8f", b"\x91", b"R", b"\x94", b"\x85", b"\x97"),
            )
        )

    def _piece_like(self, piece: bytes) -> bytes:
        """Return another argument for the same opcode, where that is what the reader checks."""
        rng = self._random
        # A piece that lost its argument is as good as any other.
        match piece[:1] if len(piece) > 1 else b"":
            case b"K" | b"M" | b"J" | b"\x8a":
                number = rng.choice(_NUMBERS) * rng.choice((1, -1))
                return b"\x8a\x09" + number.to_bytes(9, "little", signed=True)
            case b"\x8c":
                return opcode_text(rng.choice(_TEXTS))
            case b"h":
                return b"h" + bytes([rng.randrange(piece[1] + 2) & 0xFF])
            case b"C" | b"\x96" | b"B":
                changed = bytearray(piece)
                for _ in range(rng.randint(1, 4)):
                    _change_bytes(rng, changed, start=2)
                return bytes(changed)
            case _:
                return self._piece()


def _change_bytes(rng: random.Random, raw: bytearray, start: int = 0) -> None:
    if len(raw) <= start:
        return
    at = rng.randrange(start, len(raw))
    match rng.randrange(4):
        case 0:
            raw[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        case 1:
            word = at // 4 * 4
            raw[word : word + 4] = struct.pack("<I", rng.choice(_NUMBERS) & 0xFFFFFFFF)
        case 2:
            word = at // 8 * 8
            raw[word : word + 8] = struct.pack("<Q", rng.choice(_NUMBERS))
        case _:
            del raw[at:]


def opcode_text(value: str) -> bytes:
    """Return SHORT_BINUNICODE with a text."""
    raw = value.encode()[:255]
    return b"\x8c" + bytes([len(raw)]) + raw


def _pieces(data: bytes) -> list[bytes]:
    """Cut a pickle into its opcodes, each with its argument; what is none is one piece."""
    places: list[int] = []
    with suppress(ValueError):
        places.extend(at or 0 for _, _, at in pickletools.genops(io.BytesIO(data)))
    if len(places) < 2:
        return [data[2:]]
    bounds = [*places[1:], len(data)]
    return [data[bounds[at] : bounds[at + 1]] for at in range(len(bounds) - 1)]


def long_programs(seed: int, size: int) -> list[tuple[str, Program]]:
    """Return hostile programs of `size` bytes each, by a name: one idea, repeated to the end."""
    rng = random.Random(seed)

    def fill(head: bytes, unit: bytes, tail: bytes = b"") -> Program:
        count = (size - len(head) - len(tail) - 3) // len(unit)
        return Program(HEAD + head + unit * count + tail + b".", ())

    tags = "kavach_ipy.wire."
    series = opcode_text(tags + "tables") + opcode_text("series") + b"\x93"
    array = opcode_text(tags + "arrays") + opcode_text("array") + b"\x93"
    number = (
        array
        + b"("
        + opcode_text("<i8")
        + b"K\x01\x85"
        + opcode_text("C")
        + b"C\x08"
        + bytes(8)
        + b"tR"
    )
    index = opcode_text(tags + "tables") + opcode_text("range_index") + b"\x93(K\x00K\x01K\x01NtR"
    made = {
        "lists": fill(b"(", b"]", b"t"),
        "sets": fill(b"(", b"\x8f", b"t"),
        "dicts": fill(b"(", b"}", b"t"),
        "memo": fill(b"N", b"\x94"),
        "marks": fill(b"", b"("),
        "bytes": fill(b"(", b"C\x01x", b"t"),
        "texts": fill(b"(", b"\x8c\x01x", b"t"),
        "floats": fill(b"(", b"G" + bytes(8), b"t"),
        "pairs": fill(b"(", b"NN\x86", b"t"),
        "nested": fill(b"N", b"\x85"),
        "series": fill(b"(" + series + b"\x94(" + number + index + b"Nt\x94", b"h\x00h\x01R", b"t"),
        "arrays": fill(
            b"(" + array + b"\x94",
            b"h\x00(" + opcode_text("|u1") + b"K\x01\x85" + opcode_text("C") + b"C\x01xtR",
            b"t",
        ),
        "dates": fill(
            b"(" + opcode_text(tags + "tags") + opcode_text("date") + b"\x93\x94",
            b"h\x00M\xe8\x07K\x01K\x01\x87R",
            b"t",
        ),
        "keys": Program(
            HEAD
            + b"}("
            + b"".join(
                b"\x8a\x0a" + (at * (2**61 - 1)).to_bytes(10, "little") + b"N"
                for at in range(1, size // 13)
            )
            + b"u.",
            (),
        ),
        "noise": Program(HEAD + rng.randbytes(size - 2), ()),
        "stream": Program(
            HEAD + opcode_text(tags + "arrow") + opcode_text("table") + b"\x93\x97\x85R.",
            (struct.pack("<Ii", 0xFFFFFFFF, 8) * (size // 8),),
        ),
        "integers": Program(
            HEAD + opcode_text(tags + "tags") + opcode_text("int_list") + b"\x93\x97\x85R.",
            (bytes(size),),
        ),
    }
    return list(made.items())
