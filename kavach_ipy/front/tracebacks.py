"""Errors inside the child: those that the cell goes on after, and the one that ends it.

IPython shows every error by ``_showtraceback``, as soon as it happens. The one that ends the cell
is the notebook's to show, because it also ends the notebook's cell, so it leaves with "done". Every
other (of a formatter, of ``%run``, of ``showtraceback`` that the cell calls) is sent at once.

Guarantees: each error is shown once; no line of it is a frame of this package, also where a thread
raised it.
Assumes: runs in the child, before the cell's first line.
"""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final

from kavach_ipy.wire.messages import Failure

if TYPE_CHECKING:
    from kavach_ipy.front.messages import Sender
    from kavach_ipy.front.shells import Shell

__all__ = ["Recorder", "failure_of", "hide_own_frames", "without_own_lines"]

# A rendered frame that lies in the part of this package that runs inside the child. IPython writes
# a frame as one string that begins with the file's name, with colours in between.
_OURS: Final = re.compile(
    r"(?:\x1b\[[0-9;]*m)*File (?:\x1b\[[0-9;]*m)*\S*/kavach_ipy/(?:front|launch|wire)/"
)


_FILE: Final = re.compile(r"/kavach_ipy/(?:front|launch|wire)/")


class Recorder:
    """Takes the errors that the shell would show; keeps the one that may end the cell."""

    def __init__(self, shell: Shell, sender: Sender) -> None:
        self._shell = shell
        self._sender = sender
        self._kept: tuple[BaseException | None, list[str]] | None = None
        # It is that of the notebook's cell, which runs the magic.
        shell.displayhook.exec_result = None
        shell._showtraceback = self.show_traceback  # noqa: SLF001 - the hook subclasses override
        shell.show_usage_error = self.show_usage_error

    def show_traceback(self, etype: object, evalue: BaseException | None, stb: list[str]) -> None:
        """Stand in for ``InteractiveShell._showtraceback``."""
        del etype
        self._take(evalue, without_own_lines(stb))

    def show_usage_error(self, error: BaseException) -> None:
        """Stand in for ``InteractiveShell.show_usage_error``."""
        self._take(error, [])

    def end(self, error: BaseException, limits: tuple[str, ...]) -> Failure:
        """Return the record of the error that ended the cell; what else was kept is shown."""
        lines: list[str] = []
        if self._kept is not None and self._kept[0] is error:
            lines = self._kept[1]
            self._kept = None
        self.show_kept()
        return failure_of(error, lines, limits)

    def show_kept(self) -> None:
        """Show what turned out to be no end of the cell."""
        if self._kept is not None:
            (error, lines), self._kept = self._kept, None
            self._show(error, lines)

    def _take(self, error: BaseException | None, lines: list[str]) -> None:
        self.show_kept()
        # IPython notes the error that ends a cell before it shows it. Only the parser's it notes
        # after, and then the display hook knows no cell yet.
        running = self._shell.displayhook.exec_result
        if running is None or error is running.error_in_exec or error is running.error_before_exec:
            self._kept = (error, lines)
        else:
            self._show(error, lines)

    def _show(self, error: BaseException | None, lines: list[str]) -> None:
        if lines and error is not None:
            self._sender.error(failure_of(error, lines))
        else:
            self._sender.text("stderr", "\n".join(lines) or f"UsageError: {error}\n")


def without_own_lines(stb: list[str]) -> list[str]:
    """Return a rendered traceback without the frames of this package."""
    return [frame for frame in stb if not _OURS.match(frame)]


def hide_own_frames() -> None:
    """Let Python print tracebacks without the frames of this package, also those of threads."""
    walk = getattr(traceback, "_walk_tb_with_full_positions", None)
    if walk is not None:

        def walk_hidden(tb: TracebackType | None) -> Iterator[tuple[FrameType, object]]:
            for frame, position in walk(tb):
                if not _FILE.search(frame.f_code.co_filename):
                    yield frame, position

        # What ``print_exc`` and logging go by (CPython 3.11 to 3.14); there is no public place.
        vars(traceback)["_walk_tb_with_full_positions"] = walk_hidden
    show = threading.excepthook

    def show_hidden(args: threading.ExceptHookArgs, /) -> None:
        error = args.exc_value
        if error is not None:
            kept = _without_ours(args.exc_traceback)
            error = error.with_traceback(kept)
            args = threading.ExceptHookArgs((args.exc_type, error, kept, args.thread))
        show(args)

    threading.excepthook = show_hidden


def _without_ours(tb: TracebackType | None) -> TracebackType | None:
    frames = []
    while tb is not None:
        if not _FILE.search(tb.tb_frame.f_code.co_filename):
            frames.append(tb)
        tb = tb.tb_next
    kept = None
    for found in reversed(frames):
        kept = TracebackType(kept, found.tb_frame, found.tb_lasti, found.tb_lineno)
    return kept


def failure_of(error: BaseException, lines: list[str], limits: tuple[str, ...] = ()) -> Failure:
    """Return the record of an exception.

    Args:
        error: the exception; its text and notes may be the cell's code.
        lines: the rendered traceback.
        limits: what the sandbox has to say of it, as further notes.
    """
    try:
        text = str(error)
    except Exception as unsayable:  # noqa: BLE001 - __str__ is the cell's
        text = f"<its text cannot be had: {type(unsayable).__name__}>"
    notes = (*(str(note) for note in getattr(error, "__notes__", ()) or ()), *limits)
    return Failure(type(error).__name__, text, tuple(str(line) for line in lines), notes)
