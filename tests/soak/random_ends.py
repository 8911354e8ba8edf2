"""Cells that are killed at random moments of their set-up and of their run.

::

    runner ── kernel (K) ─┬─ A      the set-up, in K's own memory (docs/decisions/0008)
                          ├─ init   process 1 of the cell's namespace
                          └─ cell   process 2 of it

Guarantees: after each end, however it came, no process is left, the kernel has what it had before,
and the next cell runs, in the same kernel where that lives.
Assumes: called in a process that adopted orphans; the victims are this process's descendants alone.
"""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

from tests.contract.cells import children, descendants
from tests.kernel.kernels import Kernel
from tests.soak.census import Census, take_census, wait_for_no_leftovers
from tests.soak.kernel import rest, soaked_kernel
from tests.soak.mixture import TOKEN

__all__ = ["VICTIMS", "random_ends"]

VICTIMS = ("interrupt", "cell", "init", "A", "kernel")
"""Who is hit: the kernel by SIGINT as a front end does, everybody else by SIGKILL."""

_CELLS = {
    "short": "%%sandbox -o x\nx = list(range(1000))\nprint('ran')",
    "busy": "%%sandbox --timeout 20s\nprint('runs', flush=True)\nwhile True: pass",
    "family": "%%sandbox --timeout 20s\nimport os, subprocess\n"
    "subprocess.Popen(['sleep', '600'], start_new_session=True)\nos.fork()\nwhile True: pass",
    "printing": "%%sandbox --timeout 20s --output 64M\nwhile True: print('x' * 1000)",
    "value": "%%sandbox -o x\nimport numpy\nx = numpy.ones(4_000_000)",
    "frames": "%%sandbox --timeout 20s\nfrom IPython.display import display\n"
    "while True: display('x')",
}
# From the request, or from the victim's appearance: a set-up takes 20 ms, and A's part of it 5.
_MOMENTS = {"A": (0.005, 0.005), "cell": (0.015, 0.3), "init": (0.015, 0.3)}
_OWN_MOMENTS = (0.06, 0.3)
_APPEAR_SECONDS = 0.3
_ANSWER_SECONDS = 40.0
_RESTART_SECONDS = 8.0
"""When the user of a kernel whose A was killed loses patience."""

_GONE_SECONDS = 10.0
_AGAIN_SECONDS = 1.0
_LOST_SECONDS = 2.0


@dataclass
class _Round:
    """The kernel that lives at the moment, and what it had when it was new."""

    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    number: int = 0
    lost: int = 0

    def renew(self) -> None:
        """Start a kernel, and run one cell in it."""
        self.stack.close()
        self.number += 1
        where = self.folder / f"kernel-{self.number}"
        self.kernel, self.places = self.stack.enter_context(soaked_kernel(where))
        self.pid = int(self.kernel.value("__import__('os').getpid()"))
        self.first = self.look()

    def look(self) -> Census:
        """Count when the kernel is idle."""
        return take_census(self.pid, self.places, TOKEN)


def random_ends(
    cells: int,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
    victims: tuple[str, ...] = VICTIMS,
) -> list[str]:
    """Kill `cells` cells and say what did not hold.

    Args:
        cells: how many.
        seed: for cells, victims and moments; the machine's own pace is not repeated by it.
        folder: for the kernels' files.
        say: takes lines of progress.
        victims: who is hit, in turn.
    """
    draw = random.Random(seed)
    wrong: list[str] = []
    met: Counter[str] = Counter()
    current = _Round(folder)
    with current.stack:
        current.renew()
        for number in range(cells):
            victim = victims[number % len(victims)]
            name = draw.choice(sorted(_CELLS))
            moment = draw.uniform(0, draw.choice(_MOMENTS.get(victim, _OWN_MOMENTS)))
            about = f"{victim} at {moment * 1e3:.1f} ms of {name} (number {number})"
            hit, found = _one(current, victim, name, moment)
            met[f"{victim} {'hit' if hit else 'missed'}"] += 1
            for text in found:
                wrong.append(f"{about}: {text}")
                say(f"  wrong: {wrong[-1]}")
            if (number + 1) % max(1, cells // 10) == 0:
                say(f"  {number + 1} of {cells} killed, {len(wrong)} wrong")
    say(f"  {', '.join(f'{name} {count}' for name, count in sorted(met.items()))}")
    say(f"  kernels used: {current.number}; lost by the death of A: {current.lost}")
    return wrong


def _one(current: _Round, victim: str, name: str, moment: float) -> tuple[bool, list[str]]:
    """Run one cell, hit, and look at what is left; whether somebody was hit, and what is wrong."""
    kernel, pid = current.kernel, current.pid
    request = kernel.start(_CELLS[name])
    hit = _hit(kernel, pid, victim, moment)
    if hit and victim == "kernel":
        return True, _after_the_kernel(current)
    # A cell that nobody hit, as it was over or not yet there, ends as a user would end it.
    seconds = _RESTART_SECONDS if victim == "A" else _ANSWER_SECONDS
    answered = _await_reply(kernel, pid, request, seconds)
    if not answered:
        return hit, _lost(current, victim, f"no reply within {seconds:.0f} s")
    left = wait_for_no_leftovers(pid, _GONE_SECONDS)
    wrong = [f"left behind: {left}"] if left else []
    try:
        following = kernel.run("%%sandbox -o x\nx = 6 * 7\nx")
        changes = _settled_changes(current)
    except AssertionError as silence:
        return hit, wrong + _lost(current, victim, f"the next cell: {silence}")
    if following.status != "ok" or following.result["data"]["text/plain"] != "42":
        wrong.append(f"the next cell: {following}"[:500])
    if changes:
        wrong += changes
        current.renew()
    return hit, wrong


def _lost(current: _Round, victim: str, why: str) -> list[str]:
    """The kernel is dead or silent, which only the death of A excuses: docs/decisions/0008.

    Who kills A stops an interpreter in the middle of a call, which may not survive that. Its user
    restarts it then.
    """
    wrong = (
        [] if victim == "A" else [f"{why}; the kernel {'lives' if _lives(current.pid) else 'died'}"]
    )
    current.lost += 1
    with suppress(ProcessLookupError):
        os.kill(current.pid, signal.SIGKILL)
    return wrong + _after_the_kernel(current)


def _hit(kernel: Kernel, pid: int, victim: str, moment: float) -> bool:
    """Wait until the victim exists and then for the moment, and send the signal."""
    if victim in ("interrupt", "kernel"):
        _pass(moment)
        if victim == "interrupt":
            kernel.manager.interrupt_kernel()
        else:
            os.kill(pid, signal.SIGKILL)
        return True
    deadline = time.monotonic() + _APPEAR_SECONDS
    while time.monotonic() < deadline:
        for child in children(pid):
            with suppress(ProcessLookupError):
                if _role(child) == victim:
                    fd = os.pidfd_open(child)
                    try:
                        _pass(moment)
                        signal.pidfd_send_signal(fd, signal.SIGKILL)
                    finally:
                        os.close(fd)
                    return True
    return False


def _pass(seconds: float) -> None:
    """Let time pass: the moments that are meant lie between events that nobody announces."""
    select.select([], [], [], seconds)


def _role(pid: int) -> str:
    """What a child of the kernel is, by its numbers in the PID namespaces that it is in."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("NSpid:"):
                inner = line.split()[2:]
                return {(): "A", ("1",): "init", ("2",): "cell"}.get(tuple(inner), "")
    return ""


def _await_reply(kernel: Kernel, pid: int, request: str, seconds: float) -> bool:
    """Drain what the cell says until its reply, interrupting it again and again."""
    deadline = time.monotonic() + seconds
    again = time.monotonic() + _AGAIN_SECONDS
    while time.monotonic() < deadline:
        if not _lives(pid):
            return False
        with suppress(Empty):
            message = kernel.client.get_iopub_msg(timeout=0.2)
            is_idle = message["content"].get("execution_state") == "idle"
            if is_idle and message["parent_header"].get("msg_id") == request:
                break
        if time.monotonic() > again:
            kernel.manager.interrupt_kernel()
            again = time.monotonic() + _AGAIN_SECONDS
    else:
        return False
    # ipykernel loses the reply, of plain cells as well, where SIGINT reaches its own loop after
    # the cell: of 100 plain cells interrupted in their first 3 ms, 49 were idle without a reply.
    # Whether the kernel is well, the next cell tells.
    patience = time.monotonic() + _LOST_SECONDS
    while time.monotonic() < patience and _lives(pid):
        with suppress(Empty):
            reply = kernel.client.get_shell_msg(timeout=0.2)
            if reply["parent_header"].get("msg_id") == request:
                return True
    return _lives(pid)


def _lives(pid: int) -> bool:
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][:1]
        return state not in ("Z", "X")
    return False


def _after_the_kernel(current: _Round) -> list[str]:
    """The kernel is dead: nobody of its sandboxes may be left, and a new kernel takes over."""
    left = wait_for_no_leftovers(current.pid, _GONE_SECONDS)
    names = sorted(str(path) for place in current.places for path in place.rglob("*"))
    current.renew()
    return [f"left behind: {left}"] * bool(left) + [f"files: {names}"] * bool(names)


def _settled_changes(current: _Round) -> list[str]:
    deadline = time.monotonic() + _AGAIN_SECONDS
    while changes := current.first.changes(current.look()):
        if time.monotonic() > deadline or descendants(current.pid):
            return changes
        rest(current.kernel)
    return []
