"""The options of the magics, as data: the one table behind parsing, ``--help``, Tab and the docs.

Guarantees: every flag occurs once; every field that a flag sets is a field of `Policy`, but for
``profile``; every default that a help text states is computed from `Policy`.
Assumes: nothing is parsed here (see ``flags``); ``--report`` and ``--help`` belong to the front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from kavach_ipy.policy.model import Network
from kavach_ipy.policy.profiles import PROFILES
from kavach_ipy.policy.units import format_duration, format_size

__all__ = ["OPTIONS", "Kind", "Option"]

Kind = Literal["switch", "value", "names", "paths", "profile"]
"""How an option is read: no value; one value; names (adds up); paths (adds up); a base policy."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of ``%%sandbox``."""

    flags: tuple[str, ...]
    """Spellings; the last one is the long one, used when options are written by `to_flags`."""

    field: str
    """Field of `Policy` that it sets, or ``profile``."""

    kind: Kind
    """How its value is read."""

    help: str
    """Effect, unit, default, and what it means for safety."""

    metavar: str | None = None
    """Placeholder for the value; None for a switch."""

    const: str | bool | None = None
    """What a switch sets its field to."""

    choices: tuple[str, ...] = ()
    """Values to offer on Tab, where they are few."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be given more than once, and then adds up."""
        return self.kind in ("names", "paths")


_DEFAULT: Final = PROFILES["default"]

OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        ("--no-net",),
        "network",
        "switch",
        "No network sockets at all. The default, and the safest.",
        const=Network.NONE.value,
    ),
    Option(
        ("--loopback",),
        "network",
        "switch",
        "A private 127.0.0.1 of the cell's own, where nothing else listens. Off by default; as safe"
        " as --no-net towards other machines and towards this one.",
        const=Network.LOOPBACK.value,
    ),
    Option(
        ("--net",),
        "network",
        "switch",
        "The network of this machine, to connect by; the cell is no server. Off by default, and"
        " only with --clean or --session. The cell can send away whatever it can read, and reaches"
        " what this machine reaches, but for the ports of notebooks.",
        const=Network.HOST.value,
    ),
    Option(
        ("-o", "--out"),
        "outputs",
        "names",
        "Names of variables to bring back, joined by commas; repeatable. By default none."
        " Values are checked, and those of unknown kinds stay outside.",
        metavar="NAMES",
    ),
    Option(
        ("-i", "--in"),
        "inputs",
        "names",
        "Names of the notebook's variables that the cell may see, joined by commas; repeatable."
        " By default (and with *) all, with --clean none. In a fork it limits names, not memory.",
        metavar="NAMES",
    ),
    Option(
        ("--timeout",),
        "timeout",
        "value",
        "Longest time by the clock, such as 30s, 2min, 1h30m; none for no limit, the default."
        " The cell and all it started are killed at the end of it.",
        metavar="TIME",
    ),
    Option(
        ("--cpu",),
        "cpu",
        "value",
        "Processor time of all the cell's processes together, such as 10s."
        f" Default {format_duration(_DEFAULT.cpu)}. Stops busy loops, not waiting.",
        metavar="TIME",
    ),
    Option(
        ("--memory",),
        "memory",
        "value",
        "New memory on top of what the notebook has, such as 512M (powers of 1024)."
        f" Default {format_size(_DEFAULT.memory)}. Protects the machine from running out.",
        metavar="SIZE",
    ),
    Option(
        ("--pids",),
        "pids",
        "value",
        f"Processes and threads at once. Default {_DEFAULT.pids}. Stops fork bombs.",
        metavar="NUMBER",
    ),
    Option(
        ("--files",),
        "files",
        "value",
        f"Open files of each process. Default {_DEFAULT.files}. Keeps the machine's table free.",
        metavar="NUMBER",
    ),
    Option(
        ("--disk",),
        "disk",
        "value",
        "Temporary files that the cell may write, such as 64M; they are thrown away."
        f" Default {format_size(_DEFAULT.disk)}. Does not bound what is written below --rw paths.",
        metavar="SIZE",
    ),
    Option(
        ("--output",),
        "output",
        "value",
        "What the cell may print or display, such as 8M."
        f" Default {format_size(_DEFAULT.output)}. Keeps the notebook file and the page usable.",
        metavar="SIZE",
    ),
    Option(
        ("--ro",),
        "read_only",
        "paths",
        "Another file or directory that the cell may read; repeatable; none forgets those from the"
        " settings. By default only the system, the Python environment and the working directory.",
        metavar="PATH",
    ),
    Option(
        ("--rw",),
        "writable",
        "paths",
        "A file or directory that the cell may change for good; repeatable; none forgets those from"
        " the settings. By default nothing. The cell can destroy what is there.",
        metavar="PATH",
    ),
    Option(
        ("--hide",),
        "hidden",
        "paths",
        "A file or directory that does not exist for the cell; repeatable; none forgets those from"
        " the settings. By default no further one. Wins over --ro and --rw.",
        metavar="PATH",
    ),
    Option(
        ("--profile",),
        "profile",
        "profile",
        f"Tighten the settings by a ready-made policy: {', '.join(PROFILES)}. The other options are"
        " then applied on top. By default the settings alone.",
        metavar="NAME",
        choices=tuple(PROFILES),
    ),
    Option(
        ("--session",),
        "session",
        "value",
        "Run in a sandbox of this name that lives on between cells with its own variables."
        " By default each cell has a sandbox of its own. Cells of a session trust each other.",
        metavar="NAME",
    ),
    Option(
        ("--clean",),
        "clean",
        "switch",
        "Run in a fresh interpreter that shares no memory with the notebook; only --in names go in."
        " Off by default: a fork can read all the notebook's memory, but has no way out with it.",
        const=True,
    ),
    Option(
        ("--trust",),
        "trust",
        "switch",
        "Bring any object back, by unpickling it. Off by default and refused unless the"
        " administrator allows it: a hostile cell then runs code in the notebook.",
        const=True,
    ),
    Option(
        ("--stdin",),
        "stdin",
        "switch",
        "Let input(), getpass() and pdb of the cell ask you; each prompt begins with [sandbox]."
        " Off by default. The cell reads what you type, so give it no password of yours.",
        const=True,
    ),
    Option(
        ("--trust-display",),
        "trust_display",
        "switch",
        "Show widgets, scripts and all else that the cell displays, as an ordinary cell's. Off by"
        " default and refused unless the administrator allows it: a hostile cell then acts in the"
        " page as you.",
        const=True,
    ),
)
"""Every option, in the order in which help shows them."""
