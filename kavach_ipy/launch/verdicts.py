"""Why a cell was stopped, in words: the limit, the amount used, the option that raises it.

Guarantees: pure; every verdict names its limit and, where an option raises it, the option.
"""

from __future__ import annotations

import os
import signal

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch.plan import largest_file
from kavach_ipy.policy import Policy, format_duration, format_size

__all__ = [
    "asked_too_often",
    "broken_wire",
    "ended",
    "gone",
    "in_session",
    "interrupted",
    "interrupted_twice",
    "not_undone",
    "out_of_cpu",
    "out_of_file_size",
    "out_of_memory",
    "out_of_messages",
    "out_of_output",
    "out_of_time",
    "restored",
    "stopped_by_status",
    "touched_program",
]

_UNTOUCHED = "The notebook is untouched."
_GONE = "Its variables are gone; the notebook's are untouched."
_WHY: dict[int, str] = {
    signal.SIGSEGV: "Native code touched memory it does not have; the notebook is untouched.",
    signal.SIGKILL: "The kernel's memory killer, or somebody, ended it.",
    signal.SIGSYS: "It made a system call of a foreign architecture.",
    signal.SIGBUS: "It touched a page of a mapped file that is not there: the file is shorter, or "
    "the scratch space is full; raise that with --disk.",
}


def out_of_time(policy: Policy, seconds: float) -> CellStopped:
    """Say that the wall-clock limit was reached."""
    allowed = "" if policy.timeout is None else format_duration(policy.timeout)
    return CellStopped("timeout", f"{seconds:.1f} s", allowed, "Raise it with --timeout.")


def out_of_memory(policy: Policy, used: int) -> CellStopped:
    """Say that the whole tree of processes took too much new memory; `used` in bytes."""
    return CellStopped(
        "memory",
        f"{format_size(used >> 10 << 10)} of new memory",
        format_size(policy.memory),
        "Raise it with --memory.",
    )


def out_of_cpu(policy: Policy, seconds: float | None) -> CellStopped:
    """Say that processor time was used up; None where the kernel saw it, in one process."""
    used = "its processor time was used up"
    if seconds is not None:
        used = f"{seconds:.1f} s of processor time"
    return CellStopped("cpu", used, format_duration(policy.cpu), "Raise it with --cpu.")


def out_of_file_size(policy: Policy) -> CellStopped:
    """Say that one file grew too large: setrlimit(2), RLIMIT_FSIZE."""
    allowed = format_size(largest_file(policy))
    return CellStopped("disk", f"more than {allowed} in one file", allowed, "Raise it with --disk.")


def out_of_output(policy: Policy) -> CellStopped:
    """Say that more was printed or displayed than is allowed."""
    allowed = format_size(policy.output)
    return CellStopped(
        "output", f"more than {allowed} printed or displayed", allowed, "Raise it with --output."
    )


def out_of_messages(policy: Policy, count: int) -> CellStopped:
    """Say that there were too many displays."""
    return CellStopped(
        "messages",
        f"{count} output messages",
        str(policy.messages),
        "Display less often, or raise c.Kavach.messages.",
    )


def asked_too_often(most: int) -> CellStopped:
    """Say that the cell asked again and again; no option allows more."""
    return CellStopped("questions", f"it asked more than {most} times", str(most), _UNTOUCHED)


def interrupted() -> CellStopped:
    """Say that the user interrupted once and was not obeyed."""
    return CellStopped(
        "interrupt",
        "it was interrupted, and did not end within two seconds",
        "",
        _GONE,
    )


def interrupted_twice() -> CellStopped:
    """Say that the user interrupted twice."""
    return CellStopped("interrupt", "it was interrupted twice", "", _GONE)


def gone() -> CellStopped:
    """Say that a session had ended before the cell came."""
    return CellStopped("session", "its process had ended before this cell, which did not run")


def ended() -> CellStopped:
    """Say that a session was ended from outside."""
    return CellStopped("session", "it was ended")


def in_session(name: str, stopped: CellStopped) -> CellStopped:
    """Add what the end of a cell means for the session that it ran in.

    Args:
        name: of the session; empty where the notebook has one for all of its cells.
        stopped: why the cell ended.
    """
    remedy = (
        f"{stopped.remedy.replace(_GONE, '')} The session{_called(name)} has ended with it: its"
        " variables are gone, and the next cell begins a new one."
    )
    return CellStopped(stopped.limit, stopped.used, stopped.allowed, remedy.strip())


def restored(name: str, stopped: CellStopped) -> CellStopped:
    """Add what the end of a cell means for a session that goes on with what was before it.

    Args:
        name: as for `in_session`.
        stopped: why the cell ended.
    """
    remedy = (
        f"{stopped.remedy.replace(_GONE, '')} The session{_called(name)} is back at what it was"
        " before this cell: its variables and imports are kept; gone are what the cell did to them,"
        " every process of the session and its open connections. Files stay as the cell left them."
    )
    return CellStopped(stopped.limit, stopped.used, stopped.allowed, remedy.strip())


def _called(name: str) -> str:
    return f" {name!r}" if name else ""


def not_undone() -> CellStopped:
    """Say that a cell was to be thrown away, and what was before it is not there any more."""
    return CellStopped("session", "what it did could not be undone: its checkpoint is gone")


def broken_wire(detail: str) -> CellStopped:
    """Say that the cell's process sent what no honest one sends."""
    return CellStopped("protocol", detail, "", "Its output so far was kept.")


def touched_program() -> CellStopped:
    """Say that the interpreter's own file, the one of the host's within reach, was changed."""
    return CellStopped(
        "program",
        "mode, group, time or attributes of the Python interpreter's own file were changed",
        "",
        "They were put back. An interpreter that another user owns is out of a cell's reach.",
    )


def stopped_by_status(policy: Policy, status: int | None) -> CellStopped:
    """Put a wait status into words: wait(2); None where another waiter took it."""
    if status is None:
        return CellStopped("exit", "its status was taken by another waiter", "", _UNTOUCHED)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return out_of_cpu(policy, None)
        if number == signal.SIGXFSZ:
            return out_of_file_size(policy)
        name = signal.Signals(number).name if number in signal.valid_signals() else str(number)
        why = _WHY.get(number, _UNTOUCHED)
        return CellStopped("signal", f"{name} ({signal.strsignal(number)})", "", why)
    code = os.WEXITSTATUS(status)
    return CellStopped(
        "exit", f"the process ended by itself with status {code}", "", "Nothing came back."
    )
