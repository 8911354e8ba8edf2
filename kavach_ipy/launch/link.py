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
from contextlib import suppress
from types import FrameType
from typing import assert_never

from kavach_ipy.errors import ProtocolError
from kavach_ipy.launch.order import mark_of_now
from kavach_ipy.policy import Policy
from kavach_ipy.wire.arena import ArenaWriter
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Decoder, Frame, Kind, encode, read_frame, write_frame
from kavach_ipy.wire.messages import (
    Answer,
    Failure,
    Message,
    MessageType,
    done_frame,
    go_frame,
    input_frame,
    message_frame,
    read_answer,
    ready_frame,
)
from kavach_ipy.wire.service import publish_frame
from kavach_ipy.wire.values import encode_value, unsent_frame

__all__ = ["GO", "INTERRUPTED", "READY", "Body", "ChildLink", "line_of"]

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
        self._is_over = False
        self._heeds_interrupts = False
        self._interrupted = False
        self._interrupts = 0
        self.divert: Callable[[], bool] | None = None
        """What takes an interrupt in place of its being raised; False where it does not."""

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
        self._interrupts = 0
        self._is_over = False

    def adopt(self) -> None:
        """Be this process's link: a snapshot is the session now, and every other writer is dead.

        What was sent to the one before is not for this one.
        """
        self._owner = os.getpid()
        self._lock = threading.RLock()
        with suppress(BlockingIOError):
            # unix(7): descriptors that nobody asks for are closed.
            while self.channel.recv(1 << 16, socket.MSG_DONTWAIT):
                continue

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
        with self._lock:
            mark = mark_of_now()
            self._write(message_frame(msg_type, content, metadata, tuple(buffers), mark))

    def publish(self, parent: str, message: Message) -> None:
        """Send a message of one request, in a session that serves a kernel."""
        if not self._is_owner():
            self._from_a_fork(message.msg_type, message.content)
            return
        with self._lock:
            self._write(publish_frame(parent, message, mark_of_now()))

    def send(self, frame: Frame) -> None:
        """Send a frame that is no output, unless this is a process that the cell forked."""
        if self._is_owner():
            self._write(frame)

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
            EOFError: input is off, nobody can be asked, or the parent has gone.
            KeyboardInterrupt: the user interrupted instead of an answer.
        """
        if not self._is_owner():
            raise EOFError("a process that the cell forked cannot ask the user.")
        with self._lock, _InterruptsAfter():
            if self._is_over:
                # The next that arrives is a cell, which only its taker can read.
                raise EOFError("the cell is over, and nobody is asked any more.")
            question = input_frame(
                prompt,
                is_password=password,
                interrupts=self._interrupts,
                mark=mark_of_now(),
            )
            write_frame(self._channel, question)
            try:
                frame = read_frame(self._channel, self._decoder)
            except ProtocolError as error:
                raise EOFError(str(error)) from error
            answer = Answer("", "eof") if frame is None else read_answer(frame)
        return line_of(answer)

    def done(self, failure: Failure | None) -> None:
        """Say that the cell is over. What threads of it still say stays inside.

        In a session it comes with the next cell.
        """
        if self._is_owner():
            if self.policy.session is None:
                # That of a session is emptied (`Arena.take`), which a seal would forbid.
                self._arena.finish()
            with self._lock:
                self._write(done_frame(failure))
                self._is_over = True
            # An interrupt that was not heeded was this cell's, and not the next one's.
            self._interrupted = False

    def await_end(self) -> None:
        """Wait to be killed, as long as the parent is there.

        A cell that ended by itself would be seen to end by its own processes, and
        multiprocessing's tracker would warn of what the cell has not released.
        """
        if self._is_owner():
            while os.read(self._channel, 1 << 10):
                continue

    def heed_interrupts(self) -> None:
        """Let SIGINT raise from here on, where somebody catches it; one that came raises now."""
        self._heeds_interrupts = True
        self._raise_if_interrupted()

    @property
    def heeds_interrupts(self) -> bool:
        """Whether SIGINT raises."""
        return self._heeds_interrupts

    @property
    def interrupts(self) -> int:
        """How many SIGINT came since the cell, or the request, began."""
        return self._interrupts

    def forget_interrupts(self) -> None:
        """End a request of a session: an interrupt that was not heeded was not for the next."""
        self._interrupts = 0
        self._interrupted = False

    def put_interrupts_off(self) -> None:
        """Let SIGINT raise no more: what is left is to say how the cell ended."""
        self._heeds_interrupts = False

    def on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGINT: raise KeyboardInterrupt, but never in the middle of a frame."""
        self._interrupts += 1
        if self._heeds_interrupts and self.divert is not None and self.divert():
            return
        if self._writing or not self._heeds_interrupts:
            self._interrupted = True
            return
        signal.default_int_handler(number, frame)

    def give_way(self) -> None:
        """Raise KeyboardInterrupt, where one that comes now would be raised; else do nothing."""
        if self._heeds_interrupts and not self._writing:
            raise KeyboardInterrupt

    def _write(self, frame: Frame) -> None:
        with self._lock:
            is_late = frame.kind is Kind.MESSAGE and self.policy.session is not None
            if self._is_over and not is_late:
                return
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


def line_of(answer: Answer) -> str:
    """Return the line that the user gave.

    Raises:
        EOFError: there is none, with the reason.
        KeyboardInterrupt: the user interrupted instead.
    """
    match answer.status:
        case "ok":
            return answer.text
        case "interrupted":
            raise KeyboardInterrupt
        case "eof":
            raise EOFError(answer.text or "EOF when reading a line")
        case _:
            assert_never(answer.status)


class _InterruptsAfter:
    """Puts SIGINT off, whoever handles it, until the block is over.

    A question that was left before its answer came would take it for that of the next. No
    generator: its frames, and contextlib's, would stand in the traceback of the cell.
    """

    def __init__(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        self._handler = signal.getsignal(signal.SIGINT) if is_main else None
        self._came = False

    def __enter__(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        if self._came:
            signal.raise_signal(signal.SIGINT)

    def _note(self, _: int, __: FrameType | None) -> None:
        self._came = True


Body = Callable[[ChildLink], Callable[[], None]]
"""Prepares the child, and returns what runs the cell; when that returns, the child leaves.

It is called while the parent verifies, before "go": nothing of the cell may run in it, and it may
open no descriptor and start no thread, or the verification fails. What it returns is called after.
"""
