"""Snapshots of a session, as its own process takes them: forks that wait, and may take its place.

::

    K ── "s", a pipe ──▶ C ── fork ──▶ M ── fork ──▶ S     M ends, so init is S's parent
    K ◀── the pipe's owner is S, "held" ──────────── S     S sleeps, the original goes on
    K ── SIGUSR1 ──────────────────────────────────▶ S     kills every other process, but init
    K ── SIGUSR2 ──────────────────────────────────▶ S     empties its end of the channel
    K ◀── "r" ────────────────────────────────────── S     K verifies it, says GO, sends a cell

Rejected: a snapshot that is the session's child would be found by a cell's own os.wait(), which
would wait for it for ever; a snapshot that runs the cell would take it from the threads, executors
and event loops that the session has.

Guarantees: a snapshot writes no frame; it wakes for a signal from outside the PID namespace alone,
as the Linux kernel says who sent it; `hold` returns in the snapshot only after K's word.
Assumes: runs in the session, between two cells, in its main thread. Whatever it answers is hostile
to K, which looks from outside (`launch.snapshots`); `docs/decisions/0020` says what is promised.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from contextlib import suppress

from kavach_ipy.launch.libraries import prepare_libraries
from kavach_ipy.launch.link import ChildLink
from kavach_ipy.launch.quiet import no_warning_of_forks

__all__ = ["HELD", "OWN_THREAD", "READY", "TAKE_OVER", "WAKE", "hold"]

WAKE = signal.SIGUSR1
"""K's word to a snapshot: end every other process of the sandbox."""

TAKE_OVER = signal.SIGUSR2
"""K's word to a snapshot that is alone: be the session."""

HELD = b"held"
READY = b"r"

# Refreshes progress bars now and then; a bar without it is as good.
_HARMLESS = ("tqdm._monitor",)

OWN_THREAD = "kavach-streams"
"""A thread of ours, which a fork begins anew when it has something to send (`front.streams`)."""

_SI_USER = 0  # sigaction(2), asm-generic/siginfo.h: kill(2), and pidfd_send_signal(2) without info


def hold(link: ChildLink, answer: int) -> bool:
    """Fork a snapshot off; True in the snapshot, once it is the session.

    Args:
        link: of the session.
        answer: the writing end of a pipe to K, closed here.
    """
    try:
        refusal = _why_not()
        if refusal:
            _say(answer, refusal)
            return False
        numbers = _random_state()
        # The snapshot wakes for none of the signals that come meanwhile.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            if not _fork_twice(answer):
                return False
            link.adopt()
            _say(answer, READY)
            link.await_go()
            # K says its words until it is answered, and then no more.
            while signal.sigtimedwait(signal.valid_signals(), 0) is not None:
                continue
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if numbers is not None:
            sys.modules["random"].setstate(numbers)
        return True
    finally:
        os.close(answer)


def _why_not() -> bytes:
    """What keeps a fork from being this process; empty where nothing does."""
    for thread in threading.enumerate():
        if thread is threading.main_thread() or thread.name == OWN_THREAD:
            continue
        if type(thread).__module__ not in _HARMLESS:
            return b"thread " + thread.name.encode("utf-8", "replace")
    try:
        found = prepare_libraries()
    except OSError:
        return b"proc"
    return b"library " + found[0].library.encode("utf-8", "replace") if found else b""


def _random_state() -> object:
    # Python seeds its generator anew in each fork (Lib/random.py), and the state before a cell is
    # that of its generator, too.
    module = sys.modules.get("random")
    return None if module is None else module.getstate()


def _fork_twice(answer: int) -> bool:
    """Fork; True in the snapshot, once it has been told to take over."""
    with no_warning_of_forks():
        try:
            middle = os.fork()
        except OSError as error:
            _say(answer, b"fork " + os.strerror(error.errno or 0).encode())
            return False
        if middle == 0:
            try:
                snapshot = os.fork()
            except OSError as error:
                _say(answer, b"fork " + os.strerror(error.errno or 0).encode())
                os._exit(1)
            if snapshot:
                os._exit(0)
            _be_held(answer)
            return True
    with suppress(ChildProcessError):  # a handler of the cell's waits for any child
        os.waitpid(middle, 0)
    return False


def _be_held(answer: int) -> None:
    """Be the snapshot: wait until K lets it be the session, alone."""
    # An interrupt of the user's goes to the group that the session leads.
    os.setsid()
    # fcntl(2): K reads the owner back as it numbers processes itself.
    fcntl.fcntl(answer, fcntl.F_SETOWN, os.getpid())
    if not _say(answer, HELD):
        os._exit(0)  # nobody waits for it any more
    is_alone = False
    while True:
        found = signal.sigwaitinfo({WAKE, TAKE_OVER})
        # kill(2) fills the sender in as this namespace numbers it: 0 is outside of it. A cell can
        # choose both with rt_sigqueueinfo(2), but then not this code.
        if found.si_pid != 0 or found.si_code != _SI_USER:
            continue
        if found.si_signo == WAKE:
            # kill(2): every process of the namespace but init and the caller, under the lock that
            # fork(2) takes, too, so that none is born meanwhile.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)
            is_alone = True
        elif is_alone:
            return


def _say(answer: int, word: bytes) -> bool:
    """Answer; whether somebody listens."""
    with suppress(OSError):
        return os.write(answer, word[:200] + b"\n") > 0
    return False
