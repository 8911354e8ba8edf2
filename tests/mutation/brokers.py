"""Guards of a kernel that runs no cell itself, and of the session that serves it."""

from __future__ import annotations

from tests.mutation.guard import Guard, condition_off

__all__ = ["GUARDS"]

_EXCHANGE = "launch/exchange.py"
_APP = "front/app.py"
_HOSTILE = "tests/kernel/broker/test_hostile_session.py"
_FRAMES = f"{_HOSTILE}::test_frame_that_no_session_sends_ends_it"
_PROCESS = "tests/kernel/broker/test_process.py"
_ENDS = "tests/kernel/broker/test_endings.py"
_QUESTIONS = "tests/kernel/broker/test_questions.py"
_AUDITED = "tests/kernel/broker/test_audited.py"
_REPLIES = "tests/unit/gate/test_replies.py"

_TAB = "test_answer_to_tab_pays_for_itself_and_nothing_else"
_UNREAD = "tests/unit/launch/test_unread.py"

GUARDS = (
    Guard(
        "broker: what Tab is credited with",
        "an answer to Tab is taken off by its own size",
        _EXCHANGE,
        "            self._bytes -= size\n",
        "            self._bytes -= 3 * size\n",
        f"{_HOSTILE}::{_TAB}",
    ),
    Guard(
        "broker: time of cleaning",
        "cleaning for all cells takes no longer than for one",
        "front/origins.py",
        "Pace(self._display, self._ids, self.widgets, self._cleaning)",
        "Pace(self._display, self._ids, self.widgets)",
        "tests/unit/front/test_origins.py::test_cleaning_below_all_cells_is_one_budget",
    ),
    Guard(
        "broker: cells that were read",
        "a cell that a dead session has read does not run again",
        "launch/unread.py",
        "return self._number if is_left and self._out.written == self._end else self.next\n",
        "return self._number\n",
        f"{_UNREAD} {_ENDS}::test_cell_that_was_read_never_runs_twice",
    ),
    Guard(
        "broker: what is left behind a cell",
        "what was sent after a cell, and is unread, is no proof that the cell is",
        "launch/unread.py",
        "is_left and self._out.written == self._end else",
        "is_left else",
        f"{_UNREAD}::test_what_is_left_behind_a_cell_is_no_proof",
    ),
    Guard(
        "broker: sessions that die at their start",
        "a cell begins a few sessions at most",
        "front/attempts.py",
        "_MOST: Final = 3\n",
        "_MOST: Final = 9\n",
        f"{_ENDS}::test_session_that_dies_at_its_start_is_not_begun_without_end",
    ),
    Guard(
        "broker: frames out of turn",
        "a session does not say what only a cell or a parent says",
        _EXCHANGE,
        '                raise ProtocolError(0, frame.kind.name, "a session may not say that.")\n',
        "                pass\n",
        _FRAMES,
    ),
    Guard(
        "broker: replies that are not due",
        "a session answers what it was asked, once",
        _EXCHANGE,
        "        if request is None:\n            raise",
        "        if request is None:\n            return\n            raise",
        _FRAMES,
    ),
    Guard(
        "broker: output of a session",
        "what a session prints is bounded",
        _EXCHANGE,
        "        if self._bytes > self.policy.output:\n",
        "        if False:\n",
        f"{_ENDS}::test_dead_session_is_one_error_and_the_next_cell_has_a_new_one",
    ),
    Guard(
        "broker: time of a cell",
        "a cell of a session ends when its time is over",
        _EXCHANGE,
        "            if seconds >= limit:\n",
        "            if False:\n",
        f"{_ENDS}::test_dead_session_is_one_error_and_the_next_cell_has_a_new_one",
    ),
    Guard(
        "broker: memory of a session",
        "a session that takes too much memory ends",
        _EXCHANGE,
        "            self._stopped = self._meter.sample()\n",
        "            self._stopped = None\n",
        f"{_ENDS}::test_dead_session_is_one_error_and_the_next_cell_has_a_new_one",
    ),
    Guard(
        "broker: parents",
        "a session's message has a parent of limited length",
        "wire/service.py",
        "    if len(parent) > _PARENT:\n",
        "    if False:\n",
        "tests/unit/wire/test_service.py::test_frame_of_another_form_is_refused",
    ),
    Guard(
        "broker: payloads",
        "no payload leaves a session, but for the one of exit",
        "gate/replies.py",
        '"payload": [], "user_expressions": {}}\n',
        '"payload": payload, "user_expressions": {}}\n',
        f"{_REPLIES}::test_reply_of_a_cell_loses_what_no_session_may_say",
    ),
    Guard(
        "broker: expressions that nobody asked for",
        "a reply has the expressions that were asked for",
        "gate/replies.py",
        "for name in asked if name in found\n",
        "for name in found\n",
        f"{_REPLIES}::test_reply_of_a_cell_keeps_what_front_ends_need",
    ),
    Guard(
        "broker: completions",
        "what Tab offers is one line, without control sequences",
        "gate/replies.py",
        "clean_line(value, _MATCH) == value\n",
        "True\n",
        f"{_REPLIES}::test_completions_are_lines_within_the_code",
    ),
    Guard(
        "broker: the working directory",
        "the kernel imports nothing from the notebook's directory",
        _APP,
        "    sys.path[:] = [\n",
        "    _ = [\n",
        f"{_PROCESS}::test_kernel_forgets_the_working_directory",
    ),
    Guard(
        "broker: VIRTUAL_ENV",
        "the kernel imports nothing from an environment that a variable names",
        _APP,
        '    os.environ.pop("VIRTUAL_ENV", None)\n',
        "",
        f"{_PROCESS}::test_kernel_forgets_the_working_directory",
    ),
    Guard(
        "broker: not dumpable",
        "no process of the same user looks into the kernel",
        _APP,
        "        become_undumpable()\n",
        "",
        f"{_PROCESS}::test_kernel_becomes_undumpable_before_anything_else",
    ),
    Guard(
        "broker: the user's extensions",
        "no extension of the user's is loaded into the kernel",
        _APP,
        '        """Load no extension: the session does."""\n',
        "        super().init_extensions()\n",
        f"{_PROCESS}::test_launcher_says_where_the_configuration_is",
    ),
    Guard(
        "broker: cells tighten",
        "a cell never has more than its session",
        "front/tightening.py",
        "    return tighten(policy, policy.replace(**changes))\n",
        "    return policy.replace(**changes)\n",
        "tests/kernel/broker/test_tightening.py::test_metadata_cannot_loosen",
    ),
    Guard(
        "broker: pipes that hang up",
        "a session without standard streams keeps nobody busy",
        "launch/duty.py",
        "            if event and (is_over or not heard.reading.take(fd)):\n",
        "            if event and not heard.reading.take(fd):\n",
        "tests/kernel/broker/test_hostile_session.py"
        "::test_session_without_standard_streams_keeps_nobody_busy",
    ),
    Guard(
        "broker: one question at a time",
        "a session that asks waits for the answer",
        _EXCHANGE,
        '            raise ProtocolError(0, "INPUT", "a question while another one waits.")\n',
        "            pass\n",
        f"{_QUESTIONS}::test_session_asks_one_question_at_a_time",
    ),
    Guard(
        "broker: questions between cells",
        "a question while no cell runs has its answer at once",
        _EXCHANGE,
        "        if not self._pending:\n            self.answer(",
        "        if False:\n            self.answer(",
        f"{_QUESTIONS}::test_question_while_no_cell_runs_has_nobody_to_answer",
    ),
    condition_off(
        "broker: number of questions",
        "a cell does not ask without end",
        _EXCHANGE,
        "        if self._questions > _QUESTIONS:\n",
        f"{_QUESTIONS}::test_cell_does_not_ask_without_end",
    ),
    Guard(
        "broker: questions that are left",
        "no question stops the clock of the next cell",
        _EXCHANGE,
        '            self._withdraw("eof")\n',
        "            pass\n",
        f"{_QUESTIONS}::test_question_that_is_left_stops_no_clock",
    ),
    condition_off(
        "broker: size of answers",
        "what Tab is answered is of limited size",
        _EXCHANGE,
        "            if size > _ANSWER_BYTES:\n",
        f"{_HOSTILE}::test_answer_to_tab_is_of_limited_size",
    ),
    Guard(
        "broker: counts",
        "a session does not choose the number of the next cell",
        "front/broker.py",
        '        if reply["execution_count"] not in {count - 1, count}:\n',
        '        if reply["execution_count"] < 0:\n',
        f"{_HOSTILE}::test_count_that_a_session_claims_is_not_taken",
    ),
    Guard(
        "broker: displays of earlier cells",
        "nothing is kept for ever for a cell that is over",
        "front/origins.py",
        "        if origin is self._latest:\n",
        "        if False:\n",
        f"{_HOSTILE}::test_last_update_of_an_earlier_cell_is_shown",
    ),
    Guard(
        "broker: output below earlier cells",
        "the audit counts what a cell shows, wherever that is",
        "front/origins.py",
        "        counts = (self._latest or origin).counts\n",
        "        counts = origin.counts\n",
        f"{_AUDITED}::test_output_is_counted_for_the_cell_that_ran",
    ),
    Guard(
        "marks that lie",
        "no mark of a frame keeps the kernel's process busy",
        "launch/order.py",
        "        later = bisect_right(reads, mark.ended, key=_BEGAN)\n",
        "        later = sum(read.began <= mark.ended for read in reads)\n",
        "tests/unit/launch/test_order.py::test_mark_that_lies_costs_no_more_than_another",
    ),
    Guard(
        "broker: going back too late",
        "a session that dies before it goes back keeps no cell waiting",
        "front/ear.py",
        "            settle(self.over, None)\n",
        "",
        f"{_HOSTILE}::test_session_that_dies_before_it_goes_back_keeps_nobody_waiting",
    ),
    Guard(
        "broker: pace of text",
        "a page gets text at a pace that it can follow",
        "front/origins.py",
        "        if not self._messages.wait(min(len(self._texts), _TEXTS)):\n",
        "        if True:\n",
        f"{_HOSTILE}::test_text_from_here_and_there_comes_as_fast_as_a_page_can_follow",
    ),
    Guard(
        "broker: giving way",
        "a cell does not wait for a completion that nobody waits for",
        "launch/exchange.py",
        "            self._ask_to_give_way()\n",
        "            pass\n",
        "tests/kernel/broker/test_interrupts.py"
        "::test_completion_that_takes_long_gives_way_to_a_cell",
    ),
    Guard(
        "broker: giving way is no interrupt",
        "a completion that ended just before it gives way costs no cell anything",
        "front/served.py",
        '        if self._running is not None and self._running.kind in {"complete", "inspect"}:\n',
        "        if True:\n",
        "tests/kernel/broker/test_interrupts.py"
        "::test_word_to_give_way_that_comes_late_hits_no_cell",
    ),
)
