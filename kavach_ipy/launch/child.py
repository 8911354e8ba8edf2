"""The recipe of the child, top to bottom: design.md, section 5.

Two processes. A is a child of the kernel process, and shares its memory where Python lets it
(`docs/decisions/0008`): it enters the namespaces, starts init, forks C, builds the root, and
leaves; the kernel process, a child subreaper meanwhile, adopts init and C (`docs/decisions/0007`).
C, the *cell*, is the fork and the second member of the PID namespace: it undoes what the fork
inherited while A builds the root, mounts its /proc, drops everything, says "ready", and runs the
body.

Guarantees: every step succeeds or ends its process with a report of the step, the call and the
errno; no line of the cell runs before the parent's "go"; C's only way out is os._exit.
Assumes: signals are blocked and the garbage collector is off when A starts.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn

from kavach_ipy.launch import inside
from kavach_ipy.launch.control import (
    Report,
    await_mapped,
    await_mappings,
    make_channel,
    send_report,
)
from kavach_ipy.launch.link import Body, ChildLink
from kavach_ipy.launch.places import Bind, Device, Hide, Link, Overlay, Scratch, View
from kavach_ipy.launch.plan import Plan
from kavach_ipy.launch.pools import renew_pools
from kavach_ipy.launch.steps import Family, Step, StepFailed, report_and_leave, unwind
from kavach_ipy.linux import (
    _libc,
    descriptors,
    inherited,
    landlock,
    limits,
    mounts,
    namespaces,
    privileges,
    procfs,
    seccomp,
    secrets,
)
from kavach_ipy.wire.arena import ArenaWriter

__all__ = ["ChildEnds", "set_up"]

_HOST_NAME = "sandbox"


@dataclass(frozen=True, slots=True)
class ChildEnds:
    """The child's descriptors."""

    control: socket.socket
    """SOCK_SEQPACKET: set-up reports out, one answer in. Gone in C before the cell runs."""

    arena: int
    """-1 where the arena comes with the cell."""

    stdout: int
    stderr: int
    lifeline: int
    """The reading end of a pipe whose one writer is the kernel process."""

    handled_signals: tuple[int, ...]
    """Signals that had a Python handler when A was started."""

    channel: int = -1
    """Made by A, in the cell's network namespace."""


def set_up(plan: Plan, ends: ChildEnds, body: Body, names: frozenset[str]) -> None:
    """Be A: enter the namespaces, start init, fork the cell, build the root, and return.

    A may share the kernel process's memory (`linux._libc.run_sharing_memory`), so it changes what
    belongs to a process and nothing else, and always returns. What fails is reported; it leaves
    no child behind. Nothing of C returns here.
    """
    family = Family()
    try:
        _set_up(plan, ends, body, names, family)
    except StepFailed as failure:
        with suppress(OSError):
            send_report(ends.control, failure.report)
        family.end()
    except BaseException:
        family.end()
        raise


def _set_up(plan: Plan, ends: ChildEnds, body: Body, names: frozenset[str], family: Family) -> None:
    step = Step(unwind)
    with step("parent-death signal"):
        privileges.make_dumpable()
        privileges.die_with_parent(plan.kernel_pid)
        os.setsid()
        os.chdir(b"/")
    with step("session keyring"):
        _libc.join_session_keyring()
    if plan.forget_groups:
        with step("supplementary groups"):
            privileges.forget_groups()

    with step("namespaces"):
        namespaces.unshare_all(keeps_network=plan.shares_network)
    with step("channel"):
        # A socket stays in the network namespace that it was made in: one of the kernel process's
        # would show the host's addresses (netdevice(7)), bind abstract names among the host's, and
        # name the kernel process as its peer (unix(7), SO_PEERPIDFD).
        parents, channel = make_channel()
        ends = replace(ends, channel=channel)
    with step("report"):
        report = Report(
            "unshared", pids=(os.getpid(),), detail=os.readlink(f"/proc/self/fd/{channel}")
        )
        send_report(ends.control, report, (parents,))
        os.close(parents)
    # The parent writes the id maps while sources are opened, which needs capabilities alone.
    with step("mount propagation"):
        mounts.make_private()
    with step("bind sources"):
        trees = _open_sources(plan)
        host_proc = mounts.clone_tree(b"/proc", writable=True)
    with step("id maps"):
        idmapped = dict(zip(plan.idmapped, await_mapped(ends.control), strict=True))
    with step("shared mappings"):
        # The parent reads them from outside, at the same time: it has nothing else to do.
        mappings = await_mappings(ends.control)
        mapped_files = inherited.open_mapped_files(mappings)
    with step("identity"):
        namespaces.become_mapped_root()
        privileges.make_dumpable()
        privileges.die_with_parent(plan.kernel_pid)
    with step("exec gains nothing"):
        privileges.close_the_way_back(plan.last_capability)

    with step("init"):
        family.init = _spawn_init(plan.init, ends.lifeline)
    with step("fork"):
        root_is_ready, say_root_is_ready = os.pipe2(os.O_CLOEXEC)
        cell = os.fork()
    if cell == 0:
        os.close(say_root_is_ready)
        become_the_cell(plan, ends, body, names, mappings, mapped_files, root_is_ready)
    with step("host name"):
        namespaces.set_host_name(_HOST_NAME)
    if plan.loopback:
        with step("loopback"):
            namespaces.raise_loopback()
    with step("root"):
        root = mounts.Root(plan.mount_base)
        root.open_scratch(plan.policy.disk, plan.scratch_inodes)
        trees |= {path: root.attach(tree) for path, tree in idmapped.items() if tree >= 0}
        _place_all(plan, root, trees)
        root.place_pts()
        root.place(host_proc, b"/proc", directory=True)
    with step("pivot_root"):
        root.enter()
    with step("report"):
        # The parent is left asleep until here: with two processors, it would take C's.
        os.write(say_root_is_ready, b"r")
        send_report(ends.control, Report("forked", pids=(cell, family.init)))


def become_the_cell(
    plan: Plan,
    ends: ChildEnds,
    body: Body,
    names: frozenset[str],
    mappings: tuple[inherited.SharedMapping, ...],
    mapped_files: tuple[int, ...],
    root_is_ready: int,
) -> NoReturn:
    """Be C: undo what the fork inherited, take the new root, drop the rest, wait, run."""
    inside.enter()
    step = Step(functools.partial(report_and_leave, ends.control))
    with step("signals"):
        os.setsid()
        _forget_signal_handlers(ends.handled_signals)
        # Without this the first collection would write to, and so copy, every page of the heap.
        gc.freeze()
    with step("identity"):
        # Proven here, not in A: whoever shares the kernel's memory may open it.
        privileges.prove_unprivileged(plan.kernel_pid)
    with step("shared mappings"):
        inherited.privatise_mappings(mappings, mapped_files)
    if plan.secrets:
        with step("known secrets"):
            secrets.overwrite(plan.secrets)
    with step("descriptors"):
        control = ends.control.fileno()
        keep = {control, ends.channel, ends.arena, ends.stdout, ends.stderr, root_is_ready}
        occupied = descriptors.occupy(frozenset(keep) - {-1}, (ends.stdout, ends.stderr))
    with step("oom score"):
        privileges.raise_oom_score()
    with step("environment"):
        inherited.replace_environment(dict(plan.environment))
    with step("pools"):
        renew_pools()

    with step("root"):
        if os.read(root_is_ready, 1) != b"r":
            os._exit(1)  # A has reported why
        os.close(root_is_ready)
        os.chdir(plan.places.cwd)
    with step("/proc"):
        procfs.replace_proc(plan.proc_covered)
    with step("limits"):
        limits.apply(
            memory=plan.policy.memory,
            processes=plan.processes,
            cpu_seconds=plan.cpu_seconds,
            descriptors=descriptors.ceiling(occupied, plan.policy.files),
            file_bytes=plan.file_bytes,
        )
    with step("Landlock rules"):
        rules = _landlock_descriptors(plan)
    with step("capabilities"):
        privileges.drop_capabilities()
    with step("Landlock"):
        network = landlock.Ports(plan.closed_ports) if plan.shares_network else plan.loopback
        landlock.restrict(*rules, network=network)
        for fd in (fd for group in rules for fd in group):
            os.close(fd)
    arena = ArenaWriter(ends.arena, plan.policy.memory)
    link = ChildLink(ends.channel, arena, names, plan.policy)
    with step("seccomp"):
        seccomp.load(plan.seccomp_program)
    # From here on nobody listens to reports; what fails now shows as an early end.
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, control, inheritable=False)
    os.close(null)
    try:
        link.say_ready()
        run = body(link)
        link.await_go()
        # A has ended, so this asks for the kernel's death; the lifeline of init covers the rest.
        privileges.die_with_parent(None)
        gc.enable()
        signal.signal(signal.SIGINT, link.on_interrupt)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        run()
        link.await_end()
    finally:
        # No atexit, no finaliser: they belong to the notebook's objects.
        os._exit(0)


def _forget_signal_handlers(handled: tuple[int, ...]) -> None:
    """Give the signals that have a Python handler their default back, and SIGINT none yet."""
    signal.set_wakeup_fd(-1)
    for number in handled:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _open_sources(plan: Plan) -> dict[bytes, int]:
    """Clone every source while the kernel's own id may still walk to it."""
    trees = {}
    for place in plan.places.order:
        match place:
            case Bind(path=path, writable=writable):
                trees[path] = mounts.clone_tree(path, writable=writable)
            case Device(path=path):
                trees[path] = mounts.clone_device(path)
            case View(path=path) | Overlay(path=path):
                # overlayfs wants a directory of this mount namespace, which a clone is not yet.
                trees[path] = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return trees


def _place_all(plan: Plan, root: mounts.Root, trees: dict[bytes, int]) -> None:
    for place in plan.places.order:
        match place:
            case Bind(path=path, directory=directory):
                root.place(trees[path], path, directory=directory)
            case Device(path=path):
                root.place(trees[path], path, directory=False)
            case Scratch(path=path, name=name, mode=mode):
                root.place_scratch(name, path, mode)
            case Overlay(path=path, whiteouts=whiteouts):
                root.place_overlay(trees[path], path, whiteouts)
            case View(path=path):
                root.place_view(trees[path], path)
            case Link(path=path, to=to):
                root.link(path, to)
            case Hide(path=path):
                root.hide(path)


def _spawn_init(program: bytes, lifeline: int) -> int:
    """Start pid 1 of the new namespace without copying this process's memory.

    pid_namespaces(7): the first child is init; when it ends, the kernel kills every member. It
    copies a pipe that nobody writes to, so it ends when the pipe's one writer is gone.
    It ignores SIGCHLD, and ignored signals stay so across exec: the kernel reaps its orphans.
    """
    _libc.ignore_child_signals()
    # What is open here is the kernel's: a program that is exec'd gets three descriptors.
    _libc.close_range_cloexec(3)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_DUP2, lifeline, 0),
        (os.POSIX_SPAWN_DUP2, null, 1),
        (os.POSIX_SPAWN_DUP2, null, 2),
    ]
    pid = os.posix_spawn(program, [b"kavach-init"], {}, file_actions=actions)
    os.close(null)
    return pid


def _landlock_descriptors(plan: Plan) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Open what the second wall lets through: everything readable, some places writable."""
    flags = os.O_PATH | os.O_CLOEXEC
    return (
        (os.open(b"/", flags),),
        tuple(os.open(path, flags) for path in plan.places.writable),
        (os.open(b"/dev", flags),),
    )
