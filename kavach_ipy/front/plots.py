"""plotly.js on the page of a notebook: once, before the first plot that needs it.

Guarantees: a library is published once for each shell, and again only where it was captured.
Assumes: called in the notebook's process, where the shell's outputs go to its page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from IPython.core.displaypub import CapturingDisplayPublisher

from kavach_ipy.gate.plots import plotly_library

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

__all__ = ["give_library"]

_GIVEN: Final[WeakSet[Shell]] = WeakSet()


def give_library(shell: Shell) -> None:
    """Publish plotly.js, unless this notebook has it."""
    if shell in _GIVEN:
        return
    library = plotly_library()
    if library is None:
        return
    shell.display_pub.publish(data={"text/html": library, "text/plain": ""}, metadata={})
    if not isinstance(shell.display_pub, CapturingDisplayPublisher):
        _GIVEN.add(shell)
