"""A classic BPF machine in Python, to ask a seccomp filter for its verdict without a kernel.

It knows the instructions of linux/filter.h that libseccomp writes, and takes any other for an
error, so a program that it accepts is understood to its last bit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["AARCH64", "ALLOW", "ARM", "I386", "KILL", "X86_64", "Verdict", "refusal", "run"]

# linux/audit.h AUDIT_ARCH_*
X86_64 = 0xC000003E
AARCH64 = 0xC00000B7
I386 = 0x40000003
ARM = 0x40000028

# linux/seccomp.h SECCOMP_RET_*
ALLOW = 0x7FFF0000
KILL = 0x80000000
_ERRNO = 0x00050000

_INSTRUCTION = struct.Struct("<HBBI")
_DATA = struct.Struct("<iIQ6Q")
_WORD = struct.Struct("<I")

_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05


def refusal(errno: int) -> int:
    """The return value of a filter that answers `errno`."""
    return _ERRNO | errno


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the filter returned, and how many instructions that took."""

    value: int
    steps: int


def run(program: bytes, architecture: int, number: int, *arguments: int) -> Verdict:
    """Interpret the filter for one system call, as seccomp(2) does.

    Args:
        program: an array of struct sock_filter.
        architecture: an AUDIT_ARCH_* value.
        number: the system-call number, as 32 bits.
        arguments: up to six register values of 64 bits; missing ones are 0.
    """
    code = list(_INSTRUCTION.iter_unpack(program))
    signed = number - (1 << 32) if number >= 1 << 31 else number
    data = _DATA.pack(signed, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    accumulator = at = steps = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        steps += 1
        if operation == _RETURN:
            return Verdict(value, steps)
        if operation == _LOAD:
            # seccomp_check_filter in the kernel: aligned, and inside struct seccomp_data.
            assert value % 4 == 0
            accumulator = _WORD.unpack_from(data, value)[0]
        elif operation == _AND:
            accumulator &= value
        elif operation == _JUMP:
            at += value
        else:
            at += if_true if _holds(operation, accumulator, value) else if_false


def _holds(operation: int, accumulator: int, value: int) -> bool:
    match operation:
        case 0x15:  # BPF_JEQ
            return accumulator == value
        case 0x25:  # BPF_JGT
            return accumulator > value
        case 0x35:  # BPF_JGE
            return accumulator >= value
        case 0x45:  # BPF_JSET
            return accumulator & value != 0
        case _:
            raise AssertionError(f"instruction {operation:#x} is no part of a seccomp filter")
