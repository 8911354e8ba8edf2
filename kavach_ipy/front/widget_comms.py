"""Messages between the widgets of a session and the front end, both ways through the gate.

The session's come in the thread that hears it, the front end's in the kernel's loop, and what was
put off for its pace is sent by a timer there; one lock keeps them in order.

Guarantees: what is sent was made by `kavach_ipy.gate.comms`, under a parent that is known.
Assumes: `send` may be called in any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kavach_ipy.gate.comms import Comms

if TYPE_CHECKING:
    from kavach_ipy.gate.comm_messages import CommMessage
    from kavach_ipy.gate.mimes import DisplayPolicy
    from kavach_ipy.wire.documents import Json
    from kavach_ipy.wire.service import Published

__all__ = ["WidgetComms"]


class WidgetComms:
    """The widgets of one session, and who speaks to them.

    Args:
        display: what `Output` widgets may show.
        knows: tells whether the session answers a message of this ``msg_id``.
        send: publishes a message that the gate has made.
        later: calls something after seconds.
    """

    def __init__(
        self,
        display: DisplayPolicy,
        knows: Callable[[str], bool],
        send: Callable[[CommMessage], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._comms = Comms(lambda name: name if knows(name) else None, display)
        self._send = send
        self._later = later
        self._is_due = False
        self._lock = threading.RLock()

    def hear(self, published: Published) -> str:
        """Publish what becomes of the session's message; why something does not, or nothing."""
        message = published.message
        with self._lock:
            heard = self._comms.from_session(
                message.msg_type,
                message.content,
                message.metadata,
                message.buffers,
                published.parent,
            )
            for made in heard.messages:
                self._send(made)
            self._arrange()
        return heard.reason

    def take(self, kind: str, parent: Mapping[str, Any]) -> tuple[CommMessage, ...]:
        """Return what the session is to hear of the front end's message."""
        buffers = [memoryview(part) for part in parent.get("buffers") or ()]
        with self._lock:
            heard = self._comms.from_front_end(
                kind, parent.get("content", {}), parent.get("metadata", {}), buffers
            )
        return heard.messages

    def release(self) -> None:
        """Publish what was put off."""
        with self._lock:
            self._is_due = False
            for made in self._comms.release():
                self._send(made)

    def targets(self) -> dict[str, str]:
        """Return the open comms, with their targets."""
        with self._lock:
            return self._comms.open_comms()

    def end(self) -> None:
        """Tell the front end that the session's widgets are no longer alive."""
        with self._lock:
            for made in self._comms.end():
                self._send(made)

    def cell_begins(self) -> None:
        """Note what is there before a cell."""
        with self._lock:
            self._comms.cell_begins()

    def gone_back(self) -> None:
        """Tell the front end that the widgets of a cell that was undone are no longer alive."""
        with self._lock:
            for made in self._comms.gone_back():
                self._send(made)

    def view(self, value: Json) -> dict[str, Json] | None:
        """Return the data of a display that shows a widget (`kavach_ipy.gate.display.Views`)."""
        with self._lock:
            return self._comms.view(value)

    def cleared(self) -> None:
        """Hear that what a cell shows is cleared (`kavach_ipy.gate.display.Views`)."""
        with self._lock:
            self._comms.cleared()

    def _arrange(self) -> None:
        wait = self._comms.wait()
        if wait is not None and not self._is_due:
            self._is_due = True
            self._later(wait, self.release)
