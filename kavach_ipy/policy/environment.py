"""Environment variables that survive, as names and prefixes.

Guarantees: lists that let through the same variables are equal; the intersection of two lists is
again such a list.
Assumes: a pattern is a name, or a prefix followed by ``*``; nothing else is needed in practice,
and nothing else has an intersection that is as simple.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy.names import words_of

__all__ = [
    "DEFAULT_ENVIRONMENT",
    "intersect_patterns",
    "normalise_patterns",
    "pattern_covers",
    "survives",
]

_MAX_NAME: Final = 200

# What scientific libraries read and what carries no secret. Left out on purpose, though often
# wanted: HTTP_PROXY and PIP_INDEX_URL (passwords in URLs), SSH_AUTH_SOCK and
# DBUS_SESSION_BUS_ADDRESS (doors out), TMPDIR and XDG_* (places that do not exist inside), and
# every prefix that also holds tokens (JUPYTER_*, JPY_*, AWS_*, GOOGLE_*, HF_*, CONDA_*).
DEFAULT_ENVIRONMENT: Final = (
    "BLIS_NUM_THREADS",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "COLUMNS",
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CUDA_VISIBLE_DEVICES",
    "FORCE_COLOR",
    "GDAL_DATA",
    "GIT_PAGER",
    "HOME",
    "JAVA_HOME",
    "KMP_*",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LD_LIBRARY_PATH",
    "LINES",
    "LOGNAME",
    "LOKY_MAX_CPU_COUNT",
    "MKL_*",
    "MPLBACKEND",
    "NO_COLOR",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
    "NUMEXPR_*",
    "OMP_*",
    "OPENBLAS_*",
    "PAGER",
    "PATH",
    "POLARS_MAX_THREADS",
    "PROJ_DATA",
    "PROJ_LIB",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONIOENCODING",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONUTF8",
    "PYTHONWARNINGS",
    "RAYON_NUM_THREADS",
    "R_HOME",
    "SHELL",
    "TERM",
    "TF_CPP_MIN_LOG_LEVEL",
    "TZ",
    "USER",
    "VECLIB_*",
    "VIRTUAL_ENV",
)


def normalise_patterns(value: object) -> tuple[str, ...]:
    """Return the environment variables that survive, without patterns that another one covers.

    Args:
        value: ``PATH,LC_*`` or a list of names, each either whole or ending in ``*``.

    Raises:
        PolicyError: a name is no name of an environment variable.
    """
    if value is DEFAULT_ENVIRONMENT:
        # What most policies have; a test keeps it in the form that this function returns.
        return DEFAULT_ENVIRONMENT
    allowed = "names of environment variables are, each whole or ending in *, such as PATH or LC_*"
    patterns = set(words_of("environment", value, allowed))
    for pattern in patterns:
        # POSIX, Base Definitions 8.1: the names that utilities use are ASCII identifiers.
        name = pattern.removesuffix("*")
        valid = name.isidentifier() and name.isascii()
        if not (valid or pattern == "*") or len(pattern) > _MAX_NAME:
            raise PolicyError("environment", pattern, allowed)
    return _without_covered(patterns)


def pattern_covers(wide: str, narrow: str) -> bool:
    """Tell whether every variable that ``narrow`` lets through also passes ``wide``."""
    if wide.endswith("*"):
        return narrow.startswith(wide[:-1])
    return wide == narrow


def survives(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether the environment variable ``name`` is let through by one of ``patterns``."""
    # A "*" in a variable's own name is a character like any other, never a pattern.
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        for pattern in patterns
    )


def intersect_patterns(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that let through exactly what both sides let through."""
    others = tuple(right)
    both: set[str] = set()
    for one in left:
        for other in others:
            # Two prefixes share names only when one begins with the other; then the longer one
            # is the intersection, so the result is again a list of such patterns.
            if pattern_covers(one, other):
                both.add(other)
            elif pattern_covers(other, one):
                both.add(one)
    return _without_covered(both)


def _without_covered(patterns: set[str]) -> tuple[str, ...]:
    # Only a prefix can cover another pattern, and lists have few of them.
    prefixes = tuple(pattern for pattern in patterns if pattern.endswith("*"))
    return tuple(
        sorted(
            one
            for one in patterns
            if not any(other != one and pattern_covers(other, one) for other in prefixes)
        )
    )
