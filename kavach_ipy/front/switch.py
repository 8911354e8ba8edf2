"""``c.Kavach.default_on`` and ``%kavach on|off``: every cell of an ordinary kernel in a session.

The kernel goes on as the process that it is, with the variables that it has; what it is asked to
run goes to a broker (`front.broker`) instead of its own shell. It has run the user's code already,
so this protects from the cells to come, and is no boundary against whoever owns the notebook: for
that there is `front.app`.

Guarantees: `off` and unloading leave the kernel as it was; switching twice is switching once.
Assumes: an ipykernel, whose instance may have functions of its own in the place of methods.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError

from kavach_ipy.errors import PolicyError

if TYPE_CHECKING:
    from kavach_ipy.front.broker import Broker
    from kavach_ipy.front.settings import Kavach

__all__ = ["Switch"]

_METHODS: Final = ("do_execute", "do_complete", "do_inspect")


class Switch:
    """Turns the sandbox on and off for all cells of one kernel."""

    def __init__(self, shell: Any, settings: Kavach) -> None:
        self._kernel: Any = getattr(shell, "kernel", None)
        self._settings = settings
        self._broker: Broker | None = None
        self._before: dict[str, Any] = {}

    @property
    def broker(self) -> Broker | None:
        """Who runs the cells; None where the kernel itself does."""
        return self._broker

    def on(self) -> None:
        """Let every cell from the next one on run in a session.

        Raises:
            UsageError: there is no kernel, or the settings contradict each other.
        """
        if self._broker is not None:
            return
        if self._kernel is None:
            raise UsageError(
                "cells can be sandboxed by default in a Jupyter kernel only; in a terminal, begin"
                " them with %%sandbox"
            )
        # Loads all that a sandbox is made of, which %load_ext need not wait for.
        from kavach_ipy.front.broker import Broker  # noqa: PLC0415
        from kavach_ipy.front.execution import COMM_KINDS, execution_of  # noqa: PLC0415
        from kavach_ipy.front.making import policy_for  # noqa: PLC0415

        try:
            policy_for(self._settings)
        except PolicyError as error:
            raise UsageError(f"c.Kavach.{error}") from error
        kernel = self._kernel
        self._broker = broker = Broker(kernel, self._settings, switch=self)

        async def do_execute(*args: Any, **options: Any) -> dict[str, Any]:
            return await broker.execute(execution_of(kernel, *args, **options))

        async def comm_info(stream: Any, ident: Any, parent: Any) -> None:
            content = await broker.lookups.comm_info(parent)
            kernel.session.send(stream, "comm_info_reply", content, parent, ident)

        def do_inspect(
            code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
        ) -> Any:
            return broker.lookups.inspect(code, cursor_pos, detail_level, tuple(omit_sections))

        async def comm(kind: Any, stream: Any, ident: Any, parent: Any) -> None:
            del stream, ident
            await broker.comm(kind, parent)

        functions = (do_execute, broker.lookups.complete, do_inspect)
        for name, function in zip(_METHODS, functions, strict=True):
            setattr(kernel, name, function)
        handlers: dict[str, Any] = {kind: partial(comm, kind) for kind in COMM_KINDS}
        handlers["comm_info_request"] = comm_info
        self._before = {name: kernel.shell_handlers[name] for name in handlers}
        kernel.shell_handlers.update(handlers)

    def off(self) -> None:
        """Let the kernel run its cells itself again, and end the session."""
        broker, self._broker = self._broker, None
        if broker is None:
            return
        for name in _METHODS:
            # The class's own is there again.
            vars(self._kernel).pop(name, None)
        self._kernel.shell_handlers.update(self._before)
        broker.close()
