"""Importing kavach_ipy costs little and starts nothing."""

from __future__ import annotations

import json

import pytest

from tests.contract.cells import NEEDS, python

pytestmark = pytest.mark.contract

LOOK = """
import json, os, sys, threading
def census():
    pid = os.getpid()
    return [
        len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), sorted(os.environ),
        open(f"/proc/{pid}/task/{pid}/children").read(), threading.active_count(),
    ]
before = census()
PROGRAM
HEAVY = ("IPython", "ipykernel", "jupyter_client", "zmq", "traitlets", "numpy", "pandas", "nh3")
print(json.dumps([before == census(), [name for name in HEAVY if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    "program",
    [
        "import kavach_ipy",
        "from kavach_ipy import Sandbox, Policy; Sandbox(Policy())",
        "import kavach_ipy; [getattr(kavach_ipy, name) for name in kavach_ipy.__all__]",
    ],
    ids=["import", "names", "all"],
)
def test_import_starts_nothing_and_loads_nothing_of_ipython(program: str) -> None:
    """No descriptor, thread, process or variable; no library that a script does not need."""
    done = python(LOOK.replace("PROGRAM", program))
    assert done.returncode == 0, done.stderr
    is_same, heavy = json.loads(done.stdout)
    assert is_same
    # Sandbox needs the gate's HTML filter, which is loaded with it.
    assert set(heavy) <= ({"nh3"} if "Sandbox" in program or "getattr" in program else set())


@NEEDS
def test_run_of_a_cell_loads_nothing_of_ipython() -> None:
    """A plain script stays one."""
    done = python(LOOK.replace("PROGRAM", "from kavach_ipy import Sandbox; Sandbox().run('1')"))
    assert done.returncode == 0, done.stderr
    assert not {"IPython", "ipykernel", "zmq", "traitlets", "numpy"} & set(
        json.loads(done.stdout)[1]
    )


def test_import_takes_less_than_thirty_milliseconds() -> None:
    """The best of five fresh interpreters, beyond what the interpreter itself takes.

    Processor time: an import waits for nothing but a disk, and other processes are not its own.
    """
    code = """
    import time
    start = time.process_time()
    import kavach_ipy
    print(time.process_time() - start)
    """
    assert min(float(python(code).stdout) for _ in range(5)) < 0.030
