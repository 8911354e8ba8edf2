"""The same filter in a real kernel: loaded in a throw-away process, then attacked and worked in."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyseccomp
import pytest

from kavach_ipy.linux import _libc, seccomp, syscalls, verify
from kavach_ipy.linux.seccomp import Network
from tests.unit.linux.throwaway import Ending, errno_of, forked, raw

pytestmark = [pytest.mark.kernel, pytest.mark.needs("seccomp")]

NO_NEW_PRIVS = 38
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="a door that only x86-64 has")


def confine(program: bytes) -> None:
    """Load the filter, and make sure that it is there before anything dangerous is tried."""
    _libc.prctl(NO_NEW_PRIVS, 1)
    seccomp.load(program)
    assert verify.read_status(os.getpid()).seccomp == 2
    assert raw(number_of("unshare")) == errno.EPERM


def number_of(call: str) -> int:
    """The number of a call on this machine, negative where it has none."""
    return int(pyseccomp.resolve_syscall(pyseccomp.system_arch(), call))


def confined(
    function: Callable[[], object], network: Network = "none", *, is_memory_counted: bool = False
) -> Ending:
    """Run `function` in a process of its own under the filter."""
    program = seccomp.build(network, is_memory_counted=is_memory_counted)

    def child() -> object:
        confine(program)
        return function()

    return forked(child)


def test_denied_calls_answer_before_they_look_at_arguments() -> None:
    """With null arguments each refused call has its group's errno: never EFAULT or EINVAL."""
    wanted = dict.fromkeys(syscalls.names(syscalls.DENIED), errno.EPERM)
    wanted |= dict.fromkeys(syscalls.names(syscalls.UNSUPPORTED), errno.EOPNOTSUPP)
    unanswered = (*syscalls.UNANSWERED, *syscalls.COUNTED)
    wanted |= dict.fromkeys(syscalls.names(unanswered), errno.ENOSYS)
    numbers = {call: number_of(call) for call in wanted}

    def attack() -> object:
        answers = {call: raw(number) for call, number in numbers.items() if number >= 0}
        return {call: answer for call, answer in answers.items() if answer != wanted[call]}

    def child() -> object:
        # What the filter must refuse is really asked for: where it regressed, host root would blank
        # the host name and make queues (uts_namespaces(7), ipc_namespaces(7)).
        if os.geteuid() == 0:
            flags = _libc.CloneFlag
            _libc.unshare(flags.NEWNS | flags.NEWUTS | flags.NEWIPC)
        confine(seccomp.build("none"))
        return attack()

    assert forked(child).value == {}


def test_harmless_denied_calls_would_work_without_the_filter() -> None:
    """The calls that the filter refuses above are there: without it, they answer otherwise."""
    calls = ("kcmp", "memfd_secret", "shmget", "io_setup", "tee", "add_key", "unshare", "setxattr")
    numbers = {call: number_of(call) for call in calls if number_of(call) >= 0}
    answers = forked(lambda: {call: raw(number) for call, number in numbers.items()}).value
    assert isinstance(answers, dict)
    assert answers.keys() == numbers.keys()
    refusals = {errno.EPERM, errno.EOPNOTSUPP}
    assert {call for call, answer in answers.items() if answer in refusals} == set()


def test_program_that_is_no_filter_is_refused() -> None:
    """A program that is no filter is refused with the call's name, never taken as loaded."""

    def child() -> object:
        _libc.prctl(NO_NEW_PRIVS, 1)
        try:
            seccomp.load(bytes(8 * 100))
        except _libc.SyscallError as error:
            return [error.call, error.errno, verify.read_status(os.getpid()).seccomp]
        return "loaded"

    assert forked(child).value == ["seccomp", errno.EINVAL, 0]


def test_filter_holds_in_threads_and_after_exec() -> None:
    """What a confined process starts is confined: a thread, a fork, and an exec'd program."""
    number = number_of("unshare")
    code = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"result = libc.syscall({number}, 0x10000000)\n"
        "sys.exit(ctypes.get_errno() if result else 0)\n"
    )

    def attack() -> object:
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(raw(number, 0x10000000)))
        thread.start()
        thread.join()
        pid = os.fork()
        if pid == 0:
            os._exit(raw(number, 0x10000000))
        seen.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        seen.append(subprocess.run([sys.executable, "-c", code], check=False).returncode)
        return seen

    assert confined(attack).value == [errno.EPERM] * 3


def test_clone_makes_no_user_namespace() -> None:
    """A raw clone with a namespace flag is EPERM, with and without high bits beside it."""
    clone = number_of("clone")

    def attack() -> object:
        flags = 0x10000000 | signal.SIGCHLD
        return [raw(clone, flags), raw(clone, flags | 1 << 32), raw(clone, 0x8000)]

    assert confined(attack).value == [errno.EPERM] * 3


def test_nested_filter_cannot_loosen() -> None:
    """A cell may add a filter of its own; one that allows everything gives nothing back."""

    def attack() -> object:
        seccomp.load((0x06).to_bytes(4, "little") + (0x7FFF0000).to_bytes(4, "little"))
        return raw(number_of("unshare"), 0x10000000)

    assert confined(attack).value == errno.EPERM


@on_x86
def test_x32_number_ends_the_process() -> None:
    """The x32 form of getppid kills the whole process, though its plain form is allowed."""
    assert confined(lambda: raw(0x40000000 | 110)) == Ending(None, signal.SIGSYS)
    assert confined(lambda: raw(110)) == Ending(0, 0)


@on_x86
def test_interrupt_0x80_ends_the_process() -> None:
    """A 32-bit call from 64-bit code, here getpid, does not pass as what its number means to us."""

    def attack() -> object:
        every = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        code = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=every)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov $20, %eax; int $0x80; ret
        address = ctypes.addressof(ctypes.c_char.from_buffer(code))
        return ctypes.CFUNCTYPE(ctypes.c_int)(address)()

    # SIGSEGV is what a kernel without 32-bit emulation answers.
    assert confined(attack).signal in {signal.SIGSYS, signal.SIGSEGV}


@pytest.mark.parametrize(
    "family",
    [
        socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK,
        socket.AF_ALG, socket.AF_CAN, socket.AF_TIPC, 99,
    ],
)  # fmt: skip
def test_no_net_refuses_the_family(family: int) -> None:
    """No socket but a unix one: the errno is the one that libraries take for "not built in"."""
    number = number_of("socket")
    attempt = confined(lambda: [raw(number, family, kind) for kind in (1, 2, 3, 5)])
    assert attempt.value == [errno.EAFNOSUPPORT] * 4


def test_no_net_leaves_unix_sockets() -> None:
    """Pairs, servers and datagrams of AF_UNIX work, except out-of-band bytes."""

    def work() -> object:
        one, other = socket.socketpair()
        one.sendall(b"hello")
        received = other.recv(16).decode()
        return [received, errno_of(one.send, b"!", socket.MSG_OOB)]

    assert confined(work).value == ["hello", errno.EOPNOTSUPP]


def test_lease_is_refused(tmp_path: Path) -> None:
    """A cell takes no lease on a file that it only reads, and so holds up no writer outside."""
    file = tmp_path / "read-only"
    file.write_text("x")

    def attack() -> object:
        fd = os.open(file, os.O_RDONLY)
        folder = os.open(tmp_path, os.O_RDONLY)
        refused = [
            errno_of(fcntl.fcntl, fd, fcntl.F_SETLEASE, fcntl.F_RDLCK),
            raw(number_of("fcntl"), fd, fcntl.F_SETLEASE | 1 << 32, fcntl.F_RDLCK),
            errno_of(fcntl.fcntl, folder, fcntl.F_NOTIFY, fcntl.DN_CREATE),
        ]
        # The way a lease is met from outside: EAGAIN where one has to be broken first.
        blocked = errno_of(os.open, file, os.O_WRONLY | os.O_NONBLOCK)
        fcntl.fcntl(fd, fcntl.F_SETFD, 0)
        return [*refused, blocked, fcntl.fcntl(fd, fcntl.F_GETFD), errno_of(fcntl.flock, fd, 2)]

    def without_filter() -> object:
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # says to the holder that a writer waits
        fd = os.open(file, os.O_RDONLY)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        return errno_of(os.open, file, os.O_WRONLY | os.O_NONBLOCK)

    assert confined(attack).value == [errno.EPERM] * 3 + [0, 0, 0]
    assert forked(without_filter).value == errno.EAGAIN


def test_no_file_lends_its_identity(tmp_path: Path) -> None:
    """No way leaves a setuid or setgid file behind; sticky and plain modes are set as asked."""
    file, temporary = tmp_path / "file", os.O_TMPFILE | os.O_WRONLY
    file.write_text("x")
    create = os.O_CREAT | os.O_EXCL | os.O_WRONLY

    def attack() -> object:
        fd = os.open(file, os.O_RDONLY)
        name = ctypes.create_string_buffer(bytes(tmp_path / "by-number"))
        at = ctypes.addressof(name)
        refused = []
        for bits in (0o4755, 0o2755, 0o6000):
            refused += [
                errno_of(os.chmod, file, bits),
                errno_of(os.chmod, fd, bits),
                errno_of(partial(os.chmod, "file", bits, dir_fd=folder)),
                errno_of(os.open, tmp_path / "opened", create, bits),
                errno_of(os.open, tmp_path, temporary, bits),
                errno_of(os.mknod, tmp_path / "node", stat.S_IFREG | bits),
                raw(number_of("fchmod"), fd, bits | 1 << 16),
                raw(number_of("openat"), folder, at, create | 1 << 32, bits),
            ]
            if number_of("creat") >= 0:
                refused.append(raw(number_of("creat"), at, bits))
        return sorted(set(refused))

    def work() -> object:
        os.chmod(file, 0o1751)
        os.close(os.open(tmp_path / "made", create, 0o640))
        os.close(os.open(tmp_path, temporary, 0o600))
        os.mknod(tmp_path / "plain", stat.S_IFREG | 0o600)
        # Without O_CREAT nobody reads the mode, so garbage in its register harms no program.
        name = ctypes.create_string_buffer(bytes(file))
        opened = raw(number_of("openat"), folder, ctypes.addressof(name), os.O_RDONLY, 0o6755)
        # mkdir is let through: the kernel itself drops both bits.
        os.mkdir(tmp_path / "below", 0o6755)
        shutil.copytree(tmp_path, tmp_path.with_name("copy"))
        return [opened, raw(number_of("openat2"), folder, 0, 0, 24)]

    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    assert confined(attack).value == [errno.EPERM]
    assert confined(work).value == [0, errno.ENOSYS]
    os.close(folder)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes.keys() == {"file", "made", "plain", "below"}
    assert modes["file"] == 0o1751
    assert {name for name, mode in modes.items() if mode & 0o6000} == set()
    assert errno_of(os.chmod, file, 0o4755) == 0  # what the filter is for


def test_attributes_take_no_memory(tmp_path: Path) -> None:
    """No attribute is set on a memfd or a file, and shutil.copy2 of a file that has one works."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_text("x")
    # setxattrat, by number: the same everywhere, and newer than most libseccomps.
    newest = 463

    # A cell makes none, and has one: the arena.
    memory = os.memfd_create("hoard")

    def attack() -> object:
        answers = [
            errno_of(os.setxattr, memory, "user.hoard", b"x"),
            errno_of(os.setxattr, source, "user.hoard", b"x"),
            errno_of(lambda: os.setxattr(source, "user.hoard", b"x", follow_symlinks=False)),
        ]
        shutil.copy2(source, copy)
        return [answers, raw(newest) in {errno.ENOSYS, errno.EOPNOTSUPP}, copy.read_text()]

    with suppress(OSError):  # not every file system has them
        os.setxattr(source, "user.kept", b"x")
    assert confined(attack).value == [[errno.EOPNOTSUPP] * 3, True, "x"]
    os.close(memory)


@pytest.mark.parametrize("is_counted", [False, True], ids=["alone", "counted"])
def test_memory_of_no_process_is_had_where_a_group_counts_it(is_counted: bool) -> None:
    """Memfds and shared memory without a file; a private mapping and a named one always."""

    def attack() -> object:
        with tempfile.TemporaryFile() as file:
            file.truncate(4096)
            mmap.mmap(file.fileno(), 4096).close()
        mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        return [errno_of(os.memfd_create, "m"), errno_of(mmap.mmap, -1, 4096)]

    expected = [0, 0] if is_counted else [errno.ENOSYS, errno.ENODEV]
    assert confined(attack, is_memory_counted=is_counted).value == expected


def test_core_limit_is_asked_for_in_vain() -> None:
    """A program that wants no core file hears that it is so, and the limit stays."""

    def attack() -> object:
        before = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(0, resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        after = resource.getrlimit(resource.RLIMIT_CORE)
        return before == after, resource.getrlimit(resource.RLIMIT_NOFILE)

    assert confined(attack).value == [True, [64, 64]]


def test_socket_buffers_keep_their_size() -> None:
    """Asking for larger or smaller buffers succeeds and changes none; other options are set."""
    options = (socket.SO_SNDBUF, socket.SO_RCVBUF)
    forced = (32, 33)  # SO_SNDBUFFORCE, SO_RCVBUFFORCE

    def sizes(one: socket.socket) -> list[int]:
        return [one.getsockopt(socket.SOL_SOCKET, option) for option in options]

    def attack() -> object:
        one, _ = socket.socketpair()
        before = sizes(one)
        for option in (*options, *forced):
            for size in (8192, 1 << 30):
                one.setsockopt(socket.SOL_SOCKET, option, size)
        small = ctypes.c_int(8192)
        level, option = socket.SOL_SOCKET | 1 << 32, socket.SO_SNDBUF | 1 << 32
        raw(number_of("setsockopt"), one.fileno(), level, option, ctypes.addressof(small), 4)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        passes = one.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED)
        return [sizes(one) == before, passes]

    def without_filter() -> object:
        one, _ = socket.socketpair()
        before = sizes(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        return sizes(one) == before

    assert confined(attack).value == [True, 1]
    assert forked(without_filter).value is False


def test_loopback_speaks_tcp_and_udp_and_nothing_raw() -> None:
    """A server and a client on 127.0.0.1 meet; raw, netlink and MPTCP sockets are refused."""

    def work() -> object:
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        client.sendall(b"hello")
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK).close()
        number = number_of("socket")
        return [
            accepted.recv(16).decode(),
            raw(number, socket.AF_INET, socket.SOCK_RAW, 1),
            raw(number, socket.AF_NETLINK, socket.SOCK_RAW),
            raw(number, socket.AF_INET, socket.SOCK_STREAM, 262),
        ]

    refused = [errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT]
    assert confined(work, "loopback").value == ["hello", *refused]


def test_terminal_takes_no_typed_characters() -> None:
    """TIOCSTI on a terminal of its own is EPERM, also behind high bits; its size can be asked."""
    ioctl = number_of("ioctl")

    def attack() -> object:
        _, terminal = os.openpty()
        letter = ctypes.create_string_buffer(b"x")
        pointer = ctypes.addressof(letter)
        size = ctypes.create_string_buffer(8)
        return [
            raw(ioctl, terminal, 0x5412, pointer),
            raw(ioctl, terminal, 0x5412 | 0xDEAD << 32, pointer),
            raw(ioctl, terminal, 0x5413, ctypes.addressof(size)),  # TIOCGWINSZ
        ]

    assert confined(attack).value == [errno.EPERM, errno.EPERM, 0]


def test_dumpable_flag_cannot_be_dropped() -> None:
    """A cell cannot hide its /proc files from the parent that measures its memory."""
    assert confined(lambda: errno_of(_libc.prctl, 4, 0)).value == errno.EPERM


def test_results_can_still_be_carried_out() -> None:
    """Writing into a memfd, growing it, and the channel to the parent work under the filter."""
    ours, theirs = socket.socketpair()
    arena = os.memfd_create("arena", os.MFD_ALLOW_SEALING)

    def work() -> object:
        os.ftruncate(arena, 8192)
        os.pwrite(arena, b"result", 4096)
        theirs.sendall(b"done")
        return True

    assert confined(work).value is True
    assert ours.recv(16) == b"done"
    assert os.pread(arena, 6, 4096) == b"result"
    os.close(arena)
    ours.close()
    theirs.close()


def test_python_goes_on_working(tmp_path: Path) -> None:
    """Threads, subprocesses, asyncio, sqlite3 and multiprocessing in three modes do not notice."""
    script = tmp_path / "work.py"
    script.write_text(
        """
import asyncio, multiprocessing, os, shutil, sqlite3, subprocess, sys, tempfile, threading

async def main():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(6 * 7)", stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0] == b"42\\n"
    assert await asyncio.to_thread(abs, -1) == 1

if __name__ == "__main__":
    asyncio.run(main())
    assert subprocess.check_output("echo hi | cat", shell=True) == b"hi\\n"
    thread = threading.Thread(target=os.getpid)
    thread.start()
    thread.join()
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(folder + "/base")
        connection.execute("create table t (a)")
        connection.commit()
        connection.close()
        shutil.copytree(folder, folder + "/copy")
        os.mkfifo(folder + "/fifo")
    for mode in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(mode).Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2], mode
    print("all done")
"""
    )

    def work() -> object:
        done = subprocess.run([sys.executable, str(script)], capture_output=True, check=False)
        return [done.stdout.decode(), done.stderr.decode()]

    assert confined(work).value == ["all done\n", ""]


def test_numpy_and_pandas_go_on_working() -> None:
    """A fresh interpreter under the filter imports both, and multiplies with BLAS's threads."""
    code = (
        "import numpy as np, pandas as pd\n"
        "a = np.ones((400, 400))\n"
        "assert (a @ a).sum() == 400 ** 3\n"
        "assert pd.DataFrame({'a': [1, 1, 2]}).groupby('a').size().tolist() == [2, 1]\n"
    )

    def work() -> object:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        return [done.returncode, done.stderr.decode()]

    assert confined(work).value == [0, ""]
