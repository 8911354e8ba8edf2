"""The cell's standard streams in the child: pieces of text gathered into few messages.

A kernel's stream objects send their text from a thread that a fork leaves behind. They are kept
(loggers hold them, and people test for their class) and given a `Relay` in that thread's place.

Guarantees: text reaches the parent at the latest `DELAY` seconds after it was written, in order,
in pieces that fit a frame; a process that the cell forks never repeats text that its parent wrote.
Assumes: called in the child before the cell runs, while it has a single thread.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from kavach_ipy.front.shells import OutStream
from kavach_ipy.launch.checkpoints import OWN_THREAD

__all__ = ["DELAY", "LinkStream", "Name", "Relay", "SendText", "repair_outstream", "send_pieces"]

Name = Literal["stdout", "stderr"]
SendText = Callable[[Name, str], None]

DELAY: Final = 0.1
"""Seconds for which text may wait for more. ipykernel waits 0.2."""

# A character takes at most 12 bytes in an ASCII frame (a surrogate pair, escaped), and a frame's
# body may have 8 MiB (wire.frames.FrameLimits).
_PIECE: Final = 1 << 18


class Relay:
    """Stands in for the kernel's IOPub thread: runs at once, or a little later in one thread."""

    thread = None
    """``OutStream.flush`` hands its work to this thread where there is one; here it does it."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []
        self._wake = threading.Event()
        self._owner = 0

    def schedule(self, work: Callable[[], None]) -> None:
        """Run ``work`` now."""
        work()

    def call_later(self, delay: float, work: Callable[[], None]) -> None:
        """Run ``work`` within `DELAY` seconds, whatever longer delay was asked for."""
        self._due.append(work)
        if self._owner != os.getpid():
            # Also after the cell forked: threads are not inherited.
            self._owner, self._wake = os.getpid(), threading.Event()
            thread = threading.Thread(
                target=self._run, args=(min(delay, DELAY),), name=OWN_THREAD, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                # RLIMIT_NPROC or RLIMIT_AS allows no further thread: send piece by piece.
                self._owner = 0
                self._run_due()
                return
        self._wake.set()

    def _run(self, delay: float) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            time.sleep(delay)
            self._run_due()

    def _run_due(self) -> None:
        while self._due:
            self._due.pop(0)()


class LinkStream(io.TextIOBase):
    """A standard stream that is no kernel's: in a terminal, or where a stream was captured."""

    def __init__(self, name: Name, send: SendText, relay: Relay, like: object) -> None:
        self._stream_name: Name = name
        self._send = send
        self._relay = relay
        self._isatty = bool(getattr(like, "isatty", bool)())
        self._lock = threading.RLock()
        self._parts: list[str] = []
        _flush_around_forks(self.flush, self._renew_lock)

    @property
    def name(self) -> str:
        """``stdout`` or ``stderr``."""
        return self._stream_name

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What the parent reads."""
        return "utf-8"

    def fileno(self) -> int:
        """Return the descriptor whose text arrives in the same place."""
        return 1 if self._stream_name == "stdout" else 2

    def isatty(self) -> bool:
        """Tell whether colours make sense, as the stream it stands for says."""
        return self._isatty

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Take text; it is sent with what follows shortly."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            is_first = not self._parts
            self._parts.append(text)
        if is_first:
            self._relay.call_later(DELAY, self.flush)
        return len(text)

    def flush(self) -> None:
        """Send what is there."""
        with self._lock:
            text, self._parts = "".join(self._parts), []
            if text:
                self._send(self._stream_name, text)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()


def repair_outstream(stream: OutStream, relay: Relay) -> None:
    """Make a kernel's stream object work in the child, where its thread is gone.

    What it still holds is the notebook's and is flushed: the caller makes sure that this goes
    nowhere.
    """
    stream.pub_thread = relay
    stream._io_loop = relay  # noqa: SLF001 - OutStream looks for call_later here
    stream._master_pid = os.getpid()  # noqa: SLF001 - else each write is a message of its own
    stream._flush_pending = False  # noqa: SLF001 - the thread that would clear it is gone
    stream._subprocess_flush_pending = False  # noqa: SLF001 - same reason
    flush_alone = stream._flush  # noqa: SLF001
    order = threading.RLock()

    def flush_in_order() -> None:
        # In a kernel one thread does every flush. Here the relay's thread and the cell's may meet,
        # and the text that was taken first must be sent first.
        with order:
            flush_alone()

    def renew_locks() -> None:
        # The thread that held them at the fork, if one did, does not exist here.
        nonlocal order
        order = threading.RLock()
        stream._buffer_lock = threading.RLock()  # noqa: SLF001

    stream._flush = flush_in_order  # noqa: SLF001
    stream.write = _quick_write(stream, relay)
    renew_locks()
    stream.flush()
    _flush_around_forks(stream.flush, renew_locks)


def _quick_write(stream: OutStream, relay: Relay) -> Callable[[str], int | None]:
    """Return what ``OutStream.write`` does, made for the one case that nearly every call is.

    ipykernel makes a set of the parent header, all its dates hashed, for each call: two thirds of
    what a call costs. Here it is made once for each header. All else is left to the stream's own.
    """
    write_whole = stream.write
    last: tuple[object, object] = (None, None)

    def write(text: str) -> int | None:
        nonlocal last
        if (
            type(text) is not str
            or stream.echo is not None
            or stream.pub_thread is not relay
            or stream._master_pid != os.getpid()  # noqa: SLF001 - a process that the cell forked
        ):
            return write_whole(text)
        parent = stream.parent_header
        # One object, so that no other thread finds the header of one cell and the key of another.
        known, key = last
        if known is not parent:
            key = frozenset(parent.items())
            last = (parent, key)
        with stream._buffer_lock:  # noqa: SLF001 - as the stream's own does
            stream._buffers[key].write(text)  # noqa: SLF001 - same reason
        if not stream._flush_pending:  # noqa: SLF001 - same reason
            stream._schedule_flush()  # noqa: SLF001 - same reason
        return len(text)

    return write


def send_pieces(send: SendText) -> SendText:
    """Return ``send`` for texts of any length: each call passes on at most one frame's worth."""

    def send_all(name: Name, text: str) -> None:
        for start in range(0, len(text), _PIECE):
            send(name, text[start : start + _PIECE])

    return send_all


def _flush_around_forks(flush: Callable[[], None], renew_lock: Callable[[], None]) -> None:
    def flush_quietly() -> None:
        try:
            flush()
        except Exception as error:  # noqa: BLE001 - an error here would forbid the cell to fork
            sys.__stderr__ and sys.__stderr__.write(f"output was lost: {error}\n")

    # Text that waits here would otherwise be sent twice: by the cell and by what it forks.
    os.register_at_fork(before=flush_quietly, after_in_child=renew_lock)
