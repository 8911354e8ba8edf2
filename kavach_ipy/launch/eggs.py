"""Interpreters that become zygotes: exec'd, and told afterwards of which breed they are.

An interpreter needs a quarter of a second to import what a shell's cells are run by, and the
process that will ask for a zygote imports much of the same meanwhile. So a kernel *lays* an egg
with its first lines, before it knows its settings: `lay`.

Guarantees: one that was laid has no variable of the environment that its breed has not, and finds
modules where its breed does, or it is not used; it inherits no descriptor but its own socket.
Assumes: the interpreter of this process can be exec'd once more; importing this module stays cheap.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch.processes import Process, is_readable

__all__ = ["Egg", "forget_laid", "lay", "search_path", "take_egg"]

_END_SECONDS: Final = 30.0
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What the interpreter itself and the modules that it imports first look at. A policy may take these
# out of a cell's environment, too; then `take_egg` passes the egg over.
_EARLY: Final = ("HOME", "LANG", "LANGUAGE", "TZ", "USER")
_EARLY_PREFIX: Final = "LC_"
# -I keeps the environment, the user's site and the notebook's directory out of the search path;
# then it is what this process found its packages by, less that directory. This package is the very
# one that runs here, wherever it lies: both sides must understand each other.
_BOOT: Final = """\
import sys
from importlib.util import module_from_spec, spec_from_file_location
package, count = sys.argv[1], int(sys.argv[2])
sys.path[:] = sys.argv[3 : 3 + count]
del sys.argv[1 : 3 + count]
spec = spec_from_file_location("kavach_ipy", package)
sys.modules["kavach_ipy"] = module = module_from_spec(spec)
spec.loader.exec_module(module)
from kavach_ipy.launch.zygote import main
main()
"""


@dataclass(frozen=True, slots=True)
class Egg:
    """An interpreter that imports what runs cells, and waits to be told of its breed."""

    program: subprocess.Popen[bytes]
    process: Process
    control: socket.socket
    said: int
    """A file with what it wrote so far, to be quoted where it fails."""

    def end(self) -> None:
        """Kill and reap it."""
        os.close(self.said)
        self.control.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.program.wait(_END_SECONDS)
        os.close(self.process.fd)


@dataclass(frozen=True, slots=True)
class _Laid:
    """An egg that nobody has taken yet, and what it was made with."""

    egg: Egg
    entry: str
    search_path: tuple[str, ...]
    environment: Mapping[str, str]
    owner: int


_laid: list[_Laid] = []


def lay(entry: str) -> None:
    """Exec an interpreter, for the one zygote with this entry that this process will need.

    Where it cannot be exec'd, the zygote's own start will say why.

    Args:
        entry: what runs its cells, as in `launch.zygotes.Breed`.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _EARLY or name.startswith(_EARLY_PREFIX)
    }
    path = search_path()
    with suppress(SetupFailed):
        _laid.append(_Laid(_exec(entry, path, environment), entry, path, environment, os.getpid()))


def take_egg(entry: str, path: tuple[str, ...], environment: Mapping[str, str]) -> Egg:
    """Return the egg that was laid, where it is as asked for, or a fresh one.

    Args:
        entry: what runs its cells.
        path: where it finds modules.
        environment: all that its cells may see of the environment.

    Raises:
        SetupFailed: it cannot be exec'd.
    """
    while _laid:
        laid = _laid.pop()
        if laid.owner != os.getpid():
            continue
        is_alive = not is_readable(laid.egg.process.fd, 0)
        is_narrower = laid.environment.items() <= environment.items()
        if is_alive and is_narrower and (laid.entry, laid.search_path) == (entry, path):
            return laid.egg
        laid.egg.end()
    return _exec(entry, path, environment)


def forget_laid() -> None:
    """End what was laid and not taken."""
    while _laid:
        laid = _laid.pop()
        if laid.owner == os.getpid():
            laid.egg.end()


def search_path() -> tuple[str, ...]:
    """Where this process finds modules, without the notebook's directory.

    What lies there is the notebook's to import, and not the zygote's, which is not confined.
    """
    here = os.path.realpath(os.curdir)
    found = [path for path in sys.path if os.path.isabs(path) and os.path.realpath(path) != here]
    # What came with this package may lie there. Last, so that nothing there stands in front.
    return (*found, os.path.dirname(_PACKAGE))


def _exec(entry: str, path: tuple[str, ...], environment: Mapping[str, str]) -> Egg:
    said = os.memfd_create("kavach-zygote", os.MFD_CLOEXEC)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    paths = (os.path.join(_PACKAGE, "__init__.py"), str(len(path)), *path)
    arguments = (str(theirs.fileno()), str(os.getpid()), entry)
    try:
        with theirs:
            program = subprocess.Popen(  # noqa: S603 - our own program, in our own interpreter
                [sys.executable, "-I", "-c", _BOOT, *paths, *arguments],
                # The very file that this process runs (launch.program watches it), under the name
                # by which it finds its environment.
                executable="/proc/self/exe",
                env=_completed(environment),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                close_fds=True,
                pass_fds=(theirs.fileno(),),
                # A terminal's Ctrl-C goes to a whole process group, and is the kernel's.
                start_new_session=True,
            )
    except OSError as error:
        os.close(said)
        ours.close()
        raise SetupFailed("zygote", "exec", error.errno or 0, f"{sys.executable}.") from error
    return Egg(program, Process(program.pid, os.pidfd_open(program.pid)), ours, said)


def _completed(environment: Mapping[str, str]) -> dict[str, str]:
    # pyarrow, which pandas loads, brings an allocator that starts a thread: jemalloc(3), TUNING.
    found = {"JE_ARROW_MALLOC_CONF": "background_thread:false", **environment}
    # Where the loader finds the interpreter's own libraries: ld.so(8). The cell does not see it.
    if "LD_LIBRARY_PATH" in os.environ:
        found["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return found
