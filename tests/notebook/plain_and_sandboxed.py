"""Cells run twice, in a plain notebook and in one whose cells are sandboxed, and compared.

Guarantees: what is compared is what a front end shows, less what two runs of one cell differ by
anyway: addresses, times, process ids, the names that compiled cells get.
Assumes: each cell stands alone; what it needs is in ``cells/setup.ipy``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

from tests.kernel.kernels import Kernel, Run, start_kernel

__all__ = ["LATE_TEXTS", "Pair", "Snippet", "joined_streams", "normal", "read_snippets", "seen"]

CELLS: Final = Path(__file__).parent / "cells"
_HEAD: Final = "%%sandbox"
LATE_TEXTS: Final = (
    "from C\n",
    "from echo\n",
    "from python\n",
    "python error\n",
    "shell one\n",
    "shell two\n",
    "descriptor one\n",
    "descriptor two\n",
    "original\n",
    "asyncio shell\n",
)
"""What cells marked ``late`` write past `sys.stdout`.

A thread of the stock kernel reads it, and a busy machine shows it some cells later: any cell of
either kernel is compared without it.
"""

# What two runs of one cell differ by, and what stands for it.
_RUN_DEPENDENT: Final = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        (r"\b0x[0-9a-f]{6,}\b", "0xADDRESS"),
        # Each of the two kernels has a directory of its own.
        (r"/\S*/(plain|sandboxed)/notebook\b", "DIRECTORY"),
        (r"/\S*/ipykernel_\d+/\d+\.py", "CELL"),
        (r"\b\d{6,}\.py\b", "CELL.py"),
        (r"\bipykernel_\d+\b", "KERNEL"),
        (r"The slowest run took .*\n", ""),
        (r"\b\d+(\.\d+)?(e[+-]?\d+)? ?(ns|us|μs|µs|ms|s)\b", "TIME"),
        (r"(?<=Process )\S+", "PROCESS"),
        (r"\bThread-\d+\b", "THREAD"),
    )
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One cell of a file below ``cells``."""

    file: str
    name: str
    reason: str | None
    """Why it may differ: a row of docs/explanation/what-differs.md."""

    code: str

    @property
    def plain(self) -> str:
        """As an ordinary cell; a comment stands where the magic would, for equal line numbers."""
        if self.code.startswith("%%"):
            return self.code
        # IPython takes the first line's indent away from every line.
        indent = re.match(r" *", self.code)
        assert indent is not None
        return f"{indent[0]}# {_HEAD}\n{self.code}"

    @property
    def sandboxed(self) -> str:
        """As a sandboxed cell."""
        return f"{_HEAD}\n{self.code}"


def read_snippets(file: str) -> tuple[Snippet, ...]:
    """Read the cells of one file; each begins at ``# %% name``, or at ``# %% name [reason]``."""
    text = (CELLS / file).read_text("utf-8")
    _, *parts = re.split(r"^# %% ([^[\n]+?)(?: \[(\w+)\])?\n", text, flags=re.MULTILINE)
    cells = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return tuple(
        Snippet(file.removesuffix(".ipy"), name, reason, code.strip("\n"))
        for name, reason, code in cells
    )


class Pair:
    """Two kernels in the same state."""

    def __init__(self, folder: Path) -> None:
        self.kernels: list[Kernel] = []
        for name in ("plain", "sandboxed"):
            # Equal paths in both: the last part is what a cell may print.
            directory = folder / name / "notebook"
            directory.mkdir(parents=True)
            self.kernels.append(start_kernel(folder / name / "ipython", str(directory)))
        self.both("%load_ext kavach_ipy")
        for snippet in read_snippets("setup.ipy"):
            self.both(snippet.code)

    def both(self, code: str) -> None:
        """Run one cell in both, unsandboxed, and demand that it succeeds."""
        for kernel in self.kernels:
            run = kernel.run(code)
            assert run.status == "ok", run

    def run(self, snippet: Snippet) -> tuple[Run, Run]:
        """Run one cell plain in one kernel and sandboxed in the other, at the same time."""
        plain, sandboxed = self.kernels
        requests = (
            plain.start(snippet.plain, allow_stdin=False),
            sandboxed.start(snippet.sandboxed, allow_stdin=False),
        )
        return plain.finish(requests[0]), sandboxed.finish(requests[1])

    def close(self) -> None:
        """End both kernels."""
        for kernel in self.kernels:
            kernel.close()


def seen(run: Run) -> list[Any]:
    """What a front end shows of a run, and the end that the reply tells of."""
    found: list[Any] = []
    ids: dict[str, str] = {}
    for kind, sent in joined_streams(run.outputs):
        content = dict(sent)
        transient = content.pop("transient", None) or {}
        if "display_id" in transient:
            name = transient["display_id"]
            content["display_id"] = ids.setdefault(name, f"display {len(ids)}")
        found.append((kind, content))
    reply = run.reply
    end = {key: reply.get(key) for key in ("status", "ename", "evalue", "execution_count")}
    end["traceback"] = reply.get("traceback")
    end["payload"] = reply.get("payload")
    shown: list[Any] = normal([*found, ("reply", end)])
    return shown


def joined_streams(outputs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Outputs with adjacent ``stream`` ones as one of ``streams``, less `LATE_TEXTS`.

    Streams travel apart, each in order; front ends join what is adjacent.
    """
    found: list[tuple[str, Any]] = []
    for kind, content in outputs:
        if kind != "stream":
            found.append((kind, content))
            continue
        if not found or found[-1][0] != "streams":
            found.append(("streams", {"stdout": "", "stderr": ""}))
        found[-1][1][content["name"]] += content["text"]
    for kind, content in found:
        if kind == "streams":
            for late in LATE_TEXTS:
                content.update({name: text.replace(late, "") for name, text in content.items()})
    return [one for one in found if one[0] != "streams" or any(one[1].values())]


def normal(value: Any) -> Any:
    """Return a value without what two runs of one cell differ by anyway."""
    match value:
        case str():
            for pattern, mark in _RUN_DEPENDENT:
                value = pattern.sub(mark, value)
            return value
        case dict():
            return {
                key: _structure(item) if key == "text/html" else normal(item)
                for key, item in value.items()
            }
        case list() | tuple():
            return [normal(item) for item in value]
        case _:
            return value


def _structure(html: str) -> list[str]:
    """The elements and texts of HTML, without what a reader does not see."""
    reader = _Structure()
    reader.feed(html)
    return [normal(part) for part in reader.parts]


class _Structure(HTMLParser):
    """Collects start tags with their classes, and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one tag."""
        if tag in {"style", "script"}:
            self._hidden += 1
        elif tag not in {"div", "tbody"}:
            kept = sorted(f"{name}={value}" for name, value in attrs if name in {"class", "src"})
            self.parts.append(" ".join((f"<{tag}", *kept)))

    def handle_endtag(self, tag: str) -> None:
        """Take one tag's end."""
        self._hidden -= tag in {"style", "script"}

    def handle_data(self, data: str) -> None:
        """Take one text."""
        if not self._hidden and data.strip():
            self.parts.append(data.strip())
