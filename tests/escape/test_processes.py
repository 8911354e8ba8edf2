"""No process of the host is seen, signalled, slowed, traced or read."""

from __future__ import annotations

import ast
import os
import signal
from pathlib import Path

import pytest

from tests.contract.cells import NEEDS, Script, descendants
from tests.escape.probes import (
    attack,
    found,
    found_in_a_fork,
    looked_at,
    looked_at_outside,
    number,
    outside,
)

pytestmark = [pytest.mark.escape, NEEDS]


def _is_unhurt(sibling: Script) -> bool:
    """Ask the sibling; its answer comes after every hit that had reached it before."""
    sibling.signal(signal.SIGRTMIN)
    sibling.wait_for(b"asked")
    heard, sibling.said = sibling.said, b""
    return b"hit" not in heard


SIGNALS = {
    "kill": "os.kill(P, signal.SIGWINCH)",
    "group": "os.killpg(P, signal.SIGWINCH)",
    "thread": "call(TGKILL, P, P, signal.SIGWINCH)",
    # rt_sigqueueinfo(2): siginfo_t is 128 bytes, and begins with si_signo, si_errno and si_code.
    "queue": "call(SIGQUEUE, P, signal.SIGWINCH, struct.pack('iii116x', signal.SIGWINCH, 0, -1))",
    "by descriptor": "signal.pidfd_send_signal(os.pidfd_open(P), signal.SIGWINCH)",
    "by a program": "assert os.system(f'kill -WINCH {P}') == 0",
}


def _signal_code(name: str, sibling: Script) -> str:
    numbers = f"TGKILL, SIGQUEUE = {number('tgkill')}, {number('rt_sigqueueinfo')}"
    return f"import os, signal, struct\nP = {sibling.pid}\n{numbers}\n{SIGNALS[name]}"


@pytest.mark.baseline("test_signal_of_a_cell_does_not_arrive", "test_init_cannot_be_hurt")
@pytest.mark.parametrize("name", SIGNALS)
def test_signal_arrives_without_the_sandbox(name: str, sibling: Script) -> None:
    """Each way to signal is one."""
    outside(_signal_code(name, sibling))
    assert not _is_unhurt(sibling)


@pytest.mark.parametrize("name", SIGNALS)
def test_signal_of_a_cell_does_not_arrive(name: str, sibling: Script) -> None:
    """The number of a host process means nobody inside."""
    attack(_signal_code(name, sibling))
    assert _is_unhurt(sibling)


@pytest.mark.no_baseline("a plain process would signal all that its user runs")
def test_signal_to_every_number_does_not_arrive(sibling: Script) -> None:
    """Nor does guessing help: all numbers that a pid may have, and everybody at once."""
    code = f"""
    import os, signal
    signal.signal(signal.SIGWINCH, signal.SIG_IGN)
    for pid in (0, -1, *range(-500, -1), *range(3, 100_000), {sibling.pid}, {os.getpid()}):
        attempt(os.kill, pid, signal.SIGWINCH)
    """
    mine: list[int] = []
    before = signal.signal(signal.SIGWINCH, lambda number, _: mine.append(number))
    try:
        assert attack(code).ok
    finally:
        signal.signal(signal.SIGWINCH, before)
    assert mine == []
    assert _is_unhurt(sibling)


def test_descriptor_of_a_process_is_no_way_to_it(sibling: Script) -> None:
    """A pidfd that the notebook holds is not the cell's."""
    pidfd = os.pidfd_open(sibling.pid)
    try:
        code = f"import signal\nsignal.pidfd_send_signal({pidfd}, signal.SIGWINCH)"
        attack(code)
        assert _is_unhurt(sibling)
        found_in_a_fork(code)
        assert not _is_unhurt(sibling)
    finally:
        os.close(pidfd)


def test_owner_of_an_inherited_descriptor_gets_no_signal(sibling: Script) -> None:
    """F_SETOWN on an inherited pipe would let the kernel send the signal for the cell."""
    reader, writer = os.pipe()
    try:
        code = f"""
        import fcntl, os, signal
        for fd in ({reader}, {writer}):
            attempt(fcntl.fcntl, fd, fcntl.F_SETOWN, {sibling.pid})
            attempt(fcntl.fcntl, fd, fcntl.F_SETSIG, signal.SIGWINCH)
            attempt(fcntl.fcntl, fd, fcntl.F_SETFL, os.O_ASYNC)
        attempt(os.write, {writer}, b"x")
        """
        attack(code)
        assert _is_unhurt(sibling)
        found_in_a_fork(code)
        assert not _is_unhurt(sibling)
    finally:
        os.close(reader)
        os.close(writer)


def test_priority_of_others_stays(sibling: Script) -> None:
    """Neither by number nor by user does a cell slow what is outside."""
    nice = os.getpriority(os.PRIO_PROCESS, sibling.pid)
    code = f"""
    import os
    attempt(os.setpriority, os.PRIO_PROCESS, {sibling.pid}, 19)
    attempt(os.setpriority, os.PRIO_PGRP, {sibling.pid}, 19)
    attempt(os.setpriority, os.PRIO_USER, 0, 19)
    attempt(os.setpriority, os.PRIO_USER, {os.getuid()}, 19)
    attempt(os.sched_setaffinity, {sibling.pid}, {{0}})
    """
    cpus = os.sched_getaffinity(sibling.pid)
    attack(code)
    assert os.getpriority(os.PRIO_PROCESS, sibling.pid) == nice
    assert os.getpriority(os.PRIO_PROCESS, 0) == os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert os.sched_getaffinity(sibling.pid) == cpus
    outside(f"import os\nos.setpriority(os.PRIO_PROCESS, {sibling.pid}, 19)")
    assert os.getpriority(os.PRIO_PROCESS, sibling.pid) == 19
    outside(f"os.sched_setaffinity({sibling.pid}, {{{min(cpus)}}})")
    assert os.sched_getaffinity(sibling.pid) == {min(cpus)}


def test_limits_of_others_stay(sibling: Script) -> None:
    """prlimit(2) reaches no process outside."""
    before = Path(f"/proc/{sibling.pid}/limits").read_bytes()
    attack(f"import resource\nresource.prlimit({sibling.pid}, resource.RLIMIT_NOFILE, (9, 9))")
    assert Path(f"/proc/{sibling.pid}/limits").read_bytes() == before
    outside(f"import resource\nresource.prlimit({sibling.pid}, resource.RLIMIT_NOFILE, (9, 9))")
    assert Path(f"/proc/{sibling.pid}/limits").read_bytes() != before


def test_no_process_of_the_host_is_seen(sibling: Script) -> None:
    """/proc lists the cell and an init that shows nothing."""
    code = "sorted(int(name) for name in os.listdir('/proc') if name.isdecimal())"
    assert found(f"import os\n{code}") == [1, 2]
    assert {sibling.pid, os.getpid()} <= set(ast.literal_eval(outside(f"print({code})")))
    assert found("import os\nos.listdir('/proc/1')") == []
    assert found("import os\nos.getppid()") == 0
    assert found(f"import os\nos.path.exists('/proc/{sibling.pid}')") is False


PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206


def test_no_process_is_traced(sibling: Script) -> None:
    """ptrace(2) is refused towards everybody; nobody outside has a tracer."""
    ptrace = number("ptrace")
    code = f"""
    import os
    child = os.fork()
    if child == 0:
        import signal
        signal.pause()
    answers = [call({ptrace}, how, pid) for pid in ({sibling.pid}, {os.getpid()}, 1, child)
               for how in ({PTRACE_ATTACH}, {PTRACE_SEIZE})] + [call({ptrace}, 0)]
    """
    outcome = looked_at(code, lambda _: _assert_untraced(sibling.pid, os.getpid()))
    assert set(outcome.result) == {"EPERM"}  # type: ignore[call-overload]


@pytest.mark.baseline("test_no_process_is_traced")
@pytest.mark.parametrize("how", [PTRACE_ATTACH, PTRACE_SEIZE], ids=["attach", "seize"])
def test_child_is_traced_without_the_sandbox(how: int) -> None:
    """Where Yama lets nobody trace another, a process may still trace its own child."""
    traced = []
    code = f"""
    child = os.fork()
    if child == 0:
        import signal
        signal.pause()
    assert call({number("ptrace")}, {how}, child) == "done"
    """

    def look(pid: int) -> None:
        (child,) = descendants(pid)
        traced.append(f"TracerPid:\t{pid}\n" in Path(f"/proc/{child}/status").read_text())

    looked_at_outside(code, look)
    assert traced == [True]


def _assert_untraced(*pids: int) -> None:
    for pid in pids:
        assert "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")


def test_memory_of_others_is_not_read() -> None:
    """Neither by /proc nor by process_vm_readv(2), towards init, the notebook or a sibling."""
    code = f"""
    import os
    buffer = ctypes.create_string_buffer(8)
    answers = [call({number("process_vm_readv")}, pid, 0, 0, 0, 0, 0)
               for pid in (1, {os.getpid()}, os.getpid())]
    answers += [call({number("process_vm_writev")}, 1, 0, 0, 0, 0, 0),
                call({number("kcmp")}, 1, 2, 0, 0, 0), call({number("pidfd_getfd")}, 0, 0, 0)]
    answers
    """
    assert set(found(code)) == {"EPERM"}
    for pid in (1, os.getpid()):
        for name in TELLING:
            assert not attack(f"open('/proc/{pid}/{name}', 'rb').read(1)").ok


TELLING = ("mem", "maps", "environ", "cmdline", "fd/0", "cwd", "root", "exe")


@pytest.mark.baseline("test_memory_of_others_is_not_read")
def test_memory_of_a_process_is_read_without_the_sandbox(sibling: Script) -> None:
    """The sibling's files in /proc, and by number the memory of the plain process itself."""
    code = f"""
    pid = os.getpid()
    answers = [call({number("process_vm_readv")}, pid, 0, 0, 0, 0, 0),
               call({number("process_vm_writev")}, pid, 0, 0, 0, 0, 0),
               call({number("kcmp")}, pid, pid, 0, 0, 0),
               call({number("pidfd_getfd")}, os.pidfd_open(pid), 0, 0)]
    print(answers, all(open(f"/proc/{sibling.pid}/{{name}}", "rb").read(1)
                       for name in ("maps", "environ", "cmdline", "exe")))
    """
    assert outside(code) == "['done', 'done', 'done', 'done'] True\n"


def test_init_cannot_be_hurt() -> None:
    """Process 1 ends with the cell and not before: the namespace would go with it."""
    code = """
    import os, signal
    answers = [attempt(os.kill, 1, number) for number in (9, 15, 2, 19, 6)]
    """
    looked_at(code, _assert_running_init)


def _assert_running_init(cell: int) -> None:
    text = Path(f"/proc/{cell}/status").read_text(encoding="ascii")
    assert "State:\tT" not in text
    (init,) = (
        pid
        for pid in map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
        if _number_inside(pid) == "1"
    )
    state = Path(f"/proc/{init}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]
    assert state in "SR", f"init is in state {state}"


def _number_inside(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    numbers = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
    return numbers[-1] if len(numbers) > 1 else ""
