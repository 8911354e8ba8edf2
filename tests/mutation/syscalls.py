"""The groups of system calls (`linux/syscalls.py`) and the rules on arguments, as guards.

A refused group is switched off by letting its calls through. To leave it out of the table would be
no test of it: a call that no table names answers ENOSYS.

Their tests ask the program itself (`tests/unit/linux/bpf.py`) and make no call: a group that is let
through would really be called, by host root perhaps, and sethostname(2) with null arguments blanks
the name of the machine.
"""

from __future__ import annotations

from kavach_ipy.linux.syscalls import ALLOWED, DENIED, UNANSWERED, UNSUPPORTED, Group
from tests.mutation.guard import Guard

__all__ = ["GUARDS", "NO_GUARDS"]

NO_GUARDS = {
    f"calls: {group.purpose}": "allowed: what is refused of it is a rule on arguments"
    for group in ALLOWED
}
"""Groups that refuse nothing."""

_ARGUMENTS = "linux/syscall_arguments.py"
_SOCKETS = "linux/socket_rules.py"
_FILTER = "linux/seccomp.py"
_VERDICTS = "tests/unit/linux/test_seccomp.py"
_IN_THE_KERNEL = "tests/unit/linux/test_seccomp_kernel.py"


def _group(group: Group) -> Guard:
    calls = " ".join(group.calls)
    return Guard(
        f"calls: {group.purpose}",
        f"refused: {calls if len(calls) < 80 else calls[:76] + ' …'}",
        _FILTER,
        "    # Resolved first, all of them: a misspelt deny must not vanish.\n",
        f"    unconditional |= dict.fromkeys({group.calls!r}, None)\n",
        f"{_VERDICTS}::test_every_number_has_the_verdict_of_the_table",
        of=f"calls: {group.purpose}",
    )


def _rule(
    name: str, promise: str, old: str, new: str, *tests: str, file: str = _ARGUMENTS
) -> Guard:
    return Guard(name, promise, file, old, new, " ".join(tests))


GUARDS = (
    *(_group(group) for group in (*DENIED, *UNSUPPORTED, *UNANSWERED)),
    Guard(
        "foreign architecture",
        "a call of another architecture ends the process",
        _FILTER,
        "        program.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)\n",
        "        program.set_attr(library.Attr.ACT_BADARCH, library.ALLOW)\n",
        f"{_IN_THE_KERNEL}::test_interrupt_0x80_ends_the_process",
    ),
    Guard(
        "calls that no table names",
        "a call yet to be invented does not exist",
        _FILTER,
        "library.SyscallFilter(library.ERRNO(errno.ENOSYS))",
        # Lets them through and notes it; libseccomp takes no rule that only repeats the default.
        "library.SyscallFilter(library.LOG)",
        f"{_VERDICTS}::test_every_number_has_the_verdict_of_the_table",
    ),
    Guard(
        "low half of a register",
        "an argument is compared as the kernel reads it",
        _FILTER,
        "library.MASKED_EQ, match.mask, match.value)",
        "library.MASKED_EQ, match.mask | 0xFFFFFFFF << 32, match.value)",
        "tests/escape/test_kernel_surface.py tests/escape/test_network.py",
    ),
    Guard(
        "misspelt call",
        "a refused call whose name nobody knows is an error",
        _FILTER,
        "    if number == -1 and call not in syscalls.NEWER:\n",
        "    if False:\n",
        f"{_VERDICTS}::test_misspelt_deny_is_an_error",
    ),
    Guard(
        "program that is no filter",
        "a filter of zero bytes is not taken for one",
        _FILTER,
        "    if rest or not 0 < length <= _MAX_INSTRUCTIONS or not any(exported):\n",
        "    if False:\n",
        f"{_VERDICTS}::test_program_that_cannot_be_a_filter_is_an_error",
    ),
    _rule(
        "clone",
        "no process of the cell makes a namespace or a child of init's parent",
        '        yield Rule("clone", errno.EPERM, (Match(0, flag, flag),))\n',
        '        yield Rule("clone", None, (Match(0, flag, flag),))\n',
        f"{_IN_THE_KERNEL}::test_clone_makes_no_user_namespace",
    ),
    _rule(
        "clone of a sibling",
        "no process of the cell becomes a child of the supervisor outside",
        '    "CLONE_PARENT": 0x00008000,\n',
        "",
        f"{_IN_THE_KERNEL}::test_clone_makes_no_user_namespace",
    ),
    _rule(
        "ioctl",
        "nobody types into a terminal",
        '        yield Rule("ioctl", errno.EPERM, (Match(1, command),))\n',
        '        yield Rule("ioctl", None, (Match(1, command),))\n',
        f"{_IN_THE_KERNEL}::test_terminal_takes_no_typed_characters",
    ),
    _rule(
        "fcntl",
        "no lease holds up the host's next open",
        '        yield Rule("fcntl", errno.EPERM, (Match(1, command),))\n',
        '        yield Rule("fcntl", None, (Match(1, command),))\n',
        f"{_IN_THE_KERNEL}::test_lease_is_refused",
    ),
    _rule(
        "setsockopt",
        "socket buffers take no memory that nobody counts",
        '        yield Rule("setsockopt", 0, (level, Match(2, option)))\n',
        '        yield Rule("setsockopt", None, (level, Match(2, option)))\n',
        f"{_IN_THE_KERNEL}::test_socket_buffers_keep_their_size",
        file=_SOCKETS,
    ),
    _rule(
        "prctl",
        "the cell stays visible to who measures it, and nobody outside may trace it",
        '        yield Rule("prctl", errno.EPERM, (Match(0, option),))\n',
        '        yield Rule("prctl", None, (Match(0, option),))\n',
        f"{_IN_THE_KERNEL}::test_dumpable_flag_cannot_be_dropped",
    ),
    _rule(
        "personality",
        "addresses stay random",
        'choose("personality", 0, frozenset({0, ',
        'choose("personality", 0, frozenset({0, 0x0040000, ',
        "tests/escape/test_kernel_surface.py",
    ),
    _rule(
        "sched_setscheduler",
        "no process takes a processor for itself",
        '        yield Rule("sched_setscheduler", errno.EPERM,',
        '        yield Rule("sched_setscheduler", None,',
        "tests/escape/test_kernel_surface.py",
    ),
    _rule(
        "setuid files",
        "no file that a cell makes lends its owner's identity",
        "        *_chmod(),\n        *_open(),\n",
        "",
        f"{_IN_THE_KERNEL}::test_no_file_lends_its_identity",
    ),
    _rule(
        "setgid files",
        "no file that a cell makes lends its group's identity",
        "    yield Rule(call, errno.EPERM, (*context, Match(argument, _SETGID, either)))\n",
        "    yield Rule(call, None, (*context, Match(argument, _SETGID, either)))\n",
        f"{_VERDICTS}::test_no_mode_is_set_that_lends_an_identity",
    ),
    _rule(
        "setuid temporary files",
        "O_TMPFILE makes no file that lends its owner's identity",
        "        yield from _set_id_modes("
        "call, flags + 1, Match(flags, temporary, create | temporary))\n",
        "        yield Rule(call, None, (Match(flags, temporary, create | temporary),))\n",
        f"{_VERDICTS}::test_no_file_is_made_that_lends_an_identity",
    ),
    _rule(
        "setuid nodes",
        "mknod makes no file that lends its owner's identity",
        "Match(argument, kind, 0o170000 | _SETUID | _SETGID)",
        "Match(argument, kind, 0o170000)",
        _VERDICTS,
    ),
    _rule(
        "device nodes",
        "mknod makes no device, and no whiteout",
        "            yield Rule(call, errno.EPERM, (Match(argument, kind, 0o170000),))\n",
        "            yield Rule(call, None, (Match(argument, kind, 0o170000),))\n",
        "tests/escape/test_mounts.py::test_device_nodes_are_not_made"
        f" {_VERDICTS}::test_no_node_is_made_that_lends_an_identity",
    ),
    _rule(
        "out-of-band bytes",
        "no cell reaches the kernel's code for them",
        "        yield Rule(call, errno.EOPNOTSUPP, (Match(argument, _MSG_OOB, _MSG_OOB),))\n",
        "        yield Rule(call, None, (Match(argument, _MSG_OOB, _MSG_OOB),))\n",
        f"{_VERDICTS}::test_argument_decides",
        file=_SOCKETS,
    ),
    _rule(
        "socket families",
        "no socket but unix ones is made without a network",
        '        yield Rule("socket", errno.EAFNOSUPPORT, (Match(0, value, mask),))\n',
        '        yield Rule("socket", None, (Match(0, value, mask),))\n',
        "tests/escape/test_network.py::test_no_socket_of_any_other_family_is_made",
        file=_SOCKETS,
    ),
    _rule(
        "socket pairs",
        "no pair of another family is made",
        "frozenset({_AF_UNIX}), errno.EAFNOSUPPORT)\n",
        "frozenset({_AF_UNIX, 40}), errno.EAFNOSUPPORT)\n",
        _VERDICTS,
        file=_SOCKETS,
    ),
    _rule(
        "socket types",
        "no raw socket is made on the loopback",
        '        yield Rule("socket", errno.ESOCKTNOSUPPORT, (family, Match(1, value, mask)))\n',
        '        yield Rule("socket", None, (family, Match(1, value, mask)))\n',
        f"{_IN_THE_KERNEL}::test_loopback_speaks_tcp_and_udp_and_nothing_raw",
        file=_SOCKETS,
    ),
    _rule(
        "socket protocols",
        "TCP and UDP are the only protocols of the loopback",
        "_SOCK_STREAM: frozenset({0, 6})",
        "_SOCK_STREAM: frozenset({0, 6, 262})",
        f"{_IN_THE_KERNEL}::test_loopback_speaks_tcp_and_udp_and_nothing_raw",
        file=_SOCKETS,
    ),
)
