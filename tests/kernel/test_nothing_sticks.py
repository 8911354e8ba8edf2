"""A cell that changes everything it can: the notebook is what it was before, in every part."""

from __future__ import annotations

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

# Each entry is an expression of the notebook, by name, and a line that changes it.
STATE = {
    "variables": ("sorted(n for n in globals() if n[0] != '_')", "new_name = 1"),
    "a list": ("items", "items.clear()"),
    "a frame": ("frame.to_dict()", "frame.loc[0, 'a'] = 99"),
    "an array": ("array.tolist()", "array[:] = 0"),
    "modules": ("'wave' in sys.modules", "import wave"),
    "a module's content": ("math.pi", "math.pi = 3"),
    "builtins": ("'new' in dir(builtins)", "builtins.new = 1"),
    "the working directory": ("os.getcwd()", "os.chdir('/tmp')"),
    "the environment": ("dict(os.environ)", "os.environ['HOME'] = '/'; os.environ['NEW'] = '1'"),
    "sys.path": ("list(sys.path)", "sys.path.insert(0, '/new')"),
    "import hooks": ("len(sys.meta_path), len(sys.path_hooks)", "sys.meta_path *= 2"),
    "random": ("hash(random.getstate())", "random.seed(1)"),
    "random of numpy": (
        "np.random.get_state()[1].tolist(), np.random.get_state()[2:]",
        "np.random.seed(1); np.random.random(5)",
    ),
    "a generator of numpy": ("generator.bit_generator.state", "generator.random(5)"),
    "an iterator": ("iterator.__reduce__()", "next(iterator)"),
    "rcParams": (
        "plt.rcParams['lines.linewidth'], plt.rcParams['backend']",
        "plt.rcParams.update({'lines.linewidth': 9}); plt.switch_backend('svg')",
    ),
    "open figures": (
        "plt.get_fignums(), len(figure.axes), figure.axes[0].get_title()",
        "figure.axes[0].set_title('new'); figure.add_subplot(); plt.figure(); plt.close(figure)",
    ),
    "options of pandas": (
        "pd.get_option('display.max_rows')",
        "pd.set_option('display.max_rows', 3)",
    ),
    "print options of numpy": ("np.get_printoptions()", "np.set_printoptions(precision=1)"),
    "warnings filters": ("list(map(str, warnings.filters))", "warnings.simplefilter('error')"),
    "logging": (
        "logging.root.level, list(map(str, logging.root.handlers)), logging.root.disabled",
        "logging.basicConfig(level=0, force=True); logging.disable()",
    ),
    "the locale": ("locale.setlocale(locale.LC_ALL)", "locale.setlocale(locale.LC_ALL, 'C.UTF-8')"),
    "the recursion limit": ("sys.getrecursionlimit()", "sys.setrecursionlimit(300)"),
    "digits of integers": ("sys.get_int_max_str_digits()", "sys.set_int_max_str_digits(0)"),
    "the decimal context": ("str(decimal.getcontext())", "decimal.getcontext().prec = 3"),
    "signal handlers": (
        "str([signal.getsignal(n) for n in sorted(signal.valid_signals())])",
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN); signal.signal(signal.SIGINT, print)",
    ),
    "limits": ("resource.getrlimit(4), resource.getrlimit(10)", "resource.setrlimit(10, (50, 50))"),
    "the mask of files": ("umask()", "os.umask(0)"),
    "niceness": ("os.nice(0)", "os.nice(5)"),
    "the collector": ("gc.isenabled(), gc.get_threshold()", "gc.disable(); gc.set_threshold(1)"),
    "the streams": ("id(sys.stdout)", "sys.stdout = sys.stderr = open('/dev/null', 'w')"),
    "hooks of threads": ("id(threading.excepthook), id(sys.excepthook)", "sys.excepthook = print"),
    "tracing": ("sys.gettrace(), sys.getprofile()", "sys.setprofile(lambda *_: None)"),
    "settings of IPython": ("shell.xmode, shell.colors", "%xmode Minimal"),
    "magics": (
        "'mine' in shell.magics_manager.magics['line']",
        "shell.register_magic_function(len, 'line', 'mine')",
    ),
    "formatters": (
        "list(map(str, shell.display_formatter.formatters['text/html'].type_printers))",
        "shell.display_formatter.formatters['text/html'].for_type(int, str)",
    ),
    "hooks of cells": (
        "len(shell.events.callbacks['post_run_cell']), len(shell.input_transformers_cleanup)",
        "shell.events.register('post_run_cell', print); shell.input_transformers_cleanup.clear()",
    ),
    "results": ("sorted(Out), _, __", "Out.clear(); _ = 5"),
    "earlier inputs": ("In[:3], _i1", "In.clear(); _i1 = 'forged'"),
    "files of the directory": (
        "sorted(os.listdir(folder))",
        "open(f'{folder}/new', 'w').close(); os.remove(f'{folder}/kept')",
    ),
}  # fmt: skip

SETUP = """\
import builtins, decimal, gc, json, locale, logging, math, os, random, resource, signal, sys
import threading, warnings
import numpy as np, pandas as pd
%matplotlib inline
import matplotlib.pyplot as plt
shell = get_ipython()
folder = os.getcwd()
open('kept', 'w').close()
items, array = [1, [2]], np.arange(3)
frame = pd.DataFrame({'a': [1, 2]})
generator, iterator = np.random.default_rng(1), iter([1, 2, 3])
figure = plt.figure(); figure.add_subplot().set_title('mine')
shell.user_ns_hidden['figure'] = figure
def umask():
    now = os.umask(0)
    os.umask(now)
    return now
'a result'"""


@pytest.fixture(scope="module")
def prepared(kernel: Kernel) -> Kernel:
    """A notebook that has something of every kind."""
    kernel.run("import os, tempfile\nos.chdir(tempfile.mkdtemp(dir='/var/tmp'))")
    # Else figures that are open at the end of a cell are closed.
    kernel.run("%matplotlib inline\n%config InlineBackend.close_figures = False")
    run = kernel.run(SETUP)
    assert run.status == "ok", run
    return kernel


def snapshot(kernel: Kernel) -> dict[str, str]:
    """Everything of `STATE`, asked for without a cell that would be counted."""
    asked = {f"k{index}": expression for index, (expression, _) in enumerate(STATE.values())}
    run = kernel.run("", user_expressions=asked)
    found = {}
    for index, name in enumerate(STATE):
        answer = run.reply["user_expressions"][f"k{index}"]
        assert answer["status"] == "ok", (name, answer)
        found[name] = answer["data"]["text/plain"]
    return found


def test_a_cell_that_changes_everything_changes_nothing(prepared: Kernel) -> None:
    """One cell makes every change, and sees each; the notebook sees none."""
    before = snapshot(prepared)
    changes = "\n".join(
        f"try:\n    {change}\n    made += 1\nexcept BaseException as error:\n"
        f"    failed.append(({name!r}, repr(error)))"
        for name, (_, change) in STATE.items()
        if not change.startswith("%")
    )
    magics = "\n".join(change for _, change in STATE.values() if change.startswith("%"))
    # The first lines keep what the report needs; some changes would break it.
    code = (
        "write, repr_ = os.write, repr\nmade, failed = 0, []\n"
        f"{magics}\n{changes}\n"
        "written = write(1, repr_((made, failed)).encode())"
    )
    number = prepared.run("0;").reply["execution_count"]
    before = snapshot(prepared)
    run = prepared.run(f"%%sandbox\n{code}")
    assert run.status == "ok", run
    lines = sum(not change.startswith("%") for _, change in STATE.values())
    assert f"({lines}, [])" in run.stdout
    after = snapshot(prepared)
    # The cell itself is in the history, as any cell is.
    assert {name: text for name, text in after.items() if before[name] != text} == {}
    assert prepared.run("1;").reply["execution_count"] == number + 2


@pytest.mark.parametrize("name", ["a list", "rcParams", "logging", "an iterator"])
def test_the_same_change_sticks_without_the_sandbox(prepared: Kernel, name: str) -> None:
    """The snapshot sees changes: else the test above would compare nothing."""
    expression, change = STATE[name]
    before = prepared.value(expression)
    assert prepared.run(change).status == "ok"
    assert prepared.value(expression) != before
