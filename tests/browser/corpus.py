"""Attack strings of our own making: families that are multiplied out, and single ones by hand.

Every script among them calls ``fired('N')`` and every load asks ``BEACON/N``, where N is its number,
so that whatever fires says which it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, TypeAlias

__all__ = ["BEACON", "CORPUS", "Kind", "Specimen"]

BEACON: Final = "http://127.0.0.1:9"
Kind: TypeAlias = Literal["html", "markdown", "svg", "css", "latex"]


@dataclass(frozen=True, slots=True)
class Specimen:
    """One string and how a cell would show it."""

    number: int
    kind: Kind
    text: str


_CALL = "fired('N')"
_HANDLERS = (
    "onerror", "onload", "onclick", "onmouseover", "onfocus", "ontoggle", "onanimationstart",
    "ontransitionend", "onpointerenter", "onbeforetoggle", "onscroll", "onwheel",
)  # fmt: skip
_HOLDERS = (
    "img src=x", "svg", "body", "details open", "video src=x", "audio src=x", "input autofocus",
    "object data=x", "embed src=x", "iframe src=x", "math", "marquee", "td", "b tabindex=0",
    "link rel=stylesheet href=x", "style", "table background=x", "select autofocus", "x-y",
)  # fmt: skip
_SPELLINGS = (
    "{tag} {on}={call}", "{tag}/{on}={call}", "{tag} {ON}={call}", "{tag}\n{on}\t=\n{call}",
    "{tag} {on}=&#102;ired('N')", "{tag} x='>' {on}={call}", "{tag} {on}=`{call}`",
    '{tag} ""{on}={call}', "{tag}\x0c{on}={call}", "{tag} \x00{on}={call}",
)  # fmt: skip
_SCRIPTS = (
    "<script>C</script>", "<SCRIPT>C</SCRIPT>", "<script >C</script\n>", "<script/x>C</script>",
    "<scr<script>ipt>C</scr</script>ipt>", "<script\x00>C</script>", "<<script>C</script>",
    "<script><!--\nC\n--></script>", "<script type=module>C</script>", "<svg><script>C</script>",
    "<svg><script>&#102;ired('N')</script>", "<math><script>C</script>", "\x00<script>C</script>",
    "<script src='data:text/javascript,C'></script>", "<script src='B/N'></script>",
    "<svg><script href='data:text/javascript,C'/>", "<template><script>C</script></template>",
)  # fmt: skip
_WRAPPERS = (
    "X", "<div>X", "<table>X", "<table><tr><td>X", "<table><td><style>X", "<!-->X", "<!--->X-->",
    "<![CDATA[>X]]>", "<?x >X?>", "<noscript><p title='</noscript>X'>", "<textarea></textarea>X",
    "<title></title>X", "<style></style>X", "<xmp></xmp>X", "<svg><style>X", "<math><mtext>X",
    "<svg><foreignObject>X", "<select><option>X", "<math><annotation-xml encoding=text/html>X",
    "<form><math><mtext></form><form><mglyph><style></math>X", "<b title='</b>X'>", "</p>X",
    "<svg></p><style><a id='</style>X'>", "<p><svg><title><style><!--</style>X--></style>",
    "<pre>\n\nX", "<details open><summary>X", "<plaintext>X", "<frameset>X", "&lt;b&gt;X",
)  # fmt: skip
_LOADS = (
    "<img src=U>", "<img srcset='U 1x'>", "<img src=//127.0.0.1:9/N>", "<img src=http:127.0.0.1:9/N>",
    "<picture><source srcset=U><img src=x></picture>", "<video poster=U>", "<audio src=U>",
    "<video><track default src=U></video>", "<iframe src=U>", "<embed src=U>", "<object data=U>",
    "<link rel=stylesheet href=U>", "<link rel=preload as=image href=U>", "<link rel=icon href=U>",
    "<link rel=dns-prefetch href=U>", "<meta http-equiv=refresh content='0;url=U'>",
    "<svg><image href=U>", "<svg><use href='U#x'>", "<svg><feImage href=U>", "<input type=image src=U>",
    "<table background=U><td>x", "<td background=U>x", "<body background=U>", "<base href=U/><img src=N>",
    "<b style='background:url(U)'>x", "<b style='background:u\\72l(U)'>x",
    "<b style='background-image:image-set(\"U\" 1x)'>x", "<b style='content:url(U)'>x",
    "<b style='list-style:url(U)'>x", "<b style='cursor:url(U),auto'>x", "<b style='border-image:url(U)'>x",
    "<b style='mask:url(U)'>x", "<b style='filter:url(U#x)'>x", "<b style='background:/**/url(U)'>x",
    "<b style='--x:url(U);background:var(--x)'>x", "<img src='data:image/svg+xml,<svg/onload=C>'>",
    "<img alt=x src='data:image/png;base64,AA==\" onerror=C'>", "<img longdesc=U src=x>",
    "<style>@import 'U';</style>", "<style>@import url(U);</style>", "<style>b{background:url(U)}</style><b>x",
    "<style>@font-face{font-family:f;src:url(U)}b{font-family:f}</style><b>x",
    "<style>@namespace url(U);b{color:red}</style><b>x", "<link rel=modulepreload href=U>",
    "<a href=U ping=U class=click>x</a>", "<form action=U><button class=click>x</button></form>",
    "<button formaction=U class=click form=f>x</button><form id=f></form>", "<blockquote cite=U>x",
    "<frameset><frame src=U></frameset>", "<portal src=U>", "<applet code=U>", "<bgsound src=U>",
    "<script type=speculationrules>{\"prefetch\":[{\"source\":\"list\",\"urls\":[\"U\"]}]}</script>",
    "<script type=importmap>{\"imports\":{\"x\":\"U\"}}</script><script type=module>import 'x'</script>",
)  # fmt: skip
_ADDRESSES = (
    "javascript:C", "JaVaScRiPt:C", " javascript:C", "java\tscript:C", "java\nscript:C",
    "&#106;avascript:C", "javascript&colon;C", "&#x6A&#x61vascript:C", "\x01javascript:C",
    "data:text/html,<script>parent.C</script>", "vbscript:C", "javascript://%0aC", "view-source:U",
    "blob:U", "javascript:/*--></title></style>*/C",
)  # fmt: skip
_LINKS = (
    "<a class=click href=\"A\">x</a>", "<iframe src=\"A\"></iframe>", "<form action=\"A\"><input type=submit"
    " class=click></form>", "<object data=\"A\"></object>", "<svg><a href=\"A\"><text class=click>x</text></a></svg>",
    "<math href=\"A\" class=click>x</math>", "<area class=click href=\"A\">", "<base href=\"A\">",
)  # fmt: skip
_MARKDOWN = (
    "[x](A)", "![x](A)", "<A>", "[x]\n\n[x]: A", "[x](<A>)", "[x](A \"t\")", "![x](A 'onerror=C')",
)  # fmt: skip
_MARKDOWN_BY_HAND = (
    "<img src=x onerror=C>", "a <script>C</script> b", "```\n</code></pre><script>C</script>\n```",
    "`<img src=x onerror=C>`", "![x\" onerror=\"C](y)", "![x](y\"onerror=\"C)", "[x](y'onclick='C)",
    "| <script>C</script> |\n|-|\n| <img src=x onerror=C> |", "> <svg onload=C>", "- <iframe srcdoc='X'>",
    "$<img src=x onerror=C>$", "$$\n<script>C</script>\n$$", "![](U)", "![x][y]\n\n[y]: U",
    "\\<img src=x onerror=C>", "&lt;img src=x onerror=C&gt;", "<!-- --><script>C</script>",
    "# <b onmouseover=C>x</b>", "http://127.0.0.1:9/N", "~~<script>C</script>~~", "<details open ontoggle=C>",
    "    <script>C</script>", "[<img src=x onerror=C>](y)", "\\begin{a}<script>C</script>\\end{a}",
)  # fmt: skip
_SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg'><script>C</script></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg' onload=\"C\"/>",
    "<svg xmlns='http://www.w3.org/2000/svg'><image href='U' width='9' height='9'/></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg'><style>@import 'U';</style></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg'><foreignObject><iframe xmlns='http://www.w3.org/1999/xhtml'"
    " src='U'/></foreignObject></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg'><use href='U#x'/></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg'><animate onbegin=\"C\" attributeName='x' dur='1s'/></svg>",
    "<?xml-stylesheet href='U'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "<!DOCTYPE svg [<!ENTITY x SYSTEM 'U'>]><svg xmlns='http://www.w3.org/2000/svg'><text>&x;</text></svg>",
    "\"><script>C</script>", "'><img src=x onerror=C>", "</svg><script>C</script>",
    "<svg xmlns='http://www.w3.org/2000/svg'><a href='javascript:C'><rect width='99' height='99'/></a></svg>",
)  # fmt: skip
_CSS = (
    "background:url(U)", "background:\\75rl(U)", "background:URL( 'U' )", "background:image(U)",
    "background:image-set('U' 1x)", "background:cross-fade(url(U),url(U))", "background:-webkit-image-set(url(U) 1x)",
    "background:element(#x)", "background:src('U')", "width:expression(C)", "behavior:url(U)",
    "-moz-binding:url(U)", "position:fixed;top:0;left:0;width:100vw;height:100vh;z-index:9", "color:red;}</style><script>C</script>",
    "color:red\"onmouseover=\"C", "color:red'onmouseover='C", "font-family:'</style><img src=x onerror=C>'",
    "background:linear-gradient(url(U),red)", "background:rgb(0,0,0) url(U)", "color:var(--x,url(U))",
    "content:attr(x)url(U)", "font:1px url(U)", "background:/*x*/url(U)", "background:ur/**/l(U)", "x:y;background:url(U)",
    "color:red;;;background:url(U)", "/*;*/background:url(U)", "@import 'U'", "background:paint(x)", "color:light-dark(url(U),red)",
)  # fmt: skip
_LATEX = (
    r"$\href{javascript:C}{x}$", r"$\require{U}$", r"$\mmlToken{mglyph}[src=U]{}$", r"$\style{background:url(U)}{x}$",
    r"$\unicode[url(U)]{65}$", r"$\includegraphics{U}$", r"$\class{click}{\href{javascript:C}{x}}$",
    r"$\data{commandlinker-command=x}{x}$", r"$\def\a{\href{javascript:C}}\a{x}$", r"$\let\a\href\a{javascript:C}{x}$",
    r"$\csname href\endcsname{javascript:C}{x}$", r"$\text{<img src=x onerror=C>}$", r"$<script>C</script>$",
    r"\begin{align}\href{javascript:C}{x}\end{align}", r"$$\mmlToken{mtext}[onclick=C]{x}$$", r"$\texthtml{<img src=x onerror=C>}$",
    r"$\hr<x-y>ef{javascript:C}{x}$", "$\\hr\x01ef{javascript:C}{x}$",
)  # fmt: skip


def _html() -> Iterator[str]:
    first = _HOLDERS[0]
    for holder, handler in product(_HOLDERS, _HANDLERS):
        yield f"<{holder} {handler}={_CALL}>x"
    for spelling, holder in product(_SPELLINGS, (first, "svg", "details open")):
        on = "onload" if holder == "svg" else "ontoggle" if "open" in holder else "onerror"
        yield f"<{spelling.format(tag=holder, on=on, ON=on.title(), call=_CALL)}>x"
    for wrapper, inner in product(_WRAPPERS, ("<img src=x onerror=C>", "<script>C</script>")):
        yield wrapper.replace("X", inner)
    yield from _SCRIPTS
    yield from _LOADS
    for link, address in product(_LINKS, _ADDRESSES):
        yield link.replace("A", address, 1)


def _all() -> Iterator[tuple[Kind, str]]:
    for text in _html():
        yield "html", text
    for form, address in product(_MARKDOWN, _ADDRESSES):
        yield "markdown", form.replace("A", address, 1)
    for kind, texts in (
        ("markdown", _MARKDOWN_BY_HAND), ("svg", _SVG), ("css", _CSS), ("latex", _LATEX)
    ):  # fmt: skip
        for text in texts:
            yield kind, text  # type: ignore[misc]


def _numbered() -> Iterator[Specimen]:
    for number, (kind, text) in enumerate(_all()):
        numbered = text
        for sign, word in (("C", _CALL), ("U", f"{BEACON}/N"), ("B", BEACON), ("N", str(number))):
            # A sign stands alone: no capital of a word is one.
            numbered = re.sub(rf"(?<![A-Za-z0-9]){sign}(?![A-Za-z0-9])", word, numbered)
        yield Specimen(number, kind, numbered)


CORPUS: Final = tuple(_numbered())
