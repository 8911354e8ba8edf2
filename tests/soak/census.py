"""What a kernel process has and what the host counts, looked at from outside.

Guarantees: reads /proc alone, as another process; nothing is asked of the kernel that is counted.
Assumes: the reader is the kernel's parent and a child subreaper (`adopt_orphans`), so that whatever
a sandbox leaves, wherever it moved, is a descendant of the reader.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import prctl

from kavach_ipy.launch.processes import is_readable
from tests.contract.cells import descendants

__all__ = [
    "HOST_COUNTERS",
    "Census",
    "adopt_orphans",
    "judge",
    "leftovers",
    "namespaces_of",
    "slope",
    "strangers",
    "take_census",
    "wait_for_no_leftovers",
]

# What a leak of the host's would show in. Shared with every other process of the machine, so they
# are judged by their slope alone; slabs are readable for root, where the kernel did not merge them.
HOST_COUNTERS = ("ptys", "open files", "keys", "mounts", "network namespaces", "pid namespaces")
_SLABS = {
    "mnt_cache": "mounts",
    "net_namespace": "network namespaces",
    "pid_namespace": "pid namespaces",
}
_STATUS = re.compile(
    r"^(Uid|Gid|Groups|Seccomp|NoNewPrivs|Sig(?!Q|Pnd)\w+|Cap\w+|Threads|CoreDumping):\t(.*)$",
    re.MULTILINE,
)
_MOMENT = 0.05
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@dataclass(frozen=True, slots=True)
class Census:
    """One look at a kernel process and its host."""

    exact: dict[str, object]
    """What must be the same after any number of cells."""

    flat: dict[str, float] = field(default_factory=dict)
    """What moves, and may not grow: kibibytes and counts."""

    def changes(self, later: Census) -> list[str]:
        """What is not as it was, in words."""
        return [
            f"{name}: {_difference(before, later.exact[name])}"
            for name, before in self.exact.items()
            if later.exact[name] != before
        ]


_there_before: set[int] = set()


def adopt_orphans() -> None:
    """Become a child subreaper: prctl(2), PR_SET_CHILD_SUBREAPER.

    Who is a descendant by now (multiprocessing's resource tracker lives as long as the tests do)
    was not left by what comes.
    """
    prctl.set_child_subreaper(1)
    _there_before.clear()
    _there_before.update(descendants(os.getpid()))


def take_census(pid: int, places: Sequence[Path] = (), token: str = "") -> Census:
    """Look at a process that is idle, at `places`, and at the shared places for names with `token`.

    Args:
        pid: the kernel process.
        places: directories that nobody else writes to; every name in them counts.
        token: what the names of all files that cells make contain.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    exact: dict[str, object] = {
        "descriptors": _descriptors(pid),
        "children": sorted(descendants(pid)),
        "mounts": Path(f"/proc/{pid}/mountinfo").read_bytes(),
        "limits": Path(f"/proc/{pid}/limits").read_bytes(),
        "state": dict(_STATUS.findall(status)),
        "namespaces": namespaces_of(pid),
        "directory": os.readlink(f"/proc/{pid}/cwd"),
        "oom": Path(f"/proc/{pid}/oom_score_adj").read_bytes(),
        # A process that is not dumpable has a /proc entry of root's: proc(5).
        "owner": os.stat(f"/proc/{pid}/fd").st_uid,
        "files": sorted(str(path) for place in places for path in place.rglob("*")),
        "strangers": strangers(token) if token else [],
    }
    sizes = {
        key: float(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)
    }
    return Census(
        exact,
        {
            "anonymous memory, KiB": sizes["RssAnon"],
            "shared memory, KiB": sizes["RssShmem"],
            "address space, KiB": sizes["VmSize"],
            "mappings": float(Path(f"/proc/{pid}/maps").read_bytes().count(b"\n")),
            **_host_counters(),
        },
    )


def namespaces_of(pid: int) -> dict[str, str]:
    """The seven namespaces of a process, by inode."""
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in _NAMESPACES}


def strangers(token: str) -> list[str]:
    """Files of cells in the places that all processes share, and cores."""
    found = []
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run"):
        with suppress(OSError):
            found += [f"{place}/{name}" for name in os.listdir(place) if token in name]
    return found


def leftovers(but: int = 0) -> dict[int, str]:
    """Descendants of this process, but for `but` and what is its own business: state and name."""
    found = {}
    for pid in descendants(os.getpid()):
        if pid == but or pid in _there_before:
            continue
        with suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
            name, _, rest = text.partition(" (")[2].rpartition(") ")
            found[pid] = f"{name} {rest[:1]} in {_pid_namespace(pid)}"
    return found


def wait_for_no_leftovers(but: int, seconds: float) -> dict[int, str]:
    """Look until nobody is left or the time is over; reap what became our own. Who is left."""
    deadline = time.monotonic() + seconds
    while True:
        left = leftovers(but)
        for pid in left:
            # Orphans of a killed kernel are ours to reap, as they would be pid 1's.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        left = leftovers(but)
        if not left or time.monotonic() > deadline:
            return left
        _wait_for_an_end(next(iter(left)))


def _wait_for_an_end(pid: int) -> None:
    """Wait a moment for one process; a zombie that another has to reap counts as a moment."""
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            is_readable(fd, _MOMENT)
        finally:
            os.close(fd)
    os.sched_yield()


def slope(points: Sequence[tuple[int, float]]) -> float:
    """The growth of a measure with each cell: Theil and Sen's median of all pairs' slopes.

    One burst of another process's moves a mean, and a fit by least squares, but not this.
    """
    pairs = [
        (later - earlier) / (end - start)
        for index, (start, earlier) in enumerate(points)
        for end, later in points[index + 1 :]
    ]
    return statistics.median(pairs) if pairs else 0.0


def judge(
    history: Sequence[tuple[int, Census]], bounds: Mapping[str, float], say: Callable[[str], None]
) -> list[str]:
    """Tell how each measure grew with each cell, and return those that grew by more than allowed.

    Args:
        history: looks, each with the number of cells before it.
        bounds: what a measure may grow by with each cell.
        say: takes a line a measure.
    """
    wrong = []
    for name, bound in bounds.items():
        points = [(number, census.flat[name]) for number, census in history if name in census.flat]
        if not points:
            say(f"  {name:<24} not readable here")
            continue
        growth = slope(points)
        verdict = "ok" if growth <= bound else "GROWS"
        say(
            f"  {name:<24} {points[0][1]:>12.0f} → {points[-1][1]:>12.0f}   "
            f"{growth:+8.3f} a cell, bound {bound:g}  {verdict}"
        )
        if growth > bound:
            wrong.append(f"{name} grows by {growth:.3f} with each cell; bound {bound:g}")
    return wrong


def _pid_namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return "no namespace"


def _descriptors(pid: int) -> dict[str, int]:
    """How many descriptors link to each kind of thing; a socket's own number does not count."""
    kinds: Counter[str] = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            kinds[re.sub(r":\[\d+\]$", "", link)] += 1
    return dict(sorted(kinds.items()))


def _host_counters() -> dict[str, float]:
    found = {
        "ptys": float(Path("/proc/sys/kernel/pty/nr").read_text(encoding="ascii")),
        "open files": float(Path("/proc/sys/fs/file-nr").read_text(encoding="ascii").split()[0]),
        "keys": sum(
            float(line.split()[2].partition("/")[0])
            for line in Path("/proc/key-users").read_text(encoding="ascii").splitlines()
        ),
    }
    with suppress(PermissionError):
        for line in Path("/proc/slabinfo").read_text(encoding="ascii").splitlines()[2:]:
            name, active, *_ = line.split()
            if name in _SLABS:
                found[_SLABS[name]] = float(active)
    return found


def _difference(before: object, after: object) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return ", ".join(
            f"{key} {before.get(key)} → {after.get(key)}"
            for key in keys
            if before.get(key) != after.get(key)
        )
    return f"{before!r:.400} → {after!r:.400}"
