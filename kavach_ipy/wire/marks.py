"""Marks: what a frame says of the other ways by which its sender speaks.

Guarantees: a mark is four integers that are not negative, or a ProtocolError.
Assumes: the sender is hostile, so a mark may be a lie.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.frames import Frame

__all__ = ["NO_MARK", "Mark", "read_mark"]


class Mark(NamedTuple):
    """How far the cell's descriptors 1 and 2 were when a frame was sent (`launch.order`)."""

    began: int
    """Of the monotonic clock, in nanoseconds; the bytes were counted from here to `ended`."""

    ended: int
    stdout: int
    """Bytes that lay in the pipe, unread."""

    stderr: int


NO_MARK: Final = Mark(0, 0, 0, 0)
"""Nothing lay in the pipes. It is left out of a frame: nearly every one would have it."""


def read_mark(frame: Frame) -> Mark:
    """Read the mark of MESSAGE, INPUT or PUBLISH.

    Raises:
        ProtocolError: it is something else.
    """
    if "mark" not in frame.body:
        return NO_MARK
    numbers = frame.body["mark"]
    if (
        not isinstance(numbers, list)
        or len(numbers) != len(Mark._fields)
        # isinstance would take True for an int.
        or not all(type(number) is int and number >= 0 for number in numbers)
    ):
        detail = f"mark {numbers!r:.80}; {len(Mark._fields)} integers from 0 are due."
        raise ProtocolError(0, frame.kind.name, detail)
    return Mark(*cast("list[int]", numbers))
