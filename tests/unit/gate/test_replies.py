"""What a session answers: replies of honest sessions pass, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from kavach_ipy.errors import ProtocolError
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.replies import completed, executed, failed, inspected

_POLICY = DisplayPolicy()
_OK: dict[str, Any] = {
    "status": "ok",
    "execution_count": 3,
    "payload": [],
    "user_expressions": {},
}


def test_reply_of_a_cell_keeps_what_front_ends_need() -> None:
    """Status, count, and the expressions that were asked for."""
    shown = {"status": "ok", "data": {"text/plain": "42"}, "metadata": {}}
    reply = executed(_OK | {"user_expressions": {"a": shown, "b": shown}}, ["a"], _POLICY)
    assert reply.content == _OK | {"user_expressions": {"a": shown}}
    assert (reply.count, reply.keeps_kernel) == (3, None)


def test_reply_of_a_cell_loses_what_no_session_may_say() -> None:
    """Payloads, keys that nobody knows, programs for the page."""
    page = {"source": "page", "data": {"text/plain": "x"}, "start": 0}
    code = {"source": "set_next_input", "text": "import os", "replace": True}
    html = {"status": "ok", "data": {"text/html": "<script>1</script>"}, "metadata": {"x": 1}}
    content = _OK | {"payload": [page, code], "user_expressions": {"a": html}, "engine_info": {}}
    reply = executed(content, ["a"], _POLICY).content
    assert reply.keys() == _OK.keys()
    assert reply["payload"] == []
    shown = reply["user_expressions"]
    assert isinstance(shown, dict)
    assert "script" not in str(shown["a"]).replace("text/html", "")


def test_exit_is_the_one_payload() -> None:
    """Rebuilt, with what it says of the kernel."""
    asks = {"source": "ask_exit", "keepkernel": False, "more": "no"}
    reply = executed(_OK | {"payload": [asks]}, [], _POLICY)
    assert reply.content["payload"] == [{"source": "ask_exit", "keepkernel": False}]
    assert reply.keeps_kernel is False
    keeps = executed(_OK | {"payload": [asks | {"keepkernel": True}]}, [], _POLICY)
    assert keeps.keeps_kernel is True


def test_error_of_a_reply_is_text() -> None:
    """A name that is one, and lines without control sequences."""
    content: dict[str, Any] = {
        "ename": "Bad\x1b[2J",
        "evalue": "\x1b]0;t\x07x",
        "traceback": ["a\x1b[2Jb", 3],
    }
    assert failed(content) == {
        "status": "error",
        "ename": "Exception",
        "evalue": "x",
        "traceback": ["ab"],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 1},
        {"status": "error"},
        {"execution_count": True},
        {"execution_count": 1 << 31},
        {"execution_count": -2},
        {"payload": {}},
        {"user_expressions": []},
        {"user_expressions": {"a": 1}},
        {"user_expressions": {"a": {"status": "ok", "data": []}}},
    ],
)
def test_reply_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    """As a fault of the wire, which ends the session."""
    with pytest.raises(ProtocolError):
        executed(_OK | changes, ["a"], _POLICY)


def test_completions_are_lines_within_the_code() -> None:
    """What Tab offers becomes text of the user's cell."""
    kind: dict[str, Any] = {
        "start": 0,
        "end": 9,
        "text": "os",
        "type": "module",
        "signature": "\x1b[2J()",
    }
    content: dict[str, Any] = {
        "matches": ["os", "os\nimport evil", "\x1b[2Jos", 3, "x" * 5000],
        "cursor_start": -5,
        "cursor_end": 99,
        "metadata": {"_jupyter_types_experimental": [kind, {"text": "a\nb"}, 3], "other": 1},
    }
    assert completed(content, 2) == {
        "status": "ok",
        "matches": ["os"],
        "cursor_start": 0,
        "cursor_end": 2,
        "metadata": {"_jupyter_types_experimental": [kind | {"end": 2, "signature": "()"}]},
    }


@pytest.mark.parametrize("missing", ["cursor_start", "cursor_end"])
def test_completions_without_a_place_are_refused(missing: str) -> None:
    """There is no place that could be meant."""
    content: dict[str, Any] = {"matches": [], "cursor_start": 0, "cursor_end": 0, "metadata": {}}
    with pytest.raises(ProtocolError):
        completed({key: it for key, it in content.items() if key != missing}, 1)


def test_documentation_goes_through_the_display_policy() -> None:
    """What was found, cleaned; what was not found, nothing."""
    content: dict[str, Any] = {"found": True, "data": {"text/plain": "doc\x1b[2J"}}
    reply = inspected({**content, "metadata": {}}, _POLICY)
    assert reply == {
        "status": "ok",
        "found": True,
        "data": {"text/plain": "doc"},
        "metadata": {},
    }
    assert inspected({"found": 1, "data": content["data"]}, _POLICY)["data"] == {}
