"""No capability and no identity is ever gained: not by calls, not by programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kavach_ipy.linux.verify import read_status
from tests.contract.cells import NEEDS, descendants
from tests.escape.probes import attack, found, looked_at, number

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


def test_calls_that_would_give_power_are_refused() -> None:
    """capset, setgroups and the dangerous prctl options say EPERM."""
    code = f"""
    [call({number("capset")}, 0, 0), call({number("setgroups")}, 0, 0)] + [
        call({number("prctl")}, option, 1, 0, 0, 0) for option in (4, 8, 24, 28, 35, 47)]
    """
    assert set(found(code)) == {"EPERM"}


def test_programs_of_the_cell_are_powerless() -> None:
    """exec(2) by uid 0 of a user namespace would give every capability back."""

    def look(cell: int) -> None:
        below = descendants(cell)
        assert len(below) == 2
        for pid in below:
            _assert_powerless(pid)

    looked_at(
        "import subprocess\nsubprocess.Popen(['sleep', '600'])\n"
        "subprocess.Popen(['sh', '-c', 'read x'], stdin=subprocess.PIPE)",
        look,
    )


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
    """What a cell writes to a path of ``--rw`` belongs to nobody of importance."""
    code = f"""
    import os, shutil
    shutil.copy("/bin/true", {str(canaries / "planted")!r})
    attempt(os.chmod, {str(canaries / "planted")!r}, 0o6755)
    attempt(os.chown, {str(canaries / "planted")!r}, 0, 0)
    """
    attack(code, writable=str(canaries))
    status = (canaries / "planted").stat()
    assert status.st_uid != 0


def test_file_capabilities_cannot_be_planted() -> None:
    """security.capability needs CAP_SETFCAP, which nobody here has."""
    code = """
    import os
    open("/tmp/program", "w").close()
    value = b"\\x01\\0\\0\\x02" + b"\\xff" * 16
    attempt(os.setxattr, "/tmp/program", "security.capability", value)
    """
    assert found(code) != "done"


def test_filter_is_not_taken_off() -> None:
    """seccomp(2) only tightens; another architecture's numbers kill."""
    code = f"""
    strict = [call({number("prctl")}, 22, 0, 0, 0, 0), call({number("unshare")}, 0x10000000)]
    os.system("true")
    strict[1]
    """
    assert found(code) == "EPERM"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 is an x86-64 matter")
def test_numbers_of_another_architecture_are_no_way_around() -> None:
    """x32 numbers of unshare, mount and ptrace."""
    code = "call(0x40000000 | 272, 0x10000000)"
    outcome = attack(code)
    assert outcome.result in (None, "ENOSYS", "EPERM")
    assert outcome.result != "done"
