"""Some two hundred cells, run plain and sandboxed: a reader sees the same below both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebook.differences import DIFFERENCES
from tests.notebook.plain_and_sandboxed import Pair, Snippet, read_snippets, seen

pytestmark = [
    pytest.mark.notebook,
    pytest.mark.needs("userns", "seccomp", "landlock", "overlay"),
]

PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/what-differs.md"
# Figures last: a plain notebook remembers that it has drawn, and %run draws once more then.
FILES = ("output.ipy", "errors.ipy", "language.ipy", "figures.ipy")
CELLS = [snippet for file in FILES for snippet in read_snippets(file)]
# The modes of %xmode other than Context, which is where every cell of errors.ipy runs.
MODES = ("Plain", "Verbose", "Minimal", "Docs")
IN_EACH_MODE = (
    "an error",
    "an error in a function of the cell",
    "an error in a function of an earlier cell",
    "an error in the standard library",
    "an error with notes",
    "an error of the cell's own class",
    "a syntax error",
    "return outside a function",
    "an interrupt that the cell raises",
    "an error in an await",
    "an error in a display",
    "an error that is printed",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two kernels in the same state."""
    both = Pair(tmp_path_factory.mktemp("pair"))
    try:
        yield both
    finally:
        both.close()


def name_of(snippet: Snippet) -> str:
    """What pytest calls a cell."""
    return f"{snippet.file}: {snippet.name}"


@pytest.mark.parametrize("snippet", CELLS, ids=name_of)
def test_a_cell_looks_the_same(pair: Pair, snippet: Snippet) -> None:
    """Outputs, their order, types, texts and bundles, errors with their lines, and the reply."""
    plain, sandboxed = map(seen, pair.run(snippet))
    if snippet.reason is not None:
        without = DIFFERENCES[snippet.reason]
        plain, sandboxed = without(plain), without(sandboxed)
    assert plain == sandboxed


@pytest.mark.parametrize("mode", MODES)
def test_an_error_looks_the_same_in_each_mode(pair: Pair, mode: str) -> None:
    """``%xmode`` of the notebook is that of the cell."""
    pair.both(f"%xmode {mode}")
    try:
        for snippet in read_snippets("errors.ipy"):
            if snippet.name in IN_EACH_MODE:
                plain, sandboxed = map(seen, pair.run(snippet))
                assert plain == sandboxed, snippet.name
    finally:
        pair.both("%xmode Context")


def test_the_comparison_sees_a_difference(pair: Pair) -> None:
    """The name of the host is another inside: else this file would compare nothing."""
    plain, sandboxed = pair.run(Snippet("here", "a host name", None, "os.uname().nodename"))
    assert plain.status == sandboxed.status == "ok"
    assert seen(plain) != seen(sandboxed)


def test_each_difference_is_told_in_the_documents() -> None:
    """Every reason that a cell may differ for is a row of the page, and no row is out of date."""
    section, _, _ = PAGE.read_text("utf-8").partition("## Where every cell is sandboxed")
    told = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
    used = {snippet.reason for snippet in CELLS} - {None}
    assert told == used == set(DIFFERENCES)
