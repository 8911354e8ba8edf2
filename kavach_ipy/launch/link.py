"""The cell's side of the channel: what a body may say once it runs.

Guarantees: a frame is written whole, whichever thread writes it and whenever it is interrupted; a
process that the cell forked never writes into its parent's frames.
Assumes: the channel is ours alone, and the parent reads.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import assert_never

from kavach_ipy.errors import ProtocolError
from kavach_ipy.policy import Policy
from kavach_ipy.wire.arena import ArenaWriter
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Decoder, Frame, encode, read_frame, write_frame
from kavach_ipy.wire.messages import (
    Answer,
    Failure,
    MessageType,
    done_frame,
    go_frame,
    input_frame,
    message_frame,
    read_answer,
    ready_frame,
)
from kavach_ipy.wire.values import encode_value, unsent_frame

__all__ = ["GO", "INTERRUPTED", "READY", "Body", "ChildLink"]

# The two frames of the handshake never differ, so they are made once, before any fork.
READY = b"".join(encode(ready_frame()))
GO = b"".join(encode(go_frame()))

INTERRUPTED = Failure("KeyboardInterrupt", "", ("KeyboardInterrupt",), ())
"""How a cell ends whose interrupt came before its first line, or after its last."""


class ChildLink:
    """Frames out, answers in. Made in the child, after the fork."""

    def __init__(
        self, channel: int, arena: ArenaWriter, names: frozenset[str], policy: Policy
    ) -> None:
        self._channel = channel
        self._arena = arena
        self._decoder = Decoder()
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._writing = False
        self._heeds_interrupts = False
        self._interrupted = False
        self._is_resting = False
        self._socket: socket.socket | None = None
        self.names = names
        """The names that were asked for."""

        self.policy = policy
        """For the words of an error that comes from one of its limits."""

    @property
    def channel(self) -> socket.socket:
        """The channel, for what is no frame: a cell that arrives with descriptors."""
        if self._socket is None:
            # With its kind given, no system call is made.
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, self._channel)
        return self._socket

    def begin(self, arena: int, names: frozenset[str]) -> None:
        """Begin a cell of a sandbox that takes several.

        Args:
            arena: a descriptor of the memory for this cell's values; -1 where there is none.
            names: what it is asked for.
        """
        self._arena = ArenaWriter(arena, self.policy.memory)
        self.names = names
        self._is_resting = False

    def say_ready(self) -> None:
        """Say that set-up is finished; the parent begins to verify."""
        os.write(self._channel, READY)

    def await_go(self) -> None:
        """Wait for the parent's word, and leave when it never comes."""
        if os.read(self._channel, len(GO)) != GO:
            os._exit(1)

    def message(
        self,
        msg_type: MessageType,
        content: dict[str, Json],
        metadata: dict[str, Json] | None = None,
        buffers: Sequence[bytes | memoryview] = (),
    ) -> None:
        """Send one Jupyter message: the messaging protocol, "Messages on the IOPub channel"."""
        if not self._is_owner():
            self._from_a_fork(msg_type, content)
            return
        self._write(message_frame(msg_type, content, metadata, tuple(buffers)))

    def value(self, name: str, value: object) -> None:
        """Encode and send one value; what cannot be encoded is sent as its type and reason."""
        if self._is_owner():
            self._write(encode_value(name, value, self._arena, is_stock=self.policy.trust))

    def unsent(self, name: str, kind: str, reason: str) -> None:
        """Say that a name will not come, and why."""
        if self._is_owner():
            self._write(unsent_frame(name, kind, reason))

    def ask(self, prompt: str, *, password: bool) -> str:
        """Ask the user for a line.

        Raises:
            EOFError: input is off, or the parent has gone.
        """
        if not self._is_owner():
            raise EOFError("a process that the cell forked cannot ask the user.")
        with self._lock:
            if self._is_resting:
                # The next that arrives is a cell, which only its taker can read.
                raise EOFError("the cell is over, and nobody is asked any more.")
            self._write(input_frame(prompt, is_password=password))
            try:
                frame = read_frame(self._channel, self._decoder)
            except ProtocolError as error:
                raise EOFError(str(error)) from error
            answer = Answer("", "eof") if frame is None else read_answer(frame)
        match answer.status:
            case "ok":
                return answer.text
            case "interrupted":
                raise KeyboardInterrupt
            case "eof":
                msg = "input() is off in a sandboxed cell: nobody could tell who asks."
                raise EOFError(msg)
            case _:
                assert_never(answer.status)

    def done(self, failure: Failure | None) -> None:
        """Say that the cell is over. Nothing may be sent after it."""
        if self._is_owner():
            self._arena.finish()
            with self._lock:
                self._is_resting = True
                self._write(done_frame(failure))
            # An interrupt that was not heeded was this cell's, and not the next one's.
            self._interrupted = False

    def heed_interrupts(self) -> None:
        """Let SIGINT raise from here on, where somebody catches it; one that came raises now."""
        self._heeds_interrupts = True
        self._raise_if_interrupted()

    def put_interrupts_off(self) -> None:
        """Let SIGINT raise no more: what is left is to say how the cell ended."""
        self._heeds_interrupts = False

    def on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGINT: raise KeyboardInterrupt, but never in the middle of a frame."""
        if self._writing or not self._heeds_interrupts:
            self._interrupted = True
            return
        signal.default_int_handler(number, frame)

    def _write(self, frame: Frame) -> None:
        with self._lock:
            # Only the main thread runs signal handlers, but a handler that raises there while
            # this frame is half out would break the stream for good.
            self._writing = threading.current_thread() is threading.main_thread()
            try:
                write_frame(self._channel, frame)
            finally:
                self._writing = False
        if self._heeds_interrupts:
            self._raise_if_interrupted()

    def _raise_if_interrupted(self) -> None:
        if self._interrupted and threading.current_thread() is threading.main_thread():
            self._interrupted = False
            raise KeyboardInterrupt

    def _is_owner(self) -> bool:
        """Tell the cell from a process that it forked, which has no results of its own."""
        return os.getpid() == self._owner

    def _from_a_fork(self, msg_type: str, content: dict[str, Json]) -> None:
        """Let text of a forked process of the cell go by its standard streams; drop the rest.

        Two processes writing frames to one stream would tear them.
        """
        text = content.get("text")
        if msg_type == "stream" and isinstance(text, str):
            data = text.encode("utf-8", "replace")
            os.write(2 if content.get("name") == "stderr" else 1, data)


Body = Callable[[ChildLink], Callable[[], None]]
"""Prepares the child, and returns what runs the cell; when that returns, the child leaves.

It is called while the parent verifies, before "go": nothing of the cell may run in it, and it may
open no descriptor and start no thread, or the verification fails. What it returns is called after.
"""
