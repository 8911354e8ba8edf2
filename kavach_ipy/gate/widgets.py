"""The widgets of one session, rebuilt from nothing: who they are, what they hold, how large.

A widget that may not be shown is replaced by a label that says so: boxes that hold it still stand.

Guarantees: a page hears of models, modules, versions and traits of `widget_table` only, and of
widgets under names of ours; links never join what is cleaned less with what is cleaned more; all
that a page keeps of a session's widgets is bounded.
Assumes: one at a time uses it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from kavach_ipy.gate.mimes import DisplayPolicy
from kavach_ipy.gate.nesting import Nesting
from kavach_ipy.gate.outputs import clean_outputs
from kavach_ipy.gate.text import clean_line
from kavach_ipy.gate.widget_kinds import LINKED, Kind
from kavach_ipy.gate.widget_table import COMMON, MODELS, VERSIONS, WITHHELD_MODELS
from kavach_ipy.gate.widget_values import REFUSED, Refused, clean_trait, safe_image, size_of
from kavach_ipy.wire.documents import Json

__all__ = ["PLACEHOLDER", "Given", "State", "Widget", "Widgets", "model_of", "stand_in"]

PLACEHOLDER: Final = "LabelModel"
"""The model of what stands in for a widget that is not shown."""

State: TypeAlias = "dict[str, Json | bytes]"
Given: TypeAlias = "Mapping[str, Json | bytes | memoryview]"
"""A state as the session sent it, with the buffers that its paths put into it."""

_Cleaned: TypeAlias = "Json | bytes | Literal[Refused.REFUSED]"

_BYTES: Final = 128 << 20
_CHILDREN: Final = 2000
_REFERENCE: Final = "IPY_MODEL_"
_LINKS: Final = frozenset({"DirectionalLinkModel", "LinkModel"})
_BASE_VIEWS: Final = frozenset({"LayoutView", "StyleView"})


@dataclass(slots=True)
class Widget:
    """One widget.

    Attributes:
        public: its name on the page.
        model: its row of the table; a label's, where another stands in for it.
        is_placeholder: another stands in for it, and does not change.
        sizes: what the page keeps of each trait, in bytes.
    """

    public: str
    model: str
    is_placeholder: bool = False
    sizes: dict[str, int] = field(default_factory=dict)


def model_of(state: Mapping[str, Json]) -> tuple[str, str]:
    """Return the name of a state's model, and why it may not be shown; an empty reason if it may.

    The name is empty where there is none in the table.
    """
    name, module = state.get("_model_name"), state.get("_model_module")
    shown = clean_line(f"{module}/{name}", 120)
    version = state.get("_model_module_version")
    if not isinstance(name, str) or not isinstance(module, str) or not isinstance(version, str):
        return "", "it names no model"
    if module not in VERSIONS:
        return "", f"{shown}: only ipywidgets' own are shown, as others bring their own programs"
    if name in WITHHELD_MODELS:
        return "", f"{shown}: {WITHHELD_MODELS[name]}"
    if name not in MODELS or MODELS[name].module != module:
        return "", f"{shown}: the sandbox has no rule for it"
    if version.split(".")[0] != VERSIONS[module].split(".")[0]:
        return "", f"{shown} {clean_line(version, 20)}: version {VERSIONS[module]} is shown"
    return name, ""


class Widgets:
    """The widgets of one session.

    Args:
        policy: what outputs of `Output` widgets may show.
        messages: the name on the page of a message that the session answers; None for others.
    """

    def __init__(self, policy: DisplayPolicy, messages: Callable[[str], str | None]) -> None:
        self._policy = policy
        self._messages = messages
        self._widgets: dict[str, Widget] = {}
        self._nesting = Nesting()
        # `Output` widgets that take what the session shows now.
        self._capturing: set[str] = set()
        self._bytes = 0
        self._prefix = secrets.token_hex(8)
        self._made = 0

    def __len__(self) -> int:
        return len(self._widgets)

    def __iter__(self) -> Iterator[str]:
        return iter(self._widgets)

    def find(self, name: Json) -> Widget | None:
        """Return a widget by the session's own name for it."""
        return self._widgets.get(name) if isinstance(name, str) else None

    def add(self, name: str, model: str, *, is_placeholder: bool = False) -> Widget:
        """Begin with a widget of a model of the table."""
        self._made += 1
        public = f"{self._prefix}{self._made:016x}"
        widget = self._widgets[name] = Widget(public, model, is_placeholder)
        self._nesting.add(public)
        return widget

    def remove(self, name: str) -> None:
        """Forget a widget."""
        widget = self._widgets.pop(name)
        self._bytes -= sum(widget.sizes.values())
        self._capturing.discard(widget.public)
        self._nesting.remove(widget.public)

    def whole(self, widget: Widget, state: Given) -> tuple[State | None, str]:
        """Return a whole state, as `rebuilt` returns a part of one."""
        rebuilt, reason = self.rebuilt(widget, state)
        if widget.model in _LINKS and rebuilt is not None and "source" not in rebuilt:
            return None, f"{widget.model}: it joins traits that the sandbox cleans differently"
        return (None if rebuilt is None else _fixed(widget.model) | rebuilt), reason

    def rebuilt(self, widget: Widget, state: Given) -> tuple[State | None, str]:
        """Return what the page may hear of a state, and why it does not hear of the rest.

        None where it would have to keep too much.
        """
        row = MODELS[widget.model]
        kept: State = {}
        refused: list[str] = []
        for key, value in state.items():
            kind = row.traits.get(key) or COMMON.get(key)
            if kind is None:
                continue
            cleaned = self._clean(widget, key, kind, value)
            if cleaned is REFUSED:
                refused.append(key)
            else:
                kept[key] = cleaned
        if widget.model in _LINKS and not self._may_link(state):
            # One end alone says nothing of the other, so both come at once.
            refused += [key for key in ("source", "target") if kept.pop(key, None) is not None]
        sizes = {
            key: len(value) if isinstance(value, bytes) else size_of(value)
            for key, value in kept.items()
        }
        more = sum(size - widget.sizes.get(key, 0) for key, size in sizes.items())
        if more > 0 and self._bytes + more > _BYTES:
            return None, f"a page keeps {_BYTES >> 20} MiB of the widgets of a session"
        self._bytes += more
        widget.sizes.update(sizes)
        reason = f"{', '.join(refused)} of {widget.model}: not of an allowed kind"
        return kept, reason if refused else ""

    def view(self, value: Json) -> dict[str, Json] | None:
        """Return a reference to a widget that is displayed, or None where it may not be."""
        widget = self.shown(value)
        if widget is None:
            return None
        for output in self._capturing:
            held = (*self._nesting.held_by(output), widget.public)
            if not self._nesting.place(output, held):
                return None
        return _view(widget)

    def elements(self, widget: Widget) -> int:
        """Return how many elements a page makes to show a widget."""
        return self._nesting.elements(widget.public)

    def cleared(self) -> None:
        """Hear that what is shown is cleared: in `Output` widgets, if they take it."""
        for output in self._capturing:
            self._nesting.place(output, ())

    def shown(self, value: Json) -> Widget | None:
        """Return the widget that a display names, if it is one that can be displayed."""
        widget = self.find(value.get("model_id")) if isinstance(value, dict) else None
        return widget if widget is not None and _is_shown(widget) else None

    def _clean(
        self, widget: Widget, key: str, kind: Kind, value: Json | bytes | memoryview
    ) -> _Cleaned:
        if isinstance(value, bytes | memoryview):
            return safe_image(value) if kind == "image" else REFUSED
        match kind:
            case "image":
                return REFUSED
            case "layout" | "style":
                known = self._referred(value)
                fits = known is not None and known.model.endswith(f"{kind.capitalize()}Model")
                return f"{_REFERENCE}{known.public}" if known and fits else REFUSED
            case "children":
                return self._hold(widget, value)
            case "link":
                end = self._end(value)
                return [f"{_REFERENCE}{end[0].public}", end[1]] if end else REFUSED
            case "message":
                return self._capture(widget, value)
            case "outputs":
                return self._outputs(widget, value)
            case _:
                return clean_trait(key, kind, value)

    def _referred(self, value: Json) -> Widget | None:
        if not isinstance(value, str) or not value.startswith(_REFERENCE):
            return None
        return self.find(value.removeprefix(_REFERENCE))

    def _hold(self, widget: Widget, value: Json) -> _Cleaned:
        if not isinstance(value, list) or len(value) > _CHILDREN:
            return REFUSED
        known = [child for child in map(self._referred, value) if child and _is_shown(child)]
        if not self._nesting.place(widget.public, tuple(child.public for child in known)):
            return REFUSED
        return [f"{_REFERENCE}{child.public}" for child in known]

    def _capture(self, widget: Widget, value: Json) -> _Cleaned:
        known = self._messages(value) if isinstance(value, str) and value else None
        if known is None:
            self._capturing.discard(widget.public)
            return ""
        self._capturing.add(widget.public)
        return known

    def _outputs(self, widget: Widget, value: Json) -> _Cleaned:
        held = _Held(self.shown)
        cleaned = clean_outputs(value, self._policy, held)
        if cleaned is None or not self._nesting.place(widget.public, tuple(held.names)):
            return REFUSED
        return cleaned

    def _end(self, value: Json | bytes | memoryview) -> tuple[Widget, str] | None:
        """Return one end of a link: a widget, and a trait that may be copied."""
        if not isinstance(value, list) or len(value) != 2:
            return None
        widget, name = self._referred(value[0]), value[1]
        if widget is None or widget.is_placeholder or not isinstance(name, str):
            return None
        return (widget, name) if MODELS[widget.model].traits.get(name) in LINKED else None

    def _may_link(self, state: Given) -> bool:
        source, target = self._end(state.get("source")), self._end(state.get("target"))
        if source is None or target is None:
            return False
        kinds = [LINKED[MODELS[widget.model].traits[name]] for widget, name in (source, target)]
        # Words of one trait are not those of another.
        return kinds[0] == kinds[1] and (kinds[0] != "choice" or source[1] == target[1])


class _Held:
    """Hears which widgets the outputs of an `Output` widget show."""

    def __init__(self, find: Callable[[Json], Widget | None]) -> None:
        self._find = find
        self.names: list[str] = []

    def view(self, value: Json) -> dict[str, Json] | None:
        widget = self._find(value)
        if widget is None:
            return None
        self.names.append(widget.public)
        return _view(widget)

    def cleared(self) -> None:
        """Nothing is cleared in a list."""


def _fixed(model: str) -> State:
    """Return what a state says of its model and view: what the table says."""
    row = MODELS[model]
    # Views of layouts and styles stand in the base module, whatever module their model is of.
    shown = "@jupyter-widgets/base" if row.view in _BASE_VIEWS else row.module
    return {
        "_model_module": row.module,
        "_model_module_version": VERSIONS[row.module],
        "_model_name": model,
        "_view_module": shown,
        "_view_module_version": VERSIONS[shown],
        "_view_name": row.view or None,
    }


def stand_in(reason: str) -> State:
    """Return the state of a label that stands for a widget that is not shown."""
    return {**_fixed(PLACEHOLDER), "value": f"[not shown: {reason}]"}


def _is_shown(widget: Widget) -> bool:
    return widget.is_placeholder or MODELS[widget.model].is_shown


def _view(widget: Widget) -> dict[str, Json]:
    return {"version_major": 2, "version_minor": 0, "model_id": widget.public}
