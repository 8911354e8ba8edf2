"""What the settings say of an audit, and the one `Audit` of a notebook that follows from it.

Guarantees: nothing is loaded or started while the audit is off; a setting that is changed takes
effect with the next cell, in a log of its own.
Assumes: called in the thread that runs cells. Where a cell stands is what the front end says.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from IPython.core.error import UsageError
from traitlets import Bool, TraitError, Unicode, validate

from kavach_ipy.errors import PolicyError
from kavach_ipy.front.floor import Floored
from kavach_ipy.front.kinds import Proposal, texts
from kavach_ipy.front.words import say
from kavach_ipy.policy.auditing import AuditMode, stricter

if TYPE_CHECKING:
    from kavach_ipy.audit.hooks import Hook
    from kavach_ipy.audit.record import Audit
    from kavach_ipy.audit.source import CellSource
    from kavach_ipy.front.shells import Shell

__all__ = ["AuditSettings", "Auditor", "source_of"]

_CALLABLE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")


class AuditSettings(Floored):
    """The settings of the audit, a part of `kavach_ipy.front.settings.Kavach`."""

    audit = Unicode(
        AuditMode.OFF.value,
        help="Record each sandboxed cell, as off, on or required. By default off. With required no"
        " cell runs that cannot be recorded; with on it runs, and you are told.",
    ).tag(config=True)
    audit_directory = Unicode(
        "",
        help="Where logs go, as an absolute path. By default ~/.local/state/kavach/audit. It is"
        " hidden from cells; whoever may write there can take whole logs away.",
    ).tag(config=True)
    audit_key = Unicode(
        "",
        help="File of the secret that logs are authenticated by, as an absolute path. By default"
        " each log has one of its own beside it. Who reads the secret can forge a log.",
    ).tag(config=True)
    audit_code = Bool(
        False,
        help="Keep the text of cells in the log, as a yes or no. By default off: their hash alone."
        " Cells often hold what should be in no log, such as passwords.",
    ).tag(config=True)
    audit_hooks = texts(
        (),
        "Python callables that hear each event, as module.callable. By default none;"
        " kavach_ipy.audit.add_hook adds one for this notebook. They run in the notebook, without a"
        " sandbox.",
    )

    @validate("audit")
    def _check_audit(self, proposal: Proposal) -> object:
        if proposal["value"] not in list(AuditMode):
            allowed = ", ".join(AuditMode)
            raise TraitError(
                f"c.Kavach.audit: {proposal['value']!r} is not allowed; allowed are {allowed}"
            )
        return proposal["value"]

    @validate("audit_directory", "audit_key")
    def _check_place(self, proposal: Proposal) -> object:
        path = os.path.expanduser(cast("str", proposal["value"]))
        if path and (not os.path.isabs(path) or "\0" in path):
            name = proposal["trait"].name
            raise TraitError(f"c.Kavach.{name}: {path!r} is not allowed; an absolute path is")
        return path

    @validate("audit_hooks")
    def _check_hooks(self, proposal: Proposal) -> object:
        # They are imported with the first cell: a module of the notebook's is not there yet.
        for name in cast("list[str]", proposal["value"]):
            if _CALLABLE.fullmatch(name) is None:
                raise TraitError(
                    f"c.Kavach.audit_hooks: {name!r} is not allowed; module.callable is"
                )
        return proposal["value"]


class Auditor:
    """Has the `Audit` that the settings ask for."""

    def __init__(self) -> None:
        self._made_by: _Wanted | None = None
        self._audit: Audit | None = None
        self._emit: Hook | None = None

    def audit_for(self, shell: Shell, settings: AuditSettings) -> Audit | None:
        """Return the audit of the next cell; None where there is none.

        Raises:
            UsageError: a hook cannot be imported; nothing ran.
            FileRefused: a policy file cannot be relied on.
        """
        wanted = mode, *_, hooks = _wanted(settings)
        if wanted != self._made_by:
            self.close()
            if mode is not AuditMode.OFF:
                self._audit = self._make(shell, settings, mode, hooks)
            self._made_by = wanted
        return self._audit

    def status(self, settings: AuditSettings) -> str:
        """Return a line that says whether cells are recorded, where, and what failed last.

        Raises:
            FileRefused: a policy file cannot be relied on.
        """
        wanted = mode, directory, *_ = _wanted(settings)
        if mode is AuditMode.OFF:
            return "audit: off, no cell is recorded"
        audit = self._audit if wanted == self._made_by else None
        if audit is None or audit.path is None:
            from kavach_ipy.audit.files import default_directory  # noqa: PLC0415 - as in `_make`

            place = f"the next cell begins a log in {directory or default_directory()}"
        else:
            place = f"written to {audit.path}"
        failure = f"; last failure {audit.failure}" if audit is not None and audit.failure else ""
        return f"audit: {mode}, {place}{failure}"

    def close(self) -> None:
        """End the log, if there is one."""
        audit, self._audit = self._audit, None
        self._made_by = None
        if audit is not None:
            audit.close()

    def _make(
        self, shell: Shell, settings: AuditSettings, mode: AuditMode, names: tuple[str, ...]
    ) -> Audit:
        # With the first cell that is recorded: without an audit, nothing of it is loaded.
        from kavach_ipy.audit.hooks import hook_by_name  # noqa: PLC0415
        from kavach_ipy.audit.record import Audit  # noqa: PLC0415

        try:
            hooks = [hook_by_name(name) for name in names]
        except PolicyError as error:
            raise UsageError(f"c.Kavach.{error}; nothing ran") from error
        hooks += self._jupyter_hooks(shell)
        return Audit(
            mode,
            directory=settings.audit_directory,
            key=settings.audit_key,
            with_code=settings.audit_code,
            hooks=hooks,
            warn=lambda text: say(text, "stderr"),
        )

    def _jupyter_hooks(self, shell: Shell) -> list[Hook]:
        """Return what emits events of Jupyter, where the configuration says who takes them."""
        config = getattr(shell, "config", {})
        if "EventLogger" not in config:
            # Loading the package takes longer than a hundred cells.
            return []
        from kavach_ipy.audit.jupyter import hook_of, is_installed  # noqa: PLC0415

        if not is_installed():
            say(
                "audit: c.EventLogger is configured, and jupyter_events is not installed; events go"
                " to the log alone: pip install 'kavach-ipy[audit]'",
                "stderr",
            )
            return []
        if self._emit is None:
            from jupyter_events import EventLogger  # noqa: PLC0415

            # Once: a schema is registered with a logger for good.
            self._emit = hook_of(EventLogger(config=config))
        return [self._emit]


_Wanted: TypeAlias = tuple[AuditMode, str, str, bool, tuple[str, ...]]


def _wanted(settings: AuditSettings) -> _Wanted:
    return (
        # No setting takes back what a policy file asks for.
        stricter(settings.audit, settings.floor().audit),
        settings.audit_directory,
        settings.audit_key,
        settings.audit_code,
        tuple(settings.audit_hooks),
    )


def source_of(shell: Shell, code: str) -> CellSource:
    """Return what runs now, and where it stands, as far as the front end says so."""
    from kavach_ipy.audit.source import CellSource  # noqa: PLC0415 - only where there is an audit

    kernel = getattr(shell, "kernel", None)
    parent = {} if kernel is None else kernel.get_parent("shell")
    metadata = parent.get("metadata") if isinstance(parent, dict) else None
    cell_id = metadata.get("cellId") if isinstance(metadata, dict) else None
    # Set by jupyter_server for the kernels that it starts (since 2.0), and by VS Code.
    notebook = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__")
    return CellSource(
        code,
        notebook if isinstance(notebook, str) else None,
        cell_id if isinstance(cell_id, str) else None,
    )
