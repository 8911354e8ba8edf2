"""The system-call filter: built once by libseccomp, loaded as bytes in the child.

Guarantees: `build` answers a whole program for one architecture, in which every other
architecture, and the x32 numbers of x86-64, kill the process; a name that libseccomp does not know
is an error unless `syscalls.NEWER` says since which kernel it exists. `load` needs no libseccomp:
after the fork nothing is looked up, allocated by a C library, or imported.
Assumes: `load` runs with no_new_privs set, in a process of one thread, after everything that the
filter forbids is done.
"""

from __future__ import annotations

import errno
import functools
import os
from types import ModuleType
from typing import Literal, assert_never

from kavach_ipy.errors import CannotEnforce
from kavach_ipy.linux import _libc, syscalls
from kavach_ipy.linux.filter_rules import Match
from kavach_ipy.linux.socket_rules import Network
from kavach_ipy.linux.syscall_arguments import argument_rules

__all__ = ["Machine", "Network", "build", "load", "missing"]

Machine = Literal["x86_64", "aarch64"]

# linux/bpf_common.h BPF_MAXINSNS: seccomp(2) refuses longer programs with EINVAL.
_MAX_INSTRUCTIONS = 4096
_INSTRUCTION_BYTES = 8
_REMEDY = "Install it with: apt-get install libseccomp2"
_LAYER = "seccomp"


def missing() -> str | None:
    """Say in one sentence, remedy included, why no filter can be built; None when one can."""
    try:
        _library()
        _native()
    except CannotEnforce as refusal:
        return f"{refusal.cause}. {refusal.remedy}"
    return None


def build(
    network: Network, machine: Machine | None = None, *, is_memory_counted: bool = False
) -> bytes:
    """Build the filter as an array of struct sock_filter, eight bytes an instruction.

    Args:
        network: the socket families: ``"none"`` AF_UNIX only, ``"loopback"`` also TCP and UDP,
            ``"host"`` UDP and TCP that never listens, and pairs of connected unix sockets.
        machine: the architecture the program is for; None is the one we run on.
        is_memory_counted: a control group counts memory that belongs to no process, so the cell
            may have it.

    Raises:
        CannotEnforce: libseccomp is missing or too old, or the architecture is not supported.
    """
    return _build(network, machine or _native(), is_memory_counted)


def load(program: bytes) -> None:
    """Put this thread, and all it starts, under `program` for good: seccomp(2).

    Raises:
        SyscallError: EACCES without no_new_privs, EINVAL for a program the kernel refuses.
    """
    _libc.seccomp_load(program)


@functools.cache
def _build(network: Network, machine: Machine, is_memory_counted: bool) -> bytes:
    library = _library()
    architecture = _architecture(library, machine)
    rules = argument_rules(network, is_memory_counted=is_memory_counted)
    conditional = frozenset(rule.call for rule in rules)
    allowed = (*syscalls.ALLOWED, *syscalls.COUNTED) if is_memory_counted else syscalls.ALLOWED
    unconditional: dict[str, int | None] = {}
    unconditional |= dict.fromkeys(syscalls.names(allowed) - conditional, None)
    unconditional |= dict.fromkeys(syscalls.names(syscalls.DENIED), errno.EPERM)
    unconditional |= dict.fromkeys(syscalls.names(syscalls.UNSUPPORTED), errno.EOPNOTSUPP)
    # Resolved first, all of them: a misspelt deny must not vanish.
    there = {
        call for call in (*unconditional, *conditional) if _exists(library, architecture, call)
    }
    try:
        program = library.SyscallFilter(library.ERRNO(errno.ENOSYS))
        program.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
        # 2: a binary tree. As seccomp(2) loads a filter, the kernel runs it once for each number,
        # so a linear chain made every load 0.3 ms slower, measured on Linux 6.18.
        program.set_attr(library.Attr.CTL_OPTIMIZE, 2)
        if not program.exist_arch(architecture):
            program.remove_arch(library.Arch.NATIVE)
            program.add_arch(architecture)
        for call, error in sorted(unconditional.items()):
            if call in there:
                program.add_rule_exactly(_action(library, error), call)
        for rule in rules:
            if rule.call in there:
                comparisons = (_comparison(library, match) for match in rule.matches)
                program.add_rule_exactly(_action(library, rule.error), rule.call, *comparisons)
        return _export(program)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "an error without a number")
        cause = f"libseccomp cannot build the filter for {machine}: {name} ({error.strerror})"
        raise CannotEnforce(_LAYER, cause, "It needs libseccomp 2.5 and Linux 4.14.") from error


def _library() -> ModuleType:
    """Import pyseccomp, which looks for libseccomp as it is imported."""
    try:
        import pyseccomp  # noqa: PLC0415 - importing this module must work without libseccomp
    except ImportError as error:
        cause = f"the Python package pyseccomp cannot be imported ({error})"
        raise CannotEnforce(_LAYER, cause, "Install it with: pip install pyseccomp") from error
    except (RuntimeError, OSError, AttributeError) as error:
        cause = f"the library libseccomp.so.2 cannot be used ({error})"
        raise CannotEnforce(_LAYER, cause, _REMEDY) from error
    library: ModuleType = pyseccomp
    return library


def _native() -> Machine:
    match os.uname().machine:
        case "x86_64":
            return "x86_64"
        case "aarch64":
            return "aarch64"
        case other:
            cause = f"there is no system-call table for {other}"
            raise CannotEnforce(_LAYER, cause, "x86_64 and aarch64 are supported.")


def _architecture(library: ModuleType, machine: Machine) -> int:
    match machine:
        case "x86_64":
            token = library.Arch.X86_64
        case "aarch64":
            token = library.Arch.AARCH64
        case _:
            assert_never(machine)
    return int(token)


def _exists(library: ModuleType, architecture: int, call: str) -> bool:
    """Whether the architecture has the call, as far as this libseccomp knows.

    seccomp_syscall_resolve_name(3): -1 for an unknown name, other negative numbers for a name
    that only other architectures have.
    """
    number = library.resolve_syscall(architecture, call)
    if number == -1 and call not in syscalls.NEWER:
        cause = f"libseccomp does not know the system call {call}"
        remedy = "libseccomp 2.5 or later is needed: apt-get install --only-upgrade libseccomp2"
        raise CannotEnforce(_LAYER, cause, remedy)
    return bool(number >= 0)


def _action(library: ModuleType, error: int | None) -> int:
    return int(library.ALLOW if error is None else library.ERRNO(error))


def _comparison(library: ModuleType, match: Match) -> object:
    if match.differs:
        return library.Arg(match.argument, library.NE, match.value)
    return library.Arg(match.argument, library.MASKED_EQ, match.mask, match.value)


def _export(program: object) -> bytes:
    """Read the program back out of a memfd, and refuse one that cannot be a filter."""
    export_bpf = program.export_bpf  # type: ignore[attr-defined]  # pyseccomp ships no types
    with os.fdopen(os.memfd_create("kavach-seccomp"), "w+b", buffering=0) as file:
        export_bpf(file)
        file.seek(0)
        exported = file.read()
    length, rest = divmod(len(exported), _INSTRUCTION_BYTES)
    if rest or not 0 < length <= _MAX_INSTRUCTIONS or not any(exported):
        cause = f"libseccomp exported {len(exported)} bytes, which is no filter"
        raise CannotEnforce(_LAYER, cause, _REMEDY)
    return exported
