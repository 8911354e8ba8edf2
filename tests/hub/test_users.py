"""Two users of a hub, each with a notebook: what each can do, and what neither can."""

from __future__ import annotations

from tests.hub.hubs import User
from tests.hub.machine import Machine


def test_try(alice: User, machine: Machine) -> None:
    """Scratch."""
    with alice.notebook() as notebook:
        run = notebook.run("import os; print(os.getuid(), os.getcwd(), os.uname().nodename)")
        print(run)
        print(notebook.run("print(sorted(os.listdir('/home')), open('/proc/self/status').read())").told)
