"""Every value of the corpus, sent by a real cell: withheld with a reason, and that is all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kavach_ipy.gate.outcome import Outcome
from tests.contract.cells import CHANNEL, NEEDS, run, value
from tests.escape.values.corpus import TOUCH, corpus

pytestmark = [pytest.mark.escape, NEEDS]

_CORPUS = corpus()


def _send(data: bytes, *buffers: bytes, name: str = "x") -> Outcome:
    body = {"name": name, "kind": "int", "parts": [None] * (1 + len(buffers))}
    code = f"{CHANNEL}\nsend(frame(VALUE, {body!r}, *parts) + frame(DONE, {{'failure': None}}))"
    return run(f"{code}\nos._exit(0)", inputs={"parts": [data, *buffers]}, out=["x"])


def test_an_honest_value_is_sent_the_same_way() -> None:
    """What the corpus differs from comes back."""
    assert _send(b"\x80\x05K\x01.").values == {"x": 1}


@pytest.mark.parametrize("name", sorted(_CORPUS))
def test_a_hostile_value_is_withheld(name: str, tmp_path: Path) -> None:
    """No command runs, no name is assigned, this process lives, and soon runs the next cell."""
    canary = tmp_path / "canary"
    data, buffers = _CORPUS[name]
    path = str(canary).ljust(len("@canary@")).encode()
    command = TOUCH.encode().replace(b"@canary@", path)
    # A text's length stands in front of it.
    head = bytes([len(TOUCH)]) + TOUCH.encode()
    data = data.replace(head, bytes([len(command)]) + command)
    start = time.monotonic()
    outcome = _send(data, *buffers)
    assert time.monotonic() - start < 5.0
    assert not canary.exists()
    assert outcome.failure is None
    assert dict(outcome.values) == {}
    assert outcome.withheld["x"].reason
    assert value("1 + 1") == 2


@pytest.mark.parametrize("name", ["y", "_", "In", "get_ipython", "__builtins__", "x\0", "X"])
def test_a_name_that_nobody_asked_for_ends_the_sandbox(name: str) -> None:
    """Nothing at all is brought back of such a cell."""
    outcome = _send(b"\x80\x05K\x01.", name=name)
    assert "was not due" in str(outcome.failure)
    assert (dict(outcome.values), dict(outcome.withheld)) == ({}, {})


def test_a_child_whose_pickle_was_replaced_is_read_as_any_other(tmp_path: Path) -> None:
    """The kernel's reader does not care who wrote the bytes."""
    canary = tmp_path / "canary"
    code = f"""
    import io, os, pickle, kavach_ipy.wire.values as values
    class Evil:
        def __reduce__(self):
            return os.system, ("touch {canary}",)
    class Stock(pickle.Pickler):
        cost = 0
        def __init__(self, stream, protocol, buffer_callback=None):
            super().__init__(stream, protocol)
    values._Writer = Stock
    evil, plain = Evil(), [1, "a"]
    """
    outcome = run(code, out=["evil", "plain"])
    assert not canary.exists()
    assert "tag" in outcome.withheld["evil"].reason
    assert dict(outcome.values) == {"plain": [1, "a"]}


_ARENA = """
import fcntl, mmap
(arena,) = (int(n) for n in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{n}")
            and "kavach-arena" in os.readlink(f"/proc/self/fd/{n}"))
PAGE = mmap.PAGESIZE
good = b"\\x80\\x05K\\x01."
def say(*spans):
    body = {"name": "x", "kind": "int", "parts": [list(span) for span in spans]}
    send(frame(VALUE, body) + frame(DONE, {"failure": None}))
    os._exit(0)
"""


def _arena(code: str) -> Outcome:
    return run(f"{CHANNEL}\n{_ARENA}\n{code}", out=["x"])


def test_an_honest_span_is_read() -> None:
    """What the attacks below differ from comes back."""
    assert _arena("os.pwrite(arena, good, 0)\nsay((0, len(good)))").values == {"x": 1}


@pytest.mark.parametrize(
    "code",
    [
        "os.ftruncate(arena, 1 << 44)\nsay((0, 1 << 43))",
        "os.pwrite(arena, good, 0)\nos.ftruncate(arena, 64 * PAGE)\nsay((0, len(good)))",
        "fcntl.fcntl(arena, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)\nsay((0, 0))",
        "os.pwrite(arena, good * 9999, 0)\nsay((0, 5), (0, 8))",
        "os.pwrite(arena, good * 9999, 0)\nsay((0, 2 * PAGE), (PAGE, PAGE))",
        "os.pwrite(arena, good, 0)\nsay((0, 2 ** 62))",
        "os.pwrite(arena, good, 0)\nsay((1, 4))",
        "os.pwrite(arena, good, 0)\nsay((2 ** 62, 2 ** 62))",
        "say((0, 1))",
    ],
    ids=[
        "sparse",
        "half sparse",
        "sealed first",
        "twice",
        "overlapping",
        "beyond",
        "odd",
        "overflow",
        "empty",
    ],
)
def test_arenas_that_lie_end_the_sandbox(code: str) -> None:
    """Sparse memory, a seal that forbids ours, spans that overlap or lie outside bring nothing."""
    outcome = _arena(code)
    assert outcome.failure is not None
    assert (dict(outcome.values), dict(outcome.withheld)) == ({}, {})
    assert value("1 + 1") == 2


def test_memory_that_a_straggler_maps_is_still_or_refused() -> None:
    """A process that keeps the arena mapped, and goes on writing, is dead before it is read."""
    outcome = _arena(
        """
os.pwrite(arena, good.ljust(PAGE, b"."), 0)
view = mmap.mmap(arena, PAGE)
ready, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.write(told, b"x")
    while True:
        for byte in range(256):
            view[3] = byte
os.read(ready, 1)
say((0, len(good)))
"""
    )
    assert outcome.failure is None
    first = outcome.values["x"]
    assert isinstance(first, int)
    assert outcome.values["x"] == first
