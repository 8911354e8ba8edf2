"""Tab in the first line of a sandboxed cell, and after ``%sandbox`` and ``%kavach``.

Guarantees: options, profiles and subcommands are offered exactly where they are understood; inside
code, paths and everything else the shell's own completion is left alone.
Assumes: IPython's matcher interface, version 2 (IPython.core.completer, "Matcher API").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult

from kavach_ipy.front.arguments import FRONT_FLAGS
from kavach_ipy.front.shells import Matcher, context_matcher
from kavach_ipy.policy import OPTIONS, Option

__all__ = ["COMMANDS", "make_matcher"]

COMMANDS: Final[Mapping[str, str]] = {
    "status": "what confines a cell here and now, as verified from outside",
    "doctor": "what this machine grants and refuses, why, and what to do",
    "explain": "what a cell with these options may and may not do; explain types: what comes back",
    "sessions": "the sandboxes that live on between cells",
    "restart": "end the named session; its next cell begins a new one",
    "on": "run every cell of this notebook in a sandbox, from the next one on",
    "off": "let the notebook's kernel run its cells itself again",
    "rollback": "bring back what a session was before its last cell",
}
"""Subcommands of ``%kavach``, and what each shows."""

_BY_FLAG: Final = {flag: option for option in OPTIONS for flag in option.flags}
_CELL_MAGICS: Final = ("%%sandbox", "%%kavach")
_ASSIGNED: Final = re.compile(r"^([^\W\d]\w*)\s*(?::[^=]+)?=(?!=)", re.MULTILINE)


def make_matcher(
    profiles: Callable[[], Iterable[str]], variables: Callable[[], Iterable[str]]
) -> Matcher:
    """Return the matcher to append to ``shell.Completer.custom_matchers``.

    Args:
        profiles: gives the names of the user's own profiles.
        variables: gives the names of the notebook's variables.
    """

    @context_matcher(identifier="kavach_ipy")
    def match(context: CompletionContext) -> SimpleMatcherResult:
        return _result(_candidates(context, profiles, variables), context.token)

    return match


def _candidates(
    context: CompletionContext,
    profiles: Callable[[], Iterable[str]],
    variables: Callable[[], Iterable[str]],
) -> Iterable[str]:
    name, _, rest = context.text_until_cursor.lstrip().partition(" ")
    words = _words_before(rest, context.token)
    if name == "%kavach":
        if not words:
            return COMMANDS
        if words[0] != "explain":
            return ()
        words = words[1:]
        if not words:
            return ("types", *_BY_FLAG, *FRONT_FLAGS)
    elif not (name == "%sandbox" or (name in _CELL_MAGICS and context.cursor_line == 0)):
        # Below the first line of a cell there is code, also where it looks like options.
        return ()
    option = _open_option(words)
    if option is None:
        return (*_BY_FLAG, *FRONT_FLAGS) if _only_options(words) else ()
    match option.field:
        case "profile":
            return (*option.choices, *profiles())
        case "inputs":
            return variables()
        case "outputs":
            return sorted(set(_ASSIGNED.findall(context.full_text)))
        case _:
            return ()


def _words_before(rest: str, token: str) -> list[str]:
    """Return the whole words before the one at the cursor."""
    done = rest[: len(rest) - len(token)] if token and rest.endswith(token) else rest
    words = done.split()
    # "a,b" is one word to us, but the completer's token begins after the comma.
    if words and done[-1:] in ("=", ","):
        words[-1:] = words[-1].partition("=")[:1] if "=" in words[-1] else []
    return words


def _open_option(words: list[str]) -> Option | None:
    """Return the option that waits for its value at the cursor."""
    option = _BY_FLAG.get(words[-1]) if words else None
    return option if option is not None and option.kind != "switch" else None


def _only_options(words: list[str]) -> bool:
    waiting = False
    for word in words:
        if not waiting and not word.startswith("-"):
            return False
        option = _BY_FLAG.get(word)
        waiting = not waiting and option is not None and option.kind != "switch"
    return True


def _result(candidates: Iterable[str], token: str) -> SimpleMatcherResult:
    found = [SimpleCompletion(text, type="param") for text in candidates if text.startswith(token)]
    if not found:
        return SimpleMatcherResult(completions=[])
    # Without "suppress" jedi adds every builtin that begins with the same letters.
    return SimpleMatcherResult(completions=found, suppress=True)
