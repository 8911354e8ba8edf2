"""Where a control group is delegated, each cell has one of its own, and leaves none behind.

A real cgroup2 hierarchy is needed, in which we may make a group, and for the limits its memory and
pids controllers, which belong to cgroup v1 on older hosts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kavach_ipy.linux import cgroups
from kavach_ipy.linux._libc import SyscallError
from kavach_ipy.linux.verify import read_mounts
from tests.contract.cells import NEEDS, python

pytestmark = [pytest.mark.contract, NEEDS]

# Run in a leaf of the delegated group, as a notebook's kernel would be.
IN_A_LEAF = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
from kavach_ipy import Policy, Sandbox
from kavach_ipy.linux import cgroups
"""
FIND = IN_A_LEAF + "print(cgroups.find_delegated())"
RUN = (
    IN_A_LEAF
    + """
outcome = Sandbox(Policy.from_mapping(eval(sys.argv[2]))).run(sys.argv[3])
print(outcome.failure)
print([layer.detail for layer in outcome.report.layers if layer.name == "limits"][0])
"""
)
FORKS = """
import os, signal
n = 0
try:
    while n < 50:
        if os.fork() == 0:
            signal.pause()
        n += 1
except OSError as error:
    raise RuntimeError(f"stopped after {n} by {error.strerror}")
"""


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A group of the test's own, with a leaf for the process and the controllers enabled."""
    roots = [Path(os.fsdecode(m.point)) for m in read_mounts(os.getpid()) if m.fstype == b"cgroup2"]
    if not roots or not os.access(roots[0], os.W_OK):
        pytest.skip("no cgroup2 hierarchy that this user may make groups in")
    top = roots[0] / f"kavach-test-{os.getpid()}"
    for controller in ("memory", "pids"):
        with suppress(OSError):
            (roots[0] / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
    top.mkdir()
    (top / "leaf").mkdir()
    for controller in ("memory", "pids"):
        with suppress(OSError):
            (top / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
    try:
        yield top
    finally:
        left = sorted(path.name for path in top.iterdir() if path.is_dir())
        for path in sorted(top.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
        top.rmdir()
        assert left == ["leaf"], "a cell's group was left behind"


def _enabled(top: Path) -> list[str]:
    return (top / "cgroup.subtree_control").read_text(encoding="ascii").split()


def _needs(top: Path, controller: str) -> None:
    if controller not in _enabled(top):
        pytest.skip(f"the {controller} controller is not in the cgroup2 hierarchy of this machine")


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])


def test_delegated_group_is_found_from_a_leaf(delegated: Path) -> None:
    """The nearest ancestor with a controller for its children; none without one."""
    done = python(FIND, str(delegated / "leaf"))
    expected = str(delegated) if set(_enabled(delegated)) & {"memory", "pids"} else "None"
    assert done.stdout.strip() == expected, done.stderr


def test_group_holds_its_members_kills_them_and_is_removed(delegated: Path) -> None:
    """A process that is moved in is a member; removing the group ends it and leaves no folder."""
    group = cgroups.Group.create(str(delegated), {})
    process = _sleeper()
    try:
        assert not group.holds(process.pid)
        group.add(process.pid)
        assert group.holds(process.pid)
        group.kill()
        assert process.wait(30) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
        group.remove()
    assert not Path(group.folder).exists()
    assert not group.was_out_of_memory()


def test_group_of_a_process_that_was_killed_is_removed_by_the_next(delegated: Path) -> None:
    """Its number in the folder's name says whose it was; one with members stays."""
    ended = _sleeper()
    ended.kill()
    ended.wait()
    empty, full = (delegated / f"kavach-{ended.pid}-{number}" for number in (1, 2))
    empty.mkdir()
    full.mkdir()
    member = _sleeper()
    try:
        (full / "cgroup.procs").write_text(str(member.pid), encoding="ascii")
        group = cgroups.Group.create(str(delegated), {})
        assert not empty.exists()
        assert full.exists()
        assert member.poll() is None
        group.remove()
    finally:
        member.kill()
        member.wait()
        full.rmdir()


def test_limit_that_does_not_read_back_is_an_error_and_leaves_no_group(delegated: Path) -> None:
    """A value that the kernel refuses, or rounds, is not what was promised."""
    _needs(delegated, "pids")
    with pytest.raises(SyscallError, match=r"pids\.max"):
        cgroups.Group.create(str(delegated), {"pids.max": "-5"})


def test_processor_time_of_a_group_is_that_of_its_dead_too(delegated: Path) -> None:
    """A process that nobody waits for, and that ends at once, is in the group's count."""
    group = cgroups.Group.create(str(delegated), {})
    code = """
        import os, signal, sys, time
        with open(sys.argv[1] + "/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for _ in range(10):
            if os.fork() == 0:
                while time.process_time() < 0.05:
                    pass
                os._exit(0)
        try:
            os.wait()
        except ChildProcessError:
            print(sum(os.times()[2:4]))
    """
    try:
        assert group.processor_seconds() == 0
        assert float(python(code, group.folder).stdout) < 0.1
        assert 0.5 <= group.processor_seconds() < 20
    finally:
        group.remove()
    assert group.processor_seconds() == 0


def test_cell_that_forks_is_held_by_its_group(delegated: Path) -> None:
    """pids.max holds over the whole tree, host root included, and the report names it."""
    _needs(delegated, "pids")
    done = python(RUN, str(delegated / "leaf"), "{'pids': 8, 'timeout': 30}", FORKS)
    failure, limits = done.stdout.splitlines()
    assert "stopped after 7 by Resource temporarily unavailable" in failure
    assert "8 processes (cgroup pids.max)" in limits


def test_cell_has_memory_of_no_process_and_its_group_counts_it(delegated: Path) -> None:
    """Memfds in flight and shared pages without entries are allowed here, and end the cell."""
    _needs(delegated, "memory")
    few = "{'memory': '256M', 'disk': '1M', 'timeout': 30}"
    code = """
import mmap, os, socket
a, b = socket.socketpair()
for _ in range(COUNT):
    fd = os.memfd_create("m")
    os.write(fd, bytes(16 << 20))
    socket.send_fds(a, [b"x"], [fd])
    os.close(fd)
    memory = mmap.mmap(-1, 16 << 20)
    memory[:] = bytes(16 << 20)
    memory.madvise(mmap.MADV_DONTNEED)
"""
    done = python(RUN, str(delegated / "leaf"), few, code.replace("COUNT", "2"))
    assert done.stdout.splitlines()[0] == "None", done.stdout
    done = python(RUN, str(delegated / "leaf"), few, code.replace("COUNT", "50"))
    assert "stopped by memory" in done.stdout.splitlines()[0]


def test_cell_beyond_its_memory_is_ended_by_its_group_and_told_so(delegated: Path) -> None:
    """What no rlimit sees (pipes full of bytes) is counted, and the message names the limit."""
    _needs(delegated, "memory")
    code = """
import os
held = []
while True:
    r, w = os.pipe()
    os.set_blocking(w, False)
    held.append((r, w))
    os.write(w, bytes(65536))
"""
    policy = "{'memory': '64M', 'disk': '1M', 'timeout': 30, 'files': 100000}"
    done = python(RUN, str(delegated / "leaf"), policy, code)
    failure, limits = done.stdout.splitlines()
    assert "stopped by memory" in failure
    assert "--memory" in failure
    assert "(cgroup memory.max)" in limits
