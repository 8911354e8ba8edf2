"""What lay in a pipe when a frame was sent: found quickly, whatever the mark says."""

from __future__ import annotations

import os
import time

from kavach_ipy.launch.order import Pipes, StreamName
from kavach_ipy.wire.marks import Mark

_READS = 5000
_FRAMES = 60_000
_SECONDS = 5.0
"""It takes less than one; a look at each read of each frame takes more than fifteen."""


def test_mark_that_lies_costs_no_more_than_another() -> None:
    """A session that made itself be read byte by byte keeps nobody busy, frame after frame."""
    stdout, write_stdout = os.pipe()
    stderr, write_stderr = os.pipe()
    heard: list[tuple[StreamName, bytes]] = []
    pipes = Pipes(stdout, stderr, lambda name, data: heard.append((name, data)))
    try:
        for _ in range(_READS):
            os.write(write_stdout, b"x")
            pipes.take(stdout)
        # Of all times, and after each read but the last.
        lie = Mark(0, 1 << 62, 1, 0)
        start = time.monotonic()
        os.set_blocking(stdout, False)
        for _ in range(_FRAMES):
            pipes.catch_up(lie)
            assert time.monotonic() - start < _SECONDS
    finally:
        for fd in (stdout, write_stdout, stderr, write_stderr):
            os.close(fd)
    assert heard == [("stdout", b"x")] * _READS


def test_mark_is_of_what_was_written_before_it() -> None:
    """Between two reads, at the time of one, and after all of them."""
    stdout, write_stdout = os.pipe()
    stderr, write_stderr = os.pipe()
    heard: list[bytes] = []
    pipes = Pipes(stdout, stderr, lambda _, data: heard.append(data))
    try:
        marks = []
        for piece in (b"one", b"two", b"three"):
            os.write(write_stdout, piece)
            now = time.monotonic_ns()
            marks.append(Mark(now, now, len(piece), 0))
            pipes.take(stdout, pipes.end(stdout) - 1)
        os.write(write_stdout, b"more")
        for mark in marks[:2]:
            pipes.catch_up(mark)
            assert b"".join(heard) == b"onetwothre"
        pipes.catch_up(Mark(time.monotonic_ns(), time.monotonic_ns(), 3, 0))
        assert b"".join(heard) == b"onetwothreemo"
    finally:
        for fd in (stdout, write_stdout, stderr, write_stderr):
            os.close(fd)
