"""Ready-made policies with a name.

Guarantees: no profile is looser than ``default`` in any field; names are unique.
Assumes: a caller who wants other numbers changes them with ``replace`` or with options.

====== ========================================================================================
name   promise
====== ========================================================================================
default a sandbox for one's own work: no network, nothing persists, generous limits
strict  small limits of every kind and a bare environment, still beside the notebook's variables
grading a fresh interpreter, so that no answer key in the grader's memory can be read; short
agent   for code that a model wrote: output small enough to be read, no endless loops
====== ========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy.model import Policy
from kavach_ipy.policy.suggestions import did_you_mean
from kavach_ipy.policy.units import GIB, MIB

__all__ = ["PROFILES", "profile"]

# Where programs are, what language and clock the user has, and how many threads to start.
# No LD_LIBRARY_PATH or PYTHONPATH, which may name places outside the environment.
_BARE_ENVIRONMENT: Final = (
    "HOME",
    "LANG",
    "LC_*",
    "MKL_*",
    "MPLBACKEND",
    "OMP_*",
    "OPENBLAS_*",
    "PATH",
    "PYTHONHASHSEED",
    "PYTHONUTF8",
    "TERM",
    "TZ",
    "USER",
)

PROFILES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        "default": Policy(),
        "strict": Policy(
            timeout=60,
            cpu=60,
            memory=GIB,
            pids=64,
            files=256,
            disk=64 * MIB,
            output=MIB,
            messages=1_000,
            environment=_BARE_ENVIRONMENT,
        ),
        # A fork would hand the grader's memory, with the expected answers and the marks of the
        # others, to the student's code. Hence clean: only what is named goes in.
        "grading": Policy(
            clean=True,
            timeout=120,
            cpu=120,
            memory=2 * GIB,
            pids=128,
            files=256,
            disk=128 * MIB,
            output=MIB,
            messages=1_000,
            environment=_BARE_ENVIRONMENT,
        ),
        # What an agent's cell prints usually goes on to a model, which pays for every token of it.
        "agent": Policy(
            timeout=120,
            cpu=300,
            memory=2 * GIB,
            pids=128,
            files=512,
            disk=256 * MIB,
            output=4 * MIB,
            messages=1_000,
            environment=_BARE_ENVIRONMENT,
        ),
    }
)
"""Every built-in profile by name; read-only."""


def profile(name: str) -> Policy:
    """Return the built-in profile called ``name``.

    Raises:
        PolicyError: there is none of that name; the message lists them.
    """
    try:
        return PROFILES[name]
    except KeyError:
        advice = f"profiles are {', '.join(PROFILES)}; {did_you_mean(name, PROFILES)}"
        raise PolicyError("profile", name, advice) from None
