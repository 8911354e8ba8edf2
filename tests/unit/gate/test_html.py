"""HTML, styles and images: what a page is given can show, and can do nothing."""

from __future__ import annotations

import base64
import html.parser
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kavach_ipy.gate.html import _Writer, clean_html, svg_image
from kavach_ipy.gate.images import check_image
from kavach_ipy.gate.styles import clean_style
from tests.unit.gate.pace import cpu_seconds

_TAGS = (
    "b", "p", "div", "table", "tr", "td", "img", "a", "script", "style", "svg", "math", "li", "ul",
    "pre", "template", "form", "iframe", "i", "h1", "br", "select", "noscript", "textarea", "title",
    "x-y", "thead", "caption", "base",
)  # fmt: skip
_ATTRIBUTES = (
    "onerror=alert(1)", "src=x", "href=javascript:1", "style='color:red'", "id=a", "name=b",
    'style="background:url(//x)"', "class='dataframe jp-x'", "colspan=99999999", "data-x=1",
    "srcdoc='<script>'", "xmlns=x", "/", '"', "'", "=", "src='data:image/png;base64,AA=='",
)  # fmt: skip
_pieces = (
    st.builds("<{} {}>".format, st.sampled_from(_TAGS), st.sampled_from(_ATTRIBUTES))
    | st.builds("<{}>".format, st.sampled_from(_TAGS))
    | st.builds("</{}>".format, st.sampled_from(_TAGS))
    | st.sampled_from(
        [
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "&lt;",
            "&#x1b;",
            "&#60;script&#62;",
            "&",
            "<",
            ">",
            "\n",
            "text",
            "<?",
            "</",
            "\x00",
            "\xa0",
            "\u202e",
            "&nbsp",
            "<!doctype html>",
            "\r\n",
            "$",
            "\\",
            "\\alpha",
            "ef{x}",
        ]
    )
)


class _Page(html.parser.HTMLParser):
    """Collects the elements that are written."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")


@given(st.lists(_pieces, max_size=25).map("".join) | st.text(max_size=80))
@settings(max_examples=800)
def test_output_is_harmless_and_a_fixed_point(text: str) -> None:
    """Whatever goes in, listed tags and attributes come out; a second time changes nothing."""
    out = clean_html(text)
    assert out is not None
    assert clean_html(out) == out
    page = _Page(out)
    assert not page.tags & {"script", "style", "svg", "math", "iframe", "form", "a", "template"}
    assert page.attributes.keys() <= {"class", "style", "colspan", "src", "alt", "height", "width"}
    assert page.attributes.get("class", set()) <= {
        "dataframe", "mathjax_ignore tex2jax_ignore"
    }  # fmt: skip
    assert page.attributes.get("style", {"color: red"}) == {"color: red"}
    assert not page.attributes.get("src")
    assert all(int(span) <= 1000 for span in page.attributes.get("colspan", ()))


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("<script>alert(1)</script>x", "x"),
        ("<scr<script>ipt>x", "ipt&gt;x"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<b onclick=x>y</b>", "<b>y</b>"),
        ("<a href='javascript:x'>y</a>", "y"),
        ("<svg><script>x</script></svg>y", "y"),
        ("<math><mtext><style><img src=x onerror=x></style></mtext></math>y", "y"),
        ("<style>@import '//x'</style>y", "y"),
        ("<noscript><p title='</noscript><img src=x onerror=x>'>", "'&gt;"),
        ("<textarea><img src=x onerror=x></textarea>y", "y"),
        ("<!--><script>x</script>-->y", "y"),
        ("<table><tr><td>1<td>2<tr><th scope=row>3",
         ('<table><tbody><tr><td>1</td><td>2</td></tr><tr><th scope="row">3</th></tr></tbody>'
          "</table>")),
        ("<td>x", "x"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("&#x1b;[31m", "[31m"),
        ("<p>x", "<p>x</p>"),
        ("</div></td>x", "x"),
        ("<details OPEN ontoggle=x><summary>a</summary>b</details>",
         '<details open=""><summary>a</summary>b</details>'),
        ("<details><summary>a</summary>b</details>", "<details><summary>a</summary>b</details>"),
    ],
)  # fmt: skip
def test_known_markup(text: str, out: str) -> None:
    """Scripts, handlers, links and foreign markup go; text and tables stay."""
    assert clean_html(text) == out


def test_bars_have_numbers_and_nothing_else() -> None:
    """A progress bar and a meter show how far; an attribute that is no number goes."""
    bar = clean_html("<progress style='width:60ex' max='2.5' value='0'></progress>")
    assert bar == '<progress style="width: 60ex" max="2.5" value="0"></progress>'
    meter = clean_html('<meter min="-1" max="1e9" value="javascript:1" id="a">half</meter>')
    assert meter == '<meter min="-1">half</meter>'


def test_frames_look_as_they_did() -> None:
    """A DataFrame's own HTML keeps its table, its class, its alignment and every cell."""
    frame = pd.DataFrame({"a": ["<b>", "x & y"], "b": [1.5, 2]}, index=["r", "s"])
    text = frame._repr_html_()
    out = clean_html(text)
    assert out is not None
    assert '<table border="1" class="dataframe">' in out
    assert '<tr style="text-align: right">' in out
    assert "<td>&lt;b&gt;</td>" in out
    assert "<td>x &amp; y</td>" in out
    assert out.count("<td>") == 4


def _slow_ones() -> list[str]:
    return [
        '<a "' * 400_000,
        "<" * 2_000_000,
        "<!--" * 400_000,
        "<script" * 200_000,
        "<b>" * 500_000,
        "<p><b><i>" * 30 + "<p>x</p>" * 100_000,
        "&" * 2_000_000,
        "\xa0" * 2_000_000,
        "<table><tr>" + "\xa0" * 2_000_000 + "<td>x</td>",
        "<table><tr><td>" + "&amp;" * 400_000 + "</td>",
        "<table><tr><td>" + "&amp;" * 400_000,
        "<table><tr>" + "<td>é&lt;" * 200_000,
        "</b>" * 400_000,
        "<td " + "a" * 2_000_000 + ">",
        "<table><tr><td>" * 30 + "</td><td>" * 100_000,
        "<li>" * 300_000,
        "<td style='" + "color:red;" * 200_000 + "'>",
    ]


@pytest.mark.parametrize("at", range(len(_slow_ones())))
def test_hostile_megabytes_take_no_time(at: int) -> None:
    """Markup made to be slow is cleaned or refused within seconds, in a bounded size."""
    text = _slow_ones()[at]
    assert cpu_seconds(lambda: clean_html(text), 4.0) < 4.0
    out = clean_html(text)
    assert out is None or len(out) < 30 << 20


@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u3000"])
def test_nothing_but_white_space_stands_between_plain_cells(between: str) -> None:
    """What only Python calls a space would come to stand before the table, controls as well."""
    row = f"<td>1</td>{between}<td>2</td>{between}"
    out = clean_html(f"<table><tr>{between}{row}</tr></table>")
    assert out == "<table><tbody><tr><td>1</td><td>2</td></tr></tbody></table>"


_PIECES = ["&amp;", "&lt;", "&gt;", "&amp", "&#36;", "&nbsp;", "$", "\\", "\xa0", "\u202e", "<b>"]
_TEXTS = st.lists(st.one_of(st.characters(), st.sampled_from(_PIECES))).map("".join)


@given(st.lists(_TEXTS, min_size=1, max_size=4))
@example([f"a{piece}b" for piece in _PIECES])
@example(["\x80", "\u2028", "\u2066", "\ufdd0", "\uffff", "\U0001ffff", "é", "東"])
def test_cells_taken_as_one_are_what_they_are_one_by_one(texts: list[str]) -> None:
    """Every character and reference in a plain cell comes out as it does beside a closer look."""
    plain = "".join(f"<td>{text}</td>" for text in texts)
    looked_at = plain.replace("<td>", "<td >")
    assert clean_html(f"<table><tr>{plain}</tr></table>") == clean_html(
        f"<table><tr>{looked_at}</tr></table>"
    )


def test_references_are_counted_in_cells_taken_as_one() -> None:
    """A text of more than the second parser can bear is refused, and many short ones are not."""
    assert clean_html(f"<table><tr><td>{'&amp;' * 10_001}</td></tr></table>") is None
    cells = f"<td>{'&amp;' * 5_000}</td>" * 3
    assert clean_html(f"<table><tr>{cells}</tr></table>") is not None


def test_indented_cells_are_those_of_a_table_without_indentation() -> None:
    """White space between the cells of a row is nothing that is shown."""
    frame = pd.DataFrame(np.arange(6).reshape(2, 3))
    indented = frame.to_html()
    out = clean_html(indented)
    assert out == clean_html("".join(line.strip() for line in indented.splitlines()))
    assert out is not None
    assert out.count("<td>") == 6


def test_first_pass_alone_writes_what_is_listed() -> None:
    """The second parser would drop the rest as well; neither relies on the other."""
    markup = (
        '<form id="f"><a href="https://x" onclick="x()">text</a><iframe src="x"></iframe></form>'
        '<b id="1" tabindex="2" onclick="3" class="dataframe other">bold</b><script>x()</script>'
        '<x-y>made up</x-y><img src="https://x/y.png"><base href="https://x">'
    )
    assert _Writer().write(markup) == 'text<b class="dataframe">bold</b>made up'


def test_size_and_signs_alone_are_refused() -> None:
    """Markup that is flat and harmless is too much at some size, and as many signs."""
    assert clean_html("x" * (2 << 20)) is not None
    assert clean_html("x" * ((2 << 20) + 1)) is None
    assert clean_html("<b>x</b>" * 125_000) is not None
    assert clean_html("<b>x</b>" * 125_001) is None


def test_too_large_and_too_deep_are_refused() -> None:
    """More than the limits is not cut, which could leave half a table, but refused."""
    assert clean_html("x" * (5 << 20)) is None
    assert clean_html("<div>" * 200) is None
    assert clean_html("<div>" * 50) is not None


@pytest.mark.parametrize(
    ("style", "out"),
    [
        ("color: red; width:10em", "color: red; width: 10em"),
        ("background-color: #fff;color:rgb(1, 2)", "background-color: #fff; color: rgb(1, 2)"),
        ("background: linear-gradient(90deg, #d65f5f 10%, transparent 10%)",
         "background: linear-gradient(90deg, #d65f5f 10%, transparent 10%)"),
        ("background: url(//x)", ""),
        ("background: URL (//x)", ""),
        ("background: u\\72l(//x)", ""),
        ("background: u/**/rl(x)", ""),
        ("background: image-set('x' 1x)", ""),
        ("background: -webkit-image-set(x)", ""),
        ("width: expression(alert(1))", ""),
        ("position: fixed; top: 0; color: red", "color: red"),
        ("z-index: 9; display: grid; margin: -99px; content: 'x'", ""),
        ("color: var(--x)", ""),
        ("--x: red", ""),
        ("COLOR: RED", "color: RED"),
        ("color", ""),
        ("color:red}*{color:blue", ""),
    ],
)  # fmt: skip
def test_styles_load_and_move_nothing(style: str, out: str) -> None:
    """Colours, sizes and borders pass; resources, functions and positions do not."""
    assert clean_style(style) == out
    assert clean_style(out) == out


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


_JPEG = b"\xff\xd8\xff\xe0\x00\x04xx\xff\xc0\x00\x11\x08\x00\x10\x00\x20\x03"
_IMAGES = {
    "image/png": _png(3, 4),
    "image/gif": b"GIF89a" + struct.pack("<HH", 3, 4) + b"\x00;",
    "image/jpeg": _JPEG,
    "image/webp": b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x02\0\0\x03\0\0",
}


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("mime", sorted(_IMAGES))
def test_images_pass_as_what_they_are(mime: str) -> None:
    """An image passes under its own type only; line breaks in its base64 are taken out."""
    text = _text(_IMAGES[mime])
    assert check_image(mime, f"{text[:8]}\n{text[8:]}\n") == text
    for other in _IMAGES.keys() - {mime}:
        assert check_image(other, text) is None


@pytest.mark.parametrize(
    ("mime", "text"),
    [
        ("image/png", _text(_png(0, 4))),
        ("image/png", _text(_png(40_000, 1))),
        ("image/png", _text(_png(20_000, 20_000))),
        ("image/png", _text(b"<script>alert(1)</script>")),
        ("image/png", _text(_png(3, 4)) + '" onerror="x'),
        ("image/png", "not base64"),
        ("image/png", ""),
        ("image/jpeg", _text(b"\xff\xd8\xff" + b"\xff" * 1000)),
        ("image/jpeg", _text(b"\xff\xd8\xff\xe0\x00\x00" * 10)),
        ("image/gif", _text(b"GIF89a")),
        ("image/webp", _text(b"RIFF\0\0\0\0WEBPVP8X")),
        ("image/webp", _text(b"RIFF\0\0\0\0WEBPVP9 " + bytes(20))),
    ],
)
def test_images_that_lie_are_refused(mime: str, text: str) -> None:
    """No magic, no size, a giant size, markup or odd base64: refused."""
    assert check_image(mime, text) is None


@given(st.sampled_from(sorted(_IMAGES)), st.binary(max_size=60), st.integers(0, 30))
def test_any_bytes_are_an_image_or_none(mime: str, tail: bytes, keep: int) -> None:
    """The heads of images are read without an exception, whatever they say."""
    check_image(mime, _text(_IMAGES[mime][:keep] + tail))


def test_data_images_pass_in_html_and_others_do_not() -> None:
    """An image inside the markup passes when its data do; a remote one goes."""
    good = f'<img src="data:image/png;base64,{_text(_png(3, 4))}">'
    assert clean_html(good) == good
    assert clean_html(good.replace("png", "gif")) == ""
    assert clean_html('<img src="https://x/y.png">') == ""


def test_svg_is_an_image_and_no_markup() -> None:
    """An SVG's own text never stands in the page."""
    out = svg_image("<svg><script>alert(1)</script></svg>\"'><script>")
    assert out is not None
    assert out.startswith('<img alt="SVG image" src="data:image/svg+xml;base64,')
    assert "script" not in out
    assert svg_image("x" * (5 << 20)) is None


def test_a_large_table_is_cleaned_quickly() -> None:
    """Two megabytes of honest table take about a second."""
    text = pd.DataFrame(np.ones((5000, 20))).to_html()
    out = clean_html(text)
    assert out is not None
    assert out.count("<td>") == 100_000
    assert cpu_seconds(lambda: clean_html(text), 4.0) < 4.0
