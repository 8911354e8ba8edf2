"""What output of a sandboxed cell costs against that of a plain one: ``make bench-output``.

One kernel, and rounds that run the same cell plain and sandboxed one after the other; the client
takes the time. Times are this machine's; ratios are what may be compared.

Guarantees: the exit code is 0 when every ratio keeps its bound.
Assumes: the package is installed; nobody else uses the two processors.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import start_new_kernel
from run import Row, print_table, rounds_asked

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

_LINES = 500_000
"""Of 100 characters and an end: 50 MB."""
_SANDBOX = "%%sandbox --output 64M\n"

Take = Callable[["BlockingKernelClient", str], float]


def delay(client: BlockingKernelClient, head: str) -> float:
    """Seconds from a print to its message; the cell goes on, so that nothing is flushed."""
    found: list[float] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            found.append(time.time() - float(message["content"]["text"]))

    _run(client, f"{head}import time\nprint(time.time())\ntime.sleep(0.5)", keep)
    return found[0]


def flushed(client: BlockingKernelClient, head: str) -> float:
    """Seconds from a print that is flushed to its message."""
    found: list[float] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            found.append(time.time() - float(message["content"]["text"]))

    _run(client, f"{head}import time\nprint(time.time(), flush=True)\ntime.sleep(0.1)", keep)
    return found[0]


def lines(client: BlockingKernelClient, head: str) -> float:
    """Seconds for 50 MB of printed lines, from the request to the last message."""
    size = 0

    def count(message: dict[str, Any]) -> None:
        nonlocal size
        if message["msg_type"] == "stream":
            size += len(message["content"]["text"])

    code = f"line = 'x' * 99\nfor _ in range({_LINES}):\n    print(line)"
    took = _run(client, head + code, count)
    assert size == 100 * _LINES, size
    return took


def displays(client: BlockingKernelClient, head: str) -> float:
    """Seconds for a thousand displays, from the request to the last message."""
    count = 0

    def keep(message: dict[str, Any]) -> None:
        nonlocal count
        count += message["msg_type"] == "display_data"

    code = "for number in range(1000):\n    display({'text/plain': str(number)}, raw=True)"
    took = _run(client, head + code, keep)
    assert count == 1000, count
    return took


def _run(client: BlockingKernelClient, code: str, hook: Callable[[dict[str, Any]], None]) -> float:
    start = time.perf_counter()
    reply = client.execute_interactive(code, output_hook=hook, timeout=300)
    took = time.perf_counter() - start
    assert reply["content"]["status"] == "ok", reply["content"]
    return took


def measure(rounds: int) -> list[Row]:
    """Take every measurement of the table."""
    manager, client = start_new_kernel(kernel_name="python3")
    rows: list[Row] = []
    pieces: tuple[tuple[str, Take, int, float | None], ...] = (
        ("from a print to its message", delay, rounds, 1.5),
        ("from a print that is flushed to its message", flushed, rounds, None),
        ("50 MB of printed lines", lines, max(3, rounds // 4), 1.3),
        ("1,000 displays", displays, rounds, 1.5),
    )
    try:
        _run(client, "%load_ext kavach_ipy", lambda _: None)
        for what, take, count, bound in pieces:
            take(client, "")
            take(client, _SANDBOX)
            plain, inside = [], []
            for number in range(count):
                for head in ("", _SANDBOX)[:: 1 if number % 2 else -1]:
                    (inside if head else plain).append(take(client, head))
            rows.append(Row(f"{what}: plain", statistics.median(plain) * 1e3, "ms"))
            inner = statistics.median(inside)
            rows.append(Row("  sandboxed", inner * 1e3, "ms"))
            ratio = inner / statistics.median(plain)
            rows.append(Row("  against plain", ratio, "x", bound))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return rows


def main() -> int:
    """Measure and print; 0 when every bound is kept."""
    return print_table(measure(rounds_asked(__doc__, 20)))


if __name__ == "__main__":
    sys.exit(main())
