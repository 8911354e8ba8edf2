"""``%kavach …`` as a cell of its own, where a broker has the cells: answered here, not inside.

Guarantees: nothing of the line is evaluated; a cell that is more than this one line is the
session's.
Assumes: called in the kernel's loop, with the streams of the request.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from IPython.core.error import UsageError

from kavach_ipy.errors import PolicyError
from kavach_ipy.front.commands import run_command
from kavach_ipy.front.words import gone_back, say
from kavach_ipy.gate.text import clean_text

if TYPE_CHECKING:
    from kavach_ipy.front.broker import Broker
    from kavach_ipy.front.settings import Kavach
    from kavach_ipy.front.switch import Switch

__all__ = ["command_in", "run_broker_command"]

_EXAMINE_SECONDS: Final = 30.0
_EXAMINED: Final = 20_000
_NO_SESSION: Final = "no session is there yet; the next cell begins one"
_COMMAND: Final = re.compile(r"\s*%kavach(?:[ \t]+([^\n]*))?\s*")


def command_in(code: str) -> str | None:
    """Return what stands behind ``%kavach`` in a cell that is that line; None for any other."""
    found = _COMMAND.fullmatch(code)
    return None if found is None else (found[1] or "").strip()


def _examined() -> str:
    """Examine the machine in another process: a fork of one that is not dumpable maps no ids."""
    # user_namespaces(7): /proc/<pid>/uid_map of such a process belongs to root.
    program = [sys.executable, "-I", "-m", "kavach_ipy.linux.probe"]
    try:
        done = subprocess.run(  # noqa: S603 - our own program, in our own interpreter
            program, capture_output=True, text=True, timeout=_EXAMINE_SECONDS, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"%kavach doctor: no answer within {_EXAMINE_SECONDS:g} s") from error
    return clean_text(done.stdout or done.stderr, _EXAMINED).rstrip()


async def run_broker_command(
    line: str, broker: Broker, settings: Kavach, switch: Switch | None
) -> None:
    """Run a command of ``%kavach``.

    Args:
        line: the command and its arguments.
        broker: who has the cells.
        settings: for what the commands explain.
        switch: what turns the broker off; None where the kernel has nothing else.

    Raises:
        UsageError: there is no such command, or it is not allowed here.
    """
    command, _, rest = line.partition(" ")
    match command:
        case "on":
            say("every cell of this notebook runs in a sandbox already")
        case "off":
            _switch_off(settings, switch)
        case "status":
            report = broker.report
            say(_NO_SESSION if report is None else report.text())
            say(broker.recorder.status())
        case "sessions" if not rest:
            about = f"process {broker.pid}" if broker.pid else "not there yet"
            say(f"every cell of this notebook runs in one session: {about}")
        case "doctor":
            say(_examined())
        case "rollback" if not rest:
            await _go_back(broker)
        case "restart":
            broker.end()
            say("the session has ended, its variables are gone; the next cell begins a new one")
        case _:
            run_command(line, settings)


def _switch_off(settings: Kavach, switch: Switch | None) -> None:
    if switch is None:
        raise UsageError(
            "%kavach off: this kernel runs every cell in a sandbox, and has no other way"
        )
    try:
        settings.floor().check_off("%kavach off")
    except PolicyError as error:
        raise UsageError(str(error)) from error
    switch.off()
    say("cells run in the notebook's kernel again, from the next one on")


async def _go_back(broker: Broker) -> None:
    try:
        undone = await broker.go_back()
    except PolicyError as error:
        raise UsageError(" ".join(str(error).split())) from None
    say(gone_back("", undone))
