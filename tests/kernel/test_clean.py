"""``%%sandbox --clean`` in a real kernel: an ordinary cell in every respect but its memory."""

from __future__ import annotations

import re

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _plain(lines: list[str]) -> str:
    return _COLOUR.sub("", "\n".join(lines))


@pytest.fixture(scope="module")
def clean(kernel: Kernel) -> Kernel:
    """The module's kernel, whose zygote has been started."""
    assert kernel.run("%%sandbox --clean\n1").status == "ok"
    return kernel


def test_clean_cell_takes_named_variables_and_brings_named_ones_back(clean: Kernel) -> None:
    """Out[n], the result and the variable are as after any cell; other names are not there."""
    clean.run("given, other = {'a': [1, 2]}, 5")
    run = clean.run("%%sandbox --clean -i given -o back\nback = given['a'] * 2\nprint('in')\nback")
    assert run.stdout == "in\n"
    assert run.result["data"]["text/plain"] == "[1, 2, 1, 2]"
    assert clean.value("(back, _ is not back, given)") == "([1, 2, 1, 2], True, {'a': [1, 2]})"
    assert clean.run("%%sandbox --clean -i given\nother").error["ename"] == "NameError"
    assert clean.run("%%sandbox --clean\ngiven").error["ename"] == "NameError"


@pytest.mark.parametrize(
    "code",
    [
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'), {'a': 1})\nNone",
        "import asyncio\nawait asyncio.sleep(0)\n'awaited'",
        "!echo from a shell\nfiles = !echo one two\nfiles[0].split()",
        "%%bash\necho $((6 * 7))",
        "import sys\nprint('err', file=sys.stderr)\nprint('out')",
        "import os\nos.system('echo native')\n'done';",
        "get_ipython().execution_count, len(In), __name__",
        "len?",
        "%time 1 + 1",
        "print('a', end='\\r'); print('b')",
        "class Rich:\n    def _repr_html_(self): return '<i>r</i>'\nRich() and [Rich()] and Rich()",
        "from IPython.display import clear_output\nprint(1)\nclear_output(wait=True)\nprint(2)",
        "%%capture kept\nprint('kept')",
    ],
)
def test_output_of_a_clean_cell_is_that_of_a_forked_one(clean: Kernel, code: str) -> None:
    """Kinds, contents and order of the outputs are the same."""
    seen = []
    for option in ("", " --clean"):
        run = clean.run(f"%%sandbox{option}\n{code}")
        assert run.status == "ok", run
        seen.append(
            [(kind, _without_numbers(content)) for kind, content in run.outputs if kind != "stream"]
            + [run.stdout, run.stderr]
        )
    forked, fresh = (re.sub(r"\d[\d.e+]* [nμm]?s", "T", str(told)) for told in seen)
    assert forked == fresh


def _without_numbers(content: dict[str, object]) -> dict[str, str]:
    return {
        key: re.sub(r"0x[0-9a-f]+|\(\d+, \d+", "N", str(text))
        for key, text in content.items()
        if key != "execution_count"
    }


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    return 1 / x\n\nf(0)",
        "x = (",
        "raise ExceptionGroup('g', [ValueError(1), KeyError('k')])",
        "try:\n    {}['k']\nexcept KeyError:\n    raise ValueError('chained')",
        "%no_such_magic",
        "import sys\nsys.exit(3)",
    ],
)
@pytest.mark.parametrize("mode", ["Context", "Plain", "Minimal"])
def test_traceback_of_a_clean_cell_is_that_of_a_forked_one(
    clean: Kernel, mode: str, code: str
) -> None:
    """The same frames, lines, prompt number and mode; none of ours."""
    clean.run(f"%xmode {mode}")
    told = []
    for option in ("      ", "--clean"):
        run = clean.run(f"%%sandbox {option}\n{code}")
        assert run.status == "error"
        text = _plain(run.error["traceback"]) if run.of("error") else run.stderr
        told.append(re.sub(r"In\[\d+\]|--clean|%%sandbox *", "", text))
        assert "kavach_ipy" not in text
    clean.run("%xmode Context")
    assert told[0] == told[1]


def test_prompt_number_is_the_notebooks(clean: Kernel) -> None:
    """In the result, in the traceback and inside."""
    run = clean.run("%%sandbox --clean\n'x'")
    number = run.reply["execution_count"]
    assert run.result["execution_count"] == number
    run = clean.run("%%sandbox --clean\n1/0")
    assert f"In[{number + 1}]" in _plain(run.error["traceback"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-i shape", "'shape' is not allowed; a function"),
        ("-i shape,given", "'shape'"),
        ("-i not_there", "'not_there'"),
        ("-i given --memory 16M --trust", "--trust"),
    ],
)
def test_input_that_cannot_go_in_is_one_line_and_nothing_runs(
    clean: Kernel, options: str, said: str
) -> None:
    """It names the variable, its type and why."""
    clean.run("shape, given = (lambda: 1), 1")
    run = clean.run(f"%%sandbox --clean {options}\nprint('ran')")
    assert run.status == "error"
    assert said in run.stderr + str(run.of("error"))
    assert run.stdout == ""


def test_module_to_preload_is_there_and_a_wrong_one_is_named(clean: Kernel) -> None:
    """By the setting; the notebook goes on without it."""
    clean.run("%config Kavach.preload = ['wave']")
    assert clean.run("%%sandbox --clean\nimport sys\n'wave' in sys.modules").result["data"] == {
        "text/plain": "True"
    }
    clean.run("%config Kavach.preload = ['no_such_module']")
    run = clean.run("%%sandbox --clean\nprint('ran')")
    assert run.status == "error"
    assert run.stderr.startswith("UsageError: preload: 'no_such_module'")
    clean.run("%config Kavach.preload = []")
    assert clean.run("%%sandbox --clean\nprint('ran')").stdout == "ran\n"


def test_interrupt_reaches_a_clean_cell(clean: Kernel) -> None:
    """As KeyboardInterrupt, and the notebook goes on."""
    request = clean.start(
        "%%sandbox --clean\nimport time\nprint('on', flush=True)\ntime.sleep(600)"
    )
    while clean.next_output(request)[0] != "stream":
        continue
    clean.manager.interrupt_kernel()
    assert clean.finish(request).error["ename"] == "KeyboardInterrupt"
    assert clean.run("%%sandbox --clean\nprint('again')").stdout == "again\n"


def test_one_zygote_serves_a_notebook_and_unloading_ends_it(clean: Kernel) -> None:
    """No process is left of the extension."""
    zygotes = "[p.pid for p in __import__('psutil').Process().children()]"
    clean.run("%unload_ext kavach_ipy")
    clean.run("%load_ext kavach_ipy")
    assert clean.value(zygotes) == "[]", "none is started before it is needed"
    clean.run("%%sandbox --clean\n1")
    before = clean.value(zygotes)
    clean.run("%%sandbox --clean\n1")
    assert clean.value(zygotes) == before
    assert before.count(",") == 0
    clean.run("%unload_ext kavach_ipy")
    assert clean.value(zygotes) == "[]"
    clean.run("%load_ext kavach_ipy")
    assert clean.run("%%sandbox --clean\nprint('again')").stdout == "again\n"
