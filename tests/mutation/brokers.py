"""Guards of a kernel that runs no cell itself, and of the session that serves it."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

_EXCHANGE = "launch/exchange.py"
_APP = "front/app.py"
_HOSTILE = "tests/kernel/broker/test_hostile_session.py"
_FRAMES = f"{_HOSTILE}::test_frame_that_no_session_sends_ends_it"
_PROCESS = "tests/kernel/broker/test_process.py"
_ENDS = "tests/kernel/broker/test_endings.py"
_REPLIES = "tests/unit/gate/test_replies.py"

GUARDS = (
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
)
