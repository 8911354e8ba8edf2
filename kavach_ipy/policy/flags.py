"""Policies from and to command lines.

Guarantees: an unknown, doubled, contradicting or valueless option is a ``PolicyError`` that names
it; nothing is ignored and the process never exits;
``from_flags(to_flags(p, base=b), base=b, cwd=any) == p`` wherever options can say the difference.
Assumes: ``argv`` is split and unquoted already (``shlex.split``), and holds options only.

Not argparse: it exits on some errors, takes abbreviations (``--net`` for a later ``--network``),
reads ``-out x`` as ``-o ut``, and reads ``--timeout -5`` as an unknown option ``-5``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, assert_never

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy.algebra import tighten
from kavach_ipy.policy.model import FIELDS, Policy
from kavach_ipy.policy.options import OPTIONS, Option
from kavach_ipy.policy.paths import normalise_path
from kavach_ipy.policy.profiles import PROFILES
from kavach_ipy.policy.suggestions import did_you_mean
from kavach_ipy.policy.units import format_duration, format_size

__all__ = ["from_flags", "to_flags", "written"]

_BY_FLAG: Final = {flag: option for option in OPTIONS for flag in option.flags}
_BY_FIELD: Final = {option.field: option for option in OPTIONS if option.kind != "switch"}
_NONE: Final[Mapping[str, Policy]] = MappingProxyType({})

# The word that starts a list of paths afresh. A file of that name is written ./none.
_AFRESH: Final = "none"

# read_only and writable share their places: the one that the user names takes it from the other.
_OTHER_LIST: Final = {"read_only": "writable", "writable": "read_only"}


def from_flags(
    argv: Sequence[str],
    *,
    base: Policy,
    cwd: str,
    profiles: Mapping[str, Policy] = _NONE,
) -> Policy:
    """Return the policy that ``argv`` makes of ``base``.

    Values replace those of ``base``, names replace its names, paths add to its paths, and
    ``--profile`` tightens ``base`` before anything else is applied, wherever it stands.
    The result may be looser than ``base``: a floor is kept by `tighten` afterwards.

    Args:
        argv: options and their values, unquoted: ``["-o", "a,b", "--memory=512M"]``.
        base: what holds where ``argv`` says nothing (the settings).
        cwd: absolute directory that relative paths are relative to.
        profiles: the user's own profiles. They are complete policies and stand in the place of
            ``base``; they cannot take the name of a built-in one.

    Raises:
        PolicyError: an option or a value makes no sense; ``field`` is the flag as it was written.
    """
    if not os.path.isabs(cwd):
        raise PolicyError("cwd", cwd, "an absolute directory is")
    # From cell to cell seldom anything changes. "~" is the one thing that is read from outside.
    home = os.environ.get("HOME")
    return _from_flags(tuple(argv), base, cwd, tuple(sorted(profiles.items())), home)


@functools.lru_cache(maxsize=64)
def _from_flags(
    argv: tuple[str, ...],
    base: Policy,
    cwd: str,
    own: tuple[tuple[str, Policy], ...],
    _: str | None,
) -> Policy:
    profiles = dict(own)
    scalars: dict[str, object] = {}
    names: dict[str, list[str]] = {}
    paths: dict[str, list[str]] = {}
    spelt: dict[str, str] = {}
    for option, flag, value in _options_of(argv):
        if option.field in scalars:
            raise PolicyError(flag, value, f"it contradicts or repeats {spelt[option.field]}")
        spelt[option.field] = flag
        match option.kind:
            case "switch":
                scalars[option.field] = option.const
            case "value" | "profile":
                scalars[option.field] = value
            case "names":
                names.setdefault(option.field, []).extend(_names_in(value))
            case "paths":
                paths.setdefault(option.field, []).append(value)
            case _:
                assert_never(option.kind)
    if "profile" in scalars:
        base = _profiled(str(scalars.pop("profile")), spelt["profile"], base, profiles)
    try:
        return base.replace(**scalars, **names, **_merged(paths, base, cwd))
    except PolicyError as error:
        flag = spelt.get(error.field, error.field)
        raise PolicyError(flag, error.value, error.allowed) from error


def to_flags(policy: Policy, *, base: Policy) -> list[str]:
    """Return options that make ``policy`` of ``base``; to show them, use ``shlex.join``.

    Raises:
        PolicyError: the difference lies in a field that no option can set so (``environment``,
            ``messages``, taking back ``clean``, ``trust``, ``stdin`` or ``session``).
    """
    argv: list[str] = []
    for field in FIELDS:
        if getattr(policy, field) != getattr(base, field):
            argv += _flags_for(field, policy, base)
    return argv


def _options_of(argv: Sequence[str]) -> Iterator[tuple[Option, str, str]]:
    tokens = iter(argv)
    for token in tokens:
        flag, equals, value = token.partition("=")
        option = _BY_FLAG.get(flag)
        if option is None:
            raise PolicyError(flag, value or token, _advice(flag))
        if option.kind == "switch":
            if equals:
                raise PolicyError(flag, value, "it takes no value")
        elif not equals:
            following = next(tokens, None)
            # "-5" is a value (a wrong one, and said so later); "--cpu" is the next option.
            if following is None or following in _BY_FLAG or following.startswith("--"):
                raise PolicyError(
                    flag, following or "", f"it needs a {option.metavar} ({flag} {option.metavar})"
                )
            value = following
        yield option, flag, value


def _advice(token: str) -> str:
    if not token.startswith("-"):
        return (
            "it is no option: options begin with --, names are joined by commas without blanks, a"
            " value with blanks stands in quotes"
        )
    if f"-{token}" in _BY_FLAG:
        return f"there is no such option; did you mean '-{token}'?"
    for flag in _BY_FLAG:
        # "-oa" and "-out" look alike, so neither is taken apart.
        if len(flag) == len("-o") and token.startswith(flag):
            return f"did you mean '{flag} {token[2:]}'? There is no such option"
    return f"there is no such option; {did_you_mean(token, _BY_FLAG)}"


def _names_in(value: str) -> list[str]:
    return [name.strip() for name in value.split(",")] if value.strip() else []


def _merged(
    given: Mapping[str, Sequence[str]], base: Policy, cwd: str
) -> dict[str, tuple[str, ...]]:
    named = {
        field: {_absolute(path, cwd, field) for path in values if path != _AFRESH}
        for field, values in given.items()
    }
    merged: dict[str, tuple[str, ...]] = {}
    for field in ("read_only", "writable", "hidden"):
        kept = set() if _AFRESH in given.get(field, ()) else set(getattr(base, field))
        # Only places that come from the settings give way; the same place after --ro and --rw
        # stays in both lists and the constructor refuses it.
        kept -= named.get(_OTHER_LIST.get(field, ""), set())
        merged[field] = tuple(kept | named.get(field, set()))
    return merged


def _absolute(path: str, cwd: str, field: str) -> str:
    if not path:
        raise PolicyError(field, path, "a path is; the working directory is a dot")
    # "~nobody/x" is left as it is where there is no such user, and must not become a name
    # below the working directory: the constructor refuses it.
    return normalise_path(path if path[0] == "~" else os.path.join(cwd, path), field=field)


def _profiled(name: str, flag: str, base: Policy, profiles: Mapping[str, Policy]) -> Policy:
    taken = sorted(profiles.keys() & PROFILES.keys())
    if taken:
        raise PolicyError("profiles", taken[0], "a built-in profile has this name: choose another")
    if name in profiles:
        return profiles[name]
    if name in PROFILES:
        return tighten(base, PROFILES[name])
    known = (*PROFILES, *profiles)
    raise PolicyError(flag, name, f"profiles are {', '.join(known)}; {did_you_mean(name, known)}")


def _flags_for(field: str, policy: Policy, base: Policy) -> list[str]:
    value: object = getattr(policy, field)
    for option in OPTIONS:
        if option.kind == "switch" and (option.field, option.const) == (field, value):
            return [option.flags[-1]]
    option_or_none = _BY_FIELD.get(field)
    if option_or_none is None or (field == "session" and value is None):
        raise PolicyError(field, value, f"no option can say so: set c.Kavach.{field} instead")
    flag = option_or_none.flags[-1]
    if option_or_none.kind == "paths":
        return _path_flags(flag, getattr(policy, field), getattr(base, field))
    return [flag, written(field, value)]


def _path_flags(flag: str, after: tuple[str, ...], before: tuple[str, ...]) -> list[str]:
    afresh = not set(before) <= set(after)
    new = [path for path in after if afresh or path not in before]
    return [part for path in ([_AFRESH] if afresh else []) + new for part in (flag, path)]


def written(field: str, value: object) -> str:
    """Return ``value`` of ``field`` as its option takes it: ``512MiB``, ``30s``, ``a,b``."""
    match value:
        case None:
            return _AFRESH if field == "timeout" else "*"
        case tuple():
            return ",".join(value)
        case float():
            return format_duration(value)
        case int() if field in ("memory", "disk", "output"):
            return format_size(value)
        case _:
            return str(value)
