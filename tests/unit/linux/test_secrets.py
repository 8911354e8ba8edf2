"""The search for known secrets looks at every page that can hold one, and at no other."""

from __future__ import annotations

import mmap
import os
import secrets
import tempfile

import pytest

from kavach_ipy.linux import _libc
from kavach_ipy.linux.secrets import overwrite
from tests.unit.linux.throwaway import forked

pytestmark = pytest.mark.kernel

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
NORESERVE = 0x4000  # asm-generic/mman.h, MAP_NORESERVE: the mmap module has no name for it


def _taken(memory: mmap.mmap) -> int:
    """How many pages of a mapping are there: proc(5), /proc/pid/pagemap."""
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        file.seek(_libc.address_of(memory) // mmap.PAGESIZE * 8)
        return sum(byte >= 0x40 for byte in file.read(len(memory) // mmap.PAGESIZE * 8)[7::8])


@pytest.mark.parametrize("at", [0, 5000, (32 << 20) - 9, (64 << 20) - 32])
def test_copy_is_found_wherever_it_stands(at: int) -> None:
    """At the first byte, the last, and across the places where the page map is read in parts."""
    secret = secrets.token_bytes(32)

    def act() -> object:
        memory = mmap.mmap(-1, 64 << 20, flags=PRIVATE)
        memory[at : at + 32] = secret
        overwrite([secret])
        return memory[at : at + 32] == bytes(32)

    assert forked(act).value is True


def test_copy_in_a_file_that_is_mapped_is_found() -> None:
    """Its pages are no memory of the process yet, and can be read all the same."""
    secret = secrets.token_bytes(32)

    def act() -> object:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(5000) + secret + bytes(5000))
            file.flush()
            memory = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
            overwrite([secret])
            # Whatever names the secret here is overwritten as well.
            kept = os.pread(file.fileno(), 32, 5000) != bytes(32)
            return memory[5000:5032] == bytes(32) and kept

    assert forked(act).value is True


def test_memory_that_is_only_reserved_is_not_touched() -> None:
    """Libraries reserve gigabytes; a search of them took seconds, and took the pages."""
    secret = secrets.token_bytes(32)

    def act() -> object:
        memory = mmap.mmap(-1, 4 << 30, flags=PRIVATE | NORESERVE)
        memory[0] = memory[3 << 30] = 1
        before = _taken(memory)
        overwrite([secret])
        return _taken(memory) - before

    assert forked(act).value == 0
