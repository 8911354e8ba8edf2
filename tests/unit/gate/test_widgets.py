"""Widgets of a session: what ipywidgets really sends passes, and the table is all of it."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Any, cast

import ipywidgets
import pytest
from ipywidgets.widgets.widget import _registry
from traitlets import CaselessStrEnum

from kavach_ipy.gate.comms import CommMessage, Comms
from kavach_ipy.gate.widget_kinds import CHOICES
from kavach_ipy.gate.widget_table import COMMON, MODELS, VERSIONS, WITHHELD_MODELS
from kavach_ipy.wire.documents import Json, read_document, write_document
from tests.unit.gate.session_widgets import Sent, recorded

_NAMES = frozenset(
    f"_{part}_{what}" for part in ("model", "view") for what in ("module", "module_version", "name")
)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 3, 2) + b"\x08\x06\x00\x00\x00"
PNG += struct.pack(">I", zlib.crc32(PNG[12:]))


def _classes() -> Iterator[type[ipywidgets.Widget]]:
    """Every widget class that ipywidgets registers."""
    waiting: list[Any] = [_registry._registry]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, dict):
            waiting += entry.values()
        else:
            yield entry


CLASSES = {
    cast("str", cls.class_traits()["_model_name"].default_value): cls
    for cls in _classes()
    if cls.__module__.startswith("ipywidgets.")
}


def heard(comms: Comms, sent: list[Sent]) -> list[CommMessage]:
    """Return what the page hears of messages, of which nothing may be left out."""
    told: list[CommMessage] = []
    for message in sent:
        answer = comms.from_session(
            message.msg_type, message.content, message.metadata, message.buffers
        )
        assert not answer.reason
        told += answer.messages
    return [*told, *comms.release()]


def state_of(message: CommMessage) -> dict[str, Json]:
    """Return the state that a message tells."""
    return cast("dict[str, Any]", message.content)["data"]["state"]  # type: ignore[no-any-return]


def test_every_model_of_ipywidgets_has_a_decision() -> None:
    """What the installed ipywidgets has is in the table, or withheld with a reason."""
    assert CLASSES.keys() == MODELS.keys() | WITHHELD_MODELS.keys()
    assert not MODELS.keys() & WITHHELD_MODELS.keys()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_row_is_what_ipywidgets_sends(model: str) -> None:
    """Names of views and modules, traits, and the words of traits that have a list of them."""
    row, cls = MODELS[model], CLASSES[model]
    traits = cls.class_traits(sync=True)
    assert traits["_view_name"].default_value == (row.view or None)
    assert traits["_model_module"].default_value == row.module
    assert traits["_model_module_version"].default_value == VERSIONS[row.module]
    assert traits.keys() - _NAMES - COMMON.keys() == row.traits.keys()
    for name, kind in row.traits.items():
        if kind == "choice":
            trait = traits[name]
            assert isinstance(trait, CaselessStrEnum)
            assert CHOICES[name] >= set(trait.values or ())


def _made(model: str) -> ipywidgets.Widget:
    """Make a widget with something in it."""
    match model:
        case "LinkModel" | "DirectionalLinkModel":
            ends = (ipywidgets.IntSlider(), "value"), (ipywidgets.FloatText(), "value")
            return cast("ipywidgets.Widget", CLASSES[model](*ends))
        case "ImageModel":
            return ipywidgets.Image(value=PNG, width="30", height=20)
        case "FileUploadModel":
            return ipywidgets.FileUpload(accept="image/*,.csv", multiple=True)
        case "SelectionSliderModel" | "SelectionRangeSliderModel":
            return cast("ipywidgets.Widget", CLASSES[model](options=["a", "b $x$"]))
        case "LayoutModel":
            return ipywidgets.Layout(
                width="calc(100% - 20px)", border="solid 1px var(--jp-border-color1)",
                margin="0 0 2px 10px", display="flex", flex_flow="row wrap", overflow="auto",
                grid_template_areas='"top top" "left ."', grid_area="1 / 2 / span 3 / auto",
                grid_template_columns="[a] repeat(3, minmax(10px, 1fr)) fit-content(40%)",
            )  # fmt: skip
        case _ if "children" in MODELS[model].traits:
            inner = [ipywidgets.Button(description="in")]
            titles = {"titles": ["first"]} if "titles" in MODELS[model].traits else {}
            return cast("ipywidgets.Widget", CLASSES[model](children=inner, **titles))
        case _ if "_options_labels" in MODELS[model].traits:
            return cast("ipywidgets.Widget", CLASSES[model](options=["a", "b"]))
        case _:
            return CLASSES[model]()


def _renamed(value: Json, names: dict[str, str]) -> Json:
    if isinstance(value, str) and value.startswith("IPY_MODEL_"):
        return f"IPY_MODEL_{names[value.removeprefix('IPY_MODEL_')]}"
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return value


@pytest.mark.parametrize("model", sorted(MODELS))
def test_widget_arrives_as_it_was_sent(model: str) -> None:
    """A page gets every trait of every widget of ipywidgets, under names of ours."""
    with recorded() as session:
        _made(model)
    told = heard(Comms(), session.sent)
    assert [message.msg_type for message in told] == [sent.msg_type for sent in session.sent]
    names = {
        str(sent.content["comm_id"]): str(message.content["comm_id"])
        for sent, message in zip(session.sent, told, strict=True)
    }
    assert not names.keys() & set(names.values())
    for sent, message in zip(session.sent, told, strict=True):
        data = cast("dict[str, Any]", sent.content["data"])
        assert state_of(message) == {
            key: _renamed(value, names) for key, value in data["state"].items()
        }
        assert message.buffers == sent.buffers
        assert message.content["target_module"] is None


def test_bars_of_tqdm_are_drawn_and_move() -> None:
    """A bar in a notebook is a box of two texts and a progress, and each step is told."""
    from tqdm.notebook import tqdm  # type: ignore[import-untyped]

    with recorded() as session, contextlib.redirect_stdout(io.StringIO()):
        for _ in tqdm(range(3), desc="three", mininterval=0):
            pass
    told = heard(Comms(), session.sent)
    opened = [state_of(message) for message in told if message.msg_type == "comm_open"]
    assert {"HBoxModel", "HTMLModel", "FloatProgressModel"} <= {
        state["_model_name"] for state in opened
    }
    updates = [state_of(message) for message in told if message.msg_type == "comm_msg"]
    assert [state["value"] for state in updates if type(state.get("value")) is float] == [1, 2, 3]
    assert any("3/3" in str(state.get("value")) for state in updates)


def test_interact_is_drawn_and_answers() -> None:
    """The controls of a function, and an output that captures what it prints."""
    with recorded() as session, contextlib.redirect_stdout(io.StringIO()):

        def answer(x: int, y: str) -> None:
            print(x, y)

        made = ipywidgets.interactive(answer, x=10, y=["a", "b"])
        made.children[0].value = 3
    told = heard(Comms(), session.sent)
    box = next(m for m in told if "widget-interact" in str(m.content))
    children = [
        state_of(message)["children"]
        for message in told
        if message.content["comm_id"] == box.content["comm_id"] and message.msg_type == "comm_msg"
    ]
    assert len(cast("list[Json]", children[-1])) == 3


def test_state_of_all_widgets_is_rebuilt_for_a_page_that_was_loaded_anew() -> None:
    """The answer to the control comm names models and traits as opening them did."""
    comms = Comms()
    with recorded() as session:
        image = ipywidgets.Image(value=PNG)
        told = heard(comms, session.sent)
        asked = comms.from_front_end(
            "comm_open", {"comm_id": "page-1", "target_name": "jupyter.widget.control"}, {}
        )
        (opening,) = asked.messages
        name = str(opening.content["comm_id"])
        state, paths, buffers = ipywidgets.widgets.widget._remove_buffers({
            widget.model_id: {
                "model_name": widget._model_name, "model_module": widget._model_module,
                "model_module_version": widget._model_module_version, "state": widget.get_state(),
            }
            for widget in (image, image.layout)
        })  # fmt: skip
    answer = read_document(
        write_document({"method": "update_states", "states": state, "buffer_paths": paths})
    )
    (states,) = comms.from_session(
        "comm_msg", {"comm_id": name, "data": answer}, {}, [bytes(part) for part in buffers]
    ).messages
    assert states.content["comm_id"] == "page-1"
    data = cast("dict[str, Any]", states.content["data"])
    for message in told:
        entry = data["states"][message.content["comm_id"]]
        assert entry["state"] == state_of(message)
        assert entry["model_name"] == state_of(message)["_model_name"]
    assert data["buffer_paths"] == [[told[-1].content["comm_id"], "state", "value"]]
    assert states.buffers == (PNG,)
    closing = comms.from_front_end("comm_close", {"comm_id": "page-1"}, {})
    assert closing.messages[0].content["comm_id"] == name
    assert "page-1" not in comms.open_comms()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # ipywidgets names traits of its own that it no longer wants.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
