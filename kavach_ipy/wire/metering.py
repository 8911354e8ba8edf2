"""The writer's side of the account: what a pickle will cost, and the padding that pays for it.

::

    price = opcodes(pickle) + what the writer noted of each tag
    account.lacking()  →  paid(pickle), with so many bytes as its last buffer

Guarantees: the price is not below what the reader takes for the same pickle of Python's own
`pickle.Pickler`; padding is memory that really stands in the arena, and is read by nobody.
Assumes: the pickle is one that the writer has just made.
"""

from __future__ import annotations

import struct
from typing import Final

from kavach_ipy.wire import prices, tags

__all__ = ["opcodes", "paid"]

_SIZE4: Final = struct.Struct("<I").unpack_from
_SIZE8: Final = struct.Struct("<Q").unpack_from
# The reader takes opcodes by the thousand, once more at the end.
_TURNS: Final = 2 * prices.TURNS * prices.OPCODE


def _opcode_table() -> tuple[list[int], list[int], list[int]]:
    """Return by opcode: the bytes of its argument, the objects that it adds, its price."""
    length, adds, cost = [0] * 256, [0] * 256, [prices.OPCODE] * 256
    rows = (
        (b"K", 1, 1, 0),
        (b"M", 2, 1, prices.INT),
        (b"J", 4, 1, prices.INT),
        (b"G", 8, 1, prices.FLOAT),
        (b"N\x88\x89)", 0, 1, 0),
        (b"]", 0, 1, prices.LIST),
        (b"}", 0, 1, prices.DICT),
        (b"\x8f", 0, 1, prices.SET),
        (b"\x97", 0, 1, prices.BUFFER),
        (b"\x98", 0, 0, prices.BUFFER),
        (b"\x85", 0, 0, prices.TUPLE),
        (b"\x86", 0, -1, prices.TUPLE),
        (b"\x87", 0, -2, prices.TUPLE),
        (b"a\x93", 0, -1, 0),
        (b"R", 0, -1, 0),
        (b"s", 0, -2, prices.FEW),
        (b"\x95", 8, 0, 0),
    )
    for codes, size, count, of in rows:
        for code in codes:
            length[code], adds[code], cost[code] = size, count, prices.OPCODE + of
    return length, adds, cost


_LENGTH, _ADDS, _COST = _opcode_table()
_SPECIAL: Final = frozenset(b"(teu\x90\x91\x8c\x94hjCB\x8eX\x8d\x96\x8a\x8b.")


def opcodes(data: bytes | memoryview) -> int:  # noqa: C901, PLR0915 - one loop, for speed.
    """Return what the opcodes of a pickle cost the reader, its tags apart."""
    data = bytes(data)
    length, adds, cost, special = _LENGTH, _ADDS, _COST, _SPECIAL
    total = _TURNS
    depth = 0
    marks: list[int] = []
    # One byte for each object of the memo: whether handing it out is noted, and was not yet.
    memo = bytearray()
    is_noted = 0
    at = 2
    while True:
        code = data[at]
        at += 1
        if code not in special:
            total += cost[code]
            depth += adds[code]
            at += length[code]
            is_noted = 1
            continue
        total += prices.OPCODE
        if code == 0x8C:  # SHORT_BINUNICODE
            size = data[at]
            at += 1 + size
            total += prices.TEXT + prices.WIDE * size
            depth += 1
            is_noted = 0
        elif code == 0x94:  # MEMOIZE
            memo.append(is_noted)
        elif code in b"hj":
            number = data[at] if code == 0x68 else _SIZE4(data, at)[0]
            at += 1 if code == 0x68 else 4
            if memo[number]:
                memo[number] = 0
                total += prices.SHARED
            depth += 1
        elif code == 0x28:  # MARK
            marks.append(depth)
            total += prices.MARK
        elif code in b"te":
            total += prices.TUPLE
            depth = marks.pop() + (code == 0x74)
            is_noted = 1
        elif code in b"u\x90\x91":
            before = marks.pop()
            total += _entries(code, depth - before)
            depth = before + (code == 0x91)
            is_noted = 1
        elif code == 0x2E:  # STOP
            return total
        else:
            wide, of = _STRINGS[code]
            size = data[at] if wide == 1 else (_SIZE4 if wide == 4 else _SIZE8)(data, at)[0]
            at += wide + size
            total += of(data, at - size, at)
            depth += 1
            is_noted = code == 0x96


def _entries(code: int, count: int) -> int:
    """Return what the items cost that a batch adds to a dict or set."""
    if code == 0x75:
        count //= 2
        cost = prices.FEW if count <= prices.FEW_ITEMS else count * prices.ENTRY
    else:
        cost = 0 if count <= prices.FEW_MEMBERS else count * prices.ENTRY
    if code == 0x91:
        cost = 2 * (prices.SET + cost)
    if count > prices.NOTED_FROM:
        # With what the container held before, or with the few that follow a whole batch.
        cost += (count + prices.NOTED_FROM) * prices.NOTED + prices.FEW_ITEMS * prices.ENTRY
    return cost


def _bytes(_: bytes, start: int, end: int) -> int:
    return prices.BYTES + end - start


def _text(data: bytes, start: int, end: int) -> int:
    return prices.BYTES + end - start + prices.text(data[start:end])


def _int(_: bytes, start: int, end: int) -> int:
    return prices.INT + 2 * (end - start)


_STRINGS: Final = {
    0x43: (1, _bytes),
    0x42: (4, _bytes),
    0x8E: (8, _bytes),
    0x96: (8, lambda _, start, end: 2 * (prices.BYTES + end - start)),
    0x58: (4, _text),
    0x8D: (8, _text),
    0x8A: (1, _int),
    0x8B: (4, _int),
}


def paid(data: bytes | memoryview) -> bytes:
    """Return the pickle of the same value, with a last buffer that is read away.

    `padded(value, buffer)`: the tag is put before, the buffer and the call after.
    """
    module, name = tags.padded.__module__.encode(), tags.padded.__name__.encode()
    head = b"\x80\x05\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(name)]) + name
    # In the place of STOP, which is the last byte of the last frame: NEXT_BUFFER, TUPLE2, REDUCE.
    return b"".join((head, b"\x93", data[2:-1], b"\x97\x86R."))
