"""Policies from and to plain English.

Guarantees: ``explain`` says one sentence for every field, in the order of the fields;
``from_sentences`` reads exactly what ``explain`` writes (``from_sentences(explain(p)) == p``) and
refuses everything else, so a sentence that was edited never means something by chance.
Assumes: paths may hold any character. They stand in quotes, with a backslash escape for whatever
could end the quotation, break the line or act on a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy.model import FIELDS, Network, Policy
from kavach_ipy.policy.quoting import quoted, read_quoted
from kavach_ipy.policy.units import (
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
)

__all__ = ["explain", "from_sentences"]


@dataclass(frozen=True, slots=True)
class _Form:
    """How one field is said: whole sentences for some values, a frame for the others."""

    fixed: tuple[tuple[object, str], ...] = ()
    before: str = ""
    after: str = ""
    show: Callable[[object], str] = str
    read: Callable[[str], object] | None = None


def explain(policy: Policy) -> list[str]:
    """Return one plain sentence for each field, saying what the cell may and may not do."""
    return [_say(_FORMS[field], getattr(policy, field)) for field in FIELDS]


def from_sentences(sentences: Sequence[str]) -> Policy:
    """Return the policy that ``explain`` described with exactly these sentences.

    Raises:
        PolicyError: a sentence is missing, out of order, or not one that ``explain`` writes.
    """
    if len(sentences) != len(FIELDS):
        raise PolicyError(
            "sentences", len(sentences), f"{len(FIELDS)} sentences are, one for each field"
        )
    policy = Policy.from_mapping(
        {
            field: _read(field, _FORMS[field], sentence)
            for field, sentence in zip(FIELDS, sentences, strict=True)
        }
    )
    # The readers take a little more than the writers write ("1024MiB" for "1GiB"); with this
    # comparison there is one text for each policy.
    for field, given, said in zip(FIELDS, sentences, explain(policy), strict=True):
        if given != said:
            raise PolicyError(field, given, f"the sentence for this is: {said}")
    return policy


def _say(form: _Form, value: object) -> str:
    for known, sentence in form.fixed:
        if value == known:
            return sentence
    return f"{form.before}{form.show(value)}{form.after}"


def _read(field: str, form: _Form, sentence: str) -> object:
    for value, known in form.fixed:
        if sentence == known:
            return value
    inner = sentence.removeprefix(form.before).removesuffix(form.after)
    framed = f"{form.before}{inner}{form.after}" == sentence
    if form.read is None or not framed:
        expected = [known for _, known in form.fixed]
        if form.read is not None:
            expected.append(f"{form.before}…{form.after}")
        raise PolicyError(field, sentence, f"its sentence is: {' | '.join(expected)}")
    try:
        return form.read(inner)
    except PolicyError as error:
        raise PolicyError(field, sentence, error.allowed) from error


def _show_paths(value: object) -> str:
    return quoted(str(path) for path in _items(value))


def _show_names(value: object) -> str:
    return ", ".join(str(name) for name in _items(value))


def _read_names(text: str) -> object:
    return tuple(text.split(", "))


def _items(value: object) -> Iterable[object]:
    # The fields that are shown as lists are tuples in every Policy.
    assert isinstance(value, tuple)
    return value


def _show_time(value: object) -> str:
    return format_duration(float(str(value)))


def _show_size(value: object) -> str:
    return format_size(int(str(value)))


_FORMS: Final[dict[str, _Form]] = {
    "network": _Form(
        (
            (Network.NONE, "The cell has no network: it can open no network socket."),
            (
                Network.LOOPBACK,
                "The cell has a private loopback network and reaches no other machine.",
            ),
            (
                Network.HOST,
                (
                    "The cell uses the network of this machine, is no TCP server, can send away"
                    " what it reads, and reaches what this machine reaches, but not the ports of"
                    " notebooks."
                ),
            ),
        )
    ),
    "inputs": _Form(
        (
            (None, "Any variable of the notebook may be visible to it."),
            ((), "No variable of the notebook is visible to it."),
        ),
        "Only these variables of the notebook may be visible to it: ",
        ".",
        _show_names,
        _read_names,
    ),
    "outputs": _Form(
        (
            (None, "Any variable that the caller asks for may come back."),
            ((), "No variable comes back."),
        ),
        "Only these variables may come back: ",
        ".",
        _show_names,
        _read_names,
    ),
    "timeout": _Form(
        ((None, "No clock stops it."),),
        "It is stopped after ",
        " by the clock.",
        _show_time,
        parse_duration,
    ),
    "cpu": _Form((), "It is stopped after ", " of processor time.", _show_time, parse_duration),
    "memory": _Form(
        (),
        "It may take ",
        " of new memory, on top of what the notebook uses already.",
        _show_size,
        parse_size,
    ),
    "pids": _Form((), "It may have ", " processes and threads at once.", str, parse_count),
    "files": _Form((), "Each of its processes may have ", " files open at once.", str, parse_count),
    "disk": _Form(
        (),
        "It may write ",
        " of temporary files, which are thrown away afterwards.",
        _show_size,
        parse_size,
    ),
    "output": _Form((), "It may print and display ", " in all.", _show_size, parse_size),
    "messages": _Form((), "It may send ", " pieces of output.", str, parse_count),
    "read_only": _Form(
        (
            (
                (),
                (
                    "It may read the system, the Python environment and the working directory, and"
                    " no other file."
                ),
            ),
        ),
        "It may read the system, the Python environment and the working directory, and: ",
        ".",
        _show_paths,
        read_quoted,
    ),
    "writable": _Form(
        (((), "It can change no file for good."),),
        "It can change files for good at: ",
        ".",
        _show_paths,
        read_quoted,
    ),
    "hidden": _Form(
        (((), "No other path is hidden from it."),),
        "Hidden from it, whatever else is allowed: ",
        ".",
        _show_paths,
        read_quoted,
    ),
    "environment": _Form(
        (((), "It sees no environment variable."),),
        "It sees only these environment variables: ",
        ".",
        _show_names,
        _read_names,
    ),
    "clean": _Form(
        (
            (False, "It runs in a fork of the notebook, whose memory it can read."),
            (
                True,
                (
                    "It runs in a fresh interpreter that shares no memory with the notebook; only"
                    " variables that are named go in."
                ),
            ),
        )
    ),
    "session": _Form(
        ((None, "Its own variables are gone when it is over."),),
        "Its own variables live on in the session ",
        ".",
        str,
        str,
    ),
    "trust": _Form(
        (
            (False, "What comes back is checked and rebuilt by the gate."),
            (
                True,
                (
                    "What comes back is unpickled without a check, so a hostile cell can run code"
                    " in the notebook."
                ),
            ),
        )
    ),
    "stdin": _Form(
        (
            (False, "It can ask nobody: input() is off."),
            (True, "It may ask the person at the notebook, and reads what that person types."),
        )
    ),
    "trust_display": _Form(
        (
            (False, "The page shows what it displays, and runs nothing of it."),
            (
                True,
                (
                    "The page runs what it displays, so a hostile cell can do there whatever the"
                    " reader could."
                ),
            ),
        )
    ),
}
