"""What the supervisor tells the parent while it sets up, and at the end.

Guarantees: one report is one packet (unix(7), SOCK_SEQPACKET), so two writers cannot tear it.
Assumes: the writer is our own code, before the cell runs; the reader checks the form all the same.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from typing import Literal

from kavach_ipy.errors import ProtocolError

__all__ = ["Report", "Word", "parse_report", "send_report"]

Word = Literal["unshared", "failed", "forked", "ended"]
_WORDS = ("unshared", "failed", "forked", "ended")
_LIMIT = 1 << 14
_DETAIL = 1 << 10


@dataclass(frozen=True, slots=True)
class Report:
    """One packet on the control socket."""

    word: Word
    step: str = ""
    call: str = ""
    number: int = 0
    """The errno of a failure, or the wait status of an end."""

    detail: str = ""
    pids: tuple[int, ...] = ()
    """Of "forked": the cell and init, as the kernel's PID namespace numbers them."""


def send_report(control: socket.socket, report: Report) -> None:
    """Send one report; OSError when the parent has gone."""
    fields = asdict(report) | {"detail": report.detail[:_DETAIL]}
    control.send(json.dumps(fields).encode("utf-8", "replace"))


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
        raise ProtocolError(0, "control", f"not a report of the supervisor: {error}") from error
