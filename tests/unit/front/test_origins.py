"""What a session shows below one cell and another, as a front end is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kavach_ipy.front.origins import Origins
from kavach_ipy.gate import pace
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.wire.messages import Message
from kavach_ipy.wire.service import Published

if TYPE_CHECKING:
    import pytest


@dataclass
class _Told:
    """A kernel's connection to its front end, which keeps what it is told."""

    shown: list[dict[str, Any]] = field(default_factory=list)
    iopub_socket: object = None

    @property
    def session(self) -> _Told:
        """Where messages are sent."""
        return self

    def send(self, _: object, kind: str, content: dict[str, Any], **__: object) -> None:
        """Keep what a display shows."""
        if kind == "display_data":
            self.shown.append(content["data"])

    def _topic(self, topic: str) -> bytes:
        return topic.encode()


def test_cleaning_below_all_cells_is_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that shows things below earlier cells, too, has no more of it; a new cell has."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += pace.SECONDS / 4
        return now

    monkeypatch.setattr(pace, "monotonic", clock)
    told = _Told()
    origins = Origins(told, DisplayPolicy(), lambda *_: None)
    parents = [f"m{number}" for number in range(8)]
    for count, parent in enumerate(parents):
        origins.add({"header": {"msg_id": parent}}, count, is_cell=True)
    message = Message("display_data", {"data": {"text/html": "<b>x</b>"}, "metadata": {}}, {})
    for parent in parents:
        origins.hear(Published(parent, message))
    assert sum("text/html" in shown for shown in told.shown) == 5
    assert "took 10 s already" in str(told.shown[-1]["text/plain"])
    origins.add({"header": {"msg_id": "new"}}, 9, is_cell=True)
    origins.hear(Published("m0", message))
    assert "text/html" in told.shown[-1]
