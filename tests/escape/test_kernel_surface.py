"""The interfaces of the Linux kernel with most exploits answer nobody in a cell."""

from __future__ import annotations

import pytest

from kavach_ipy.linux.syscalls import DENIED, UNANSWERED, Group
from tests.contract.cells import NEEDS
from tests.escape.probes import found, number

pytestmark = [pytest.mark.escape, NEEDS]


def _numbers(group: Group) -> dict[str, int]:
    return {name: value for name in group.calls if (value := number(name)) >= 0}


@pytest.mark.parametrize("group", DENIED, ids=lambda group: group.purpose)
def test_call_of_a_denied_group_is_refused(group: Group) -> None:
    """EPERM for each, before its arguments are looked at; also from a thread and a program."""
    code = f"""
    import threading
    numbers = {_numbers(group)!r}
    answers = {{name: call(number) for name, number in numbers.items()}}
    in_thread = {{}}
    def work():
        in_thread.update((name, call(number)) for name, number in numbers.items())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    answers, in_thread
    """
    here, there = found(code)
    assert here == there == dict.fromkeys(_numbers(group), "EPERM")


@pytest.mark.parametrize("group", UNANSWERED, ids=lambda group: group.purpose)
def test_call_without_an_answer_does_not_exist(group: Group) -> None:
    """ENOSYS, as on an older kernel."""
    code = f"[call(number) for number in {list(_numbers(group).values())!r}]"
    assert set(found(code)) == {"ENOSYS"}


def test_calls_yet_to_be_invented_do_not_exist() -> None:
    """What no table names answers ENOSYS."""
    assert set(found("[call(number) for number in range(600, 1200)]")) == {"ENOSYS"}


def test_filter_outlives_exec() -> None:
    """A program that the cell starts is bound alike."""
    code = f"""
    import subprocess, sys
    program = "import ctypes; l = ctypes.CDLL(None, use_errno=True); " \\
        "print(l.syscall({number("unshare")}, 0x10000000), ctypes.get_errno())"
    subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    """
    assert found(code) == "-1 1\n"


def test_program_writes_no_file_of_the_host_through_the_page_cache() -> None:
    """splice, vmsplice and tee are refused, and `shutil.copyfile` works without them."""
    code = """
    import os, shutil
    shutil.copyfile("/etc/passwd", "/tmp/copy")
    open("/tmp/copy", "rb").read() == open("/etc/passwd", "rb").read()
    """
    assert found(code) is True


@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        ("personality", "0x0040000", "EPERM"),
        ("personality", "0xFFFFFFFF", "done"),
        ("sched_setscheduler", "0, 1, bytes(8)", "EPERM"),
        ("ioctl", "0, 0x5412, b'x'", "EPERM"),
        ("ioctl", "0, 0x5412 | 1 << 32, b'x'", "EPERM"),
        ("ioctl", "0, 0x541C, b'x'", "EPERM"),
        ("prctl", "0x59616d61, -1 & (1 << 64) - 1", "EPERM"),
    ],
)
def test_argument_decides_where_a_call_is_half_good(call: str, arguments: str, answer: str) -> None:
    """Address randomisation stays on, nobody types into terminals, nobody lets others trace."""
    assert found(f"call({number(call)}, {arguments})") == answer
