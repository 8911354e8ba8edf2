"""Markdown: rendered here, cleaned as HTML, and nothing of it followed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kavach_ipy.gate.html import clean_html
from kavach_ipy.gate.markdown import markdown_html
from tests.unit.gate.pace import cpu_seconds


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("# T *x* **y** `z`", "<h1>T <em>x</em> <strong>y</strong> <code>z</code></h1>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("a|b\n-|-\n1|2", ("<table><thead><tr><th>a</th><th>b</th></tr></thead>"
         "<tbody><tr>\n<td>1</td>\n<td>2</td></tr></tbody></table>\n")),
        ("~~x~~", "<p><s>x</s></p>\n"),
        ("```py\n$x$\n```", "<pre><code>$x$\n</code></pre>\n"),
        ("$a_1 b_2$", "<p>$a_1 b_2$</p>\n"),
        ("$$\na_1\n*b*\n$$", "<p>$$\na_1\n*b*\n$$</p>\n"),
        ("costs $5 *or* $6", "<p>costs $5 <em>or</em> $6</p>\n"),
        ("[text](https://x.y/z)", "<p><u>text</u> <small>(https://x.y/z)</small></p>\n"),
        ("<https://x.y>", "<p><u>https://x.y</u></p>\n"),
        ("![alt](https://x.y/z.png)", "<p><em>[image: alt]</em></p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("<script>x</script>y", "y"),
        ("<b onclick=x>y</b>", "<p><b>y</b></p>\n"),
        (r"$\href{x}{y}$",
         '<p><span class="mathjax_ignore tex2jax_ignore">$\\href{x}{y}$</span></p>\n'),
    ],
)  # fmt: skip
def test_known_sources(source: str, out: str) -> None:
    """Structure stays, links and images from elsewhere become words, HTML is cleaned."""
    assert markdown_html(source) == out


_pieces = st.sampled_from(
    ["# ", "*", "**", "`", "```\n", "[x](", "javascript:x)", "![", "](", ")", "<script>", "<b ",
     "onerror=x>", "\n\n", "\n", "> ", "- ", "1. ", "|", "---\n", "$", "$$", "\\", "\\href{", "}",
     "&#60;", "<!--", "-->", "[r]: data:text/html,x\n", "[r]", "text", "\x1b[31m", "\u202e"]
)  # fmt: skip


@given(st.lists(_pieces, max_size=30).map("".join) | st.text(max_size=60))
@settings(max_examples=400)
def test_whatever_is_rendered_has_been_cleaned(source: str) -> None:
    """What comes out is a fixed point of the cleaner: it adds nothing to it."""
    out = markdown_html(source)
    assert out is not None
    assert clean_html(out) == out


@pytest.mark.parametrize(
    "piece",
    ["[", "![", "![[", "*", "* a\n", "a|b\n-|-\n", "a\n=\n", "$", "$$", "\\begin{a}", "_a", "a**b",
     "<", "&", "> ", "`a``b```", "[a](<b", "|a|\n"],
)  # fmt: skip
def test_hostile_markdown_takes_no_time(piece: str) -> None:
    """A text made to be slow is rendered or refused within a second."""
    for size in (32 << 10, 256 << 10):
        text = piece * (size // len(piece))
        assert cpu_seconds(lambda text=text: markdown_html(text), 1.0) < 1.0  # type: ignore[misc]
    lines = piece * (1000 // max(1, piece.count("[") + piece.count("$") + piece.count("\\")))
    assert cpu_seconds(lambda: markdown_html(lines), 1.0) < 1.0


def test_a_book_is_refused() -> None:
    """What is too large is no HTML; its source is shown as text."""
    assert markdown_html("a\n\n" * 10_000) is None
