"""Guards of checkpoints: who may take over a session, alone, verified, and at whose expense."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

_INSIDE = "launch/checkpoints.py"
_OUTSIDE = "launch/snapshots.py"
_KEPT = "tests/contract/test_checkpoints.py"

GUARDS = (
    Guard(
        "checkpoint: what is left",
        "no process of a stopped cell is there when a session goes on",
        _INSIDE,
        "                os.kill(-1, signal.SIGKILL)\n",
        "                pass\n",
        f"{_KEPT}::test_nothing_of_the_stopped_cell_lives_on",
    ),
    Guard(
        "checkpoint: alone",
        "what takes over a session is seen to be alone, from outside",
        "launch/held.py",
        "        return living - {1} == {self.inner} and not self.has_ended\n",
        "        return not self.has_ended\n",
        f"{_KEPT}::test_nobody_takes_over_beside_what_the_cell_has_left",
    ),
    Guard(
        "checkpoint: verified",
        "what takes over a session is verified before it runs a cell",
        "launch/report.py",
        "            *verify_rights(plan, cell, parent),\n",
        "",
        f"{_KEPT}::test_process_that_is_not_as_promised_does_not_take_over",
    ),
    Guard(
        "checkpoint: who it is",
        "neither init nor the session itself is taken for a snapshot",
        _OUTSIDE,
        "        if pid <= 0 or pid in (self.cell.pid, self._init.pid):\n",
        "        if pid <= 0:\n",
        f"{_KEPT}::test_answer_that_is_none_means_no_snapshot",
    ),
    Guard(
        "checkpoint: woken from outside",
        "no cell ends others, or itself, by a snapshot",
        _INSIDE,
        "        if found.si_pid != 0 or found.si_code != _SI_USER:\n",
        "        if False:\n",
        f"{_KEPT}::test_signals_of_the_cell_do_not_wake_the_snapshot",
    ),
    Guard(
        "checkpoint: frames of the dead",
        "what a stopped cell has written is not taken for the next one's",
        _OUTSIDE,
        "            _empty(fd)\n",
        "            pass\n",
        f"{_KEPT}::test_frames_that_the_stopped_cell_forged_are_not_the_next_ones",
    ),
    Guard(
        "checkpoint: threads",
        "a session whose threads a fork would lose does not lose them unsaid",
        _INSIDE,
        "        if type(thread).__module__ not in _HARMLESS:\n",
        "        if False:\n",
        f"{_KEPT}::test_session_with_a_thread_has_no_checkpoint_and_says_so_once",
    ),
    Guard(
        "checkpoint: half of the memory",
        "a session and what its snapshot keeps are never more than twice its bound",
        _OUTSIDE,
        "        return used <= self.plan.policy.memory // 2\n",
        "        return True\n",
        f"{_KEPT}::test_session_that_holds_much_has_no_checkpoint",
    ),
    Guard(
        "checkpoint: memory of the cell",
        "what a snapshot keeps is not taken from the cell's allowance",
        "linux/limits.py",
        "            if (used := waiting.get(int(name))) is not None:\n",
        "            if (used := None) is not None:\n",
        f"{_KEPT}::test_what_a_snapshot_keeps_is_not_the_cells",
    ),
    Guard(
        "checkpoint: processes of the cell",
        "a snapshot takes none of the processes that a cell may start",
        _OUTSIDE,
        "processes=plan.processes + _OWN_PROCESSES",
        "processes=plan.processes",
        f"{_KEPT}::test_all_that_a_cell_may_start_it_may_start_beside_a_snapshot",
    ),
    Guard(
        "checkpoint: processor time",
        "a session that has used up its processor time ends",
        "launch/session.py",
        "        return stopped.limit not in _FINAL and self._undo()\n",
        "        return self._undo()\n",
        f"{_KEPT}::test_processor_time_that_is_used_up_ends_the_session",
    ),
    Guard(
        "checkpoint: thrown away",
        "a cell that was to be thrown away leaves nothing that was not asked for",
        "launch/session.py",
        "        if not throw_away:\n",
        "        if True:\n",
        f"{_KEPT}::test_cell_that_is_thrown_away_leaves_what_was_asked_for",
    ),
    Guard(
        "checkpoint: thrown away, or not run",
        "a cell that could not be undone does not run",
        "launch/session.py",
        "            if throw_away and not self.parent.has_snapshot:\n",
        "            if False:\n",
        f"{_KEPT}::test_cell_that_could_not_be_undone_does_not_run",
    ),
    Guard(
        "checkpoint: interrupts",
        "an interrupt reaches a session that was restored, and no snapshot",
        _INSIDE,
        "    os.setsid()\n",
        "",
        f"{_KEPT}::test_interrupt_reaches_a_restored_session",
    ),
    Guard(
        "checkpoint: random numbers",
        "a generator goes on where it was before the cell",
        _INSIDE,
        '            sys.modules["random"].setstate(numbers)\n',
        "            pass\n",
        f"{_KEPT}::test_random_numbers_go_on_where_they_were",
    ),
    Guard(
        "checkpoint: how it ended",
        "what is said of the end of a restored session is what the Linux kernel says",
        "launch/processes.py",
        "            return endings.status_of(self.fd)\n",
        "            return None\n",
        f"{_KEPT}::test_restored_session_is_said_how_it_ends",
    ),
)
