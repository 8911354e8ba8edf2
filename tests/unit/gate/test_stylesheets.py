"""Style sheets become styles of the elements that they mean, and reach no other."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kavach_ipy.gate.html import clean_html
from tests.unit.gate.pace import cpu_seconds

_TABLE = '<table id="T" class="dataframe k"><tbody><tr><th>h</th><td id="c" class="d e">x</td></tr>'


@pytest.mark.parametrize(
    "selector",
    ["td", "#c", ".d", "td.d.e", "#T td", "#T > tbody > tr > td", "table .e", ".dataframe.k #c",
     "p, td", "tr>td", "/* x */ td", "TD"],
)  # fmt: skip
def test_selectors_of_tables_are_understood(selector: str) -> None:
    """Ids, classes, names and what stands below what, in any combination."""
    out = clean_html(f"<style>{selector} {{color: red}}</style>{_TABLE}")
    assert out is not None
    assert '<td style="color: red">x</td>' in out
    assert out.count("style=") == 1


@pytest.mark.parametrize(
    "selector",
    ["p", "#T", "#x td", "td > td", "th td", ".dataframe > td", "td:hover", "td[id]", "td + td",
     "td ~ td", "*", "", ">", "td >", "> td", "#c#c", "a b c d e td", "td::before", "\\74 d",
     "@media screen"],
)  # fmt: skip
def test_other_selectors_mean_nothing(selector: str) -> None:
    """What does not fit, or is not understood, styles no cell."""
    out = clean_html(f"<style>{selector} {{color: red}}</style>{_TABLE}")
    assert out is not None
    assert "<td>x</td>" in out


def test_the_weightier_rule_counts() -> None:
    """Ids before classes before names, then the later one, then the element's own style."""
    sheet = "<style>#c{color:red} .d{color:blue;border:0} td{color:teal;border:1px} </style>"
    out = clean_html(f"{sheet}<td>")
    assert out == ""
    out = clean_html(f'{sheet}<table><tr><td id="c" class="d" style="padding: 1px">x</td></tr>')
    assert out is not None
    assert '<td style="color: red; border: 0; padding: 1px">x</td>' in out


@pytest.mark.parametrize(
    "sheet",
    ["td{background:url(//x)}", "td{color:expression(1)}", "td{position:fixed;top:0}",
     "@import '//x'; td{position:fixed}", "td{behavior:url(x)}", "@font-face{src:url(//x)}",
     "td{color:red", "@media print{td{color:red}}", "@supports (x){@media y{td{color:red}}}",
     "td{--x:1}", "td{color:re\\64}", "p{td{color:red}}"],
)  # fmt: skip
def test_declarations_are_cleaned_and_at_rules_pass_over(sheet: str) -> None:
    """What a style attribute may not say, a sheet may not either."""
    out = clean_html(f"<style>{sheet}</style>{_TABLE}")
    assert out is not None
    assert "<td>x</td>" in out


def test_a_sheet_for_another_medium_is_not_read() -> None:
    """A sheet for print is not for the screen."""
    out = clean_html(f"<style media=print>td {{color: red}}</style>{_TABLE}")
    assert out is not None
    assert "color" not in out


def test_styler_keeps_its_colours() -> None:
    """Gradient, bar, caption, hidden index and table styles of pandas are in the cells."""
    pytest.importorskip("jinja2", reason="the Styler needs jinja2")
    frame = pd.DataFrame({"a": [1, 2], "b": [3.5, 4]})
    styler = frame.style.bar(color="#d65f5f").set_caption("Told").hide(axis="index")
    out = clean_html(
        styler.set_table_styles([{"selector": "th", "props": "color: navy"}]).to_html()
    )
    assert out is not None
    assert "<caption>Told</caption>" in out
    assert out.count("linear-gradient(90deg, #d65f5f") >= 3
    assert out.count('<th style="color: navy">') == 2
    assert clean_html(out) == out


_sheets = st.lists(
    st.sampled_from(
        ["td", "#c", ".d", " ", ">", "{", "}", "color:red", ";", "/*", "*/", "@media x", ",", "</b",
         "border: 1px solid", "'", '"', "\\", "url(", "<!--", "width:10em", "table"]
    ),
    max_size=20,
).map("".join)  # fmt: skip


@given(_sheets, _sheets)
@settings(max_examples=300)
def test_styled_output_is_a_fixed_point(first: str, second: str) -> None:
    """Whatever a sheet says, the output has none, and is not changed a second time."""
    out = clean_html(f"<style>{first}</style>{_TABLE}<style>{second}</style><td class=d>y</td>")
    assert out is not None
    assert "<style" not in out
    assert clean_html(out) == out


@pytest.mark.parametrize(
    "markup",
    [
        "<style>" + "td{color:red}" * 50_000 + "</style>" + _TABLE + "<td>x</td>" * 50_000,
        "<style>" + "td td td td td{color:red}" * 100 + "</style>" + "<table><tr><td>" * 30
        + "<td>x</td>" * 50_000,
        "<style>td{" + "color:red;" * 50_000 + "}</style>" + _TABLE + "<td>x</td>" * 100_000,
        "<style>" + "{" * 500_000 + "</style>",
        "<style>" + "/*" * 500_000 + "</style>",
        "<style>" + "@" * 500_000 + "{</style>",
        "<style>a{}</style>" * 50_000,
        "<style>#a" + " #a" * 100_000 + "{color:red}</style>",
    ],
    ids=range(8),
)  # fmt: skip
def test_hostile_sheets_take_no_time(markup: str) -> None:
    """Rules that mean every cell are read for a while, and not for ever."""
    assert cpu_seconds(lambda: clean_html(markup), 3.0) < 3.0


def test_the_only_header_of_a_row_is_told_from_the_first() -> None:
    """The index of a frame with one level is styled as pandas says, with several otherwise."""
    for levels, place in ((1, "middle"), (2, "top")):
        index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]) if levels == 2 else ["a", "b"]
        out = clean_html(pd.DataFrame({"x": [1, 2]}, index=index)._repr_html_())
        assert out is not None
        assert out.count(f'<th style="vertical-align: {place}">') == 2 * levels
        assert clean_html(out) == out


def test_alignment_that_the_page_would_override_is_left_to_it() -> None:
    """JupyterLab aligns cells itself, against a rule of one class and not against one of an id."""
    weak = clean_html(f"<style>.dataframe td{{text-align: left}}</style>{_TABLE}")
    strong = clean_html(f"<style>#T td{{text-align: left}}</style>{_TABLE}")
    assert weak is not None
    assert strong is not None
    assert "text-align" not in weak
    assert '<td style="text-align: left">' in strong


def test_what_a_sheet_hides_is_hidden_and_what_a_box_would_show_is_shown() -> None:
    """scikit-learn hides a text for pages without styles, and opens parameters by a check box."""
    sheet = (
        "<style>.g div.fallback {display: none; position: fixed} .g .more {display: none}"
        " .g input.box:checked~div.more {display: block; width: 9px} .g b {display: sticky}</style>"
    )
    body = '<div class="g"><div class="fallback">x</div><div class="more">y</div><b>z</b></div>'
    cleaned = clean_html(sheet + body)
    assert cleaned == (
        '<div><div style="display: none">x</div><div style="display: block">y</div><b>z</b></div>'
    )
