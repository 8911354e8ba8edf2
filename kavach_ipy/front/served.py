"""The session's side: ipykernel's own ``do_execute`` in a sandbox, asked over the channel.

The zygote builds the kernel (`front.fresh`), which has no socket. In the session it is tied to the
channel, and one event loop lives on between cells, as in any kernel: tasks go on, and what they
print belongs to the cell that started them. Requests are served one after the other; messages to
widgets are let in while a cell awaits, as ipykernel lets them.

Guarantees: a reply follows all that its request has printed or shown; an interrupt is raised where
a request runs, also where it awaits, and nowhere else; the session ends with its channel.
Assumes: runs in the child, after "go"; the kernel's process is trusted, and everything else here is
the user's own.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kavach_ipy.fresh import renew_random
from kavach_ipy.front.asked import Inbox
from kavach_ipy.front.bringing import pack, unpack
from kavach_ipy.front.fresh import KernelRunner, count_to, stand_here
from kavach_ipy.front.isolation import isolate, renew_event_loop
from kavach_ipy.front.messages import plain
from kavach_ipy.front.publisher import Publisher
from kavach_ipy.front.selector import Selector
from kavach_ipy.front.served_kernel import ServedKernel, tie
from kavach_ipy.front.startup import run_startup
from kavach_ipy.front.tracebacks import hide_own_frames
from kavach_ipy.launch.checkpoints import hold
from kavach_ipy.wire.service import Request, reply_frame

if TYPE_CHECKING:
    from kavach_ipy.launch.link import ChildLink
    from kavach_ipy.launch.requests import CellRequest
    from kavach_ipy.wire.documents import Json

__all__ = ["ServedRunner"]


class ServedRunner(KernelRunner):
    """Serves the requests of a kernel, until there are no more."""

    kernel_class = ServedKernel

    def prepare(self, link: ChildLink) -> None:
        """Tie the kernel to the channel."""
        stand_here(self._shell)
        self._inbox = Inbox(link)
        self._publisher = Publisher(link)
        self._flush = isolate(self._shell, self._publisher, self._inbox.ask, may_ask=True)

    def run(self, link: ChildLink, cell: CellRequest) -> None:
        """Serve; the one cell is what the session is told before its first request."""
        task = cell.task
        path = task["path"]
        assert isinstance(path, list)
        sys.path[:] = [str(entry) for entry in path]
        renew_random()
        renew_event_loop()
        hide_own_frames()
        selector = Selector()
        loop = asyncio.SelectorEventLoop(selector)
        asyncio.set_event_loop(loop)
        count_to(self._shell, int(str(task["number"])))
        served = _Served(self, link, loop, selector)
        tie(self._shell, link, loop)
        link.heed_interrupts()
        run_startup(self._shell, _record(task, "profile"), _record(task, "config"))
        link.put_interrupts_off()
        self._flush()
        link.forget_interrupts()
        served.serve()

    @property
    def parts(self) -> tuple[Any, Inbox, Publisher, Callable[[], None]]:
        """What serves: the shell, the inbox, the publisher, and what flushes the streams."""
        return self._shell, self._inbox, self._publisher, self._flush


class _Served:
    """One session while it serves."""

    def __init__(
        self,
        runner: ServedRunner,
        link: ChildLink,
        loop: asyncio.AbstractEventLoop,
        selector: Selector,
    ) -> None:
        self._shell, self._inbox, self._publisher, self._flush = runner.parts
        self._kernel = self._shell.kernel
        self._link = link
        self._loop = loop
        # What a cell sets in its context is there in the next.
        self._context = contextvars.copy_context()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: Request | None = None
        self._selector = selector
        self._holding: asyncio.Task[None] | None = None
        self._arenas: dict[int, int] = {}
        self._due: tuple[int, asyncio.Future[None]] | None = None

    def serve(self) -> None:
        """Run the event loop, until the kernel's process has gone."""
        self._loop.add_reader(self._link.channel.fileno(), self._read)
        signal.signal(signal.SIGURG, self._give_way)
        self._inbox.on_request = lambda: self._loop.call_soon_threadsafe(self._take)
        while not self._inbox.is_closed:
            # A cell may stop the loop, and an interrupt that nobody catches leaves it.
            with suppress(KeyboardInterrupt):
                self._loop.run_forever()
            self._take_snapshot()

    def _give_way(self, *_: object) -> None:
        """Leave off looking something up: a cell comes. Handles SIGURG."""
        if self._running is not None and self._running.kind in {"complete", "inspect"}:
            self._link.give_way()

    def _read(self) -> None:
        self._inbox.read()
        if self._inbox.is_closed:
            os._exit(0)
        self._take()

    def _take(self) -> None:
        for request in self._inbox.take():
            # In the order in which they came along.
            has_descriptor = request.kind in {"hold", "take"} or "outputs" in request.content
            descriptor = self._inbox.take_descriptor() if has_descriptor else -1
            if request.kind == "hold":
                self._holding = self._loop.create_task(self._hold(descriptor))
                continue
            if descriptor >= 0:
                self._arenas[request.number] = descriptor
            is_comm = request.kind.startswith("comm_")
            if is_comm and self._running is not None:
                context = self._context.copy()
                task = self._loop.create_task(self._answer(request), context=context)
            else:
                task = self._loop.create_task(self._in_turn(request), context=self._context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _hold(self, answer: int) -> None:
        """Leave the loop for a snapshot, between two requests: a loop that runs is one process's.

        Args:
            answer: a pipe to the kernel's process; -1 where there is none.
        """
        if answer >= 0:
            async with self._turn:
                done: asyncio.Future[None] = self._loop.create_future()
                self._due = answer, done
                self._loop.stop()
                await done

    def _take_snapshot(self) -> None:
        due, self._due = self._due, None
        if due is None:
            return
        answer, done = due
        if hold(self._link, answer):
            # This is the snapshot, and the session from here on.
            self._selector.renew()
            self._inbox.renew()
            self._link.forget_interrupts()
            for task in self._tasks:
                # It was asked of the process before.
                task.cancel()
        done.set_result(None)

    async def _in_turn(self, request: Request) -> None:
        async with self._turn:
            await self._answer(request)

    async def _answer(self, request: Request) -> None:
        """Do what is asked, and say what became of it."""
        before, self._running = self._running, request
        content: dict[str, Any]
        try:
            self._begin(request)
            self._link.heed_interrupts()
            content = await self._do(request)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: the session goes on
            content = self._failed(error)
        if before is None:
            self._link.put_interrupts_off()
        self._flush()
        self._reply(request.number, content)
        self._running = before
        if before is None:
            self._link.forget_interrupts()
        else:
            self._begin(before)

    def _begin(self, request: Request) -> None:
        self._kernel.set_parent([], _message(request))
        self._publisher.current = str(_header(request).get("msg_id", ""))

    async def _do(self, request: Request) -> dict[str, Any]:
        content: dict[str, Any] = dict(request.content)
        match request.kind:
            case "execute":
                self._shell.execution_count = count = content.pop("count")
                # Some cells are answered by the broker, or were undone.
                count_to(self._shell, count)
                found = await self._execute(request.number, content)
                self._shell.exit_now = False
            case "complete":
                found = self._kernel.do_complete(content["code"], content["cursor_pos"])
            case "inspect":
                found = self._kernel.do_inspect(
                    content["code"],
                    content["cursor_pos"],
                    content["detail_level"],
                    set(content["omit_sections"]),
                )
            case "comm_open" | "comm_msg" | "comm_close":
                getattr(self._kernel.comm_manager, request.kind)(None, [], _message(request))
                found = {}
            case "take":
                names, (at, length) = content["names"], content["frames"]
                arena = self._arenas.pop(request.number, -1)
                unpack(self._shell, names, arena, (at, length), self._link.policy.memory)
                found = {}
            case "hold":
                raise AssertionError("answered by a pipe")
        return dict(found)

    async def _execute(self, number: int, content: dict[str, Any]) -> dict[str, Any]:
        outputs = content.pop("outputs", None)
        if outputs is None:
            found: dict[str, Any] = await self._kernel.do_execute(**content)
            return found
        before = {name: id(value) for name, value in self._shell.user_ns.items()}
        found = dict(await self._kernel.do_execute(**content))
        if found["status"] == "ok":
            arena = self._arenas.pop(number, -1)
            limit = self._link.policy.memory
            found["packed"] = [*pack(self._shell, outputs, before, arena, limit)]
        return found

    def _failed(self, error: BaseException) -> dict[str, Any]:
        """Show what nobody has shown: it came before or after the request's own lines."""
        content = {
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": traceback.format_exception(error),
        }
        if isinstance(error, KeyboardInterrupt):
            content["traceback"] = ["KeyboardInterrupt"]
        self._publisher.session_send(None, "error", content)
        return {"status": "error", **content, "payload": [], "user_expressions": {}}

    def _reply(self, number: int, content: dict[str, Any]) -> None:
        try:
            body = plain(content)
            assert isinstance(body, dict)
            self._link.send(reply_frame(number, body))
        except Exception as error:  # noqa: BLE001 - a reply that cannot be sent is one all the same
            short: dict[str, Json] = {
                "status": "error",
                "ename": type(error).__name__,
                "evalue": f"the reply cannot be sent: {error}"[:1000],
                "traceback": [],
            }
            self._link.send(reply_frame(number, short))


def _record(task: dict[str, Json], key: str) -> dict[str, Json]:
    found = task[key]
    assert isinstance(found, dict)
    return found


def _header(request: Request) -> dict[str, Any]:
    header = request.parent.get("header")
    return header if isinstance(header, dict) else {}


def _message(request: Request) -> dict[str, Any]:
    """Return the message that asked, as ipykernel's functions take it."""
    header = _header(request)
    return {
        "parent_header": {},
        "metadata": {},
        "content": {},
        **request.parent,
        "header": header,
        "msg_id": header.get("msg_id"),
        "msg_type": header.get("msg_type"),
        "buffers": list(request.buffers),
    }
