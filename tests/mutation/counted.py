"""What limits count, and what they refuse because nobody could count it."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

_LIMITS = "linux/limits.py"

GUARDS = (
    Guard(
        "memory of no process",
        "memory that nothing counts is not given",
        "linux/syscall_arguments.py",
        "        *(() if is_memory_counted else _mmap()),\n",
        "",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "memory of a process without its first thread",
        "what its other threads keep is counted",
        _LIMITS,
        "        if thread == name:\n",
        "        if thread:\n",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "memory in the arena",
        "the file for results is on the bill",
        _LIMITS,
        "    apart = os.fstat(arena).st_blocks * 512 if arena >= 0 else 0\n",
        "    apart = 0\n",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "time of short lives",
        "children that end between two looks use up the limit",
        "launch/meter.py",
        "        return alive + max(dead, self._waited_seconds)\n",
        "        return alive + dead\n",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "queued signals",
        "timers are left for the user's other programs",
        _LIMITS,
        '        "RLIMIT_SIGPENDING": 1024,\n',
        "",
        "tests/escape/test_exhaustion.py",
    ),
    Guard(
        "lingering sockets",
        "no close of a descriptor takes as long as the cell likes",
        "linux/socket_rules.py",
        "_SOCKET_SIZES | {_SO_LINGER}\n",
        "_SOCKET_SIZES\n",
        "tests/unit/linux/test_seccomp.py tests/unit/linux/test_seccomp_kernel.py",
    ),
    Guard(
        "core limit",
        "the limit that stops core handlers stays",
        "linux/syscall_arguments.py",
        "        *_rlimits(),\n",
        "",
        "tests/escape/test_core_dumps.py",
    ),
    Guard(
        "the interpreter's own file",
        "what /proc/self/exe leads to keeps mode, group, time and attributes",
        "launch/launcher.py",
        "    if parent.program.leave():\n",
        "    if False:\n",
        "tests/escape/test_file_write.py",
    ),
    Guard(
        "one state for cells of one time",
        "a change of one cell is not another's truth",
        "launch/program.py",
        "            if _Shared.cells == 0 or _Shared.before is None:\n",
        "            if True:\n",
        "tests/escape/test_file_write.py",
    ),
)
