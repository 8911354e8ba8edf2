"""WHAT a cell is allowed: frozen, hashable data and what can be said about it.

::

                  policy file ──> Floor ───┐
    options, settings ────────────> Policy ┴──tighten──> Policy ──> launch.plan
                                        │  ▲
                       explain, to_flags│  │from_sentences, from_flags
                                        ▼  │
                                 sentences, command lines

Guarantees: standard library only; importing starts nothing; the combination of two policies is
never looser than either of them.
Assumes: nothing about the machine; ``linux`` is never imported here.
"""

from __future__ import annotations

from kavach_ipy.policy.algebra import is_at_most, tighten
from kavach_ipy.policy.environment import DEFAULT_ENVIRONMENT, survives
from kavach_ipy.policy.flags import from_flags, to_flags
from kavach_ipy.policy.floor import NO_FLOOR, Floor, PolicyFile
from kavach_ipy.policy.model import FIELDS, Network, Policy
from kavach_ipy.policy.options import OPTIONS, Option
from kavach_ipy.policy.profiles import PROFILES, profile
from kavach_ipy.policy.secrets import check_secrets
from kavach_ipy.policy.sentences import explain, from_sentences
from kavach_ipy.policy.units import format_duration, format_size, parse_duration, parse_size

__all__ = [
    "DEFAULT_ENVIRONMENT",
    "FIELDS",
    "NO_FLOOR",
    "OPTIONS",
    "PROFILES",
    "Floor",
    "Network",
    "Option",
    "Policy",
    "PolicyFile",
    "check_secrets",
    "explain",
    "format_duration",
    "format_size",
    "from_flags",
    "from_sentences",
    "is_at_most",
    "parse_duration",
    "parse_size",
    "profile",
    "survives",
    "tighten",
    "to_flags",
]
