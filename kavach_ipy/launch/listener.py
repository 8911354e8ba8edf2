"""Who hears a running cell: what the watch calls, in the kernel process.

Guarantees: nothing.
Assumes: an implementation takes whatever the cell sends, and raises ProtocolError for a frame that
no honest one sends.
"""

from __future__ import annotations

from typing import Protocol

from kavach_ipy.launch.order import StreamName
from kavach_ipy.wire.frames import Frame

__all__ = ["Listener"]


class Listener(Protocol):
    """Who hears what the cell says. Called in the parent, live and in order."""

    def frame(self, frame: Frame) -> Frame | None:
        """Take one frame of the child; the answer to it, where it asks for one."""

    def output(self, name: StreamName, data: bytes) -> None:
        """Take bytes that went to the cell's file descriptor 1 or 2."""

    def usage(self, seconds: float, memory: int, processes: int) -> None:
        """Take what was seen of the cell from outside, a few times a second.

        Args:
            seconds: since "go".
            memory: bytes of new memory.
            processes: how many live.
        """
