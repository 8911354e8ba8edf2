"""A cell that runs long under ``--report`` shows what it uses, and nothing of that stays."""

from __future__ import annotations

import re

import pytest

from tests.kernel.kernels import Kernel, Run

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

LINE = re.compile(r"\[sandbox\] running for \ds, (\d+)MiB of new memory, (\d) processes")
LONG = "import time\nprint('one')\ntime.sleep(2.4)\nprint('two')\n'result'"


def test_the_line_is_updated_in_place_and_emptied(kernel: Kernel) -> None:
    """Time, memory and processes as seen from outside; the cell's own output is all that stays."""
    code = (
        "import os\nblock = b'x' * (50 << 20)\nprint('before')\nends, held = os.pipe()\n"
        "if os.fork() == 0:\n    os.read(ends, 1)\n    os._exit(0)\n"
        "try:\n    os.read(ends, 1)\nexcept KeyboardInterrupt:\n    print('after')"
    )
    request = kernel.start(f"%%sandbox --report\n{code}")
    run = Run()
    while not run.of("update_display_data"):
        kind, content = kernel.next_output(request)
        if kind not in ("status", "execute_input"):
            run.outputs.append((kind, content))
    kernel.manager.interrupt_kernel()
    kernel.finish(request, run)
    (shown,) = run.of("display_data")
    found = LINE.fullmatch(shown["data"]["text/plain"])
    assert found is not None, shown
    assert 50 <= int(found[1]) < 200
    assert found[2] == "2"
    *_, last = run.of("update_display_data")
    assert last["data"] == {}
    assert {it["transient"]["display_id"] for it in run.of("update_display_data")} == {
        shown["transient"]["display_id"]
    }
    assert run.of("clear_output") == []
    assert run.stdout.startswith("before\nafter\nconfinement of this cell:")


def test_a_capture_holds_no_line(kernel: Kernel) -> None:
    """``%%capture`` gets the cell's output and the report, and nothing else is shown."""
    run = kernel.run(f"%%capture kept\n%%sandbox --report\n{LONG}")
    assert (run.status, run.outputs) == ("ok", [])
    assert kernel.value("len(kept.outputs)") == "1"
    assert "running for" not in kernel.value("kept.stdout + kept.stderr")


def test_a_client_that_executes_notebooks_is_shown_no_line(kernel: Kernel) -> None:
    """Nbclient lets nobody be asked, and keeps in the file whatever is displayed."""
    run = kernel.run(f"%%sandbox --report\n{LONG}", allow_stdin=False)
    assert [kind for kind, _ in run.outputs if kind != "stream"] == ["execute_result"]
    assert run.stdout.startswith("one\ntwo\nconfinement of this cell:")
