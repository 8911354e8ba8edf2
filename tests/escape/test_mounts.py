"""The view of files cannot be changed from inside: no mount, no remount, no other root."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kavach_ipy.linux.verify import read_mounts
from tests.contract.cells import NEEDS
from tests.escape.probes import (
    FIRST,
    POWERS,
    attack,
    found,
    looked_at,
    looked_at_outside,
    number,
    outside,
)

pytestmark = [pytest.mark.escape, NEEDS]

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE = 1, 32, 4096, 8192
AT_FDCWD = (1 << 64) - 100

CALLS = {
    "new": ("mount", b"none", b"/tmp", b"tmpfs", 0, 0),
    "bind": ("mount", b"/usr", b"/tmp", 0, MS_BIND, 0),
    "remount": ("mount", b"none", b"/usr", 0, MS_REMOUNT | MS_BIND, 0),
    "remount root": ("mount", b"none", b"/", 0, MS_REMOUNT | MS_BIND, 0),
    "move": ("mount", b"/proc", b"/tmp", 0, MS_MOVE, 0),
    "proc": ("mount", b"proc", b"/tmp", b"proc", 0, 0),
    "umount": ("umount2", b"/tmp", 0),
    "detach": ("umount2", b"/proc/1", 2),
    "fsopen": ("fsopen", b"tmpfs", 0),
    "fspick": ("fspick", AT_FDCWD, b"/usr", 0),
    "open tree": ("open_tree", AT_FDCWD, b"/usr", 1),
    "move mount": ("move_mount", AT_FDCWD, b"/usr", AT_FDCWD, b"/tmp", 0),
    "attributes": ("mount_setattr", AT_FDCWD, b"/usr", 0x8000, bytes(32), 32),
    "pivot": ("pivot_root", b".", b"."),
    "chroot": ("chroot", b"/tmp"),
}


# In namespaces of its own a process may move and unmount only what it has mounted there itself.
OWN_MOUNTS = f"""{FIRST}
MOUNT = {number("mount")}
mounted = [
    call(MOUNT, b"none", b"/proc/1", b"tmpfs", 0, 0),
    call(MOUNT, b"/usr", b"/usr", 0, {MS_BIND}, 0),
    call(MOUNT, b"none", b"/tmp", b"tmpfs", 0, 0),
]
os.chdir("/tmp")
mounted += [call(MOUNT, b"none", b"/tmp", b"tmpfs", 0, 0)]
assert mounted == ["done"] * 4, mounted
"""


def _code(name: str) -> str:
    call, *arguments = CALLS[name]
    return f"call({number(str(call))}, {', '.join(map(repr, arguments))})"


@pytest.mark.parametrize("name", CALLS)
def test_call_that_changes_mounts_is_refused(name: str) -> None:
    """Old interface and new: EPERM, whatever the arguments."""
    assert found(_code(name)) == "EPERM"


@pytest.mark.baseline("test_call_that_changes_mounts_is_refused")
@pytest.mark.parametrize("name", CALLS)
def test_call_changes_mounts_without_the_sandbox(name: str) -> None:
    """The same call with the same arguments, where nothing but a private view can be changed."""
    assert outside(f"{OWN_MOUNTS}\nprint({_code(name)})") == "done\n"


PROGRAMS = "os.system('mount -t tmpfs x /tmp; mount -o remount,rw /usr; umount -l /proc')"


def _table(pid: int) -> set[tuple[object, ...]]:
    return {(mount.point, mount.read_only, mount.fstype) for mount in read_mounts(pid)}


def test_mounts_read_from_outside_are_those_of_a_quiet_cell() -> None:
    """After every attempt at once, by calls and by programs, the table is what it was."""
    tables: list[set[tuple[object, ...]]] = []
    looked_at("", lambda cell: tables.append(_table(cell)))
    attempts = "\n".join(map(_code, CALLS))
    looked_at(f"{attempts}\n{PROGRAMS}", lambda cell: tables.append(_table(cell)))
    assert tables[0] == tables[1]
    assert len(tables[0]) > 10


@pytest.mark.baseline("test_mounts_read_from_outside_are_those_of_a_quiet_cell")
@pytest.mark.parametrize("attempts", [_code("new"), PROGRAMS], ids=["call", "programs"])
def test_mounts_read_from_outside_change_without_the_sandbox(attempts: str) -> None:
    """The same look at a plain process with a view of its own sees what was mounted."""
    tables: list[set[tuple[object, ...]]] = []
    looked_at_outside(POWERS, lambda pid: tables.append(_table(pid)))
    looked_at_outside(f"{POWERS}\n{attempts}", lambda pid: tables.append(_table(pid)))
    assert tables[0] != tables[1]


PATHS = ["/usr/x", "/etc/x", "/opt/x", "/x", "/dev/x", "/proc/x", "/sys/x"]


@pytest.mark.parametrize("path", PATHS)
def test_system_directories_take_no_file(path: str) -> None:
    """The root and all that is shown of the system are read-only."""
    assert not attack(f"open({path!r}, 'w')").ok


@pytest.mark.baseline("test_system_directories_take_no_file")
def test_directories_of_a_writable_root_take_the_file(tmp_path: Path) -> None:
    """The same paths below a root that is not the host's, which would keep the files."""
    for path in PATHS:
        (tmp_path / path[1:]).parent.mkdir(exist_ok=True)
    outside(f"{POWERS}\nos.chroot({str(tmp_path)!r})\nfor path in {PATHS!r}: open(path, 'w')")
    assert all((tmp_path / path[1:]).is_file() for path in PATHS)


OWN_SWITCHES = [
    "/proc/self/oom_score_adj",
    "/proc/self/uid_map",
    "/proc/self/mem",
    "/proc/self/comm",
    "/proc/self/attr/current",
    "/proc/self/clear_refs",
    "/proc/self/timens_offsets",
]
SWITCHES = [
    *OWN_SWITCHES,
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sysrq-trigger",
]


def _is_taken(path: str) -> str:
    return f"attempt(lambda: os.close(os.open({path!r}, os.O_WRONLY)))"


@pytest.mark.parametrize("path", SWITCHES)
def test_switches_of_the_machine_are_read_only(path: str) -> None:
    """Nothing below /proc takes a byte: sysctl, sysrq, oom, the process's own knobs."""
    assert found(_is_taken(path)) != "done"


@pytest.mark.baseline("test_switches_of_the_machine_are_read_only")
@pytest.mark.parametrize(
    "path", [*filter(os.path.exists, SWITCHES if os.geteuid() == 0 else OWN_SWITCHES)]
)
def test_switches_are_opened_without_the_sandbox(path: str) -> None:
    """A plain process may turn its own, and root's turns the machine's; nothing is written."""
    assert outside(f"print({_is_taken(path)})") == "done\n"


NODES = [
    (kind, number) for kind in (stat.S_IFCHR, stat.S_IFBLK) for number in ((1, 1), (8, 0), (0, 0))
]
# mknod(2): since Linux 5.8 a whiteout, the character device 0:0, needs no capability.
WHITEOUT = (stat.S_IFCHR, (0, 0))


def _mknod(path: str, kind: int, device: tuple[int, int]) -> str:
    return f"attempt(os.mknod, {path!r}, {kind | 0o600}, os.makedev(*{device!r}))"


@pytest.mark.parametrize(("kind", "device"), NODES)
def test_device_nodes_are_not_made(kind: int, device: tuple[int, int]) -> None:
    """mknod(2) of block and character devices, the overlay's whiteout included."""
    assert found(_mknod("/tmp/node", kind, device)) == "EPERM"


@pytest.mark.baseline("test_device_nodes_are_not_made")
@pytest.mark.parametrize(("kind", "device"), NODES if os.geteuid() == 0 else [WHITEOUT])
def test_device_nodes_are_made_without_the_sandbox(
    kind: int, device: tuple[int, int], tmp_path: Path
) -> None:
    """All of them by root, and the whiteout by everybody."""
    node = tmp_path / "node"
    outside(_mknod(str(node), kind, device))
    assert stat.S_IFMT(node.lstat().st_mode) == kind
    assert node.lstat().st_rdev == os.makedev(*device)
    node.unlink()
