"""Nothing of the notebook stands in the memory of a clean cell, nor of what it is a fork of."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kavach_ipy.launch.script import script_body
from kavach_ipy.launch.zygotes import end_zygotes
from kavach_ipy.policy import Policy
from kavach_ipy.sandbox import FreshTask, Sandbox
from tests.contract.cells import DEADLINE, NEEDS, Ear, children, value

pytestmark = [pytest.mark.escape, NEEDS]

# The cell must not name what is searched for, or it would be found in its own text.
_PAUSE = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("look", flush=True)
signal.sigtimedwait([signal.SIGUSR1], 30)
"""


def _memory(pid: int) -> bytes:
    """All private memory of a process, and what stands behind its arguments and environment."""
    parts: list[bytes] = []
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps.splitlines():
            if " rw-p " in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(start)
                parts.append(memory.read(end - start))
    parts += [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    return b"".join(parts)


def _family() -> list[int]:
    """The zygote and the running cell; init has a program of its own."""
    return [pid for pid in children(os.getpid()) if b"python" in _arguments(pid)]


def _arguments(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]


def _looked_at(look: Callable[[list[int]], object], *, clean: bool) -> None:
    looked: list[int] = []

    class Eye(Ear):
        def at_text(self, text: str) -> None:
            looked.extend(_family())
            look(_family())
            for pid in _family():
                if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                    os.kill(pid, signal.SIGUSR1)

    # All memory of a process that has tested everything else before is read meanwhile.
    box = Sandbox(Policy(clean=clean, timeout=4 * DEADLINE))
    if clean:
        task = FreshTask("kavach_ipy.fresh:ScriptRunner", {"code": _PAUSE})
        box.execute_fresh(task, sink=Eye()).check()
    else:
        box.execute(script_body(_PAUSE, {}), sink=Eye()).check()
    assert looked


def _counts(canary: str, *, clean: bool) -> list[int]:
    found: list[int] = []
    forms = (canary.encode(), canary.encode("utf-16-le"), canary.encode("utf-32-le"))

    def look(pids: list[int]) -> None:
        found.extend(sum(_memory(pid).count(form) for form in forms) for pid in pids)

    _looked_at(look, clean=clean)
    return found


@pytest.mark.parametrize("is_in_the_environment", [False, True])
def test_canary_of_the_notebook_is_in_no_memory_of_a_clean_cell(
    is_in_the_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read from outside while the cell runs: a variable, in any form, and an environment token."""
    canary = secrets.token_hex(16)
    held = [canary, canary.encode(), bytearray(canary.encode("utf-16-le"))]
    end_zygotes()
    if is_in_the_environment:
        monkeypatch.setenv("A_TOKEN", canary)
    counts = _counts(canary, clean=True)
    assert counts == [0, 0], "the zygote's and the cell's"
    assert held[0] == canary


@pytest.mark.baseline(
    "test_canary_of_the_notebook_is_in_no_memory_of_a_clean_cell",
    "test_canary_of_one_clean_cell_is_in_no_memory_of_the_next",
)
def test_canary_of_the_notebook_is_in_the_memory_of_a_forked_cell() -> None:
    """The same search finds what it looks for where the memory is the notebook's."""
    canary = secrets.token_hex(16)
    held = [canary, canary.encode(), bytearray(canary.encode("utf-16-le"))]
    assert max(_counts(canary, clean=False)) >= len(held)


def test_canary_of_one_clean_cell_is_in_no_memory_of_the_next() -> None:
    """Neither its code nor its inputs pass through what both are forks of."""
    canary, given = secrets.token_hex(16), secrets.token_hex(16)
    code = f"{canary[:16]!r} + {canary[16:]!r} + given"
    assert value(code, inputs={"given": given}, clean=True) == canary + given
    for text in (canary[:16], canary, given):
        assert _counts(text, clean=True) == [0, 0]


def _links(pid: int) -> dict[int, str]:
    folder = f"/proc/{pid}/fd"
    return {int(name): os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}


@pytest.mark.no_baseline("the descriptors are open in this process, which is what they are for")
def test_no_descriptor_of_the_notebook_is_inherited(tmp_path: Path) -> None:
    """Not even one that was made to be inherited: the zygote has a socket, and /dev/null."""
    end_zygotes()
    with (tmp_path / "open").open("w", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)
        value("1", clean=True)
    (zygote,) = _family()
    links = sorted(_links(zygote).values())
    kinds = [link.partition(":")[0] for link in links]
    assert kinds == ["/dev/null"] * 3 + ["anon_inode", "socket"], links
    assert "pidfd" in links[3]
