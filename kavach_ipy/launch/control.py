"""What A and C tell the parent while they set up, and the parent's two answers.

Guarantees: one report is one packet (unix(7), SOCK_SEQPACKET), so two writers cannot tear it.
Assumes: the writer is our own code, before the cell runs; the reader checks the form all the same.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from typing import Literal

from kavach_ipy.errors import ProtocolError
from kavach_ipy.linux.inherited import SharedMapping

__all__ = [
    "MOST_IDMAPPED",
    "Report",
    "await_mapped",
    "await_mappings",
    "make_channel",
    "parse_report",
    "refuse_mapped",
    "send_mapped",
    "send_mappings",
    "send_report",
]

_MAPPED = b"mapped"
MOST_IDMAPPED = 200
"""unix(7): one message carries at most 253 descriptors (SCM_MAX_FD)."""

_WORDS = ("unshared", "failed", "forked")
_LIMIT = 1 << 16
_DETAIL = 1 << 10


@dataclass(frozen=True, slots=True)
class Report:
    """One packet on the control socket, from the child."""

    word: Literal["unshared", "failed", "forked"]
    step: str = ""
    call: str = ""
    number: int = 0
    """The errno of a failure."""

    detail: str = ""
    pids: tuple[int, ...] = ()
    """Of "forked": the cell and init, as the kernel's PID namespace numbers them."""


def make_channel() -> tuple[int, int]:
    """Make the two ends of the channel; the first is the parent's.

    As numbers: an object made by A would be closed once more by the memory that A shares.
    """
    first, second = socket.socketpair()
    return first.detach(), second.detach()


def send_report(control: socket.socket, report: Report, fds: Sequence[int] = ()) -> None:
    """Send one report, with descriptors; OSError when the parent has gone."""
    fields = asdict(report) | {"detail": report.detail[:_DETAIL]}
    packet = json.dumps(fields).encode("utf-8", "replace")
    if fds:
        socket.send_fds(control, [packet], fds)
    else:
        control.send(packet)


def send_mapped(control: socket.socket, trees: Sequence[int]) -> None:
    """Say that the id maps are written, and hand over idmapped mounts; -1 where there is none."""
    there = bytes(tree >= 0 for tree in trees)
    socket.send_fds(control, [_MAPPED + there], [tree for tree in trees if tree >= 0])


def refuse_mapped(control: socket.socket) -> None:
    """Let a child that waits for its maps go on without them: it fails, and ends."""
    with suppress(OSError):
        control.send(b"refused")


def await_mapped(control: socket.socket) -> tuple[int, ...]:
    """Wait for the id maps; a detached mount for each of the plan's `idmapped`, or -1.

    Raises:
        OSError: the parent has gone.
    """
    packet, fds, _, _ = socket.recv_fds(
        control, len(_MAPPED) + MOST_IDMAPPED, MOST_IDMAPPED, socket.MSG_CMSG_CLOEXEC
    )
    if not packet.startswith(_MAPPED):
        raise BrokenPipeError
    received = iter(fds)
    return tuple(next(received) if is_there else -1 for is_there in packet[len(_MAPPED) :])


def send_mappings(control: socket.socket, mappings: tuple[SharedMapping, ...]) -> None:
    """Tell the child which of its pages are shared.

    Raises:
        OSError: the child has gone, or EMSGSIZE: more mappings than a packet holds.
    """
    rows = [(*astuple(item)[:-1], item.path.decode("latin-1")) for item in mappings]
    control.send(json.dumps(rows).encode())


def await_mappings(control: socket.socket) -> tuple[SharedMapping, ...]:
    """Wait for what the parent saw.

    Raises:
        OSError: the parent has gone.
    """
    packet = control.recv(_LIMIT)
    if not packet:
        raise BrokenPipeError
    return tuple(
        SharedMapping(address, size, protection, offset, device, inode, path.encode("latin-1"))
        for address, size, protection, offset, device, inode, path in json.loads(packet)
    )


def parse_report(packet: bytes) -> Report:
    """Read one report.

    Raises:
        ProtocolError: the packet is not one that `send_report` writes.
    """
    try:
        if len(packet) > _LIMIT:
            raise ValueError(f"{len(packet)} bytes")
        fields = json.loads(packet)
        word = fields["word"]
        pids = tuple(fields["pids"])
        texts = (fields["step"], fields["call"], fields["detail"])
        if word not in _WORDS or not all(type(text) is str for text in texts):
            raise ValueError("a field of the wrong kind")
        if type(fields["number"]) is not int or not all(type(pid) is int for pid in pids):
            raise ValueError("a number of the wrong kind")
        return Report(word, texts[0], texts[1], fields["number"], texts[2], pids)
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(0, "control", f"not a report of the set-up: {error}") from error
