"""Where the machine cannot keep a promise, nothing runs and one sentence says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.contract.cells import NEEDS, ROOT, failed, program, value

pytestmark = [
    pytest.mark.contract,
    NEEDS,
    pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1)"),
]

RUN = """
import sys
from kavach_ipy import KavachError, Sandbox
try:
    Sandbox().run("open('/dev/tty')\\nprint('the cell ran')")
except KavachError as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(3)
print("nothing was refused")
"""


def _run_where(prepare: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run RUN as root of a user namespace that `prepare` has spoilt."""
    shell = f'{prepare} && exec "$0" -c "$1"'
    return program("unshare", *flags, "sh", "-c", shell, sys.executable, RUN)


def test_machine_without_user_namespaces_runs_nothing() -> None:
    """max_user_namespaces 0: the layer, the fact and the remedy, and a status of failure."""
    done = _run_where("echo 0 >/proc/sys/user/max_user_namespaces", "-Ur")
    assert done.returncode == 3
    assert done.stderr.startswith("CannotEnforce: cannot enforce user namespace: ")
    assert "max_user_namespaces is 0" in done.stderr
    assert "sysctl -w user.max_user_namespaces=" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_exception_that_nobody_catches_is_a_status_of_failure() -> None:
    """A plain script that meets the refusal ends by it."""
    code = "from kavach_ipy import Sandbox; Sandbox().run('print(1)')"
    prepare = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" -c "$1"'
    done = program("unshare", "-Ur", "sh", "-c", prepare, sys.executable, code)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("kavach_ipy.errors.CannotEnforce: ")


def _run_where_proc_is_masked() -> subprocess.CompletedProcess[str]:
    """As in a container: a covered part of /proc forbids a fresh one."""
    flags = ("-Urm",) if os.geteuid() else ("-m",)
    return _run_where("mount -t tmpfs none /proc/tty", *flags)


def test_machine_that_masks_proc_runs_nothing() -> None:
    """The set-up ends with one sentence and a status of failure."""
    done = _run_where_proc_is_masked()
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(("SetupFailed: ", "CannotEnforce: "))
    assert "The cell did not run." in done.stderr
    assert done.stderr.count("\n") == 1


def test_machine_that_masks_proc_is_told_the_step_and_the_remedy() -> None:
    """What failed is the fresh /proc, and what helps is an option of the container."""
    stderr = _run_where_proc_is_masked().stderr
    assert stderr.startswith("SetupFailed: /proc: ")
    assert "EPERM" in stderr
    assert "systempaths=unconfined" in stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only host root is asked for another id")
def test_host_root_that_knows_no_other_id_runs_nothing() -> None:
    """Root mapped to host root alone could only stay host root."""
    done = _run_where("true", "-Ur")
    assert (done.returncode, done.stdout) == (3, "")
    assert "unprivileged identity" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="an ordinary user's namespace maps one id")
def test_ordinary_user_inside_a_user_namespace_is_served() -> None:
    """Rootless containers look like this, and are no refusal."""
    done = _run_where("true", "-Ur")
    assert done.stdout == "nothing was refused\n", done.stderr


def test_sandbox_inside_a_sandbox_is_refused_clearly() -> None:
    """A cell that opens one is told in a sentence; the outer cell is fine."""
    failure = failed("from kavach_ipy import Sandbox\nSandbox().run('1')")
    assert failure.name == "CannotEnforce"
    assert "inside a sandbox" in failure.text


def test_sandbox_of_a_fresh_interpreter_inside_a_sandbox_is_refused_clearly() -> None:
    """A program that the cell starts knows nothing of its parent, and is refused all the same."""
    code = f"""
    import subprocess, sys
    sys.path.insert(0, {str(ROOT)!r})
    code = f"import sys; sys.path[:] = {{sys.path}}; from kavach_ipy import *; Sandbox().run('1')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    ran.returncode, ran.stderr.strip().splitlines()[-1]
    """
    status, line = value(code, read_only=str(ROOT))
    assert status == 1
    assert line.startswith("kavach_ipy.errors.CannotEnforce: cannot enforce user namespace")
