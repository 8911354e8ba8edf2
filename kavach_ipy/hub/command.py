"""``kavach-jupyter``: sandboxed kernels for everybody, for an environment, or for oneself.

Guarantees: every file that is written or removed is printed; a refusal is one line on standard
error that says what to do, and exit code 1; misuse is exit code 2, as argparse has it.
Assumes: run by whoever owns the scope; no configuration of the user's is run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from kavach_ipy.audit.command import add_arguments
from kavach_ipy.audit.command import run as run_audit
from kavach_ipy.errors import FileRefused
from kavach_ipy.front.commands import doctor_lines
from kavach_ipy.hub.inspecting import findings, shown
from kavach_ipy.hub.installing import Done, disable, enable
from kavach_ipy.hub.scopes import SCOPES, Scope, ScopeName, scope_of
from kavach_ipy.linux.probe import run_probe

__all__ = ["main"]

_DESCRIPTION: Final = """\
Run every cell of Jupyter in a sandbox: install kernels for it, look at what is in force, and take
it away again. docs/how-to/jupyterhub.md has the whole way for a hub."""

_COMMANDS: Final = {
    "enable": "write the kernel, the server's settings and a policy file, and print each file",
    "disable": "remove what enable wrote; a file that was edited since is kept",
    "show": "print what is in force, and which line of which file says so",
    "doctor": "try what this machine can enforce, and check what is installed",
}

_SCOPES: Final[dict[ScopeName, str]] = {
    "system": "for every user of this machine: below /usr/local and /etc; needs root",
    "sys-prefix": "for every user of this Python environment: below its directory",
    "user": "for oneself: the kernel alone; servers keep their terminals and other kernels",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what stands behind ``kavach-jupyter``; by default that of this process.

    Returns:
        0 where all is well, 1 where something was refused, kept or found wrong.
    """
    asked = _parser().parse_args(arguments)
    if asked.command == "audit":
        return run_audit(asked)
    if asked.root and asked.scope != "system":
        print("kavach-jupyter: --root goes with --system only", file=sys.stderr)
        return 2
    named = [asked.scope] if asked.scope else list(SCOPES)
    try:
        scopes = [scope_of(name, asked.root or "") for name in named]
        match asked.command:
            case "enable":
                _printed(enable(scopes[0]))
                return 0
            case "disable":
                return _disable(scopes[0])
            case "show":
                print("\n".join(shown(scopes)))
                return 0
            case _:
                return _doctor(scopes)
    except FileRefused as error:
        print(f"kavach-jupyter: {error}", file=sys.stderr)
    except OSError as error:
        advice = " Run it as root, or with --user." if isinstance(error, PermissionError) else ""
        print(f"kavach-jupyter: {error}.{advice}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kavach-jupyter", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        needs_scope = name in ("enable", "disable")
        group = command.add_mutually_exclusive_group(required=needs_scope)
        for scope, meaning in _SCOPES.items():
            group.add_argument(
                f"--{scope}", dest="scope", action="store_const", const=scope, help=meaning
            )
        command.add_argument(
            "--root",
            metavar="DIR",
            type=_directory,
            help="with --system: write below DIR, as for an image that is being built",
        )
    add_arguments(commands)
    return parser


def _directory(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no directory")
    return os.path.realpath(text).rstrip("/")


def _printed(done: Iterator[Done]) -> list[Done]:
    told = []
    for it in done:
        # One by one: what was done before a failure was done.
        print(f"{it.what:<9} {it.path}{f': {it.why}' if it.why else ''}", flush=True)
        told.append(it)
    return told


def _disable(scope: Scope) -> int:
    done = _printed(disable(scope))
    if not done:
        print(f"nothing was enabled with --{scope.name}: nothing to undo")
    return int(any(it.what == "kept" for it in done))


def _doctor(scopes: Sequence[Scope]) -> int:
    found = [*run_probe(), *findings(scopes)]
    print("\n".join(doctor_lines(found)))
    return int(any(not finding.granted for finding in found))
