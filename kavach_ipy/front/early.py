"""Interrupts of a cell that its session has not been told of yet: it waits for its turn, or a log.

Guarantees: one that comes before the session is told is the cell's when it is, or ends the wait for
a session; none of them is the next cell's.
Assumes: `note` may be called by a signal handler, all else in the kernel's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from kavach_ipy.front.ear import settle

__all__ = ["Early"]


class Early:
    """What came for the cell that is about to be sent."""

    def __init__(self) -> None:
        self._is_early = self._came = False
        self._waiting: asyncio.Future[None] | None = None

    @contextmanager
    def cell(self) -> Iterator[None]:
        """Be the time of one cell, from before it is sent."""
        self._is_early, self._came = True, False
        try:
            yield
        finally:
            self._is_early = False

    def note(self) -> bool:
        """Take an interrupt; False where the session has been told of the cell."""
        self._came = True
        if not self._is_early:
            return False
        waiting = self._waiting
        if waiting is not None:
            waiting.get_loop().call_soon_threadsafe(settle, waiting, None)
        return True

    def was_sent(self) -> bool:
        """Note that the session has been told; whether an interrupt came before."""
        self._is_early = False
        return self._came

    def was_not_read(self) -> bool:
        """Note that the session has not read the cell; whether it may be sent again."""
        self._is_early = not self._came
        return self._is_early

    async def wait_for(self, ready: asyncio.Future[None]) -> None:
        """Wait for what a cell needs before it is sent.

        Raises:
            KeyboardInterrupt: the user did not wait for it.
            Exception: that of the future.
        """
        if not ready.done():
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait({ready, self._waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._waiting = None
            if self._came:
                raise KeyboardInterrupt
        ready.result()
