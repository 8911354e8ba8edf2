"""Comm messages between a session and the page: what widgets say to each other, both ways.

A page does for a widget what its state says: it loads modules by name, writes HTML, fetches
addresses. So a session's messages are rebuilt as displays are, by `kavach_ipy.gate.widgets`.

Guarantees: of the session the page hears of two targets, under names of ours, and at a pace that it
can follow, of which the last state is always told (`release`); of the page the session hears what
concerns its own comms; the time that this takes is bounded.
Assumes: one at a time uses it, and hears all comm messages and displays of one session, in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final

from kavach_ipy.gate.buckets import Bucket
from kavach_ipy.gate.comm_messages import (
    Buffers,
    CommMessage,
    Heard,
    closed,
    opened,
    updated,
    with_buffers,
)
from kavach_ipy.gate.controls import Controls, translated, within_bounds
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.widget_states import told_states
from kavach_ipy.gate.widgets import PLACEHOLDER, Given, State, Widget, Widgets, model_of, stand_in
from kavach_ipy.wire.documents import Json

__all__ = ["CONTROL", "UPDATES", "WIDGET", "WIDGETS", "CommMessage", "Comms", "Heard"]

WIDGET: Final = "jupyter.widget"
CONTROL: Final = "jupyter.widget.control"
WIDGETS: Final = 10_000
"""Widgets of a session at a time."""
UPDATES: Final = 50.0
"""Updates in a second, after a burst; what waits is joined, a widget at a time."""
_BURST: Final = 200
_OPENED: Final = 500.0
_ELEMENTS: Final = 50_000
"""Elements of widgets that are displayed at once, and then a tenth of it in a second."""
_SECONDS: Final = 5.0
_SHARE: Final = 0.25
_REASONS: Final = 50
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(slots=True)
class _Waiting:
    state: State
    parent: str


class Comms:
    """The comms of one session, and its widgets.

    Args:
        messages: the name on the page of a message that the session answers, for `Output`
            widgets; None for any other.
        policy: what outputs in `Output` widgets may show.
        clock: seconds.
    """

    def __init__(
        self,
        messages: Callable[[str], str | None] = lambda _: None,
        policy: DisplayPolicy | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._widgets = Widgets(policy or DisplayPolicy(), messages)
        self._controls = Controls()
        self._clock = clock
        self._seconds = Bucket(_SECONDS, _SHARE, clock)
        self._updates = Bucket(_BURST, UPDATES, clock)
        self._opened = Bucket(WIDGETS, _OPENED, clock)
        self._elements = Bucket(_ELEMENTS, _ELEMENTS / 10, clock)
        self._waiting: dict[str, _Waiting] = {}
        self._told: set[str] = set()
        # The session's names by the page's.
        self._names: dict[str, str] = {}
        self._before: frozenset[str] = frozenset()

    def open_comms(self) -> dict[str, str]:
        """Return the page's name of each open comm, with its target, as comm_info tells them."""
        return dict.fromkeys(self._names, WIDGET) | dict.fromkeys(self._controls, CONTROL)

    def from_session(
        self,
        msg_type: str,
        content: Mapping[str, Json],
        metadata: Mapping[str, Json],
        buffers: Buffers = (),
        parent: str = "",
    ) -> Heard:
        """Rebuild a message of the session's for the page."""
        start = self._clock()
        if self._seconds.wait(0.0):
            return self._refused("its widgets take more time than the sandbox has for them")
        try:
            match msg_type:
                case "comm_open":
                    return self._open(content, metadata, buffers, parent)
                case "comm_msg":
                    return self._message(content, buffers, parent)
                case "comm_close":
                    return self._close(content, parent)
                case _:
                    return self._refused("a message that is no comm message")
        finally:
            self._seconds.spend(self._clock() - start)

    def from_front_end(
        self,
        msg_type: str,
        content: Mapping[str, Json],
        metadata: Mapping[str, Json],
        buffers: Buffers = (),
    ) -> Heard:
        """Rebuild a message of the page's for the session."""
        del metadata
        name = content.get("comm_id")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return Heard(reason="a comm message without the name of a comm")
        data = content.get("data", {})
        if not isinstance(data, dict) or not within_bounds(data, buffers):
            return Heard(reason="a comm message that is larger than a session may be sent")
        if msg_type == "comm_open":
            known = content.get("target_name") == CONTROL and self._controls.open(name)
            if not known:
                return Heard(reason="the page may open no comm of this target")
            opened: dict[str, Json] = {
                "comm_id": known, "target_name": CONTROL, "target_module": None, "data": {},
            }  # fmt: skip
            return Heard((CommMessage("comm_open", opened, {"version": "1.0.0"}),))
        theirs = self._controls.name(name) or self._names.get(name)
        if theirs is None:
            return Heard(reason="no comm of this session has this name")
        sent: dict[str, Json] = {"comm_id": theirs, "data": translated(data, self._names.get)}
        if msg_type == "comm_close":
            if not self._controls.close(name):
                self._forget(theirs)
            return Heard((CommMessage("comm_close", sent),))
        if msg_type != "comm_msg":
            return Heard(reason="a message that is no comm message")
        widget = self._widgets.find(theirs)
        if widget is not None and widget.is_placeholder:
            return Heard()
        return Heard((CommMessage("comm_msg", sent, {}, tuple(buffers)),))

    def release(self) -> tuple[CommMessage, ...]:
        """Return the updates that wait: their time has come, or the session answers a request."""
        return tuple(self._released(name) for name in list(self._waiting))

    def wait(self) -> float | None:
        """Return the seconds until `release` is due; None where nothing waits."""
        return self._updates.wait() if self._waiting else None

    def end(self) -> tuple[CommMessage, ...]:
        """End all comms: the session is over, and its widgets are no longer alive."""
        messages = (*self._released_captures(), *(closed(name) for name in self._names))
        for name in list(self._widgets):
            self._forget(name)
        self._controls = Controls()
        return messages

    def cell_begins(self) -> None:
        """Note which widgets are there before a cell."""
        self._before = frozenset(self._widgets)

    def gone_back(self) -> tuple[CommMessage, ...]:
        """Close what the page has of a cell that is undone: the session has it no more.

        Those that the cell has closed stay closed, and what the others show is told by the session
        when it changes again.
        """
        gone = frozenset(self._widgets) - self._before
        ends = (closed(public) for public, name in self._names.items() if name in gone)
        messages = (*self._released_captures(), *ends)
        for name in gone:
            self._forget(name)
        return messages

    def _released_captures(self) -> tuple[CommMessage, ...]:
        """Take from `Output` widgets what comes below a cell: next is why it was stopped."""
        return tuple(
            updated(public, {"msg_id": ""}, "")
            for public, name in self._names.items()
            if (it := self._widgets.find(name)) is not None and it.model == "OutputModel"
        )

    def view(self, value: Json) -> dict[str, Json] | None:
        """Return the data of a display that shows a widget (`kavach_ipy.gate.display.Views`)."""
        widget = self._widgets.shown(value)
        if widget is None or not self._elements.take(self._widgets.elements(widget)):
            return None
        return self._widgets.view(value)

    def cleared(self) -> None:
        """Hear that what a cell shows is cleared (`kavach_ipy.gate.display.Views`)."""
        self._widgets.cleared()

    def _open(
        self,
        content: Mapping[str, Json],
        metadata: Mapping[str, Json],
        buffers: Buffers,
        parent: str,
    ) -> Heard:
        name, target = content.get("comm_id"), content.get("target_name")
        data = content.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        if target != WIDGET:
            return self._refused(f"a comm of a target that is not {WIDGET}")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or self._widgets.find(name):
            return self._refused("a widget with an odd name, or one that another has")
        if not isinstance(data, dict) or not isinstance(state, dict):
            return self._refused("a widget without a state")
        if str(metadata.get("version", "")).split(".")[0] != "2":
            return self._refused("a widget of another version of the widgets' protocol than 2")
        if len(self._widgets) >= WIDGETS or not self._opened.take():
            return self._refused(f"more than {WIDGETS} widgets at a time, or too many at once")
        model, reason = model_of(state)
        if not reason:
            widget = self._widgets.add(name, model)
            given = with_buffers(state, data.get("buffer_paths"), buffers)
            rebuilt, reason = self._widgets.whole(widget, given)
            if rebuilt is not None:
                self._names[widget.public] = name
                return self._telling(reason, (opened(widget.public, WIDGET, rebuilt, parent),))
            self._widgets.remove(name)
        widget = self._widgets.add(name, PLACEHOLDER, is_placeholder=True)
        self._names[widget.public] = name
        return self._telling(reason, (opened(widget.public, WIDGET, stand_in(reason), parent),))

    def _message(self, content: Mapping[str, Json], buffers: Buffers, parent: str) -> Heard:
        name, data = content.get("comm_id"), content.get("data")
        if not isinstance(data, dict):
            return self._refused("a comm message without data")
        control = self._controls.public(name)
        if control is not None:
            answer = told_states(self._widgets, data, buffers, self._clock)
            if answer is None:
                return self._refused("a message of the control comm that is no answer")
            told: dict[str, Json] = {"comm_id": control, "data": answer[0]}
            return Heard((CommMessage("comm_msg", told, {}, tuple(answer[1]), parent),))
        widget = self._widgets.find(name)
        if widget is None or not isinstance(name, str):
            return self._refused("a message of a widget that is not open")
        if widget.is_placeholder:
            return Heard()
        state, method = data.get("state"), data.get("method")
        if method not in {"echo_update", "update"} or not isinstance(state, dict):
            # The only ones that ipywidgets' own send would take the focus from where a user types.
            return self._refused("a widget's message that is no update")
        given = with_buffers(state, data.get("buffer_paths"), buffers)
        if method == "echo_update":
            return self._echo(name, widget, given, parent)
        rebuilt, reason = self._widgets.rebuilt(widget, given)
        if not rebuilt:
            return self._telling(reason)
        known = self._waiting.pop(name, None)
        self._waiting[name] = _Waiting({**(known.state if known else {}), **rebuilt}, parent)
        if "msg_id" in rebuilt:
            # From here on, or no longer, the page puts what the session prints into this widget.
            return self._telling(reason, self.release())
        return self._telling(reason, (self._released(name),) if self._updates.take() else ())

    def _echo(self, name: str, widget: Widget, given: Given, parent: str) -> Heard:
        """Tell the pages what one of them has set; one that has set it needs no echo."""
        # What a page has captured was cleaned already, and would be cleaned a second time.
        given = {key: given[key] for key in given if key != "outputs"}
        rebuilt, reason = self._widgets.rebuilt(widget, given)
        if not rebuilt or not self._updates.take():
            return self._telling(reason)
        waiting = (self._released(name),) if name in self._waiting else ()
        echo = updated(widget.public, rebuilt, parent, "echo_update")
        return self._telling(reason, (*waiting, echo))

    def _close(self, content: Mapping[str, Json], parent: str) -> Heard:
        name = content.get("comm_id")
        control = self._controls.public(name)
        if control is not None:
            self._controls.close(control)
            return Heard((closed(control, parent),))
        widget = self._widgets.find(name)
        if widget is None or not isinstance(name, str):
            return self._refused("the end of a widget that is not open")
        # What waits may refer to this one, which a page could not find any more.
        messages = (*self.release(), closed(widget.public, parent))
        self._forget(name)
        return Heard(messages)

    def _released(self, name: str) -> CommMessage:
        waiting = self._waiting.pop(name)
        widget = self._widgets.find(name)
        assert widget is not None, "what is forgotten does not wait"
        return updated(widget.public, waiting.state, waiting.parent)

    def _forget(self, name: str) -> None:
        widget = self._widgets.find(name)
        if widget is not None:
            del self._names[widget.public]
            self._waiting.pop(name, None)
            self._widgets.remove(name)

    def _refused(self, what: str) -> Heard:
        return self._telling(f"not passed on: {what}")

    def _telling(self, reason: str, messages: tuple[CommMessage, ...] = ()) -> Heard:
        """Return messages with a reason, if it is a new one: a loop would repeat it for ever."""
        if not reason or reason in self._told or len(self._told) >= _REASONS:
            return Heard(messages)
        self._told.add(reason)
        return Heard(messages, reason)
