"""No namespace is made or entered: each would give capabilities back inside itself."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress

import pytest

from kavach_ipy.linux.verify import read_namespaces
from tests.contract.cells import NEEDS, descendants
from tests.escape.probes import found, looked_at, number

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


@pytest.mark.parametrize("flag", [*FLAGS.values(), 0x10020000, 0x7E020000], ids=hex)
def test_unshare_is_refused(flag: int) -> None:
    """unshare(2) of every namespace, alone and together."""
    assert found(f"call({number('unshare')}, {flag:#x})") == "EPERM"


@pytest.mark.parametrize("flag", sorted(set(FLAGS.values()) - {0x80}), ids=hex)
def test_clone_into_a_new_namespace_is_refused(flag: int) -> None:
    """clone(2) takes the same flags, also in the company of ordinary ones."""
    clone = number("clone")
    code = f"[call({clone}, flags) for flags in ({flag:#x} | 17, {flag:#x} | 0x4000 | 17)]"
    assert found(code) == ["EPERM", "EPERM"]


def test_clone3_does_not_exist() -> None:
    """Its flags lie in memory, where no filter sees them."""
    assert found(f"call({number('clone3')}, 0, 0)") == "ENOSYS"


def test_namespace_is_not_entered() -> None:
    """setns(2) by a file of /proc, by a pidfd, by a number."""
    setns = number("setns")
    code = f"""
    import os
    fd = os.open("/proc/self/ns/user", os.O_RDONLY)
    [call({setns}, fd, 0), call({setns}, os.pidfd_open(os.getpid()), 0x10000000),
     call({setns}, 0, 0)]
    """
    assert found(code) == ["EPERM"] * 3


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

    attempts = "; ".join(f"call({number('unshare')}, {flag:#x})" for flag in FLAGS.values())
    looked_at(
        f"""
        {attempts}
        import os, subprocess
        subprocess.Popen(["unshare", "-Ur", "sleep", "600"])
        subprocess.Popen(["sleep", "600"])
        if os.fork() == 0:
            {attempts}
            import signal
            signal.pause()
        """,
        look,
    )


def test_nested_namespaces_are_forbidden_twice() -> None:
    """Should the filter fail, the limit of the namespace itself is zero."""
    assert found("int(open('/proc/sys/user/max_user_namespaces').read())") == 0
    assert not found("import os\nos.access('/proc/sys/user/max_user_namespaces', os.W_OK)")
