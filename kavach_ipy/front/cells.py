"""One sandboxed cell, from a policy to its end in the notebook.

Kept apart from the magics because it imports all that a sandbox is made of: that is loaded with the
first cell, so that ``%load_ext`` stays quick, and always before a fork.

Guarantees: an error leaves as the exception to show; values are assigned before it is raised.
Assumes: called by the shell in the thread that runs cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from kavach_ipy.errors import KavachError, PolicyError
from kavach_ipy.front.auditing import source_of
from kavach_ipy.front.failures import as_shown
from kavach_ipy.front.progress import Progress, progress_for
from kavach_ipy.front.render import ShellSink, bring_back, explain_missing, say_report
from kavach_ipy.front.runner import Task, cell_body
from kavach_ipy.front.tasks import KERNEL, TERMINAL, document_of
from kavach_ipy.policy import Network
from kavach_ipy.sandbox import FreshTask, Sandbox

if TYPE_CHECKING:
    from kavach_ipy.audit.record import Audit
    from kavach_ipy.audit.source import CellSource
    from kavach_ipy.front.shells import Shell
    from kavach_ipy.launch.link import ChildLink
    from kavach_ipy.launch.sessions import Sessions
    from kavach_ipy.policy import Policy

__all__ = ["run_empty_cell", "run_task"]


def run_task(  # noqa: PLR0913 - a cell, and all that the settings say of it.
    shell: Shell,
    task: Task,
    policy: Policy,
    secrets: Sequence[str],
    *,
    with_report: bool,
    allow_trust: bool = False,
    preload: Sequence[str] = (),
    sessions: Sessions | None = None,
    allow_trust_display: bool = False,
    withheld_types: Sequence[str] = (),
    audit: Audit | None = None,
) -> None:
    """Run ``task`` and show, assign and raise what comes of it.

    Args:
        shell: the notebook's.
        task: the cell.
        policy: what it is allowed.
        secrets: values that it may not find in its memory.
        with_report: show what confined it.
        allow_trust: permit a policy with ``trust``.
        preload: modules that fresh interpreters load before a cell comes.
        sessions: where those of this notebook live.
        allow_trust_display: permit a policy with ``trust_display``.
        withheld_types: MIME types that are not shown.
        audit: records the cell; None for no record.

    Raises:
        UsageError: the policy, an input or a module of ``preload`` is not allowed; nothing ran.
        KavachError: what `front.failures.as_shown` makes of the cell's error, or of the reason why
            nothing ran or why the cell was stopped.
    """
    source = None if audit is None else source_of(shell, task.code)
    progress = progress_for(shell) if with_report else Progress(None)
    sink = ShellSink(shell, progress)
    try:
        with Sandbox(
            policy,
            known_secrets=secrets,
            allow_trust=allow_trust,
            preload=preload,
            sessions=sessions,
            allow_trust_display=allow_trust_display,
            withheld_types=withheld_types,
            audit=audit,
        ) as box:
            if policy.clean:
                fresh, given = _fresh_task(shell, task, source)
                outcome = box.execute_fresh(
                    fresh,
                    inputs=given,
                    out=task.outputs,
                    sink=sink,
                    progress=progress.used,
                )
            else:
                outcome = box.execute(
                    cell_body(shell, task),
                    out=task.outputs,
                    sink=sink,
                    progress=progress.used,
                    source=source,
                )
    except PolicyError as error:
        raise UsageError(" ".join(str(error).split())) from None
    except KavachError as error:
        raise as_shown(error) from None
    finally:
        progress.end()
    bring_back(shell, outcome, task.outputs, sink)
    explain_missing(outcome, task.outputs)
    if with_report:
        say_report(outcome)
    failure = outcome.failure
    if failure is not None:
        # IPython keeps the last traceback, and this frame in it would keep what a failed cell had
        # sent: up to all that the arena holds.
        del outcome
        raise as_shown(failure) from None


def _fresh_task(
    shell: Shell, task: Task, source: CellSource | None
) -> tuple[FreshTask, dict[str, object]]:
    # The fresh shell's module is for a zygote, and stands here by its name only.
    entry = TERMINAL if getattr(shell, "kernel", None) is None else KERNEL
    given = {name: shell.user_ns[name] for name in task.inputs or ()}
    return FreshTask(entry, document_of(shell, task), source), given


def run_empty_cell(policy: Policy) -> None:
    """Confine a cell that does nothing, and show the report of it.

    Raises:
        KavachError: why no cell can run here.
    """
    try:
        with Sandbox(policy) as box:
            # A fork never has the host's network.
            is_fresh = policy.network is Network.HOST
            outcome = (box.run("") if is_fresh else box.execute(_empty)).check()
    except KavachError as error:
        raise as_shown(error) from None
    say_report(outcome)


def _empty(link: ChildLink) -> Callable[[], None]:
    return lambda: link.done(None)
