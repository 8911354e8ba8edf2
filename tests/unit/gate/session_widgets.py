"""What ipywidgets sends, recorded: a session's widgets without a session.

Guarantees: each message is what a kernel would send, read back from the wire's documents.
Assumes: ipywidgets is asked from one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import comm
from comm.base_comm import BaseComm

from kavach_ipy.wire.documents import Json, read_document, write_document

__all__ = ["Sent", "recorded"]


@dataclass
class Sent:
    """A message of a session."""

    msg_type: str
    content: dict[str, Json]
    metadata: dict[str, Json]
    buffers: tuple[bytes, ...]


@dataclass
class Session:
    """The messages so far, and the comms by name."""

    sent: list[Sent] = field(default_factory=list)
    comms: dict[str, BaseComm] = field(default_factory=dict)


@contextmanager
def recorded() -> Iterator[Session]:
    """Record what widgets send that are made meanwhile."""
    session = Session()

    class Recording(BaseComm):
        def publish_msg(
            self,
            msg_type: str,
            data: Any = None,
            metadata: Any = None,
            buffers: Any = None,
            **keys: Any,
        ) -> None:
            session.comms[self.comm_id] = self
            content = {"data": data or {}, "comm_id": self.comm_id, **keys}
            session.sent.append(
                Sent(
                    msg_type,
                    read_document(write_document(content)),
                    read_document(write_document(metadata or {})),
                    tuple(bytes(part) for part in buffers or ()),
                )
            )

    before = comm.create_comm
    comm.create_comm = Recording
    try:
        yield session
    finally:
        comm.create_comm = before
