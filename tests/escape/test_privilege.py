"""No capability and no identity is ever gained: not by calls, not by programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kavach_ipy.linux.verify import read_status
from tests.contract.cells import NEEDS, descendants
from tests.escape.probes import (
    POWERS,
    attack,
    found,
    looked_at,
    looked_at_outside,
    number,
    outside,
)

pytestmark = [pytest.mark.escape, NEEDS]

ATTEMPTS = f"""
import os, struct
for change in (os.setuid, os.setgid, os.seteuid, os.setegid):
    for number in (0, 1, 1000, 65534):
        attempt(change, number)
attempt(os.setgroups, [0])
attempt(os.setresuid, 0, 0, 0)
header = struct.pack("Ii", 0x20080522, 0)
call({number("capset")}, header, struct.pack("6I", *[0xFFFFFFFF] * 6))
for option in (8, 24, 26, 28, 35, 47, 4, 0x59616d61):  # KEEPCAPS, CAPBSET_DROP, SECUREBITS, …
    call({number("prctl")}, option, 1, 0, 0, 0)
call({number("prctl")}, 38, 0, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS 0
call({number("prctl")}, 47, 2, 21, 0, 0)  # PR_CAP_AMBIENT_RAISE CAP_SYS_ADMIN
"""


# What the effective set loses is still permitted; a run that stays without power shows nothing.
DROP = f"""
import struct
_kept = (ctypes.c_uint32 * 6)()
_head = struct.pack("Ii", 0x20080522, 0)
assert _libc.capget(_head, _kept) == 0
_kept[0] = _kept[3] = 0
assert call({number("capset")}, _head, bytes(_kept)) == "done"
"""

# Popen returns when exec(2) closes descriptors, which it does before it changes credentials: only
# what a program says shows that it runs.
PROGRAMS = """
import subprocess
running = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
           for words in (["cat"], ["sh", "-c", "read x; echo $x; read x"])]
for program in running:
    program.stdin.write(b"up\\n")
    assert program.stdout.readline() == b"up\\n"
"""


def _assert_powerless(pid: int) -> None:
    status = read_status(pid)
    assert status.capabilities == (0, 0, 0, 0, 0)
    assert status.no_new_privs
    assert status.seccomp == 2
    assert len(set(status.uids) | set(status.gids)) <= 2
    assert 0 not in status.uids


def test_cell_is_powerless_after_every_attempt_to_gain_power() -> None:
    """All five sets are empty, as the host reads them; never is it the host's uid 0."""
    looked_at(ATTEMPTS, _assert_powerless)


@pytest.mark.baseline("test_cell_is_powerless_after_every_attempt_to_gain_power")
def test_process_has_power_after_the_attempts_without_the_sandbox() -> None:
    """In a user namespace of its own capset(2) gives the plain process all that there is."""

    def look(pid: int) -> None:
        assert read_status(pid).capabilities[2] != 0

    # capabilities(7): what capset(2) takes away first, it gives back out of the permitted set.
    looked_at_outside(f"{POWERS}{DROP}{ATTEMPTS}", look)


CALLS = {
    "capset": (number("capset"), 0, 0),
    "setgroups": (number("setgroups"), 0, 0),
    "dumpable": (number("prctl"), 4, 1),
    "keep capabilities": (number("prctl"), 8, 1),
    "bounding set": (number("prctl"), 24, 1),
    "securebits": (number("prctl"), 28, 1),
    "memory map": (number("prctl"), 35, 1),
    "ambient set": (number("prctl"), 47, 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_would_give_power_are_refused(name: str) -> None:
    """capset, setgroups and the dangerous prctl options say EPERM."""
    assert found(f"call{CALLS[name]}") == "EPERM"


# setgroups(2) is given up for the mapping, and PR_SET_MM asks for CAP_SYS_RESOURCE over the whole
# machine, which even root lacks in many containers: no run of them without the sandbox.
@pytest.mark.baseline("test_calls_that_would_give_power_are_refused")
@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"setgroups", "memory map"}))
def test_calls_that_would_give_power_are_answered_without_the_sandbox(name: str) -> None:
    """A process that has the rights is told that it is done, or that null is no address."""
    answer = "EFAULT\n" if name == "capset" else "done\n"
    assert outside(f"{POWERS}\nprint(call{CALLS[name]})") == answer


def test_programs_of_the_cell_are_powerless() -> None:
    """exec(2) by uid 0 of a user namespace would give every capability back."""

    def look(cell: int) -> None:
        below = descendants(cell)
        assert len(below) == 2
        for pid in below:
            _assert_powerless(pid)

    looked_at(PROGRAMS, look)


@pytest.mark.baseline("test_programs_of_the_cell_are_powerless")
def test_programs_have_every_power_without_the_sandbox() -> None:
    """capabilities(7): exec(2) by uid 0 of a namespace gives all that the bounding set holds."""

    def look(pid: int) -> None:
        below = descendants(pid)
        assert len(below) == 2
        for child in below:
            assert read_status(child).capabilities[2] != 0

    looked_at_outside(f"{POWERS}{DROP}{PROGRAMS}", look)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place on a file system that honours setuid bits."""
    path = Path(tempfile.mkdtemp(prefix="kavach-suid-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_setuid_program_gives_nothing(folder: Path) -> None:
    """Its mount is nosuid, and no_new_privs says the same."""
    program = folder / "sleep"
    shutil.copy("/bin/sleep", program)
    program.chmod(0o6755)

    def look(cell: int) -> None:
        (pid,) = descendants(cell)
        assert os.readlink(f"/proc/{pid}/exe") == str(program)
        _assert_powerless(pid)

    code = f"import subprocess\nsubprocess.Popen([{str(program)!r}, '600'])"
    looked_at(code, look, read_only=str(folder))


@pytest.mark.baseline("test_setuid_program_gives_nothing")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that gives root")
def test_setuid_program_gives_root_without_the_sandbox(folder: Path) -> None:
    """The same bit on the same file system, for nobody's process."""
    program = folder / "cat"
    shutil.copy("/bin/cat", program)
    program.chmod(0o4755)
    command = [str(program), "/proc/self/status"]
    done = subprocess.run(command, user=65534, capture_output=True, text=True, check=True)
    assert "\nUid:\t65534\t0\t0\t0\n" in done.stdout


def test_setuid_bit_cannot_be_planted(canaries: Path) -> None:
    """What a cell writes to a path of ``--rw`` is not root's, and lends its owner to nobody."""
    planted = canaries / "planted"
    code = f"""
    import os, shutil
    shutil.copy("/bin/true", {str(planted)!r})
    attempt(os.chown, {str(planted)!r}, 0, 0)
    attempt(os.chmod, {str(planted)!r}, 0o6755)
    """
    attack(code, writable=str(canaries))
    assert planted.stat().st_mode & 0o6000 == 0
    assert planted.stat().st_uid != 0
    planted.unlink()
    outside(code)
    assert planted.stat().st_mode & 0o6000 == 0o6000


def _plant_capabilities(path: str) -> str:
    return f"""
open({path!r}, "w").close()
planted = attempt(os.setxattr, {path!r}, "security.capability",
                  b"\\x01\\0\\0\\x02" + b"\\xff" * 4 + bytes(12))
planted
"""


def test_file_capabilities_cannot_be_planted() -> None:
    """security.capability needs CAP_SETFCAP, which nobody here has."""
    assert found(_plant_capabilities("/tmp/program")) in ("EPERM", "ENOTSUP")


@pytest.mark.baseline("test_file_capabilities_cannot_be_planted")
def test_file_capabilities_are_planted_without_the_sandbox(tmp_path: Path) -> None:
    """By a process that has CAP_SETFCAP over its own namespace; the host sees the attribute."""
    program = tmp_path / "program"
    outside(f"{POWERS}{_plant_capabilities(str(program))}")
    assert os.listxattr(program) == ["security.capability"]


def test_filter_is_not_taken_off() -> None:
    """seccomp(2) only tightens; another architecture's numbers kill."""
    code = f"""
    strict = [call({number("prctl")}, 22, 0, 0, 0, 0), call({number("unshare")}, 0x10000000)]
    os.system("true")
    strict[1]
    """
    assert found(code) == "EPERM"
    assert outside(f"{textwrap.dedent(code)}\nprint(strict[1])") == "done\n"


@pytest.mark.no_baseline("a kernel without x32, as most are, answers ENOSYS to everybody")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 is an x86-64 matter")
def test_numbers_of_another_architecture_are_no_way_around() -> None:
    """x32 numbers of unshare, mount and ptrace."""
    code = "call(0x40000000 | 272, 0x10000000)"
    outcome = attack(code)
    assert outcome.result in (None, "ENOSYS", "EPERM")
    assert outcome.result != "done"
