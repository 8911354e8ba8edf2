"""What the gate takes for what a cell shows and prints: ``make bench-showing``.

Guarantees: the exit code is 0 when every number that a bound is set for keeps it.
Assumes: the package, numpy and pandas are installed; nothing else is busy.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from run import Row

from kavach_ipy.gate.html import clean_html
from kavach_ipy.gate.markdown import markdown_html
from kavach_ipy.gate.text import TextFilter

ROUNDS = 15
PIECE = 1 << 16


def quickest(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the shortest of several runs, in seconds: the one that was disturbed least."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def frames() -> list[Row]:
    """Tables as pandas writes them."""
    rng = np.random.default_rng(1)
    small = pd.DataFrame(rng.normal(size=(60, 20))).to_html(notebook=True)
    one = pd.DataFrame(rng.normal(size=(2000, 20))).to_html(notebook=True)
    words = np.array(["a & b", "<b>", "Zürich", "東京 ✓"])
    named = pd.DataFrame(rng.choice(words, size=(60, 20))).to_html(notebook=True)
    large = (one * (1 + (2 << 20) // len(one)))[: 2 << 20]
    styled = "".join(f"<td id='c{at}' style='color: red'>x &amp; $y$</td>" for at in range(30_000))
    return [
        Row("HTML of a frame of 60 x 20", quickest(lambda: clean_html(small)) * 1e3, "ms", 5),
        Row("such a frame of names", quickest(lambda: clean_html(named)) * 1e3, "ms", 5),
        Row("2 MB of HTML, plain cells", quickest(lambda: clean_html(large), 3), "s", 1),
        Row(
            f"{len(styled) / 1e6:.1f} MB of HTML, each cell styled",
            quickest(lambda: clean_html(f"<table><tr>{styled}</table>"), 3),
            "s",
        ),
        Row(
            "30 kB of Markdown",
            quickest(lambda: markdown_html("# T\n\nsome *text* and `code`\n\n" * 370)) * 1e3,
            "ms",
        ),
    ]


def streams() -> list[Row]:
    """Text in the pieces in which it arrives."""
    plain = "a line of text that says nothing much\n" * 250_000
    coloured = "\x1b[32mgreen\x1b[0m and a line that says nothing\n" * 200_000
    wide = "Zeile für Zeile, ✓ und 東京\n" * 250_000

    def feed(text: str) -> None:
        stream = TextFilter()
        for at in range(0, len(text), PIECE):
            stream.feed(text[at : at + PIECE])
        stream.finish()

    return [
        Row(f"text: {name}", len(text.encode()) / quickest(lambda text=text: feed(text), 3) / 1e6,
            "MB/s", bound, at_least=True)  # type: ignore[misc]
        for name, text, bound in (
            ("plain", plain, 50.0), ("other alphabets", wide, 50.0), ("colours", coloured, None)
        )
    ]  # fmt: skip


def main() -> int:
    """Measure, print the table, and say whether every bound was kept."""
    rows = [*frames(), *streams()]
    print("\n".join(map(str, rows)))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
