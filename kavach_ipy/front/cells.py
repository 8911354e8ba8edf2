"""One sandboxed cell, from a policy to its end in the notebook.

Kept apart from the magics because it imports all that a sandbox is made of: that is loaded with the
first cell, so that ``%load_ext`` stays quick, and always before a fork.

Guarantees: an error leaves as the exception to show; values are assigned before it is raised.
Assumes: called by the shell in the thread that runs cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kavach_ipy.errors import KavachError
from kavach_ipy.front.failures import as_shown
from kavach_ipy.front.render import ShellSink, bring_back, explain_missing, say_report
from kavach_ipy.front.runner import Task, cell_body
from kavach_ipy.sandbox import Sandbox

if TYPE_CHECKING:
    from kavach_ipy.front.shells import Shell
    from kavach_ipy.launch.link import ChildLink
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
    allow_trust_display: bool = False,
    withheld_types: Sequence[str] = (),
) -> None:
    """Run ``task`` and show, assign and raise what comes of it.

    Args:
        shell: the notebook's.
        task: the cell.
        policy: what it is allowed.
        secrets: values that it may not find in its memory.
        with_report: show what confined it.
        allow_trust: permit a policy with ``trust``.
        allow_trust_display: permit a policy with ``trust_display``.
        withheld_types: MIME types that are not shown.

    Raises:
        KavachError: what `front.failures.as_shown` makes of the cell's error, or of the reason why
            nothing ran or why the cell was stopped.
    """
    sink = ShellSink(shell)
    body = cell_body(shell, task)
    try:
        with Sandbox(
            policy,
            known_secrets=secrets,
            allow_trust=allow_trust,
            allow_trust_display=allow_trust_display,
            withheld_types=withheld_types,
        ) as box:
            outcome = box.execute(body, out=task.outputs, sink=sink)
    except KavachError as error:
        raise as_shown(error) from None
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


def run_empty_cell(policy: Policy) -> None:
    """Confine a cell that does nothing, and show the report of it.

    Raises:
        KavachError: why no cell can run here.
    """
    try:
        with Sandbox(policy) as box:
            outcome = box.execute(_empty).check()
    except KavachError as error:
        raise as_shown(error) from None
    say_report(outcome)


def _empty(link: ChildLink) -> Callable[[], None]:
    return lambda: link.done(None)
