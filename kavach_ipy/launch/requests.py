"""What the kernel process asks of a fresh interpreter: documents in memory, handed over as files.

::

    kernel process ── one word, and the descriptors of a document and of what belongs to it ──▶ it

A document of any size is one descriptor, so that no write waits for a reader.

Guarantees: a document that was sent is whole; what is received has close-on-exec set.
Assumes: the kernel process writes and is trusted; a cell may read its own requests only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import dataclass

from kavach_ipy.wire.documents import Json

__all__ = [
    "CELL",
    "HATCH",
    "HOLD",
    "START",
    "CellRequest",
    "Hold",
    "receive_next",
    "send",
    "send_cell",
    "send_hold",
]

HATCH = b"hatch"
"""To what will be a zygote: its environment, and the modules to import."""

START = b"start"
"""To a zygote: build a sandbox."""

CELL = b"c"
"""To a sandbox: run a cell. One byte, as the channel is a stream."""

HOLD = b"s"
"""To a session, between two cells: take a snapshot (`launch.checkpoints`)."""

_MOST = 8
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class CellRequest:
    """One cell, as it arrives in a sandbox."""

    task: dict[str, Json]
    arena: int
    """Where big values go; -1 where the cell has no descriptor left to take it."""

    inputs: int
    """Sealed memory with what was given to the cell; -1 where nothing was."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The word to take a snapshot, as it arrives in a session."""

    answer: int
    """A pipe to answer by; -1 where the session has no descriptor left to take it."""


def send(to: socket.socket, word: bytes, document: dict[str, Json], fds: tuple[int, ...]) -> None:
    """Send a word, a document, and descriptors that go with it.

    Raises:
        OSError: nobody reads any more; BlockingIOError: nobody has read for long.
    """
    memory = os.memfd_create("kavach-request", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        # ASCII, as a cell's source may hold lone surrogates.
        text = memoryview(json.dumps(document).encode("ascii"))
        while text:
            text = text[os.write(memory, text) :]
        # A session that keeps the descriptor keeps this much memory, and no more.
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
        socket.send_fds(to, [word], [memory, *fds])
    finally:
        os.close(memory)


def _take(to: socket.socket, length: int) -> tuple[bytes, list[int]]:
    packet, fds, _, _ = socket.recv_fds(to, length, _MOST, socket.MSG_CMSG_CLOEXEC)
    return packet, fds


def _opened(fds: list[int]) -> tuple[dict[str, Json], list[int]]:
    """Read the document that came first; empty where this process may open no file more."""
    if not fds:
        # unix(7): descriptors beyond the limit of this process are closed instead of received.
        return {}, []
    document, *others = fds
    return read(document), others


def read(document: int) -> dict[str, Json]:
    """Read a document from its beginning, and close it."""
    try:
        size = os.fstat(document).st_size
        parts = []
        at = 0
        while at < size:
            parts.append(os.pread(document, min(_CHUNK, size - at), at))
            at += len(parts[-1])
    finally:
        os.close(document)
    found: dict[str, Json] = json.loads(b"".join(parts))
    return found


def send_cell(to: socket.socket, task: dict[str, Json], arena: int, inputs: int = -1) -> None:
    """Hand a cell to a sandbox, with the arena for its values and the memory with its inputs.

    Raises:
        OSError: as for `send`.
    """
    send(to, CELL, task, (arena,) if inputs < 0 else (arena, inputs))


def send_hold(to: socket.socket, answer: int) -> None:
    """Ask a session for a snapshot, and hand it the writing end of a pipe for its answer.

    Raises:
        OSError: as for `send`.
    """
    socket.send_fds(to, [HOLD], [answer])


def receive_next(to: socket.socket) -> CellRequest | Hold | None:
    """Wait for what a session is asked next; None where there will be nothing more.

    A cell's task is empty where it did not come along, as this process may open no file more.
    """
    packet, fds = _take(to, 1)
    if packet == HOLD:
        return Hold(*(*fds, -1)[:1])
    if packet != CELL:
        return None
    task, others = _opened(fds)
    return CellRequest(task, *(*others, -1, -1)[:2])
