"""A flood of displays becomes what a page can hold and draw, and the last is always shown."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.gate import pace as pace_module
from kavach_ipy.gate.display import Shown
from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.pace import BURST, OUTPUTS, RATE, SECONDS, Pace
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Message, MessageType


class _Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The clock of the module under test."""
    made = _Clock()
    monkeypatch.setattr(pace_module, "monotonic", made)
    return made


def _message(kind: MessageType, text: str = "x", name: str | None = None) -> Message:
    if kind == "clear_output":
        return Message(kind, {"wait": True}, {})
    data: dict[str, Json] = {"text/plain": text, "text/html": f"<b>{text}</b>"}
    content: dict[str, Json] = {"data": data, "metadata": {}, "transient": {}}
    if name is not None:
        content["transient"] = {"display_id": name}
    return Message(kind, content, {})


def _texts(all_shown: list[Shown]) -> list[str]:
    return [
        "clear" if shown.msg_type == "clear_output" else str(shown.data["text/plain"])
        for shown in all_shown
    ]


@pytest.mark.usefixtures("clock")
def test_displays_beyond_what_a_page_holds_are_one_line() -> None:
    """The first thousand come as they are made; the rest are counted."""
    pace = Pace(DisplayPolicy())
    shown = [one for at in range(3000) for one in pace.hear(_message("display_data", str(at)))]
    assert _texts(shown) == [str(at) for at in range(OUTPUTS)]
    assert pace.release() == []
    assert f"{3000 - OUTPUTS} more displays" in pace.left_out()
    assert pace.left_out().count("\n") == 1


@pytest.mark.usefixtures("clock")
def test_a_few_displays_are_no_flood() -> None:
    """Nothing is said and nothing held where nothing is left out."""
    pace = Pace(DisplayPolicy())
    for at in range(OUTPUTS):
        assert len(pace.hear(_message("display_data", str(at)))) == 1
    assert pace.left_out() == ""


def test_updates_beyond_the_rate_are_left_out_but_for_the_last(clock: _Clock) -> None:
    """A loop of updates is drawn at a pace that can be seen, and ends where it ended."""
    pace = Pace(DisplayPolicy())
    pace.hear(_message("display_data", "0", "d"))
    drawn: list[Shown] = []
    for at in range(1, 10_001):
        drawn += pace.hear(_message("update_display_data", str(at), "d"))
        clock.now += 0.001
    drawn += pace.release()
    assert len(drawn) <= BURST + 10 * RATE + 2
    assert _texts(drawn)[-1] == "10000"


def test_frames_of_an_animation_are_left_out_but_for_the_last(clock: _Clock) -> None:
    """Displays that are cleared at once are dropped together with their clear."""
    pace = Pace(DisplayPolicy())
    drawn: list[str] = []
    for at in range(5000):
        drawn += _texts(pace.hear(_message("clear_output")))
        drawn += _texts(pace.hear(_message("display_data", str(at))))
        clock.now += 0.001
    drawn += _texts(pace.release())
    assert len(drawn) <= 2 * (BURST + 5 * RATE + 2)
    assert drawn[-1] == "4999"
    assert pace.left_out() == ""


def test_cleaning_that_takes_too_long_ends(clock: _Clock) -> None:
    """What comes after ten seconds of cleaning is shown as text that says so."""
    pace = Pace(DisplayPolicy())
    clock.step = SECONDS
    (first,) = pace.hear(_message("display_data"))
    pace.hear(_message("display_data"))
    (late,) = pace.hear(_message("display_data"))
    assert "text/html" in first.data
    assert late.data.keys() == {"text/plain"}
    assert "took 10 s already" in str(late.data["text/plain"])


_steps = st.lists(
    st.tuples(
        st.sampled_from(["display_data", "update_display_data", "clear_output", "text", "result"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=120,
)


@given(_steps)
def test_the_page_ends_as_it_would_without_a_pace(steps: list[tuple[str, str]]) -> None:
    """Whatever is shown, updated and cleared, what stands in the end is the same."""
    pace = Pace(DisplayPolicy())
    pace._tokens = 3.0
    paced: list[Shown] = []
    plain: list[Shown] = []
    free = Pace(DisplayPolicy())
    free._tokens = 1e9
    for number, (kind, name) in enumerate(steps):
        if kind == "text":
            paced += pace.release()
            continue
        sent = _message("execute_result" if kind == "result" else cast("MessageType", kind),
                        str(number), name)  # fmt: skip
        paced += pace.hear(sent)
        free._tokens = 1e9
        plain += free.hear(sent)
    paced += pace.release()
    assert _page(paced) == _page(plain)


def _page(all_shown: list[Shown]) -> list[str]:
    """What stands on a page: a list of texts, each under its display id."""
    stands: list[list[str]] = []
    for shown in all_shown:
        name = str(shown.transient.get("display_id", "")).rpartition("-")[2]
        text = str(shown.data.get("text/plain"))
        if shown.msg_type == "clear_output":
            stands = []
        elif shown.msg_type == "update_display_data":
            for one in stands:
                if one[0] == name:
                    one[1] = text
        else:
            stands.append([name, text])
    return [text for _, text in stands]
