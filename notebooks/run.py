"""Execute a notebook in a real ipykernel and print every cell with what came out.

Guarantees: the exit code is 0 only when every cell ran, and failed only where its tag
``raises-exception`` says so; a machine that refuses gets one sentence and exit code 1.
Assumes: the package and nbclient are installed in the Python that runs this.

Usage: ``python notebooks/run.py notebooks/01_first_cell.ipynb``
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["execute", "main"]

# The longest that one cell may take, in seconds; the demo's slowest imports pandas, in about one.
CELL_TIMEOUT = 120
_SGR = re.compile(r"\x1b\[[0-9;]*m")


def main(arguments: list[str]) -> int:
    """Run the notebook that the only argument names; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python notebooks/run.py NOTEBOOK\n")
        return 2
    refusal = _refusal()
    if refusal:
        sys.stderr.write(f"kavach_ipy: {refusal}\n")
        return 1
    from nbclient.exceptions import CellExecutionError

    try:
        execute(Path(arguments[0]), show=True)
    except CellExecutionError as error:
        sys.stderr.write(
            f"kavach_ipy: a cell failed that should not: {error.ename}: {error.evalue}\n"
        )
        return 1
    return 0


def execute(path: Path, *, show: bool = False) -> NotebookNode:
    """Execute `path` from top to bottom, in its own folder; return it with its outputs.

    Raises:
        CellExecutionError: a cell failed that is not tagged ``raises-exception``.
    """
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    # No kernel directories: then "python3" is this very Python, whatever a user has installed.
    specs = KernelSpecManager(kernel_dirs=[])
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs),
        timeout=CELL_TIMEOUT,
        # ipykernel 7 warns of unencrypted TCP on the loopback; a reader would take it for ours.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    with tempfile.TemporaryDirectory(prefix="kavach-demo-") as profile:
        # A profile of its own: the user's start-up files and history stay out of it.
        environment = {**os.environ, "IPYTHONDIR": profile, "PYTHONUNBUFFERED": "1"}
        # cleanup_kc: nbclient leaves a manager that it was given, and so its kernel, running.
        with client.setup_kernel(env=environment, cleanup_kc=True):
            for index, cell in enumerate(notebook.cells):
                if show:
                    _show_source(cell, client.code_cells_executed + 1)
                client.execute_cell(cell, index)
                if show:
                    _show_outputs(cell)
    return notebook


def _refusal() -> str:
    """Why this machine cannot run a sandboxed cell, or an empty string: by running one."""
    if sys.platform != "linux":
        return f"{sys.platform} has no namespaces, seccomp or Landlock; run this on Linux."
    from kavach_ipy import Sandbox
    from kavach_ipy.errors import KavachError

    try:
        Sandbox().run("pass")
    except KavachError as error:
        return str(error)
    return ""


def _show_source(cell: NotebookNode, number: int) -> None:
    if cell.cell_type == "markdown":
        print(f"\n{cell.source}")
        return
    label = f"In [{number}]: "
    print("\n" + _indented(label, cell.source))


def _show_outputs(cell: NotebookNode) -> None:
    if cell.cell_type != "code":
        return
    for output in cell.outputs:
        match output.output_type:
            case "stream":
                text, label = output.text, ""
            case "error":
                text, label = "\n".join(output.traceback), ""
            case "execute_result":
                text, label = _plain(output), f"Out[{output.execution_count}]: "
            case _:
                text, label = _plain(output), ""
        if not sys.stdout.isatty():
            text = _SGR.sub("", text)
        print(_indented(label, text.rstrip("\n")))
    sys.stdout.flush()


def _plain(output: NotebookNode) -> str:
    kinds = ", ".join(output.data)
    return str(output.data.get("text/plain", f"<{kinds}>"))


def _indented(label: str, text: str) -> str:
    lines = text.split("\n")
    # A table stands below its label, or its columns would not line up.
    if label.startswith("Out") and len(lines) > 1:
        return "\n".join([label.rstrip(), *lines])
    return ("\n" + " " * len(label)).join([label + lines[0], *lines[1:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
