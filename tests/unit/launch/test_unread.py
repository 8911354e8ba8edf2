"""Whether a cell was read: only what is proved counts."""

from __future__ import annotations

import socket

from kavach_ipy.launch.outbox import Outbox
from kavach_ipy.launch.unread import Order, holds_unread, was_reset

_NUMBER = 7


def _sent(ours: socket.socket, size: int = 100) -> tuple[Outbox, Order]:
    """What was sent before a cell, and as much of the cell as the channel takes."""
    out = Outbox()
    order = Order(out)
    out.add([b"before"])
    order.begin(_NUMBER)
    out.add([b"x" * size])
    order.added()
    out.write(ours)
    return out, order


def test_cell_that_was_not_put_into_the_channel_is_unread() -> None:
    """It waited for its checkpoint, so nothing of it was written."""
    order = Order(Outbox())
    order.begin(_NUMBER)
    assert order.unread(is_left=False) == _NUMBER


def test_cell_that_is_not_whole_in_the_channel_is_unread(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """However much of it was taken; the whole of it may have been read."""
    ours, theirs = ends
    out, order = _sent(ours, 1 << 20)
    theirs.recv(1 << 16)
    assert order.unread(is_left=False) == _NUMBER
    while out:
        out.write(ours)
        theirs.recv(1 << 16)
    assert order.unread(is_left=False) == _NUMBER + 1


def test_what_was_cleared_is_not_written(ends: tuple[socket.socket, socket.socket]) -> None:
    """The rest of a cell that nobody is left to read is no proof that it was read."""
    out, order = _sent(ends[0], 1 << 20)
    out.clear()
    assert order.unread(is_left=False) == _NUMBER


def test_channel_tells_whether_its_end_was_taken(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Where somebody still has the other end; a part of it is not the whole."""
    ours, theirs = ends
    _, order = _sent(ours)
    assert holds_unread(ours)
    assert order.unread(is_left=holds_unread(ours)) == _NUMBER
    theirs.recv(50)
    assert order.unread(is_left=holds_unread(ours)) == _NUMBER
    theirs.recv(1 << 16)
    assert not holds_unread(ours)
    assert order.unread(is_left=holds_unread(ours)) == _NUMBER + 1
    assert not was_reset(ours)


def test_channel_that_is_closed_tells_it_once(ends: tuple[socket.socket, socket.socket]) -> None:
    """Where nobody has the other end any more, and it was closed with the cell in it."""
    ours, theirs = ends
    _, order = _sent(ours)
    held = theirs.dup()
    theirs.close()
    assert not was_reset(ours)
    held.close()
    assert not holds_unread(ours)
    assert order.unread(is_left=was_reset(ours)) == _NUMBER
    assert not was_reset(ours)


def test_channel_that_was_read_and_closed_is_no_proof(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """A session that has died with its cell has read it."""
    ours, theirs = ends
    _, order = _sent(ours)
    theirs.recv(1 << 16)
    theirs.close()
    assert not was_reset(ours)
    assert order.unread(is_left=was_reset(ours)) == _NUMBER + 1


def test_what_is_left_behind_a_cell_is_no_proof(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """An answer that came later may be what nobody has taken."""
    ours, theirs = ends
    out, order = _sent(ours)
    theirs.recv(1 << 16)
    out.add([b"behind"])
    out.write(ours)
    assert holds_unread(ours)
    assert order.unread(is_left=True) == _NUMBER + 1


def test_outbox_notes_a_reset_that_it_is_told_of(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Who writes first hears of it in place of `was_reset`."""
    ours, theirs = ends
    out, order = _sent(ours)
    theirs.close()
    out.add([b"behind"])
    out.write(ours)
    assert out.was_reset or was_reset(ours)
    assert order.unread(is_left=True) == _NUMBER
