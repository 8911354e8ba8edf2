"""Whole states of all widgets, for a page that was loaded anew and asks for them.

Guarantees: the answer tells of widgets that are open, as opening them did, and of no others; it
takes two seconds and the last widget's time at most.
Assumes: the page has opened the control comm that is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kavach_ipy.gate.comm_messages import Buffers, parts, with_buffers
from kavach_ipy.gate.widgets import State, Widgets, stand_in
from kavach_ipy.wire.documents import Json

__all__ = ["told_states"]

_SECONDS: Final = 2.0


def told_states(
    widgets: Widgets, data: dict[str, Json], buffers: Buffers, clock: Callable[[], float]
) -> tuple[dict[str, Json], Buffers] | None:
    """Return the answer for the page, or None where the session's is none.

    Args:
        widgets: those that are open.
        data: what the session answers.
        buffers: the binary parts of it.
        clock: seconds.
    """
    states = data.get("states")
    if data.get("method") != "update_states" or not isinstance(states, dict):
        return None
    told: dict[str, Json] = {}
    paths: list[Json] = []
    kept: list[bytes | memoryview] = []
    until = clock() + _SECONDS
    for name, entry in states.items():
        widget = widgets.find(name)
        given = entry.get("state") if isinstance(entry, dict) else None
        if widget is None or not isinstance(given, dict) or clock() > until:
            continue
        state: State | None = stand_in("it was not shown before")
        if not widget.is_placeholder:
            binary = with_buffers(given, data.get("buffer_paths"), buffers, (name, "state"))
            state, _ = widgets.whole(widget, binary)
        if state is not None:
            plain, own, more = parts(state)
            paths += [[widget.public, "state", key] for key in own]
            kept += more
            told[widget.public] = {
                "model_name": plain["_model_name"], "model_module": plain["_model_module"],
                "model_module_version": plain["_model_module_version"], "state": plain,
            }  # fmt: skip
    answer: dict[str, Json] = {"method": "update_states", "states": told, "buffer_paths": paths}
    return answer, kept
