"""Zygotes as the kernel process has them: started when one is needed, replaced when it has died.

A zygote (`launch.zygote`) is exec'd (`launch.eggs`): it has a built environment, the descriptors
that it is given, and nothing of this process's memory. It forks what a clean cell becomes.

Guarantees: none is started before it is needed; one that has died is replaced, and reaped; none
outlives this process; a fork of this process never uses its parent's.
Assumes: as `launch.eggs`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from kavach_ipy.errors import PolicyError, SetupFailed
from kavach_ipy.launch.copies import write_plan
from kavach_ipy.launch.eggs import forget_laid, search_path, take_egg
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.processes import Process, is_readable
from kavach_ipy.launch.requests import HATCH, START, send
from kavach_ipy.launch.signals import Signals
from kavach_ipy.wire.documents import Json

__all__ = ["Breed", "Zygote", "end_zygotes", "zygote_for"]

_START_SECONDS = 300.0
_ANSWER_SECONDS = 30.0
_MOST = 4
_PACKET = 1 << 14
_QUOTED = 2000


@dataclass(frozen=True, slots=True)
class Breed:
    """What a zygote is made of. Cells of one breed are forks of one zygote."""

    environment: tuple[tuple[str, str], ...]
    entry: str
    """What runs its cells: ``module:name`` of a `launch.fresh.Runner`."""

    preload: tuple[str, ...]
    """Modules to import once, for all of its cells."""


@dataclass(slots=True)
class Zygote:
    """A running zygote, of this process."""

    program: subprocess.Popen[bytes]
    process: Process
    control: socket.socket
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked."""
        return not is_readable(self.process.fd, 0)

    def fork(self, plan: Plan, fds: tuple[int, int, int, int]) -> Process:
        """Let it start A, the process that builds a sandbox.

        Args:
            plan: what A builds.
            fds: A's control socket, two output pipes, and the lifeline.

        Returns:
            A, which the zygote reaps; the descriptor is the caller's to close.

        Raises:
            SetupFailed: the zygote has ended, or does not answer.
        """
        with self.lock:
            try:
                send(self.control, START, {"plan": write_plan(plan)}, fds)
            except OSError as error:
                raise self.lost(error.errno or 0) from error
            answer, found = _hear(self.control, self.process, _ANSWER_SECONDS)
        if answer.get("word") != "begun" or len(found) != 1:
            for fd in found:
                os.close(fd)
            raise self.lost(0)
        return Process(int(str(answer["pid"])), found[0], is_child=False)

    def end(self) -> None:
        """Kill and reap it; cells that were forked from it go on."""
        self.control.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.program.wait(_ANSWER_SECONDS)
        os.close(self.process.fd)

    def lost(self, number: int) -> SetupFailed:
        """Return the error of one that is not there any more; the next cell gets another."""
        self.process.kill()
        return SetupFailed(
            "zygote",
            "fork",
            number,
            f"the process {self.process.pid} that clean cells are forks of has ended, or does not"
            " answer; the next cell gets another.",
        )


class _Living:
    """The zygotes of this process."""

    lock = threading.Lock()
    zygotes: dict[tuple[Breed, tuple[str, ...]], Zygote] = {}  # noqa: RUF012 - one for the process
    of_the_parent: dict[tuple[Breed, tuple[str, ...]], Zygote] = {}  # noqa: RUF012

    @classmethod
    def forget(cls) -> None:
        """In a fork: they are another process's children."""
        cls.lock = threading.Lock()
        for zygote in cls.zygotes.values():
            # Not end(): a fork may not kill what its parent uses.
            zygote.program.returncode = 0
        # Kept, so that no number is closed here: a cell's descriptors all stay taken.
        cls.of_the_parent = cls.zygotes
        cls.zygotes = {}


os.register_at_fork(after_in_child=_Living.forget)


@contextmanager
def zygote_for(breed: Breed, signals: Signals) -> Iterator[Zygote]:
    """Have a living zygote of a breed, which is not ended meanwhile.

    Raises:
        PolicyError: a module that it was to load cannot be imported.
        SetupFailed: it does not start.
        KeyboardInterrupt: SIGINT came while it loaded modules.
    """
    with _Living.lock:
        zygote = _find(breed, signals)
        zygote.users += 1
    try:
        yield zygote
    finally:
        zygote.users -= 1


def end_zygotes() -> None:
    """End all of them; a next clean cell starts another."""
    forget_laid()
    with _Living.lock:
        while _Living.zygotes:
            _Living.zygotes.popitem()[1].end()


atexit.register(end_zygotes)


def _find(breed: Breed, signals: Signals) -> Zygote:
    key = (breed, path := search_path())
    living = _Living.zygotes
    for dead in [known for known, zygote in living.items() if not zygote.is_alive]:
        living.pop(dead).end()
    if key not in living:
        for old in [known for known, zygote in living.items() if not zygote.users]:
            if len(living) >= _MOST:
                living.pop(old).end()
        living[key] = _start(breed, path, signals)
    # The one that was used last goes last.
    living[key] = living.pop(key)
    return living[key]


def _start(breed: Breed, path: tuple[str, ...], signals: Signals) -> Zygote:
    egg = take_egg(breed.entry, path, dict(breed.environment))
    zygote = Zygote(egg.program, egg.process, egg.control)
    try:
        # Where it has ended already, it is not heard below.
        with suppress(OSError):
            hatch: dict[str, Json] = {
                "environment": dict(breed.environment),
                "preload": list(breed.preload),
            }
            send(egg.control, HATCH, hatch, ())
        with signals.let_through():
            _await(egg.control, egg.process, _START_SECONDS)
        answer, _ = _hear(egg.control, egg.process, 0.0)
        _check(answer, egg.said)
    except BaseException:
        zygote.end()
        raise
    else:
        return zygote
    finally:
        os.close(egg.said)


def _check(answer: dict[str, object], said: int) -> None:
    match answer:
        case {"word": "ready"}:
            return
        case {"word": "failed", "module": str(module), "reason": str(reason)}:
            raise PolicyError(
                "preload",
                module,
                f"{' '.join(reason.split())}. Nothing ran; take it out of c.Kavach.preload.",
            )
        case _:
            size = os.fstat(said).st_size
            text = os.pread(said, _QUOTED, max(0, size - _QUOTED)).decode("utf-8", "replace")
            raise SetupFailed("zygote", "start", 0, f"it said: {text.strip() or 'nothing'}.")


def _await(control: socket.socket, process: Process, seconds: float) -> bool:
    """Wait until it has said something; False where it has not in time, or has ended."""
    poll = select.poll()
    # Its end is told by the pidfd: a fork of the notebook's own may hold its socket open.
    for fd in (control.fileno(), process.fd):
        poll.register(fd, select.POLLIN)
    return control.fileno() in dict(poll.poll(seconds * 1000))


def _hear(
    control: socket.socket, process: Process, seconds: float
) -> tuple[dict[str, object], list[int]]:
    """Wait for one packet; empty where none comes in time, or the zygote has ended."""
    if not _await(control, process, seconds):
        return {}, []
    try:
        packet, fds, _, _ = socket.recv_fds(
            control, _PACKET, 1, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
        )
    except OSError:
        return {}, []
    return (json.loads(packet) if packet else {}), fds
