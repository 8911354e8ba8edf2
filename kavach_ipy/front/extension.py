"""Loading into a shell and leaving it as it was.

Guarantees: loading adds (magics, one completion matcher, one entry for ``%config``, a callback
before and after a cell) and replaces nothing of the shell's; unloading takes exactly that away
again; loading twice is loading once; no thread, process or descriptor is started.
Assumes: one notebook process may hold several shells (tests do).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from IPython.core.error import UsageError

from kavach_ipy.front.completion import make_matcher
from kavach_ipy.front.magics import KavachMagics
from kavach_ipy.front.owning import NameWatch, owner_of
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.shells import Matcher, Shell
from kavach_ipy.front.words import say

__all__ = ["load", "unload"]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was added to a shell."""

    magics: KavachMagics
    settings: Kavach
    matcher: Matcher
    before: dict[tuple[str, str], Any]
    """What stood in the shell's table of magics at each place that we took: (kind, name)."""

    watch: NameWatch


_LOADED: Final[WeakKeyDictionary[Any, _Loaded]] = WeakKeyDictionary()


def load(shell: Shell) -> None:
    """Add the magics, the settings and the completion to ``shell``.

    Raises:
        TraitError: the configuration has a setting that makes no sense, or that this version
            cannot keep; nothing is loaded.
        UsageError: `default_on` is asked for where there is no kernel; nothing is loaded.
    """
    if shell in _LOADED:
        return
    settings = Kavach(parent=shell)
    # Magics put themselves into this list when they are made.
    configurables = list(shell.configurables)
    magics = KavachMagics(shell, settings)
    table = shell.magics_manager.magics
    owner = owner_of(table["cell"].get("sandbox"))
    if owner is not None:
        _step_aside(magics)
        say(
            f"%%sandbox belongs to {owner} here, so kavach_ipy's is called %%kavach;"
            " unload the other extension and reload kavach_ipy to have it back",
            "stderr",
        )
    places = [(kind, name) for kind in ("line", "cell") for name in magics.magics[kind]]
    before = {(kind, name): table[kind].get(name) for kind, name in places}
    shell.register_magics(magics)
    shell.configurables[:] = [*configurables, settings]
    matcher = make_matcher(lambda: settings.profiles, lambda: _variables(shell))
    shell.Completer.custom_matchers.append(matcher)
    watch = NameWatch(shell, before)
    watch.start()
    _LOADED[shell] = _Loaded(magics, settings, matcher, before, watch)
    if settings.default_on:
        try:
            magics.switch.on()
        except UsageError:
            unload(shell)
            raise


def unload(shell: Shell) -> None:
    """Take away what `load` added."""
    loaded = _LOADED.pop(shell, None)
    if loaded is None:
        return
    loaded.watch.stop()
    manager = shell.magics_manager
    for (kind, name), previous in loaded.before.items():
        # Somebody may have registered the name again after us: then it is theirs.
        if getattr(manager.magics[kind].get(name), "__self__", None) is not loaded.magics:
            continue
        if previous is None:
            del manager.magics[kind][name]
        else:
            manager.magics[kind][name] = previous
    manager.registry.pop(type(loaded.magics).__name__, None)
    # By identity: traitlets objects and matchers may define equality.
    shell.configurables[:] = [it for it in shell.configurables if it is not loaded.settings]
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if matcher is not loaded.matcher]
    loaded.magics.switch.off()
    loaded.magics.end()
    # Loaded with the first clean cell: where there was none, nothing has to be ended.
    zygotes = sys.modules.get("kavach_ipy.launch.zygotes")
    if zygotes is not None:
        zygotes.end_zygotes()


def _step_aside(magics: KavachMagics) -> None:
    """Offer the cell magic as ``%%kavach`` and no ``%sandbox`` at all."""
    cell = magics.magics["cell"].pop("sandbox")
    magics.magics["line"].pop("sandbox")
    magics.magics["cell"]["kavach"] = cell


def _variables(shell: Shell) -> Iterable[str]:
    hidden = shell.user_ns_hidden
    return [name for name in shell.user_ns if not name.startswith("_") and name not in hidden]
