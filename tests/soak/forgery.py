"""What a hostile cell sends: frames as honest ones are, changed where a reader might trust them.

Guarantees: the same seed forges the same bytes; most of a forged stream is whole, so that it is
read as far as it goes.
Assumes: numpy and pandas, for honest values to begin with.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from kavach_ipy.launch.link import ChildLink
from kavach_ipy.wire.arena import ArenaWriter
from kavach_ipy.wire.frames import Frame, Kind
from kavach_ipy.wire.messages import Failure, done_frame, input_frame, message_frame
from kavach_ipy.wire.values import encode_value, unsent_frame

__all__ = ["ASKED", "Forged", "Forger"]

ASKED = ("a", "b", "c")
"""The names that the cell is asked for."""

_ARENA_BYTES = 8 << 20
_HEAD = struct.Struct("<4sBBHI")
_PAGE = 4096

_ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 0.5, -0.0, 1e308, float("nan"), float("inf"), 1 << 31, 1 << 62,
    (1 << 63) - 1, 1 << 63, 1 << 64, 10**40, -(10**19), "", "a", "x" * 70_000, "\ud800", "\0",
    "\x1b]0;title\x07", "\x9b31m", "<script>alert(1)</script>", "a\u202eb", "__builtins__", "../x",
    "image/png", "application/javascript", [], {}, [0, 4096], [0, 1 << 40], [4095, 1], [-4096, 1],
    [None] * 70, [[]] * 3, {"": None}, {"name": 1}, "data:text/html,<b>", "javascript:alert(1)",
)  # fmt: skip
_PICKLED = (
    b"()]}.NKMJUX\x8a\x8b\x8c\x8d\x8e\x93\x94\x95\x97\x98"
    b"hjqrRbcdegioPQRsatuel012\x80\x81\x82\x88\x89"
)

_VALUES: tuple[object, ...] = (
    None,
    [1, -(1 << 70), 2.5, 1j, "text", b"bytes", {"k": (1, 2)}, {3, 4}, frozenset((5,))],
    {f"key{number}": number for number in range(50)},
    [dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.timedelta(1), Fraction(1, 3)],
    "x" * 100_000,
    bytes(range(256)) * 300,
    np.arange(20_000.0),
    np.arange(60, dtype=np.int16).reshape(3, 4, 5),
    np.array([True, False]),
    np.array([b"bytes", b""]),
    np.array([1j, 2]),
    np.array(["2026-01-01", "NaT"], dtype="datetime64[ns]"),
    np.array(["ä", "bb"]),
    np.float32(1.5),
    pd.DataFrame({"a": range(200), "b": ["x", "y"] * 100, "c": pd.Categorical(["u", "v"] * 100)}),
    pd.DataFrame({"n": np.arange(30_000.0), "m": np.arange(30_000)}),
    pd.Series(
        [1, None, 3], dtype="Int64", index=pd.MultiIndex.from_product([[1], ["a", "b", "c"]])
    ),
    pd.date_range("2026-01-01", periods=5, tz="UTC"),
    pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
    pd.interval_range(0, 3),
    pd.Timestamp("2026-01-01"),
)
_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_BUNDLE: dict[str, Any] = {
    "text/plain": "plain \x1b[31mred\x1b[0m",
    "text/html": "<table class='dataframe'><tr><td style='color: red'>1</td></tr></table>",
    "text/markdown": "# a\n[b](javascript:c) ![d](http://e)",
    "text/latex": "$\\frac{1}{2}$",
    "image/png": _PNG,
    "image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
    "application/json": {"k": [1, 2, {"n": None}]},
    "application/vnd.plotly.v1+json": {"data": [], "layout": {}},
    "application/javascript": "alert(1)",
}


@dataclass(frozen=True, slots=True)
class Forged:
    """All that one cell sends."""

    wire: bytes
    arena: bytes
    size: int
    """What the arena is stretched or cut to."""

    ending: str
    """``exit``, ``hang`` or ``return``: what the cell does afterwards."""

    asks: bool
    """It asks for input, and reads what is answered."""

    def send(self) -> None:
        """Be the hostile cell: write everything and end as told."""
        channel, arena = _own_descriptors()
        if self.arena:
            os.pwrite(arena, self.arena, 0)
        if self.size != len(self.arena):
            os.ftruncate(arena, self.size)
        data = memoryview(self.wire)
        while data:
            data = data[os.write(channel, data) :]
        if self.asks:
            os.read(channel, 100)
        if self.ending == "exit":
            os._exit(0)
        while self.ending == "hang":
            os.read(channel, 1 << 16)


@dataclass
class Forger:
    """Draws streams."""

    draw: random.Random
    _values: list[tuple[Frame, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._values = [
            _encoded(value, limit) for value in _VALUES for limit in (64 << 10, 100, 1 << 30)
        ]

    def forge(self) -> Forged:
        """Draw one stream."""
        draw = self.draw
        arena = b""
        frames: list[bytes] = []
        asks = False
        names = list(ASKED)
        draw.shuffle(names)
        for _ in range(draw.randint(1, 10)):
            frame = self._message()
            if draw.random() < 0.5:
                frame, spans = draw.choice(self._values)
                name = names.pop() if names and draw.random() < 0.9 else draw.choice(ASKED)
                frame = _moved(frame, name, len(arena))
                arena += spans + bytes(-len(spans) % _PAGE)
            asks |= frame.kind is Kind.INPUT
            frames.append(self._changed(frame))
        if draw.random() < 0.5:
            frames.append(_whole(done_frame(None)))
        wire = b"".join(frames)
        if draw.random() < 0.05:
            wire = self._bytes_changed(wire, 3)
        if draw.random() < 0.05:
            wire = wire[: draw.randrange(len(wire) + 1)]
        if arena and draw.random() < 0.2:
            arena = self._bytes_changed(arena, 20)
        size = len(arena) if draw.random() < 0.8 else draw.choice((0, 1, _PAGE, 1 << 22, 1 << 44))
        ending = draw.choices(("exit", "return", "hang"), (6, 3, 0.05))[0]
        return Forged(wire, arena, size, ending, asks and draw.random() < 0.5)

    def _message(self) -> Frame:
        draw = self.draw
        kinds = draw.sample(sorted(_BUNDLE), draw.randint(1, 4))
        content: dict[str, Any] = {"data": {kind: _BUNDLE[kind] for kind in kinds}, "metadata": {}}
        makers: tuple[Callable[[], Frame], ...] = (
            lambda: message_frame("stream", {"name": "stdout", "text": "forged\n"}),
            lambda: message_frame("stream", {"name": "stderr", "text": "\x1b[1mbold"}),
            lambda: message_frame("display_data", {**content, "transient": {"display_id": "d"}}),
            lambda: message_frame(
                "update_display_data", {**content, "transient": {"display_id": "d"}}
            ),
            lambda: message_frame("execute_result", {**content, "execution_count": 1}),
            lambda: message_frame("clear_output", {"wait": True}),
            lambda: message_frame("error", {"ename": "E", "evalue": "v", "traceback": ["t"]}),
            lambda: message_frame("comm_open", {"comm_id": "c", "target_name": "t", "data": {}}),
            lambda: input_frame("password: ", is_password=True),
            lambda: unsent_frame(draw.choice(ASKED), "kind", "reason", "remedy", "shown"),
            lambda: unsent_frame("<result>", "kind", "reason"),
            lambda: done_frame(Failure("ValueError", "text", ("line 1", "line 2"), ("note",))),
        )
        return draw.choice(makers)()

    def _changed(self, frame: Frame) -> bytes:
        """Encode a frame and change it at one of its levels, or at none."""
        draw = self.draw
        level = draw.choices(
            ("none", "body", "buffers", "head", "lengths", "bytes"), (40, 30, 30, 1, 1, 1)
        )[0]
        body: Any = json.loads(json.dumps(frame.body))
        buffers = [bytes(buffer) for buffer in frame.buffers]
        if level == "body":
            # Strict readers refuse a strange key at once; what lies deeper is what is judged.
            key = draw.choice([key for key in body if key != "name"] or ["name"])
            for _ in range(draw.choice((1, 1, 1, 2, 5))):
                if draw.random() < 0.05 or not isinstance(body, dict):
                    body = self._tree_changed(body)
                elif key in body:
                    body = {**body, key: self._tree_changed(body[key])}
        if level == "buffers":
            buffers = [self._pickle_changed(buffer) for buffer in buffers]
            if draw.random() < 0.1:
                buffers.append(b"surplus")
        data = _packed(frame.kind, body, buffers)
        if level == "head":
            fields = list(_HEAD.unpack_from(data))
            at = draw.randrange(1, len(fields))
            most = (0, 0xFF, 0xFF, 0xFFFF, 0xFFFFFFFF)[at]
            fields[at] = draw.choice((0, 1, most, fields[at] ^ 1, draw.randint(0, most)))
            return _HEAD.pack(*fields) + data[_HEAD.size :]
        if level == "lengths" and buffers:
            length = draw.choice((0, 1, 1 << 20, 1 << 32, (1 << 64) - 1))
            return data[: _HEAD.size] + struct.pack("<Q", length) + data[_HEAD.size + 8 :]
        return self._bytes_changed(data, 3) if level == "bytes" else data

    def _tree_changed(self, node: Any) -> Any:
        """Change one place of a JSON document."""
        draw = self.draw
        if isinstance(node, dict) and node and draw.random() < 0.97:
            key = draw.choice(list(node))
            if draw.random() < 0.03:
                return {name: value for name, value in node.items() if name != key}
            if draw.random() < 0.05:
                return {**node, str(draw.choice(_ODD)): draw.choice(_ODD)}
            return {**node, key: self._tree_changed(node[key])}
        if isinstance(node, list) and node and draw.random() < 0.8:
            at = draw.randrange(len(node))
            return [*node[:at], self._tree_changed(node[at]), *node[at + draw.randint(0, 1) :]]
        if isinstance(node, str) and node and draw.random() < 0.4:
            at = draw.randrange(len(node))
            return node[:at] + draw.choice(("", "<", "\x1b", "\u202e", "\0", "&#", "=")) + node[at:]
        if isinstance(node, int) and draw.random() < 0.5:
            return node + draw.choice((-1, 1, 4096, -4096, 1 << 32))
        odd = draw.choice(_ODD)
        for _ in range(draw.choices((0, 1, 70), (80, 20, 1))[0]):
            odd = [odd]
        return odd

    def _pickle_changed(self, data: bytes) -> bytes:
        """Change opcodes and arguments of a pickle, or the bytes of a buffer."""
        draw = self.draw
        if not data or draw.random() < 0.2:
            return self._bytes_changed(data, 5)
        changed = bytearray(data)
        for _ in range(draw.randint(1, 3)):
            at = min(draw.randrange(len(changed) or 1), draw.randrange(400))
            match draw.randrange(4):
                case 0:
                    changed[at : at + 1] = bytes([draw.choice(_PICKLED)])
                case 1:
                    changed[at:at] = bytes([draw.choice(_PICKLED)])
                case 2:
                    changed[at : at + 4] = struct.pack(
                        "<i", draw.choice((0, -1, 1, 1 << 30, draw.getrandbits(20)))
                    )
                case _:
                    start = min(draw.randrange(len(changed) or 1), draw.randrange(400))
                    changed[at:at] = changed[start : start + draw.randint(1, 30)]
        return bytes(changed)

    def _bytes_changed(self, data: bytes, most: int) -> bytes:
        draw = self.draw
        changed = bytearray(data)
        for _ in range(draw.randint(1, most)):
            at = draw.randrange(len(changed) + 1)
            if draw.random() < 0.6 and at < len(changed):
                changed[at] ^= 1 << draw.randrange(8)
            elif draw.random() < 0.5:
                del changed[at : at + draw.randint(1, 9)]
            else:
                changed[at:at] = draw.randbytes(draw.randint(1, 9))
        return bytes(changed)


def _encoded(value: object, inline_limit: int) -> tuple[Frame, bytes]:
    """An honest VALUE frame and the arena's bytes that it refers to."""
    fd = os.memfd_create("forgery")
    try:
        writer = ArenaWriter(fd, _ARENA_BYTES)
        frame = encode_value("a", value, writer, inline_limit=inline_limit)
        assert frame.kind is Kind.VALUE, frame.body
        return frame, os.pread(fd, writer.end, 0)
    finally:
        os.close(fd)


def _moved(frame: Frame, name: str, offset: int) -> Frame:
    """The same value under another name, its spans further back in the arena."""
    places = frame.body["parts"]
    assert isinstance(places, list)
    moved = [[place[0] + offset, place[1]] if isinstance(place, list) else None for place in places]  # type: ignore[operator]
    return Frame(frame.kind, {**frame.body, "name": name, "parts": moved}, frame.buffers)  # type: ignore[dict-item]


def _whole(frame: Frame) -> bytes:
    return _packed(frame.kind, frame.body, [bytes(buffer) for buffer in frame.buffers])


def _packed(kind: Kind, body: Any, buffers: list[bytes]) -> bytes:
    """Lay a frame out without asking whether it may be sent."""
    text = json.dumps(body).encode()
    lengths = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    head = _HEAD.pack(b"kvch", 1, kind, len(buffers), len(text))
    return b"".join((head, lengths, text, *buffers))


def _own_descriptors() -> tuple[int, int]:
    """The channel and the arena: a cell may ask any object of its process."""
    (link,) = (found for found in gc.get_objects() if isinstance(found, ChildLink))
    return link._channel, link._arena._fd
