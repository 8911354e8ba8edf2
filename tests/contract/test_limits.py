"""Every amount of the policy ends the cell, or the call in it, and says its name."""

from __future__ import annotations

import fcntl
import os
import time

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
    send(frame(MESSAGE, {"type": "display_data", "content": shown, "metadata": {}}))
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
