"""What the parent hears of a running cell, alone: the gate behind it takes no part.

The cell is a process of the test's own that only waits, and what it "says" is written by the test.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

import pytest

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import asking, watch
from kavach_ipy.launch.interrupts import GRACE_SECONDS, Interrupts
from kavach_ipy.launch.meter import Meter
from kavach_ipy.launch.signals import handlers_later
from kavach_ipy.launch.watch import Watch, WatchedEnds
from kavach_ipy.policy import Policy
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Decoder, Frame, Kind, encode
from kavach_ipy.wire.marks import Mark
from kavach_ipy.wire.messages import (
    RESULT,
    answer_frame,
    done_frame,
    go_frame,
    input_frame,
    message_frame,
    read_answer,
    ready_frame,
)
from kavach_ipy.wire.value_frames import Carried, unsent_frame, value_frame

LATE = 10.0
"""Seconds after which the stand-in ends by itself: a watch without its guard goes on until then."""


@dataclass
class _Ear:
    frames: list[Frame] = field(default_factory=list)
    text: bytes = b""
    answer: Frame | None = None
    seen: list[tuple[float, int, int]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    """What was heard, frames by their kind and bytes as they are."""

    def frame(self, frame: Frame) -> Frame | None:
        self.frames.append(frame)
        self.order.append(frame.kind.name)
        return self.answer if frame.kind is Kind.INPUT else None

    def output(self, name: Literal["stdout", "stderr"], data: bytes) -> None:
        del name
        self.text += data
        self.order.append(data.decode())

    def usage(self, seconds: float, memory: int, processes: int) -> None:
        self.seen.append((seconds, memory, processes))


class _Cell:
    """A stand-in for the cell, which ends when it is killed, or after `LATE` seconds."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.stdout, self.prints = os.pipe()
        self.stderr, self.complains = os.pipe()
        self.process = subprocess.Popen(["sleep", str(LATE)])
        self.pidfd = os.pidfd_open(self.process.pid)
        self.proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        self.arena = os.memfd_create("arena")
        self.ear = _Ear()
        self.killed = 0
        for fd in (self.stdout, self.stderr):
            os.set_blocking(fd, False)
        self.ours.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.ours.close()
        self.theirs.close()
        for fd in (
            self.stdout, self.prints, self.stderr, self.complains, self.pidfd, self.proc,
            self.arena,
        ):  # fmt: skip
            os.close(fd)

    def say(self, *frames: Frame) -> None:
        """Write frames into the channel, whole."""
        for frame in frames:
            for piece in encode(frame):
                self.theirs.sendall(piece)

    def watch(
        self, *, _interrupted_at: float | None = None, **policy: object
    ) -> CellStopped | None:
        """Watch it to its end."""
        with handlers_later() as signals:
            # What is measured are all processes of this machine.
            bounds = Policy.from_mapping(
                {"timeout": 5.0, "memory": "1T", "cpu": "10000h", **policy}
            )
            return Watch(
                policy=bounds,
                ends=WatchedEnds(self.ours.fileno(), self.stdout, self.stderr, self.pidfd),
                listener=self.ear,
                decoder=Decoder(),
                meter=Meter(bounds, self.proc, self.arena, 0, lambda: False, lambda: 0.0),
                reap=self._reap,
                kill=self._kill,
                interrupts=Interrupts(lambda: None, last=_interrupted_at),
                names=frozenset({"x", RESULT}),
                signals=signals,
            ).run()

    def _reap(self) -> int:
        return self.process.wait() << 8

    def _kill(self) -> None:
        self.killed += 1
        self.process.kill()


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Cell]:
    """A cell that says what the test lets it say."""
    # The test's own /proc stands in for the sandbox's; what all the machine uses is nobody's limit.
    monkeypatch.setattr(watch, "_SAMPLE_SECONDS", 10 * LATE)
    with _Cell() as stand_in:
        yield stand_in


def _value(name: str, size: int = 1) -> Frame:
    return value_frame(Carried(name, "bytes", (bytes(size),)))


def test_watch_ends_with_the_cells_own_word(cell: _Cell) -> None:
    """DONE is the end, and what came before it was heard."""
    cell.say(message_frame("stream", {"name": "stdout", "text": "x"}), _value("x"), done_frame())
    assert cell.watch() is None
    assert [frame.kind for frame in cell.ear.frames] == [Kind.MESSAGE, Kind.VALUE, Kind.DONE]


def _printed(stdout: int = 0, stderr: int = 0) -> Frame:
    """Return a frame that is sent now, when so many bytes lie in the pipes."""
    now = time.monotonic_ns()
    content: dict[str, Json] = {"name": "stdout", "text": "x"}
    return message_frame("stream", content, mark=Mark(now, now, stdout, stderr))


def test_what_a_subprocess_wrote_first_is_heard_first(cell: _Cell) -> None:
    """A frame comes after the bytes that lay in the pipes when it was sent, and before others."""
    os.write(cell.complains, b"error, ")
    os.write(cell.prints, b"beforeafter")
    cell.say(_printed(len("before"), len("error, ")), done_frame())
    assert cell.watch() is None
    assert cell.ear.order == ["before", "error, ", "MESSAGE", "DONE", "after"]


def test_what_was_printed_first_is_heard_first(
    cell: _Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of a pipe come after the frames that were sent before them, in however many reads."""
    monkeypatch.setattr(watch, "_CHUNK", 16)
    cell.say(_printed())
    os.write(cell.prints, b"after")
    cell.say(_printed(len("after")), done_frame())
    assert cell.watch() is None
    assert cell.ear.order == ["MESSAGE", "after", "MESSAGE", "DONE"]


@pytest.mark.parametrize("mark", [Mark(*[1 << 62] * 4), Mark(0, 0, 1 << 62, 0), Mark(9, 1, 0, 0)])
def test_a_mark_that_lies_makes_nobody_wait(cell: _Cell, mark: Mark) -> None:
    """Bytes that were announced and never written are not waited for."""
    cell.say(message_frame("clear_output", {}, mark=mark), done_frame())
    start = time.monotonic()
    assert cell.watch() is None
    assert time.monotonic() - start < LATE / 2
    assert cell.ear.order == ["MESSAGE", "DONE"]


def test_watch_ends_at_the_deadline(cell: _Cell) -> None:
    """A cell that only waits is ended by its timeout, long before it would end by itself."""
    start = time.monotonic()
    stopped = cell.watch(timeout=0.3)
    assert time.monotonic() - start < LATE / 2
    assert stopped is not None
    assert stopped.limit == "timeout"
    assert cell.killed == 1


def test_watch_ends_two_seconds_after_an_interrupt(cell: _Cell) -> None:
    """Who was interrupted that long ago, and still runs, does not obey."""
    start = time.monotonic()
    stopped = cell.watch(_interrupted_at=start - GRACE_SECONDS)
    assert time.monotonic() - start < LATE / 4
    assert stopped is not None
    assert stopped.limit == "interrupt"


def test_watch_goes_on_within_two_seconds_of_an_interrupt(cell: _Cell) -> None:
    """A cell that obeys has the time to say so."""
    cell.say(done_frame())
    assert cell.watch(_interrupted_at=time.monotonic() - GRACE_SECONDS / 2) is None


@pytest.mark.parametrize("where", ["prints", "complains"])
def test_output_within_the_limit_is_heard(cell: _Cell, where: str) -> None:
    """Of both streams, to the last byte."""
    os.write(getattr(cell, where), b"y" * 4096)
    cell.say(done_frame())
    assert cell.watch(output=8192) is None
    assert cell.ear.text == b"y" * 4096


def test_flood_is_ended_while_it_is_read(cell: _Cell) -> None:
    """The limit is looked at with each piece, and not at the end."""
    os.write(cell.prints, b"y" * 8192)
    stopped = cell.watch(output=4096)
    assert stopped is not None
    assert stopped.limit == "output"


@pytest.mark.parametrize(
    "frame",
    [ready_frame(), go_frame(), answer_frame("x")],
    ids=["ready", "go", "answer"],
)
def test_frame_out_of_turn_is_not_heard(cell: _Cell, frame: Frame) -> None:
    """The watch itself ends the cell: what listens behind it is never asked."""
    cell.say(frame)
    stopped = cell.watch()
    assert stopped is not None
    assert stopped.limit == "protocol"
    assert cell.ear.frames == []


@pytest.mark.parametrize("make", [_value, lambda name: unsent_frame(name, "int", "no", "no", "")])
def test_value_that_nobody_asked_for_is_not_heard(
    cell: _Cell, make: Callable[[str], Frame]
) -> None:
    """A hostile child sends it; the gate, which would refuse it as well, never sees it."""
    cell.say(make("y"))
    stopped = cell.watch()
    assert stopped is not None
    assert stopped.limit == "protocol"
    assert "not due" in str(stopped)
    assert cell.ear.frames == []


def test_value_that_comes_twice_is_heard_once(cell: _Cell) -> None:
    """The second ends the cell."""
    cell.say(_value("x"), _value("x"))
    stopped = cell.watch()
    assert stopped is not None
    assert stopped.limit == "protocol"
    assert [frame.body["name"] for frame in cell.ear.frames] == ["x"]


def test_values_in_frames_have_a_size(cell: _Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as is allowed in all, and not a byte more."""
    monkeypatch.setattr(watch, "_VALUE_BYTES", 1000)
    cell.say(_value("x", 500), _value(RESULT, 500), done_frame())
    assert cell.watch() is None


def test_values_beyond_that_size_are_not_heard(
    cell: _Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is too much ends the cell."""
    monkeypatch.setattr(watch, "_VALUE_BYTES", 1000)
    cell.say(_value("x", 500), _value(RESULT, 501))
    stopped = cell.watch()
    assert stopped is not None
    assert stopped.limit == "protocol"
    assert len(cell.ear.frames) == 1


def test_answer_to_a_cell_that_does_not_read_holds_nobody_up(cell: _Cell) -> None:
    """Its buffer is full; the next thing that it says is heard all the same."""
    cell.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    cell.ear.answer = answer_frame("x" * 1_000_000)
    cell.say(*[input_frame("?", is_password=False)] * 3, done_frame())
    given_up = threading.Event()

    def give_up() -> None:
        given_up.set()
        cell.theirs.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(LATE, give_up)
    timer.start()
    assert cell.watch() is None
    timer.cancel()
    assert not given_up.is_set()
    assert cell.ear.frames[-1].kind is Kind.DONE


def test_number_of_questions_is_bounded(cell: _Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers every one of them is asked that often, and no more."""
    monkeypatch.setattr(asking, "_MOST", 20)
    cell.ear.answer = answer_frame("")
    cell.say(*[input_frame("?", is_password=False)] * 21, done_frame())
    stopped = cell.watch(stdin=True)
    assert stopped is not None
    assert stopped.limit == "questions"
    assert sum(frame.kind is Kind.INPUT for frame in cell.ear.frames) == 20


def test_questions_of_an_honest_cell_are_all_put(cell: _Cell) -> None:
    """Each gets its answer, in order."""
    cell.ear.answer = answer_frame("yes")
    cell.say(*[input_frame("?", is_password=False)] * 20, done_frame())
    assert cell.watch(stdin=True) is None
    answers = Decoder().feed(cell.theirs.recv(1 << 20))
    assert [read_answer(frame).text for frame in answers] == ["yes"] * 20


def test_use_of_the_cell_is_told(cell: _Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds since the beginning, memory and processes, a few times a second."""
    monkeypatch.setattr(watch, "_SAMPLE_SECONDS", 0.1)
    stopped = cell.watch(timeout=1)
    assert stopped is not None
    assert stopped.limit == "timeout"
    assert 1 <= len(cell.ear.seen) <= 10
    assert all(0 < seconds < 3 for seconds, _, _ in cell.ear.seen)
    assert all(memory > 0 and processes > 0 for _, memory, processes in cell.ear.seen)


def test_what_is_left_is_read_after_the_kill(cell: _Cell) -> None:
    """Who still writes while the end is read would hold it up."""
    cell.say(done_frame())
    assert cell.watch() is None
    assert cell.killed == 1
    assert cell.process.poll() is not None or cell.process.wait() == -signal.SIGKILL
