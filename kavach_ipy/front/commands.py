"""``%kavach``: what confines cells, what this machine can enforce, what a policy means.

Guarantees: every command prints text and changes nothing, but ``restart`` and ``rollback``; one
that is misspelt is a ``UsageError`` that names those that are there.
Assumes: ``status`` and ``doctor`` may start throw-away children, as their answer is what happened.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from IPython.core.error import UsageError

from kavach_ipy.errors import KavachError, PolicyError
from kavach_ipy.front.arguments import policy_of, read_cell_line
from kavach_ipy.front.auditing import Auditor
from kavach_ipy.front.completion import COMMANDS
from kavach_ipy.front.failures import as_shown
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.words import gone_back, say
from kavach_ipy.policy import explain, format_duration, format_size

if TYPE_CHECKING:
    from kavach_ipy.launch.sessions import Sessions
    from kavach_ipy.linux.probe import Finding
    from kavach_ipy.policy import Policy

__all__ = ["doctor_lines", "run_command"]

_WIDTH: Final = 100
_BULLET: Final = "- "


def run_command(
    line: str,
    settings: Kavach,
    sessions: Sessions | None = None,
    auditor: Auditor | None = None,
) -> None:
    """Run the subcommand that ``line`` names.

    Args:
        line: the command and its arguments.
        settings: what cells are confined by.
        sessions: those of the notebook.
        auditor: who records its cells.

    Raises:
        UsageError: there is none of that name, or its options make no sense.
        KavachError: for ``status``, why no cell can run here.
    """
    command, _, rest = line.strip().partition(" ")
    match command:
        case "status":
            _status(settings)
            say((auditor or Auditor()).status(settings))
        case "doctor":
            _doctor()
        case "explain" if rest.strip() == "types":
            _explain_types()
        case "explain":
            policy = policy_of(read_cell_line(rest), settings)
            told = (*explain(policy), *settings.floor().sentences)
            say("\n".join(_wrapped(sentence) for sentence in told))
        case "sessions":
            say("\n".join(_sessions_table(sessions)))
        case "restart":
            _restart(rest.strip(), sessions)
        case "rollback":
            _roll_back(rest.strip(), sessions)
        case _:
            commands = "\n".join(f"  %kavach {name:<9} {text}" for name, text in COMMANDS.items())
            asked = f"%kavach {command}: there is no such command" if command else "%kavach"
            raise UsageError(f"{asked}; there are:\n{commands}")


def _sessions_table(sessions: Sessions | None) -> Iterable[str]:
    living = [session for session in sessions or () if not session.is_over]
    if not living:
        yield "no sandbox lives on between cells; %%sandbox --session NAME begins one"
        return
    yield f"{'name':<16}  {'age':>8}  {'pid':>7}  {'memory':>9}  cells  what holds"
    for session in living:
        age = format_duration(max(1, round(time.monotonic() - session.began)))
        used = session.used_memory()
        memory = "in use" if used is None else format_size(used >> 20 << 20)
        yield (
            f"{session.name:<16}  {age:>8}  {session.pid:>7}  {memory:>9}  {session.cells:>5}"
            f"  strength {session.report.strength.score} of 100; {_limits_of(session.policy)}"
        )


def _limits_of(policy: Policy) -> str:
    parts = [f"memory {format_size(policy.memory)}", f"cpu {format_duration(policy.cpu)}"]
    if policy.timeout is not None:
        parts.append(f"{format_duration(policy.timeout)} a cell")
    return ", ".join(parts)


def _restart(name: str, sessions: Sessions | None) -> None:
    if sessions is None or not sessions.end(name):
        names = ", ".join(session.name for session in sessions or ()) or "none"
        raise UsageError(f"there is no session {name!r} to end; there are: {names}")
    say(f"the session {name!r} has ended, its variables are gone; its next cell begins a new one")


def _roll_back(name: str, sessions: Sessions | None) -> None:
    names = [session.name for session in sessions or ()]
    if sessions is None or ((name or len(names) != 1) and name not in names):
        there = ", ".join(names) or "none"
        raise UsageError(f"rollback needs the name of a session; there are: {there}")
    name = name or names[0]
    try:
        undone = sessions.roll_back(name)
    except PolicyError as error:
        raise UsageError(" ".join(str(error).split())) from None
    except KavachError as error:
        raise as_shown(error) from None
    say(gone_back(name, undone))


def _status(settings: Kavach) -> None:
    """Confine an empty cell by the settings, and show what was verified."""
    # Loads all that a sandbox is made of, which %load_ext need not wait for.
    from kavach_ipy.front.cells import run_empty_cell  # noqa: PLC0415

    try:
        policy = settings.to_policy()
    except PolicyError as error:
        raise UsageError(f"c.Kavach.{error}") from error
    run_empty_cell(policy)
    say("This was an empty cell, confined by the settings as every cell is.")


def _explain_types() -> None:
    # What the gate knows of types is loaded with the first cell, and not with the extension.
    from kavach_ipy.gate.listed import WITHHELD, sentences  # noqa: PLC0415

    told = sentences()
    width = 2 + max(len(group) for group, _ in told)
    say("These come back from a cell, by exact type, after -o or as its result:")
    for group, text in told:
        say(
            textwrap.fill(
                text, _WIDTH, initial_indent=f"{group:<{width}}", subsequent_indent=" " * width
            )
        )
    say("")
    say(textwrap.fill(WITHHELD, _WIDTH))


def _doctor() -> None:
    # The probe is for this command alone, and loading it would slow %load_ext down.
    from kavach_ipy.linux.probe import run_probe  # noqa: PLC0415

    say("\n".join(doctor_lines(run_probe())))


def doctor_lines(findings: Iterable[Finding]) -> Iterable[str]:
    """Return what ``%kavach doctor`` says of a probe's findings, line by line."""
    rows = list(findings)
    yield from _table(rows)
    refused = [finding for finding in rows if not finding.granted]
    yield ""
    if refused:
        yield f"{len(refused)} of {len(rows)} are refused: cells that need them do not run."
    else:
        yield "This machine can keep every promise."
    yield from textwrap.wrap(_of_the_hosts_network(), _WIDTH)


def _of_the_hosts_network() -> str:
    # As run_probe, it is for this command alone.
    from kavach_ipy.linux import landlock  # noqa: PLC0415

    abi = landlock.abi()
    if abi < landlock.PORTS_SINCE:
        return (
            f"--net cannot be had: Landlock's ABI is {abi}, and closes no TCP port; from Linux 6.7"
            " on it does."
        )
    return f"--net can be had: Landlock's ABI is {abi}, and closes the ports of notebooks."


def _table(findings: Iterable[Finding]) -> Iterable[str]:
    rows = list(findings)
    width = max(len(finding.layer) for finding in rows)
    margin = " " * (width + len("  granted  "))
    for finding in rows:
        word = "granted" if finding.granted else "REFUSED"
        text = finding.cause if finding.granted else f"{finding.cause} {finding.remedy}"
        lines = textwrap.wrap(text, _WIDTH - len(margin)) or [""]
        yield f"{finding.layer:<{width}}  {word}  {lines[0]}".rstrip()
        yield from (margin + line for line in lines[1:])


def _wrapped(sentence: str) -> str:
    return textwrap.fill(
        sentence,
        _WIDTH,
        initial_indent=_BULLET,
        subsequent_indent=" " * len(_BULLET),
        break_long_words=False,
        break_on_hyphens=False,
    )
