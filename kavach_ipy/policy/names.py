"""Names that a policy holds: variables and sessions.

Guarantees: what is returned is valid, sorted and without doubles, so that equal sets are equal.
Assumes: the values come from a person or a settings file and may be of any type.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from kavach_ipy.errors import PolicyError

__all__ = [
    "SHELL_NAMES",
    "check_names",
    "normalise_inputs",
    "normalise_outputs",
    "normalise_session",
    "words_of",
]

# IPython puts these into every notebook's namespace (IPython.core.interactiveshell,
# init_user_ns and prepare_user_module); to assign one of them is to change the shell.
SHELL_NAMES: Final = frozenset({"In", "Out", "display", "exit", "get_ipython", "quit"})

_BUILTINS: Final = frozenset(dir(builtins))
_SESSION: Final = r"[A-Za-z][A-Za-z0-9_-]{0,31}"
_MAX_NAME: Final = 200


def normalise_inputs(value: object) -> tuple[str, ...] | None:
    """Return the names that a cell may see, or None for all.

    Args:
        value: None or ``*`` for all; ``a,b`` or a list of names; empty for none at all.

    Raises:
        PolicyError: a name is no identifier, or belongs to the shell.
    """
    return _variables("inputs", value, _check_input)


def normalise_outputs(value: object) -> tuple[str, ...] | None:
    """Return the names that may come back, or None for any that the caller asks for.

    Args:
        value: None or ``*`` for any; ``a,b`` or a list of names; empty for none at all.

    Raises:
        PolicyError: a name is no identifier, is private, or would replace a builtin or a part of
            the shell.
    """
    return _variables("outputs", value, _check_output)


def normalise_session(value: object) -> str | None:
    """Return a session's name, or None for no session.

    Raises:
        PolicyError: not a letter followed by at most 31 letters, digits, ``_`` or ``-``.
    """
    if value is None:
        return None
    if not isinstance(value, str) or re.fullmatch(_SESSION, value) is None:
        raise PolicyError(
            "session",
            value,
            "a letter followed by at most 31 letters, digits, _ or - is, such as model-2",
        )
    return value


def words_of(field: str, value: object, allowed: str) -> tuple[str, ...]:
    """Return the words of ``a,b`` or of a list, unchecked; ``allowed`` is for the error.

    Raises:
        PolicyError: neither text nor a list of texts.
    """
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",")) if value.strip() else ()
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise PolicyError(field, value, allowed)
    words: list[str] = []
    for word in value:
        if not isinstance(word, str):
            raise PolicyError(field, word, allowed)
        words.append(word)
    return tuple(words)


def _variables(
    field: str, value: object, check: Callable[[str, str], str]
) -> tuple[str, ...] | None:
    if value is None:
        return None
    words = words_of(field, value, "names of variables are, joined by commas, or * for all")
    if "*" in words:
        return None
    return tuple(sorted({check(field, _as_python_reads_it(word)) for word in words}))


def _as_python_reads_it(word: str) -> str:
    # Python compares identifiers after NFKC normalisation (reference, 2.3), so a full-width
    # "exit" would pass a check of the raw text and still be the name exit.
    if word.isascii():
        return word
    from unicodedata import normalize  # noqa: PLC0415

    return normalize("NFKC", word)


def _check_input(field: str, name: str) -> str:
    _check_identifier(field, name)
    if name.startswith("__"):
        raise PolicyError(field, name, "names that begin with __ belong to Python itself")
    if name in SHELL_NAMES:
        raise PolicyError(field, name, "it belongs to the shell, which a cell never gets")
    return name


def _check_output(field: str, name: str) -> str:
    _check_identifier(field, name)
    if name.startswith("_"):
        raise PolicyError(
            field, name, "names that begin with _ are private or the shell's: assign it to another"
        )
    if name in SHELL_NAMES:
        raise PolicyError(field, name, "it belongs to the shell, and would be replaced in it")
    if name in _BUILTINS:
        raise PolicyError(
            field, name, "it is a builtin of Python, which would be replaced: choose another name"
        )
    return name


def _check_identifier(field: str, name: str) -> None:
    if len(name) > _MAX_NAME or not name.isidentifier():
        raise PolicyError(
            field, name, "a variable's name is, several joined by commas without blanks (a,b)"
        )
    if keyword.iskeyword(name):
        raise PolicyError(field, name, "it is a keyword of Python and cannot be a variable")


def check_names(option: str, names: Iterable[str], allowed: Sequence[str] | None) -> None:
    """Refuse what a policy does not let in or out.

    Args:
        option: whose names they are, for the words of an error.
        names: what was asked for.
        allowed: what the policy has; None for all.

    Raises:
        PolicyError: naming the first that is not allowed.
    """
    for name in names:
        if allowed is not None and name not in allowed:
            raise PolicyError(option, name, f"the policy allows {', '.join(allowed) or 'none'}")
