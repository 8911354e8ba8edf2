"""Values that a cell must not find in its memory: what may be one.

Guarantees: what is returned can be searched for; no message repeats a value.
Assumes: the values come from a settings file or a script. They are no part of a `Policy`, which is
shown, explained and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kavach_ipy.errors import PolicyError

__all__ = ["check_secrets"]

_SHORTEST: Final = 8
"""Characters: a shorter text stands in memory by chance, and is overwritten there, too."""


def check_secrets(values: object) -> tuple[str, ...]:
    """Return the values, each once.

    Raises:
        PolicyError: it is no list of texts, or one of them is too short. Named by its place, for
            what is written by mistake may be a secret all the same.
    """
    allowed = f"a list of texts of {_SHORTEST} characters or more"
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise PolicyError("known_secrets", f"<a {type(values).__name__}>", allowed)
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise PolicyError(f"known_secrets[{place}]", f"<a {type(value).__name__}>", allowed)
        if len(value) < _SHORTEST:
            raise PolicyError(f"known_secrets[{place}]", f"<{len(value)} characters>", allowed)
    return tuple(dict.fromkeys(values))
