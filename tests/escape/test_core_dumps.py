"""The memory of a crashed cell, which holds the notebook's, is written nowhere."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tests.contract.cells import NEEDS
from tests.escape.probes import attack, found, looked_at, outside

pytestmark = [pytest.mark.escape, NEEDS]

CRASH = """
import os, resource
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
pid = os.fork()
if pid == 0:
    os.abort()
_, status = os.waitpid(pid, 0)
"""


def test_crash_of_a_cell_leaves_no_core(project: Path) -> None:
    """The cell's own crash, in a working directory that it could write to."""
    for code in ("import os; os.abort()", "import ctypes; ctypes.string_at(0)"):
        attack(code)
        attack(f"import os\nos.chdir('/tmp')\n{code}")
    assert os.listdir(project) == ["data.txt"]


def test_crash_of_a_process_of_the_cell_dumps_no_core(project: Path) -> None:
    """The wait status says that none was made, and the limit cannot be raised."""
    code = f"{CRASH}\n[os.WIFSIGNALED(status), os.WCOREDUMP(status), os.listdir()]"
    assert found(code) == [True, False, ["data.txt"]]
    assert found("import resource\nresource.getrlimit(resource.RLIMIT_CORE)[1]") <= 1


def test_limit_that_stops_core_handlers_stays(project: Path) -> None:
    """With 1 the kernel starts no handler (systemd-coredump, apport); with 0 it does."""
    code = """
    import resource
    for limits in ((0, 0), (0, 1), (1, 1)):
        for pid in (0, os.getpid()):
            resource.prlimit(pid, resource.RLIMIT_CORE, limits)
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    """

    def look(cell: int) -> None:
        limits = Path(f"/proc/{cell}/limits").read_text(encoding="ascii")
        (line,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert line.split()[4:6] == ["1", "1"]

    looked_at(code, look)
    plain = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
    assert outside(f"{plain}\nprint(resource.getrlimit(resource.RLIMIT_CORE))") == "(0, 0)\n"


@pytest.mark.baseline(
    "test_crash_of_a_cell_leaves_no_core", "test_crash_of_a_process_of_the_cell_dumps_no_core"
)
def test_crash_without_the_sandbox_dumps_a_core(project: Path) -> None:
    """The same crash in a plain process does, where the machine writes cores to files."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip()
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 or pattern.startswith(("|", "@")):
        pytest.skip(f"no core file is made here at all: limit 0 or pattern {pattern!r}")
    assert outside(f"{CRASH}\nprint(os.WCOREDUMP(status))") == "True\n"
    if "/" not in pattern:
        assert len(os.listdir(project)) == 2
