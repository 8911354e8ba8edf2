"""Whose ``%%sandbox`` is: another extension may have had it before us, or take it after us.

A person who writes ``%%sandbox`` and gets another extension's magic has a cell that no sandbox
holds. IPython gives a name to whoever registers it last, and tells nobody.

Guarantees: theirs is left alone; who has the name is said before the next cell ends; ours is then
``%%kavach``.
Assumes: the shell triggers ``pre_execute`` and ``post_execute`` around every cell, as
https://ipython.readthedocs.io/en/stable/config/callbacks.html tells.
"""

from __future__ import annotations

from typing import Any, Final

from kavach_ipy.front.shells import Shell
from kavach_ipy.front.words import say

__all__ = ["NameWatch", "owner_of"]

_EVENTS: Final = ("pre_execute", "post_execute")
_KINDS: Final = {"cell": "%%", "line": "%"}
_NAME: Final = "sandbox"
_OTHER: Final = "kavach"
Places = dict[tuple[str, str], Any]


class NameWatch:
    """Looks around every cell whether the names are still ours.

    Args:
        shell: where they are registered.
        before: what stood at each place that we took, (kind, name); places taken later are added.
    """

    def __init__(self, shell: Shell, before: Places) -> None:
        self._shell = shell
        self._before = before
        self._ours: dict[str, Any] = {}
        self._said: dict[str, object] = {}

    def start(self) -> None:
        """Begin; what is registered now is ours."""
        table = self._shell.magics_manager.magics
        self._ours = {kind: table[kind][_NAME] for kind in _KINDS if (kind, _NAME) in self._before}
        for event in _EVENTS:
            self._shell.events.register(event, self._look)

    def stop(self) -> None:
        """End."""
        for event in _EVENTS:
            # A list of the user's own may have taken the place of the one that we are in.
            if self._look in self._shell.events.callbacks[event]:
                self._shell.events.unregister(event, self._look)

    def _look(self) -> None:
        table = self._shell.magics_manager.magics
        for kind, ours in self._ours.items():
            found = table[kind].get(_NAME)
            if found == self._said.get(kind, ours):
                continue
            self._said[kind] = found
            # Where nobody has the name, IPython says that there is no such magic.
            if found is not None and found != ours:
                self._tell(kind, found)

    def _tell(self, kind: str, found: object) -> None:
        mark = _KINDS[kind]
        told = f"{mark}{_NAME} belongs to {owner_of(found)} now: a cell below it is not sandboxed"
        if kind == "cell":
            cells = self._shell.magics_manager.magics["cell"]
            self._before.setdefault(("cell", _OTHER), cells.get(_OTHER))
            cells[_OTHER] = self._ours["cell"]
            told += f"; kavach_ipy's is called %%{_OTHER} from here on"
        say(f"{told}; unload the other extension and reload kavach_ipy to have it back", "stderr")


def owner_of(magic: object) -> str | None:
    """Return the module that ``magic`` comes from, or None where it is free or ours."""
    if magic is None:
        return None
    # c.MagicsManager.lazy_magics may name us as who will provide it: IPython then holds a
    # placeholder with this attribute, which our own registration replaces.
    spec = str(getattr(magic, "spec", ""))
    module = spec or str(getattr(magic, "__module__", "another extension"))
    return None if module.partition(".")[0].partition(":")[0] == "kavach_ipy" else module
