"""Budgets of the reader: what one value may cost in time, memory, depth and equal hashes.

A hostile pickle is short and means much: one list in two million places, tuples that nest a
thousand deep, keys that all hash alike, one buffer turned into a million arrays.

Guarantees: the work that a pickle causes is linear in its own length, and is over when the run's
allowance is; no object that is handed out nests deeper than `DEPTH`, or shows more than `WEIGHT`
items when it is printed.
Assumes: an object that was weighed is never changed afterwards (the reader sees to it).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from kavach_ipy.gate.allowance import Allowance, refused
from kavach_ipy.wire import prices

__all__ = ["DEPTH", "EQUAL_HASHES", "KEY_ITEMS", "WEIGHT", "Budget"]

DEPTH: Final = 100
"""Containers inside containers. CPython frees and prints nested objects on the C stack."""
WEIGHT: Final = 1 << 26
"""Items, counted once for each place where they stand, and sixteen characters of text for one."""
KEY_ITEMS: Final = 1000
"""Items of one tuple or frozenset that is a key, counted as for `WEIGHT`: each is hashed anew."""
EQUAL_HASHES: Final = prices.NOTED_FROM
"""Keys of one dict or set that share a hash. Honest tuples of -1 and -2 reach a few."""

_MILLISECOND: Final = 1000
# Microseconds of small steps between two looks at the clock.
_GLANCE: Final = 200
# Bytes that may be taken before all values of the run pay for them.
_OWED: Final = 1 << 20
_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf]")
_NESTS: Final = frozenset({list, tuple, dict, set, frozenset})
_Container: TypeAlias = "list[Any] | tuple[Any, ...] | dict[Any, Any] | set[Any] | frozenset[Any]"
_PLAIN: Final = frozenset({type(None), bool, int, float, complex})


class Budget:
    """What is left for one value.

    Args:
        stream: bytes of its pickle.
        buffers: bytes of its out-of-band buffers.
        unusable: classes of the reader's own that must never be part of a value.
        allowance: what is left for all values of the run.

    Attributes:
        allowance: the same.
        shared: ids of objects that may stand in more than one place; the reader notes them.
    """

    __slots__ = (
        "_claimed",
        "_hashes",
        "_kept",
        "_known",
        "_memory",
        "_owed",
        "_spent",
        "_unseen",
        "_unusable",
        "_virtual",
        "_work",
        "allowance",
        "shared",
    )

    def __init__(
        self, stream: int, buffers: int, unusable: frozenset[type], allowance: Allowance
    ) -> None:
        self.allowance = allowance
        # Measured on builders of every kind: none is dearer than a microsecond for each byte that
        # an honest writer needs to name it.
        self._work = 1000 * _MILLISECOND + stream
        allowance.account.receive(stream + buffers)
        self._memory = allowance.account.left
        self._virtual = (32 << 20) + 40 * stream + 16 * buffers
        self._unusable = unusable
        self._known: dict[int, tuple[int, int]] = {}
        self._kept: list[object] = []
        self._hashes: dict[int, _Hashes] = {}
        self._unseen = self._owed = self._spent = 0
        self._claimed: set[int] = set()
        self.shared: set[int] = set()

    def spend_work(self, microseconds: int) -> None:
        """Take time from the budget, before the work is done.

        Raises:
            OutputWithheld: so much is not left.
        """
        self._work -= microseconds
        if self._work < 0:
            raise refused("rebuilding it would take too long", "bring back less of it")
        self._unseen += microseconds + 1
        if self._unseen > _GLANCE:
            self._unseen = 0
            self.allowance.check_time(microseconds)

    def spend_memory(self, size: int) -> None:
        """Take bytes that the reader or a builder is about to make from the budget.

        Raises:
            OutputWithheld: so many are not left.
        """
        if size > self._memory:
            raise refused(
                f"it would grow beyond its memory budget, {prices.FACTOR} bytes for each that it"
                " brought",
                "bring back less of it",
            )
        self._memory -= size
        self._spent += size
        self._owed += size
        if self._owed > _OWED:
            owed, self._owed = self._owed, 0
            self.allowance.spend_memory(owed)

    def spend_items(self, size: int) -> None:
        """Take bytes that nothing takes yet, and whatever copies or prints the value would.

        Raises:
            OutputWithheld: it has more items without bytes of their own than it may.
        """
        self._virtual -= size
        if self._virtual < 0:
            raise refused("it would grow beyond its memory budget", "bring back less of it")

    def settle(self) -> None:
        """Charge the account of the run with what this value has cost."""
        self.allowance.account.spent += self._spent
        self._spent = 0

    def tick(self, size: int) -> None:
        """Take the bytes that the last steps made, and look at the clock.

        Raises:
            OutputWithheld: bytes or time are not left.
        """
        self.spend_memory(size)
        self.allowance.check_time()

    def spend_text(self, raw: bytes) -> None:
        """Take the time that decoding a long text from UTF-8 costs.

        Raises:
            OutputWithheld: so much is not left.
        """
        # A lone surrogate calls an error handler, which takes a sixth of a microsecond.
        is_plain = raw.isascii()
        self.spend_work(len(raw) >> (9 if is_plain else 6))
        if not is_plain and _SURROGATE.search(raw) is not None:
            self.spend_work(len(raw) >> 4)

    def claim(self, raw: object) -> None:
        """Let an array use a buffer as its own memory; bytes, which nobody can change, are free.

        Two arrays over one memory would let a change of one undo what was checked for the other.

        Raises:
            OutputWithheld: the buffer is, or may become, part of something else too.
        """
        if type(raw) is bytearray:
            self.own(raw)

    def own(self, value: object) -> None:
        """Let one object alone have what was checked for it: memory, codes, indices, labels.

        A `Categorical` whose codes are also an array of the user's reads out of bounds as soon as
        that array is written to.

        Raises:
            OutputWithheld: something else has it too.
        """
        if id(value) in self._claimed or id(value) in self.shared:
            raise refused("two values use the same memory")
        self._claimed.add(id(value))
        self._kept.append(value)

    def share(self, value: object) -> None:
        """Note that an object, which the reader's memo keeps, stands in more than one place.

        Raises:
            OutputWithheld: another object has it for itself alone.
        """
        if id(value) in self._claimed:
            raise refused("two values use the same memory")
        if id(value) not in self.shared:
            self.spend_memory(prices.SHARED)
            self.shared.add(id(value))

    def weigh(self, value: object, room: int = DEPTH) -> tuple[int, int]:
        """Return a value's depth and its weight; a container is walked twice at most, ever.

        Raises:
            OutputWithheld: it is too deep or too heavy, or holds what is no value.
        """
        self._unseen += 1
        if self._unseen > _GLANCE:
            self._unseen = 0
            self.allowance.check_time()
        cls = type(value)
        if cls in _NESTS:
            return self._weigh_container(value, room)  # type: ignore[arg-type]
        if cls in self._unusable:
            raise refused("its pickle uses as a value what is none")
        known = self._known.get(id(value), (0, 1))
        if known[0] > room:
            raise refused(f"it nests deeper than {DEPTH}", "flatten it")
        if isinstance(value, str | bytes | bytearray):
            return 0, 1 + (len(value) >> 4)
        return known

    def remember(self, value: object, depth: int, weight: int) -> None:
        """Note what a finished object weighs; the object is kept, so that its id stays its own."""
        if depth > DEPTH:
            raise refused(f"it nests deeper than {DEPTH}", "flatten it")
        if weight > WEIGHT:
            raise refused(f"it would show more than {WEIGHT} items", "bring back less of it")
        self._known[id(value)] = depth, weight
        self._kept.append(value)

    def check_key(self, key: object) -> None:
        """Check that a key can be hashed and compared at a bounded cost.

        Raises:
            OutputWithheld: it is a tuple or frozenset of too many items, or no value.
        """
        left = KEY_ITEMS
        cost = 1
        todo = [key]
        while todo:
            item = todo.pop()
            if type(item) in self._unusable:
                raise refused("its pickle uses as a key what is no value")
            if isinstance(item, str | bytes):
                cost += len(item) >> 14
            elif isinstance(item, tuple | frozenset):
                left -= len(item)
                if left < 0:
                    raise refused(f"one of its keys holds more than {KEY_ITEMS} items")
                todo.extend(item)
            else:
                # An object of a class that the user trusts is hashed with all that it holds.
                left -= self._known.get(id(item), (0, 1))[1] - 1
                if left < 0:
                    raise refused(f"one of its keys holds more than {KEY_ITEMS} items")
        self.spend_work(cost + (KEY_ITEMS - left) // 32)

    def check_keys(
        self, container: dict[Any, Any] | set[Any] | frozenset[Any], keys: list[Any]
    ) -> None:
        """Check keys that are about to be added to a dict or set.

        A forked child knows the secret of our string hash, so texts collide at its will as well.

        Raises:
            OutputWithheld: a key is unfit, or more than `EQUAL_HASHES` of them share a hash.
        """
        kinds = set(map(type, keys))
        if kinds == {str}:
            self.spend_work(sum(map(len, keys)) >> 14)
        elif not kinds <= _PLAIN:
            for key in keys:
                self.check_key(key)
        if len(container) + len(keys) <= EQUAL_HASHES:
            return
        self.spend_memory(prices.NOTED * len(keys))
        self.spend_work(len(keys) // 2)
        seen = self._hashes.get(id(container))
        if seen is None:
            # A frozenset is not made yet, so nothing can be added to it later.
            self.spend_memory(prices.NOTED * len(container))
            seen = self._hashes[id(container)] = _Hashes(map(hash, container))
            self._kept.append(container)
        seen.add(list(map(hash, keys)))

    # One function, as its loop decides the reader's speed for many small containers.
    def _weigh_container(  # noqa: C901
        self, value: _Container, room: int
    ) -> tuple[int, int]:
        # A container that no memo handed out stands in one place only, so no note of it is needed.
        is_shared = id(value) in self.shared
        known = self._known.get(id(value)) if is_shared else None
        if (1 if known is None else known[0]) > room:
            raise refused(f"it nests deeper than {DEPTH}", "flatten it")
        if known is not None:
            return known
        weight = 1
        deepest = text = 0
        for items in (value, value.values()) if isinstance(value, dict) else (value,):
            weight += len(items)
            kinds = set(map(type, items))
            if kinds <= _PLAIN:
                continue
            if kinds == {str}:
                text += sum(map(len, items))
                continue
            for item in items:
                cls = type(item)
                if cls is str:
                    text += len(item)
                elif cls not in _PLAIN:
                    depth, heavy = self.weigh(item, room - 1)
                    weight += heavy - 1
                    deepest = max(deepest, depth)
        weight += text >> 4
        if weight > WEIGHT:
            raise refused(f"it would show more than {WEIGHT} items", "bring back less of it")
        if is_shared:
            self.remember(value, deepest + 1, weight)
        return deepest + 1, weight


class _Hashes:
    """The hashes of one container's keys, and how often one came again."""

    __slots__ = ("_again", "_seen")

    def __init__(self, hashes: Iterable[int]) -> None:
        self._seen: set[int] = set()
        self._again: Counter[int] = Counter()
        self.add(list(hashes))

    def add(self, hashes: list[int]) -> None:
        seen = self._seen
        if len(set(hashes)) == len(hashes) and seen.isdisjoint(hashes):
            seen.update(hashes)
            return
        for one in hashes:
            if one not in seen:
                seen.add(one)
                continue
            self._again[one] += 1
            if self._again[one] >= EQUAL_HASHES:
                raise refused(f"more than {EQUAL_HASHES} keys of one container share a hash")
