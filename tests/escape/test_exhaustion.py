"""What a machine has little of is not used up: memory by every hiding place, time, counts."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from pathlib import Path

import pytest

from kavach_ipy.errors import CellFailed, CellStopped
from tests.contract.cells import CHANNEL, NEEDS, children
from tests.escape.probes import attack, found, looked_at, outside

pytestmark = [pytest.mark.escape, NEEDS]

LIMIT = "96M"
HOARDS = {
    "memfds in flight": """
        a, b = socket.socketpair()
        for _ in range(COUNT):
            fd = os.memfd_create("hoard")
            for _ in range(32):
                os.write(fd, MEGABYTE)
            socket.send_fds(a, [b"x"], [fd])
            os.close(fd)
    """,
    "memfds in a thread's own table": """
        def hoard():
            libc.syscall(ctypes.c_long(CLOSE_RANGE), 10**6, 10**6, 2)  # CLOSE_RANGE_UNSHARE
            for _ in range(COUNT):
                fd = os.memfd_create("hoard")
                for _ in range(32):
                    os.write(fd, MEGABYTE)
            kept.append("kept")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(hoard).result()
    """,
    "shared pages without entries": """
        for _ in range(COUNT):
            memory = mmap.mmap(-1, 32 << 20)
            for at in range(0, 32 << 20, 1 << 20):
                memory[at : at + (1 << 20)] = MEGABYTE
                memory.madvise(mmap.MADV_DONTNEED, at, 1 << 20)
            kept.append(memory)
    """,
    "shared pages of /dev/zero": """
        zero = os.open("/dev/zero", os.O_RDWR)
        for _ in range(COUNT):
            memory = mmap.mmap(zero, 32 << 20)
            for at in range(0, 32 << 20, 1 << 20):
                memory[at : at + (1 << 20)] = MEGABYTE
                memory.madvise(mmap.MADV_DONTNEED, at, 1 << 20)
            kept.append(memory)
    """,
    "behind a first thread that has ended": """
        reader, writer = os.pipe()
        def hoard():
            while b") Z " not in open(f"/proc/self/task/{os.getpid()}/stat", "rb").read():
                pass
            mine = MEGABYTE * 32
            os.write(writer, b"x")
            signal.pause()
        for _ in range(COUNT):
            if os.fork() == 0:
                threading.Thread(target=hoard).start()
                libc.syscall(ctypes.c_long(EXIT), 0)
        for _ in range(COUNT):
            os.read(reader, 1)
        signal.pause()
    """,
    "in children of children": """
        reader, writer = os.pipe()
        for _ in range(COUNT):
            if os.fork() == 0:
                if os.fork() == 0:
                    mine = MEGABYTE * 32
                    os.write(writer, b"x")
                    signal.pause()
                os._exit(0)
        for _ in range(COUNT):
            os.read(reader, 1)
        signal.pause()
    """,
    "in a program that nobody may read": """
        import shutil, subprocess, sys
        program = "x = b'x' * (32 << 20); print('kept', flush=True); import signal; signal.pause()"
        shutil.copy(os.path.realpath(sys.executable), "/tmp/unreadable")
        os.chmod("/tmp/unreadable", 0o111)
        environment = {"PYTHONHOME": sys.base_prefix}
        for _ in range(COUNT):
            started = subprocess.Popen(
                ["/tmp/unreadable", "-S", "-c", program], env=environment, stdout=subprocess.PIPE
            )
            assert started.stdout.readline().strip() == b"kept"
            kept.append(started)
        signal.pause()
    """,
    "in the arena": """
        fd = ARENA if SANDBOXED else os.memfd_create("arena")
        for _ in range(COUNT * 6):
            os.write(fd, MEGABYTE)
        mine = MEGABYTE * 6 * COUNT
        if SANDBOXED:
            signal.pause()
    """,
}
REFUSALS = {
    "memfds in flight": errno.ENOSYS,
    "memfds in a thread's own table": errno.ENOSYS,
    "shared pages without entries": errno.ENODEV,
    "shared pages of /dev/zero": errno.ENODEV,
}
"""How a call is refused where no control group counts; the others are stopped."""
ORDINARY = frozenset({
    "behind a first thread that has ended",
    "in children of children",
    "in a program that nobody may read",
})  # fmt: skip
"""Pages of processes that go on living: that they can be had needs no proof, and nobody to end."""

PRELUDE = """
import concurrent.futures, ctypes, mmap, os, signal, socket, threading
libc = ctypes.CDLL(None)
MEGABYTE = b"x" * (1 << 20)
kept = []
def _arena():
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:kavach-arena"):
                return int(name)
        except FileNotFoundError:
            pass
ARENA = _arena()
"""


def _hoard(name: str, count: int, *, sandboxed: bool) -> str:
    numbers = {"COUNT": count, "SANDBOXED": sandboxed, "CLOSE_RANGE": 436, "EXIT": _exit_number()}
    constants = "".join(f"{key} = {value!r}\n" for key, value in numbers.items())
    code = "\n".join(line.removeprefix(" " * 8) for line in HOARDS[name].splitlines())
    return f"{PRELUDE}{constants}{code}\n"


def _exit_number() -> int:
    return 60 if os.uname().machine == "x86_64" else 93


@pytest.mark.baseline("test_memory_limit_holds_in_every_hiding_place")
@pytest.mark.parametrize("name", sorted(HOARDS.keys() - ORDINARY))
def test_hiding_place_takes_memory_without_the_sandbox(name: str) -> None:
    """Each is one: a plain process keeps what it puts there."""
    assert outside(f"{_hoard(name, 1, sandboxed=False)}print('kept')") == "kept\n"


@pytest.mark.parametrize("name", HOARDS)
def test_memory_limit_holds_in_every_hiding_place(name: str) -> None:
    """Far more than a limit of 96 MiB: the call is refused, or the whole tree is stopped."""
    outcome = attack(f"{_hoard(name, 10, sandboxed=True)}'kept'", memory=LIMIT, disk="16M")
    failure = outcome.failure
    assert isinstance(failure, CellFailed | CellStopped), outcome.result
    if isinstance(failure, CellStopped):
        assert failure.limit == "memory"
        assert "--memory" in failure.remedy
    else:
        assert failure.text.startswith(f"[Errno {REFUSALS[name]}]")


@pytest.mark.no_baseline("it shows what must work")
def test_shared_memory_with_a_name_is_there_and_bounded() -> None:
    """What is refused without a file works in /dev/shm, up to ``disk``."""
    code = """
    from multiprocessing import shared_memory
    small = shared_memory.SharedMemory(create=True, size=1 << 20)
    small.buf[:4] = b"here"
    kept = bytes(small.buf[:4])
    del small
    kept
    """
    assert attack(code, disk="16M").check().result == b"here"


SHORT_LIVES = """
import os, time
while True:
    if os.fork() == 0:
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        os._exit(0)
    os.wait()
"""


@pytest.mark.no_baseline("every process may use up its time: nothing needs to be shown")
def test_processor_time_of_short_lives_is_counted() -> None:
    """Children that end between two looks of the parent are in what their parent waited for."""
    failure = attack(SHORT_LIVES, cpu=2, timeout=20).failure
    assert isinstance(failure, CellStopped)
    assert failure.limit == "cpu"


TIMERS = """
import ctypes
libc = ctypes.CDLL(None)
made = 0
while made < COUNT and libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p())) == 0:
    made += 1
"""


def test_timers_of_the_users_other_programs_are_left() -> None:
    """Queued signals are counted per user, through all user namespaces; a cell has a small part."""
    code = TIMERS.replace("COUNT", "10**6") + "\nanswers = made"

    def look(_: int) -> None:
        timer = ctypes.c_void_p()
        libc = ctypes.CDLL(None)
        assert libc.timer_create(1, None, ctypes.byref(timer)) == 0
        libc.timer_delete(timer)

    made = looked_at(code, look).result
    assert isinstance(made, int)
    assert 0 < made <= 1024


@pytest.mark.baseline("test_timers_of_the_users_other_programs_are_left")
def test_timers_are_not_so_few_without_the_sandbox() -> None:
    """A plain process makes more than a cell may."""
    assert outside(f"{TIMERS.replace('COUNT', '2000')}print(made)") == "2000\n"


LINGER = """
import signal, socket, struct, time
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()
client.setblocking(False)
try:
    while True:
        client.send(b"x" * 65536)
except BlockingIOError:
    pass
client.setblocking(True)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, SECONDS))
"""


def test_descriptor_that_is_slow_to_close_does_not_hold_the_kernel() -> None:
    """The kernel process closes what is sent to it, and must not wait for a socket that lingers."""
    code = (
        CHANNEL
        + LINGER.replace("SECONDS", "25")
        + """
way = socket.socket(fileno=os.dup(channel))
try:
    socket.send_fds(way, [stream("sent")], [client.fileno()])
except PermissionError:  # Linux 6.16: our end takes no descriptors
    pass
client.close()
signal.pause()
"""
    )
    start = time.monotonic()
    failure = attack(code, network="loopback", timeout=2).failure
    assert isinstance(failure, CellStopped)
    assert failure.limit == "timeout"
    assert time.monotonic() - start < 10


@pytest.mark.baseline("test_descriptor_that_is_slow_to_close_does_not_hold_the_kernel")
def test_close_waits_without_the_sandbox() -> None:
    """A plain process waits as long as the socket was told to linger."""
    code = LINGER.replace("SECONDS", "1") + "start = time.monotonic()\nclient.close()\n"
    assert float(outside(f"{code}print(time.monotonic() - start)")) > 0.9


def test_processes_are_bounded_as_the_host_counts_them() -> None:
    """A fork bomb has as many members as were allowed, and init."""
    code = """
    import os, signal
    try:
        while True:
            if os.fork() == 0:
                signal.pause()
    except OSError:
        pass
    """

    def look(cell: int) -> None:
        assert len(children(cell)) == 11

    looked_at(code, look, pids=12)
    assert outside("import os\nmade = 0\nfor _ in range(20):\n    if os.fork() == 0: os._exit(0)\n"
                   "    made += 1\nprint(made)") == "20\n"  # fmt: skip


def test_scratch_space_is_bounded_as_the_host_measures_it() -> None:
    """Bytes and inodes of all writable places together."""
    code = """
    for place in ("/tmp", "/dev/shm", os.path.expanduser("~")):
        attempt(lambda: open(f"{place}/big", "wb", buffering=0).write(b"x" * (64 << 20)))
        for n in range(5000):
            attempt(lambda: os.symlink("x", f"{place}/{n}"))
    """

    def look(cell: int) -> None:
        space = os.statvfs(f"/proc/{cell}/root/tmp")
        assert (space.f_blocks - space.f_bfree) * space.f_frsize <= 8 << 20
        assert space.f_files - space.f_ffree <= 1024

    looked_at(code, look, disk="8M")
    plain = "with tempfile.TemporaryFile() as file:\n    print(file.write(b'x' * (16 << 20)))"
    assert int(outside(f"import tempfile\n{plain}")) == 16 << 20


def test_terminals_of_the_machine_are_left() -> None:
    """``kernel.pty.max`` bounds all of them together; a cell's file system of its own has few."""
    code = """
    import pty
    pairs = []
    try:
        while len(pairs) < 200:
            pairs.append(pty.openpty())
    except OSError:
        pass
    answers = len(pairs)
    """

    def look(cell: int) -> None:
        assert len(set(os.listdir(f"/proc/{cell}/root/dev/pts")) - {"ptmx"}) == 64

    assert looked_at(code, look).result == 64
    assert int(Path("/proc/sys/kernel/pty/max").read_text(encoding="ascii")) >= 8 * 64
    plain = "import pty\npairs = [pty.openpty() for _ in range(100)]\nprint(len(pairs))"
    assert outside(plain) == "100\n"


def test_watches_of_the_users_other_programs_are_left() -> None:
    """Inotify instances are counted per user as well."""
    code = """
    import ctypes
    libc = ctypes.CDLL(None)
    made = 0
    while made < 1000 and libc.inotify_init1(0) >= 0:
        made += 1
    made
    """
    assert found(code) <= 32
    plain = "import ctypes\nprint(sum(ctypes.CDLL(None).inotify_init1(0) >= 0 for _ in range(40)))"
    assert int(outside(plain)) > 32
