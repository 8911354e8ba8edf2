"""What programs do besides computing works inside: processes, threads, loops, terminals."""

from __future__ import annotations

import pytest

from tests.contract.cells import NEEDS, value

pytestmark = [pytest.mark.contract, NEEDS]


def test_subprocess_runs_and_answers() -> None:
    """Pipes in and out, status and environment of a program are as usual."""
    code = """
    import subprocess
    program = ["sh", "-c", "cat; echo err >&2; exit 3"]
    ran = subprocess.run(program, input=b"in", capture_output=True)
    ran.returncode, ran.stdout, ran.stderr
    """
    assert value(code) == (3, b"in", b"err\n")


def test_threads_run() -> None:
    """A pool of threads does its work."""
    code = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(4) as pool:
        squares = list(pool.map(lambda n: n * n, range(20)))
    squares
    """
    assert value(code) == [n * n for n in range(20)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_runs(method: str) -> None:
    """A pool of processes does its work, however it is started."""
    code = f"""
    import math, multiprocessing, warnings
    warnings.simplefilter("ignore")
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        roots = pool.map(math.isqrt, range(20))
    roots
    """
    assert value(code) == [0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4]


def test_functions_of_the_cell_reach_its_workers() -> None:
    """What is defined in the cell is found in ``__main__``."""
    code = """
    import multiprocessing, pickle
    class Point:
        x = 1
    def double(n):
        return 2 * n
    with multiprocessing.get_context("fork").Pool(2) as pool:
        doubled = pool.map(double, range(3))
    doubled, pickle.loads(pickle.dumps(Point())).x, __name__
    """
    assert value(code) == ([0, 2, 4], 1, "__main__")


def test_queues_locks_and_shared_memory_work_between_processes() -> None:
    """Semaphores and segments are files of the sandbox's own /dev/shm."""
    code = """
    import multiprocessing
    from multiprocessing import shared_memory
    context = multiprocessing.get_context("fork")
    segment = shared_memory.SharedMemory(create=True, size=16)
    queue, lock = context.Queue(), context.Lock()
    def work():
        with lock:
            segment.buf[0] = 7
            queue.put("done")
    worker = context.Process(target=work)
    worker.start()
    word = queue.get(timeout=20)
    worker.join()
    first = segment.buf[0]
    segment.close(); segment.unlink()
    word, first, worker.exitcode
    """
    assert value(code) == ("done", 7, 0)


def test_asyncio_runs() -> None:
    """A loop of the cell's own: tasks, subprocesses, unix streams."""
    code = """
    import asyncio
    async def main():
        async def answer(reader, writer):
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()
        server = await asyncio.start_unix_server(answer, "/tmp/socket")
        reader, writer = await asyncio.open_unix_connection("/tmp/socket")
        writer.write(b"hello\\n")
        line = await reader.readline()
        writer.close()
        server.close()
        process = await asyncio.create_subprocess_exec("echo", "hi", stdout=-1)
        return line, (await process.communicate())[0]
    asyncio.run(main())
    """
    assert value(code) == (b"HELLO\n", b"hi\n")


def test_pseudo_terminal_works() -> None:
    """A program that wants a terminal gets one of the sandbox's own."""
    code = """
    import os, subprocess
    leader, follower = os.openpty()
    subprocess.run(["sh", "-c", "tty; stty size"], stdin=follower, stdout=follower, check=True)
    os.read(leader, 1000)
    """
    text = value(code)
    assert isinstance(text, bytes)
    assert text.startswith(b"/dev/pts/0")


def test_temporary_files_work() -> None:
    """`tempfile` finds its place and cleans up."""
    code = """
    import os, tempfile
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "x"), "w") as file:
            file.write("content")
        with open(os.path.join(folder, "x")) as file:
            read = file.read()
    with tempfile.TemporaryFile() as file:
        file.write(b"more")
    read, os.path.exists(folder)
    """
    assert value(code) == ("content", False)


def test_modules_are_imported_inside() -> None:
    """A module that the caller has not imported is found, from the library and from site."""
    code = "import colorsys, sqlite3\nsqlite3.connect(':memory:').execute('select 1').fetchone()"
    assert value(code) == (1,)


def test_devices_answer() -> None:
    """The few devices that programs expect are there."""
    code = """
    import os
    with open("/dev/urandom", "rb") as file:
        random = file.read(4)
    with open("/dev/zero", "rb") as file:
        zero = file.read(2)
    with open("/dev/null", "w") as file:
        file.write("gone")
    try:
        with open("/dev/full", "w", buffering=1) as file:
            file.write("x\\n")
    except OSError as error:
        full = error.errno
    len(random), zero, full, len(os.urandom(4)), os.listdir("/dev/fd") != []
    """
    assert value(code) == (4, b"\0\0", 28, 4, True)


def test_signals_and_timers_of_the_cell_work() -> None:
    """`signal.setitimer` wakes the cell, and its own handlers are called."""
    code = """
    import signal
    heard = []
    signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()
    heard
    """
    assert value(code) == [1]
