"""What is covered, and what is read-only, in the cell's /proc and root."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

_HOST = "launch/host.py"
_PROC = "linux/procfs.py"
_MOUNTS = "linux/mounts.py"
_RUNS = "tests/contract/test_start.py::test_a_cell_runs_and_changes_nothing_of_the_kernel_process"
_COVERED = (
    "tests/unit/launch/test_host.py"
    " tests/escape/test_file_read.py::test_memory_and_secrets_of_the_machine_are_covered"
)
_ROWS = (
    'b"kcore", b"keys", b"key-users", b"timer_list", b"sched_debug", b"kallsyms",\n',
    'b"acpi", b"scsi", b"asound",\n',
)


def _mask(name: str, promise: str) -> Guard:
    (row,) = (row for row in _ROWS if f'b"{name}"' in row)
    return Guard(
        f"/proc/{name}", promise, _HOST, row, row.replace(f'b"{name}"', 'b"cpuinfo"'), _COVERED
    )


GUARDS = (
    _mask("kcore", "the machine's memory is not read"),
    _mask("keys", "the keys of the user are not listed"),
    _mask("key-users", "the users who have keys are not listed"),
    _mask("timer_list", "the host's timers are not listed"),
    _mask("sched_debug", "the host's run queues are not listed"),
    _mask("kallsyms", "the kernel's addresses are not listed"),
    _mask("acpi", "the machine's switches are not there"),
    _mask("scsi", "the machine's disks are not there"),
    _mask("asound", "the machine's sound cards are not there"),
    Guard(
        "/proc of init",
        "nothing of the cell looks into the unfiltered process of its namespace",
        "launch/plan.py",
        '_PROC_COVERED = (b"1",)\n',
        "_PROC_COVERED = ()\n",
        "tests/contract/test_second_walls.py::test_init_of_the_cell_shows_nothing",
    ),
    Guard(
        "/proc read-only",
        "no knob of the kernel or of a process is turned",
        _PROC,
        '    _libc.mount_setattr(fresh, b"", _READ_ONLY, recursive=False)\n',
        "",
        "tests/escape/test_mounts.py::test_switches_of_the_machine_are_read_only",
    ),
    Guard(
        "/proc of the host",
        "the host's /proc goes, and is not only covered",
        _PROC,
        "    _libc.umount(_PROC, UmountFlag.DETACH)\n",
        "",
        "tests/escape/test_mounts.py tests/unit/launch/test_verification.py",
    ),
    Guard(
        "nosuid",
        "no file that the cell sees lends its owner's identity",
        _MOUNTS,
        "_QUIET = MountAttr.NOSUID | MountAttr.NODEV\n",
        "_QUIET = MountAttr.NODEV\n",
        "tests/contract/test_second_walls.py::test_mounts_of_a_cell_give_no_rights",
    ),
    Guard(
        "nodev",
        "no device node that the cell sees opens a device",
        _MOUNTS,
        "_QUIET = MountAttr.NOSUID | MountAttr.NODEV\n",
        "_QUIET = MountAttr.NOSUID\n",
        "tests/contract/test_second_walls.py::test_mounts_of_a_cell_give_no_rights",
    ),
    Guard(
        "read-only places",
        "what is shown of the host is not written",
        _MOUNTS,
        "_QUIET if writable else _QUIET_READ_ONLY, recursive=True)",
        "_QUIET, recursive=True)",
        _RUNS,
    ),
    Guard(
        "read-only submounts",
        "what is mounted below a shown place is not written either",
        _MOUNTS,
        "_QUIET if writable else _QUIET_READ_ONLY, recursive=True)",
        "_QUIET if writable else _QUIET_READ_ONLY, recursive=False)",
        "tests/contract/test_second_walls.py::test_what_the_host_mounts_later_does_not_appear",
    ),
    Guard(
        "read-only root",
        "the cell's root takes no file",
        _MOUNTS,
        '        _libc.mount_setattr(self._fd, b"", _QUIET_READ_ONLY, recursive=False)\n',
        "",
        _RUNS,
    ),
    Guard(
        "old root",
        "nothing of the host's root is left below the cell's",
        _MOUNTS,
        '        _libc.umount(b".", UmountFlag.DETACH)\n',
        "",
        _RUNS,
    ),
    Guard(
        "hidden paths",
        "what is hidden shows nothing",
        "launch/child.py",
        "                root.hide(path)\n",
        "                pass\n",
        "tests/contract/test_places.py::test_hidden_path_shows_nothing",
    ),
    Guard(
        "nested namespaces",
        "no user namespace is made, also where the filter would let it",
        "linux/namespaces.py",
        '    (b"max_user_namespaces", b"0"),\n',
        "",
        "tests/escape/test_namespaces.py::test_nested_namespaces_are_forbidden_twice",
    ),
    Guard(
        "inotify instances",
        "a cell does not use up what the user may watch",
        "linux/namespaces.py",
        '    (b"max_inotify_instances", b"32"),\n',
        "",
        "tests/contract/test_second_walls.py",
    ),
    Guard(
        "inotify watches",
        "a cell does not use up what the user may watch",
        "linux/namespaces.py",
        '    (b"max_inotify_watches", b"8192"),\n',
        "",
        "tests/contract/test_second_walls.py",
    ),
)
