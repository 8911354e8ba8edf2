"""A value that the notebook calls a secret stands nowhere in the memory of a cell."""

from __future__ import annotations

import gc
import io
import itertools
import mmap
import os
import secrets
import signal
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kavach_ipy.errors import PolicyError
from kavach_ipy.linux.secrets import forms_of, overwrite
from kavach_ipy.sandbox import Sandbox
from tests.contract.cells import NEEDS
from tests.escape.probes import looked_at
from tests.kernel.kernels import start_kernel

pytestmark = [pytest.mark.escape, NEEDS]

SEARCH = """%%sandbox
import re
found = 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        if " rw-p " in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            memory.seek(start)
            found += memory.read(end - start).count(bytes(reversed(NEEDLE)))
print("found", found)
"""


def _copies(pid: int, forms: tuple[bytes, ...]) -> int:
    """How often the forms stand in a process's private memory, read from outside."""
    count = 0
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    with (
        open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
        open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages,
    ):
        for line in maps.splitlines():
            if " rw-p " in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                for first, size in _with_content(pages, start, end):
                    memory.seek(first)
                    data = memory.read(size)
                    count += sum(data.count(form) for form in forms)
    return count


def _with_content(pages: io.FileIO, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where a range has pages that were ever touched; pyarrow alone reserves gigabytes beside it.

    Linux, Documentation/admin-guide/mm/pagemap.rst: of 64 bits for each page, bit 63 means present
    and bit 62 swapped.
    """
    pages.seek(start // mmap.PAGESIZE * 8)
    entries = array("Q", pages.read((end - start) // mmap.PAGESIZE * 8))
    at = start
    for is_there, run in itertools.groupby(entry >> 62 != 0 for entry in entries):
        size = sum(1 for _ in run) * mmap.PAGESIZE
        if is_there:
            yield at, size
        at += size


@pytest.mark.parametrize("alphabet", ["", "é", "名", "🗝"])
def test_known_secret_is_nowhere_in_the_cells_memory(alphabet: str) -> None:
    """Read from outside: no copy in any form that Python keeps; there are some where it is not."""
    secret = secrets.token_hex(16) + alphabet
    held = [secret, secret.encode("utf-8"), bytearray(secret.encode("utf-16-le")), {secret: 1}]
    forms = forms_of(secret)
    counts: list[int] = []
    looked_at("1", lambda cell: counts.append(_copies(cell, forms)))
    looked_at("1", lambda cell: counts.append(_copies(cell, forms)), [secret])
    before, after = counts
    assert before >= 3
    assert after == 0
    assert held[0] == secret, "the notebook's own copies stay"


def test_two_secrets_are_overwritten_and_their_neighbours_are_not() -> None:
    """Only the values go; what stands around them in the same text stays."""
    first, second = (secrets.token_hex(16) for _ in range(2))
    note = f"before {first} between {second} after".encode()
    seen: list[bytes] = []
    gc.collect()

    def look(cell: int) -> None:
        assert _copies(cell, (first.encode(), second.encode())) == 0
        seen.append(bytes([_copies(cell, (b" between " + bytes(32) + b" after",)) > 0]))

    looked_at("1", look, [first, second])
    assert seen == [b"\x01"]
    assert first.encode() in note


@pytest.mark.baseline(
    "test_cell_that_searches_its_own_memory_finds_the_secret_only_where_it_is_not_known"
)
def test_cell_that_searches_its_own_memory_finds_the_secret_only_where_it_is_not_known(
    tmp_path: Path,
) -> None:
    """In a real kernel, by the setting, with the attacker's own search as the counter-proof."""
    secret = secrets.token_hex(16)
    # The cell must not name what it looks for, or it would find its own text.
    needle = bytes(reversed(secret.encode()))
    kernel = start_kernel(tmp_path / "ipython")
    try:
        kernel.run("%load_ext kavach_ipy")
        kernel.run(f"token = {secret!r}\nNEEDLE = {needle!r}")
        plain = kernel.run(SEARCH.partition("\n")[2])
        before = kernel.run(SEARCH)
        kernel.run(f"%config Kavach.known_secrets = [{secret!r}]")
        after = kernel.run(SEARCH)
        kept = kernel.run("print(token)")
    finally:
        kernel.close()
    # One copy is the search's own.
    assert after.status == "ok", (after.error, after.stderr)
    assert int(plain.stdout.split()[1]) > 1, plain
    assert int(before.stdout.split()[1]) > 1, before
    assert int(after.stdout.split()[1]) <= 1, after
    assert kept.stdout == f"{secret}\n"


@pytest.mark.no_baseline("no cell is run: the setting is refused")
@pytest.mark.parametrize("values", [["hunter2"], "hunter22", [b"hunter22"], [1], None])
def test_secret_that_cannot_be_searched_for_is_refused_and_not_repeated(values: object) -> None:
    """Too short, or no list of texts: said by its place, never by its value."""
    with pytest.raises(PolicyError) as caught:
        Sandbox(known_secrets=values)  # type: ignore[arg-type]
    assert "known_secrets" in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_search_leaves_no_copy_of_what_it_searched_for() -> None:
    """In a throw-away fork: afterwards neither the list nor the search's own pages hold a value."""
    forms = forms_of(secrets.token_hex(16))
    found, left = _copies_after(lambda: overwrite(forms), forms)
    assert found >= 1
    assert left == 0


@pytest.mark.baseline(
    "test_known_secret_is_nowhere_in_the_cells_memory",
    "test_two_secrets_are_overwritten_and_their_neighbours_are_not",
    "test_search_leaves_no_copy_of_what_it_searched_for",
)
def test_secret_stands_in_the_memory_of_a_plain_fork() -> None:
    """The same look at a fork that nobody searched finds the notebook's copies."""
    secret = secrets.token_hex(16)
    held = [secret, secret.encode("utf-8"), bytearray(secret.encode("utf-16-le"))]
    assert _copies_after(lambda: 0, forms_of(secret))[1] >= len(held)


def _copies_after(act: Callable[[], int], forms: tuple[bytes, ...]) -> tuple[int, int]:
    """What `act` returns in a fork, and the copies that stand in the fork's memory afterwards."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        copies = act()
        os.write(writer, b"%d" % copies)
        os.close(writer)
        signal.pause()
    os.close(writer)
    try:
        return int(os.read(reader, 16)), _copies(pid, forms)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(reader)
