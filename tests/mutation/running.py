"""While a cell runs, and at its end: limits, what is heard, signals, and what is left."""

from __future__ import annotations

from tests.mutation.guard import Edit, Guard

__all__ = ["GUARDS"]

_WATCH = "launch/watch.py"
_LIMITS = "linux/limits.py"
_PARENT = "launch/parent.py"
_SIGNALS = "launch/signals.py"
_BOUNDS = "tests/contract/test_limits.py"
_WATCHED = "tests/unit/launch/test_watch.py"
_ANY_LINE = "tests/contract/test_interrupt.py::test_interrupt_at_any_line_leaves_nothing"
_HANDLERS = "tests/unit/launch/test_signals.py"

GUARDS = (
    Guard(
        "core dumps",
        "no program of the host is fed the cell's memory",
        _LIMITS,
        '        "RLIMIT_CORE": 1,\n',
        "",
        "tests/escape/test_core_dumps.py",
    ),
    Guard(
        "new memory",
        "a cell's new memory ends in a MemoryError",
        _LIMITS,
        '        "RLIMIT_DATA": data * _PAGE + memory,\n',
        '        "RLIMIT_DATA": 1 << 60,\n',
        f"{_BOUNDS}::test_memory_beyond_the_limit_is_a_memory_error",
    ),
    Guard(
        "memory of the tree",
        "many processes of little memory end as one of much",
        _WATCH,
        "        if usage.memory > self.policy.memory:\n",
        "        if False:\n",
        f"{_BOUNDS}::test_memory_over_many_processes_is_bounded_as_one",
    ),
    Guard(
        "processes",
        "a fork bomb ends",
        _LIMITS,
        '        "RLIMIT_NPROC": processes,\n',
        '        "RLIMIT_NPROC": 1 << 20,\n',
        f"{_BOUNDS}::test_number_of_processes_is_bounded",
        also=(Edit("launch/bounds.py", '        "Max processes": plan.processes,\n', ""),),
        why_also="the parent would see it first, and run nothing",
    ),
    Guard(
        "files",
        "descriptors are bounded",
        _LIMITS,
        '        "RLIMIT_NOFILE": descriptors,\n',
        "",
        f"{_BOUNDS}::test_open_files_are_bounded",
    ),
    Guard(
        "processor time of one process",
        "a busy process ends",
        _WATCH,
        "        return verdicts.out_of_cpu(self.policy, cpu) if cpu > self.policy.cpu else None\n",
        "        return None\n",
        f"{_BOUNDS}::test_processor_time_of_all_processes_is_one_sum",
    ),
    Guard(
        "size of a file",
        "no one file is larger than the limits of disk and memory",
        _LIMITS,
        '        "RLIMIT_FSIZE": file_bytes,\n',
        "",
        f"{_BOUNDS}",
    ),
    Guard(
        "time",
        "a cell ends at its deadline",
        _WATCH,
        "        if limit is not None and now - start >= limit:\n",
        "        if False:\n",
        _WATCHED,
    ),
    Guard(
        "interrupt",
        "a cell that does not obey an interrupt ends",
        _WATCH,
        "        if self._killed_by_interrupt or "
        "(asked is not None and now - asked >= _GRACE_SECONDS):\n",
        "        if self._killed_by_interrupt:\n",
        _WATCHED,
    ),
    Guard(
        "second interrupt",
        "who asks twice does not wait",
        _WATCH,
        "            self._killed_by_interrupt = True\n",
        "            pass\n",
        "tests/contract/test_interrupt.py::test_second_interrupt_ends_the_cell_at_once",
    ),
    Guard(
        "output",
        "a flood of output ends",
        _WATCH,
        "        if self._bytes > self.policy.output:\n",
        "        if False:\n",
        _WATCHED,
    ),
    Guard(
        "messages",
        "a flood of displays ends, and none beyond the limit is shown",
        _WATCH,
        "                if self._messages > self.policy.messages:\n",
        "                if False:\n",
        f"{_BOUNDS}::test_messages_are_bounded_and_those_before_are_kept",
    ),
    Guard(
        "frames after the end",
        "nothing is heard after DONE",
        _WATCH,
        "        if self._done and not (self.lives_on and frame.kind is Kind.MESSAGE):\n",
        "        if False:\n",
        "tests/contract/test_wire.py::test_frame_after_the_end_is_refused",
    ),
    Guard(
        "frames out of turn",
        "a cell does not say what only a set-up or a parent says",
        _WATCH,
        "Kind.READY | Kind.GO | Kind.ANSWER:\n                raise ProtocolError(",
        "Kind.READY | Kind.GO | Kind.ANSWER:\n                ProtocolError(",
        _WATCHED,
    ),
    Guard(
        "values that nobody asked for",
        "a value is heard only by a name that was asked for",
        _WATCH,
        "name not in self.names or name in self._values:",
        "name in self._values:",
        _WATCHED,
    ),
    Guard(
        "values that come twice",
        "a value does not take the place of an earlier one",
        _WATCH,
        "name not in self.names or name in self._values:",
        "name not in self.names:",
        _WATCHED,
    ),
    Guard(
        "size of values in frames",
        "values take a bounded part of the kernel's memory",
        _WATCH,
        "        if self._value_bytes > _VALUE_BYTES:\n",
        "        if False:\n",
        _WATCHED,
    ),
    Guard(
        "answer to who does not read",
        "a cell that asks and does not read holds nobody up",
        _WATCH,
        "        with suppress(BlockingIOError, BrokenPipeError):\n",
        "        with suppress(ZeroDivisionError):\n",
        _WATCHED,
    ),
    Guard(
        "kill before what is left is read",
        "nobody writes any more while the end is read",
        _WATCH,
        "        self.kill()\n        self._drain(self.ends.channel)\n",
        "        self._drain(self.ends.channel)\n",
        _WATCHED,
    ),
    Guard(
        "verification before go",
        "nothing of the cell runs before everything was looked at",
        _PARENT,
        "        layers = (*settled, "
        "*verify_view(self.plan, cell, links, self._foreign, self._group))\n",
        "        layers = settled\n",
        "tests/contract/test_results.py::test_report_says_what_was_verified"
        " tests/unit/launch/test_strength.py",
    ),
    Guard(
        "children of a failed set-up",
        "a set-up that fails while orphans are adopted leaves no process",
        _PARENT,
        "                self.end()\n                raise\n",
        "                raise\n",
        _ANY_LINE,
    ),
    Guard(
        "children of a killed set-up",
        "a set-up that is killed leaves no process",
        _PARENT,
        "        end_children_in(self._user_namespace)\n",
        "        pass\n",
        "tests/contract/test_leftovers.py::test_killed_set_up_leaves_nobody",
    ),
    Guard(
        "adoption of orphans",
        "init and the cell become children of the kernel process, which reaps them",
        "linux/privileges.py",
        "            prctl.set_child_subreaper(True)\n",
        "            pass\n",
        "tests/contract/test_start.py",
    ),
    Guard(
        "end of adoption",
        "daemons of the notebook's user are not adopted after a cell",
        "linux/privileges.py",
        "                prctl.set_child_subreaper(False)\n",
        "                pass\n",
        "tests/unit/linux/test_privileges.py",
    ),
    Guard(
        "blocked signals",
        "no handler runs in the process that builds the sandbox",
        _PARENT,
        "        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)\n",
        "        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())\n",
        "tests/contract/test_leftovers.py::test_signals_wait_while_a_sandbox_is_set_up",
    ),
    Guard(
        "handlers put off",
        "an interrupt during the set-up leaves no process and no descriptor",
        _SIGNALS,
        "            signal.signal(number, signals.came)\n",
        "            pass\n",
        _ANY_LINE,
    ),
    Guard(
        "handlers given back",
        "the notebook's handlers are its own again",
        _SIGNALS,
        "        signals.give_back()\n",
        "        pass\n",
        "tests/contract/test_interrupt.py::test_handler_of_the_caller_is_back_afterwards",
    ),
    Guard(
        "signal that came meanwhile",
        "an interrupt of the set-up is not lost",
        _SIGNALS,
        "            self._came[number] = None\n",
        "            pass\n",
        f"{_HANDLERS}",
    ),
    Guard(
        "handler that raises",
        "what a handler raises leaves through code that is not interrupted again",
        _SIGNALS,
        "        self._is_open = False\n        self._handlers[number](number, frame)\n",
        "        self._handlers[number](number, frame)\n",
        f"{_HANDLERS}",
    ),
)
