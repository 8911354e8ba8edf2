"""The cell's streams: few messages, nothing lost, nothing twice."""

from __future__ import annotations

import os
import queue
import threading

import pytest

from kavach_ipy.front.streams import LinkStream, Name, Relay, send_pieces

DEADLINE = 30.0


class Heard:
    """Takes what a stream sends; a test can wait for it."""

    def __init__(self) -> None:
        self.texts: queue.Queue[tuple[Name, str]] = queue.Queue()

    def take(self, name: Name, text: str) -> None:
        """Be a ``SendText``."""
        self.texts.put((name, text))

    def next(self) -> tuple[Name, str]:
        """Wait for the next piece."""
        return self.texts.get(timeout=DEADLINE)


def test_text_is_sent_without_a_flush() -> None:
    """A cell that prints and then computes for an hour is heard at once."""
    heard = Heard()
    stream = LinkStream("stdout", heard.take, Relay(), None)
    print("still alive", file=stream)
    assert heard.next() == ("stdout", "still alive\n")


def test_many_writes_are_one_message() -> None:
    """What is written together is sent together."""
    heard = Heard()
    stream = LinkStream("stderr", heard.take, Relay(), None)
    for number in range(1000):
        stream.write(f"{number} ")
    stream.flush()
    text = ""
    pieces = 0
    while not text.endswith("999 "):
        text += heard.next()[1]
        pieces += 1
    assert text.split() == [str(number) for number in range(1000)]
    assert pieces < 10


def test_text_of_many_threads_is_whole_and_in_order() -> None:
    """Every thread's writes arrive, each thread's in its own order."""
    heard = Heard()
    stream = LinkStream("stdout", heard.take, Relay(), None)

    def write(name: str) -> None:
        for number in range(500):
            stream.write(f"{name}{number}\n")
            if number % 50 == 0:
                stream.flush()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    stream.flush()
    lines: list[str] = []
    while len(lines) < 2000:
        lines += heard.next()[1].splitlines()
    for name in "abcd":
        own = [line for line in lines if line.startswith(name)]
        assert own == [f"{name}{number}" for number in range(500)]


def test_a_fork_repeats_nothing() -> None:
    """What waits in a buffer at a fork is sent by the parent, once, and never by the child."""
    read_end, write_end = os.pipe()

    def send(_: Name, text: str) -> None:
        os.write(write_end, text.encode())

    stream = LinkStream("stdout", send, Relay(), None)
    stream.write("parent ")
    child = os.fork()
    if child == 0:
        stream.write("child ")
        stream.flush()
        os._exit(0)
    os.waitpid(child, 0)
    stream.flush()
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        assert sorted(pipe.read().split()) == [b"child", b"parent"]


def test_without_a_thread_text_is_sent_at_once() -> None:
    """Where a process may have no second thread, every write is a message, and none is lost."""
    heard = Heard()
    relay = Relay()

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    original, threading.Thread = threading.Thread, NoThread  # type: ignore[misc]
    try:
        stream = LinkStream("stdout", heard.take, relay, None)
        stream.write("one ")
        stream.write("two")
    finally:
        threading.Thread = original  # type: ignore[misc]
    assert [heard.next(), heard.next()] == [("stdout", "one "), ("stdout", "two")]


def test_pieces_fit_a_frame() -> None:
    """A text of any length is passed on whole, in pieces."""
    heard: list[str] = []
    text = "0123456789" * 100_000
    send_pieces(lambda _, piece: heard.append(piece))("stdout", text)
    assert "".join(heard) == text
    assert max(map(len, heard)) <= 1 << 18


def test_a_stream_is_what_libraries_expect() -> None:
    """Name, encoding, descriptor; and bytes are refused as by any text stream."""
    stream = LinkStream("stderr", lambda *_: None, Relay(), None)
    assert (stream.name, stream.encoding, stream.fileno()) == ("stderr", "utf-8", 2)
    assert stream.writable()
    assert not stream.isatty()
    with pytest.raises(TypeError, match="bytes"):
        stream.write(b"bytes")  # type: ignore[arg-type]
