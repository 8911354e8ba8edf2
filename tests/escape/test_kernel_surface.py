"""The interfaces of the Linux kernel with most exploits answer nobody in a cell."""

from __future__ import annotations

import ast
import textwrap

import pytest

from kavach_ipy.linux.syscalls import DENIED, UNANSWERED, Group
from tests.contract.cells import NEEDS
from tests.escape.probes import POWERS, found, number, outside

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


# These ask for rights over the machine itself, which no namespace gives, and root's own call could
# do harm: that they would be answered is not shown.
MACHINES_OWN = {"kernel code and boot"}

# In a fork each, because some end the process or wait for ever; the alarm ends those.
ANSWERS = """
import signal
def answer(number):
    reader, writer = os.pipe()
    if os.fork() == 0:
        signal.alarm(1)
        os.write(writer, call(number).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.wait()
    return text
"""


@pytest.mark.baseline("test_call_of_a_denied_group_is_refused")
@pytest.mark.parametrize(
    "group",
    [group for group in DENIED if group.purpose not in MACHINES_OWN],
    ids=lambda group: group.purpose,
)
def test_call_of_a_denied_group_is_answered_without_the_sandbox(group: Group) -> None:
    """With the rights that a user namespace gives, calls of the group get past their first check.

    Null arguments get EFAULT, EINVAL or their like; ENOSYS of a call that this Linux was built
    without counts as little as EPERM.
    """
    code = f"print({{answer(number) for number in {list(_numbers(group).values())!r}}})"
    answers = ast.literal_eval(outside(f"{POWERS}{ANSWERS}{code}"))
    assert answers - {"EPERM", "ENOSYS", ""}


@pytest.mark.parametrize("group", UNANSWERED, ids=lambda group: group.purpose)
def test_call_without_an_answer_does_not_exist(group: Group) -> None:
    """ENOSYS, as on an older kernel."""
    code = f"[call(number) for number in {list(_numbers(group).values())!r}]"
    assert set(found(code)) == {"ENOSYS"}


@pytest.mark.baseline("test_call_without_an_answer_does_not_exist")
@pytest.mark.parametrize("group", UNANSWERED, ids=lambda group: group.purpose)
def test_call_without_an_answer_exists_without_the_sandbox(group: Group) -> None:
    """This Linux has it."""
    code = f"print({{answer(number) for number in {list(_numbers(group).values())!r}}})"
    assert ast.literal_eval(outside(f"{POWERS}{ANSWERS}{code}")) - {"ENOSYS", ""}


@pytest.mark.no_baseline("the numbers mean nothing to Linux either, yet")
def test_calls_yet_to_be_invented_do_not_exist() -> None:
    """What no table names answers ENOSYS."""
    assert set(found("[call(number) for number in range(600, 1200)]")) == {"ENOSYS"}


def test_filter_outlives_exec() -> None:
    """A program that the cell starts is bound alike."""
    code = f"""
    import subprocess, sys
    program = "import ctypes; l = ctypes.CDLL(None, use_errno=True); " \\
        "print(l.syscall({number("unshare")}, 0x10000000), ctypes.get_errno())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    answer
    """
    assert found(code) == "-1 1\n"
    assert outside(f"{textwrap.dedent(code)}\nprint(answer)") == "0 0\n\n"


@pytest.mark.no_baseline("shows what must work where splice, vmsplice and tee are refused")
def test_program_writes_no_file_of_the_host_through_the_page_cache() -> None:
    """splice, vmsplice and tee are refused, and `shutil.copyfile` works without them."""
    code = """
    import os, shutil
    shutil.copyfile("/etc/passwd", "/tmp/copy")
    open("/tmp/copy", "rb").read() == open("/etc/passwd", "rb").read()
    """
    assert found(code) is True


ARGUMENTS = [
    ("personality", "0x0040000", "EPERM"),
    ("personality", "0xFFFFFFFF", "done"),
    ("sched_setscheduler", "0, 1, bytes(8)", "EPERM"),
    ("ioctl", "0, 0x5412, b'x'", "EPERM"),
    ("ioctl", "0, 0x5412 | 1 << 32, b'x'", "EPERM"),
    ("ioctl", "0, 0x541C, b'x'", "EPERM"),
    ("prctl", "0x59616d61, -1 & (1 << 64) - 1", "EPERM"),
]


@pytest.mark.parametrize(("call", "arguments", "answer"), ARGUMENTS)
def test_argument_decides_where_a_call_is_half_good(call: str, arguments: str, answer: str) -> None:
    """Address randomisation stays on, nobody types into terminals, nobody lets others trace."""
    assert found(f"call({number(call)}, {arguments})") == answer


@pytest.mark.baseline("test_argument_decides_where_a_call_is_half_good")
@pytest.mark.parametrize(("call", "arguments"), [pair[:2] for pair in ARGUMENTS])
def test_argument_is_taken_without_the_sandbox(call: str, arguments: str) -> None:
    """Done, or refused for what it meets: no terminal, no such priority, no Yama."""
    # The terminal of whoever runs the tests is not to be typed into.
    code = (
        f"os.dup2(os.open('/dev/null', os.O_RDONLY), 0)\nprint(call({number(call)}, {arguments}))"
    )
    assert outside(code) in ("done\n", "ENOTTY\n", "EINVAL\n")
