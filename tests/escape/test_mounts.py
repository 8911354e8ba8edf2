"""The view of files cannot be changed from inside: no mount, no remount, no other root."""

from __future__ import annotations

import pytest

from kavach_ipy.linux.verify import read_mounts
from tests.contract.cells import NEEDS
from tests.escape.probes import attack, found, looked_at, number

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


@pytest.mark.parametrize("name", CALLS)
def test_call_that_changes_mounts_is_refused(name: str) -> None:
    """Old interface and new: EPERM, whatever the arguments."""
    call, *arguments = CALLS[name]
    assert isinstance(call, str)
    code = f"call({number(call)}, {', '.join(map(repr, arguments))})"
    assert found(code) == "EPERM"


def test_mounts_read_from_outside_are_those_of_a_quiet_cell() -> None:
    """After every attempt at once, by calls and by programs, the table is what it was."""
    tables = []

    def look(cell: int) -> None:
        mounts = read_mounts(cell)
        tables.append({(mount.point, mount.read_only, mount.fstype) for mount in mounts})

    looked_at("", look)
    attempts = "\n".join(
        f"call({number(str(call))}, {', '.join(map(repr, arguments))})"
        for call, *arguments in CALLS.values()
    )
    programs = "mount -t tmpfs x /tmp; mount -o remount,rw /usr; umount -l /proc"
    looked_at(f"{attempts}\nos.system({programs!r})", look)
    assert tables[0] == tables[1]
    assert len(tables[0]) > 10


@pytest.mark.parametrize(
    "path", ["/usr/x", "/etc/x", "/opt/x", "/x", "/dev/x", "/proc/x", "/sys/x"]
)
def test_system_directories_take_no_file(path: str) -> None:
    """The root and all that is shown of the system are read-only."""
    assert not attack(f"open({path!r}, 'w')").ok


def test_switches_of_the_machine_are_read_only() -> None:
    """Nothing below /proc takes a byte: sysctl, sysrq, oom, the process's own knobs."""
    code = """
    import os
    taken = []
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
                 "/proc/sys/vm/drop_caches", "/proc/sys/net/ipv4/ip_forward",
                 "/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/proc/self/uid_map",
                 "/proc/self/mem", "/proc/self/comm", "/proc/self/attr/current",
                 "/proc/self/clear_refs", "/proc/self/timens_offsets"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            taken.append(path)
        except OSError:
            pass
    taken
    """
    assert found(code) == []


def test_device_nodes_are_not_made() -> None:
    """mknod(2) of block and character devices, the overlay's whiteout included."""
    code = """
    import os, stat
    [attempt(os.mknod, "/tmp/node", kind | 0o600, os.makedev(*number))
     for kind in (stat.S_IFCHR, stat.S_IFBLK) for number in ((1, 1), (8, 0), (0, 0))]
    """
    assert set(found(code)) == {"EPERM"}
