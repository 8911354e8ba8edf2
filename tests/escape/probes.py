"""How the attacker's code runs inside and outside, and how the test looks on.

Guarantees: the oracle of a test stands in the test's own process: a fingerprint of files, a
listener, /proc. What the cell says of itself is never the only proof.
A probe that nothing is known to come of proves nothing, so each is seen to succeed without the
sandbox: a test calls `outside`, `looked_at_outside` or `found_in_a_fork` itself, or is named by a
``baseline`` mark, or says in a ``no_baseline`` mark why not (tests/repo/test_threat_model.py).
Assumes: probes touch canaries of the tests alone, so that they are harmless where they succeed.
"""

from __future__ import annotations

import ast
import hashlib
import os
import signal
import stat
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyseccomp

from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.launch.script import script_body
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import FreshTask, Sandbox
from tests.contract.cells import DEADLINE, Ear, Script, children, python, run
from tests.unit.linux.throwaway import forked

__all__ = [
    "CALLS",
    "FIRST",
    "POWERS",
    "SIBLING",
    "attack",
    "fingerprint",
    "found",
    "found_in_a_fork",
    "looked_at",
    "looked_at_outside",
    "number",
    "outside",
]

CALLS = """
import ctypes, errno, os
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    "Make a system call by number; the name of its errno, or 'done'."
    registers = [a if isinstance(a, bytes) else ctypes.c_ulong(a) for a in arguments]
    registers += [ctypes.c_ulong(0)] * (6 - len(registers))
    result = _libc.syscall(ctypes.c_long(number), *registers)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "done"
def attempt(act, *arguments):
    "Call a function; the name of the errno that it fails with, or 'done'."
    try:
        act(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "done"
"""
"""Code for a cell: raw system calls, and errnos by name."""

_UNSHARE, _MOUNT = (
    pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in ("unshare", "mount")
)

POWERS = f"""
def become_root():
    "Have every capability, over namespaces of its own: all kinds but those that wait for a fork."
    uid, gid = os.geteuid(), os.getegid()
    assert call({_UNSHARE}, 0x5E020000) == "done"
    # user_namespaces(7): "deny" comes before a gid_map that is written without CAP_SETGID outside.
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {{uid}} 1"),
                       ("gid_map", f"0 {{gid}} 1")):
        with open(f"/proc/self/{{name}}", "w") as file:
            file.write(text)
become_root()
"""
"""Code for a plain process, before a probe that needs rights: what it may harm is its own."""

FIRST = f"""{POWERS}
# pid_namespaces(7): the next child is process 1; mount_namespaces(7): /proc is private to it.
if call({_UNSHARE}, 0x20000000) == "done" and (first := os.fork()):
    os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
assert call({_MOUNT}, b"proc", b"/proc", b"proc", 0, 0) == "done"
"""
"""Code for a plain process that is to be process 1 as well, with a /proc that shows it."""

SIBLING = """
import os, signal
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"hit\\n"))
# Handlers run in the order of their numbers, so this one comes after every hit so far.
signal.signal(signal.SIGRTMIN, lambda *_: os.write(1, b"asked\\n"))
os.write(1, b"up\\n")
while True:
    signal.pause()
"""

_WAIT = """
import signal as _signal
_signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGUSR1])
print("look", flush=True)
_signal.sigtimedwait([_signal.SIGUSR1], 30)
"""


def number(name: str) -> int:
    """The number of a system call on this machine's architecture."""
    found = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    assert isinstance(found, int)
    return found


def attack(code: str, **policy: Any) -> Outcome:
    """Run hostile code in a cell, whatever becomes of it; the oracle decides."""
    return run(CALLS + textwrap.dedent(code), **policy)


def outside(code: str) -> str:
    """Run the same code in a plain process, where it must succeed; what it printed."""
    done = python(CALLS + textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    return done.stdout


def found_in_a_fork(code: str, inputs: Mapping[str, object] | None = None) -> Any:
    """Run the same code in a plain fork of this process; the value of its last expression."""
    body = ast.parse(CALLS + textwrap.dedent(code))
    last = body.body[-1]
    if isinstance(last, ast.Expr):
        target = ast.Name("_last", ast.Store())
        body.body[-1] = ast.fix_missing_locations(ast.Assign([target], last.value, lineno=1))

    def act() -> object:
        names: dict[str, Any] = dict(inputs or {})
        exec(compile(body, "<fork>", "exec"), names)
        return names.get("_last")

    return forked(act).value


def found(code: str, **policy: Any) -> Any:
    """Run hostile code that must come to its end; the value of its last expression."""
    return attack(code, **policy).check().result


def looked_at(
    code: str, look: Callable[[int], object], secrets: Sequence[str] = (), **policy: Any
) -> Outcome:
    """Run hostile code and, when all of it has been tried, call `look` with the cell's pid."""
    looked: list[int] = []

    class Eye(Ear):
        def at_text(self, text: str) -> None:
            if self.heard.endswith("look\n"):
                cell = _cell()
                look(cell)
                looked.append(cell)
                os.kill(cell, signal.SIGUSR1)

    allowed = Policy.from_mapping({"timeout": DEADLINE, **policy})
    # The result is what the code left in `answers`.
    whole = f"{CALLS}answers = None\n{textwrap.dedent(code)}\n{_WAIT}\nanswers"
    sandbox = Sandbox(allowed, known_secrets=secrets)
    if allowed.clean:
        task = FreshTask("kavach_ipy.fresh:ScriptRunner", {"code": whole})
        outcome = sandbox.execute_fresh(task, sink=Eye())
    else:
        outcome = sandbox.execute(script_body(whole, {}), sink=Eye())
    outcome.check()
    assert looked, "the cell was never looked at"
    return outcome


def looked_at_outside(code: str, look: Callable[[int], object]) -> None:
    """Run hostile code in a plain process and, when all has been tried, call `look` with its pid.

    The process leads a group of its own, and what it started is killed with it.
    """
    wait = "print('look', flush=True)\nimport signal\nsignal.pause()"
    with Script(f"{CALLS}{textwrap.dedent(code)}\n{wait}") as script:
        try:
            script.wait_for(b"look")
            look(script.pid)
        finally:
            os.killpg(script.pid, signal.SIGKILL)


def fingerprint(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a directory: kinds, modes, owners, link counts, times, attributes, bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.lstat()
        content = b""
        if stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).digest()
        attributes = tuple(
            (name, os.getxattr(path, name, follow_symlinks=False))
            for name in os.listxattr(path, follow_symlinks=False)
        )
        found[str(path)] = (
            status.st_mode,
            status.st_uid,
            status.st_nlink,
            status.st_mtime_ns,
            attributes,
            content,
        )
    return found


def _cell() -> int:
    """The pid of the one cell: it is process 2 of its own namespace."""
    (cell,) = (pid for pid in children(os.getpid()) if _numbers(pid)[1:] == ["2"])
    return cell


def _numbers(pid: int) -> list[str]:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1:]
    return []
