"""One line of how long a cell runs and what it uses, gone when the cell is over.

In a notebook it is a display that is updated in place, and emptied at the end. In a terminal it is
the last line, written over itself, and taken away before the cell's own text. Where nobody looks
there is none: an executed notebook file keeps what was displayed, and so does a capture.

Guarantees: the numbers come from outside the cell; nothing of the cell's output is moved, cleared
or captured together with the line.
Assumes: called by the thread that runs the cell, as its sink is.
"""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from IPython.core.displaypub import CapturingDisplayPublisher

from kavach_ipy.policy import format_duration

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

__all__ = ["AFTER", "Progress", "progress_for"]

AFTER: Final = 2.0
"""Seconds that a cell may run before the line appears."""

_EVERY: Final = 0.5
_MIB: Final = 1 << 20
_ECHO: Final = "^C"
"""What a terminal shows of an interrupt, behind whatever stands there (termios(3), ECHOCTL)."""


class _Line(Protocol):
    """Where the line is shown."""

    def write(self, text: str) -> None:
        """Show the line, or another in its place."""

    def make_room(self, text: str) -> None:
        """Let output of the cell come; a text, or something else that ends its line."""

    def end(self) -> None:
        """Leave nothing of it."""


class Progress:
    """The line of one cell."""

    def __init__(self, line: _Line | None, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing shown; where there is no line, nothing ever is."""
        self._line = line
        self._now = now
        self._next = 0.0

    @property
    def is_shown(self) -> bool:
        """Whether there is a place for the line."""
        return self._line is not None

    def used(self, seconds: float, memory: int, processes: int) -> None:
        """Take what the watch saw.

        Args:
            seconds: since the cell began.
            memory: bytes of new memory.
            processes: how many live.
        """
        now = self._now()
        if self._line is None or seconds < AFTER or now < self._next:
            return
        self._next = now + _EVERY
        many = "1 process" if processes == 1 else f"{processes} processes"
        self._line.write(
            f"[sandbox] running for {format_duration(int(seconds))},"
            f" {memory // _MIB}MiB of new memory, {many}"
        )

    def make_room(self, text: str = "\n") -> None:
        """Let the cell's own output have the place; ``text`` tells where that leaves the cursor."""
        if self._line is not None and text:
            self._line.make_room(text)

    def end(self) -> None:
        """Be gone."""
        if self._line is not None:
            self._line.end()
            self._line = None


def progress_for(shell: Shell) -> Progress:
    """Return the progress of a cell that ``shell`` runs, silent where nobody would look at it."""
    kernel = getattr(shell, "kernel", None)
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        return Progress(None)
    if kernel is None:
        stream = sys.stdout
        return Progress(_TerminalLine(stream) if stream.isatty() else None)
    # A client that executes notebooks (nbclient) lets nobody be asked, and keeps what is displayed.
    return Progress(_DisplayLine(shell) if kernel._allow_stdin else None)  # noqa: SLF001


class _DisplayLine:
    """A display that is updated, and at last has nothing in it."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._id = ""

    def write(self, text: str) -> None:
        self._publish({"text/plain": text})

    def make_room(self, text: str) -> None:
        """Stay: output of the cell goes below."""

    def end(self) -> None:
        if self._id:
            # Not clear_output, which takes the cell's own output along.
            self._publish({})

    def _publish(self, data: dict[str, str]) -> None:
        is_update = bool(self._id)
        self._id = self._id or uuid.uuid4().hex
        self._shell.display_pub.publish(
            data=data, metadata={}, transient={"display_id": self._id}, update=is_update
        )


class _TerminalLine:
    """The last line of a terminal, written over itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0
        self._is_free = True

    def write(self, text: str) -> None:
        if self._is_free:
            # A line that is too long would begin a second one, which nothing takes away.
            text = text[: shutil.get_terminal_size().columns - 1 - len(_ECHO)]
            self._stream.write(f"\r{text.ljust(self._width)}")
            self._stream.flush()
            self._width = max(self._width, len(text))

    def make_room(self, text: str) -> None:
        self.end()
        # In the middle of a line of the cell's there is no place for one of ours.
        self._is_free = text.endswith("\n")

    def end(self) -> None:
        if self._width:
            self._stream.write(f"\r{' ' * (self._width + len(_ECHO))}\r")
            self._stream.flush()
            self._width = 0
