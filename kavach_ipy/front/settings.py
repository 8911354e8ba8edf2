"""The settings: a default for every option of ``%%sandbox``, as one traitlets class.

``c.Kavach.memory = "1G"`` in a configuration file, ``%config Kavach.memory = "1G"`` in a notebook.

Guarantees: a value that makes no sense is a ``TraitError`` that says what is allowed, and the old
value stays; nothing is repaired in silence; `Kavach.to_policy` is the only way out, and what it
returns is a valid `Policy`, no looser than the policy files say.
Assumes: whoever sets them decides what is allowed, but for what those files hold (`front.floor`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Final, cast

from traitlets import Bool, Dict, TraitError, Unicode, validate

from kavach_ipy.errors import PolicyError
from kavach_ipy.front.auditing import AuditSettings
from kavach_ipy.front.kinds import Proposal, choice, duration, number, size, texts
from kavach_ipy.front.own_profiles import check_profiles
from kavach_ipy.policy import (
    DEFAULT_ENVIRONMENT,
    PROFILES,
    Floor,
    Network,
    Policy,
    check_secrets,
    profile,
    tighten,
)
from kavach_ipy.policy.suggestions import did_you_mean

__all__ = ["Kavach"]

_DEFAULT: Final = Policy()
_NO_PROFILE: Final = "default"
_NAME: Final = r"[^\W\d]\w*"
_DOTTED: Final = {
    "trusted_types": (rf"{_NAME}(?:\.{_NAME})+", "module.Class"),
    "preload": (rf"{_NAME}(?:\.{_NAME})*", "a module's name, such as pandas,"),
}

# Setting, and the field of Policy that it fills. The settings are named from the notebook's side
# ("what is readable"), the fields from the sandbox's ("what is bound read-only").
_FIELDS: Final = {
    "network": "network",
    "timeout": "timeout",
    "cpu": "cpu",
    "memory": "memory",
    "pids": "pids",
    "files": "files",
    "disk": "disk",
    "output": "output",
    "messages": "messages",
    "stdin": "stdin",
    "readable": "read_only",
    "writable": "writable",
    "hidden": "hidden",
    "environment": "environment",
}


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@functools.lru_cache(maxsize=16)
def _policy_of(settings: tuple[tuple[str, object], ...]) -> Policy:
    """Return the policy of these settings; checking every value again costs as much as a fork."""
    return _with_what_it_needs({_FIELDS[name]: value for name, value in settings})


def _with_what_it_needs(fields: Mapping[str, object]) -> Policy:
    # A setting holds for every cell, so those that it cannot be had for are made clean.
    is_host = fields.get("network") == Network.HOST
    return Policy.from_mapping({**fields, "clean": True} if is_host else fields)


class Kavach(AuditSettings):
    """Defaults of the sandbox of every ``%%sandbox`` cell; options of a cell come on top."""

    network = Unicode(
        _DEFAULT.network.value,
        help="Network that a cell has: none, loopback for a private 127.0.0.1 of its own, or host"
        " for this machine's, with which every cell runs in a fresh interpreter (--clean). By"
        " default none. With host, a cell can send away what it reads.",
    ).tag(config=True)
    timeout = duration(
        _DEFAULT.timeout,
        "Longest time of a cell by the clock, in seconds or as 30s, 2min, 1h30m. By default none,"
        " which is no limit. Without one, a cell that waits holds the notebook until interrupted.",
    )
    cpu = duration(
        _DEFAULT.cpu,
        "Processor time of all processes of a cell, in seconds or as 30s, 2min. By default one"
        " hour. It stops busy loops, not waiting.",
    )
    memory = size(
        _DEFAULT.memory,
        "New memory of a cell on top of the notebook's, in bytes or as 512M, 2GiB. By default four"
        " GiB. It keeps a cell from taking the machine's memory.",
    )
    pids = number(
        _DEFAULT.pids,
        "Processes and threads that a cell may have at once, as a number. By default 512. It stops"
        " fork bombs.",
    )
    files = number(
        _DEFAULT.files,
        "Files that each process of a cell may have open, as a number. By default 1024. It keeps"
        " the machine's table of files free.",
    )
    disk = size(
        _DEFAULT.disk,
        "Temporary files that a cell may write, in bytes or as 64M. By default 512 MiB. They live"
        " in memory and are thrown away; what lies below writable paths is not counted.",
    )
    output = size(
        _DEFAULT.output,
        "What a cell may print and display, in bytes or as 8M. By default 16 MiB. It keeps the"
        " notebook file and the page usable.",
    )
    messages = number(
        _DEFAULT.messages,
        "Pieces of output that a cell may send, as a number. By default ten thousand. It keeps a"
        " cell from flooding the page with small displays.",
    )
    stdin = Bool(
        _DEFAULT.stdin,
        help="Let input() and getpass() of a cell ask you, as a yes or no. By default off. A cell"
        " reads what you type; each of its prompts begins with [sandbox].",
    ).tag(config=True)
    readable = texts(
        (),
        "Further files and directories that a cell may read, as absolute paths. By default only the"
        " system, the Python environment and the working directory. A cell may show what it reads.",
    )
    writable = texts(
        (),
        "Files and directories that a cell may change for good, as absolute paths. By default none."
        " A cell can destroy what is there.",
    )
    hidden = texts(
        (),
        "Files and directories that do not exist for a cell, as absolute paths. By default no"
        " further ones. They win over readable and writable.",
    )
    environment = texts(
        DEFAULT_ENVIRONMENT,
        "Environment variables that a cell keeps: names, or prefixes with a star. By default those"
        " that numeric libraries read. Tokens and passwords live in the others.",
    )
    profile = Unicode(
        _NO_PROFILE,
        help="Profile that every cell has unless it names another: default, strict, grading, agent"
        " or one of profiles. By default the settings alone. A profile tightens them.",
    ).tag(config=True)
    profiles = Dict(
        help="Profiles of your own: a name, and the settings that differ in it, such as"
        " {'students': {'memory': '256M', 'timeout': '20s'}}. By default none. They may be looser"
        " than the settings, so anyone who may write here may loosen.",
    ).tag(config=True)
    default_on = Bool(
        False,
        help="Run every cell in one sandbox that lives on, as a yes or no. By default off. It is"
        " read when the extension is loaded; a notebook's owner can switch it off.",
    ).tag(config=True)
    known_secrets = texts(
        (),
        "Values to overwrite in the memory of a cell before its first line, as texts of eight"
        " characters or more. By default none. A cell can read all other memory of the notebook;"
        " searching takes about 0.1 s for each GiB that the notebook holds.",
    )
    trusted_types = texts(
        (),
        "Classes whose instances may come back, as module.Class: dataclasses, attrs classes,"
        " pydantic models, Enums, NamedTuples. By default none; kavach_ipy.trust adds one for this"
        " notebook. A class that comes back runs its constructor here, on values of the cell's.",
    )
    preload = texts(
        (),
        "Modules that the fresh interpreters of --clean and --session have loaded before a cell"
        " comes, as names such as pandas. By default none. They are imported once, outside of any"
        " sandbox, in a process that is kept for the next cells and holds nothing of the notebook.",
    )
    checkpoint = choice(
        ("auto", "off"),
        "Keep what a session was before its last cell, as auto or off. By default auto, at a fork a"
        " cell. A stopped cell then costs what it did; its files and what it sent stay.",
    )
    allow_trust = Bool(
        False,
        help="Permit --trust, which unpickles what comes back, as a yes or no. By default off. With"
        " it a hostile cell runs code in the notebook, so it guards against accidents only.",
    ).tag(config=True)

    allow_trust_display = Bool(
        False,
        help="Permit --trust-display, which lets the page run what a cell shows, as a yes or no. By"
        " default off. With it a hostile cell acts in the page as its reader, files and all.",
    ).tag(config=True)
    withheld_types = texts(
        (),
        "MIME types that are not shown although they could be made harmless, such as text/html or"
        " image/*. By default none. Fewer types leave less that a front end could misread.",
    )

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        # traitlets warns of a setting that it does not know, and goes on: a misspelt "hidden"
        # would leave a path open.
        for name in self.config.get("Kavach", {}):
            if not self.has_trait(name):
                advice = did_you_mean(name, self.trait_names(config=True))
                raise TraitError(f"c.Kavach.{name}: no setting has this name; {advice}")

    def to_policy(self, floor: Floor | None = None) -> Policy:
        """Return what these settings allow, profile and policy files included.

        Args:
            floor: what `floor` returned just now; by default it is asked again.

        Raises:
            PolicyError: values that are right one by one contradict each other, or a policy file
                cannot be relied on.
        """
        return (floor or self.floor()).tighten(self._profiled())

    def _profiled(self) -> Policy:
        if self.profile == _NO_PROFILE:
            # Not tightened by the profile of that name, or no setting could allow anything more.
            return self._plain()
        own = self.own_profiles()
        if self.profile in own:
            return own[self.profile]
        return tighten(self._plain(), profile(self.profile))

    def own_profiles(self) -> dict[str, Policy]:
        """Return the user's own profiles as complete policies, for ``--profile``.

        Raises:
            FileRefused: a policy file cannot be relied on.
        """
        if not self.profiles:
            return {}
        plain, floor = self._plain(), self.floor()
        return {
            name: floor.tighten(plain.replace(**_as_fields(changes)))
            for name, changes in self.profiles.items()
        }

    def _plain(self) -> Policy:
        return _policy_of(tuple((name, _frozen(getattr(self, name))) for name in _FIELDS))

    @validate(*_FIELDS)
    def _check_value(self, proposal: Proposal) -> object:
        name, value = str(proposal["trait"].name), proposal["value"]
        try:
            _with_what_it_needs({_FIELDS[name]: value})
        except PolicyError as error:
            raise TraitError(_refusal(name, value, error)) from error
        return value

    @validate("known_secrets", "withheld_types")
    def _check_list(self, proposal: Proposal) -> object:
        from kavach_ipy.gate.mimes import DisplayPolicy  # noqa: PLC0415 - loading stays quick

        value = cast("list[str]", proposal["value"])
        try:
            if proposal["trait"].name == "known_secrets":
                check_secrets(value)
            else:
                DisplayPolicy.of(value)
        except PolicyError as error:
            raise TraitError(f"c.Kavach.{error}") from None
        return value

    @validate(*_DOTTED)
    def _check_dotted(self, proposal: Proposal) -> object:
        # They are looked up before each cell: a class of the notebook's is not there yet.
        setting = str(proposal["trait"].name)
        pattern, allowed = _DOTTED[setting]
        for name in cast("list[str]", proposal["value"]):
            if re.fullmatch(pattern, name) is None:
                raise TraitError(f"c.Kavach.{setting}: {name!r} is not allowed; {allowed} is")
        return proposal["value"]

    @validate("profiles")
    def _check_profiles(self, proposal: Proposal) -> object:
        value = proposal["value"]
        check_profiles(value, lambda changes: Policy().replace(**_as_fields(changes)))
        return value

    @validate("profile")
    def _check_profile(self, proposal: Proposal) -> object:
        known = (*PROFILES, *self.profiles)
        value = proposal["value"]
        if value not in known:
            words = ", ".join(known)
            raise TraitError(f"c.Kavach.profile: {value!r} is not allowed; profiles are {words}")
        return value


def _as_fields(changes: Mapping[object, object]) -> dict[str, object]:
    return {_FIELDS.get(str(key), str(key)): value for key, value in changes.items()}


def _refusal(name: str, value: object, error: PolicyError) -> str:
    return f"c.Kavach.{name}: {value!r} is not allowed; {error.allowed}"
