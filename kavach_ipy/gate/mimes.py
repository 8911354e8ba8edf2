"""The display policy as data: what becomes of each MIME type, and why.

Guarantees: a type without a row is withheld; a `DisplayPolicy` withholds more than the table, never
less, unless it is the one for cells whose output is trusted.
Assumes: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from kavach_ipy.errors import PolicyError

__all__ = [
    "MIME_RULES",
    "NO_SESSION",
    "WIDGET_VIEW",
    "DisplayPolicy",
    "MimeRule",
    "Treatment",
]

Treatment: TypeAlias = Literal[
    "text", "html", "markdown", "latex", "svg", "image", "json", "plotly", "widget", "withheld"
]  # fmt: skip

_PICTURE: Final = "show a picture of it, image/png"
_PATTERN: Final = re.compile(r"[a-z0-9.+_-]{1,60}/(?:\*|[A-Za-z0-9.+_-]{1,80})")


@dataclass(frozen=True, slots=True)
class MimeRule:
    """One row.

    Attributes:
        treatment: how the gate makes of it what a page may show.
        becomes: the same in words; for what is withheld, the reason.
        remedy: what a cell could show instead; empty where nothing is lost.
    """

    treatment: Treatment
    becomes: str
    remedy: str = ""


_SCRIPT: Final = MimeRule("withheld", "it is a program for the page")
WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
NO_SESSION: Final = MimeRule(
    "withheld",
    "it would talk to the cell's process, and nothing leads there from the page",
    "show the value itself",
)
"""What becomes of a widget where no session serves the kernel.

The process of a cell ends with it, or lives on as `--session NAME`, to which nobody listens between
two cells. The sentence is true of both.
"""

_VEGA: Final = MimeRule("withheld", "its specification can load from anywhere", _PICTURE)
_BOKEH: Final = MimeRule("withheld", "it is a program for the page", _PICTURE)
_PLOTLY: Final = MimeRule(
    "plotly", "drawn by this notebook's own plotly.js, in a frame that can reach nothing", _PICTURE
)
_IMAGE: Final = MimeRule("image", "checked by its head, not decoded; width and height are kept")
_UNLISTED: Final = MimeRule("withheld", "the sandbox has no rule for it", "show text or a picture")

MIME_RULES: Final[Mapping[str, MimeRule]] = {
    "text/plain": MimeRule("text", "filtered: printable characters and colours"),
    "text/html": MimeRule("html", "tables, text and embedded images; no script, link or load"),
    "text/markdown": MimeRule("markdown", "rendered by the gate, then as HTML"),
    "text/latex": MimeRule("latex", "typeset where it only draws, else shown as text"),
    "image/svg+xml": MimeRule("svg", "shown as an image, which runs and loads nothing"),
    "image/gif": _IMAGE,
    "image/jpeg": _IMAGE,
    "image/png": _IMAGE,
    "image/webp": _IMAGE,
    "application/json": MimeRule("json", "bounded, with every text in it filtered"),
    "application/vnd.plotly.v1+json": _PLOTLY,
    "application/javascript": _SCRIPT,
    "text/javascript": _SCRIPT,
    WIDGET_VIEW: MimeRule(
        "widget", "a widget of a session that lives on, from rebuilt state; else withheld"
    ),
    "application/vnd.vega.v5+json": _VEGA,
    "application/vnd.vegalite.v4+json": _VEGA,
    "application/vnd.vegalite.v5+json": _VEGA,
    "application/vnd.vegalite.v6+json": _VEGA,
    "application/vnd.bokehjs_exec.v0+json": _BOKEH,
    "application/vnd.bokehjs_load.v0+json": _BOKEH,
    "application/vnd.holoviews_exec.v0+json": _BOKEH,
    "application/vnd.holoviews_load.v0+json": _BOKEH,
    "application/geo+json": MimeRule("withheld", "a page would load its map", _PICTURE),
    "application/pdf": MimeRule("withheld", "a page would open it with a plug-in", _PICTURE),
}
"""Every type that has a rule of its own, in the order of the documents."""


@dataclass(frozen=True, slots=True)
class DisplayPolicy:
    """What one notebook's cells may show.

    Attributes:
        withheld: types, or all of a kind as ``image/*``, that are withheld besides the table.
        is_trusted: everything passes as it is: the page runs what the cell shows.
        reason: why those are withheld.
    """

    withheld: frozenset[str] = frozenset()
    is_trusted: bool = False
    reason: str = "the settings withhold it"

    @classmethod
    def of(cls, withheld: Iterable[str], *, is_trusted: bool = False) -> DisplayPolicy:
        """Make one of a setting.

        Raises:
            PolicyError: a type has not the form of one, or is text/plain, which has to stay: what
                is withheld says so in it.
        """
        names = frozenset(withheld)
        for name in sorted(names):
            if not _PATTERN.fullmatch(name) or name in {"text/plain", "text/*"}:
                raise PolicyError(
                    "withheld_types",
                    name,
                    "MIME types are, such as text/html or image/*; text/plain stays in any case",
                )
        return cls(names, is_trusted)

    def rule(self, mime: str) -> MimeRule:
        """Return what becomes of a type."""
        if mime in self.withheld or f"{mime.partition('/')[0]}/*" in self.withheld:
            return MimeRule("withheld", self.reason)
        return MIME_RULES.get(mime, _UNLISTED)
