"""The first line of a sandboxed cell: options in, a policy out.

The parser that IPython shows in ``%%sandbox?`` and ``--help`` is made from the same table that the
policy package reads options with, so the two cannot disagree.

Guarantees: misuse is a ``UsageError`` of one line that names the option and what is allowed, and
nothing has run; the code behind the options of ``%sandbox`` is handed on as it was written.
Assumes: the line is the user's own; nothing in it is expanded or evaluated.
"""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeVar

from IPython.core.error import UsageError

from kavach_ipy.errors import PolicyError
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.shells import Decorator, argument, description, with_parser
from kavach_ipy.policy import OPTIONS, Option, Policy, from_flags

__all__ = [
    "FRONT_FLAGS",
    "Request",
    "policy_of",
    "read_cell_line",
    "read_code_line",
    "with_options",
]

FRONT_FLAGS: Final = {
    "--report": "Show under the output what confined the cell, layer by layer; while it runs, one"
    " line of time, memory and processes.",
    "--help": "Show this help; nothing runs.",
}
"""Options that concern what is shown, not what is allowed."""

_ASKS_BACK: Final = re.compile(r"(?:-o|--out)(?:=|$)")
_HELP: Final = ("--help", "-h")
_FLAGS: Final = tuple(flag for option in OPTIONS for flag in option.flags)
_TAKES_VALUE: Final = frozenset(
    flag for option in OPTIONS if option.kind != "switch" for flag in option.flags
)

# How a person asks for more of a field: --net and --loopback for network, --hide for hidden.
_SPELT: Final = {option.field: option.flags[-1] for option in OPTIONS}

_Magic = TypeVar("_Magic", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, before it is judged."""

    options: tuple[str, ...]
    """Options for the policy, unquoted."""

    wants_help: bool = False
    wants_report: bool = False
    code: str = ""
    """The code of a ``%sandbox`` line; empty for a cell, whose code stands below its line."""


def with_options(summary: str) -> Decorator:
    """Give a magic the parser whose help ``?`` and ``--help`` show, made from the table.

    Args:
        summary: the text above the options, with examples.
    """
    # IPython reads a stack of decorators from the top, so the last one applied comes first.
    decorators = [
        argument(flag, action="store_true", help=FRONT_FLAGS[flag]) for flag in FRONT_FLAGS
    ]
    decorators = [*map(_as_argument, OPTIONS), *decorators]

    def decorate(magic: _Magic, /) -> _Magic:
        for decorator in reversed(decorators):
            magic = decorator(magic)
        return with_parser()(description(description=summary)(magic))

    return decorate


def read_cell_line(line: str) -> Request:
    """Read the line of a cell magic, which holds options and nothing else.

    Raises:
        UsageError: a quotation is not closed.
    """
    try:
        return _request(shlex.split(line), "")
    except ValueError as error:
        raise UsageError(f"the options cannot be read: {str(error).lower()}: {line!r}") from None


def read_code_line(line: str) -> Request:
    """Read the line of ``%sandbox``: options, then code. ``--`` ends the options.

    Raises:
        UsageError: a quotation in the options is not closed.
    """
    options: list[str] = []
    rest = line.lstrip()
    while rest.startswith("-"):
        word, rest = _next_word(rest)
        if word == "--":
            break
        options.append(word)
        if word in _TAKES_VALUE and rest:
            word, rest = _next_word(rest)
            options.append(word)
    return _request(options, rest)


def policy_of(request: Request, settings: Kavach) -> Policy:
    """Return the policy that the options make of the settings.

    Settings that are looser than a policy file are tightened to it; an option that asks for more
    than it allows is refused.

    Raises:
        UsageError: an option or a value makes no sense, or a policy file forbids it or cannot be
            relied on; one line that says what is allowed.
    """
    for token in request.options:
        flag = token.partition("=")[0]
        if flag in _FLAGS or flag in FRONT_FLAGS:
            continue
        near = get_close_matches(flag, (*_FLAGS, *FRONT_FLAGS), n=1)
        if near and near[0] in FRONT_FLAGS:
            raise UsageError(f"{flag}: there is no such option; did you mean {near[0]!r}?")
    try:
        floor = settings.floor()
        policy = from_flags(
            request.options,
            base=settings.to_policy(floor),
            cwd=os.getcwd(),
            profiles=settings.own_profiles(),
        )
        floor.check(policy, _SPELT)
    except FileNotFoundError as error:
        raise UsageError(
            "the notebook's working directory does not exist any more, so a sandbox cannot have it:"
            " change to another one with %cd"
        ) from error
    except PolicyError as error:
        raise UsageError(" ".join(str(error).split())) from error
    if policy.outputs is None and any(_ASKS_BACK.match(token) for token in request.options):
        raise UsageError(
            "--out: '*' is not allowed; names are, joined by commas: with a star the cell would"
            " choose what it replaces in the notebook"
        )
    return policy


def _request(tokens: list[str], code: str) -> Request:
    options, front = [], set()
    rest = iter(tokens)
    for token in rest:
        if token in _HELP or token in FRONT_FLAGS:
            front.add(token)
            continue
        options.append(token)
        if token in _TAKES_VALUE:
            # What follows is a value, even where it is spelt like one of our own flags.
            options.extend(_first(rest))
    return Request(tuple(options), bool(front & set(_HELP)), "--report" in front, code)


def _first(tokens: Iterator[str]) -> Iterator[str]:
    for token in tokens:
        yield token
        return


def _next_word(text: str) -> tuple[str, str]:
    """Split off one word as a shell would, and leave the rest untouched."""
    source = io.StringIO(text)
    reader = shlex.shlex(source, posix=True)
    reader.whitespace_split = True
    reader.commenters = ""
    try:
        word = reader.get_token()
    except ValueError as error:
        raise UsageError(f"the options cannot be read: {str(error).lower()}: {text!r}") from None
    # shlex reads one character at a time, so what it has not read is exactly the rest.
    return word or "", source.read().lstrip()


def _as_argument(option: Option) -> Decorator:
    # argparse formats help texts with %, which none of ours means.
    text = option.help.replace("%", "%%")
    if option.kind == "switch":
        return argument(*option.flags, action="store_true", help=text)
    action = "append" if option.is_repeatable else "store"
    return argument(*option.flags, action=action, metavar=option.metavar, help=text)
