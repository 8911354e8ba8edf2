"""What arrives in a session: requests for its loop, and answers for whoever asked.

A cell that asks its user blocks the loop, and may be any thread. So whoever waits for an answer
reads the channel itself, and keeps for the loop what is not for him.

Guarantees: an answer goes to the one question that is under way; no request is lost or comes twice.
Assumes: the other end is the kernel's process, which is trusted.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kavach_ipy.launch.link import line_of
from kavach_ipy.launch.order import mark_of_now
from kavach_ipy.wire.frames import Decoder, Kind
from kavach_ipy.wire.messages import Answer, input_frame, read_answer
from kavach_ipy.wire.service import Request, read_request

if TYPE_CHECKING:
    from kavach_ipy.launch.link import ChildLink

__all__ = ["Inbox"]

_CHUNK: Final = 1 << 18
_LOOK_MILLISECONDS: Final = 50
"""Another thread may have read the answer."""


class Inbox:
    """The reading end of the session's channel."""

    def __init__(self, link: ChildLink) -> None:
        self._link = link
        self._decoder = Decoder()
        self._reading = threading.Lock()
        self._asking = threading.Lock()
        self._requests: deque[Request] = deque()
        self._answers: deque[Answer] = deque()
        self._descriptors: deque[int] = deque()
        self.is_closed = False
        self.on_request: Callable[[], object] = lambda: None
        """Told where a request was read by somebody who waits for an answer."""

    def read(self) -> None:
        """Read what is here, if anything is; never wait."""
        with self._reading:
            channel = self._link.channel
            poll = select.poll()
            poll.register(channel.fileno(), select.POLLIN)
            if not poll.poll(0):
                return
            data, descriptors, _, _ = socket.recv_fds(channel, _CHUNK, 1, socket.MSG_CMSG_CLOEXEC)
            self._descriptors.extend(descriptors)
            self.is_closed = not data
            for frame in self._decoder.feed(data):
                if frame.kind is Kind.ANSWER:
                    self._answers.append(read_answer(frame))
                else:
                    self._requests.append(read_request(frame))

    def take(self) -> list[Request]:
        """Return the requests that have arrived."""
        found = []
        while self._requests:
            found.append(self._requests.popleft())
        return found

    def take_descriptor(self) -> int:
        """Return the descriptor that came along with a request; -1 where none was left for it."""
        return self._descriptors.popleft() if self._descriptors else -1

    def renew(self) -> None:
        """Forget what has arrived: it was for the process that this one was forked from."""
        self._decoder = Decoder()
        self._requests.clear()
        self._answers.clear()
        while self._descriptors:
            os.close(self._descriptors.popleft())

    def ask(self, prompt: str, is_password: bool) -> str:
        """Ask the user for a line.

        Raises:
            EOFError: nobody can be asked, with the reason.
            KeyboardInterrupt: the user interrupted instead of an answer.
        """
        # What was printed before the question is read before it.
        sys.stdout.flush()
        sys.stderr.flush()
        link = self._link
        is_main = threading.current_thread() is threading.main_thread()
        heeds = is_main and link.heeds_interrupts
        with self._asking:
            if heeds:
                # A question that was left before its answer came would take it for the next one's.
                link.put_interrupts_off()
            try:
                link.send(
                    input_frame(
                        prompt,
                        is_password=is_password,
                        interrupts=link.interrupts,
                        mark=mark_of_now(),
                    )
                )
                answer = self._wait()
            finally:
                if heeds:
                    link.heed_interrupts()
        return line_of(answer)

    def _wait(self) -> Answer:
        poll = select.poll()
        poll.register(self._link.channel.fileno(), select.POLLIN)
        while not self._answers:
            if self.is_closed:
                return Answer("", "eof")
            poll.poll(_LOOK_MILLISECONDS)
            self.read()
        if self._requests:
            self.on_request()
        return self._answers.popleft()
