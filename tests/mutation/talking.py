"""Between a running cell and its user: questions, interrupts, the line of progress."""

from __future__ import annotations

from tests.mutation.guard import Guard, condition_off

__all__ = ["GUARDS"]

_ASKING = "launch/asking.py"
_INTERRUPTS = "launch/interrupts.py"
_QUESTIONS = "tests/kernel/test_questions.py"
_STOPS = "tests/kernel/test_interrupts.py"
_WATCHED = "tests/unit/launch/test_watch.py"

GUARDS = (
    Guard(
        "questions are off",
        "a cell without --stdin asks nobody",
        "hearing.py",
        "        if self.sink is None or not self.may_ask:\n",
        "        if self.sink is None:\n",
        f"{_QUESTIONS}::test_without_the_option_the_error_names_it",
    ),
    Guard(
        "mark of a question",
        "a prompt says that a sandboxed cell asks",
        "front/render.py",
        '            return read(f"{_PROMPT}{prompt}")\n',
        "            return read(prompt)\n",
        f"{_QUESTIONS}::test_input_asks_with_the_sandboxs_mark",
    ),
    Guard(
        "text of a prompt",
        "a prompt is one line that overwrites nothing before it",
        "hearing.py",
        "self.sink.ask(clean_prompt(question.prompt),",
        "self.sink.ask(question.prompt,",
        f"{_QUESTIONS}::test_a_hostile_prompt_stays_behind_the_mark",
    ),
    Guard(
        "blanks of a prompt",
        "nothing is moved far away from the mark",
        "gate/text.py",
        'line = _BLANKS.sub(" ", clean_line(text, _PROMPT - 1))',
        "line = clean_line(text, _PROMPT - 1)",
        "tests/unit/gate/test_text.py",
    ),
    Guard(
        "number of questions",
        "a cell cannot ask without end",
        _ASKING,
        "        return verdicts.asked_too_often(_MOST) if self._count > _MOST else None\n",
        "        return None\n",
        _WATCHED,
    ),
    Guard(
        "limits while somebody is asked",
        "memory and processor time are bounded meanwhile",
        _ASKING,
        "            patience = None if ready else self._look()\n",
        "            patience = None if ready else patience\n",
        f"{_QUESTIONS}::test_limits_are_watched_while_somebody_is_asked",
    ),
    Guard(
        "end while somebody is asked",
        "nobody has to answer a dead cell",
        _ASKING,
        "            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)\n",
        "",
        f"{_QUESTIONS}::test_a_cell_that_ends_while_it_asks_ends_the_question",
    ),
    Guard(
        "questions of another thread",
        "nothing waits for an answer where no interrupt comes",
        _ASKING,
        "        elif signal.SIGINT in signals.handled:\n",
        "        elif True:\n",
        "tests/kernel/test_threads.py::test_a_thread_cannot_ask_and_says_so",
    ),
    Guard(
        "interrupt of a question that crossed it",
        "nobody is asked for a cell that was interrupted before",
        _INTERRUPTS,
        "        is_due = self._is_unseen and seen == self._seen\n",
        "        is_due = False\n",
        "tests/unit/launch/test_interrupts.py",
    ),
    Guard(
        "answers in order",
        "a question that an interrupt ends does not take the next one's answer",
        "launch/link.py",
        "            signal.signal(signal.SIGINT, self._note)\n",
        "            pass\n",
        f"{_STOPS}::test_a_question_that_comes_with_an_interrupt_is_interrupted",
    ),
    Guard(
        "interrupt of what the cell started",
        "worker processes hear the stop button, too",
        "launch/processes.py",
        "        os.killpg(self.pid, signal.SIGINT)\n",
        "        os.kill(self.pid, signal.SIGINT)\n",
        f"{_STOPS}::test_one_interrupt_is_a_keyboard_interrupt_of_the_cell",
    ),
    Guard(
        "interrupt of an await",
        "it is raised where the cell waits, and what has to run then runs",
        "front/awaiting.py",
        "    link.divert = interrupt\n",
        "",
        f"{_STOPS}::test_an_interrupted_await_lets_the_cell_clean_up",
    ),
    condition_off(
        "progress in a capture",
        "a capture holds the cell's output alone",
        "front/progress.py",
        "    if isinstance(shell.display_pub, CapturingDisplayPublisher):\n",
        "tests/unit/front/test_progress.py",
    ),
    Guard(
        "progress in a notebook file",
        "an executed notebook keeps no line of progress",
        "front/progress.py",
        "Progress(_DisplayLine(shell) if kernel._allow_stdin else None)",
        "Progress(_DisplayLine(shell))",
        "tests/kernel/test_progress.py::test_a_client_that_executes_notebooks_is_shown_no_line",
    ),
    Guard(
        "frames of ours",
        "a traceback that a cell prints has no frame of this package",
        "front/tracebacks.py",
        '        vars(traceback)["_walk_tb_with_full_positions"] = walk_hidden\n',
        "        pass\n",
        "tests/kernel/test_questions.py::test_a_question_that_failed_shows_the_cells_own_lines",
    ),
)
