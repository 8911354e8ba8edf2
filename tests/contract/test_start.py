"""However A is started, the kernel process is afterwards what it was."""

from __future__ import annotations

import dataclasses
import gc
import os
import signal
import threading

import prctl
import pytest

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch import launcher, parent
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.plan import Plan, make_plan
from kavach_ipy.launch.script import script_body
from kavach_ipy.launch.signals import handlers_later
from kavach_ipy.policy import Policy
from kavach_ipy.wire.arena import Arena
from kavach_ipy.wire.frames import Frame
from tests.contract.cells import children, value

pytestmark = [pytest.mark.contract, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


@pytest.fixture(params=[True, False], ids=["sharing-memory", "apart"], autouse=True)
def _ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "SHARES_MEMORY", request.param)


class _Deaf:
    def frame(self, frame: Frame) -> Frame | None:
        del frame
        return None

    def usage(self, seconds: float, memory: int, processes: int) -> None:
        """Take no notice."""

    def output(self, name: object, data: bytes) -> None:
        del name, data


def _launch(plan: Plan) -> None:
    with handlers_later() as signals, Arena.create(1 << 20) as arena:
        launcher.launch(plan, launcher.Job(script_body("1", {}), arena), _Deaf(), signals)


def _state() -> dict[str, object]:
    """What A could change of a process whose memory or attributes it shares."""
    return {
        "cwd": os.getcwd(),
        "ids": (os.getresuid(), os.getresgid(), os.getgroups()),
        "session": (os.getsid(0), os.getpgid(0)),
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "handlers": [signal.getsignal(number) for number in signal.valid_signals()],
        "ignored": _ignored(),
        "dumpable": prctl.get_dumpable(),
        "subreaper": prctl.get_child_subreaper(),
        "collector": (gc.isenabled(), gc.get_freeze_count()),
        "environment": dict(os.environ),
        "namespaces": [
            os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")
        ],
        "threads": threading.active_count(),
        "children": children(os.getpid()),
    }


def _ignored() -> str:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(line for line in file if line.startswith("SigIgn"))


def test_a_cell_runs_and_changes_nothing_of_the_kernel_process() -> None:
    """Ids, namespaces, signals, collector and working directory are as before."""
    value("1")
    before = _state()
    assert value("import os\nos.getuid()") == 0
    assert _state() == before


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"mount_base": b"/no/such/place"}, "root"),
        ({"init": b"/no/such/program"}, "init"),
        ({"seccomp_program": b"\xff" * 8}, "seccomp"),
        ({"last_capability": 4000}, "exec gains nothing"),
    ],
    ids=["before-the-root", "before-init", "in-the-cell", "before-the-fork"],
)
def test_a_step_that_fails_is_named_and_leaves_nothing(
    change: dict[str, object], step: str
) -> None:
    """The kernel process goes on as it was, has no child, and runs the next cell."""
    plan = make_plan(Policy(), survey(Policy()))
    value("1")
    before = _state()
    with pytest.raises(SetupFailed) as caught:
        _launch(dataclasses.replace(plan, **change))  # type: ignore[arg-type]
    assert caught.value.step == step
    assert "did not run" in str(caught.value)
    assert _state() == before
    assert value("6 * 7") == 42


def test_id_maps_that_are_refused_are_named_and_leave_nothing() -> None:
    """An id that this process may not map is an error of the step that maps ids."""
    policy = Policy()
    plan = make_plan(policy, survey(policy))
    # user_namespaces(7): -1 is no id, and an ordinary user may map none but its own.
    wrong = 2**32 - 1 if os.geteuid() == 0 else os.geteuid() + 1
    identity = dataclasses.replace(plan.identity, uid=wrong)
    value("1")
    before = _state()
    with pytest.raises(SetupFailed) as caught:
        _launch(dataclasses.replace(plan, identity=identity))
    assert caught.value.step == "id maps"
    assert _state() == before
