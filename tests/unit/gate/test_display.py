"""The display policy, message by message."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import PolicyError, ProtocolError
from kavach_ipy.gate.display import DisplayIds, Shown, show
from kavach_ipy.gate.mimes import MIME_RULES, DisplayPolicy
from kavach_ipy.gate.streams import Streams
from kavach_ipy.wire.documents import Json
from kavach_ipy.wire.messages import Message, MessageType

_GIF = base64.b64encode(b"GIF89a\x03\x00\x04\x00\x00;").decode()


def _show(
    data: dict[str, Json],
    metadata: dict[str, Json] | None = None,
    msg_type: MessageType = "display_data",
) -> Shown:
    content: dict[str, Json] = {"data": data, "metadata": metadata or {}, "transient": {}}
    shown = show(Message(msg_type, content, {"isolated": True}), DisplayIds())
    assert shown is not None
    return shown


def test_text_and_tables_pass_cleaned() -> None:
    """Text passes through the filter, HTML through the cleaner."""
    shown = _show({"text/plain": "a\x1b[2Jb", "text/html": "<b onclick=x>c</b>"})
    assert shown.data == {"text/plain": "ab", "text/html": "<b>c</b>"}


def test_images_pass_with_their_sizes_only() -> None:
    """Of the metadata only width and height of an image survive."""
    given: dict[str, Json] = {
        "image/gif": {"width": 10, "height": 2.5, "unconfined": True, "x": "y"},
        "text/html": {"isolated": True},
        "isolated": True,
    }
    shown = _show({"image/gif": _GIF + "\n", "text/plain": "p"}, given)
    assert shown.data == {"image/gif": _GIF, "text/plain": "p"}
    assert shown.metadata == {"image/gif": {"width": 10, "height": 2.5}}


@pytest.mark.parametrize("width", [True, "10", -1, 0, 10**9, None, [1]])
def test_odd_sizes_are_dropped(width: Json) -> None:
    """A size that is no small number is nothing."""
    assert _show({"image/gif": _GIF}, {"image/gif": {"width": width}}).metadata == {}


@pytest.mark.parametrize(
    "mime",
    [
        "application/javascript",
        "text/javascript",
        "application/vnd.jupyter.widget-view+json",
        "application/vnd.plotly.v1+json",
        "application/vnd.bokehjs_exec.v0+json",
        "application/pdf",
        "TEXT/HTML",
        "text/html ",
        "x\x1b[31my",
        "",
    ],
)
def test_other_types_are_withheld_with_one_line(mime: str) -> None:
    """A type outside the table never passes; the text stays, with a line that says so."""
    shown = _show({mime: "alert(1)", "text/plain": "Figure()"})
    assert set(shown.data) == {"text/plain"}
    text = shown.data["text/plain"]
    assert isinstance(text, str)
    assert text.startswith("Figure()\n[not shown: ")
    assert "\x1b" not in text
    assert "alert" not in text


def test_a_type_that_is_refused_beside_one_that_passes_is_quiet() -> None:
    """Where the page shows something rich anyway, no line disturbs it."""
    shown = _show({"application/javascript": "x", "image/gif": _GIF, "text/plain": "p"})
    assert shown.data == {"image/gif": _GIF, "text/plain": "p"}


@pytest.mark.parametrize(
    ("mime", "value"),
    [
        ("image/gif", "R0lGODlh"),
        ("image/png", _GIF),
        ("text/html", "<div>" * 500),
        ("text/html", 1),
    ],
)
def test_data_that_are_not_what_they_say_are_withheld(mime: str, value: Json) -> None:
    """A broken image or endless HTML leaves a line, not a gap."""
    assert "not shown" in str(_show({mime: value}).data["text/plain"])


def test_svg_becomes_an_image_in_html() -> None:
    """An SVG is shown as an image; HTML of the same output goes before it."""
    svg: dict[str, Json] = {"image/svg+xml": "<svg onload=x></svg>", "text/plain": "p"}
    assert "onload" not in str(_show(svg).data)
    assert str(_show(svg).data["text/html"]).startswith("<img ")
    assert _show({**svg, "text/html": "<b>h</b>"}).data["text/html"] == "<b>h</b>"


def test_markdown_is_shown_as_html_and_its_source_as_text() -> None:
    """The source stands in place of the text that only names a class; it is never forwarded."""
    shown = _show({"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": "# T"})
    assert shown.data == {"text/plain": "# T", "text/html": "<h1>T</h1>\n"}


def test_latex_that_only_draws_is_typeset() -> None:
    """A formula passes; one with a command that loads, links or defines is shown as its source."""
    assert _show({"text/plain": "x²", "text/latex": "$x^2$"}).data["text/latex"] == "$x^2$"
    for source in (r"$\require{x}$", r"$\href{x}{y}$", r"\def\alpha{x}", r"\begin{evil}"):
        shown = _show({"text/plain": "<IPython.core.display.Latex object>", "text/latex": source})
        text = shown.data["text/plain"]
        assert isinstance(text, str)
        assert shown.data.keys() == {"text/plain"}
        assert text.startswith(f"{source}\n[not shown: text/latex: ")


def test_html_that_is_a_program_alone_leaves_a_line() -> None:
    """What would be an empty place says that it is one; what was empty stays so."""
    shown = _show({"text/html": "<div id=a></div><script>x</script>", "text/plain": "Chart()"})
    assert str(shown.data["text/plain"]).startswith("Chart()\n[not shown: text/html: ")
    assert _show({"text/html": ""}).data["text/html"] == ""
    for visible in ("<hr>", '<div style="width: 3px"></div>', "<table><tr><td></td></tr></table>"):
        assert "text/html" in _show({"text/html": visible}).data


def test_settings_withhold_more_and_never_less() -> None:
    """A type of the setting's is withheld, whole kinds too; other rows stay as they are."""
    policy = DisplayPolicy.of(["text/html", "image/*"])
    data: dict[str, Json] = {"text/html": "<b>x</b>", "image/gif": _GIF, "text/javascript": "x"}
    message = Message("display_data", {"data": data, "metadata": {}}, {})
    shown = show(message, DisplayIds(), policy)
    assert shown is not None
    assert shown.data.keys() == {"text/plain"}
    assert "image/gif, text/html: the settings withhold it" in str(shown.data["text/plain"])
    for name in ("text/plain", "text/*", "*", "html", "a/b c", ""):
        with pytest.raises(PolicyError):
            DisplayPolicy.of([name])


def test_trusted_output_passes_as_it_is() -> None:
    """The way of --trust-display; display ids are ours even then."""
    data: dict[str, Json] = {"application/javascript": "alert(1)"}
    content: dict[str, Json] = {
        "data": data, "metadata": {"isolated": True}, "transient": {"display_id": "theirs"}
    }  # fmt: skip
    shown = show(
        Message("display_data", content, {}), DisplayIds(), DisplayPolicy.of([], is_trusted=True)
    )
    assert shown is not None
    assert (shown.data, shown.metadata) == (data, {"isolated": True})
    assert shown.transient != {"display_id": "theirs"}


def test_json_is_bounded() -> None:
    """A page makes an element for each item, so there are not too many of them."""
    assert "application/json" in _show({"application/json": list(range(10_000))}).data
    bigs: list[Json] = [list(range(30_000)), ["x" * (2 << 20)], {"k" * (2 << 20): 1}]
    for big in bigs:
        assert "application/json" not in _show({"application/json": big}).data


def test_every_rule_is_told_and_treated() -> None:
    """The table has no row without words, and text/plain stays in it."""
    assert MIME_RULES["text/plain"].treatment == "text"
    assert all(rule.becomes for rule in MIME_RULES.values())


def test_json_passes_cleaned() -> None:
    """JSON passes with every text in it filtered, keys too."""
    shown = _show({"application/json": {"a\x07": ["\x1b]0;x\x07b", 1, None]}})
    assert shown.data["application/json"] == {"a": ["b", 1, None]}


def test_display_ids_are_renamed_and_reach_their_own_cell_only() -> None:
    """An update needs an id that the same run has shown; ids of other cells do not exist."""
    ids = DisplayIds()

    def send(msg_type: MessageType, name: Json, ids: DisplayIds = ids) -> Shown | None:
        content: dict[str, Json] = {"data": {}, "metadata": {}, "transient": {"display_id": name}}
        return show(Message(msg_type, content, {}), ids)

    assert send("update_display_data", "theirs") is None
    made = send("display_data", "mine")
    assert made is not None
    renamed = made.transient["display_id"]
    assert renamed != "mine"
    update = send("update_display_data", "mine")
    assert update is not None
    assert update.transient == {"display_id": renamed}
    assert send("update_display_data", renamed) is None
    assert send("update_display_data", "mine", DisplayIds()) is None
    odd = send("display_data", ["mine"])
    assert odd is not None
    assert odd.transient == {}


def test_display_ids_are_bounded_and_the_oldest_goes_first() -> None:
    """A cell cannot fill the kernel with ids, and a session never runs out of them."""
    ids = DisplayIds()
    made = [ids.make(str(at)) for at in range(10_000)]
    assert ids.make("0") == made[0]
    made += [ids.make(str(at)) for at in range(10_000, 20_000)]
    assert len(set(made)) == 20_000
    assert ids.find("9999") is None
    assert [ids.find(str(at)) for at in (0, 10_001, 19_999)] == [None, made[10_001], made[-1]]
    assert ids.make("0") not in made


def test_clear_output_says_whether_it_waits() -> None:
    """Only a real true waits."""
    for value, wait in ((True, True), (False, False), (1, False), ("x", False)):
        message = Message("clear_output", {"wait": value}, {})
        assert show(message, DisplayIds()) == Shown("clear_output", wait=wait)


@pytest.mark.parametrize("msg_type", ["stream", "error", "comm_open", "comm_msg", "comm_close"])
def test_messages_with_other_ways_are_not_shown(msg_type: MessageType) -> None:
    """Comms reach no page; streams and errors go elsewhere."""
    assert show(Message(msg_type, {}, {}), DisplayIds()) is None


@pytest.mark.parametrize("content", [{}, {"data": [], "metadata": {}}, {"data": {}, "metadata": 1}])
def test_content_of_another_form_breaks_the_wire(content: dict[str, Json]) -> None:
    """Content that no ipykernel sends is a ProtocolError."""
    with pytest.raises(ProtocolError):
        show(Message("display_data", content, {}), DisplayIds())


_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
_mimes = st.sampled_from(
    ["text/plain", "text/html", "image/png", "image/svg+xml", "application/json", "text/markdown"]
)


@given(
    st.sampled_from(["display_data", "execute_result", "update_display_data", "clear_output"]),
    st.dictionaries(_mimes | st.text(max_size=9), _json),
    _json,
    _json,
)
def test_any_message_is_shown_or_breaks_the_wire(
    msg_type: MessageType, data: dict[str, Json], metadata: Json, transient: Json
) -> None:
    """Whatever the fields hold, a message of ours comes out, or ProtocolError."""
    content: dict[str, Json] = {"data": data, "metadata": metadata, "transient": transient}
    try:
        shown = show(Message(msg_type, content, {}), DisplayIds())
    except ProtocolError:
        assert not isinstance(metadata, dict)
        return
    if shown is not None:
        assert shown.data.keys() <= {
            "text/plain", "text/html", "image/png", "application/json"
        }  # fmt: skip


def test_streams_keep_their_state_apart() -> None:
    """Each stream has its own filter; what was held back comes at the end."""
    streams = Streams()
    sent = [
        streams.feed(Message("stream", {"name": name, "text": text}, {}))
        for name, text in (
            ("stdout", "a\x1b["),
            ("stderr", "b"),
            ("stdout", "31mc"),
            ("stderr", "\x1b"),
        )
    ]
    assert sent == [("stdout", "a"), ("stderr", "b"), ("stdout", "\x1b[31mc"), ("stderr", "")]
    assert streams.finish() == ()


@pytest.mark.parametrize(
    "content",
    [
        {"name": "stdin", "text": "x"},
        {"name": ["stdout"], "text": "x"},
        {"name": "stdout", "text": 1},
        {"name": "stdout"},
        {"name": "stdout", "text": "x", "more": 1},
    ],
)
def test_streams_of_another_form_break_the_wire(content: dict[str, Json]) -> None:
    """A stream has one of two names and a text."""
    with pytest.raises(ProtocolError):
        Streams().feed(Message("stream", content, {}))
