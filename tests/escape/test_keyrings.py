"""Keyrings are no namespace: they are kept by refusing the calls and leaving the session's."""

from __future__ import annotations

import pytest

from tests.contract.cells import NEEDS, python
from tests.escape.probes import CALLS, number

pytestmark = [pytest.mark.escape, NEEDS]

# keyctl(2): KEYCTL_JOIN_SESSION_KEYRING 1, KEYCTL_READ 11; keyrings(7): session keyring -3.
KERNEL = f"""
import os
ADD, KEYCTL, REQUEST = {number("add_key")}, {number("keyctl")}, {number("request_key")}
SESSION = -3 & (1 << 64) - 1
_libc.syscall(KEYCTL, 1, None)
key = _libc.syscall(ctypes.c_long(ADD), b"user", b"kavach-canary", b"secret", 6, -3)
assert key > 0, ctypes.get_errno()
ATTACK = '''
buffer = bytes(16)
answers = [
    call(KEYCTL, 11, key, buffer, 16),
    call(REQUEST, b"user", b"kavach-canary", 0, SESSION),
    call(ADD, b"user", b"kavach-canary", b"forged", 6, SESSION),
]
'''
def read():
    "The key's payload, as the process that owns it reads it."
    buffer = ctypes.create_string_buffer(16)
    assert _libc.syscall(ctypes.c_long(KEYCTL), 11, ctypes.c_long(key), buffer, 16) == 6
    return buffer.value.decode()
"""


def test_key_of_the_notebook_is_neither_read_nor_changed() -> None:
    """The payload is as it was; every call says EPERM."""
    done = python(
        f"""{CALLS}{KERNEL}
from kavach_ipy import Sandbox
inputs = dict(key=key, ADD=ADD, KEYCTL=KEYCTL, REQUEST=REQUEST, SESSION=SESSION)
code = {CALLS!r} + ATTACK + "answers"
print(Sandbox().run(code, inputs=inputs).check().result, read())
"""
    )
    assert done.stdout == "['EPERM', 'EPERM', 'EPERM'] secret\n", done.stderr


@pytest.mark.baseline("test_key_of_the_notebook_is_neither_read_nor_changed")
def test_key_is_read_and_changed_by_a_plain_fork() -> None:
    """Without the sandbox a forked child has the session's keyring."""
    done = python(
        f"""{CALLS}{KERNEL}
if os.fork() == 0:
    exec(ATTACK)
    os._exit(answers != ["done"] * 3)
print(os.wait()[1], read())
"""
    )
    assert done.stdout == "0 forged\n", done.stderr
