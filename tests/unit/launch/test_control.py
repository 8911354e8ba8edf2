"""What the set-up says is read strictly."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import ProtocolError
from kavach_ipy.launch.control import (
    Report,
    await_mappings,
    parse_report,
    send_mappings,
    send_report,
)
from kavach_ipy.linux.inherited import SharedMapping


def test_a_report_arrives_as_it_was_sent() -> None:
    """Step, call, errno and detail survive the socket."""
    sent = Report("failed", "root", "mount", 1, "a path with ü", (3, 4))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        send_report(theirs, sent)
        assert parse_report(ours.recv(1 << 16)) == sent


def test_mappings_arrive_with_names_that_are_no_text() -> None:
    """A file name is bytes, and stays so."""
    mapping = SharedMapping(4096, 8192, 3, 0, 5, 7, b"/tmp/\xff name")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        send_mappings(ours, (mapping,))
        assert await_mappings(theirs) == (mapping,)


@given(st.binary(max_size=300))
def test_any_packet_is_a_report_or_an_error(packet: bytes) -> None:
    """No packet raises anything but a ProtocolError."""
    with suppress(ProtocolError):
        assert parse_report(packet).word in {"unshared", "failed", "forked"}


@pytest.mark.parametrize(
    "change",
    [{"word": "done"}, {"pids": ["1"]}, {"number": True}, {"step": None}, {"pids": 3}],
    ids=str,
)
def test_a_report_with_a_field_of_the_wrong_kind_is_refused(change: dict[str, object]) -> None:
    """Each field's type is checked, not assumed."""
    good = {"word": "forked", "step": "", "call": "", "number": 0, "detail": "", "pids": [1, 2]}
    assert parse_report(json.dumps(good).encode()).pids == (1, 2)
    with pytest.raises(ProtocolError):
        parse_report(json.dumps(good | change).encode())
