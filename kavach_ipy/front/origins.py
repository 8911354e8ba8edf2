"""Which cell an output belongs to, and what of it is shown: the session's voice in the notebook.

A session names the message that its output belongs to by its ``msg_id`` alone. Here are the headers
of the latest ones, so a thread that prints late prints into the cell that started it, and no
session can name a message that was never sent to it.

Guarantees: what is published has been through the gate, and has a header that this process made
its table of; the table is bounded.
Assumes: one thread publishes: that which hears the session (`launch.serving`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, assert_never

from kavach_ipy.errors import CellFailed
from kavach_ipy.front.widget_comms import WidgetComms
from kavach_ipy.gate.buckets import Bucket
from kavach_ipy.gate.display import DisplayIds, Shown
from kavach_ipy.gate.failures import shown_failure
from kavach_ipy.gate.pace import Cleaning, Pace
from kavach_ipy.gate.plots import plotly_library
from kavach_ipy.gate.streams import StreamName, Streams
from kavach_ipy.wire.messages import read_error

if TYPE_CHECKING:
    from kavach_ipy.gate.comm_messages import CommMessage
    from kavach_ipy.gate.mimes import DisplayPolicy
    from kavach_ipy.wire.service import Published

__all__ = ["Origin", "Origins"]

_MOST: Final = 1000
_EARLY: Final = 100
_PIECE: Final = 1 << 18
_TEXTS: Final = 200
"""Messages of text at once, and then a quarter of them in a second."""
_TEXT_RATE: Final = 50.0


@dataclass(slots=True, eq=False)
class Origin:
    """A message that was sent to the session, and the gate for what comes of it."""

    parent: Mapping[str, Any]
    """As ipykernel hands it over: its header becomes the parent header of the output."""

    count: int
    """The prompt number of its result."""

    pace: Pace
    streams: Streams = field(default_factory=Streams)
    counts: dict[str, int] = field(
        default_factory=lambda: {"stdout": 0, "stderr": 0, "displays": 0}
    )
    """Characters of each stream, and displays, from this cell to the next, for the audit."""


class Origins:
    """The messages that a session may speak for."""

    def __init__(
        self,
        kernel: Any,
        display: DisplayPolicy,
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        """Begin with none.

        Args:
            kernel: whose front end is told.
            display: what the session may show.
            later: calls something after seconds, in any thread.
        """
        self._kernel = kernel
        self._display = display
        self.widgets = WidgetComms(display, self._knows, self._send_comm, later)
        """The session's widgets, and the messages to and from them."""

        # Of the session: a cell may update what an earlier one has shown.
        self._ids = DisplayIds()
        self._cleaning = Cleaning()
        self._known: OrderedDict[str, Origin] = OrderedDict()
        self._latest: Origin | None = None
        self._has_plotly = False
        # Text that is not published yet, in the order of its first pieces.
        self._texts: dict[tuple[Origin, StreamName], list[str]] = {}
        self._size = 0
        self._messages = Bucket(_TEXTS, _TEXT_RATE)
        self._early: deque[Published] = deque(maxlen=_EARLY)

    def add(self, parent: Mapping[str, Any], count: int, *, is_cell: bool) -> Origin:
        """Note a message that is about to be sent.

        Args:
            parent: the message.
            count: the prompt number.
            is_cell: what names no message, and what goes to a descriptor, belongs to it.
        """
        pace = Pace(self._display, self._ids, self.widgets, self._cleaning)
        origin = Origin(parent, count, pace)
        self._known[str(parent.get("header", {}).get("msg_id", ""))] = origin
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        if is_cell:
            self.widgets.cell_begins()
            self._cleaning.spent = 0.0
            self._latest = origin
            while self._early:
                self.hear(self._early.popleft())
        return origin

    def hear(self, published: Published) -> None:
        """Publish what the session says.

        Raises:
            ProtocolError: it has not the form of the messaging protocol.
        """
        origin = self._known.get(published.parent, self._latest)
        if origin is None:
            # Of start-up files, before the first cell: nobody has asked for anything yet.
            self._early.append(published)
            return
        message = published.message
        match message.msg_type:
            case "stream":
                self._text(origin, *origin.streams.feed(message))
            case "error":
                self._held(origin)
                self.error(origin, shown_failure(read_error(message)))
            case "comm_open" | "comm_msg" | "comm_close":
                self._comm(origin, published)
            case _:
                self._show(origin, origin.pace.hear(message))

    def output(self, name: StreamName, data: bytes) -> None:
        """Publish bytes that native code or a subprocess wrote; they are the latest cell's."""
        if self._latest is not None:
            self._text(self._latest, name, self._latest.streams.feed_bytes(name, data))

    def rested(self) -> None:
        """Publish the text that was gathered, as often as a page can follow: nothing more is here.

        A session may print a hundred thousand lines in a second, each a message of its own, and a
        page takes longer for each than for all of them at once.
        """
        if not self._messages.wait(min(len(self._texts), _TEXTS)):
            self.rest()

    def rest(self) -> None:
        """Publish the text that was gathered: something else is to come after it."""
        texts, self._texts, self._size = self._texts, {}, 0
        for (origin, name), parts in texts.items():
            self._messages.take()
            self._send("stream", {"name": name, "text": "".join(parts)}, origin)

    def finish(self, origin: Origin) -> None:
        """Publish what is held back of a cell that is over."""
        for name, text in origin.streams.finish():
            self._text(origin, name, text)
        self._held(origin)
        if origin is self._latest:
            # Threads of earlier cells show things too, and none of those cells ends once more.
            for earlier in tuple(self._known.values()):
                self._held(earlier)
        self._text(origin, "stderr", origin.pace.left_out())
        self.rest()
        self.widgets.release()

    def note_latest(self, text: str) -> None:
        """Publish a line of ours below the latest cell."""
        if self._latest is not None:
            self.note(self._latest, text)

    def note(self, origin: Origin, text: str) -> None:
        """Publish a line of ours."""
        self._send("stream", {"name": "stderr", "text": f"[sandbox] {text}\n"}, origin)

    def error(self, origin: Origin, failure: CellFailed) -> None:
        """Publish an error."""
        content = {
            "ename": failure.name,
            "evalue": failure.text,
            "traceback": list(failure.lines),
        }
        self._send("error", content, origin)

    def _text(self, origin: Origin, name: StreamName, text: str) -> None:
        if not text:
            return
        self._held(origin)
        if self._texts and next(reversed(self._texts)) != (origin, name):
            # In the order in which it was written, unless it comes from here and there without end.
            self.rested()
        self._count(origin, name, len(text))
        self._texts.setdefault((origin, name), []).append(text)
        self._size += len(text)
        if self._size > _PIECE:
            self.rest()

    def _count(self, origin: Origin, what: str, count: int) -> None:
        # The cell that runs answers for it, also where it names an earlier one.
        counts = (self._latest or origin).counts
        counts[what] += count

    def _held(self, origin: Origin) -> None:
        self._show(origin, origin.pace.release())

    def _show(self, origin: Origin, all_shown: list[Shown]) -> None:
        for shown in all_shown:
            self._count(origin, "displays", 1)
            if shown.needs_plotly:
                self._give_plotly(origin)
            data: dict[str, Any] = {"data": dict(shown.data), "metadata": dict(shown.metadata)}
            match shown.msg_type:
                case "display_data" | "update_display_data":
                    content = {**data, "transient": dict(shown.transient)}
                case "execute_result":
                    content = {**data, "execution_count": origin.count}
                case "clear_output":
                    content = {"wait": shown.wait}
                case _:
                    assert_never(shown.msg_type)
            self._send(shown.msg_type, content, origin)

    def _give_plotly(self, origin: Origin) -> None:
        library = None if self._has_plotly else plotly_library()
        if library is not None:
            content = {"data": {"text/html": library, "text/plain": ""}, "metadata": {}}
            self._send("display_data", {**content, "transient": {}}, origin)
        self._has_plotly = True

    def _comm(self, origin: Origin, published: Published) -> None:
        """Publish a message to a widget: the one place where such messages leave a session."""
        data = published.message.content.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        if isinstance(state, dict) and "msg_id" in state:
            # What was shown before an `Output` takes all, or takes no more, is not for it.
            self._held(origin)
        self.rest()
        reason = self.widgets.hear(published)
        if reason:
            self.note(origin, reason)

    def _knows(self, name: str) -> bool:
        return name in self._known

    def _send_comm(self, message: CommMessage) -> None:
        # Also called by a timer, in the kernel's loop: text is gathered in the other thread alone.
        origin = self._known.get(message.parent, self._latest)
        if origin is not None:
            topic = f"comm-{message.content['comm_id']}"
            buffers = list(message.buffers)
            self._publish(
                message.msg_type, message.content, origin, topic, message.metadata, buffers
            )

    def _send(self, kind: str, content: dict[str, Any], origin: Origin) -> None:
        self._publish(kind, content, origin, kind, {}, [])

    def _publish(  # noqa: PLR0913, PLR0917 - a message has these parts.
        self,
        kind: str,
        content: dict[str, Any],
        origin: Origin,
        topic: str,
        metadata: dict[str, Any],
        buffers: list[bytes | memoryview],
    ) -> None:
        self.rest()
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket,
            kind,
            content,
            parent=origin.parent,
            ident=kernel._topic(topic),  # noqa: SLF001 - subscribers know messages by it
            metadata=metadata,
            buffers=buffers,
        )
