"""The cell's streams: few messages, nothing lost, nothing twice."""

from __future__ import annotations

import os
import queue
import threading
from typing import Any, cast

import pytest
from ipykernel.iostream import IOPubThread, OutStream
from jupyter_client.session import Session

from kavach_ipy.front.streams import LinkStream, Name, Relay, repair_outstream, send_pieces

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


def _write_from_four_threads(stream: Any, count: int) -> None:
    """Write lines, and flush in between, from threads at once."""

    def write(name: str) -> None:
        for number in range(count):
            stream.write(f"{name}{number}\n")
            if number % 50 == 0:
                stream.flush()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    stream.flush()


def _check_each_is_in_order(lines: list[str], count: int) -> None:
    for name in "abcd":
        own = [line for line in lines if line.startswith(name)]
        assert own == [f"{name}{number}" for number in range(count)]


def test_text_of_many_threads_is_whole_and_in_order() -> None:
    """Every thread's writes arrive, each thread's in its own order."""
    heard = Heard()
    stream = LinkStream("stdout", heard.take, Relay(), None)

    _write_from_four_threads(stream, 500)
    lines: list[str] = []
    while len(lines) < 2000:
        lines += heard.next()[1].splitlines()
    _check_each_is_in_order(lines, 500)


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


class NoThread(IOPubThread):
    """A kernel's IOPub thread that is not there, as after a fork."""

    def __init__(self) -> None:
        self.thread = cast("Any", None)
        self.io_loop = cast("Any", None)


class Sent:
    """Stands where ``Session`` is asked to send, and keeps what it is given."""

    def __init__(self) -> None:
        self.session = Session(key=b"key")
        self.session.send = self.take  # type: ignore[method-assign,assignment]
        self.texts: list[tuple[str, str]] = []

    def take(self, _: object, message: dict[str, Any], **__: object) -> None:
        """Be ``Session.send``."""
        name = message["parent_header"].get("msg_id", "")
        self.texts.append((name, message["content"]["text"]))


def made(session: Session) -> Any:
    """Return a kernel's stream."""
    make: Any = OutStream
    return make(session, NoThread(), "stdout", watchfd=False)


def repaired(sent: Sent) -> Any:
    """Return a kernel's stream, put right as in a cell."""
    stream = made(sent.session)
    repair_outstream(stream, Relay())
    return stream


def test_a_kernels_stream_keeps_the_text_of_two_requests_apart() -> None:
    """What two requests print in turns arrives whole, each under the request that printed it."""
    sent = Sent()
    stream = repaired(sent)
    for number in range(4):
        stream.set_parent({"header": {"msg_id": "ab"[number % 2]}})
        print(number, file=stream)
    stream.flush()
    assert sent.texts == [("a", "0\n2\n"), ("b", "1\n3\n")]


def test_a_kernels_stream_refuses_what_is_no_text() -> None:
    """Bytes are an error in a cell, of the kind and with the words that a kernel has for it."""
    stock, stream = made(Session(key=b"key")), repaired(Sent())
    words = []
    for one in (stock, stream):
        with pytest.raises(TypeError) as refused:
            one.write(b"bytes")
        words.append(str(refused.value))
    assert words[0] == words[1]


def test_a_closed_stream_of_a_kernel_takes_nothing() -> None:
    """A cell that closed its stream is told so by the next print, as in a kernel."""
    stream = repaired(Sent())
    stream.pub_thread = None
    with pytest.raises(ValueError, match="closed"):
        print("late", file=stream)


def test_threads_lose_nothing_in_a_kernels_stream() -> None:
    """Four threads that print and flush at once lose no line, and each one's are in order."""
    sent = Sent()
    stream = repaired(sent)
    stream.set_parent({"header": {"msg_id": "a"}})

    _write_from_four_threads(stream, 2000)
    lines = "".join(text for _, text in sent.texts).splitlines()
    _check_each_is_in_order(lines, 2000)
