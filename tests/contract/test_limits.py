"""Every amount of the policy ends the cell, or the call in it, and says its name."""

from __future__ import annotations

import fcntl
import os
import time
from typing import Any

import pytest

from tests.contract.cells import CHANNEL, NEEDS, failed, run, stopped, value

pytestmark = [pytest.mark.contract, NEEDS]


def test_memory_beyond_the_limit_is_a_memory_error() -> None:
    """The cell gets Python's own exception, which it may handle."""
    assert failed("x = bytearray(600 << 20)", memory="256M").name == "MemoryError"
    code = "try:\n    bytearray(600 << 20)\nexcept MemoryError:\n    r = 'handled'\nr"
    assert value(code, memory="256M") == "handled"


def test_memory_within_the_limit_is_granted() -> None:
    """The limit counts new memory: what the caller holds already is not on the bill."""
    held = bytearray(b"x") * (300 << 20)
    assert value("len(bytearray(100 << 20)), len(held)", inputs={"held": held}, memory="256M") == (
        100 << 20,
        300 << 20,
    )


def test_memory_over_many_processes_is_bounded_as_one() -> None:
    """Children that each stay below the limit are ended when their sum does not."""
    failure = stopped(
        """
        import os, signal
        for _ in range(8):
            if os.fork() == 0:
                mine = bytearray(b"x") * (60 << 20)
                signal.pause()
        signal.pause()
        """,
        memory="200M",
    )
    assert failure.limit == "memory"
    assert failure.allowed == "200MiB"
    assert "--memory" in failure.remedy


def test_memory_in_files_of_the_scratch_space_is_bounded_by_disk() -> None:
    """/dev/shm is memory too, and takes no more than ``disk``."""
    code = """
    n = 0
    try:
        with open("/dev/shm/big", "wb", buffering=0) as file:
            while n < 1000:
                n += file.write(b"x" * (1 << 20)) >> 20
    except OSError as error:
        why = error.errno
    n, why
    """
    written, why = value(code, disk="8M")
    assert (written <= 8, why) == (True, 28)


def test_disk_is_one_amount_for_all_writable_places() -> None:
    """/tmp, /dev/shm, home and the working directory draw on the same bytes: ENOSPC."""
    code = """
    import os
    n = 0
    for place in ("/tmp", "/dev/shm", os.path.expanduser("~"), "."):
        try:
            with open(os.path.join(place, "part"), "wb", buffering=0) as file:
                for _ in range(64):
                    n += file.write(b"x" * (64 << 10))
        except OSError as error:
            assert error.errno == 28, error
    n
    """
    assert (3 << 20) <= value(code, disk="4M") <= (4 << 20)


def test_number_of_files_is_bounded() -> None:
    """Empty files use up inodes, and those end as well: ENOSPC."""
    code = """
    import errno
    n = 0
    try:
        for n in range(100_000):
            open(f"/tmp/{n}", "w").close()
    except OSError as error:
        why = errno.errorcode[error.errno]
    n, why
    """
    made, why = value(code, disk="1M")
    assert (made < 1000, why) == (True, "ENOSPC")


def test_number_of_processes_is_bounded() -> None:
    """fork(2) answers EAGAIN at the limit, for host root's cell as well."""
    code = """
    import errno, os, signal
    n = 1
    try:
        while n < 500:
            if os.fork() == 0:
                signal.pause()
            n += 1
    except OSError as error:
        why = errno.errorcode[error.errno]
    n, why
    """
    assert value(code, pids=16) == (16, "EAGAIN")


def test_threads_count_as_processes() -> None:
    """A thread too many is refused as Python refuses it."""
    code = """
    import threading
    stay = threading.Event()
    n = 1
    try:
        while n < 500:
            threading.Thread(target=stay.wait, daemon=True).start()
            n += 1
    except RuntimeError:
        why = "refused"
    stay.set()
    n, why
    """
    assert value(code, pids=16) == (16, "refused")


def test_open_files_are_bounded() -> None:
    """open(2) answers EMFILE when ``files`` numbers above the notebook's highest are taken."""
    taken = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    gaps = taken[-1] + 1 - len(taken)
    code = """
    opened = []
    try:
        while len(opened) < 10_000:
            opened.append(open("/dev/null"))
    except OSError as error:
        why = error.errno
    len(opened), why
    """
    opened, why = value(code, files=32)
    assert why == 24
    # The launcher's own descriptors take up to twenty numbers more at the time of the fork.
    assert 16 <= opened <= 32 + gaps + 20


def test_gaps_between_the_notebooks_descriptors_are_no_extra_files() -> None:
    """One high descriptor of the notebook does not raise the cell's limit."""
    high = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 900)
    try:
        code = """
        opened = []
        try:
            while len(opened) < 10_000:
                opened.append(open("/dev/null"))
        except OSError:
            pass
        len(opened)
        """
        opened = value(code, files=32)
    finally:
        os.close(high)
    assert isinstance(opened, int)
    assert opened <= 64


def test_processor_time_is_bounded_and_says_so() -> None:
    """A busy cell ends by the limit's name, long before its timeout."""
    failure = stopped("while True: pass", cpu=1)
    assert (failure.limit, failure.allowed) == ("cpu", "1s")
    assert "--cpu" in failure.remedy


def test_processor_time_of_all_processes_is_one_sum() -> None:
    """Work that is spread over processes is not free."""
    start = time.monotonic()
    failure = stopped(
        "import os\nfor _ in range(3): os.fork()\nwhile True: pass",
        cpu=2,
        timeout=15,
    )
    assert failure.limit == "cpu"
    assert failure.used.endswith("s of processor time"), "the limit of one process came first"
    assert time.monotonic() - start < 10


def test_waiting_costs_no_processor_time() -> None:
    """A cell that waits longer than ``cpu`` is fine."""
    assert value("import time; time.sleep(1.2)\n'awake'", cpu=1) == "awake"


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('y' * 1000)",
        "import os\nwhile True: os.write(1, b'y' * 1000)",
        "import sys\nwhile True: sys.stderr.write('y' * 1000 + '\\n')",
        "import subprocess; subprocess.run(['yes'])",
        "import os\nwhile True: os.write(2, b'y\\n')",
    ],
    ids=["print", "descriptor", "stderr", "subprocess", "little"],
)
def test_output_is_bounded_and_what_came_before_is_kept(code: str) -> None:
    """A flood ends the cell; its beginning can be read."""
    outcome = run(f"print('before', flush=True)\n{code}", output="64K")
    assert getattr(outcome.failure, "limit", None) == "output"
    assert "--output" in str(outcome.failure)
    text = outcome.stdout + outcome.stderr
    assert "before\n" in outcome.stdout
    assert 1000 < len(text) < (64 << 10) + (512 << 10)


def test_output_within_the_limit_is_whole() -> None:
    """Nothing is lost of a megabyte."""
    outcome = run("for n in range(100_000): print(n)").check()
    assert outcome.stdout == "".join(f"{n}\n" for n in range(100_000))


def test_messages_are_bounded_and_those_before_are_kept() -> None:
    """The limit is exact: no display beyond it is shown."""
    display = (
        CHANNEL
        + """
shown = {"data": {"text/plain": "x"}, "metadata": {}, "transient": {}}
for _ in range(COUNT):
    send(frame(MESSAGE, {
        "type": "display_data", "content": shown, "metadata": {}, "mark": [0, 0, 0, 0]
    }))
"""
    )
    outcome = run(display.replace("COUNT", "500"), messages=20)
    assert getattr(outcome.failure, "limit", None) == "messages"
    assert len(outcome.outputs) == 20
    assert len(run(display.replace("COUNT", "20"), messages=20).check().outputs) == 20


def test_limits_cannot_be_raised_inside() -> None:
    """setrlimit(2) to more than the cell has is refused."""
    code = """
    import resource
    raised = []
    for name in ("RLIMIT_DATA", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CPU"):
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        try:
            resource.setrlimit(kind, (hard + 1, hard + 1))
            raised.append(name)
        except (OSError, ValueError):
            pass
    raised
    """
    assert value(code) == []


REFUSED = {
    "disk": ("open('/tmp/big', 'wb').write(b'x' * (9 << 20))", "8MiB written (allowed: 8MiB)"),
    "inodes": (
        "for n in range(9000): os.symlink('x', f'/tmp/{n}')",
        "512 files and directories made (allowed: 512 for 8MiB)",
    ),
    "files": ("kept = [open('/dev/null') for _ in range(9000)]", "32 open (allowed: 32)"),
    "pids": (
        "import signal\nwhile True:\n    if os.fork() == 0: signal.pause()",
        "9 processes and threads (allowed: 9)",
    ),
    "threads": (
        "import threading as t\nwhile True: t.Thread(target=t.Event().wait, daemon=True).start()",
        "9 processes and threads (allowed: 9)",
    ),
    "memory": ("x = bytearray(80 << 20)\ny = bytearray(80 << 20)", "(allowed: 128MiB)"),
    "mapping": (
        "import mmap\nmmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)",
        "(allowed: 128MiB)",
    ),
    "one file": (
        "fd = os.open('/tmp/big', os.O_RDWR | os.O_CREAT)\nos.ftruncate(fd, 200 << 20)",
        "more than 128MiB in one file (allowed: 128MiB)",
    ),
    "cause": (
        "try: kept = [open('/dev/null') for _ in range(9000)]\nexcept OSError: raise ValueError",
        "32 open (allowed: 32)",
    ),
}
OPTIONS = {
    "inodes": "--disk",
    "threads": "--pids",
    "cause": "--files",
    "mapping": "--memory",
    "one file": "--disk",
}


@pytest.mark.parametrize("name", REFUSED)
def test_error_of_a_limit_names_limit_amount_and_option(name: str) -> None:
    """Where the kernel refuses a call and the cell lives on, the error says what to raise."""
    code, amount = REFUSED[name]
    failure = failed(f"import os\n{code}", disk="8M", files=32, pids=9, memory="128M")
    (line,) = (line for line in failure.lines if line.startswith("the sandbox's limit is reached"))
    assert amount in line
    assert f"Raise it with {OPTIONS.get(name, f'--{name}')}." in line


@pytest.mark.parametrize(
    "code",
    [
        "raise OSError(28, 'No space left on device')",
        "raise BlockingIOError(11, 'Resource temporarily unavailable')",
        "raise RuntimeError('a new thread of thought')",
        "class Odd(OSError):\n    errno = property(lambda self: 1 / 0)\nraise Odd",
        "1 / 0",
    ],
    ids=["space", "again", "thread", "hostile", "other"],
)
def test_error_of_no_limit_names_none(code: str) -> None:
    """The same errors from elsewhere get no line: there is room, so raising nothing would help."""
    assert not [line for line in failed(code).lines if "limit" in line]


UNSEEN = {
    "mapping": ("import mmap\nmmap.mmap(-1, 4096)", "MAP_PRIVATE | mmap.MAP_ANONYMOUS"),
    "elsewhere": ("import mmap as m\ndef f(): return m.mmap(-1, 1)\nf()", "MAP_PRIVATE"),
    "zero": (
        "import mmap, os\nmmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096)",
        "multiprocessing.shared_memory",
    ),
    "memfd": ("import os\nos.memfd_create('x')", 'tempfile.TemporaryFile(dir="/dev/shm")'),
}


def _is_counted() -> bool:
    """Whether cells of this machine have a control group that counts their memory."""
    return "no process holds" in str(run("1").check().report)


@pytest.mark.parametrize("name", UNSEEN)
def test_memory_that_no_limit_would_see_says_why_and_what_to_use(name: str) -> None:
    """A library tells of a strange errno; the line below tells of the sandbox."""
    if _is_counted():
        pytest.skip("a control group counts this memory, so it is not refused")
    code, way = UNSEEN[name]
    (line,) = (line for line in failed(code).lines if "no limit would see" in line)
    assert way in line
    assert "refused in a sandboxed cell" in line


@pytest.mark.parametrize(
    "code",
    [
        "raise OSError(19, 'No such device', '/dev/mine')",
        "raise OSError(38, 'Function not implemented')",
        "import mmap\nmmap.mmap(-1, -1)",
    ],
    ids=["file", "call", "value"],
)
def test_other_errors_of_devices_and_calls_say_nothing_of_memory(code: str) -> None:
    """The explanation hangs on the call, not on the errno alone."""
    assert not [line for line in failed(code).lines if "no limit would see" in line]


def test_what_the_explanations_offer_works() -> None:
    """Private memory, a file in /dev/shm, and memory that a forked process writes to."""
    code = """
    import mmap, os, tempfile
    from multiprocessing import shared_memory
    own = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    own[:3] = b"own"
    file = tempfile.TemporaryFile(dir="/dev/shm")
    file.truncate(4096)
    shared = shared_memory.SharedMemory(create=True, size=4096)
    with mmap.mmap(file.fileno(), 4096) as both:
        if os.fork() == 0:
            own[:3], both[:4], shared.buf[:5] = b"xxx", b"both", b"share"
            os._exit(0)
        os.wait()
        seen = own[:3], both[:4], bytes(shared.buf[:5])
    shared.unlink()
    seen
    """
    assert value(code) == (b"own", b"both", b"share")


STOPPED: dict[str, tuple[str, dict[str, Any], str]] = {
    "timeout": ("import signal; signal.pause()", {"timeout": 0.5}, " s"),
    "cpu": ("while True: pass", {"cpu": 1}, "processor time"),
    "memory": (
        "import os, signal as s\nfor _ in range(3): os.fork()\nx = b'x' * (60 << 20)\ns.pause()",
        {"memory": "128M"},
        "KiB of new memory",
    ),
    "output": ("while True: print('y' * 1000)", {"output": "64K"}, "more than 64KiB printed"),
    "disk": (
        "import signal as s\ns.signal(s.SIGXFSZ, 0)\nopen('/tmp/x', 'w').truncate(200 << 20)",
        {"disk": "8M", "memory": "128M"},
        "more than 128MiB in one file",
    ),
}


@pytest.mark.parametrize("limit", STOPPED)
def test_limit_that_ends_a_cell_names_itself_the_amount_and_the_option(limit: str) -> None:
    """What ran out, how much was used, what was allowed, and what raises it."""
    code, policy, used = STOPPED[limit]
    failure = stopped(code, **policy)
    assert failure.limit == limit
    assert used in failure.used
    assert failure.allowed
    assert failure.remedy == f"Raise it with --{limit}."
    assert all(part in str(failure) for part in (limit, failure.used, failure.allowed, "--"))


def test_full_scratch_space_under_a_mapping_is_told() -> None:
    """mmap(2): a page that the file system has no room for is a SIGBUS, which says nothing."""
    code = """
    import multiprocessing.shared_memory as m
    memory = m.SharedMemory(create=True, size=16 << 20)
    memory.buf[:] = bytes(16 << 20)
    """
    failure = stopped(code, disk="8M")
    assert failure.used.startswith("SIGBUS")
    assert "--disk" in failure.remedy


def test_memory_amount_in_use_is_told() -> None:
    """What the cell holds when a request is refused, not what it asked for."""
    lines = failed("x = bytearray(80 << 20)\ny = bytearray(80 << 20)", memory="128M").lines
    (line,) = (line for line in lines if line.startswith("the sandbox's limit is reached"))
    used = float(line.split("memory, ")[1].split("KiB")[0])
    assert (80 << 10) <= used < (100 << 10)


@pytest.fixture
def two_gib() -> bytearray:
    """What a notebook holds: every page of it written, so that none is the kernel's zero page."""
    held = bytearray(2 << 30)
    held[:: 1 << 12] = b"x" * (len(held) >> 12)
    return held


def test_notebook_of_two_gib_runs_a_cell_of_256_mib(two_gib: bytearray) -> None:
    """Inherited memory is not on the bill, also when the cell reads all of it and forks."""
    code = """
    import os
    total = held.count(b"x")
    mine = bytearray(100 << 20)
    if os.fork() == 0:
        os._exit(held.count(b"x") != total)
    total, os.wait()[1], len(mine)
    """
    answer = value(code, inputs={"held": two_gib}, memory="256M")
    assert answer == (1 << 19, 0, 100 << 20)


def test_cell_of_a_notebook_of_two_gib_takes_no_more_than_its_own(two_gib: bytearray) -> None:
    """New memory is refused at the limit, and inherited pages are new when they are written to."""
    outcome = run("bytearray(300 << 20)", inputs={"held": two_gib}, memory="256M")
    assert getattr(outcome.failure, "name", None) == "MemoryError"
    code = """
    import signal
    for at in range(0, 400 << 20, 1 << 12):
        held[at] = 1
    signal.pause()
    """
    outcome = run(code, inputs={"held": two_gib}, memory="256M")
    assert getattr(outcome.failure, "limit", None) == "memory"
    assert two_gib.count(b"x") == 1 << 19
