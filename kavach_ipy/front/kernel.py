"""The kernel that a front end sees where every cell is sandboxed: it runs none itself.

It has the sockets, the keys, the history and the settings. What is asked of it and would run code
of the user's goes to the session by `front.broker`; the rest is ipykernel's own.

Guarantees: no cell, completion, inspection, expression or widget message runs in this process;
what cannot be had in a session is not advertised in ``kernel_info``, and refused with a reason.
Assumes: `front.app` started it, with the configuration that its launcher named.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ipykernel import ipkernel
from IPython.core.error import UsageError

from kavach_ipy.errors import KavachError
from kavach_ipy.front.broker import Broker
from kavach_ipy.front.execution import COMM_KINDS, execution_of
from kavach_ipy.front.meanwhile import Meanwhile
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.startup_files import profile_texts, shell_sections

__all__ = ["SandboxKernel"]

_NOT_IN_A_SESSION: Final = frozenset({"kernel subshells", "debugger"})
# ipykernel annotates little, and otherwise from version to version.
_IPythonKernel: Any = ipkernel.IPythonKernel


class SandboxKernel(_IPythonKernel):  # type: ignore[misc] # as said above
    """An IPython kernel whose cells all run in one sandboxed session."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = Kavach(parent=self)
        # A cell imports from the notebook's directory, as in any kernel; this process never does.
        startup: dict[str, Any] = {
            "profile": {} if self.profile_dir is None else profile_texts(self.profile_dir.location),
            "config": shell_sections(self.config),
        }
        self.broker = Broker(self, self.settings, ["", *sys.path], startup)
        self._meanwhile = Meanwhile(self, lambda: self.broker.is_busy)
        self._answers: set[asyncio.Task[None]] = set()
        for kind in COMM_KINDS:
            self.shell_handlers[kind] = partial(self._comm, kind)
        for handlers in (self.shell_handlers, self.control_handlers):
            handlers["comm_info_request"] = self._comm_info
        # ipykernel looks widgets up here, and would warn of each that lives in the session.
        self.comm_manager.get_comm = _no_comm

    def start(self) -> None:
        """Begin to serve, and begin the session, so that the first cell need not wait."""
        super().start()
        # Between and in requests alike, it is the cell's; where none runs, nobody's.
        signal.signal(signal.SIGINT, self.broker.interrupt)
        with suppress(KavachError, UsageError):
            # Said with the first cell.
            self.broker.start()

    async def shell_main(self, subshell_id: Any, msg: Any) -> None:
        """Take a request of the shell channel (ipykernel 7)."""
        if self._meanwhile.is_due(msg):
            await self._meanwhile.answer(msg)
        else:
            await super().shell_main(subshell_id, msg)

    def schedule_dispatch(self, dispatch: Any, *args: Any) -> None:
        """Take a request of the shell channel (ipykernel 6), before it waits for its turn."""
        if args and dispatch == self.dispatch_shell and self._meanwhile.is_due(args[0]):
            task = asyncio.ensure_future(self._meanwhile.answer(args[0]))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
        else:
            super().schedule_dispatch(dispatch, *args)

    def pre_handler_hook(self) -> None:
        """Leave SIGINT alone: raised in this process, it would end the kernel."""

    def post_handler_hook(self) -> None:
        """Leave SIGINT alone."""

    @property
    def kernel_info(self) -> dict[str, Any]:
        """What this kernel can do, less what a session cannot have."""
        info: dict[str, Any] = dict(super().kernel_info)
        features = info.get("supported_features", ())
        info["supported_features"] = [it for it in features if it not in _NOT_IN_A_SESSION]
        if "debugger" in info:
            info["debugger"] = False
        return info

    async def do_execute(self, *args: Any, cell_meta: Any = None, **options: Any) -> Any:
        """Run a cell in the session."""
        # ipykernel looks at the names of the arguments: "cell_id" is in "options".
        cell = execution_of(self, *args, cell_meta=cell_meta, **options)
        return await self._in_loop(self.broker.execute(cell))

    async def do_complete(self, code: str, cursor_pos: int | None) -> dict[str, Any]:
        """Complete in the session."""
        found: dict[str, Any] = await self._in_loop(self.broker.lookups.complete(code, cursor_pos))
        return found

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
    ) -> dict[str, Any]:
        """Look something up in the session."""
        looked_up = self.broker.lookups.inspect(
            code, cursor_pos, detail_level, tuple(omit_sections)
        )
        found: dict[str, Any] = await self._in_loop(looked_up)
        return found

    def do_apply(self, content: Any, bufs: Any, msg_id: str, reply_metadata: Any) -> Any:
        """Refuse what ipyparallel asks: it is a pickle, and would be loaded here."""
        del content, bufs, msg_id, reply_metadata
        failure = {
            "status": "error",
            "ename": "NotImplementedError",
            "evalue": "a sandboxed kernel takes no apply_request: it holds pickled functions.",
            "traceback": [],
        }
        return failure, []

    async def do_debug_request(self, msg: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse the debugger, which would listen in this process."""
        return {
            "type": "response",
            "request_seq": msg.get("seq", 0),
            "success": False,
            "command": msg.get("command", ""),
            "message": "a sandboxed kernel has no debugger; pdb works in a cell.",
        }

    async def poll_stopped_queue(self) -> None:
        """Wait for no debugger: there is none that could stop."""

    def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End the session first: nothing of it outlives the kernel."""
        self.broker.close()
        reply: dict[str, Any] = super().do_shutdown(restart)
        return reply

    async def _in_loop(self, work: Any) -> Any:
        """Await in the kernel's main loop, whichever loop asks."""
        loop: asyncio.AbstractEventLoop = self.io_loop.asyncio_loop
        if asyncio.get_running_loop() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    async def _comm(self, kind: Any, stream: Any, ident: Any, parent: Mapping[str, Any]) -> None:
        del stream, ident
        await self._in_loop(self.broker.comm(kind, parent))

    async def _comm_info(self, stream: Any, ident: Any, parent: Mapping[str, Any]) -> None:
        content = await self._in_loop(self.broker.lookups.comm_info(parent))
        self.session.send(stream, "comm_info_reply", content, parent, ident)


def _no_comm(comm_id: str) -> None:
    del comm_id
