"""Cells as the tests of contract/ and escape/ run them, and a kernel process of their own.

Guarantees: every cell has a timeout and every wait a deadline; `Script` ends and reaps its process.
Assumes: the machine grants every layer; modules that use this are marked with `NEEDS`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from kavach_ipy.errors import CellFailed, CellStopped
from kavach_ipy.gate.display import Shown
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.linux import landlock
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import Sandbox

__all__ = [
    "CHANNEL",
    "DEADLINE",
    "NEEDS",
    "NEEDS_CLOSED_PORTS",
    "ROOT",
    "Ear",
    "Script",
    "children",
    "descendants",
    "failed",
    "program",
    "python",
    "run",
    "stopped",
    "value",
    "wait_for_the_end_of",
]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 30.0
NEEDS = pytest.mark.needs("userns", "seccomp", "landlock", "overlay")

CHANNEL = """
import json, os, struct
def _is_socket(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except FileNotFoundError:  # the descriptor of the listing itself
        return False
(channel,) = (int(number) for number in os.listdir("/proc/self/fd") if _is_socket(number))
MESSAGE, VALUE, DONE = 3, 4, 8
def frame(kind, body, *buffers):
    data = json.dumps(body).encode()
    lengths = [len(buffer) for buffer in buffers]
    head = struct.pack("<4sBBHI", b"kvch", 1, kind, len(buffers), len(data))
    return b"".join((head, struct.pack(f"<{len(lengths)}Q", *lengths), data, *buffers))
def stream(text):
    content = {"name": "stdout", "text": text}
    body = {"type": "stream", "content": content, "metadata": {}, "mark": [0, 0, 0, 0]}
    return frame(MESSAGE, body)
def send(data):
    while data:
        data = data[os.write(channel, data):]
"""
"""Code for a hostile cell: its own channel, and frames made by hand."""


def run(
    code: str,
    *,
    inputs: Mapping[str, object] | None = None,
    out: Sequence[str] = (),
    **policy: Any,
) -> Outcome:
    """Run a cell under the default policy, changed as given."""
    allowed = Policy.from_mapping({"timeout": DEADLINE, **policy})
    return Sandbox(allowed).run(textwrap.dedent(code), inputs=inputs, out=out)


def value(code: str, *, inputs: Mapping[str, object] | None = None, **policy: Any) -> Any:
    """Run a cell that must come to its end, and return its last expression's value."""
    return run(code, inputs=inputs, **policy).check().result


def failed(code: str, **policy: Any) -> CellFailed:
    """Run a cell that must raise, and return what it raised."""
    failure = run(code, **policy).failure
    assert isinstance(failure, CellFailed), failure
    return failure


def stopped(code: str, **policy: Any) -> CellStopped:
    """Run a cell that the sandbox must end, and return why."""
    failure = run(code, **policy).failure
    assert isinstance(failure, CellStopped), failure
    return failure


class Ear:
    """A sink that keeps what it hears and calls `at_text` with each piece of text, live."""

    def __init__(self) -> None:
        self.heard = ""

    def at_text(self, text: str) -> None:
        """Take text while the cell runs; for the test to override."""

    def stream(self, name: str, text: str) -> None:
        """Take text that was printed."""
        self.heard += text
        self.at_text(text)

    def show(self, shown: Shown) -> None:
        """Take no notice of what was displayed."""

    def error(self, failure: CellFailed) -> None:
        """Take no notice of what the cell went on after."""

    def ask(self, prompt: str, *, password: bool) -> str:
        """Have nobody there to answer."""
        raise EOFError


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter that finds kavach_ipy, without any sandbox."""
    return program(sys.executable, "-c", textwrap.dedent(code), *arguments, **environment)


NEEDS_CLOSED_PORTS = pytest.mark.skipif(
    landlock.abi() < landlock.PORTS_SINCE, reason="Landlock closes ports since ABI 4, Linux 6.7"
)


def program(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a Python that it starts finds kavach_ipy."""
    return subprocess.run(
        command,
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )


class Script:
    """A running Python script; a stand-in for the kernel, to be interrupted and killed."""

    def __init__(self, code: str, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # SIGINT of a terminal reaches the whole group, and must not reach the tests.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.said = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, word: bytes) -> None:
        """Wait until the script has printed `word`."""
        while word not in self.said:
            assert self._read(), f"the script ended: {self.said.decode()}"

    def rest(self) -> str:
        """Wait for the end of the script; all that it printed."""
        while self._read():
            pass
        self._process.wait(DEADLINE)
        return self.said.decode()

    def signal(self, number: int) -> None:
        """Send a signal to the script alone."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the script as no handler can prevent, and reap it."""
        self._process.kill()
        self._process.wait(DEADLINE)

    def _read(self) -> bool:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        ready, _, _ = select.select([fd], [], [], DEADLINE)
        assert ready, f"the script said nothing for {DEADLINE} s after {self.said.decode()}"
        data = os.read(fd, 1 << 16)
        self.said += data
        return bool(data)


def children(pid: int) -> list[int]:
    """The children of all threads of a process: proc(5) children."""
    found: list[int] = []
    # proc(5): a process that has ended is not found, or, between open(2) and read(2), ESRCH.
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
            found.extend(int(child) for child in text.split())
    return found


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    direct = children(pid)
    return direct + [below for child in direct for below in descendants(child)]


def wait_for_the_end_of(pidfds: Sequence[int], seconds: float = 10.0) -> None:
    """Wait until all these processes have ended; a pidfd polls as readable then."""
    limit = time.monotonic() + seconds
    for fd in pidfds:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        left = max(0.0, limit - time.monotonic())
        ended = poll.poll(left * 1000)
        if not ended:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        os.close(fd)
        assert ended, f"a process still lived after {seconds} s"


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return inherited | {"PYTHONPATH": str(ROOT)} | dict(changes)


def shared_memory() -> int:
    """Bytes in files without a file system, of the whole machine: proc(5), Shmem."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    (kib,) = [line.split()[1] for line in lines if line.startswith("Shmem:")]
    return int(kib) * 1024


def wait_for_shared_memory(most: int) -> None:
    """Wait until there is no more of it: other programs have some, too, for a while."""
    deadline = time.monotonic() + DEADLINE
    while (found := shared_memory()) > most:
        assert time.monotonic() < deadline, f"{found - most} bytes too many"
        select.select((), (), (), 0.05)
