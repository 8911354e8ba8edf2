"""Guards of clean cells and of sessions: what a zygote is, who it dies with, what a cell may be."""

from __future__ import annotations

from tests.mutation.guard import Edit, Guard

__all__ = ["GUARDS"]

_EGGS = "launch/eggs.py"
_ZYGOTES = "launch/zygotes.py"
_ZYGOTE = "launch/zygote.py"
_SESSIONS = "launch/sessions.py"
_SESSION = "launch/session.py"
_CLEAN = "tests/contract/test_clean.py"
_EARLY = "tests/contract/test_eggs.py"
_LIVES = "tests/contract/test_sessions.py"
_MEMORY = "tests/escape/test_fresh_memory.py"

GUARDS = (
    Guard(
        "zygote: descriptors",
        "what the notebook has open is not inherited by what clean cells are forks of",
        _EGGS,
        "                close_fds=True,\n",
        "                close_fds=False,\n",
        f"{_MEMORY}::test_no_descriptor_of_the_notebook_is_inherited",
    ),
    Guard(
        "zygote: environment",
        "a token of the notebook's environment is in no clean cell's memory",
        _EGGS,
        "                env=_completed(environment),\n",
        "                env={**os.environ, **_completed(environment)},\n",
        f"{_MEMORY}::test_canary_of_the_notebook_is_in_no_memory_of_a_clean_cell",
    ),
    Guard(
        "zygote: the notebook's directory",
        "the zygote, which nothing confines, imports no module that lies beside the notebook",
        _EGGS,
        "os.path.isabs(path) and os.path.realpath(path) != here",
        "True",
        f"{_CLEAN}::test_zygote_imports_nothing_from_the_notebooks_directory",
    ),
    Guard(
        "zygote: a group of its own",
        "a terminal's interrupt does not end what clean cells are forks of",
        _EGGS,
        "                start_new_session=True,\n",
        "",
        f"{_CLEAN}::test_zygote_leads_a_session_of_its_own",
    ),
    Guard(
        "zygote: of another environment",
        "one that was begun before its policy was known has no variable that the policy hides",
        _EGGS,
        "        is_narrower = laid.environment.items() <= environment.items()\n",
        "        is_narrower = True\n",
        f"{_EARLY}::test_egg_is_passed_over_where_it_is_not_as_asked_for",
    ),
    Guard(
        "zygote: of another search path",
        "one that was begun early imports nothing that its cells would not find",
        _EGGS,
        "(laid.entry, laid.search_path) == (entry, path)",
        "laid.entry == entry",
        f"{_EARLY}::test_egg_is_passed_over_where_it_is_not_as_asked_for",
    ),
    Guard(
        "zygote: replaced",
        "a zygote that was killed costs no cell",
        _ZYGOTES,
        "if not zygote.is_alive]:",
        "if False]:",
        f"{_CLEAN}::test_zygote_that_died_is_replaced",
    ),
    Guard(
        "zygote: forks of the notebook's own",
        "a fork of the kernel process that ends does not end what its parent uses",
        _ZYGOTES,
        "os.register_at_fork(after_in_child=_Living.forget)\n",
        "",
        f"{_CLEAN}::test_fork_of_the_process_leaves_its_zygotes_alone",
    ),
    Guard(
        "zygote: the kernel's death",
        "no zygote outlives its kernel, also where a fork of the kernel holds its socket",
        _ZYGOTE,
        "    poll.register(kernel, select.POLLIN)\n",
        "",
        f"{_CLEAN}::test_zygote_ends_with_its_kernel_although_a_fork_holds_its_socket",
    ),
    Guard(
        "zygote: one thread",
        "a module whose threads a fork would lose is not loaded before it",
        _ZYGOTE,
        "    if _threads() > 1:\n",
        "    if False:\n",
        f"{_CLEAN}::test_module_that_cannot_be_loaded_is_named",
    ),
    Guard(
        "clean cell: random numbers",
        "two clean cells do not draw the same numbers",
        "fresh.py",
        "        renew_random()\n",
        "",
        f"{_CLEAN}::test_numbers_of_two_cells_are_not_the_same_random_ones",
    ),
    Guard(
        "inputs: known secrets",
        "a known secret does not go into a clean cell",
        "wire/inputs.py",
        "            if is_apart or any(secret in bytes(piece) for piece in frame_pieces):\n",
        "            if False:\n",
        f"{_CLEAN}::test_input_that_cannot_go_in_is_named_before_anything_runs",
    ),
    Guard(
        "inputs: what cannot go in",
        "an input that does not cross is an error before anything runs",
        "wire/inputs.py",
        "        if frame.kind is Kind.UNSENT:\n",
        "        if False:\n",
        f"{_CLEAN}::test_input_that_cannot_go_in_is_named_before_anything_runs",
    ),
    Guard(
        "session: other rights",
        "a cell that asks for more than its session was built for does not run",
        _SESSION,
        "        if built != first or not is_at_most(asked, first):\n",
        "        if False:\n",
        f"{_LIVES}::test_cell_with_other_rights_is_refused",
    ),
    Guard(
        "session: limits between cells",
        "a session is bounded while no cell of it runs",
        _SESSION,
        "stopped = self.parent.look()",
        "stopped = None",
        f"{_LIVES}::test_limits_hold_between_two_cells",
    ),
    Guard(
        "session: a stopped cell",
        "a limit that is reached ends the session",
        _SESSION,
        "            if stopped is not None and not is_restored:\n                self._end()\n",
        "",
        f"{_LIVES}::test_cell_that_is_stopped_ends_its_session_and_says_so",
        also=(
            Edit(
                "sandbox.py",
                "            sessions.end(name)\n",
                "            pass\n",
            ),
        ),
        why_also="a sandbox ends the session of a stopped cell, too, for memory that stays open",
    ),
    Guard(
        "session: memory that cannot be emptied",
        "a session that keeps its arena is ended",
        "sandbox.py",
        "        if name is not None and isinstance(outcome.failure, CellStopped):\n",
        "        if False:\n",
        f"{_LIVES}::test_arena_that_cannot_be_emptied_ends_the_session",
    ),
    Guard(
        "session: memory of its arenas",
        "a session keeps nothing of the memory that its values came back in",
        "hearing.py",
        "            with arena.take() if lives_on else arena.seal() as sealed:\n",
        "            with arena.seal() as sealed:\n",
        f"{_LIVES}::test_session_keeps_no_memory_of_its_arenas",
    ),
    Guard(
        "session: memory of its inputs",
        "a session keeps nothing of the memory that it was given values in",
        _SESSIONS,
        "            if job.inputs >= 0 and ending.lives_on:\n",
        "            if False:\n",
        f"{_LIVES}::test_session_keeps_no_memory_of_what_it_was_given",
        also=(
            Edit(
                "gate/inputs.py",
                "arena.take() if lives_on else arena.seal() as sealed",
                "arena.seal() as sealed",
            ),
        ),
        why_also="an honest session copies its inputs and empties that memory, too",
    ),
    Guard(
        "session: memory of its requests",
        "a session cannot fill the memory that a cell's source came in",
        "launch/requests.py",
        "        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)\n",
        "        pass\n",
        f"{_LIVES}::test_session_keeps_no_memory_of_what_it_was_given",
    ),
    Guard(
        "session: memory that was emptied",
        "what a session has sealed is not taken for emptied",
        "wire/emptying.py",
        "    if not seals & fcntl.F_SEAL_GROW or status.st_size or status.st_blocks:\n",
        "    if False:\n",
        f"{_LIVES}::test_arena_that_cannot_be_emptied_ends_the_session",
    ),
    Guard(
        "session: memory of undone cells",
        "a session ends that does not let go of what an undone cell has packed",
        "front/undone.py",
        "                empty(arena.fd)\n",
        "                pass\n",
        "tests/kernel/broker/test_undone.py::test_session_that_does_not_let_go_of_that_memory_ends",
    ),
    Guard(
        "session: forks of the notebook's own",
        "a fork of the kernel process that ends does not end its parent's sessions",
        _SESSIONS,
        "        if self._owner != os.getpid():\n",
        "        if False:\n",
        f"{_LIVES}::test_session_does_not_outlive_its_kernel",
    ),
    Guard(
        "session: end of its block",
        "what a plain script leaves has nobody else who ends it",
        "sandbox.py",
        "            self._own_sessions.end_all()\n",
        "            pass\n",
        f"{_LIVES}::test_block_of_a_sandbox_ends_its_own_sessions",
    ),
)
