"""What waits to be written: in order, whole, and each descriptor once."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.launch.outbox import Outbox

_MOST = 1 << 16


@given(frames=st.lists(st.lists(st.binary(max_size=20_000), max_size=4), max_size=8))
def test_bytes_arrive_in_order_however_little_is_taken_at_once(frames: list[list[bytes]]) -> None:
    """Also where a write takes a part of a piece; `waiting` counts down to nothing."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    os.set_blocking(ours.fileno(), False)
    whole = b"".join(piece for frame in frames for piece in frame)
    outbox = Outbox()
    with ours, theirs:
        for frame in frames:
            outbox.add(frame)
        assert outbox.waiting == len(whole)
        found = b""
        while outbox:
            outbox.write(ours)
            found += theirs.recv(_MOST) if len(found) < len(whole) - outbox.waiting else b""
        while len(found) < len(whole):
            found += theirs.recv(_MOST)
    assert found == whole
    assert outbox.waiting == 0


def test_descriptor_arrives_with_the_frame_it_was_added_with(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """With its first byte, between two frames that have none; ours is closed."""
    ours, theirs = ends
    reader, writer = os.pipe()
    outbox = Outbox()
    outbox.add([b"before"])
    outbox.add([b"", b"with", b"it"], writer)
    outbox.add([b"behind"])
    outbox.write(ours)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)
    data, found, _, _ = socket.recv_fds(theirs, _MOST, 2)
    # unix(7), and Linux: a read ends behind the bytes that a descriptor came with.
    assert data == b"beforewith"
    assert len(found) == 1
    os.write(found[0], b"x")
    assert os.read(reader, 9) == b"x"
    assert socket.recv_fds(theirs, _MOST, 2)[:2] == (b"itbehind", [])
    os.close(found[0])
    os.close(reader)


@pytest.mark.parametrize("how", ["clear", "nobody reads"])
def test_descriptor_that_is_not_sent_is_closed(
    ends: tuple[socket.socket, socket.socket], how: str
) -> None:
    """By `clear`, and where the other end is shut."""
    ours, theirs = ends
    reader, writer = os.pipe()
    outbox = Outbox()
    outbox.add([b"x" * _MOST])
    outbox.add([b"x"], writer)
    if how == "clear":
        outbox.clear()
    else:
        theirs.close()
        outbox.write(ours)
    assert not outbox
    assert outbox.waiting == 0
    assert os.read(reader, 1) == b"", "nobody has the writing end"
    os.close(reader)
