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
import textwrap
from pathlib import Path

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


HOST_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="setpriv(1) takes capabilities from root alone",
)
# What a container's root has by default (docker run, "Runtime privilege and Linux capabilities").
DOCKERS = (
    "-all,+audit_write,+chown,+dac_override,+fowner,+fsetid,+kill,+mknod,+net_bind_service"
    ",+net_raw,+setfcap,+setgid,+setpcap,+setuid,+sys_chroot"
)


def _as_root_with(
    capabilities: str, *arguments: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python as root with some capabilities, which setpriv(1) says by + and -."""
    enter = ("env", "-C", str(folder)) if folder else ()
    bounds = ("--bounding-set", capabilities, "--inh-caps", "-all")
    return program(*enter, "setpriv", *bounds, sys.executable, *arguments)


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


@HOST_ROOT
@pytest.mark.parametrize(
    ("dropped", "named"),
    [
        ("-setuid", "CAP_SETUID"),
        ("-setgid", "CAP_SETGID"),
        ("-dac_override,-dac_read_search", "CAP_DAC_READ_SEARCH"),
        ("-all", "CAP_SETGID, CAP_SETUID, CAP_DAC_READ_SEARCH"),
    ],
)
def test_root_without_the_rights_for_another_id_is_told_which(dropped: str, named: str) -> None:
    """A container of root whose capabilities are dropped runs no cell, and says what helps."""
    said = _refused(_as_root_with(dropped, "-c", RUN))
    assert said.startswith("CannotEnforce: cannot enforce an unprivileged identity")
    assert f"without {named}, and cannot" in said
    assert "--cap-add" in said
    doctor = _as_root_with(dropped, "-m", "kavach_ipy.linux.probe")
    assert doctor.returncode == 1
    assert f"without {named}, and cannot" in doctor.stdout


@HOST_ROOT
def test_root_with_what_docker_leaves_it_runs_the_cell() -> None:
    """Fourteen capabilities and no CAP_SYS_ADMIN: the cell runs, and the doctor agrees."""
    done = _as_root_with(DOCKERS, "-c", RUN)
    assert (done.returncode, done.stdout) == (0, "nothing was refused\n"), done.stderr
    doctor = _as_root_with(DOCKERS, "-m", "kavach_ipy.linux.probe")
    assert (doctor.returncode, "REFUSED" in doctor.stdout) == (0, False), doctor.stdout


@HOST_ROOT
def test_root_without_rights_over_its_mounts_is_told_that_its_files_stay(tmp_path: Path) -> None:
    """Where the working directory can be had as it is alone, the report says so; none else does."""
    code = """
    from kavach_ipy import Sandbox
    layers = {layer.name: layer.detail for layer in Sandbox().run("1").report.layers}
    print(layers["working directory"])
    """
    code = textwrap.dedent(code)
    told = "files of host root stay as they are"
    assert told in _as_root_with(DOCKERS, "-c", code, folder=tmp_path).stdout
    without = _as_root_with("+all", "-c", code, folder=tmp_path)
    assert (without.returncode, told in without.stdout) == (0, False), without


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


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1)")
def test_doctor_where_no_map_can_be_written_comes_to_an_end() -> None:
    """Its throw-away child waits for a map that never comes, and must not be waited for."""
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    prepare = "mount --bind /proc /proc && mount -o remount,bind,ro /proc"
    doctor = (sys.executable, "-m", "kavach_ipy.linux.probe")
    done = program("unshare", flags, "sh", "-c", f'{prepare} && exec "$0" "$@"', *doctor)
    assert done.returncode == 1
    assert "REFUSED  user namespace     write setgroups" in done.stdout
