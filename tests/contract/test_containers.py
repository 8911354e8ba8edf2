"""Hosts that are containers, or confined like one: every refusal names its cause and a remedy.

The host is made for real, by a seccomp filter, a missing capability or a read-only /proc, and the
script that runs there is a plain one.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys

import pytest

from tests.contract.cells import NEEDS, program
from tests.contract.test_refusals import RUN

pytestmark = [pytest.mark.contract, NEEDS]

FILTERED = """
import os, sys
import prctl, pyseccomp
call, number, code = sys.argv[1], int(sys.argv[2]), sys.argv[3]
host = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
host.add_rule(pyseccomp.ERRNO(number), call)
prctl.set_no_new_privs(1)
host.load()
os.execv(sys.executable, [sys.executable, "-c", code])
"""


def _refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a script that was refused, and ran nothing of the cell."""
    assert (done.returncode, done.stdout) == (3, ""), done
    assert done.stderr.count("\n") == 1
    assert "The cell did not run." in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("call", "number", "step", "remedy"),
    [
        ("unshare", errno.EPERM, "namespaces", "Docker and Kubernetes"),
        ("unshare", errno.ENOSPC, "namespaces", "user.max_user_namespaces"),
        ("mount", errno.EACCES, "mount propagation", "AppArmor"),
        ("mount", errno.EPERM, "mount propagation", "Docker and Kubernetes"),
        ("open_tree", errno.ENOSYS, "bind sources", "Linux 5.2"),
        ("mount_setattr", errno.ENOSYS, "bind sources", "Linux 5.12"),
        ("fsopen", errno.EPERM, "root", "Docker and Kubernetes"),
        ("pivot_root", errno.EPERM, "pivot_root", "doctor"),
        ("landlock_restrict_self", errno.EPERM, "Landlock", "doctor"),
        ("seccomp", errno.EINVAL, "seccomp", "libseccomp 2.5"),
    ],
)
def test_call_that_the_host_refuses_is_named_with_its_remedy(
    call: str, number: int, step: str, remedy: str
) -> None:
    """Step, call, errno and what to do, in one sentence; nothing of the cell ran."""
    said = _refused(program(sys.executable, "-c", FILTERED, call, str(number), RUN))
    assert said.startswith(
        (f"SetupFailed: {step}: {call}", f"CannotEnforce: cannot enforce {step}")
    )
    assert errno.errorcode[number] in said
    assert remedy in said


def test_host_that_refuses_nothing_runs_the_cell() -> None:
    """The same filter around a call that no step needs stops nothing."""
    done = program(sys.executable, "-c", FILTERED, "acct", str(errno.EPERM), RUN)
    assert (done.returncode, done.stdout) == (0, "nothing was refused\n"), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user may always map their own id")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv(1)")
def test_host_that_refuses_the_uid_map_is_named_with_its_remedy() -> None:
    """Without CAP_SETUID, as under Ubuntu's AppArmor, the namespace is made and its map is not."""
    without = ("setpriv", "--bounding-set", "-setuid", "--inh-caps", "-setuid")
    said = _refused(program(*without, sys.executable, "-c", RUN))
    assert said.startswith("SetupFailed: id maps: write uid_map")
    assert "EPERM" in said
    assert "apparmor_restrict_unprivileged_userns" in said


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1)")
def test_host_with_a_read_only_proc_is_named() -> None:
    """Where /proc cannot be written the maps cannot be, whoever asks."""
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    prepare = "mount --bind /proc /proc && mount -o remount,bind,ro /proc"
    done = program(
        "unshare", flags, "sh", "-c", f'{prepare} && exec "$0" -c "$1"', sys.executable, RUN
    )
    said = _refused(done)
    assert said.startswith("SetupFailed: id maps: write setgroups")
    assert "EROFS" in said
