"""Loading adds, unloading takes away, and neither starts anything."""

from __future__ import annotations

import ast

import pytest

from tests.kernel.kernels import Kernel

pytestmark = pytest.mark.kernel

CENSUS = """
import os, sys, builtins
# IPython 9 loads its own magics when they are first used, these among them.
%load_ext json
%unload_ext json
def census():
    shell = get_ipython()
    return {
        "methods": sorted(name for name in vars(shell) if callable(vars(shell)[name])),
        "magics": {kind: dict(table) for kind, table in shell.magics_manager.magics.items()},
        "registry": sorted(shell.magics_manager.registry),
        "matchers": list(shell.Completer.custom_matchers),
        "configurables": [id(it) for it in shell.configurables],
        "events": {name: list(calls) for name, calls in shell.events.callbacks.items()},
        "transformers": (list(shell.ast_transformers), list(shell.input_transformers_post)),
        "streams": (sys.stdout, sys.stderr, sys.displayhook, builtins.input),
        "display": (shell.display_pub, shell.displayhook),
        "send": shell.kernel.session.send.__func__.__qualname__,
        "names": sorted(name for name in shell.user_ns if not name.startswith("_")),
    }
def living():
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
"""


def test_unload_leaves_the_shell_as_it_was(fresh_kernel: Kernel) -> None:
    """Every table of the shell is compared, before and after."""
    fresh_kernel.run(CENSUS)
    fresh_kernel.run("before = changed = None\nbefore = census()")
    assert fresh_kernel.run("%load_ext kavach_ipy").status == "ok"
    assert fresh_kernel.value("'sandbox' in get_ipython().magics_manager.magics['cell']") == "True"
    assert fresh_kernel.run("%unload_ext kavach_ipy").status == "ok"
    fresh_kernel.run("changed = [key for key, now in census().items() if now != before[key]]")
    assert fresh_kernel.value("changed") == "[]"


def test_load_adds_and_replaces_nothing(fresh_kernel: Kernel) -> None:
    """After loading, what was there is still there, the very same objects."""
    fresh_kernel.run(CENSUS)
    fresh_kernel.run("before = after = None\nbefore = census()")
    fresh_kernel.run("%load_ext kavach_ipy\nafter = census()")
    same = ("methods", "transformers", "streams", "display", "send")
    assert fresh_kernel.value(f"[k for k in {same!r} if after[k] != before[k]]") == "[]"
    assert (
        fresh_kernel.value(
            "all(after['magics'][kind].get(name) == magic"
            " for kind in before['magics'] for name, magic in before['magics'][kind].items())"
        )
        == "True"
    )
    assert (
        fresh_kernel.value(
            "all(after['events'][name][:len(calls)] == calls"
            " for name, calls in before['events'].items())"
        )
        == "True"
    )


def test_load_starts_no_thread_process_or_descriptor(fresh_kernel: Kernel) -> None:
    """Loading costs memory and nothing else that lasts."""
    fresh_kernel.run(CENSUS)
    before = fresh_kernel.value("living()")
    fresh_kernel.run("%load_ext kavach_ipy")
    # A descriptor of the kernel's own may come to its end meanwhile, and none may be added.
    threads, descriptors = ast.literal_eval(fresh_kernel.value("living()"))
    assert (threads, True) == (
        ast.literal_eval(before)[0],
        descriptors <= ast.literal_eval(before)[1],
    )
    assert fresh_kernel.value("open('/proc/self/task/%d/children' % os.getpid()).read()") == "''"


def test_loading_again_and_reloading_are_harmless(fresh_kernel: Kernel) -> None:
    """One matcher, one entry for ``%config``, whatever the user types."""
    fresh_kernel.run("%load_ext kavach_ipy")
    fresh_kernel.run("import kavach_ipy\nkavach_ipy.load_ipython_extension(get_ipython())")
    assert fresh_kernel.run("%reload_ext kavach_ipy").status == "ok"
    count = (
        "len(get_ipython().Completer.custom_matchers),"
        " [type(it).__name__ for it in get_ipython().configurables].count('Kavach')"
    )
    assert fresh_kernel.value(count) == "(1, 1)"
    assert fresh_kernel.run("%sandbox --help").status == "ok"


def test_a_cell_magic_of_somebody_else_is_left_alone(fresh_kernel: Kernel) -> None:
    """Where ``%%sandbox`` is taken we say so and are ``%%kavach``, and theirs works on."""
    fresh_kernel.run(
        "from IPython.core.magic import register_cell_magic\n"
        "@register_cell_magic\ndef sandbox(line, cell):\n    print('theirs')"
    )
    run = fresh_kernel.run("%load_ext kavach_ipy")
    assert run.status == "ok"
    assert "%%kavach" in run.stderr
    assert fresh_kernel.run("%%sandbox\n1").stdout == "theirs\n"
    assert "--timeout TIME" in fresh_kernel.run("%%kavach --help\n1").stdout
    fresh_kernel.run("%unload_ext kavach_ipy")
    assert fresh_kernel.run("%%sandbox\n1").stdout == "theirs\n"


TAKE = """
from IPython.core.magic import register_cell_magic, register_line_magic
theirs = lambda line, cell=None: print("theirs")
"""


def test_a_magic_that_is_taken_later_is_noticed_at_once(fresh_kernel: Kernel) -> None:
    """Below the cell that takes ``%%sandbox`` stands who has it, once, and ours is ``%%kavach``."""
    fresh_kernel.run("%load_ext kavach_ipy" + TAKE)
    run = fresh_kernel.run("register_cell_magic('sandbox')(theirs)")
    assert "%%sandbox belongs to __main__ now: a cell below it is not sandboxed" in run.stderr
    assert "%%kavach" in run.stderr
    again = fresh_kernel.run("%%sandbox\n1")
    assert (again.stdout, again.stderr) == ("theirs\n", "")
    assert fresh_kernel.run("%%kavach\nimport os\nprint(os.getpid() < 9)").stdout == "True\n"
    fresh_kernel.run("%unload_ext kavach_ipy")
    assert fresh_kernel.run("%%sandbox\n1").stdout == "theirs\n"
    assert fresh_kernel.value("'kavach' in get_ipython().magics_manager.magics['cell']") == "False"


def test_a_magic_that_is_taken_between_two_cells_is_noticed_before_the_next(
    fresh_kernel: Kernel,
) -> None:
    """A thread, a comm or an event may take it: the next cell says so above what it prints."""
    fresh_kernel.run("%load_ext kavach_ipy" + TAKE)
    fresh_kernel.run(
        "get_ipython().events.register(\n"
        "    'post_run_cell', lambda result: register_line_magic('sandbox')(theirs))"
    )
    run = fresh_kernel.run("%sandbox 1")
    assert "%sandbox belongs to __main__ now" in run.stderr
    assert run.stdout == "theirs\n"


def test_a_magic_that_is_still_ours_is_not_spoken_of(fresh_kernel: Kernel) -> None:
    """Other names that are registered, and ours given back, leave no line."""
    fresh_kernel.run("%load_ext kavach_ipy" + TAKE)
    assert fresh_kernel.run("register_cell_magic('other')(theirs)").stderr == ""
    fresh_kernel.run("mine = get_ipython().magics_manager.magics['cell']['sandbox']")
    taken = (
        "get_ipython().magics_manager.magics['cell']['sandbox'] = theirs\n"
        "get_ipython().magics_manager.magics['cell']['sandbox'] = mine"
    )
    assert fresh_kernel.run(taken).stderr == ""


def test_settings_come_from_the_configuration(fresh_kernel: Kernel) -> None:
    """What a configuration file says holds from the first cell; nonsense loads nothing."""
    fresh_kernel.run("get_ipython().config.Kavach.memory = '96M'")
    fresh_kernel.run("%load_ext kavach_ipy")
    assert "96MiB of new memory" in fresh_kernel.run("%kavach explain").stdout
    fresh_kernel.run("%unload_ext kavach_ipy")
    fresh_kernel.run("get_ipython().config.Kavach.policy_file = 'policy.toml'")
    assert fresh_kernel.run("%load_ext kavach_ipy").error["ename"] == "TraitError"
    assert "not found" in fresh_kernel.run("%%sandbox\n1").stderr
