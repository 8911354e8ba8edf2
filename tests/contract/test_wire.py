"""A cell that writes what it likes into its own channel ends itself, and nobody else."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.cells import CHANNEL, NEEDS, run, value

pytestmark = [pytest.mark.contract, NEEDS]


def _ends_by_protocol(code: str) -> None:
    start = time.monotonic()
    outcome = run(f"{CHANNEL}\n{code}\nwhile True: pass", out=["x"])
    assert getattr(outcome.failure, "limit", None) == "protocol", outcome
    assert not outcome.values
    assert time.monotonic() - start < 5
    assert value("1 + 1") == 2


@pytest.mark.parametrize(
    "code",
    [
        "send(b'garbage' * 10)",
        "send(struct.pack('<4sBBHI', b'kvch', 2, 3, 0, 2) + b'{}')",
        "send(frame(99, {}))",
        "send(frame(1, {'fault': None}))",
        "send(frame(2, {}))",
        "send(frame(7, {'text': '', 'status': 'ok'}))",
        "send(frame(9, {}))",
        "send(frame(10, {'number': 1, 'content': {}}))",
        "send(frame(11, {}))",
        "send(frame(MESSAGE, {}))",
        "send(frame(MESSAGE, {'type': 'stream', 'content': [], 'metadata': {}}))",
        "send(frame(MESSAGE, {'type': 'shutdown', 'content': {}, 'metadata': {}}))",
        "send(stream('').replace(b'stdout', b'stdlog'))",
        "send(frame(VALUE, {'name': 1}))",
        "send(frame(DONE, {'failure': {'name': 1}}))",
        "send(frame(DONE, {'failure': None}, b'buffer'))",
        "send(struct.pack('<4sBBHI', b'kvch', 1, 3, 0, 6) + b'[1, 2]')",
        "send(struct.pack('<4sBBHI', b'kvch', 1, 3, 0, 2) + b'\\xff\\xff')",
        "send(struct.pack('<4sBBHI', b'kvch', 1, 3, 0, 100_000) + b'{\"a\":' * 20_000)",
    ],
    ids=[
        "garbage", "version", "kind", "ready", "go", "answer", "request", "reply", "publish",
        "empty", "type", "message-type",
        "stream-name", "value", "done", "done-buffer", "no-object", "no-text", "deep",
    ],
)  # fmt: skip
def test_frame_that_no_honest_cell_sends_ends_the_cell(code: str) -> None:
    """Each rule of the wire, broken once."""
    _ends_by_protocol(code)


@pytest.mark.parametrize(
    "code",
    [
        "send(struct.pack('<4sBBHI', b'kvch', 1, 3, 0, 0xFFFFFFFF))",
        "send(struct.pack('<4sBBHIQ', b'kvch', 1, 3, 1, 2, 1 << 62))",
        "send(struct.pack('<4sBBHI', b'kvch', 1, 3, 0xFFFF, 2))",
    ],
    ids=["body", "buffer", "buffers"],
)
def test_huge_announcement_is_not_waited_for(code: str) -> None:
    """The lengths alone are enough to refuse; no byte of the body is asked for."""
    _ends_by_protocol(code)


def test_frame_after_the_end_is_refused() -> None:
    """DONE is the last word; what follows is a protocol failure, and no value comes back."""
    _ends_by_protocol("send(frame(DONE, {'failure': None}) + stream('after'))")


def test_half_a_frame_does_not_hold_up_the_caller() -> None:
    """A frame that never ends is ended by the timeout."""
    half = f"{CHANNEL}\nsend(stream('x')[:20])\nwhile True: pass"
    start = time.monotonic()
    outcome = run(half, timeout=0.5)
    assert getattr(outcome.failure, "limit", None) == "timeout"
    assert time.monotonic() - start < 4


def test_forged_end_is_an_end_like_another() -> None:
    """A cell may say DONE itself; it gains nothing by it."""
    outcome = run(
        f"{CHANNEL}\nprint('before')\nsend(frame(DONE, {{'failure': None}}))\nos._exit(0)"
    )
    assert outcome.ok
    assert outcome.stdout == "before\n"


def test_closed_channel_is_an_early_end() -> None:
    """Closing the one way back is told; the caller does not wait for more."""
    outcome = run(f"{CHANNEL}\nx = 1\nos.close(channel)", out=["x"])
    assert getattr(outcome.failure, "limit", None) == "exit"
    assert not outcome.values


def test_frames_made_by_hand_are_frames() -> None:
    """The hostile helper speaks the protocol, so that the refusals above mean something."""
    assert run(f"{CHANNEL}\nsend(stream('by hand'))").check().stdout == "by hand"


def test_output_before_a_broken_frame_is_kept() -> None:
    """What was whole is heard, also when it arrives together with what is not."""
    outcome = run(f"{CHANNEL}\nsend(stream('before') + b'garbage' * 10)\nwhile True: pass")
    assert getattr(outcome.failure, "limit", None) == "protocol"
    assert outcome.stdout == "before"


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_random_bytes_never_hurt_the_caller(data: bytes, has_head: bool) -> None:
    """Whatever bytes come, with or without a good start, the call returns and the next works."""
    head = "struct.pack('<4sBBHI', b'kvch', 1, 3, 0, 64) + " if has_head else ""
    outcome = run(f"{CHANNEL}\nsend({head}{data!r})\nos._exit(0)", timeout=5)
    assert not outcome.ok
    assert value("1 + 1") == 2
