"""``kavach-jupyter audit verify FILE``: look at a log, and say whether it is what was written.

Also ``python -m kavach_ipy.audit.command verify FILE``.

Guarantees: 0 for a log that is intact, 1 for one that is not, 2 where it cannot be looked at; one
line says where and why. Nothing is changed.
Assumes: whoever asks may read the log and its key.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kavach_ipy.audit.verify import Expected, Verdict, read_key, verify_log

if TYPE_CHECKING:
    # The type of what argparse returns has no public name.
    _Parsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

__all__ = ["add_arguments", "main", "run"]

_ABOUT = """\
Check the chain of an audit log, and name the first line that is wrong and why.

Exit status: 0 intact, 1 not intact, 2 it cannot be read.
"""


def add_arguments(subparsers: _Parsers) -> None:
    """Add ``audit verify`` to a command; `run` is what it does."""
    audit = subparsers.add_parser("audit", help="check logs of sandboxed cells")
    _add_verify(audit.add_subparsers(dest="audit_command", required=True, metavar="COMMAND"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked, print it, and return the exit status."""
    try:
        secret = read_key(args.key or f"{args.file}.key")
        expected = None if args.expect is None else Expected.parse(args.expect)
        verdict = verify_log(args.file, secret, head=args.head, expected=expected)
    except (OSError, ValueError) as error:
        print(f"{args.file}: cannot be checked: {error}", file=sys.stderr)  # noqa: T201
        return 2
    for line in _told(args.file, verdict):
        print(line)  # noqa: T201 - it is a command.
    return 0 if verdict.is_intact else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the command by itself."""
    parser = argparse.ArgumentParser(prog="python -m kavach_ipy.audit.command")
    _add_verify(parser.add_subparsers(dest="audit_command", required=True, metavar="COMMAND"))
    return run(parser.parse_args(arguments))


def _add_verify(subparsers: _Parsers) -> None:
    verify = subparsers.add_parser(
        "verify",
        help="check the chain of a log",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verify.add_argument("file", metavar="FILE", help="the log, kavach-….jsonl")
    verify.add_argument("--key", metavar="FILE", help="its key; by default FILE.key")
    verify.add_argument(
        "--head", metavar="FILE", help="its head, or a copy kept elsewhere; by default FILE.head"
    )
    verify.add_argument(
        "--expect",
        metavar="LINES:MAC",
        help="how many lines there were at least and the MAC of that one, as this command prints"
        " them and as hooks hear them",
    )


def _told(path: str, verdict: Verdict) -> Sequence[str]:
    shown = ascii(path)[1:-1]
    if verdict.problem is not None:
        where = f"line {verdict.problem.line}" if verdict.problem.line else "the log"
        first = f"{shown}: NOT INTACT: {where}: {verdict.problem.reason}"
    else:
        end = "closed" if verdict.is_closed else "open"
        first = f"{shown}: intact, {end}; --expect {verdict.lines}:{verdict.mac.hex()}"
    return (first, *(f"  note: {note}" for note in verdict.notes))


if __name__ == "__main__":
    sys.exit(main())
