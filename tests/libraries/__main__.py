"""``make libraries``: measure every row of the table, and write it into the page about it.

Guarantees: the page says what was measured now, by this interpreter; exit code 0 only when every
row that could be measured came out as the table says.
Assumes: started from the root of the checkout, where the extra `libraries` is installed.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.libraries.measure import Kernels, Measured, version_of
from tests.libraries.table import TABLE, Row

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "libraries.md"
_ABSENT = "not installed"
_BEGIN = "<!-- Measured by `make libraries`, which writes from here to the next mark. -->\n"
_END = "<!-- End of what is measured. -->\n"


def main() -> int:
    """Measure and write; 0 when every row came out as expected."""
    machine = f"Linux {os.uname().release}, {os.cpu_count()} cores"
    python = f"Python {platform.python_version()}, ipykernel {version('ipykernel')}"
    lines = [
        f"Measured on {dt.datetime.now(tz=dt.UTC):%Y-%m-%d} with {python}, on {machine}.",
        "Seconds are those of the sandboxed cell, from the request to the reply.",
        "",
        "| library | version | in the notebook | in the cell | result | seconds |",
        "|---|---|---|---|---|---|",
    ]
    is_as_expected = True
    with tempfile.TemporaryDirectory() as folder, Kernels(Path(folder)) as kernels:
        for row in TABLE:
            measured = None if version_of(row) is None else kernels.measure(row)
            result, is_expected = _result(row, measured)
            is_as_expected &= is_expected
            lines.append(_line(row, measured, result))
            print(lines[-1], flush=True)
    head, _, rest = _PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    tail = rest.partition(_END)[2]
    text = "\n".join(lines)
    _PAGE.write_text(f"{head}{_BEGIN}{text}\n{_END}{tail}", encoding="utf-8")
    return 0 if is_as_expected else 1


def _result(row: Row, measured: Measured | None) -> tuple[str, bool]:
    if measured is None:
        return _ABSENT, True
    if measured.error != row.error or measured.printed_again != row.prints:
        return f"**{measured.error or measured.printed}**", False
    if measured.error == "CannotEnforce":
        return "refused before it begins", True
    if measured.error is not None:
        return f"`{measured.error}`: {measured.message.partition(',')[0]}", True
    return "works", measured.printed == row.prints


def _line(row: Row, measured: Measured | None, result: str) -> str:
    seconds = "" if measured is None else f"{measured.seconds:.2f}"
    return (
        f"| {row.package} | {version_of(row) or ''} | {row.did} | {row.does} | {result}"
        f" | {seconds} |"
    )


if __name__ == "__main__":
    sys.exit(main())
