"""Mathematics: what MathJax may be given, and that the rest is out of its reach."""

from __future__ import annotations

import pytest

from kavach_ipy.gate.html import clean_html
from kavach_ipy.gate.mathematics import is_harmless

_UNSET = '<span class="mathjax_ignore tex2jax_ignore">'


@pytest.mark.parametrize(
    "text",
    [
        r"$\frac{a}{b} + \sqrt[3]{x}$",
        r"$$\begin{bmatrix}1 & 2\\3 & 4\end{bmatrix}$$",
        r"\(\alpha_{1} \leq \operatorname{sinc}{\left(x \right)}\)",
        r"$\displaystyle \int\limits_{0}^{\infty} e^{- x}\, dx$",
        r"$\begin{align*}a &= b \\[2pt] c &= d\end{align*}$",
        r"it costs $5 and not $6",
        r"100\% of \{x\} \$ \_ \& \#",
        "no mathematics at all",
        "\\",
    ],
)
def test_formulas_are_typeset(text: str) -> None:
    """What people and sympy write passes."""
    assert is_harmless(text)
    assert clean_html(f"<p>{text.replace('&', '&amp;')}</p>") != ""


@pytest.mark.parametrize(
    "text",
    [
        r"$\require{html}$",
        r"$\href{javascript:x}{y}$",
        r"$\class{jp-x}{y}$",
        r"$\cssId{main}{y}$",
        r"$\style{position:fixed}{y}$",
        r"$\data{commandlinker-command=x}{y}$",
        r"$\mmlToken{mglyph}[src=//x]{}$",
        r"$\unicode[font]{x41}$",
        r"$\includegraphics{x}$",
        r"$\def\alpha{x}$",
        r"$\newcommand{\alpha}{x}$",
        r"$\let\alpha\beta$",
        r"$\csname href\endcsname$",
        r"$\label{x}\tag{y}$",
        r"$\hspace{-100em}$",
        r"$\begin{evil}\end{evil}$",
        r"$\begin\relax{align}$",
        r"$\\[-100em]$",
        r"\\ [ -1em ]",
        "$" + "{" * 50 + "$",
        "$x" + r"^\hat" * 50 + "$",
        r"$\alpha$" * 3000,
        "$" + "x" * 30_000,
        r"C:\new\table",
    ],
)
def test_commands_that_do_more_than_draw_are_not(text: str) -> None:
    """They stay on the page as they were written, and MathJax passes over them."""
    assert not is_harmless(text)
    assert clean_html(text) == f"{_UNSET}{text}</span>"


@pytest.mark.parametrize(
    "markup",
    [
        r"$\hr<x-y>ef{a}{b}$",
        r"$\hr<!-- -->ef{a}{b}$",
        r"$\hr<script>x</script>ef{a}{b}$",
        "$\\hr\x01ef{a}{b}$",
        r"$\hr&#x1;ef{a}{b}$",
        r"$&bsol;href{a}{b}$",
        r"$\hr</div></x>ef{a}{b}$",
    ],
)
def test_no_command_is_put_together_from_parts(markup: str) -> None:
    """Tags that are dropped and characters that are removed join what stood around them."""
    assert clean_html(markup) == f"{_UNSET}$\\href{{a}}{{b}}$</span>"


def test_a_style_is_not_a_class() -> None:
    """Only an element whose class says so is passed over by MathJax."""
    out = clean_html(r"<b style='font-family: mathjax_ignore'>\href</b>")
    assert out == rf'<b style="font-family: mathjax_ignore">{_UNSET}\href</span></b>'
    own = r'<div class="mathjax_ignore">\href <b>\href</b></div>'
    assert clean_html(own) == own
    assert clean_html(own + r"\href") == own + rf"{_UNSET}\href</span>"


def test_formulas_are_bounded_in_number() -> None:
    """Beyond two thousand delimiters the page would be busy, so the rest stays as it is."""
    out = clean_html("<p>$x$</p>" * 2000)
    assert out is not None
    assert out.startswith("<p>$x$</p>" * 1000)
    assert out.count(_UNSET) == 1000
    assert clean_html(out) == out
