"""A session that writes what it likes into its channel ends itself, and the kernel lives."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.kernel.kernels import Kernel, Run

__all__ = ["CHANNEL"]

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

CHANNEL = """
import json, os, struct
channel = get_ipython().kernel.link.channel.fileno()
def frame(kind, body, *buffers):
    data = json.dumps(body).encode()
    lengths = [len(buffer) for buffer in buffers]
    head = struct.pack("<4sBBHI", b"kvch", 1, kind, len(buffers), len(data))
    return b"".join((head, struct.pack(f"<{len(lengths)}Q", *lengths), data, *buffers))
def message(kind, content, parent="", mark=(0, 0, 0, 0)):
    return frame(11, {"type": kind, "content": content, "metadata": {}, "mark": list(mark),
                      "parent": parent})
def send(data):
    while data:
        data = data[os.write(channel, data):]
TEXT = {"name": "stdout", "text": "forged\\n"}
DISPLAY = {"data": {"text/html": "<b>" * 5000}, "metadata": {}, "transient": {"display_id": "d"}}
QUESTION = {"prompt": "", "password": False, "interrupts": 0, "mark": [0] * 4}
"""
_NUMBER = """
import gc
from kavach_ipy.wire.service import Request
number = max(it.number for it in gc.get_objects() if isinstance(it, Request))
"""


def _answers(kernel: Kernel) -> None:
    start = time.monotonic()
    assert kernel.on_control("kernel_info_request", {})["status"] == "ok"
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "line",
    [
        "send(b'garbage' * 10)",
        "send(frame(99, {}))",
        "send(frame(1, {'fault': None}))",
        "send(frame(3, {'type': 'stream', 'content': TEXT, 'metadata': {}, 'mark': [0] * 4}))",
        "send(frame(4, {'name': 'x'}))",
        "send(frame(7, {'text': '', 'status': 'ok'}))",
        "send(frame(8, {'failure': None}))",
        "send(frame(9, {'number': 1, 'kind': 'execute', 'parent': {}, 'content': {}}))",
        "send(frame(10, {'number': 10 ** 6, 'content': {}}))",
        "send(frame(10, {'number': True, 'content': {}}))",
        "send(frame(10, {'number': 1, 'content': []}))",
        "send(frame(11, {'type': 'stream', 'content': TEXT, 'metadata': {}, 'mark': [0] * 4}))",
        "send(message('stream', TEXT, parent='x' * 1000))",
        "send(message('stream', TEXT, parent=7))",
        "send(message('stream', TEXT, mark=(0, 0, 0)))",
        "send(message('status', {'execution_state': 'idle'}))",
        "send(message('execute_reply', {'status': 'ok'}))",
        "send(message('input_request', {'prompt': '', 'password': False}))",
        "send(message('stream', {'name': 'stdout'}))",
        "send(message('error', {'ename': 1, 'evalue': '', 'traceback': []}))",
        "send(struct.pack('<4sBBHIQ', b'kvch', 1, 11, 1, 2, 1 << 40) + b'{}')",
        "send(struct.pack('<4sBBHI', b'kvch', 1, 10, 0, 1 << 31))",
    ],
)
def test_frame_that_no_session_sends_ends_it(broker: Kernel, line: str) -> None:
    """By one error that names the wire; the next cell has a new session."""
    run = broker.run(f"{CHANNEL}\n{line}\nwhile True: pass")
    assert "protocol" in run.error["evalue"], run.outputs
    assert run.stdout == ""
    assert broker.value("'channel' in globals()") == "False"


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "{'status': 'ok', 'execution_count': 1 << 40}",
        "{'status': 'ok', 'execution_count': 'one'}",
        "{'status': 'error', 'ename': 'E'}",
        "{'status': 'ok', 'execution_count': 1, 'payload': {}}",
        "{'status': 'ok', 'execution_count': 1, 'user_expressions': []}",
    ],
)
def test_reply_that_is_none_ends_the_session(broker: Kernel, content: str) -> None:
    """Also where its number is right."""
    run = broker.run(
        f"{CHANNEL}\n{_NUMBER}\n"
        f"send(frame(10, {{'number': number, 'content': {content}}}))\n"
        "while True: pass"
    )
    assert "protocol" in run.error["evalue"], run.outputs
    assert broker.value("1 + 1") == "2"


def test_forged_parent_is_the_cells_own_or_one_that_was_sent(broker: Kernel) -> None:
    """A message for a request of another client, or of none, belongs to the cell that runs."""
    run = broker.run(f"{CHANNEL}\nsend(message('stream', TEXT, parent='no-such-message'))")
    assert run.stdout == "forged\n"


def test_last_update_of_an_earlier_cell_is_shown(broker: Kernel) -> None:
    """What came too fast for a page is not kept for ever below a cell that is over."""
    earlier = broker.start(f"{CHANNEL}\nsend(message('display_data', DISPLAY))")
    broker.finish(earlier)
    later = broker.start(
        "for i in range(500):\n"
        "    DISPLAY['data'] = {'text/plain': str(i)}\n"
        f"    send(message('update_display_data', DISPLAY, parent={earlier!r}))"
    )
    texts = []
    while "499" not in texts:
        kind, content = broker.next_output(earlier)
        assert kind == "update_display_data"
        texts.append(content["data"]["text/plain"])
    assert broker.reply_to(later)["status"] == "ok"
    assert len(texts) < 200


def test_reply_that_comes_too_early_is_no_way_out(broker: Kernel) -> None:
    """The cell is over for the front end; when the session answers it again, it ends."""
    broker.run(
        f"{CHANNEL}\n{_NUMBER}\n"
        "send(frame(10, {'number': number, 'content': {'status': 'ok', 'execution_count': 1,\n"
        "    'payload': [], 'user_expressions': {}}}))"
    )
    run = broker.run("'channel' in globals()")
    while run.status == "error":
        run = broker.run("'channel' in globals()")
    assert run.result["data"]["text/plain"] == "False"


@pytest.mark.parametrize("count", ["(1 << 31) - 1", "0", "10 ** 6"])
def test_count_that_a_session_claims_is_not_taken(broker: Kernel, count: str) -> None:
    """The next cell has the next number; a session that has to count to two milliards has none."""
    before = broker.run("1").reply["execution_count"]
    run = broker.run(
        f"{CHANNEL}\n{_NUMBER}\n"
        f"send(frame(10, {{'number': number, 'content': {{'status': 'ok', 'payload': [],\n"
        f"    'execution_count': {count}, 'user_expressions': {{}}}}}}))\n"
        "os._exit(0)"
    )
    assert run.reply["execution_count"] == before + 1
    broker.run("%kavach restart")
    assert broker.run("1 + 1").result["execution_count"] == before + 3


def test_session_that_dies_before_it_goes_back_keeps_nobody_waiting(broker: Kernel) -> None:
    """A cell that is to be undone says that it is over while the kernel looks at its displays."""
    broker.run("1")
    slow = "message('display_data', {'data': {'text/html': '<p style=\"color:red\">a' * 3000},"
    run = broker.run(
        f"%%sandbox -o kept\n{CHANNEL}\n"
        "kept = 1\n"
        "from kavach_ipy.wire.frames import encode\n"
        f"SLOW = {slow} 'metadata': {{}}, 'transient': {{}}}})\n"
        "def end(link, reply):\n"
        "    send(SLOW)\n"
        "    send(b''.join(encode(reply)) + SLOW)\n"
        "    os.kill(os.getpid(), 9)\n"
        "type(get_ipython().kernel.link).send = end"
    )
    assert "could not be undone" in run.reply["evalue"]
    assert broker.value("1 + 1") == "2"


def test_answer_to_tab_is_of_limited_size(broker: Kernel) -> None:
    """What is longer than any completion ends the session; the next cell says why."""
    broker.run(
        "type(get_ipython().kernel).do_complete = lambda *_: {'status': 'ok', 'metadata': {},\n"
        "    'matches': ['x' * 1000] * 5000, 'cursor_start': 0, 'cursor_end': 1}"
    )
    assert broker.complete("x") == []
    assert "it ended by protocol" in broker.run("1").stderr


def test_answer_to_tab_pays_for_itself_and_nothing_else(broker: Kernel) -> None:
    """One that is kept for the time of a cell lets the cell print no more than its limit."""
    broker.run(
        f"{CHANNEL}\nfrom kavach_ipy.front.served import _Served\n"
        "numbers, reply = [], _Served._reply\n"
        "def keep(self, number, content):\n"
        "    if self._running.kind == 'complete':\n"
        "        numbers.append(number)\n"
        "    else:\n"
        "        reply(self, number, content)\n"
        "_Served._reply = keep"
    )
    assert broker.complete("x") == []
    # Two bytes each here, and six as JSON may write them.
    run = broker.run(
        "%%sandbox --output 1M\n"
        "content = {'status': 'ok', 'metadata': {}, 'cursor_start': 0, 'cursor_end': 1,\n"
        "           'matches': [chr(233) * 2000] * 200}\n"
        "body = {'number': numbers[0], 'content': content}\n"
        "body = json.dumps(body, ensure_ascii=False).encode()\n"
        "send(struct.pack('<4sBBHI', b'kvch', 1, 10, 0, len(body)) + body)\n"
        "print('x' * 2_000_000)"
    )
    assert "output" in run.error["evalue"], run.outputs
    broker.run("%kavach restart")


@pytest.mark.parametrize(
    "line",
    [
        "while True: send(message('stream', TEXT))",
        "while True: os.write(1, b'x' * 65536)",
        "while True: send(message('clear_output', {'wait': False}))",
        "while True: send(message('display_data', DISPLAY))",
        "while True: send(frame(6, QUESTION))",
    ],
    ids=["text", "descriptor", "clears", "displays", "questions"],
)
def test_kernel_answers_during_a_flood(broker: Kernel, line: str) -> None:
    """Within two seconds, over and over, until a limit has ended the session."""
    run = Run()
    limit = "%%sandbox --output 2M"
    request = broker.start(f"{limit}\nprint('on', flush=True)\n{CHANNEL}\n{line}")
    broker.wait_for(request, "on", run)
    for _ in range(10):
        _answers(broker)
    run = broker.finish(request, run)
    assert run.reply["ename"] == "CellStopped"
    assert broker.value("1 + 1") == "2"


def test_text_from_here_and_there_comes_as_fast_as_a_page_can_follow(broker: Kernel) -> None:
    """Two streams by turns are no message for each letter, and none of it is lost."""
    run = broker.run(
        f"{CHANNEL}\n"
        "two = [message('stream', {'name': it, 'text': it[-3]}) for it in ('stdout', 'stderr')]\n"
        "for _ in range(100):\n    send(b''.join(two) * 50)"
    )
    assert (run.stdout, run.stderr) == ("o" * 5000, "e" * 5000)
    assert len(run.of("stream")) < 2000


def test_session_without_standard_streams_keeps_nobody_busy(broker: Kernel) -> None:
    """A pipe that nobody writes to any more is not looked at again, and cells go on."""
    assert broker.run("import os, time\nos.close(1)\nos.close(2)").status == "ok"
    before = _processor_seconds(broker.pid)
    assert broker.run("time.sleep(1)").status == "ok"
    assert _processor_seconds(broker.pid) - before < 0.5
    assert broker.run("1 + 1").result["data"]["text/plain"] == "2"
    broker.run("%kavach restart")


def _processor_seconds(pid: int) -> float:
    """Return what a process has used, without its children: proc_pid_stat(5), utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
