"""A real kernel with a home, a working directory and a place for temporary files of its own.

Guarantees: nobody else writes to those, so that every name in them is the kernel's or a cell's.
Assumes: `folder` can be walked to by the id that a cell of host root becomes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.kernels import Kernel, start_kernel

__all__ = ["rest", "soaked_kernel"]


@contextmanager
def soaked_kernel(folder: Path) -> Iterator[tuple[Kernel, list[Path]]]:
    """A kernel with numpy, pandas and the extension loaded, and the places that are its own."""
    places = [folder / name for name in ("home", "project", "temporary")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o777)
    home, project, temporary = map(str, places)
    kernel = start_kernel(folder / "ipython", project, HOME=home, TMPDIR=temporary)
    try:
        loaded = kernel.run("import numpy, pandas\n%load_ext kavach_ipy")
        assert loaded.status == "ok", loaded
        assert os.path.samefile(project, kernel.value("__import__('os').getcwd()").strip("'"))
        # The first message of more than 64 KiB makes pyzmq start a thread, and a context for it,
        # which stay (zmq.utils.garbage).
        assert len(kernel.run("print('x' * (1 << 20))").stdout) > 1 << 20
        rest(kernel)
        yield kernel, places
    finally:
        kernel.close()


def rest(kernel: Kernel) -> None:
    """Bring the kernel into the state that two looks compare.

    IPython ends the thread that saves its history before a fork, and starts it with the next plain
    cell; after a sandboxed one there is none.
    """
    run = kernel.run("%%sandbox -o x\nx = 0", store_history=False)
    assert run.status == "ok", run
