"""Cells of plain Python in a fresh interpreter: what `Sandbox.run` runs under `Policy.clean`.

Runs in the child of a zygote (`launch.zygote`). What it shares with a shell's runner
(`front.fresh`) stands here too: inputs, the search path, and what forks of one process have in
common and fresh interpreters do not.

Guarantees: no line of the cell runs where an input cannot be had.
Assumes: the task comes from the kernel process.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from kavach_ipy.errors import KavachError, PolicyError
from kavach_ipy.gate.inputs import read_inputs
from kavach_ipy.launch.link import INTERRUPTED, ChildLink
from kavach_ipy.launch.requests import CellRequest
from kavach_ipy.launch.script import Script
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Failure
from kavach_ipy.wire.trusted import by_text, trust

__all__ = ["ScriptRunner", "renew_random", "take_inputs"]


class ScriptRunner:
    """Runs each cell in one module, as a script."""

    def __init__(self) -> None:
        self._script: Script | None = None

    def prepare(self, link: ChildLink) -> None:
        """Make the module."""
        self._script = Script(link)

    def run(self, link: ChildLink, cell: CellRequest) -> None:
        """Run one cell."""
        assert self._script is not None, "prepared before"
        inputs = take_inputs(link, cell)
        if inputs is not None:
            code = str(cell.task["code"])
            self._script.prepare(code, inputs)
            self._script.run(code)


def take_inputs(link: ChildLink, cell: CellRequest) -> dict[str, object] | None:
    """Return what the cell was given; None where it cannot be had, and the cell is done.

    Also makes this process its own: modules are found where the notebook finds them, and numbers
    are as random as in an interpreter that has just begun.
    """
    try:
        try:
            link.heed_interrupts()
            return _take_inputs(link, cell)
        finally:
            link.put_interrupts_off()
    except KeyboardInterrupt:
        failure = INTERRUPTED
    except (KavachError, OSError) as error:
        text = f"an input cannot be made in a fresh interpreter: {error}. The cell did not run."
        failure = Failure("InputRefused", text, (f"InputRefused: {text}",), ())
    link.done(failure)
    return None


def _take_inputs(link: ChildLink, cell: CellRequest) -> dict[str, object]:
    task = cell.task
    if path := task.get("path"):
        sys.path[:] = _texts(path)
        renew_random()
    names = _texts(task.get("inputs", []))
    if not names:
        return {}
    for name in _texts(task.get("trusted", [])):
        with suppress(PolicyError):
            # One that is not to be had here is missed by name, when an instance of it is read.
            trust(by_text(name))
    at, length = (int(str(number)) for number in _list(task["frames"]))
    policy = link.policy
    return read_inputs(
        cell.inputs,
        (at, length),
        frozenset(names),
        policy.memory,
        lives_on=policy.session is not None,
    )


def renew_random() -> None:
    """Seed what a fork does not: Python's own generator renews itself (os.register_at_fork)."""
    numbers = sys.modules.get("numpy.random")
    if numbers is not None:
        numbers.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()


def _list(value: Json) -> list[Json]:
    assert isinstance(value, list), value
    return value


def _texts(value: Json) -> list[str]:
    return [str(item) for item in _list(value)]
