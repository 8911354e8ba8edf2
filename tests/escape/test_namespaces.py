"""No namespace is made or entered: each would give capabilities back inside itself."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress

import pytest

from kavach_ipy.linux.verify import read_namespaces
from tests.contract.cells import NEEDS, descendants
from tests.escape.probes import POWERS, found, looked_at, looked_at_outside, number, outside

pytestmark = [pytest.mark.escape, NEEDS]

FLAGS = {
    "time": 0x80,
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}


UNSHARED = [*FLAGS.values(), 0x10020000, 0x7E020000]


@pytest.mark.parametrize("flag", UNSHARED, ids=hex)
def test_unshare_is_refused(flag: int) -> None:
    """unshare(2) of every namespace, alone and together."""
    assert found(f"call({number('unshare')}, {flag:#x})") == "EPERM"


@pytest.mark.baseline("test_unshare_is_refused")
@pytest.mark.parametrize("flag", UNSHARED, ids=hex)
def test_unshare_works_without_the_sandbox(flag: int) -> None:
    """The same call, by a process that may: for a user namespace that is everybody."""
    rights = "" if flag & FLAGS["user"] else POWERS
    assert outside(f"{rights}\nprint(call({number('unshare')}, {flag:#x}))") == "done\n"


def _clone(flag: int) -> str:
    """Code that clones twice; what clone(2) made leaves at once."""
    return f"""
here, answers = os.getpid(), []
for flags in ({flag:#x} | 17, {flag:#x} | 0x4000 | 17):
    answers.append(call({number("clone")}, flags))
    if os.getpid() != here:
        os._exit(0)
answers
"""


CLONED = sorted(set(FLAGS.values()) - {0x80})


@pytest.mark.parametrize("flag", CLONED, ids=hex)
def test_clone_into_a_new_namespace_is_refused(flag: int) -> None:
    """clone(2) takes the same flags, also in the company of ordinary ones."""
    assert found(_clone(flag)) == ["EPERM", "EPERM"]


@pytest.mark.baseline("test_clone_into_a_new_namespace_is_refused")
@pytest.mark.parametrize("flag", CLONED, ids=hex)
def test_clone_into_a_new_namespace_works_without_the_sandbox(flag: int) -> None:
    """The same calls, by a process that may."""
    rights = "" if flag == FLAGS["user"] else POWERS
    assert outside(f"{rights}{_clone(flag)}\nprint(answers)") == "['done', 'done']\n"


def test_clone3_does_not_exist() -> None:
    """Its flags lie in memory, where no filter sees them."""
    code = f"call({number('clone3')}, 0, 0)"
    assert found(code) == "ENOSYS"
    assert outside(f"print({code})") == "EINVAL\n", "it exists, and wants a size"


ENTER = f"""
SETNS = {number("setns")}
def opened(name):
    return os.open(f"/proc/self/ns/{{name}}", os.O_RDONLY)
answers = [call(SETNS, opened("net"), 0), call(SETNS, opened("uts"), 0x4000000),
           call(SETNS, os.pidfd_open(os.getpid()), 0x8000000), call(SETNS, opened("user"), 0)]
answers
"""


def test_namespace_is_not_entered() -> None:
    """setns(2) by a file of /proc and by a pidfd."""
    assert found(ENTER) == ["EPERM"] * 4


@pytest.mark.baseline("test_namespace_is_not_entered")
def test_namespace_is_entered_without_the_sandbox() -> None:
    """Where the process has rights over them; setns(2): its own user namespace is EINVAL."""
    done = outside(f"{POWERS}{ENTER}\nprint(answers)")
    assert done == "['done', 'done', 'done', 'EINVAL']\n"


@pytest.mark.baseline("test_program_that_makes_namespaces_fails_inside_and_not_outside")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1)")
def test_program_that_makes_namespaces_fails_inside_and_not_outside() -> None:
    """unshare(1) is what a user would try; where it works it has every capability."""
    show = "unshare -Ur cat /proc/self/status"
    done = subprocess.run(show.split(), capture_output=True, text=True, check=True)
    assert "CapEff:\t0000000000000000" not in done.stdout
    code = f"import subprocess\nsubprocess.run({show.split()!r}, capture_output=True).returncode"
    assert found(code) != 0


def test_every_process_of_the_cell_stays_in_its_namespaces() -> None:
    """After all attempts, what the host sees is one set of namespaces, and not its own."""

    def look(cell: int) -> None:
        mine, theirs = read_namespaces("self"), read_namespaces(cell)
        assert not set(mine.values()) & set(theirs.values())
        living = 0
        for pid in descendants(cell):
            # A process that has ended and was not waited for has no namespaces any more.
            with suppress(FileNotFoundError):
                assert read_namespaces(pid) == theirs
                living += 1
        assert living >= 2

    looked_at(_every_way(), look)


def _every_way() -> str:
    """By its own calls, by a program and by a fork; two children stay that ask for nothing."""
    attempts = "; ".join(f"call({number('unshare')}, {flag:#x})" for flag in FLAGS.values())
    return f"""
    import subprocess
    ready, said = os.pipe()
    if os.fork() == 0:
        {attempts}
        os.write(said, b"x")
        import signal
        signal.pause()
    os.read(ready, 1)
    subprocess.Popen(["unshare", "-Ur", "sleep", "600"])
    subprocess.Popen(["sleep", "600"])
    {attempts}
    """


@pytest.mark.baseline("test_every_process_of_the_cell_stays_in_its_namespaces")
def test_processes_leave_their_namespaces_without_the_sandbox() -> None:
    """The same attempts in a plain process: it and its fork have a user namespace of their own."""

    def look(pid: int) -> None:
        mine = read_namespaces("self")["user"]
        left = [read_namespaces(below)["user"] != mine for below in (pid, *descendants(pid))]
        assert left.count(True) >= 2

    looked_at_outside(_every_way(), look)


def test_nested_namespaces_are_forbidden_twice() -> None:
    """Should the filter fail, the limit of the namespace itself is zero."""
    limit = "int(open('/proc/sys/user/max_user_namespaces').read())"
    assert found(limit) == 0
    assert int(outside(f"print({limit})")) > 0
    assert not found("import os\nos.access('/proc/sys/user/max_user_namespaces', os.W_OK)")
