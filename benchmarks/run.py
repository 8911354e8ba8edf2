"""One table of ratios, measured in one run: ``make bench``.

A sandboxed cell against a bare fork of the same kernel, against a plain cell, against bubblewrap
with a fresh Python, and how it grows with what the kernel holds. Times are this machine's; ratios
are what may be compared.

Guarantees: the exit code is 0 when every number that a bound is set for keeps it.
Assumes: the package, numpy and pandas are installed; bwrap is optional.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

HERE = Path(__file__).parent
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Say whether the value keeps its bound."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        """Lay the row out for the table."""
        bound = ""
        if self.bound is not None:
            sign = ">=" if self.at_least else "<="
            bound = f"{sign} {self.bound:g}{self.unit}  {'ok' if self.holds else 'NOT KEPT'}"
        return f"{self.what:<62} {self.value:9.2f}{self.unit:<3} {bound}"


def in_a_kernel(rounds: int, size: int = 0, kind: str = "numpy") -> dict[str, float]:
    """Start a kernel with numpy and pandas, let it hold `size` bytes; medians in ms by name."""
    return kernel_prints("in_kernel.py", {"ROUNDS": rounds, "BALLAST": size, "KIND": kind})


def kernel_prints(
    script: str, constants: dict[str, int | str], directory: str | None = None
) -> dict[str, Any]:
    """Run a script of this folder in a kernel with numpy and pandas; the JSON that it prints last.

    Args:
        script: its name.
        constants: what the script assumes to be set.
        directory: where the kernel starts.
    """
    manager, client = start_new_kernel(kernel_name="python3", cwd=directory)
    try:
        head = "import numpy, pandas\n%load_ext kavach_ipy\n"
        head += "".join(f"{name} = {value!r}\n" for name, value in constants.items())
        printed: list[str] = []

        def keep(message: dict[str, object]) -> None:
            content = message["content"]
            assert isinstance(content, dict)
            if message["msg_type"] == "stream":
                printed.append(str(content["text"]))
            if message["msg_type"] == "error":
                raise SystemExit("\n".join(content["traceback"]))

        source = (HERE / script).read_text(encoding="utf-8")
        source = source.replace("from __future__ import annotations\n", "")
        client.execute_interactive(head + source, output_hook=keep, timeout=900)
        found: dict[str, Any] = json.loads("".join(printed).splitlines()[-1])
        return found
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def milliseconds(command: list[str], rounds: int) -> float:
    """The median time of a whole command."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def bubblewrap(rounds: int) -> float | None:
    """A fresh sandboxed Python that imports pandas, in ms; None where there is no bwrap."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    binds = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run"]
    return milliseconds(
        [bwrap, *binds, "--unshare-all", "--die-with-parent", sys.executable, "-c",
         "import pandas"],
        rounds,
    )  # fmt: skip


def rounds_asked(what: str | None, default: int) -> int:
    """Read the command line, and print what machine this is."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--rounds", type=int, default=default, help="rounds of each measurement")
    rounds: int = parser.parse_args().rounds
    sys.stdout.write(
        f"{os.uname().machine}, Linux {os.uname().release}, Python {sys.version.split()[0]}, "
        f"{os.cpu_count()} cores, uid {os.getuid()}, {rounds} rounds, medians\n\n"
    )
    return rounds


def print_table(rows: Iterable[Row]) -> int:
    """Print the rows as they come; 0 when every bound is kept."""
    kept = True
    for row in rows:
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
        kept &= row.holds
    return 0 if kept else 1


def main() -> int:
    """Measure and print; 0 when every bound is kept."""
    return print_table(measure(rounds_asked(__doc__, 60)))


def measure(rounds: int) -> list[Row]:
    """Take every measurement of the table."""
    base = in_a_kernel(rounds)
    overhead = base["sandbox"] - base["plain"]
    rows = [
        Row("bare fork + exit + wait of a kernel with numpy and pandas", base["fork"], "ms"),
        Row("plain cell: pass", base["plain"], "ms"),
        Row("%%sandbox --no-net: pass, over a plain cell", overhead, "ms", 15.0),
        Row("  against the bare fork", overhead / base["fork"], "x", 3.5),
    ]
    fresh = bubblewrap(max(3, rounds // 10))
    if fresh is None:
        sys.stdout.write("bwrap is not installed: apt-get install bubblewrap for that row\n")
    else:
        rows.append(Row("bwrap + python + import pandas", fresh, "ms"))
        rows.append(
            Row("  against %%sandbox (how many fit in one)", fresh / overhead, "x", 15.0,
                at_least=True)
        )  # fmt: skip
    few = max(5, rounds // 6)
    for size, kind, name, bound in (
        (GIB, "numpy", "1 GiB of numpy", None),
        (4 * GIB, "numpy", "4 GiB of numpy", None),
        (GIB, "objects", "1 GiB of small objects", 2.6),
    ):
        held = in_a_kernel(few, size, kind)
        grown = held["sandbox"] - held["plain"]
        rows.append(Row(f"%%sandbox with {name} in the kernel", grown, "ms"))
        rows.append(Row(f"  against the bare fork ({held['fork']:.1f} ms)",
                        grown / held["fork"], "x", bound))  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
