"""The keys of a policy file, as data: the one table behind the validator and the documentation.

Guarantees: every key but the three of ``OWN_KEYS`` bounds one field of `Policy`; every field is
bounded by one key, or belongs to one cell and stands in ``OF_A_CELL``.
Assumes: nothing is read here (see ``file``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from kavach_ipy.policy.auditing import AuditMode

__all__ = ["KEYS", "OF_A_CELL", "OWN_KEYS", "Key", "Kind"]

Kind = Literal["switch", "size", "time", "count", "word", "words", "paths"]
"""What may stand right of the equals sign."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a policy file."""

    name: str
    field: str
    """The field of `Policy` that it bounds; empty for what no policy has."""

    kind: Kind
    help: str
    """What it allows, and what holds where the file does not mention it."""

    unmentioned: str = ""
    """The value that holds where the file does not mention it; empty where anything goes."""

    forms: str = ""
    """What else than its kind says is allowed, as a sentence."""


KEYS: Final[tuple[Key, ...]] = (
    Key(
        "network",
        "network",
        "word",
        "The most network that a cell may have. With host, a clean cell may ask for --net.",
        '"loopback"',
        '"none", "loopback" or "host" is',
    ),
    Key("timeout", "timeout", "time", "The longest time of a cell by the clock."),
    Key("cpu", "cpu", "time", "The most processor time of a cell."),
    Key("memory", "memory", "size", "The most new memory of a cell."),
    Key("pids", "pids", "count", "The most processes and threads of a cell at once."),
    Key("files", "files", "count", "The most open files of each process of a cell."),
    Key("disk", "disk", "size", "The most temporary files of a cell."),
    Key("output", "output", "size", "The most that a cell may print and display."),
    Key("messages", "messages", "count", "The most pieces of output that a cell may send."),
    Key(
        "read_only",
        "read_only",
        "paths",
        "The only further places that --ro and the settings may show to a cell."
        " Without writable, nothing is writable then.",
    ),
    Key(
        "writable",
        "writable",
        "paths",
        "The only places that --rw and the settings may let a cell change.",
    ),
    Key("hidden", "hidden", "paths", "Places that no cell ever sees."),
    Key(
        "environment",
        "environment",
        "words",
        "The only environment variables that a cell may keep: names, or prefixes with a star.",
    ),
    Key("clean", "clean", "switch", "With true, every cell runs in a fresh interpreter."),
    Key("stdin", "stdin", "switch", "With false, no cell may ask the person at the notebook."),
    Key(
        "allow_trust",
        "trust",
        "switch",
        "With true, the settings may permit --trust, by which a cell runs code in the notebook.",
        "false",
    ),
    Key(
        "allow_trust_display",
        "trust_display",
        "switch",
        "With true, the settings may permit --trust-display, by which a cell acts in the page.",
        "false",
    ),
    Key(
        "allow_off",
        "",
        "switch",
        "With true, %kavach off may run cells outside of the sandbox.",
        "false",
    ),
    Key(
        "audit",
        "",
        "word",
        "Whether each cell is recorded; required: one that cannot be recorded does not run.",
        '"off"',
        f"{', '.join(f'{chr(34)}{word}{chr(34)}' for word in AuditMode)} are",
    ),
)
"""Every key, in the order in which the documentation shows them."""

OWN_KEYS: Final = frozenset(key.name for key in KEYS if not key.field)
"""Keys that bound no field of a policy."""

OF_A_CELL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "inputs": "the names that go into a cell are each cell's own",
        "outputs": "the names that come back are each cell's own",
        "session": "the name of a session is each cell's own",
        "trust": "write allow_trust",
        "trust_display": "write allow_trust_display",
        "readable": "write read_only",
        "ro": "write read_only",
        "rw": "write writable",
        "hide": "write hidden",
    }
)
"""Words that one might try, and why they are no keys."""
