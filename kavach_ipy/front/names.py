"""Names of the notebook inside the child: which go, and which came.

Guarantees: after `forget_all_but` no other name of the user is left in the namespace, nor in the
caches of inputs and outputs; the shell's own names stay.
Assumes: runs in the child. The objects themselves stay in the child's memory: this limits names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell

__all__ = ["UNDEFINED", "defined_by", "forget_all_but", "forget_own_input", "why_undefined"]

UNDEFINED: Final = "undefined"
"""The kind under which a name is reported that the cell did not define."""

# _, __, ___, _12, _i, _ii, _iii, _i12 hold results and inputs of earlier cells
# (IPython.core.displayhook.update_user_ns, IPython.core.history.store_inputs).
_CACHED: Final = re.compile(r"_{1,3}|_[0-9]+|_i{1,3}|_i[0-9]+")
_CACHES: Final = ("Out", "_oh", "In", "_ih")
_MOST_NAMES: Final = 8


def forget_all_but(shell: Shell, names: Collection[str]) -> None:
    """Delete the user's names that are not in ``names``, and what earlier cells left behind."""
    namespace, hidden = shell.user_ns, shell.user_ns_hidden
    nothing = object()
    for name in tuple(namespace):
        is_cached = _CACHED.fullmatch(name) is not None
        # The user may have assigned a name that the shell had hidden: then it is the user's.
        is_shells = hidden.get(name, nothing) is namespace[name] or name.startswith("__")
        if name in names or (is_shells and not is_cached):
            continue
        del namespace[name]
    namespace.get("_oh", {}).clear()
    hook = shell.displayhook
    hook._, hook.__, hook.___ = "", "", ""
    namespace.update({"_": "", "__": "", "___": ""} | {n: namespace[n] for n in names})
    history = shell.history_manager
    if history is None:
        return
    # Emptied in place: In and _ih are these lists, and their length is the prompt's number.
    for inputs in (history.input_hist_parsed, history.input_hist_raw):
        inputs[:] = [""] * len(inputs)
    history._i = history._ii = history._iii = history._i00 = ""  # noqa: SLF001


def defined_by(shell: Shell, before: Mapping[str, int]) -> str:
    """Return in words which names the cell bound: those with a new object behind them.

    Args:
        shell: the shell, after the cell.
        before: ``id`` of what stood behind each name before the cell.
    """
    made = sorted(
        name
        for name, value in shell.user_ns.items()
        if before.get(name) != id(value) and not name.startswith("_") and name not in _CACHES
    )
    if not made:
        return "nothing"
    more = f" and {len(made) - _MOST_NAMES} more" if len(made) > _MOST_NAMES else ""
    return f"{', '.join(made[:_MOST_NAMES])}{more}"


def why_undefined(shell: Shell, before: Mapping[str, int]) -> str:
    """Say why a name that was asked for is not there; the arguments are those of `defined_by`."""
    return f"the cell did not define it; it defined {defined_by(shell, before)}"


def forget_own_input(shell: Shell, code: str) -> None:
    """Take the notebook's cell back out of ``In``: inside, the cell below the magic is this cell.

    Otherwise ``In`` and ``_i`` would hold it twice, and what stands behind them would be shifted.

    Args:
        shell: the shell.
        code: the cell below the magic.
    """
    history = shell.history_manager
    # A cell that runs silently, or from a program, is in no history.
    if history is None or code.strip() not in history.input_hist_raw[-1]:
        return
    history.input_hist_parsed.pop()
    history.input_hist_raw.pop()
    # HistoryManager.store_inputs moves each to the next; its _iii was lost when the magic ran.
    history._i00, history._i, history._ii = history._i, history._ii, history._iii  # noqa: SLF001
