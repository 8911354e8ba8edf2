"""The only reader of pickles: a small machine that knows some forty opcodes and a table of rules.

What it leaves out is the point: GLOBAL, INST, OBJ, NEWOBJ, BUILD, EXT, PERSID, DUP and POP do not
exist; a name leads to a rule of ours or to nothing; only REDUCE uses one.

Guarantees: a value comes out, or `OutputWithheld`; nothing is imported, looked up or called that
the tables of the gate do not list; no container changes once it is part of another, so no value
contains itself; time and memory are linear in the input (`kavach_ipy.gate.budget`) and bounded for
all values of a run (`kavach_ipy.gate.allowance`).
Assumes: `data` and `buffers` do not change meanwhile: they are ours, or of a sealed arena.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import repeat
from typing import Any, Final

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate import arrays, arrow, builders, sparse, tables, trusted
from kavach_ipy.gate.allowance import Allowance, refused
from kavach_ipy.gate.budget import DEPTH, Budget
from kavach_ipy.gate.imports import installed_only
from kavach_ipy.gate.rules import Rule
from kavach_ipy.wire import arrays as wire_arrays
from kavach_ipy.wire import arrow as wire_arrow
from kavach_ipy.wire import polars_frames, prices
from kavach_ipy.wire import sparse as wire_sparse
from kavach_ipy.wire import tables as wire_tables

__all__ = ["IN_BAND", "RULES", "STREAM", "read_pickle"]

STREAM: Final = 256 << 20
"""Bytes of one pickle, long texts and bytes among them; buffers are apart."""
IN_BAND: Final = 16 << 20
"""Bytes of one pickle without its long texts and bytes: what is read step by step."""

RULES: Final[dict[tuple[str, str], Rule]] = {
    **builders.RULES,
    **arrays.RULES,
    **tables.RULES,
    **arrow.RULES,
    **arrow.POLARS_RULES,
    **sparse.RULES,
    **trusted.RULES,
}

_LONGEST_INT: Final = 4096
_MARKS: Final = 10 * DEPTH
# The first import of a library takes a second, which the cell's value has not caused.
_LIBRARIES: Final = {
    wire_arrays.__name__: "numpy",
    wire_tables.__name__: "pandas",
    wire_arrow.__name__: "pyarrow",
    polars_frames.__name__: "polars",
    wire_sparse.__name__: "scipy.sparse",
}
_UNUSABLE: Final = frozenset({Rule, memoryview})
# What BINGET may give away without a note; the rest is a container, or memory that can be changed.
_FREE: Final = frozenset({str, bytes, int, float, bool, type(None), Rule})
_INT4: Final = struct.Struct("<i").unpack_from
_SIZE4: Final = struct.Struct("<I").unpack_from
_SIZE8: Final = struct.Struct("<Q").unpack_from
_DOUBLE: Final = struct.Struct(">d").unpack_from


def read_pickle(
    data: bytes | memoryview,
    buffers: Sequence[bytes | memoryview] = (),
    allowance: Allowance | None = None,
) -> object:
    """Return the value of a pickle of the dialect.

    Args:
        data: the pickle, protocol 5.
        buffers: its out-of-band buffers, in order; an array uses a buffer's memory as its own.
        allowance: what is left for all values of the run; a fresh one where it is None.

    Raises:
        OutputWithheld: the pickle is broken, is not of the dialect, or asks for too much.
    """
    if len(data) > STREAM:
        raise refused(f"its pickle has {len(data)} bytes without its buffers; {STREAM} are allowed")
    allowance = Allowance() if allowance is None else allowance
    with allowance.reading(), installed_only():
        try:
            return _read(bytes(data), buffers, allowance)
        except OutputWithheld as error:
            reason, remedy = error.reason, error.remedy
        # Whatever the machine or a constructor raises was caused by the bytes.
        except Exception as error:  # noqa: BLE001 - see above.
            reason, remedy = f"its pickle is broken ({type(error).__name__})", ""
        # Not inside: the old exception's frames hold all that was made so far.
        raise refused(reason, remedy)


def _read(data: bytes, buffers: Sequence[bytes | memoryview], allowance: Allowance) -> object:
    budget = Budget(len(data), sum(map(len, buffers)), _UNUSABLE, allowance)
    try:
        value = _Machine(data, buffers, budget).run()
        budget.weigh(value)
        return value
    finally:
        budget.settle()


class _Machine:
    """One run over one pickle."""

    __slots__ = ("_apart", "_budget", "_buffers", "_data", "_taken")

    def __init__(self, data: bytes, buffers: Sequence[bytes | memoryview], budget: Budget) -> None:
        self._data = data
        self._buffers = buffers
        self._budget = budget
        self._taken = 0
        # Bytes of long texts and bytes so far, which take no steps.
        self._apart = 0

    # One function, as the loop's speed is the reader's; frequent opcodes come first.
    def run(self) -> object:  # noqa: C901, PLR0912, PLR0915
        data = self._data
        size = len(data)
        if data[:2] != b"\x80\x05":
            raise refused("its pickle is not of protocol 5")
        stack: list[Any] = []
        stacks: list[list[Any]] = []
        memo: list[Any] = []
        at = 2
        made = 0
        while True:
            self._check(made, at, len(stacks))
            made = 0
            # A slice beyond the end is short, and then the next opcode is an IndexError.
            for _ in repeat(None, prices.TURNS):
                code = data[at]
                at += 1
                if code == 0x8C:  # SHORT_BINUNICODE
                    end = at + 1 + data[at]
                    value = data[at + 1 : end].decode("utf-8", "surrogatepass")
                    stack.append(value)
                    made += prices.TEXT + prices.WIDE * data[at]
                    at = end
                    # A writer always memoizes a text; both in one turn is a third faster.
                    if data[at] == 0x94:
                        memo.append(value)
                        at += 1
                elif code == 0x94:  # MEMOIZE
                    memo.append(stack[-1])
                elif code == 0x4B:  # BININT1
                    stack.append(data[at])
                    at += 1
                elif code == 0x68:  # BINGET
                    value = memo[data[at]]
                    if type(value) not in _FREE:
                        self._watch(value)
                    stack.append(value)
                    at += 1
                elif code == 0x47:  # BINFLOAT
                    stack.append(_DOUBLE(data, at)[0])
                    made += prices.FLOAT
                    at += 8
                elif code == 0x4D:  # BININT2
                    stack.append(data[at] | data[at + 1] << 8)
                    made += prices.INT
                    at += 2
                elif code == 0x4A:  # BININT
                    stack.append(_INT4(data, at)[0])
                    made += prices.INT
                    at += 4
                elif code == 0x6A:  # LONG_BINGET
                    value = memo[_SIZE4(data, at)[0]]
                    if type(value) not in _FREE:
                        self._watch(value)
                    stack.append(value)
                    at += 4
                elif code == 0x4E:  # NONE
                    stack.append(None)
                elif code == 0x88:  # NEWTRUE
                    stack.append(True)
                elif code == 0x89:  # NEWFALSE
                    stack.append(False)
                elif code == 0x28:  # MARK
                    stacks.append(stack)
                    stack = []
                    made += prices.MARK
                elif code == 0x29:  # EMPTY_TUPLE
                    stack.append(())
                elif code == 0x85:  # TUPLE1
                    stack.append((stack.pop(),))
                    made += prices.TUPLE
                elif code == 0x86:  # TUPLE2
                    second = stack.pop()
                    stack.append((stack.pop(), second))
                    made += prices.TUPLE
                elif code == 0x87:  # TUPLE3
                    third = stack.pop()
                    second = stack.pop()
                    stack.append((stack.pop(), second, third))
                    made += prices.TUPLE
                elif code == 0x74:  # TUPLE
                    items = tuple(stack)
                    made += prices.TUPLE
                    stack = stacks.pop()
                    stack.append(items)
                elif code == 0x5D:  # EMPTY_LIST
                    stack.append([])
                    made += prices.LIST
                elif code == 0x7D:  # EMPTY_DICT
                    stack.append({})
                    made += prices.DICT
                elif code == 0x65:  # APPENDS
                    added = stack
                    stack = stacks.pop()
                    self._open(stack[-1], list).extend(added)
                    made += prices.TUPLE
                elif code == 0x75:  # SETITEMS
                    added = stack
                    stack = stacks.pop()
                    self._set_items(stack[-1], added)
                elif code == 0x61:  # APPEND
                    item = stack.pop()
                    self._open(stack[-1], list).append(item)
                elif code == 0x73:  # SETITEM
                    item = stack.pop()
                    key = stack.pop()
                    self._set_items(stack[-1], [key, item])
                elif code == 0x52:  # REDUCE
                    arguments = stack.pop()
                    rule = stack.pop()
                    if type(rule) is not Rule or type(arguments) is not tuple:
                        raise refused("its pickle calls what is no tag")
                    stack.append(rule.apply(self._budget, arguments))
                elif code == 0x93:  # STACK_GLOBAL
                    name = stack.pop()
                    module = stack.pop()
                    stack.append(_rule(module, name, self._budget.allowance))
                elif code == 0x97:  # NEXT_BUFFER
                    stack.append(self._next_buffer())
                elif code == 0x98:  # READONLY_BUFFER
                    made += prices.BUFFER
                    stack.append(memoryview.toreadonly(stack.pop()))
                elif code == 0x43:  # SHORT_BINBYTES
                    end = at + 1 + data[at]
                    stack.append(data[at + 1 : end])
                    made += prices.BYTES + data[at]
                    at = end
                elif code == 0x96:  # BYTEARRAY8
                    end = at + 8 + _SIZE8(data, at)[0]
                    raw = self._long(at + 8, end)
                    self._budget.spend_memory(prices.BYTES + len(raw))
                    stack.append(bytearray(raw))
                    at = end
                elif code == 0x42:  # BINBYTES
                    end = at + 4 + _SIZE4(data, at)[0]
                    stack.append(self._long(at + 4, end))
                    at = end
                elif code == 0x8E:  # BINBYTES8
                    end = at + 8 + _SIZE8(data, at)[0]
                    stack.append(self._long(at + 8, end))
                    at = end
                elif code == 0x58:  # BINUNICODE
                    end = at + 4 + _SIZE4(data, at)[0]
                    stack.append(self._long_text(at + 4, end))
                    at = end
                elif code == 0x8D:  # BINUNICODE8
                    end = at + 8 + _SIZE8(data, at)[0]
                    stack.append(self._long_text(at + 8, end))
                    at = end
                elif code == 0x8A:  # LONG1
                    end = at + 1 + data[at]
                    stack.append(int.from_bytes(data[at + 1 : end], "little", signed=True))
                    made += prices.INT + 2 * data[at]
                    at = end
                elif code == 0x8B:  # LONG4
                    length = _INT4(data, at)[0]
                    if not 0 <= length <= _LONGEST_INT:
                        raise refused(f"it holds an integer of more than {_LONGEST_INT} bytes")
                    end = at + 4 + length
                    stack.append(int.from_bytes(data[at + 4 : end], "little", signed=True))
                    made += prices.INT + 2 * length
                    at = end
                elif code == 0x8F:  # EMPTY_SET
                    stack.append(set())
                    made += prices.SET
                elif code == 0x90:  # ADDITEMS
                    added = stack
                    stack = stacks.pop()
                    self._add_items(self._open(stack[-1], set), added)
                elif code == 0x91:  # FROZENSET
                    added = stack
                    stack = stacks.pop()
                    stack.append(self._frozen(added))
                elif code == 0x95:  # FRAME
                    # A hint of how much to read at once; everything is here already.
                    at += 8
                elif code == 0x2E:  # STOP
                    if stacks or len(stack) != 1 or at != size or self._taken != len(self._buffers):
                        raise refused("its pickle stops with something left over")
                    self._check(made, at, 0)
                    return stack[0]
                else:
                    raise refused(f"its pickle uses the opcode {code:#04x}, which the gate has not")

    def _check(self, made: int, at: int, marks: int) -> None:
        """Take what the last turns made, look at the clock, and at how far the machine is."""
        self._budget.tick(made + prices.OPCODE * prices.TURNS)
        if marks > _MARKS:
            raise refused(f"its pickle opens more than {_MARKS} containers inside each other")
        if at - self._apart > IN_BAND:
            raise refused(
                f"its pickle has more than {IN_BAND} bytes apart from long texts and buffers",
                "bring back less of it, or as arrays",
            )

    def _long(self, start: int, end: int) -> bytes:
        """Return bytes whose length may be of any size."""
        size = max(0, min(end, len(self._data)) - start)
        self._apart += size
        self._budget.spend_memory(prices.BYTES + size)
        return self._data[start:end]

    def _long_text(self, start: int, end: int) -> str:
        """Return a text whose length may be of any size."""
        raw = self._long(start, end)
        self._budget.spend_memory(prices.text(raw))
        self._budget.spend_text(raw)
        return raw.decode("utf-8", "surrogatepass")

    def _watch(self, value: Any) -> None:
        """Note what a memo hands out a second time: it may be part of something by now."""
        if type(value) is memoryview:
            raise refused("two values use the same memory")
        self._budget.share(value)

    def _open(self, value: Any, kind: type) -> Any:
        """Return a container that may still grow: nobody else can have it yet."""
        if type(value) is not kind:
            raise refused(f"its pickle adds items to what is no {kind.__name__}")
        if id(value) in self._budget.shared:
            raise refused("it contains itself", "bring back its parts")
        return value

    def _set_items(self, value: Any, added: list[Any]) -> None:
        target = self._open(value, dict)
        few = not target and len(added) <= 2 * prices.FEW_ITEMS
        self._budget.spend_memory(prices.FEW if few else len(added) // 2 * prices.ENTRY)
        keys = added[::2]
        self._budget.check_keys(target, keys)
        size = len(target) + len(keys)
        target.update(zip(keys, added[1::2], strict=True))
        # No writer repeats a key, and comparing a long one again and again takes time.
        if len(target) != size:
            raise refused("its pickle repeats a key")

    def _add_items(self, target: set[Any], added: list[Any]) -> None:
        self._budget.spend_memory(self._table(target, added))
        self._budget.check_keys(target, added)
        size = len(target) + len(added)
        target.update(added)
        if len(target) != size:
            raise refused("its pickle repeats a member of a set")

    def _frozen(self, added: list[Any]) -> frozenset[Any]:
        made: set[Any] = set()
        self._budget.spend_memory(2 * prices.SET + self._table(made, added))
        self._add_items(made, added)
        return frozenset(made)

    @staticmethod
    def _table(target: set[Any], added: list[Any]) -> int:
        """Return what a set takes for more members."""
        few = not target and len(added) <= prices.FEW_MEMBERS
        return 0 if few else len(added) * prices.ENTRY

    def _next_buffer(self) -> bytes | memoryview:
        self._budget.spend_memory(prices.BUFFER)
        buffer = self._buffers[self._taken]
        self._taken += 1
        return memoryview(buffer).cast("B")


def _rule(module: object, name: object, allowance: Allowance) -> Rule:
    if type(module) is not str or type(name) is not str or (module, name) not in RULES:
        raise refused("its pickle names something that is no tag of the wire")
    library = _LIBRARIES.get(module)
    if library is not None and library not in sys.modules:
        with allowance.resting():
            _load(library)
    return RULES[module, name]


def _load(library: str) -> None:
    try:
        import_module(library)
    except ImportError as error:
        raise refused(
            f"it needs {library}, which is not installed for the kernel",
            f"import {library} in the notebook, where that works",
        ) from error
