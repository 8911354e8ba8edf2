"""The selector of a session's loop: a fork's own, once it was renewed."""

from __future__ import annotations

import os
import selectors

import pytest

from kavach_ipy.front.selector import Selector


def _in_fork(look: object) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            assert callable(look)
            os._exit(0 if look() else 1)
        finally:
            os._exit(2)
    return pid


@pytest.mark.parametrize(("renews", "hears"), [(True, True), (False, False)])
def test_fork_waits_for_what_it_had_itself(*, renews: bool, hears: bool) -> None:
    """Whatever the other process takes out meanwhile; without `renew` that counts for both."""
    reader, writer = os.pipe()
    go, say = os.pipe()
    selector = Selector()
    selector.register(reader, selectors.EVENT_READ, "mine")

    def look() -> bool:
        os.read(go, 1)
        if renews:
            selector.renew()
        return [key.data for key, _ in selector.select(0.2)] == (["mine"] if hears else [])

    pid = _in_fork(look)
    selector.unregister(reader)
    os.write(writer, b"x")
    os.write(say, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    selector.close()
    for fd in (reader, writer, go, say):
        os.close(fd)


def test_descriptors_that_were_closed_keep_none_from_being_renewed() -> None:
    """They are left out; the others are waited for."""
    gone, _ = os.pipe()
    reader, writer = os.pipe()
    selector = Selector()
    selector.register(gone, selectors.EVENT_READ)
    selector.register(reader, selectors.EVENT_READ, "mine")
    os.close(gone)
    selector.renew()
    os.write(writer, b"x")
    assert [key.data for key, _ in selector.select(1)] == ["mine"]
    selector.close()
    for fd in (reader, writer, _):
        os.close(fd)
