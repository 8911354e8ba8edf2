"""Comm messages: a session that means harm, and a page that is told no more than it can follow."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kavach_ipy.gate import comms as limits
from kavach_ipy.gate import widgets as keeping
from kavach_ipy.gate.comms import CommMessage, Comms, Heard
from kavach_ipy.gate.display import DisplayIds, show
from kavach_ipy.gate.widget_table import MODELS, VERSIONS, WITHHELD_MODELS
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Message
from tests.unit.gate.test_widgets import PNG

_VERSION: dict[str, Json] = {"version": "2.1.0"}
_VIEW = "application/vnd.jupyter.widget-view+json"


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self.now


class Session:
    """A session that can say anything."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.comms = Comms(clock=self.clock, **options)
        self.made = 0

    def open(self, model: str, **state: Any) -> str:
        """Open a widget; return the session's name for it."""
        return self.opened(model, **state)[0]

    def opened(self, model: str, **state: Any) -> tuple[str, Heard]:
        """Open a widget; return the session's name for it, and what became of that."""
        row = MODELS[model]
        names = {
            "_model_name": model,
            "_model_module": row.module,
            "_model_module_version": VERSIONS[row.module],
        }
        return self.open_raw(names | state)

    def open_raw(
        self, state: dict[str, Json], metadata: dict[str, Json] = _VERSION, **content: Json
    ) -> tuple[str, Heard]:
        """Open a comm with this state and whatever else."""
        self.made += 1
        name = f"session{self.made}"
        whole: dict[str, Json] = {
            "comm_id": name, "target_name": "jupyter.widget", "target_module": None,
            "data": {"state": state, "buffer_paths": []}, **content,
        }  # fmt: skip
        return name, self.comms.from_session("comm_open", whole, metadata)

    def update(self, name: str, method: str = "update", **state: Any) -> Heard:
        """Change a widget's state."""
        data = {"method": method, "state": state, "buffer_paths": []}
        return self.say(name, data)

    def say(self, name: str, data: dict[str, Any], buffers: tuple[bytes, ...] = ()) -> Heard:
        """Send any message to a comm."""
        return self.comms.from_session("comm_msg", {"comm_id": name, "data": data}, {}, buffers)

    def view(self, name: str) -> dict[str, Json] | None:
        """Display a widget."""
        return self.comms.view({"version_major": 2, "version_minor": 0, "model_id": name})


def state_of(message: CommMessage) -> dict[str, Any]:
    """Return the state in a message."""
    return cast("dict[str, Any]", message.content)["data"]["state"]  # type: ignore[no-any-return]


def shown(model: str, **state: Any) -> dict[str, Any]:
    """Return the state that a page gets of a widget that is opened with this one."""
    _, heard = Session().opened(model, **state)
    (message,) = heard.messages
    return state_of(message)


@pytest.mark.parametrize("target", ["jupyter.widget.control", "matplotlib", "", None, 7])
def test_session_opens_comms_of_widgets_only(target: Json) -> None:
    """A page has handlers for other targets, which are told nothing."""
    session = Session()
    _, heard = session.open_raw({"_model_name": "ButtonModel"}, target_name=target)
    assert heard.messages == ()
    assert "target" in heard.reason
    assert session.comms.open_comms() == {}


def test_module_of_a_target_is_never_loaded() -> None:
    """A page fetches target_module as a program, from anywhere."""
    _, heard = Session().open_raw(
        {
            "_model_name": "ButtonModel",
            "_model_module": "@jupyter-widgets/controls",
            "_model_module_version": "2.0.0",
        },
        target_module="https://evil.example/x.js",
    )
    (message,) = heard.messages
    assert message.content["target_module"] is None
    assert "evil" not in str(message)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_model_module", "evil-package"),
        ("_model_module", "https://evil.example/x.js"),
        ("_model_module", "@jupyter-widgets/base"),
        ("_model_module_version", "1.5.0"),
        ("_model_module_version", None),
        ("_model_name", "EvilModel"),
        ("_model_name", "__proto__"),
        ("_model_name", ["ButtonModel"]),
    ],
)
def test_programs_of_others_are_not_loaded(key: str, value: Json) -> None:
    """What is not of ipywidgets and in the table becomes a label that says why."""
    state = shown("ButtonModel", **{key: value})
    assert state["_model_name"] == "LabelModel"
    assert state["_model_module"] == "@jupyter-widgets/controls"
    assert state["value"].startswith("[not shown: ")


def test_names_of_views_are_those_of_the_table() -> None:
    """A view is a program too: the session does not choose it."""
    state = shown("HTMLModel", _view_module="evil", _view_name="EvilView", _view_module_version="9")
    assert state["_view_module"] == "@jupyter-widgets/controls"
    assert state["_view_module_version"] == "2.0.0"
    assert state["_view_name"] == "HTMLView"


def test_names_of_a_model_never_change_later() -> None:
    """An update says nothing of models, modules and views."""
    session = Session()
    name = session.open("HTMLModel")
    heard = session.update(
        name, _model_module="evil", _view_module="evil", _view_name="X", value="a"
    )
    assert state_of(heard.messages[0]) == {"value": "a"}


@pytest.mark.parametrize("model", ["PasswordModel", "VideoModel", "AudioModel", "ControllerModel"])
def test_withheld_widgets_leave_a_label(model: str) -> None:
    """A box that holds one still stands, and its reader learns why."""
    session = Session()
    state: dict[str, Json] = {
        "_model_name": model,
        "_model_module": "@jupyter-widgets/controls",
        "_model_module_version": "2.0.0",
    }
    name, heard = session.open_raw(state)
    (message,) = heard.messages
    assert state_of(message)["_model_name"] == "LabelModel"
    assert WITHHELD_MODELS[model] in heard.reason
    assert session.update(name, value="evil").messages == ()
    box = session.opened("HBoxModel", children=[f"IPY_MODEL_{name}"])[1].messages[0]
    assert state_of(box)["children"] == [f"IPY_MODEL_{message.content['comm_id']}"]


@pytest.mark.parametrize("model", ["HTMLModel", "HTMLMathModel"])
def test_markup_of_widgets_is_cleaned(model: str) -> None:
    """HTML runs where it is shown: in its value, at the beginning and later."""
    evil = "<b>hello</b><img src=x onerror=alert(1)><script>alert(1)</script>"
    session = Session()
    name, heard = session.opened(model, value=evil)
    assert state_of(heard.messages[0])["value"] == "<b>hello</b>"
    assert state_of(session.update(name, value=evil).messages[0])["value"] == "<b>hello</b>"
    echo = session.update(name, "echo_update", value=evil)
    assert state_of(echo.messages[0])["value"] == "<b>hello</b>"
    only = session.update(name, value="<script>alert(1)</script>")
    assert "not shown" in state_of(only.messages[0])["value"]


@pytest.mark.parametrize("model", sorted(
    name for name, row in MODELS.items() if "description_allow_html" in row.traits
))  # fmt: skip
def test_descriptions_are_never_html(model: str) -> None:
    """What would make HTML of a description stays off."""
    state = shown(model, description="<img src=x onerror=alert(1)>", description_allow_html=True)
    if state["_model_name"] == model:
        assert state["description_allow_html"] is False
    session = Session()
    name = session.open(model)
    heard = session.update(name, description_allow_html=True)
    assert [state_of(message) for message in heard.messages] in (
        [], [{"description_allow_html": False}],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "trait"), [("LabelModel", "value"), ("ButtonModel", "description")]
)
def test_labels_are_typeset_where_that_is_harmless(model: str, trait: str) -> None:
    r"""A label with \href is shown with its signs, and $x^2$ is mathematics."""
    assert shown(model, **{trait: "of $x^2$"})[trait] == "of $x^2$"
    evil = shown(model, **{trait: r"$\href{https://evil.example}{x}$"})[trait]
    assert "$" not in evil
    assert "\\" not in evil
    assert "evil.example" in evil


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", "url(https://evil.example/x)"),
        ("border_top", "1px solid; background: url(https://evil.example/x)"),
        ("margin", "-500px 0 0 0"),
        ("margin", "calc(0px - 500px)"),
        ("top", "-300px"),
        ("left", "3000px"),
        ("grid_template_areas", "\\75rl(x)"),
        ("width", "var(--evil)"),
        ("height", "x" * 500),
        ("height", 7),
        ("display", "/*"),
    ],
)
def test_layouts_load_and_move_nothing(name: str, value: Json) -> None:
    """A layout has sizes and places inside of its own box."""
    assert name not in shown("LayoutModel", **{name: value})


def test_styles_load_nothing() -> None:
    """A background may be a colour or a gradient, and no address."""
    assert "background" not in shown("TextStyleModel", background="url(//evil.example)")
    assert shown("TextStyleModel", background="rgb(1, 2, 3)")["background"] == "rgb(1, 2, 3)"


def test_classes_of_the_page_are_not_given() -> None:
    """A class such as a dialogue's would put a widget over the page."""
    state = shown("HBoxModel", _dom_classes=["jp-Dialog", "widget-interact", 7])
    assert state["_dom_classes"] == ["widget-interact"]


@pytest.mark.parametrize(
    ("model", "trait", "value"),
    [
        ("IntSliderModel", "value", "1"),
        ("IntSliderModel", "value", 1.5),
        ("IntSliderModel", "value", True),
        ("IntSliderModel", "max", 2**60),
        ("FloatSliderModel", "value", [1]),
        ("FloatSliderModel", "readout_format", "<script>"),
        ("CheckboxModel", "value", 1),
        ("CheckboxModel", "value", "<b>"),
        ("TabModel", "titles", "one"),
        ("TabModel", "titles", [["one"]]),
        ("DropdownModel", "_options_labels", [1]),
        ("DropdownModel", "_options_labels", ["a"] * 5001),
        ("ButtonModel", "button_style", "jp-Dialog"),
        ("ButtonModel", "icon", 'check evil" onclick='),
        ("DatePickerModel", "value", {"year": "x"}),
        ("DatePickerModel", "value", {"evil": 1}),
        ("TextModel", "value", {"toString": "x"}),
        ("FileUploadModel", "accept", '"><script>'),
        ("ColorPickerModel", "value", "url(x)"),
        ("HTMLModel", "style", "IPY_MODEL_unknown"),
        ("HTMLModel", "layout", "IPY_MODEL_unknown"),
        ("OutputModel", "outputs", "x"),
        ("ImageModel", "width", "10;position:fixed"),
        ("ImageModel", "value", "https://evil.example/x.png"),
    ],
)
def test_values_of_another_kind_are_left_out(model: str, trait: str, value: Json) -> None:
    """A trait has a value of its kind, or none; the rest of the state passes."""
    session = Session()
    _, heard = session.opened(model, **{trait: value, "_view_count": 1})
    state = state_of(heard.messages[0])
    assert trait not in state
    assert state["_view_count"] == 1
    assert trait in heard.reason


def test_unknown_traits_are_left_out() -> None:
    """What the table lacks is not told, with or without a harmless value."""
    state = shown("ButtonModel", evil=1, constructor="x", __proto__={}, description="go")
    assert state.keys() & {"evil", "constructor", "__proto__"} == set()
    assert state["description"] == "go"


def test_texts_are_filtered() -> None:
    """Escape sequences and controls that reorder text go, as they do everywhere."""
    state = shown("TextModel", value="a\x1b]0;evil\x07b\u202ec", description="x\x1b[2Jy")
    assert state["value"] == "ab[U+202E]c"
    assert state["description"] == "xy"


def test_images_are_images() -> None:
    """An image is checked by its head; an address or SVG is none."""
    session = Session()
    name = session.open("ImageModel", format="url")
    paths = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    (told,) = session.say(name, paths, (PNG,)).messages
    assert told.buffers == (PNG,)
    for evil in (b"https://evil.example/x.png", b"<svg onload=alert(1)>", b"\x89PNG"):
        (told,) = session.say(name, paths, (evil,)).messages
        assert told.buffers == (b"",)
    assert shown("ImageModel", format="url")["format"] == "png"
    assert shown("ImageModel", format="svg+xml")["format"] == "png"
    assert shown("ImageModel", format="jpeg")["format"] == "jpeg"


@pytest.mark.parametrize(
    "paths", [[["description"]], [["value", 0]], ["value"], [[0]], [[]], "value", [["__proto__"]]]
)
def test_buffers_lead_nowhere_but_to_images(paths: Json) -> None:
    """A path puts a buffer into the state of an image, or nowhere."""
    session = Session()
    name = session.open("ImageModel")
    data = {"method": "update", "state": {"width": "3"}, "buffer_paths": paths}
    (told,) = session.say(name, data, (PNG,)).messages
    assert told.buffers == ()
    assert state_of(told) == {"width": "3"}


def test_references_lead_to_widgets_of_the_session() -> None:
    """A page has widgets of other sessions, which are none of this one's business."""
    session, other = Session(), Session()
    layout, button = session.open("LayoutModel"), session.open("ButtonModel")
    theirs = other.opened("ButtonModel")[1].messages[0].content["comm_id"]
    children = [f"IPY_MODEL_{button}", f"IPY_MODEL_{theirs}", f"IPY_MODEL_{layout}", "x", None]
    state = state_of(session.opened("HBoxModel", children=children)[1].messages[0])
    assert len(state["children"]) == 1
    assert button not in state["children"][0]
    wrong = session.opened("ButtonModel", layout=f"IPY_MODEL_{button}")[1]
    assert "layout" not in state_of(wrong.messages[0])


def test_names_are_never_the_sessions() -> None:
    """A page hears of widgets under names of ours, and they are new for each session."""
    first, second = Session(), Session()
    one = first.opened("ButtonModel")[1].messages[0].content["comm_id"]
    two = second.opened("ButtonModel")[1].messages[0].content["comm_id"]
    assert len({one, two, "session1"}) == 3
    again = first.comms.from_session(
        "comm_open",
        {"comm_id": "session1", "target_name": "jupyter.widget", "data": {"state": {}}},
        _VERSION,
    )
    assert again.messages == ()


@pytest.mark.parametrize("name", ["", "a" * 65, "a/b", "a\nb", 7, None, ["a"]])
def test_odd_names_are_refused(name: Json) -> None:
    """The name of a comm is a word."""
    session = Session()
    state: dict[str, Json] = {
        "_model_name": "ButtonModel",
        "_model_module": "@jupyter-widgets/controls",
        "_model_module_version": "2.0.0",
    }
    assert session.open_raw(state, comm_id=name)[1].messages == ()


def test_link_joins_what_is_cleaned_alike() -> None:
    """A page copies what it is told to copy: no text of a field becomes HTML."""
    session = Session()
    names = {
        model: session.open(model)
        for model in ("TextModel", "HTMLModel", "LabelModel", "IntSliderModel", "FloatTextModel")
    }

    def linked(source: tuple[str, str], target: tuple[str, str]) -> bool:
        ends = [[f"IPY_MODEL_{names[model]}", trait] for model, trait in (source, target)]
        _, heard = session.opened("LinkModel", source=ends[0], target=ends[1])
        return bool(state_of(heard.messages[0])["_model_name"] == "LinkModel")

    assert linked(("IntSliderModel", "value"), ("FloatTextModel", "value"))
    assert linked(("TextModel", "disabled"), ("IntSliderModel", "disabled"))
    assert linked(("HTMLModel", "value"), ("HTMLModel", "value"))
    assert not linked(("TextModel", "value"), ("HTMLModel", "value"))
    assert not linked(("HTMLModel", "value"), ("TextModel", "value"))
    assert not linked(("TextModel", "value"), ("LabelModel", "value"))
    assert not linked(("TextModel", "value"), ("HTMLModel", "description_allow_html"))
    assert not linked(("TextModel", "value"), ("HTMLModel", "_view_module"))
    assert not linked(("TextModel", "layout"), ("HTMLModel", "layout"))


def test_link_does_not_change_one_end_alone() -> None:
    """The other end would be one that was never compared with it."""
    session = Session()
    text, page = session.open("TextModel"), session.open("HTMLModel")
    ends = [[f"IPY_MODEL_{text}", "value"], [f"IPY_MODEL_{page}", "value"]]
    link = session.open("DirectionalLinkModel", source=ends[0], target=ends[0])
    assert session.update(link, target=ends[1]).messages == ()
    assert session.update(link, source=ends[0], target=ends[1]).messages == ()
    assert session.update(link, source=ends[1], target=ends[1]).messages != ()


def test_no_widget_takes_the_focus() -> None:
    """Keys that are meant for elsewhere would be typed into a session's field."""
    session = Session()
    name = session.open("TextModel")
    heard = session.say(name, {"method": "custom", "content": {"do": "focus"}})
    assert heard.messages == ()
    assert heard.reason


def test_circles_of_boxes_are_refused() -> None:
    """A page would draw a box in itself for ever."""
    session = Session()
    one, two = session.open("HBoxModel"), session.open("VBoxModel")
    assert session.update(one, children=[f"IPY_MODEL_{two}"]).messages
    heard = session.update(two, children=[f"IPY_MODEL_{one}"])
    assert heard.messages == ()
    assert session.update(one, children=[f"IPY_MODEL_{one}"]).messages == ()


def test_boxes_that_multiply_are_refused() -> None:
    """Thirty boxes that each hold the one before twice are a thousand million."""
    session = Session()
    name = session.open("ButtonModel")
    told = []
    for _ in range(30):
        name, heard = session.opened("HBoxModel", children=[f"IPY_MODEL_{name}"] * 2)
        told.append("children" in state_of(heard.messages[0]))
    assert told.index(False) == 12, "2 ** 13 - 1 elements are 8191, and 10000 are allowed"


def test_output_shown_in_itself_is_refused() -> None:
    """An output that captures its own display, directly or through another."""
    session = Session(messages=lambda name: f"page-{name}" if name == "m1" else None)
    one, two = session.open("OutputModel"), session.open("OutputModel")
    button = session.open("ButtonModel")
    session.update(one, msg_id="m1")
    assert session.view(button) is not None
    assert session.view(one) is None
    assert session.view(two) is not None
    session.update(one, msg_id="")
    session.update(two, msg_id="m1")
    assert session.view(one) is None
    session.comms.cleared()
    assert session.view(button) is not None
    session.update(two, msg_id="")
    outputs = [{"output_type": "display_data", "metadata": {}, "data": {_VIEW: {"model_id": one}}}]
    assert session.update(one, outputs=outputs).messages == ()


def test_output_captures_what_its_own_session_says() -> None:
    """A page would put the output of any message into it."""
    session = Session(messages=lambda name: f"page-{name}" if name == "m1" else None)
    name = session.open("OutputModel")
    assert state_of(session.update(name, msg_id="m1").messages[0]) == {"msg_id": "page-m1"}
    assert state_of(session.update(name, msg_id="m2").messages[0]) == {"msg_id": ""}


@pytest.mark.parametrize("end", ["end", "gone_back"])
def test_output_lets_go_where_a_cell_is_stopped(end: str) -> None:
    """What stopped it is said next, below the cell, and in no widget that hides it."""
    session = Session(messages=lambda name: name)
    name = session.open("OutputModel")
    session.comms.cell_begins()
    later = session.open("OutputModel")
    publics = [str(session.update(it, msg_id="m1").messages[0].content["comm_id"])
               for it in (name, later)]  # fmt: skip
    told = getattr(session.comms, end)()
    released = {str(it.content["comm_id"]): state_of(it) for it in told[:2]}
    assert released == {public: {"msg_id": ""} for public in publics}
    assert {it.msg_type for it in told[2:]} == {"comm_close"}


def test_outputs_pass_the_gate() -> None:
    """JupyterLab trusts what an output widget holds."""
    session = Session()
    button = session.open("ButtonModel")
    evil = "<b>x</b><script>alert(1)</script>"
    outputs: list[Json] = [
        {"output_type": "stream", "name": "stdout", "text": "a\x1b[2Jb"},
        {"output_type": "stream", "name": "evil", "text": "a"},
        {
            "output_type": "display_data",
            "data": {"text/html": evil},
            "metadata": {"isolated": True},
        },
        {"output_type": "execute_result", "data": {"application/javascript": "alert(1)"}},
        {"output_type": "display_data", "data": {_VIEW: {"model_id": button}}, "metadata": {}},
        {"output_type": "error", "ename": "E", "evalue": "x\x1b[2J", "traceback": ["\x1b[2Jt"]},
        {"output_type": "evil"},
        7,
    ]
    (told,) = session.opened("OutputModel", outputs=outputs)[1].messages
    stream, page, program, view, error = state_of(told)["outputs"]
    assert stream["text"] == "ab"
    assert page["data"]["text/html"] == "<b>x</b>"
    assert page["metadata"] == {}
    assert "not shown" in program["data"]["text/plain"]
    assert view["data"][_VIEW]["model_id"] in session.comms.open_comms()
    assert error["evalue"] == "x"
    assert error["traceback"] == ["t"]


def test_outputs_are_read_in_bounded_time() -> None:
    """An output widget holds many outputs, and all of them are cleaned at once."""
    session = Session()
    page = {"output_type": "display_data", "data": {"text/html": "x" * 400_000}}
    (told,) = session.opened("OutputModel", outputs=[page] * 100)[1].messages
    assert len(state_of(told)["outputs"]) == 5


def test_echo_of_outputs_is_not_cleaned_twice() -> None:
    """What a page has captured comes back, and stays on the page as it is."""
    session = Session()
    name = session.open("OutputModel")
    assert session.update(name, "echo_update", outputs=[]).messages == ()
    assert session.update(name, outputs=[]).messages != ()


def test_display_names_a_widget_of_the_session() -> None:
    """A view of a widget passes under our name, and no other does."""
    session = Session()
    name = session.open("ButtonModel")
    layout = session.open("LayoutModel")

    def displayed(model_id: Json) -> dict[str, Json]:
        data: dict[str, Json] = {
            "text/plain": "Button()",
            _VIEW: {"version_major": 2, "version_minor": 0, "model_id": model_id, "evil": 1},
        }
        message = Message("display_data", {"data": data, "metadata": {}}, {})
        told = show(message, DisplayIds(), views=session.comms)
        assert told is not None
        return dict(told.data)

    view = cast("dict[str, Json]", displayed(name)[_VIEW])
    assert view.keys() == {"version_major", "version_minor", "model_id"}
    assert session.comms.open_comms() == dict.fromkeys(
        [view["model_id"], *session.comms.open_comms()], "jupyter.widget"
    )
    odd_names: list[Json] = [view["model_id"], layout, "unknown", 7, None, [name]]
    for odd in odd_names:
        shown_instead = displayed(odd)
        assert _VIEW not in shown_instead
        assert "not shown" in str(shown_instead["text/plain"])


def test_widget_without_a_session_that_serves_the_kernel_is_withheld() -> None:
    """By a sentence that is true whether the process of the cell lives on or not."""
    message = Message("display_data", {"data": {_VIEW: {"model_id": "a"}}, "metadata": {}}, {})
    told = show(message, DisplayIds())
    assert told is not None
    text = str(told.data["text/plain"])
    assert "nothing leads there from the page" in text
    assert "gone" not in text


def test_updates_wait_and_the_last_is_told() -> None:
    """A loop of a million steps draws what an eye can see, and its end."""
    session = Session()
    bar, text = session.open("IntProgressModel"), session.open("TextModel")
    told = sum(len(session.update(bar, value=step).messages) for step in range(5000))
    assert told == 200
    session.update(bar, max=6000)
    assert session.update(text, value="x").messages == ()
    wait = session.comms.wait()
    assert wait is not None
    assert 0 < wait <= 1
    last, other = session.comms.release()
    assert state_of(last) == {"value": 4999, "max": 6000}
    assert state_of(other) == {"value": "x"}
    assert session.comms.release() == ()
    assert session.comms.wait() is None
    session.clock.now += 1
    assert len(session.update(bar, value=1).messages) == 1


def test_what_waits_is_told_before_its_widget_ends() -> None:
    """An update that waits never comes after the end of a widget that it names."""
    session = Session()
    box, button = session.open("HBoxModel"), session.open("ButtonModel")
    for _ in range(300):
        session.update(button, description="x")
    session.comms.release()
    assert session.update(box, children=[f"IPY_MODEL_{button}"]).messages == ()
    told = session.comms.from_session("comm_close", {"comm_id": button, "data": {}}, {}).messages
    assert [message.msg_type for message in told] == ["comm_msg", "comm_close"]
    assert session.update(button, description="y").messages == ()


def test_capture_never_waits() -> None:
    """What is printed next belongs into the widget, or no longer."""
    session = Session(messages=lambda name: name)
    bar, output = session.open("IntProgressModel"), session.open("OutputModel")
    for step in range(300):
        session.update(bar, value=step)
    told = session.update(output, msg_id="m1").messages
    assert [state_of(message) for message in told] == [{"value": 299}, {"msg_id": "m1"}]


def test_widgets_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page holds so many widgets of a session, and closing one makes room."""
    monkeypatch.setattr(limits, "WIDGETS", 5)
    session = Session()
    names = [session.open("ButtonModel") for _ in range(5)]
    _, heard = session.opened("ButtonModel")
    assert heard.messages == ()
    assert "5 widgets" in heard.reason
    session.comms.from_session("comm_close", {"comm_id": names[0]}, {})
    session.clock.now += 1
    assert session.opened("ButtonModel")[1].messages != ()


def test_widgets_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page keeps the state of every widget: what is over is refused, and room comes back."""
    monkeypatch.setattr(keeping, "_BYTES", 10_000)
    session = Session()
    one, two = session.open("TextModel"), session.open("TextModel")
    assert session.update(one, value="x" * 8000).messages != ()
    refused = session.update(two, value="x" * 8000)
    assert refused.messages == ()
    assert "MiB" in refused.reason
    assert session.update(one, value="x" * 7000).messages != ()
    assert session.update(one, value="").messages != ()
    assert session.update(two, value="x" * 8000).messages != ()


def test_time_for_widgets_is_bounded() -> None:
    """A session that keeps the gate busy is not heard until the time is paid back."""
    session = Session()
    name = session.open("HTMLModel")

    class Slow(dict[str, Json]):
        def get(self, key: str, default: Any = None) -> Any:
            session.clock.now += 3
            return super().get(key, default)

    content = Slow(comm_id=name, data={"method": "update", "state": {"value": "a"}})
    session.comms.from_session("comm_msg", content, {})
    refused = session.update(name, value="b")
    assert refused.messages == ()
    assert "time" in refused.reason
    session.clock.now += 60
    assert session.update(name, value="b").messages != ()


def test_displays_of_large_boxes_are_bounded() -> None:
    """A thousand displays of ten thousand widgets are ten million elements."""
    session = Session()
    button = session.open("ButtonModel")
    boxes = [session.open("HBoxModel", children=[f"IPY_MODEL_{button}"] * 1000)]
    told = sum(session.view(boxes[0]) is not None for _ in range(100))
    assert told == 49
    session.clock.now += 1
    assert session.view(boxes[0]) is not None


def test_reason_is_told_once() -> None:
    """What is left out in a loop leaves one line."""
    session = Session()
    name = session.open("IntSliderModel")
    assert session.update(name, value="x").reason
    assert not session.update(name, value="x").reason
    many = [session.update(f"unknown{number}", value=1).reason for number in range(9)]
    assert sum(map(bool, many)) == 1


def test_page_speaks_to_widgets_of_the_session() -> None:
    """A click and a value arrive under the session's own name."""
    session = Session()
    name, heard = session.opened("ButtonModel")
    public = heard.messages[0].content["comm_id"]
    data: dict[str, Json] = {"method": "custom", "content": {"event": "click"}}
    (click,) = session.comms.from_front_end(
        "comm_msg", {"comm_id": public, "data": data}, {"version": "2.1.0"}
    ).messages
    assert click.content == {"comm_id": name, "data": data}
    state: dict[str, Json] = {"layout": f"IPY_MODEL_{public}", "outputs": [{"model_id": public}]}
    (update,) = session.comms.from_front_end(
        "comm_msg", {"comm_id": public, "data": {"method": "update", "state": state}}, {}, [b"x"]
    ).messages
    assert update.buffers == (b"x",)
    assert state_of(update) == {"layout": f"IPY_MODEL_{name}", "outputs": [{"model_id": name}]}


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("comm_msg", {"comm_id": "session1", "data": {}}),
        ("comm_msg", {"comm_id": "unknown", "data": {}}),
        ("comm_msg", {"data": {}}),
        ("comm_msg", {"comm_id": 7}),
        ("comm_close", {"comm_id": "session1"}),
        ("comm_open", {"comm_id": "page", "target_name": "jupyter.widget", "data": {}}),
        ("comm_open", {"comm_id": "page", "target_name": "evil", "data": {}}),
        ("comm_open", {"comm_id": "a/b", "target_name": "jupyter.widget.control"}),
        ("comm_evil", {"comm_id": "page"}),
    ],
)
def test_page_speaks_to_nothing_else(msg_type: str, content: dict[str, Json]) -> None:
    """Comms that the session has not open do not exist for a page."""
    session = Session()
    session.open("ButtonModel")
    heard = session.comms.from_front_end(msg_type, content, {})
    assert heard.messages == ()
    assert heard.reason


def test_page_sends_no_more_than_a_session_takes() -> None:
    """A message's text, values, depth and buffers are bounded."""
    session = Session()
    _, heard = session.opened("TextModel")
    public = heard.messages[0].content["comm_id"]

    def passes(state: Json, buffers: tuple[bytes, ...] = ()) -> bool:
        data: dict[str, Json] = {"method": "update", "state": {"value": state}}
        content: dict[str, Json] = {"comm_id": public, "data": data}
        return bool(session.comms.from_front_end("comm_msg", content, {}, buffers).messages)

    deep: Json = "x"
    for _ in range(50):
        deep = [deep]
    assert passes("x" * 1_000_000)
    assert not passes("x" * 5_000_000)
    assert not passes([0] * 200_000)
    assert not passes(deep)
    assert not passes("x", (b"",) * 300)


def test_page_opens_few_control_comms() -> None:
    """Pages that went away have closed none of theirs."""
    comms = Comms()
    for number in range(100):
        content: dict[str, Json] = {
            "comm_id": f"page{number}", "target_name": "jupyter.widget.control",
        }  # fmt: skip
        (opened,) = comms.from_front_end("comm_open", content, {}).messages
        assert opened.content["target_name"] == "jupyter.widget.control"
        assert opened.metadata == {"version": "1.0.0"}
    assert len(comms.open_comms()) == 16
    assert "page99" in comms.open_comms()


@pytest.mark.parametrize(
    "data",
    [
        {"method": "update", "state": {"value": "<script>"}},
        {"method": "custom", "content": {}},
        {"method": "update_states", "states": []},
    ],
)
def test_control_comm_tells_states_and_nothing_else(data: dict[str, Json]) -> None:
    """What a page asked for is a list of states."""
    session = Session()
    asked = session.comms.from_front_end(
        "comm_open", {"comm_id": "page", "target_name": "jupyter.widget.control"}, {}
    )
    name = str(asked.messages[0].content["comm_id"])
    assert session.say(name, data).messages == ()


def test_states_for_a_page_are_those_of_known_widgets() -> None:
    """The answer neither adds widgets nor tells other models, and its HTML is cleaned."""
    session = Session()
    asked = session.comms.from_front_end(
        "comm_open", {"comm_id": "page", "target_name": "jupyter.widget.control"}, {}
    )
    name = str(asked.messages[0].content["comm_id"])
    page, heard = session.opened("HTMLModel")
    public = str(heard.messages[0].content["comm_id"])
    state = {"value": "a<script>alert(1)</script>", "_model_module": "evil"}
    entry = {"model_name": "X", "model_module": "evil", "model_module_version": "1", "state": state}
    (told,) = session.say(
        name, {"method": "update_states", "states": {page: entry, "unknown": entry, "x": 7}}
    ).messages
    states = cast("dict[str, Any]", told.content["data"])["states"]
    assert states.keys() == {public}
    assert states[public]["model_module"] == "@jupyter-widgets/controls"
    assert states[public]["state"]["value"] == "a"
    assert "evil" not in str(told)


def test_end_closes_every_comm() -> None:
    """A page learns that a session's widgets are no longer alive."""
    session = Session()
    publics = {session.opened("ButtonModel")[1].messages[0].content["comm_id"] for _ in range(3)}
    ended = session.comms.end()
    assert {message.content["comm_id"] for message in ended} == publics
    assert {message.msg_type for message in ended} == {"comm_close"}
    assert session.comms.open_comms() == {}
    assert session.comms.end() == ()
