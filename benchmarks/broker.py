"""A kernel whose cells are all sandboxed against the stock one: ``make bench-broker``.

Real kernels through ``jupyter_client``, one of each kind at a time, in rounds that ask both, one
after the other and in turns first. Times are this machine's; ratios are what may be compared.

Guarantees: the exit code is 0 when every number that a bound is set for keeps it.
Assumes: the package, numpy and pandas are installed; nobody else uses the two processors.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager
from run import Row, print_table, rounds_asked

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

_STOCK = ("-m", "ipykernel_launcher")
_BROKER = ("-I", "-m", "kavach_ipy.kernel")
_PRELOAD = ("--Kavach.preload=numpy", "--Kavach.preload=pandas")
_NO_CHECKPOINT = ("--Kavach.checkpoint=off",)
_PAUSES = (0.05, 0.1)
_IMPORT = "import numpy, pandas"
_RESULT = "1 + 1"
_CELLS = {
    "pass": "pass",
    "1 + 1": _RESULT,
    "a small display": "display({'text/plain': 'shown'}, raw=True)",
}
_MB = 1_000_000
_OUTPUT = {
    "20 MB of output in 20 cells": ("print('x' * 999_999)", 20),
    "20 MB of output in 20 prints": ("for _ in range(20):\n    print('x' * 999_999)", 1),
    "20 MB of output in one print": ("print('x' * 19_999_999)", 1),
    "20 MB of output in 200,000 lines": ("for _ in range(200_000):\n    print('x' * 99)", 1),
}
_PATIENCE = 120.0
_RETRY_MILLISECONDS = 2


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that runs, and its client."""

    manager: KernelManager
    client: BlockingKernelClient

    @property
    def resident(self) -> float:
        """The memory of the kernel's own process, in MB."""
        provisioner: Any = self.manager.provisioner
        status = Path(f"/proc/{provisioner.pid}/status").read_text(encoding="ascii")
        (kib,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(kib) * 1024 / _MB

    def run(self, code: str) -> int:
        """Run a cell until the kernel is idle; the characters that it printed."""
        size = 0

        def count(message: dict[str, Any]) -> None:
            nonlocal size
            if message["msg_type"] == "stream":
                size += len(message["content"]["text"])

        reply = self.client.execute_interactive(code, output_hook=count, timeout=_PATIENCE)
        assert reply["content"]["status"] == "ok", reply["content"]
        return size

    def answer(self) -> None:
        """Wait for a result, by its reply: output of a kernel that starts may be missed."""
        asked = {"result": _RESULT}
        reply = self.client.execute("", user_expressions=asked, reply=True, timeout=_PATIENCE)
        assert reply["content"]["user_expressions"]["result"]["status"] == "ok", reply["content"]

    def time(self, code: str) -> float:
        """Run a cell; milliseconds until its reply and the kernel's idle state are here."""
        start = time.perf_counter()
        self.run(code)
        return (time.perf_counter() - start) * 1e3


@contextmanager
def kernel(*program: str) -> Iterator[Kernel]:
    """Start a kernel with a profile of its own, and be connected to it."""
    with tempfile.TemporaryDirectory() as profile:
        manager = KernelManager(kernel_name="python3")
        spec = manager.kernel_spec
        assert spec is not None
        program_options = ("-f", "{connection_file}", "--log-level=ERROR")
        spec.argv = [sys.executable, *program[:3], *program_options, *program[3:]]
        # ZMQ tries to connect ten times a second, which would be what is measured.
        manager.context.RECONNECT_IVL = _RETRY_MILLISECONDS
        manager.start_kernel(env={**os.environ, "IPYTHONDIR": profile})
        client = manager.blocking_client()
        client.start_channels()
        try:
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


Take = Callable[[], float]


def interleaved(rounds: int, stock: Take, broker: Take) -> tuple[float, float]:
    """The medians of both, measured in turns."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        pair = list(zip((stock, broker), found, strict=True))
        for take, times in pair[:: 1 if number % 2 else -1]:
            times.append(take())
    return statistics.median(found[0]), statistics.median(found[1])


def rows(what: str, stock: float, broker: float, bound: float | None) -> list[Row]:
    """The three rows of one comparison."""
    return [
        Row(f"{what}: stock", stock, "ms"),
        Row("  every cell sandboxed", broker, "ms"),
        Row("  against stock", broker / stock, "x", bound),
    ]


def round_trips(stock: Kernel, broker: Kernel, rounds: int, pause: float = 0.0) -> Iterator[Row]:
    """Measure small cells, with numpy and pandas imported, and seconds between two of them."""

    def take(kernel: Kernel, code: str) -> float:
        time.sleep(pause)
        return kernel.time(code)

    for name, code in _CELLS.items():
        takes = [partial(take, kernel, code) for kernel in (stock, broker)]
        what = f"a cell's round trip, {name}" + (f", {pause * 1e3:.0f} ms later" if pause else "")
        yield from rows(what, *interleaved(rounds, *takes), 1.15)


def outputs(stock: Kernel, broker: Kernel, rounds: int) -> Iterator[Row]:
    """Measure 20 MB of output, from the first request to the last message."""

    def take(kernel: Kernel, code: str, cells: int) -> float:
        start = time.perf_counter()
        size = sum(kernel.run(code) for _ in range(cells))
        assert size == 20 * _MB, size
        return (time.perf_counter() - start) * 1e3

    for name, (code, cells) in _OUTPUT.items():
        takes = [partial(take, kernel, code, cells) for kernel in (stock, broker)]
        yield from rows(name, *interleaved(rounds, *takes), 1.3)


def start_to_result(*program: str, head: str = "") -> float:
    """Milliseconds from the start of a kernel to its first result, after a cell of `head`."""
    start = time.perf_counter()
    with kernel(*program) as started:
        if head:
            started.client.execute(head, reply=True, timeout=_PATIENCE)
        started.answer()
        return (time.perf_counter() - start) * 1e3


def starts(rounds: int) -> Iterator[Row]:
    """Measure the way from a start to the first result."""
    stock, broker = interleaved(
        rounds, partial(start_to_result, *_STOCK), partial(start_to_result, *_BROKER)
    )
    yield from rows("from the kernel's start to its first result", stock, broker, 1.5)
    stock_with, broker_with = interleaved(
        rounds,
        partial(start_to_result, *_STOCK, head=_IMPORT),
        partial(start_to_result, *_BROKER, head=_IMPORT),
    )
    yield from rows("to the first result with numpy and pandas", stock_with, broker_with, None)
    for what, options, head, against in (
        ("a new session of a warm zygote, to its first result", (), "pass", stock),
        ("  with numpy and pandas, of c.Kavach.preload", _PRELOAD, _IMPORT, stock_with),
    ):
        took = statistics.median(sessions(rounds, options, head))
        yield Row(what, took, "ms")
        yield Row("  against a stock kernel's start", took / against, "x", 0.8)


def sessions(rounds: int, options: tuple[str, ...], head: str) -> Iterator[float]:
    """Milliseconds from the end of a session to the first result of the next."""
    with kernel(*_BROKER, *options) as broker:
        broker.answer()
        for _ in range(rounds):
            start = time.perf_counter()
            for code in ("%kavach restart", head):
                broker.run(code)
            broker.answer()
            yield (time.perf_counter() - start) * 1e3


def measure(rounds: int) -> Iterator[Row]:
    """Take every measurement of the table."""
    yield from starts(max(5, rounds // 10))
    with kernel(*_STOCK) as stock:
        get_ready(stock)
        for options in (_NO_CHECKPOINT, ()):
            with kernel(*_BROKER, "--Kavach.output=64M", *options) as broker:
                get_ready(broker)
                sys.stdout.write(f"\n{' '.join(options) or 'by default'}\n")
                yield from round_trips(stock, broker, rounds)
                if not options:
                    for pause in _PAUSES:
                        yield from round_trips(stock, broker, rounds // 2, pause)
                yield Row("resident memory of the stock kernel's process", stock.resident, "MB")
                yield Row("  of the broker's, after these cells", broker.resident, "MB", 80.0)
                yield from outputs(stock, broker, max(3, rounds // 20))
                yield Row("  of the broker's, after the output", broker.resident, "MB", 80.0)


def get_ready(one: Kernel) -> None:
    """Import what a notebook has, and run each cell once."""
    one.answer()
    one.run(_IMPORT)
    for code in _CELLS.values():
        one.run(code)


def main() -> int:
    """Measure and print; 0 when every bound is kept."""
    return print_table(measure(rounds_asked(__doc__, 200)))


if __name__ == "__main__":
    sys.exit(main())
