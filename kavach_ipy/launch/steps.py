"""Named steps of the set-up, and what a failure of one does.

Guarantees: an error inside a step becomes a report of the step, the call and the errno.
Assumes: `unwind` is for A, which has to return, and `report_and_leave` for C, which may not.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn

from kavach_ipy.launch.control import Report, send_report
from kavach_ipy.linux import _libc

__all__ = ["Family", "Step", "StepFailed", "report_and_leave", "unwind"]


class Step:
    """One named step: an error inside it becomes a report, for `fail` to act on."""

    def __init__(self, fail: Callable[[Report], None]) -> None:
        self._fail = fail
        self._name = ""

    def __call__(self, name: str) -> Step:
        """Name the step that begins."""
        self._name = name
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, KeyboardInterrupt):
            # An interrupt is for the kernel process, which raises it where its user can see it.
            return
        call, number, detail = type(error).__name__, 0, str(error)
        if isinstance(error, _libc.SyscallError):
            call, number, detail = error.call, error.errno or 0, error.arguments
        elif isinstance(error, OSError):
            call, number, detail = "open", error.errno or 0, str(error.filename or "")
        self._fail(Report("failed", self._name, call, number, detail))


class StepFailed(BaseException):
    """Unwinds A to `set_up`; nobody else ever sees it."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.step)
        self.report = report


def unwind(report: Report) -> None:
    """Leave the recipe of A by an exception, for `set_up` to report."""
    raise StepFailed(report)


@dataclass(slots=True)
class Family:
    """A's children, who may not outlive its failure."""

    init: int = 0

    def end(self) -> None:
        """Kill init, which kills every member of its namespace, and wait until all are gone.

        SIGCHLD is ignored here, so the kernel reaps them, and waitpid(2) answers ECHILD then.
        """
        if self.init:
            with suppress(OSError):
                os.kill(self.init, signal.SIGKILL)
                os.waitpid(-1, 0)


def report_and_leave(control: socket.socket, report: Report) -> NoReturn:
    """Report, and end this process."""
    with suppress(OSError):
        send_report(control, report)
    os._exit(1)
