"""What the settings trust: classes whose instances come back, and --trust itself.

Guarantees: a class is registered in the notebook's process, before the fork, and only where the
settings name it; --trust is permitted only where every policy file permits it as well.
Assumes: called in the thread that runs cells, before a sandbox is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from IPython.core.error import UsageError

from kavach_ipy.errors import PolicyError
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.words import say
from kavach_ipy.wire.trusted import by_text, distrust, trust

__all__ = [
    "apply_trusted_types",
    "may_trust",
    "may_trust_display",
    "warn_of_trust",
    "warn_of_trust_display",
]

_WARNING: Final = (
    "\x1b[1;31m--trust: what comes back of this cell is unpickled without a check. A hostile cell"
    " can run any code in this notebook, and on this machine as you.\x1b[0m"
)

_WARNING_DISPLAY: Final = (
    "\x1b[1;31m--trust-display: the page runs what this cell shows. A hostile cell can do there"
    " whatever you could.\x1b[0m"
)


def apply_trusted_types(names: Sequence[str], before: Sequence[type]) -> tuple[type, ...]:
    """Register the classes of ``c.Kavach.trusted_types``, and return them.

    Args:
        names: the setting.
        before: what this function returned last; those classes are taken back first.

    Raises:
        UsageError: one cannot be found, or cannot be trusted; nothing ran.
    """
    for cls in before:
        distrust(cls)
    classes: list[type] = []
    # By name each time: a class of the notebook's may have been defined anew.
    try:
        classes += [by_text(name) for name in names]
        return tuple(trust(cls) for cls in classes)
    except PolicyError as error:
        # Or the first ones would stay trusted after the setting is taken back.
        for cls in classes:
            distrust(cls)
        raise UsageError(f"c.Kavach.{error}; nothing ran") from error


def may_trust(settings: Kavach) -> bool:
    """True where ``--trust`` is permitted: by the settings, and by every policy file.

    Raises:
        FileRefused: a policy file cannot be relied on.
    """
    return settings.allow_trust and settings.floor().allow_trust


def may_trust_display(settings: Kavach) -> bool:
    """True where ``--trust-display`` is permitted: by the settings, and by every policy file.

    Raises:
        FileRefused: a policy file cannot be relied on.
    """
    return settings.allow_trust_display and settings.floor().allow_trust_display


def warn_of_trust() -> None:
    """Say in red what ``--trust`` means."""
    say(_WARNING, "stderr")


def warn_of_trust_display() -> None:
    """Say in red what ``--trust-display`` means."""
    say(_WARNING_DISPLAY, "stderr")
