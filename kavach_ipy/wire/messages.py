"""What each kind of frame says: one builder and one strict reader a kind.

Guarantees: a reader returns typed data, or raises `ProtocolError` for a wrong kind, a missing or
unknown key, or a wrong type; no reader interprets text, so what it returns is still hostile.
Assumes: the caller knows which kinds the other end may send now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar, cast, get_args

from kavach_ipy.errors import ProtocolError
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.frames import Frame, Kind
from kavach_ipy.wire.marks import NO_MARK, Mark, read_mark

__all__ = [
    "MESSAGE_TYPES",
    "RESULT",
    "STREAM_FRAME",
    "Answer",
    "Done",
    "Failure",
    "Message",
    "MessageType",
    "Question",
    "SetupFault",
    "answer_frame",
    "done_frame",
    "go_frame",
    "input_frame",
    "message_frame",
    "read_answer",
    "read_done",
    "read_error",
    "read_go",
    "read_input",
    "read_message",
    "read_ready",
    "ready_frame",
    "shortened",
    "take",
]

MessageType: TypeAlias = Literal[
    "stream",
    "display_data",
    "update_display_data",
    "clear_output",
    "execute_result",
    "error",
    "comm_open",
    "comm_msg",
    "comm_close",
]
MESSAGE_TYPES: Final[frozenset[str]] = frozenset(get_args(MessageType))
RESULT: Final = "<result>"
"""The name under which the last expression's value travels; no variable can be called so."""

STREAM_FRAME: Final = 64
"""Bytes of a stream frame that are not counted as printed; an empty one has 85 or more."""

# Our own child keeps to these, so that a long traceback is cut there and not refused here.
_TEXT: Final = 64 << 10
_LINES: Final = 2000
_Status: TypeAlias = Literal["ok", "eof", "interrupted"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SetupFault:
    """The step of the child's recipe that failed; the fields are those of `SetupFailed`."""

    step: str
    call: str
    errno: int
    detail: str


@dataclass(frozen=True, slots=True)
class Message:
    """A Jupyter message without its headers, which the parent makes itself."""

    msg_type: MessageType
    content: dict[str, Json]
    metadata: dict[str, Json]
    buffers: tuple[bytes | memoryview, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """The cell asks for a line (`input`) or a password (`getpass`)."""

    prompt: str
    is_password: bool
    interrupts: int = 0
    """How many the cell has had before it asked: one that it has not had yet ends the question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The line; or that there is none (`eof`, with the reason) or that an interrupt came."""

    text: str
    status: _Status = "ok"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of the cell, as text.

    Attributes:
        name: the class's name.
        text: `str()` of the exception.
        lines: the rendered traceback, a line each, with SGR colours.
        notes: what `add_note` added (PEP 678).
    """

    name: str
    text: str
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The cell is over; `failure` is None where it raised nothing."""

    failure: Failure | None = None


def ready_frame(fault: SetupFault | None = None) -> Frame:
    """Say that set-up is finished, or which step of it failed."""
    if fault is None:
        return Frame(Kind.READY, {"fault": None})
    record: dict[str, Json] = {
        "step": fault.step,
        "call": fault.call,
        "errno": fault.errno,
        "detail": fault.detail,
    }
    return Frame(Kind.READY, {"fault": record})


def read_ready(frame: Frame) -> SetupFault | None:
    """Read READY; None where set-up is finished."""
    _expect(frame, Kind.READY, {"fault"})
    if frame.body["fault"] is None:
        return None
    record = take(frame, frame.body, "fault", dict)
    _same_keys(frame, record, {"step", "call", "errno", "detail"})
    return SetupFault(
        take(frame, record, "step", str),
        take(frame, record, "call", str),
        take(frame, record, "errno", int),
        take(frame, record, "detail", str),
    )


def go_frame() -> Frame:
    """Tell the child to run the cell."""
    return Frame(Kind.GO)


def read_go(frame: Frame) -> None:
    """Read GO, which says nothing else."""
    _expect(frame, Kind.GO, set())


def message_frame(
    msg_type: MessageType,
    content: dict[str, Json],
    metadata: dict[str, Json] | None = None,
    buffers: tuple[bytes | memoryview, ...] = (),
    mark: Mark = NO_MARK,
) -> Frame:
    """Send a Jupyter message; its headers stay behind."""
    body: dict[str, Json] = {
        "type": msg_type,
        "content": content,
        "metadata": metadata or {},
    }
    return Frame(Kind.MESSAGE, _marked(body, mark), buffers)


def _marked(body: dict[str, Json], mark: Mark) -> dict[str, Json]:
    return {**body, "mark": [*mark]} if mark.stdout or mark.stderr else body


def read_message(frame: Frame) -> Message:
    """Read MESSAGE; only the types in `MESSAGE_TYPES` are allowed."""
    _expect(frame, Kind.MESSAGE, {"type", "content", "metadata"}, has_buffers=True)
    msg_type = take(frame, frame.body, "type", str)
    if msg_type not in MESSAGE_TYPES:
        raise _broken(frame, f"message type {msg_type!r:.40}; allowed: {sorted(MESSAGE_TYPES)}.")
    return Message(
        cast("MessageType", msg_type),
        take(frame, frame.body, "content", dict),
        take(frame, frame.body, "metadata", dict),
        frame.buffers,
    )


def input_frame(
    prompt: str, *, is_password: bool, interrupts: int = 0, mark: Mark = NO_MARK
) -> Frame:
    """Ask the parent for a line."""
    body: dict[str, Json] = {
        "prompt": prompt[:_TEXT],
        "password": is_password,
        "interrupts": interrupts,
    }
    return Frame(Kind.INPUT, _marked(body, mark))


def read_input(frame: Frame) -> Question:
    """Read INPUT."""
    _expect(frame, Kind.INPUT, {"prompt", "password", "interrupts"})
    return Question(
        take(frame, frame.body, "prompt", str),
        take(frame, frame.body, "password", bool),
        take(frame, frame.body, "interrupts", int),
    )


def answer_frame(text: str, status: _Status = "ok") -> Frame:
    """Answer INPUT."""
    return Frame(Kind.ANSWER, {"text": text, "status": status})


def read_answer(frame: Frame) -> Answer:
    """Read ANSWER."""
    _expect(frame, Kind.ANSWER, {"text", "status"})
    status = take(frame, frame.body, "status", str)
    if status not in get_args(_Status):
        raise _broken(frame, f"status {status!r:.40}; allowed: {get_args(_Status)}.")
    return Answer(take(frame, frame.body, "text", str), cast("_Status", status))


def done_frame(failure: Failure | None = None) -> Frame:
    """Say that the cell is over; long texts are cut so that the frame is always accepted."""
    if failure is None:
        return Frame(Kind.DONE, {"failure": None})
    shown = shortened(failure)
    record: dict[str, Json] = {
        "name": shown.name,
        "text": shown.text,
        "lines": list(shown.lines),
        "notes": list(shown.notes),
    }
    return Frame(Kind.DONE, {"failure": record})


def shortened(failure: Failure) -> Failure:
    """Return a failure whose texts are cut so that a frame holds them."""
    return Failure(
        failure.name[:_TEXT], failure.text[:_TEXT], _cut(failure.lines), _cut(failure.notes)
    )


def read_error(message: Message) -> Failure:
    """Read a message of type ``error``: an error that the cell went on after.

    Raises:
        ProtocolError: the content has not the form of the messaging protocol.
    """
    frame = Frame(Kind.MESSAGE)
    _same_keys(frame, message.content, {"ename", "evalue", "traceback"})
    return Failure(
        take(frame, message.content, "ename", str),
        take(frame, message.content, "evalue", str),
        _texts(frame, message.content, "traceback"),
    )


def read_done(frame: Frame) -> Done:
    """Read DONE."""
    _expect(frame, Kind.DONE, {"failure"})
    if frame.body["failure"] is None:
        return Done()
    record = take(frame, frame.body, "failure", dict)
    _same_keys(frame, record, {"name", "text", "lines", "notes"})
    return Done(
        Failure(
            take(frame, record, "name", str),
            take(frame, record, "text", str),
            _texts(frame, record, "lines"),
            _texts(frame, record, "notes"),
        )
    )


def take(frame: Frame, record: Mapping[str, Json], key: str, kind: type[_T]) -> _T:
    """Return `record[key]`, which must be of exactly this type.

    Raises:
        ProtocolError: the key is missing or its value is of another type.
    """
    value = record.get(key)
    # isinstance would take True for an int.
    if type(value) is not kind:
        raise _broken(frame, f"{key} is a {type(value).__name__}; {kind.__name__} is allowed.")
    return value


def _texts(frame: Frame, record: Mapping[str, Json], key: str) -> tuple[str, ...]:
    items = take(frame, record, key, list)
    if not all(type(item) is str for item in items):
        raise _broken(frame, f"{key} holds something that is no text.")
    return tuple(cast("list[str]", items))


def _cut(texts: tuple[str, ...]) -> tuple[str, ...]:
    room = 1 << 20
    kept: list[str] = []
    for text in texts[:_LINES]:
        kept.append(text[: min(_TEXT, room)])
        room -= len(text)
        if room <= 0:
            break
    return tuple(kept)


def _expect(frame: Frame, kind: Kind, keys: set[str], *, has_buffers: bool = False) -> None:
    if frame.kind is not kind:
        raise _broken(frame, f"{kind.name} was due.")
    if frame.buffers and not has_buffers:
        raise _broken(frame, f"{len(frame.buffers)} buffers where none is allowed.")
    if "mark" in frame.body and kind in {Kind.MESSAGE, Kind.INPUT}:
        read_mark(frame)
        keys = keys | {"mark"}
    _same_keys(frame, frame.body, keys)


def _same_keys(frame: Frame, record: Mapping[str, Json], keys: set[str]) -> None:
    if record.keys() != keys:
        odd = sorted(record.keys() ^ keys)
        raise _broken(frame, f"keys {odd!r:.80} are unknown or missing.")


def _broken(frame: Frame, detail: str) -> ProtocolError:
    return ProtocolError(0, frame.kind.name, detail)
