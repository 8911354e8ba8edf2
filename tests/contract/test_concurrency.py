"""Several sandboxes of one process at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kavach_ipy import Sandbox
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.launch.script import script_body
from tests.contract.cells import DEADLINE, NEEDS, Ear, run

pytestmark = [pytest.mark.contract, NEEDS]


def test_two_threads_run_cells_at_the_same_time() -> None:
    """Each hears its own, while both are alive."""
    both = threading.Barrier(2)

    class Meeting(Ear):
        def at_text(self, text: str) -> None:
            both.wait(DEADLINE)

    def work(name: str) -> Outcome:
        return Sandbox().execute(script_body(f"print({name!r})\n{name!r} * 2", {}), sink=Meeting())

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(work, ("a", "b")))
    assert [(outcome.stdout, outcome.result) for outcome in outcomes] == [
        ("a\n", "aa"),
        ("b\n", "bb"),
    ]


def test_many_cells_of_four_threads_do_not_mix() -> None:
    """Values, text and ends arrive where they belong."""

    def work(number: int) -> tuple[object, str, bool]:
        outcome = run(
            f"import os\nprint({number})\nos.system('echo sub')\nx = [{number}] * 1000", out=["x"]
        )
        return outcome.values["x"], outcome.stdout.replace("sub\n", ""), outcome.ok

    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(work, range(24))):
            assert found == ([number] * 1000, f"{number}\n", True)


def test_end_of_one_cell_does_not_touch_another() -> None:
    """A timeout in one thread leaves the cell of the other alone."""
    with ThreadPoolExecutor(2) as pool:
        ended = pool.submit(run, "while True: pass", timeout=0.5)
        lasting = pool.submit(run, "import time\ntime.sleep(1.2)\n'done'")
        assert getattr(ended.result().failure, "limit", None) == "timeout"
        assert lasting.result().result == "done"


def test_two_cells_do_not_see_each_other() -> None:
    """Same /tmp by name, same process numbers, nothing shared."""
    both = threading.Barrier(2)

    class Meeting(Ear):
        def at_text(self, text: str) -> None:
            both.wait(DEADLINE)

    code = (
        "import os, signal\nopen('/tmp/' + name, 'w').close()\nprint('ready')\n"
        "sorted(set(os.listdir('/tmp')) & {'a', 'b'}), os.getpid()"
    )

    def work(name: str) -> object:
        return Sandbox().execute(script_body(code, {"name": name}), sink=Meeting()).check().result

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, ("a", "b"))) == [(["a"], 2), (["b"], 2)]
