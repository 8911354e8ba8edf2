"""What the verification from outside adds to a cell.

Guarantees: each round runs one cell that is verified and one that is not, so that the machine's
other work falls on both; the difference is what is on the critical path. The time inside the three
functions is measured as well: part of it passes while the child prepares its shell.
Assumes: executed in an ipykernel with kavach_ipy loaded; `ROUNDS` is set.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from kavach_ipy.launch import parent

ROUNDS: int

NAMES = ("verify_identity", "verify_view", "verify_rights")
real: dict[str, Callable[..., Any]] = {name: getattr(parent, name) for name in NAMES}
spent: list[float] = []


def timed(name: str) -> Callable[..., Any]:
    """The function, with its time added to the last of `spent`."""

    def call(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return real[name](*arguments)
        finally:
            spent[-1] += (time.perf_counter() - start) * 1e3

    return call


def nothing(*_: object) -> tuple[()]:
    """Verify nothing: for this measurement alone."""
    return ()


def run(replacements: dict[str, Callable[..., Any]]) -> float:
    """Time a sandboxed cell with these in place of the three functions."""
    for name, function in replacements.items():
        setattr(parent, name, function)
    start = time.perf_counter()
    get_ipython().run_cell("%%sandbox --no-net\npass", silent=True).raise_error()  # type: ignore[name-defined]
    took = (time.perf_counter() - start) * 1e3
    for name, function in real.items():
        setattr(parent, name, function)
    return took


measured = {name: timed(name) for name in NAMES}
skipped = dict.fromkeys(NAMES, nothing)
differences = []
for number in range(ROUNDS + 3):
    spent.append(0.0)
    if number % 2:
        verified, unverified = run(measured), run(skipped)
    else:
        unverified, verified = run(skipped), run(measured)
    differences.append(verified - unverified)
print(
    json.dumps(
        {
            "spent": statistics.median(spent[3:]),
            "added": statistics.median(differences[3:]),
        }
    )
)
