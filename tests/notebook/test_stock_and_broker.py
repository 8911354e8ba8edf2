"""A notebook of three hundred cells, executed by nbclient by two kernels: a reader sees the same.

One is the stock kernel, the other sandboxes every cell; neither is told so.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.broker_differences import ANYWHERE, CELLS, DIFFERENCES
from tests.notebook.plain_and_sandboxed import LATE_TEXTS, Snippet, read_snippets
from tests.notebook.stock_and_broker import ENDS, execute_both, shown

pytestmark = [
    pytest.mark.notebook,
    pytest.mark.slow,
    pytest.mark.needs("userns", "seccomp", "landlock", "overlay"),
]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/explanation/what-differs.md"
# Figures last: they stay open to the end of their cells.
FILES = ("output.ipy", "errors.ipy", "language.ipy", "whole.ipy", "figures.ipy")
NAMES = [
    f"{one.file}: {one.name}"
    for file in FILES
    for one in read_snippets(file)
    if one.name not in ENDS
]
Both = dict[str, tuple[Snippet, Any, Any]]


@pytest.fixture(scope="module")
def surroundings() -> Any:
    """What the kernels find in their environment: this package, and no sign of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        # ipykernel leaves file descriptors 1 and 2 alone while that variable is set.
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        yield os.environ


@pytest.fixture(scope="module")
def both(surroundings: object, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Every cell, as each of the kernels left it."""
    del surroundings
    found = execute_both(FILES, tmp_path_factory.mktemp("both"))
    return {f"{snippet.file}: {snippet.name}": (snippet, *cells) for snippet, *cells in found}


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_looks_the_same_in_both_kernels(both: Both, name: str) -> None:
    """Its number, its outputs, their order, types, texts and bundles, and errors with lines."""
    snippet, *cells = both[name]
    stock, broker = (DIFFERENCES[ANYWHERE](shown(cell)) for cell in cells)
    if snippet.name in CELLS:
        without = DIFFERENCES[CELLS[snippet.name]]
        stock, broker = without(stock), without(broker)
    assert stock == broker


def test_what_is_written_past_the_streams_is_shown_below_its_cell(both: Both) -> None:
    """The text of descriptors and subprocesses is there when the cell ends, and in no other."""
    texts = {
        name: "".join(one["text"] for one in cells[1].outputs if one["output_type"] == "stream")
        for name, (_, *cells) in both.items()
    }
    found = {
        late: [name.partition(": ")[2] for name, text in texts.items() if late in text]
        for late in LATE_TEXTS
    }
    assert found == {
        "from C\n": ["output of native code"],
        "from echo\n": ["output of subprocesses"],
        "from python\n": ["output of subprocesses"],
        "python error\n": ["output of subprocesses"],
        "shell one\n": ["output of the shell"],
        "shell two\n": ["output of the shell"],
        "descriptor one\n": ["descriptors"],
        "descriptor two\n": ["descriptors"],
        "original\n": ["the original stream"],
        "asyncio shell\n": ["an asyncio shell"],
    }


def test_each_difference_of_a_kernel_is_told_in_the_documents() -> None:
    """Every reason is a row of the page, no row is out of date, and each cell that differs is."""
    _, _, section = PAGE.read_text("utf-8").partition("## Where every cell is sandboxed")
    told = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
    assert told == set(CELLS.values()) | {ANYWHERE} == set(DIFFERENCES)
    assert {name.partition(": ")[2] for name in NAMES} >= set(CELLS)
