"""HTML of the cell's, rebuilt from nothing: tables, text and images, twice over.

First a pass of our own reads the markup loosely and writes it anew: listed tags and attributes
only, balanced, tables in order, no block inside an inline element.
Then nh3 parses the result as a browser does and drops what is not on its own list.

The first pass is there for the second: nh3's parser takes time quadratic in depth, and repeats
unclosed formatting elements in every block that follows (HTML, 13.2.4.3), so a few megabytes could
hold the kernel for minutes; balanced, shallow markup does neither.

Guarantees: no script, handler, id, name, link, form, frame or remote URL; time linear in the input.
Assumes: nh3 0.2.18 or later.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Final

import nh3

from kavach_ipy.gate.attributes import (
    clean_attributes,
    clean_characters,
    write_tag,
)
from kavach_ipy.gate.element_styles import ElementStyles, Styles
from kavach_ipy.gate.elements import (
    ATTRIBUTES,
    ENDS,
    HOLDERS,
    INLINE,
    PARTS,
    TABLE,
    TAGS,
    VOID,
)
from kavach_ipy.gate.mathematics import is_harmless

__all__ = ["clean_html", "svg_image"]

_SIZE: Final = 2 << 20
_WRITTEN: Final = 4 << 20
_MARKS: Final = 250_000
"""Signs that may begin a tag: both passes together take up to four microseconds for each."""
_DEPTH: Final = 100
# nh3 0.3.8 takes time quadratic in the "&" and "\xa0" of one text: 34 s for two million of them.
_AMPERSANDS: Final = 10_000
_DELIMITERS: Final = 2000
"""Dollar signs and backslashes that MathJax may look at; a formula takes it about a millisecond."""
_UNSET: Final = '<span class="mathjax_ignore tex2jax_ignore">'
# Atomic groups, not possessive ones: Python before 3.11.5 leaves the position advanced where the
# body of a repeated possessive group fails half-way (gh-106052).
_TOKEN: Final = re.compile(
    r"<!--(?:.*?-->|.*)"
    r"|<(?P<raw>script|style|title|textarea|xmp|iframe|noembed|noframes|noscript|template|svg|math"
    r"|select|object|head|audio|video|plaintext)\b(?:.*?</(?P=raw)\s*+>|.*)"
    r"|<(?P<end>/?)(?P<name>[a-z][^\s/>\"']*+)(?P<rest>(?>(?:[^>\"']++|\"[^\"]*\"|'[^']*')*))>"
    r"|<[!?/][^>]*>"
    # A tag without an end swallows the rest, as it does in a browser.
    r"|<[a-z!?/].*"
    r"|(?P<text>[^<]+(?>(?:<(?![a-z!?/])[^<]*)*)|(?>(?:<(?![a-z!?/])[^<]*)+))",
    re.DOTALL | re.IGNORECASE,
)
_WHITE: Final = r"[ \t\n\r]"
# Cells without attributes whose text would be written as it stands: most of what a large table is
# made of. Taken as one they cost a tenth. Left out is what `clean_characters` changes, what may be
# mathematics, references but for those that `escape` writes, and U+00A0, which is counted. Between
# them stands what HTML calls white space, and nothing else: a parser puts any other character
# before the table, uncounted ones too (HTML, 13.2.6.4.9).
_ITSELF: Final = (
    r"[ !\"#%'-;=?-\[\]-~\xa1-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd"
    r"\U00010000-\U0010ffff]*"
)
_PLAIN: Final = rf"(?-i:{_ITSELF}(?>(?:&(?:amp|lt|gt);{_ITSELF})*))"
_PLAIN_CELLS: Final = re.compile(
    rf"(?P<cells>(?:(?P<gap>{_WHITE}*)<td>{_PLAIN}</td>)+){_WHITE}*"
    rf"|{_WHITE}*<th>(?P<header>{_PLAIN}</th>)"
    rf"|(?P<white>{_WHITE}*)(?P<part></?t(?:r|h|head|body)>)"
    rf"|{_TOKEN.pattern}",
    _TOKEN.flags,
)
_TAGS: Final = set(TAGS)
_ATTRIBUTES: Final = {"*": {"class", "style"}, **ATTRIBUTES}


def clean_html(text: str) -> str | None:
    """Return HTML that a page may show, or None when it is larger or deeper than allowed."""
    if len(text) > _SIZE or text.count("<") > _MARKS:
        return None
    tidied = _Writer().write(text)
    if tidied is None:
        return None
    return nh3.clean(
        tidied,
        tags=_TAGS,
        clean_content_tags=set(),
        attributes=_ATTRIBUTES,
        url_schemes={"data"},
        link_rel=None,
    )


def svg_image(text: str) -> str | None:
    """Return an `img` element that shows an SVG without running or loading anything of it.

    HTML, 4.8.3: an image's document runs no script and fetches no other resource.
    """
    if len(text) > _WRITTEN:
        return None
    data = escape(_encode(text))
    return f'<img alt="SVG image" src="data:image/svg+xml;base64,{data}">'


def _encode(text: str) -> str:
    import base64  # noqa: PLC0415 - only few outputs are SVG.

    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


class _Writer:
    """Reads tags loosely, writes them balanced."""

    __slots__ = (
        "_ampersands",
        "_delimiters",
        "_header",
        "_holders",
        "_open",
        "_out",
        "_pieces",
        "_sheets",
        "_unset",
    )

    def __init__(self) -> None:
        self._ampersands = 0
        # Signs that may begin or end mathematics, in what MathJax will look at.
        self._delimiters = 0
        self._open: list[str] = []
        self._sheets = ElementStyles()
        # Where a row's first header stands in what is written, and its attributes if another
        # follows; None for those once one has.
        self._header: tuple[int, dict[str, str] | None] | None = None
        # Where the open cells and captions stand in it.
        self._holders: list[int] = []
        self._out: list[str] = []
        # Text since the last tag that was written. Tags between them may have been dropped.
        self._pieces: list[str] = []
        # How many elements were open when one began that MathJax passes over.
        self._unset: int | None = None

    def write(self, text: str) -> str | None:
        for match in _PLAIN_CELLS.finditer(text):
            if match.lastgroup not in {"cells", "header"}:
                self._take(match)
            elif not self._take_plain(match):
                for part in _TOKEN.finditer(match[0]):
                    self._take(part)
            if len(self._open) > _DEPTH or self._ampersands > _AMPERSANDS:
                return None
        self._close_to(0)
        self._write("")
        written = "".join(self._out)
        return written if len(written) <= _WRITTEN and self._ampersands <= _AMPERSANDS else None

    def _take_plain(self, match: re.Match[str]) -> bool:
        """Write plain cells or a plain header; False where each tag has to be looked at."""
        if not self._open or self._open[-1] != "tr" or match[0].count("&") > _AMPERSANDS:
            return False
        # As text in a row is dropped, none is waiting to be written.
        if match.lastgroup == "header":
            self._write_start("th", {})
            self._out.append(match["header"])
            self._sheets.close(len(self._open))
            return True
        if self._sheets.styles_all("td"):
            return False
        self._ampersands = 0
        cells, gap = match.group("cells", "gap")
        # The indentation of a frame's cells is a text each, which nh3 takes as long for.
        self._out.append(cells.replace(f"{gap}<td>", "<td>") if len(gap) > 1 else cells)
        return True

    def _take(self, match: re.Match[str]) -> None:
        match match.lastgroup:
            case "rest":
                end, name, rest = match.group("end", "name", "rest")
                name = name.lower()
                if name not in TAGS:
                    return
                if end:
                    self._end(name)
                else:
                    self._start(name, rest)
            case "part":
                white, part = match.group("white", "part")
                if white:
                    self._text(white)
                if part[1] == "/":
                    self._end(part[2:-1].lower())
                else:
                    self._start(part[1:-1].lower(), "")
            case "text":
                self._text(match[0])
            case "raw" if match["raw"].lower() == "style":
                self._sheets.add(match[0])
            case _:
                # A comment, a declaration, or what no page may hold.
                pass

    def _text(self, text: str) -> None:
        if self._open and self._open[-1] in TABLE:
            return
        text = clean_characters(unescape(text) if "&" in text else text)
        if not self._pieces and self._out and self._out[-1].startswith("<pre"):
            # HTML, 13.1.2.5: the first newline of a pre is not part of it.
            text = text.lstrip("\n")
        if not text:
            return
        self._ampersands += text.count("&") + text.count("\xa0")
        self._pieces.append(text)

    def _styles(self, name: str, rest: str, own: str) -> Styles:
        """Return an element's style as it stands, and as it were with another of its name."""
        alone, other = self._sheets.of(name, rest, own, self._open)
        if name == "tr":
            self._header = None
        # pandas styles the only header of a row; a second one that follows takes that back.
        return (alone if name == "th" and self._header is None else other), other

    def _write(self, tag: str) -> None:
        """Write a tag, and before it the text up to it."""
        if self._pieces:
            text = "".join(self._pieces)
            self._pieces.clear()
            written = escape(text, quote=False)
            if self._unset is None and ("$" in text or "\\" in text):
                self._delimiters += text.count("$") + text.count("\\")
                if self._delimiters > _DELIMITERS or not is_harmless(text):
                    written = f"{_UNSET}{written}</span>"
            self._out.append(written)
        if tag:
            self._out.append(tag)

    def _start(self, name: str, rest: str) -> None:
        if name not in INLINE:
            self._make_room(name)
        top = self._open[-1] if self._open else ""
        allowed = TABLE.get(top)
        if (name in PARTS) != (allowed is not None) or (allowed and name not in allowed):
            return
        attributes = clean_attributes(name, rest)
        if attributes is None:
            return
        self._write_start(name, attributes, rest)
        if name not in VOID:
            if self._unset is None and "mathjax_ignore" in attributes.get("class", "").split():
                self._unset = len(self._open)
            if name in HOLDERS:
                self._holders.append(len(self._open))
            self._open.append(name)

    def _write_start(self, name: str, attributes: dict[str, str], rest: str = "") -> None:
        """Write a start tag, with what style sheets say of it."""
        other = ""
        has_sheets = bool(self._sheets)
        if has_sheets:
            style, other = self._styles(name, rest, attributes.get("style", ""))
            if style:
                attributes["style"] = style
        self._ampersands = 0
        self._write(write_tag(name, attributes))
        if has_sheets and name == "th":
            self._note_header(attributes, other)

    def _note_header(self, attributes: dict[str, str], other: str) -> None:
        """Take back what the first header of a row has as the only one, when a second comes."""
        if self._header is None:
            self._header = len(self._out) - 1, {**attributes, "style": other}
            return
        at, alike = self._header
        if alike is not None:
            if not alike["style"]:
                del alike["style"]
            self._out[at] = write_tag("th", alike)
            self._header = at, None

    def _make_room(self, name: str) -> None:
        """End what may not hold this element: inline elements, a paragraph, a former item."""
        while self._open and (self._open[-1] in INLINE or self._open[-1] == "p"):
            self._close_to(len(self._open) - 1)
        ends = ENDS.get(name, set())
        while self._open and self._open[-1] in ends:
            self._close_to(len(self._open) - 1)

    def _end(self, name: str) -> None:
        if name in VOID:
            return
        if self._open and self._open[-1] == name:
            self._close_to(len(self._open) - 1)
            return
        # The end of something outside a cell does not end the cell's table.
        is_bound = self._holders and name not in PARTS and name != "table"
        within = self._open[self._holders[-1] :] if is_bound else self._open
        if name in within:
            # What is passed over is closed with it, so no element is passed twice.
            self._close_to(len(self._open) - 1 - within[::-1].index(name))

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            self._write(f"</{self._open.pop()}>")
        self._sheets.close(depth)
        while self._holders and self._holders[-1] >= depth:
            self._holders.pop()
        if self._unset is not None and self._unset >= depth:
            self._unset = None
