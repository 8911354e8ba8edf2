"""The stop button: once it is the cell's KeyboardInterrupt, twice it ends the sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.kernel.kernels import Kernel, Run, start_kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

READY = "print('ready', flush=True)\n"
WAITS = {
    "sleep": f"import time\n{READY}time.sleep(600)",
    "loop": f"{READY}while True: pass",
    "C call": f"import ctypes\n{READY}ctypes.CDLL(None).sleep(600)",
    "numpy": f"import numpy as np\na = np.ones((900, 900))\n{READY}while True: a @ a",
    "await": f"import asyncio\n{READY}await asyncio.sleep(600)",
    "asyncio.run": f"import asyncio\n{READY}asyncio.run(asyncio.sleep(600))",
    "subprocess": f"import subprocess\n{READY}subprocess.run(['sleep', '600'])",
    "thread": "import threading\nthread = threading.Thread(target=threading.Event().wait,"
    f" daemon=True)\nthread.start()\n{READY}thread.join()",
    # The worker says it: one that is interrupted before it has begun is replaced by another.
    "Pool": f"import multiprocessing, time\ndef wait():\n    {READY}    time.sleep(600)\n"
    "with multiprocessing.get_context('fork').Pool(1) as pool:\n    pool.apply(wait)",
    "executor": "import time\nfrom concurrent.futures import ProcessPoolExecutor\nwith"
    " ProcessPoolExecutor(1) as pool:\n    waits = pool.submit(time.sleep, 600)\n"
    f"    while not waits.running(): pass\n    {READY}    waits.result()",
}
# One call that lasts for hours and never looks at signals.
DEAF = f"import hashlib\n{READY}hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2**31 - 1)"
HEARS = f"import signal\nsignal.signal(2, lambda *_: print('heard', flush=True))\n{READY}"


@pytest.fixture(scope="module")
def by_message(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose spec says that it is interrupted by a message."""
    running = start_kernel(tmp_path_factory.mktemp("ipython"), interrupt_mode="message")
    try:
        assert running.run("%load_ext kavach_ipy").status == "ok"
        yield running
    finally:
        running.close()


def begin(kernel: Kernel, code: str, options: str = "") -> tuple[str, Run]:
    """Start a cell and wait until it says that it is ready."""
    run = Run()
    request = kernel.start(f"%%sandbox {options}\n{code}", allow_stdin=True)
    kernel.wait_for(request, "ready", run)
    return request, run


def end(kernel: Kernel, request: str, run: Run) -> Run:
    """Collect the rest; the kernel answers within two seconds afterwards."""
    kernel.finish(request, run)
    start = time.monotonic()
    assert kernel.value("1 + 1") == "2"
    assert time.monotonic() - start < 2
    return run


@pytest.mark.parametrize("code", WAITS.values(), ids=WAITS.keys())
def test_one_interrupt_is_a_keyboard_interrupt_of_the_cell(kernel: Kernel, code: str) -> None:
    """At once, whatever the cell waits for, with the traceback of its own lines."""
    request, run = begin(kernel, code)
    kernel.manager.interrupt_kernel()
    # A cell that has not ended after two seconds would be ended as one that did not obey.
    end(kernel, request, run)
    assert run.error["ename"] == "KeyboardInterrupt"
    text = "".join(run.error["traceback"])
    assert f"In[{run.reply['execution_count']}]" in text
    assert "kavach_ipy/" not in text


def test_a_cell_in_native_code_is_ended_two_seconds_after_an_interrupt(kernel: Kernel) -> None:
    """It cannot obey, and the message says that it did not."""
    request, run = begin(kernel, DEAF)
    start = time.monotonic()
    kernel.manager.interrupt_kernel()
    end(kernel, request, run)
    assert 1.5 < time.monotonic() - start < 5
    assert run.error["ename"] == "CellStopped"
    assert "did not end within two seconds" in run.error["evalue"]


def test_two_interrupts_end_the_sandbox_at_once(kernel: Kernel) -> None:
    """With a message of their own, and long before the two seconds."""
    request, run = begin(kernel, f"{HEARS}while True: pass")
    kernel.manager.interrupt_kernel()
    kernel.wait_for(request, "heard", run)
    start = time.monotonic()
    kernel.manager.interrupt_kernel()
    end(kernel, request, run)
    assert time.monotonic() - start < 1.5
    assert run.error["ename"] == "CellStopped"
    assert "interrupted twice" in run.error["evalue"]


def test_a_shell_command_is_interrupted_as_ever(kernel: Kernel) -> None:
    """``!`` ends with its own mark, and the cell goes on."""
    # The shell says it: until it has begun, the interrupt would be the cell's.
    request, run = begin(kernel, "!echo ready; exec sleep 600\n'after'")
    kernel.manager.interrupt_kernel()
    end(kernel, request, run)
    assert run.result["data"]["text/plain"] == "'after'"


def test_an_interrupted_await_lets_the_cell_clean_up(kernel: Kernel) -> None:
    """It is raised where the cell waits: ``finally`` runs, ``except`` catches, tasks go on."""
    code = (
        "import asyncio\nasync def work():\n    await asyncio.sleep(0.01)\n    return 'worked'\n"
        f"try:\n    {READY}    await asyncio.gather(asyncio.sleep(600))\n"
        "except KeyboardInterrupt:\n    word = await work()\nfinally:\n    print('clean')\nword"
    )
    request, run = begin(kernel, code)
    kernel.manager.interrupt_kernel()
    end(kernel, request, run)
    assert run.stdout == "ready\nclean\n"
    assert run.result["data"]["text/plain"] == "'worked'"


def test_an_awaiting_cell_that_computes_is_interrupted_in_its_line(kernel: Kernel) -> None:
    """Between two awaits the interrupt is raised where the cell is, not at the next of them."""
    code = f"import asyncio\nawait asyncio.sleep(0)\n{READY}while True: pass"
    request, run = begin(kernel, code)
    kernel.manager.interrupt_kernel()
    end(kernel, request, run)
    assert run.error["ename"] == "KeyboardInterrupt"
    assert "while" in "".join(run.error["traceback"])


@pytest.mark.parametrize("kind", ["sleep", "await"])
def test_an_interrupt_by_message_is_the_cells_too(by_message: Kernel, kind: str) -> None:
    """Both ways of a kernel spec reach the cell, and only the cell."""
    request, run = begin(by_message, WAITS[kind])
    by_message.manager.interrupt_kernel()
    assert end(by_message, request, run).error["ename"] == "KeyboardInterrupt"


def test_two_interrupts_by_message_end_the_sandbox(by_message: Kernel) -> None:
    """The second one ends it here as well."""
    request, run = begin(by_message, f"{HEARS}while True: pass")
    by_message.manager.interrupt_kernel()
    by_message.wait_for(request, "heard", run)
    by_message.manager.interrupt_kernel()
    assert "interrupted twice" in end(by_message, request, run).error["evalue"]


def test_an_interrupt_of_a_question_is_the_cells(kernel: Kernel) -> None:
    """Whoever is asked may stop the cell instead; it can clean up, and ask again."""
    code = (
        "try:\n    input('name: ')\nexcept KeyboardInterrupt:\n    word = input('really? ')\nword"
    )
    request = kernel.start(f"%%sandbox --stdin\n{code}", allow_stdin=True)
    assert kernel.is_asked() == ("[sandbox] name: ", False)
    kernel.manager.interrupt_kernel()
    assert kernel.is_asked() == ("[sandbox] really? ", False)
    kernel.client.input("no")
    assert end(kernel, request, Run()).result["data"]["text/plain"] == "'no'"


def test_a_question_that_comes_with_an_interrupt_is_interrupted(kernel: Kernel) -> None:
    """A cell that asks just before the signal comes gets it as its answer: nobody is asked."""
    code = (
        # The signal is pending before the question is asked, and heard after it was.
        "import signal\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [2])\n{READY}"
        "while 2 not in signal.sigpending(): pass\n"
        "from kavach_ipy.launch import link\nread = link.read_frame\n"
        "def read_later(*args):\n    signal.pthread_sigmask(signal.SIG_UNBLOCK, [2])\n"
        "    return read(*args)\nlink.read_frame = read_later\n"
        "try:\n    input('too late')\nexcept KeyboardInterrupt:\n    word = input('now ')\nword"
    )
    request, run = begin(kernel, code, "--stdin")
    kernel.manager.interrupt_kernel()
    assert kernel.is_asked() == ("[sandbox] now ", False)
    kernel.client.input("here")
    assert end(kernel, request, run).result["data"]["text/plain"] == "'here'"


def test_a_cell_that_asks_again_and_again_ends_by_two_interrupts(kernel: Kernel) -> None:
    """A prompt is no hiding place from the stop button."""
    code = (
        "while True:\n    try:\n        input('more ')\n    except KeyboardInterrupt:\n        pass"
    )
    request = kernel.start(f"%%sandbox --stdin\n{code}", allow_stdin=True)
    for _ in range(2):
        kernel.is_asked()
        kernel.manager.interrupt_kernel()
    assert "interrupted twice" in end(kernel, request, Run()).error["evalue"]
