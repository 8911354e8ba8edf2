"""``%%sandbox`` and ``%sandbox``: one cell in a sandbox, from its first line to its output.

Guarantees: nothing runs when the options make no sense; only names after ``-o`` are assigned; the
magics return None, because the result was shown already, under the notebook's prompt number.
Assumes: called by the shell in the thread that runs cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError
from IPython.core.magic import Magics

from kavach_ipy.front.arguments import policy_of, read_cell_line, read_code_line, with_options
from kavach_ipy.front.auditing import Auditor
from kavach_ipy.front.commands import run_command
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.shells import (
    Shell,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from kavach_ipy.front.switch import Switch
from kavach_ipy.front.words import say
from kavach_ipy.policy import Policy

if TYPE_CHECKING:
    from kavach_ipy.launch.sessions import Sessions

__all__ = ["KavachMagics"]

_SUMMARY: Final = """\
Run this cell in a sandbox, next to the notebook's variables, and keep only what you ask for.

The cell runs in a forked child that sees every variable as it is now. It has no network, no file of
yours can change, and nothing that it does to a variable reaches the notebook. Output, plots, errors
and Out[n] appear as those of any cell.

Bring a result back::

    %%sandbox -o summary --timeout 30s
    summary = df.groupby("city").price.mean()
    df.drop(df.index, inplace=True)      # happens to nobody
    summary.head()

Run code that nobody has read, small and without your other variables::

    %%sandbox --profile agent -i df -o answer
    answer = len(df)

In a fresh interpreter, which has nothing of the notebook's but what goes in by name::

    %%sandbox --clean -i df -o answer
    answer = df.describe()

One line, and what confined it::

    %sandbox --report open("/etc/hostname").read()

``%kavach explain`` says in plain sentences what the settings allow, ``%kavach doctor`` what this
machine can enforce. A protection that the machine cannot give is an error, and nothing runs.
"""


_ON: Final = (
    "from the next cell on, every cell runs in a sandbox that lives on, with none of the notebook's"
    " variables; %kavach off, in a cell of its own, ends that"
)


@magics_class
class KavachMagics(Magics):
    """The magics of kavach_ipy."""

    shell: Any

    def __init__(self, shell: Shell, settings: Kavach) -> None:
        # IPython's stub wants its own class; any shell that has what Shell says will do.
        super().__init__(shell=shell)  # type: ignore[arg-type]
        self._settings = settings
        self._from_settings: tuple[type, ...] = ()
        self._sessions: Sessions | None = None
        self._switch = Switch(shell, settings)
        self._auditor = Auditor()

    @no_var_expand
    @with_options(_SUMMARY)
    @line_cell_magic
    def sandbox(self, line: str, cell: str | None = None) -> None:
        """Run a cell, or the code on the line, in a sandbox."""
        request = read_code_line(line) if cell is None else read_cell_line(line)
        if request.wants_help:
            say(_help_of(self.sandbox))
            return
        code = request.code if cell is None else cell
        policy = policy_of(request, self._settings)
        self._check_inputs(policy)
        if not code.strip():
            raise UsageError("there is no code to run: %sandbox [options] code")
        # All that a sandbox is made of is loaded with the first cell, before its fork.
        from kavach_ipy.front.cells import run_task  # noqa: PLC0415
        from kavach_ipy.front.runner import Task  # noqa: PLC0415
        from kavach_ipy.front.trusting import (  # noqa: PLC0415
            apply_trusted_types,
            may_trust,
            may_trust_display,
            warn_of_trust,
            warn_of_trust_display,
        )

        magic_line = None if cell is None else f"%%sandbox {line}".strip()
        task = Task(code, magic_line, policy.inputs, policy.outputs or ())
        allow_trust = may_trust(self._settings)
        if policy.trust and allow_trust:
            warn_of_trust()
        allow_trust_display = may_trust_display(self._settings)
        if policy.trust_display and allow_trust_display:
            warn_of_trust_display()
        self._from_settings = apply_trusted_types(self._settings.trusted_types, self._from_settings)
        run_task(
            self.shell,
            task,
            policy,
            self._settings.known_secrets,
            with_report=request.wants_report,
            allow_trust=allow_trust,
            preload=tuple(self._settings.preload),
            sessions=self._sessions_for(policy),
            allow_trust_display=allow_trust_display,
            withheld_types=self._settings.withheld_types,
            audit=self._auditor.audit_for(self.shell, self._settings),
        )

    @no_var_expand
    @line_magic
    def kavach(self, line: str) -> None:
        """Show what confines cells, end sessions, and undo a cell of one.

        ``%kavach status | doctor | explain [options]``
        ``%kavach sessions | restart NAME | rollback [NAME] | on | off``
        """
        if line.strip() == "on":
            self._switch.on()
            say(_ON)
        elif line.strip() == "off":
            say("cells run in the notebook's kernel already")
        else:
            run_command(line, self._settings, self._sessions, self._auditor)

    @property
    def switch(self) -> Switch:
        """What turns the sandbox on for every cell."""
        return self._switch

    def end(self) -> None:
        """End every session of this notebook, and its log."""
        if self._sessions is not None:
            self._sessions.end_all()
        self._auditor.close()

    def _sessions_for(self, policy: Policy) -> Sessions | None:
        if policy.session is not None and self._sessions is None:
            # With the first session: each fork of the notebook's has to forget them.
            from kavach_ipy.launch.sessions import Sessions  # noqa: PLC0415

            self._sessions = Sessions(notify=lambda text: say(f"kavach: {text}", "stderr"))
        if self._sessions is not None:
            self._sessions.checkpoint = self._settings.checkpoint == "auto"
        return self._sessions

    def _check_inputs(self, policy: Policy) -> None:
        missing = [name for name in policy.inputs or () if name not in self.shell.user_ns]
        if missing:
            raise UsageError(
                f"--in: the notebook has no variable {' or '.join(map(repr, missing))}; nothing ran"
            )


def _help_of(magic: object) -> str:
    text = str(getattr(magic, "parser").format_help())  # noqa: B009 - with_options put it there
    # The formatter writes reStructuredText for the docs; here the first line is for a reader.
    return text.strip().removeprefix("::").strip()
