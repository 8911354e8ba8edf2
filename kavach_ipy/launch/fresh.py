"""What runs in a sandbox that was made from a zygote: one cell after the other.

A cell arrives over the channel, after "go", with the arena for its values; so neither the zygote
nor the set-up ever holds anything of it.

Guarantees: nothing of a cell is there before the sandbox was verified.
Assumes: runs in the child; who sends cells is the kernel process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

from kavach_ipy.launch.checkpoints import hold
from kavach_ipy.launch.link import Body, ChildLink
from kavach_ipy.launch.requests import CellRequest, Hold, receive_next
from kavach_ipy.wire.messages import Failure

__all__ = ["Runner", "find_runner", "fresh_body"]

_NO_FILE = "too many open files: the cells before have left none for this one; see --files"


class Runner(Protocol):
    """Runs cells in a fresh interpreter, and keeps what they leave behind for the next."""

    def prepare(self, link: ChildLink) -> None:
        """Get ready while the parent verifies: open no descriptor, start no thread."""

    def run(self, link: ChildLink, cell: CellRequest) -> None:
        """Run one cell, until `ChildLink.done` was said."""


def find_runner(entry: str) -> Callable[[], Runner]:
    """Import what makes the runner: ``package.module:name``, in a layer above this one."""
    module, _, name = entry.partition(":")
    return cast("Callable[[], Runner]", getattr(import_module(module), name))


def fresh_body(runner: Runner) -> Body:
    """Return the body that takes cells until the kernel process has no more."""

    def body(link: ChildLink) -> Callable[[], None]:
        runner.prepare(link)
        return lambda: _serve(runner, link)

    return body


def _serve(runner: Runner, link: ChildLink) -> None:
    while True:
        cell = receive_next(link.channel)
        if cell is None:
            return
        if isinstance(cell, Hold):
            if cell.answer >= 0:
                hold(link, cell.answer)
            continue
        if not cell.task:
            link.begin(-1, frozenset())
            link.done(Failure("OSError", _NO_FILE, (f"OSError: {_NO_FILE}",), ()))
            continue
        names = cell.task["names"]
        assert isinstance(names, list)
        link.begin(cell.arena, frozenset(map(str, names)))
        runner.run(link, cell)
        if cell.arena >= 0:
            os.close(cell.arena)
