"""What a sandboxed cell prints, shows and returns appears as an ordinary cell's does."""

from __future__ import annotations

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]


def test_prints_and_displays_keep_their_order(kernel: Kernel) -> None:
    """A print, a display, a print to stderr and the result arrive as they were made."""
    run = kernel.run(
        "%%sandbox\nimport sys\nprint('one')\ndisplay('two')\n"
        "print('three', file=sys.stderr)\n'four'"
    )
    assert run.status == "ok"
    seen = [
        content["text"].strip() if kind == "stream" else content["data"]["text/plain"]
        for kind, content in run.outputs
    ]
    assert seen == ["one", "'two'", "three", "'four'"]


def test_output_is_live(kernel: Kernel) -> None:
    """Text is there while the cell still runs, also without a line's end."""
    request = kernel.start("%%sandbox\nimport time\nprint('tick', end='')\ntime.sleep(60)")
    while kernel.next_output(request)[0] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    assert kernel.finish(request).error["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize("allow_stdin", [True, False])
@pytest.mark.parametrize("call", ["input('who?')", "import getpass; getpass.getpass()"])
def test_input_is_off_and_says_so(kernel: Kernel, call: str, allow_stdin: bool) -> None:
    """Whatever the front end could ask, the cell gets an error at once, and no frame of ours."""
    run = kernel.run(f"%%sandbox\nprint('first')\n{call}", allow_stdin=allow_stdin)
    assert run.stdout == "first\n"
    assert run.error["ename"] == "EOFError"
    assert "off in a sandboxed cell" in run.error["evalue"]
    assert "kavach_ipy/" not in "".join(run.error["traceback"])
    assert kernel.value("1 + 1") == "2"


def test_the_result_is_out_n_and_underscore(kernel: Kernel) -> None:
    """One ``execute_result`` under the notebook's number; its value is behind ``_`` and ``Out``."""
    run = kernel.run("%%sandbox\n[1, 2, 3]")
    number = run.reply["execution_count"]
    assert run.result["execution_count"] == number
    assert run.result["data"] == {"text/plain": "[1, 2, 3]"}
    assert kernel.value(f"_, Out[{number}], _{number}") == "([1, 2, 3], [1, 2, 3], [1, 2, 3])"


@pytest.mark.parametrize("code", ["1 + 1;", "x = 5", "None", "%time 1 + 1;"])
def test_no_result_is_no_output(kernel: Kernel, code: str) -> None:
    """A semicolon, an assignment and None are as quiet as ever."""
    kernel.run("'before'")
    run = kernel.run(f"%%sandbox\n{code}")
    assert run.status == "ok"
    assert run.of("execute_result") == []
    assert kernel.value("_") == "'before'"


def test_a_line_magic_runs_one_line(kernel: Kernel) -> None:
    """``%sandbox`` is the same for one line, options included."""
    run = kernel.run("%sandbox --memory 1G 6 * 7")
    assert run.result["data"]["text/plain"] == "42"


def test_rich_results_stay_rich(kernel: Kernel) -> None:
    """A DataFrame comes as a table in HTML, and as a DataFrame behind ``_``."""
    kernel.run("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})")
    run = kernel.run("%%sandbox\ndf.head(1)")
    assert "<table" in run.result["data"]["text/html"]
    assert kernel.value("type(_).__name__, len(_)") == "('DataFrame', 1)"


def test_display_updates_reach_their_display(kernel: Kernel) -> None:
    """A display handle of the cell updates what the cell has shown, under a name of the run's."""
    run = kernel.run("%%sandbox\nhandle = display(1, display_id='mine')\nhandle.update(2)")
    (shown,) = run.of("display_data")
    (updated,) = run.of("update_display_data")
    assert shown["transient"]["display_id"] == updated["transient"]["display_id"] != "mine"
    assert updated["data"]["text/plain"] == "2"


def test_clear_output_clears(kernel: Kernel) -> None:
    """Progress bars rely on it."""
    run = kernel.run(
        "%%sandbox\nfrom IPython.display import clear_output\nprint(1)\nclear_output(wait=True)"
    )
    assert run.of("clear_output") == [{"wait": True}]


def test_capture_captures_a_sandboxed_cell(kernel: Kernel) -> None:
    """``%%capture`` gets streams, displays and the result, and the front end none of them."""
    run = kernel.run("%%capture cap\n%%sandbox\nprint('said')\ndisplay('shown')\n'result'")
    assert run.status == "ok"
    assert run.outputs == []
    assert kernel.value("cap.stdout, [it.data['text/plain'] for it in cap.outputs]") == (
        "('said\\n', [\"'shown'\", \"'result'\"])"
    )


def test_output_of_subprocesses_and_native_code_arrives(kernel: Kernel) -> None:
    """What is written to descriptors 1 and 2 lands in the streams of their names."""
    run = kernel.run("%%sandbox\nimport os\nos.write(2, b'two\\n')\nos.system('echo one');")
    assert run.stdout == "one\n"
    assert run.stderr == "two\n"
    assert kernel.run("%%sandbox\n!echo shell").stdout.strip() == "shell"


def test_text_of_a_fork_comes_once(kernel: Kernel) -> None:
    """A process that the cell forks does not repeat what waits in the cell's buffers."""
    run = kernel.run(
        "%%sandbox\nimport os\nprint('parent', end=' ')\nchild = os.fork()\n"
        "if child == 0:\n    print('child', end=' ')\n    import sys\n    sys.stdout.flush()\n"
        "    os._exit(0)\nos.waitpid(child, 0);"
    )
    assert sorted(run.stdout.split()) == ["child", "parent"]


def test_many_small_prints_are_few_messages(kernel: Kernel) -> None:
    """Printing more lines than messages are allowed is no flood: lines travel together."""
    run = kernel.run("%%sandbox\nfor number in range(30_000):\n    print(number)")
    assert run.status == "ok"
    assert run.stdout.split() == [str(number) for number in range(30_000)]
    assert len(run.outputs) < 1_000


def test_a_pager_is_displayed(kernel: Kernel) -> None:
    """``len?`` shows its text: a pager belongs to the kernel's reply, which no cell can make."""
    (shown,) = kernel.run("%%sandbox\nlen?").of("display_data")
    assert "Return the number of items" in shown["data"]["text/plain"]


def test_top_level_await_works(kernel: Kernel) -> None:
    """The child has an event loop of its own, also though the kernel's is running."""
    run = kernel.run("%%sandbox\nimport asyncio\nawait asyncio.sleep(0.01, result='woken')")
    assert run.result["data"]["text/plain"] == "'woken'"


def test_magics_work_inside(kernel: Kernel) -> None:
    """A cell magic below ``%%sandbox`` runs in the child."""
    run = kernel.run("%%sandbox\n%%time\ninside = 1")
    assert run.status == "ok"
    assert "Wall time" in run.stdout
    assert kernel.value("'inside' in globals()") == "False"


def test_a_figure_is_shown(kernel: Kernel) -> None:
    """Matplotlib's inline backend draws when the cell is over, still in the child."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed here")
    kernel.run("%matplotlib inline\nimport matplotlib.pyplot as plt")
    run = kernel.run("%%sandbox\nplt.plot([1, 2, 3]);")
    assert "image/png" in run.of("display_data")[0]["data"]


def test_time_and_timeit_take_a_sandboxed_cell(kernel: Kernel) -> None:
    """Stacked above ``%%sandbox`` they time it, and its output is shown."""
    run = kernel.run("%%time\n%%sandbox\nprint('timed')\n6 * 7")
    assert run.status == "ok"
    assert "Wall time" in run.stdout
    assert "timed\n" in run.stdout
    assert run.result["data"]["text/plain"] == "42"
    run = kernel.run("%%timeit -n 2 -r 1\n%%sandbox\nprint('timed')")
    assert run.stdout.count("timed\n") == 2
    assert "per loop" in run.stdout


def test_a_capture_whose_cell_fails_is_whole(kernel: Kernel) -> None:
    """``%%capture`` keeps what came before the error, and the error is shown."""
    run = kernel.run("%%capture cap\n%%sandbox\nprint('said')\n1 / 0")
    assert run.error["ename"] == "ZeroDivisionError"
    assert kernel.value("cap.stdout") == "'said\\n'"


def test_a_print_that_is_flushed_is_there_at_once(kernel: Kernel) -> None:
    """Two pieces arrive as two, though the cell goes on: nothing waits for more of it."""
    request = kernel.start(
        "%%sandbox\nimport time\nfor text in 'ab':\n    print(text, flush=True)\n"
        "    time.sleep(0.5)\ntime.sleep(60)"
    )
    texts: list[str] = []
    while len(texts) < 2:
        kind, content = kernel.next_output(request)
        if kind == "stream":
            texts.append(content["text"])
    assert texts == ["a\n", "b\n"]
    kernel.manager.interrupt_kernel()
    assert kernel.finish(request).error["ename"] == "KeyboardInterrupt"


def test_earlier_inputs_are_where_they_are_in_any_cell(kernel: Kernel) -> None:
    """``_i`` is the cell before, ``In[-1]`` this one, and ``len(In)`` fits the prompt."""
    first = kernel.run("'the cell before'").reply["execution_count"]
    run = kernel.run("%%sandbox\nprint(_i, '/', _ii != _i, '/', len(In), '/', In[-1])")
    assert run.stdout == (
        f"'the cell before' / True / {first + 2} / # %%sandbox\n"
        "print(_i, '/', _ii != _i, '/', len(In), '/', In[-1])\n"
    )


def test_a_directory_is_changed_by_a_magic(kernel: Kernel) -> None:
    """``%cd`` notes where it was, although the profile is no place inside."""
    before = kernel.value("__import__('os').getcwd()")
    run = kernel.run("%%sandbox\n%cd /tmp\n%cd -\n%pwd")
    assert run.status == "ok"
    assert run.result["data"]["text/plain"] == before


def test_the_trackers_of_multiprocessing_do_not_complain(kernel: Kernel) -> None:
    """A cell that leaves a pool and a lock behind ends without a word of theirs."""
    run = kernel.run(
        "%%sandbox\nimport multiprocessing\ncontext = multiprocessing.get_context('spawn')\n"
        "lock, queue = context.Lock(), context.Queue()\n"
        "from multiprocessing.shared_memory import SharedMemory\n"
        "memory = SharedMemory(create=True, size=16)"
    )
    assert (run.status, run.stderr) == ("ok", "")


def test_a_warning_of_the_cell_is_shown_as_the_notebook_would(kernel: Kernel) -> None:
    """Also one that Python shows in the main program alone, with the line that warns."""
    run = kernel.run("%%sandbox\nimport warnings\nwarnings.warn('old', DeprecationWarning)")
    assert ":3: DeprecationWarning: old\n" in run.stderr
    assert "warnings.warn('old', DeprecationWarning)" in run.stderr


def test_html_of_which_nothing_is_left_is_text(kernel: Kernel) -> None:
    """A page shows HTML and not text, so what has become empty is no HTML any more."""
    run = kernel.run("%%sandbox\nfrom IPython.display import HTML\nHTML('<canvas></canvas>')")
    assert "text/html" not in run.result["data"]
    assert "[not shown: text/html: it is not" in run.result["data"]["text/plain"]
