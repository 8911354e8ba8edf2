"""``make libraries``: measure every row of the table, and write docs/reference/libraries.md.

Guarantees: the page says what was measured now, by this interpreter; exit code 0 only when every
row that could be measured came out as the table says.
Assumes: started from the root of the checkout, where the extra `libraries` is installed.
"""

from __future__ import annotations

import datetime
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
_HEAD = """\
# Libraries with threads or processes

<!-- Written by `make libraries`; change tests/libraries/table.py and run it again. -->

A forked cell has one thread: those that a library has started in the notebook are not in it.
Each row was used in the notebook, then in a `%%sandbox` cell, and then in the notebook again, where it has to work as before.
[`tests/libraries`](../../tests/libraries/table.py) does so with every run of the tests, and a cell that hangs is a failure.

"""
_FOOT = """
## What is done about it

GNU OpenMP keeps a pool of threads for each thread that has computed with it, and a fork without those threads hangs at the next computation.
PyTorch, scikit-learn, LightGBM, faiss and numba use it.
Before the fork the notebook's pool is ended by OpenMP's own `omp_pause_resource_all`; the notebook and the cell make theirs anew when they next compute.

A `ThreadPoolExecutor` of the notebook gets threads of the cell's own, and joblib workers of the cell's own.
A `ProcessPoolExecutor` or a `multiprocessing.Pool` of the notebook says that its processes are elsewhere; one that the cell makes works.
A future, a task or a thread that has not ended when the cell begins does not end in the cell.

A database file that the notebook has open is closed in the cell: connect in the cell.

## What is refused

polars, JAX and TensorFlow keep pools of threads that nothing can end, and a GPU's memory is not the fork's.
Whoever has used one of them in the notebook cannot use it in a fork, and would wait for ever, so the cell is refused before it begins, whatever it does.
What shows them is a thread by the name of `polars-0`, `async-executor-`, `rayon…` or `tf_…`, or a mapping of `/dev/nvidia…` or `/dev/kfd`; the mappings were not tried on a machine with a GPU.
To import polars or JAX is no use: a notebook that only imports them may use them in its cells.
A frame of polars that a cell brings back with `-o` does not start the pool either.

The way out is a process that never had these threads, `%%sandbox --clean -i NAMES` or `--session NAME`, or a notebook that uses the library in sandboxed cells only.
A library that keeps a pool of another kind is not recognised; `--timeout` ends a cell of it.
"""


def main() -> int:
    """Measure and write; 0 when every row came out as expected."""
    lines = [
        f"Measured on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d} with Python"
        f" {platform.python_version()}, ipykernel {version('ipykernel')} and IPython"
        f" {version('ipython')}, on Linux {os.uname().release}, {os.cpu_count()} cores.",
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
    _PAGE.write_text(_HEAD + "\n".join(lines) + "\n" + _FOOT, encoding="utf-8")
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
