"""The shell in the forked child, cut off from the notebook's kernel and tied to the channel.

Every byte that an ipykernel publishes goes through ``jupyter_client.session.Session.send``:
display, results, streams, comms. In the child that one method hands the message to the link, and
IPython and ipykernel run unchanged around it. A shell without a kernel gets a publisher and a
display hook that do the same.

Guarantees: nothing that the shell does reaches the kernel's sockets, history file, event loop or
exit handlers; the kernel's session key is emptied. Replacements are the child's own: the notebook's
objects are those of another process.
Assumes: called in the child, while the parent verifies it; opens nothing and starts nothing.
"""

from __future__ import annotations

import asyncio
import atexit
import fnmatch
import importlib
import os
import sys
import threading
from collections.abc import Callable, KeysView, Sequence
from typing import Any, Final, cast

from IPython.core import async_helpers
from IPython.core.displaypub import CapturingDisplayPublisher

from kavach_ipy.front.messages import Sender
from kavach_ipy.front.shells import Kernel, OutStream, Shell, display_pager
from kavach_ipy.front.streams import Relay, repair_outstream
from kavach_ipy.front.terminal import Ask, tie_terminal

__all__ = ["isolate", "renew_event_loop"]

# Far more inputs than a cell can have: the history manager then never opens its file to write.
_NEVER: Final = 1 << 60
_DEBUGGER_PROMPTS: Final = ("(Pdb) ", "ipdb> ")


def isolate(shell: Shell, sender: Sender, ask: Ask, *, may_ask: bool) -> Callable[[], None]:
    """Cut ``shell`` off from the notebook, and return what flushes the cell's streams.

    Args:
        shell: the notebook's shell, as the fork copied it.
        sender: where messages go.
        ask: asks the user for a line.
        may_ask: whether that can have an answer.
    """
    # They belong to the notebook (ipykernel's waits for threads that a fork leaves behind).
    atexit._clear()  # noqa: SLF001 - there is no other way to forget them
    _stop_history(shell)
    # IPython keeps what %cd and %store note in files of the profile, which is no place inside.
    shell.db = _Notes()
    if not os.access(os.environ.get("SHELL", ""), os.X_OK):
        # What "!" starts commands by lies where the cell cannot see it; /bin/sh does as well.
        os.environ.pop("SHELL", None)
    kernel: Kernel | None = getattr(shell, "kernel", None)
    if kernel is None:
        streams = tie_terminal(shell, sender, ask)
    else:
        streams = _tie_kernel(shell, kernel, sender, ask)
    # %%capture in the notebook replaces these; in the child nobody would read what it captures.
    sys.displayhook = cast("Callable[[object], None]", shell.displayhook)
    if may_ask:
        # A debugger of the front end's (debugpy's hook) listens to the notebook, not to its fork.
        sys.breakpointhook = _break_here
    # A pager is a payload of the kernel's reply, and the reply is not the child's to make.
    shell.set_hook("show_in_pager", display_pager(), 0)
    originals = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, *streams)

    def flush() -> None:
        for stream in dict.fromkeys((sys.stdout, sys.stderr, *originals)):
            try:
                stream.flush()  # type: ignore[union-attr]
            except (AttributeError, OSError, ValueError):
                # The cell may have closed or replaced it.
                continue

    return flush


def renew_event_loop() -> None:
    """Give the child an event loop of its own; its descriptors are the cell's, so after "go"."""
    # The fork may come from inside a running loop (ipykernel's), whose epoll descriptor was shared
    # with the kernel. asyncio forgets a running loop only where the process id differs, and inside
    # a PID namespace it may be equal.
    asyncio._set_running_loop(None)  # noqa: SLF001 - made for event loops, which forks need too
    # Its own comes with the first use: most cells have none, and it takes three descriptors.
    policy = _event_loop_policy()
    policy.set_event_loop(None)
    look_up: Callable[[], asyncio.AbstractEventLoop] = policy.get_event_loop

    def get_event_loop() -> asyncio.AbstractEventLoop:
        try:
            return look_up()
        except RuntimeError:
            policy.set_event_loop(policy.new_event_loop())
            return look_up()

    policy.get_event_loop = get_event_loop
    # IPython keeps a loop of its own for top-level await.
    async_helpers._asyncio_event_loop = None  # noqa: SLF001


def _event_loop_policy() -> Any:
    # Python 3.14 deprecates the public name, and asyncio itself goes on by the private one.
    private: Callable[[], object] | None = getattr(asyncio.events, "_get_event_loop_policy", None)
    return asyncio.get_event_loop_policy() if private is None else private()


class _Notes(dict[str, object]):
    """Stands in for ``IPython.external.pickleshare.PickleShareDB``; forgotten with the cell."""

    def keys(self, globpat: str | None = None) -> KeysView[str]:  # type: ignore[override]
        """Return the keys, or those that match a pattern."""
        names = super().keys()
        if globpat is None:
            return names
        return dict.fromkeys(fnmatch.filter(names, globpat)).keys()


def _stop_history(shell: Shell) -> None:
    history = shell.history_manager
    if history is None:
        return
    # The thread that saves the history may have held one of them at the fork, and is not here to
    # let it go. IPython 9 stops that thread before a fork, IPython 8 does not.
    history.db_input_cache_lock = threading.Lock()
    history.db_output_cache_lock = threading.Lock()
    history.db_cache_size = _NEVER
    history.db_log_output = False
    history.enabled = False
    if hasattr(history, "using_thread"):
        history.using_thread = False


def _tie_kernel(shell: Shell, kernel: Kernel, sender: Sender, ask: Ask) -> Sequence[object]:
    # No kernel, no ipykernel. Loaded long before the fork, and looked up without the import system,
    # whose pages would be copied for it.
    iostream = sys.modules["ipykernel.iostream"]
    make = cast("Callable[..., OutStream]", iostream.OutStream)
    session = kernel.session
    # Emptying the key also drops the HMAC object that was made from it (Session._key_changed).
    session.key = b""
    session.send = _drop
    relay = Relay()
    streams: list[object] = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, iostream.OutStream):
            # Captured, by %%capture or by redirect_stdout: the capture stays in the notebook.
            terminal = _isatty(stream)
            stream = make(session, kernel.iopub_thread, name, watchfd=False, isatty=terminal)
            setattr(sys, name, stream)
        repair_outstream(cast("OutStream", stream), relay)
        streams.append(stream)
    session.send = sender.session_send
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        shell.init_display_pub()
        shell.display_pub.session = session
        shell.display_pub.pub_socket = kernel.iopub_socket

    def input_request(
        prompt: str, ident: object = None, parent: object = None, password: bool = False
    ) -> str:
        del ident, parent
        try:
            return ask(prompt, password)
        except EOFError as error:
            if prompt in _DEBUGGER_PROMPTS and error.args:
                # pdb takes the end of its input for "quit", and says nothing of the reason.
                sys.stderr.write(f"{error}\n")
            raise

    # What input() does is the sandbox's to say, not the front end's.
    kernel._allow_stdin = True  # noqa: SLF001
    kernel._input_request = input_request  # noqa: SLF001 - input, getpass, pdb end there
    return streams


def _break_here(*args: object, **kwargs: object) -> None:
    """Be what ``breakpoint()`` calls: pdb, which IPython may have replaced by its own."""
    del args, kwargs
    pdb = importlib.import_module("pdb")
    pdb.Pdb().set_trace(sys._getframe(1))  # noqa: SLF001 - pdb has no other way to name a frame


def _drop(*args: object, **kwargs: object) -> None:
    """Take a message that is not the cell's, and send nothing."""


def _isatty(stream: object) -> bool:
    return bool(getattr(stream, "isatty", bool)())
