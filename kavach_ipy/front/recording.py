"""The audit of a broker's cells: an event each, as of any sandboxed cell (`kavach_ipy.audit`).

Guarantees: where the audit is required, a cell that cannot be recorded does not run; the kernel's
loop waits for no disk.
Assumes: called in the kernel's loop, one cell at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kavach_ipy.errors import CellFailed, CellStopped
from kavach_ipy.front.auditing import Auditor, source_of
from kavach_ipy.gate.outcome import Outcome

if TYPE_CHECKING:
    from kavach_ipy.audit.record import Audit, Recording
    from kavach_ipy.front.origins import Origin
    from kavach_ipy.front.settings import Kavach
    from kavach_ipy.policy import Policy

__all__ = ["Recorder", "finish"]


class Recorder:
    """Records the cells of one broker."""

    def __init__(self, kernel: Any, settings: Kavach) -> None:
        self._kernel = kernel
        self._settings = settings
        self._auditor = Auditor()
        self._thread: ThreadPoolExecutor | None = None

    def hiding(self, policy: Policy) -> Policy:
        """Return the policy with the log out of the session's reach.

        Raises:
            CannotEnforce: it cannot be hidden.
        """
        audit = self._audit()
        return policy if audit is None else audit.hiding(policy)

    @asynccontextmanager
    async def cell(self, code: str, policy: Policy) -> AsyncIterator[Recording | None]:
        """Record one cell; None where the settings ask for no audit.

        Raises:
            CannotEnforce: the audit is required, and the beginning cannot be written.
            UsageError: a hook cannot be imported.
        """
        audit = self._audit()
        if audit is None:
            yield None
            return
        block = audit.cell(source_of(self._kernel.shell, code), policy)
        record = await self._apart(block.__enter__)
        try:
            yield record
        except BaseException as error:
            told = type(error), error, error.__traceback__
            await self._apart(lambda: block.__exit__(*told))
            raise
        else:
            await self._apart(lambda: block.__exit__(None, None, None))

    def status(self) -> str:
        """Return a line that says whether cells are recorded, where, and what failed last.

        Raises:
            FileRefused: a policy file cannot be relied on.
        """
        return self._auditor.status(self._settings)

    def close(self) -> None:
        """End the log."""
        self._auditor.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)

    def _audit(self) -> Audit | None:
        return self._auditor.audit_for(self._kernel.shell, self._settings)

    async def _apart(self, work: Callable[[], Any]) -> Any:
        """Work in a thread of its own, whose life is that of the broker."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="kavach-audit")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def finish(
    record: Recording | None,
    origin: Origin,
    report: object,
    end: CellFailed | CellStopped | None,
) -> None:
    """Take what became of a cell.

    Args:
        record: of the cell; None where there is no audit.
        origin: what it has shown.
        report: what was verified of its session.
        end: why it failed or was stopped; None where it did not.
    """
    if record is not None:
        record.finished(Outcome(failure=end, report=report), {}, None)
        record.counted(origin.counts)
