"""Frames: the only language spoken across the fork.

A frame is a fixed head, the lengths of its buffers, a JSON object, and the buffers, all little
endian and without padding::

    head     4s B B H I   b"kvch", version 1, kind, count of buffers, length of the object
    lengths  Q each       length of each buffer
    body     …            the object, UTF-8
    buffers  …            one after the other

Guarantees: a frame is whole or an error; no length beyond a cap is ever waited for; decoding takes
linear time, however the bytes are cut.
Assumes: the writer is hostile, the descriptor is ours alone, one thread at a time writes to it, and
no signal handler raises while `write_frame` runs.
"""

from __future__ import annotations

import os
import select
import struct
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.documents import Json, read_document, write_document

__all__ = ["Decoder", "Frame", "FrameLimits", "Kind", "encode", "read_frame", "write_frame"]

_MAGIC = b"kvch"
_VERSION = 1
_HEAD = struct.Struct("<4sBBHI")
_READ_SIZE = 1 << 18
# writev(2): at most IOV_MAX pieces a call, which is 1024 on Linux.
_PIECES = 1024


class Kind(IntEnum):
    """What a frame says; the arrow shows who may say it."""

    READY = 1  # child → parent: set-up is finished, nothing of the cell has run
    GO = 2  # parent → child: run the cell
    MESSAGE = 3  # child → parent: a Jupyter message
    VALUE = 4  # child → parent: a name that was asked for
    UNSENT = 5  # child → parent: a name that could not be encoded
    INPUT = 6  # child → parent: asks for a line
    ANSWER = 7  # parent → child: the line
    DONE = 8  # child → parent: the cell is over
    REQUEST = 9  # parent → child: something to do, of a session that serves a kernel
    REPLY = 10  # child → parent: what became of it
    PUBLISH = 11  # child → parent: a Jupyter message, and the request that it belongs to


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame.

    Attributes:
        kind: what it says.
        body: a JSON object; strings in it may hold lone surrogates.
        buffers: bytes in decoded frames; anything with the buffer protocol may be sent.
        size: bytes that a decoded frame took; 0 of one that was made here.
    """

    kind: Kind
    body: dict[str, Json] = field(default_factory=dict)
    buffers: tuple[bytes | memoryview, ...] = ()
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """The largest frame that a decoder waits for; all but `buffers` in bytes."""

    body: int = 8 << 20
    buffer: int = 256 << 20
    buffers: int = 1024
    total: int = 512 << 20


_DEFAULT_LIMITS = FrameLimits()


def encode(frame: Frame, limits: FrameLimits = _DEFAULT_LIMITS) -> list[bytes | memoryview]:
    """Return the pieces of a frame, in order, for `os.writev` or `sendmsg`; buffers are not copied.

    Raises:
        ProtocolError: the other end would refuse the frame, as it exceeds `limits`.
        ValueError, TypeError: the body is no JSON object.
    """
    body = write_document(frame.body)
    buffers = [_flat(buffer) for buffer in frame.buffers]
    lengths = [len(buffer) for buffer in buffers]
    _check_head(0, frame.kind.name, len(buffers), len(body), limits)
    _check_lengths(0, frame.kind.name, lengths, len(body), limits)
    head = _HEAD.pack(_MAGIC, _VERSION, frame.kind, len(buffers), len(body))
    pieces: list[bytes | memoryview] = [head + struct.pack(f"<{len(lengths)}Q", *lengths) + body]
    pieces += [buffer for buffer in buffers if len(buffer)]
    return pieces


class Decoder:
    """Turns bytes, cut anywhere, into frames.

    Args:
        limits: caps that are checked as soon as a length is known, before its bytes are waited for.

    Attributes:
        offset: bytes of the stream that belong to whole frames.
        surplus: frames that `read_frame` read ahead of its caller.
    """

    __slots__ = (
        "_body",
        "_error",
        "_have",
        "_kind",
        "_lengths",
        "_need",
        "limits",
        "offset",
        "surplus",
    )

    def __init__(self, limits: FrameLimits = _DEFAULT_LIMITS) -> None:
        self.limits = limits
        self.offset = 0
        self.surplus: deque[Frame] = deque()
        self._have = bytearray()
        self._need = _HEAD.size
        self._kind: Kind | None = None
        self._lengths: tuple[int, ...] | None = None
        self._body = 0
        self._error: ProtocolError | None = None

    @property
    def broken(self) -> ProtocolError | None:
        """The fault that ended the stream, once there was one."""
        return self._error

    @property
    def is_idle(self) -> bool:
        """True between frames: no byte and no frame is left over."""
        return not self._have and not self.surplus

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Take the next bytes of the stream; return the frames that they complete.

        Raises:
            ProtocolError: the stream is broken, and no whole frame stood before the fault; every
                later call raises the same error.
        """
        if self._error is not None:
            raise self._error
        self._have += data
        frames: list[Frame] = []
        start = 0
        try:
            while len(self._have) - start >= self._need:
                if self._kind is None:
                    self._take_head(start)
                elif self._lengths is None:
                    self._take_lengths(start)
                else:
                    end = start + self._need
                    frames.append(self._take_frame(start, self._kind, self._lengths))
                    self.offset += end - start
                    start = end
                    self._kind = self._lengths = None
                    self._need = _HEAD.size
        except ProtocolError as error:
            self._error = error
            self._have.clear()
            if frames:
                # What stood before the fault is whole; `broken` says that nothing follows.
                return frames
            raise
        # One cut a call: cutting after each frame would move the rest once a frame.
        del self._have[:start]
        return frames

    def _take_head(self, start: int) -> None:
        magic, version, number, count, body = _HEAD.unpack_from(self._have, start)
        if magic != _MAGIC or version != _VERSION:
            raise ProtocolError(
                self.offset,
                "head",
                f"magic {magic!r} and version {version} seen; {_MAGIC!r} and {_VERSION} allowed.",
            )
        try:
            self._kind = Kind(number)
        except ValueError:
            raise ProtocolError(
                self.offset, "head", f"kind {number} seen; 1 to {len(Kind)} allowed."
            ) from None
        _check_head(self.offset, self._kind.name, count, body, self.limits)
        self._body = body
        self._need = _HEAD.size + 8 * count

    def _take_lengths(self, start: int) -> None:
        assert self._kind is not None
        count = (self._need - _HEAD.size) // 8
        lengths = struct.unpack_from(f"<{count}Q", self._have, start + _HEAD.size)
        _check_lengths(self.offset, self._kind.name, lengths, self._body, self.limits)
        self._lengths = lengths
        self._need += self._body + sum(lengths)

    def _take_frame(self, start: int, kind: Kind, lengths: tuple[int, ...]) -> Frame:
        at = start + _HEAD.size + 8 * len(lengths)
        with memoryview(self._have) as view:
            text = bytes(view[at : at + self._body])
            at += self._body
            buffers = []
            for length in lengths:
                buffers.append(bytes(view[at : at + length]))
                at += length
        try:
            body = read_document(text)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(self.offset, kind.name, f"its body is refused: {error}.") from None
        return Frame(kind, body, tuple(buffers), self._need)


def write_frame(fd: int, frame: Frame, limits: FrameLimits = _DEFAULT_LIMITS) -> None:
    """Write one whole frame to a descriptor; wait as long as the reader takes.

    Raises:
        ProtocolError: the frame exceeds `limits`; nothing was written.
        OSError: the descriptor failed; EPIPE when the reader has gone.
    """
    pieces = deque(encode(frame, limits))
    while pieces:
        try:
            # write(2): EINTR is retried by Python (PEP 475); a short count is ours to continue.
            written = os.writev(fd, [pieces[i] for i in range(min(len(pieces), _PIECES))])
        except BlockingIOError:
            _wait(fd, select.POLLOUT)
            continue
        while pieces and written >= len(pieces[0]):
            written -= len(pieces.popleft())
        if written:
            pieces[0] = memoryview(pieces[0])[written:]


def read_frame(fd: int, decoder: Decoder) -> Frame | None:
    """Return the next frame, waiting for it, or None where the stream ends between two frames.

    Raises:
        ProtocolError: the stream is broken, or ends inside a frame.
        OSError: the descriptor failed.
    """
    while not decoder.surplus:
        if decoder.broken is not None:
            raise decoder.broken
        try:
            data = os.read(fd, _READ_SIZE)
        except BlockingIOError:
            _wait(fd, select.POLLIN)
            continue
        if not data:
            if decoder.is_idle:
                return None
            raise ProtocolError(decoder.offset, "end", "the stream ends inside a frame.")
        decoder.surplus.extend(decoder.feed(data))
    return decoder.surplus.popleft()


def _wait(fd: int, event: int) -> None:
    poll = select.poll()
    poll.register(fd, event)
    poll.poll()


def _flat(buffer: bytes | memoryview) -> bytes | memoryview:
    return buffer if isinstance(buffer, bytes) else memoryview(buffer).cast("B")


def _check_head(offset: int, kind: str, count: int, body: int, limits: FrameLimits) -> None:
    if count > limits.buffers:
        raise ProtocolError(offset, kind, f"{count} buffers announced; {limits.buffers} allowed.")
    if body > limits.body:
        raise ProtocolError(
            offset, kind, f"a body of {body} bytes announced; {limits.body} allowed."
        )


def _check_lengths(
    offset: int, kind: str, lengths: list[int] | tuple[int, ...], body: int, limits: FrameLimits
) -> None:
    longest = max(lengths, default=0)
    if longest > limits.buffer:
        raise ProtocolError(
            offset, kind, f"a buffer of {longest} bytes announced; {limits.buffer} allowed."
        )
    total = body + sum(lengths)
    if total > limits.total:
        raise ProtocolError(
            offset, kind, f"{total} bytes announced in one frame; {limits.total} allowed."
        )
