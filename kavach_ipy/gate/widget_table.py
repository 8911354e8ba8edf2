"""The widgets of a session that a page may show, as a table: each trait, and what it may be.

A row is a model of ipywidgets 8, whose code comes from the server's installed extension. What is
not here has no rule: a model is replaced by a line that says so, a trait is left out.

Guarantees: data only.
Assumes: the page has an extension of widgets for these major versions, or shows none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kavach_ipy.gate.widget_kinds import Kind

__all__ = ["COMMON", "MODELS", "VERSIONS", "WITHHELD_MODELS", "WidgetModel"]

_Traits: TypeAlias = dict[str, Kind]

VERSIONS: Final[Mapping[str, str]] = {
    "@jupyter-widgets/base": "2.0.0",
    "@jupyter-widgets/controls": "2.0.0",
    "@jupyter-widgets/output": "1.0.0",
}
"""The modules whose code a page may run for a widget, with the version that it is asked for."""


@dataclass(frozen=True, slots=True)
class WidgetModel:
    """One model.

    Attributes:
        view: the name of its view; empty for what has none.
        traits: name of a trait → its kind.
        module: whose code shows it.
    """

    view: str
    traits: Mapping[str, Kind] = field(default_factory=dict)
    module: str = "@jupyter-widgets/controls"

    @property
    def is_shown(self) -> bool:
        """True for what can stand in a box or below a cell."""
        return bool(self.view) and "layout" in self.traits


COMMON: Final[_Traits] = {"_view_count": "integer"}
"""Traits of every model, besides the names of its model and view, which are the table's."""

_DOM: Final[_Traits] = {
    "_dom_classes": "classes", "layout": "layout", "tabbable": "flag", "tooltip": "line",
}  # fmt: skip
_DESCRIBED: Final[_Traits] = _DOM | {
    "description": "label", "description_allow_html": "never", "style": "style",
}  # fmt: skip
_INPUT: Final[_Traits] = _DESCRIBED | {"disabled": "flag"}
_FIELD: Final[_Traits] = _INPUT | {"continuous_update": "flag", "placeholder": "label"}
_PAGE: Final[_Traits] = _DESCRIBED | {"placeholder": "label"}
_SLIDER: Final[_Traits] = _INPUT | {
    "behavior": "choice", "continuous_update": "flag", "orientation": "choice", "readout": "flag",
}  # fmt: skip
_SELECTION: Final[_Traits] = _INPUT | {"_options_labels": "labels", "index": "integer"}
_BOX: Final[_Traits] = _DOM | {"box_style": "choice", "children": "children"}
_PAGES: Final[_Traits] = _BOX | {"selected_index": "integer", "titles": "labels"}
_TAGS: Final[_Traits] = _PAGE | {"allow_duplicates": "flag", "allowed_tags": "tags"}
_NUMBER_TAGS: Final[_Traits] = _TAGS | {
    "format": "format", "max": "number", "min": "number", "tag_style": "choice", "value": "numbers",
}  # fmt: skip
_BUTTON: Final[_Traits] = _INPUT | {"button_style": "choice", "icon": "icon"}
_WRITTEN: Final[_Traits] = {
    "font_family": "css", "font_size": "css", "font_style": "css", "font_variant": "css",
    "font_weight": "css", "text_color": "css", "text_decoration": "css",
}  # fmt: skip
_WIDE: Final[_Traits] = {"description_width": "css"}
_SIZED: Final[_Traits] = _WIDE | {
    "background": "css", "font_size": "css", "text_color": "css",
}  # fmt: skip
_LAYOUT: Final[_Traits] = dict.fromkeys((
    "align_content", "align_items", "align_self", "border_bottom", "border_left", "border_right",
    "border_top", "bottom", "display", "flex", "flex_flow", "grid_area", "grid_auto_columns",
    "grid_auto_flow", "grid_auto_rows", "grid_column", "grid_gap", "grid_row",
    "grid_template_areas", "grid_template_columns", "grid_template_rows", "height",
    "justify_content", "justify_items", "left", "margin", "max_height", "max_width", "min_height",
    "min_width", "object_fit", "object_position", "order", "overflow", "padding", "right", "top",
    "visibility", "width",
), "css")  # fmt: skip


def _numeric(kind: Kind, more: _Traits, *, is_bounded: bool = True) -> _Traits:
    """Return a model's traits with a value, and bounds, of a kind of number."""
    bounds: _Traits = {"max": kind, "min": kind} if is_bounded else {}
    return {**more, **bounds, "value": kind}


_INT: Final[_Traits] = {"step": "integer"}
_FLOAT: Final[_Traits] = {"step": "number"}
_READ: Final[_Traits] = _SLIDER | {"readout_format": "format"}
_TYPED: Final[_Traits] = _INPUT | {"continuous_update": "flag"}
_PROGRESS: Final[_Traits] = _DESCRIBED | {
    "bar_style": "choice", "orientation": "choice",
}  # fmt: skip
_MOMENT: Final[_Traits] = _INPUT | {"max": "moment", "min": "moment", "value": "moment"}

MODELS: Final[Mapping[str, WidgetModel]] = {
    "AccordionModel": WidgetModel("AccordionView", _PAGES),
    "BoundedFloatTextModel": WidgetModel("FloatTextView", _numeric("number", _TYPED | _FLOAT)),
    "BoundedIntTextModel": WidgetModel("IntTextView", _numeric("integer", _TYPED | _INT)),
    "BoxModel": WidgetModel("BoxView", _BOX),
    "ButtonModel": WidgetModel(
        "ButtonView", {key: _BUTTON[key] for key in _BUTTON if key != "description_allow_html"}
    ),
    "ButtonStyleModel": WidgetModel("StyleView", _WRITTEN | {"button_color": "colour"}),
    "CheckboxModel": WidgetModel("CheckboxView", _INPUT | {"indent": "flag", "value": "flag"}),
    "CheckboxStyleModel": WidgetModel("StyleView", _WIDE | {"background": "css"}),
    "ColorPickerModel": WidgetModel(
        "ColorPickerView", _INPUT | {"concise": "flag", "value": "colour"}
    ),
    "ColorsInputModel": WidgetModel("ColorsInputView", _TAGS | {"value": "tags"}),
    "ComboboxModel": WidgetModel(
        "ComboboxView", _FIELD | {"ensure_option": "flag", "options": "texts", "value": "text"}
    ),
    "DatePickerModel": WidgetModel("DatePickerView", _MOMENT | {"step": "step"}),
    "DatetimeModel": WidgetModel("DatetimeView", _MOMENT),
    "DescriptionStyleModel": WidgetModel("StyleView", _WIDE),
    "DirectionalLinkModel": WidgetModel("", {"source": "link", "target": "link"}),
    "DropdownModel": WidgetModel("DropdownView", _SELECTION),
    "FileUploadModel": WidgetModel(
        "FileUploadView",
        _BUTTON | {"accept": "types", "error": "line", "multiple": "flag", "value": "files"},
    ),
    "FloatLogSliderModel": WidgetModel(
        "FloatLogSliderView", _numeric("number", _READ | _FLOAT | {"base": "number"})
    ),
    "FloatProgressModel": WidgetModel("ProgressView", _numeric("number", _PROGRESS)),
    "FloatRangeSliderModel": WidgetModel(
        "FloatRangeSliderView", _numeric("number", _READ | _FLOAT) | {"value": "numbers"}
    ),
    "FloatSliderModel": WidgetModel("FloatSliderView", _numeric("number", _READ | _FLOAT)),
    "FloatTextModel": WidgetModel(
        "FloatTextView", _numeric("number", _TYPED | _FLOAT, is_bounded=False)
    ),
    "FloatsInputModel": WidgetModel("FloatsInputView", _NUMBER_TAGS),
    "GridBoxModel": WidgetModel("GridBoxView", _BOX),
    "HBoxModel": WidgetModel("HBoxView", _BOX),
    "HTMLMathModel": WidgetModel("HTMLMathView", _PAGE | {"value": "html"}),
    "HTMLMathStyleModel": WidgetModel("StyleView", _SIZED),
    "HTMLModel": WidgetModel("HTMLView", _PAGE | {"value": "html"}),
    "HTMLStyleModel": WidgetModel("StyleView", _SIZED),
    "ImageModel": WidgetModel(
        "ImageView",
        _DOM
        | {"format": "image format", "height": "dimension", "value": "image", "width": "dimension"},
    ),
    "IntProgressModel": WidgetModel("ProgressView", _numeric("integer", _PROGRESS)),
    "IntRangeSliderModel": WidgetModel(
        "IntRangeSliderView", _numeric("integer", _READ | _INT) | {"value": "integers"}
    ),
    "IntSliderModel": WidgetModel("IntSliderView", _numeric("integer", _READ | _INT)),
    "IntTextModel": WidgetModel(
        "IntTextView", _numeric("integer", _TYPED | _INT, is_bounded=False)
    ),
    "IntsInputModel": WidgetModel("IntsInputView", _NUMBER_TAGS),
    "LabelModel": WidgetModel("LabelView", _PAGE | {"value": "label"}),
    "LabelStyleModel": WidgetModel("StyleView", _SIZED | _WRITTEN),
    "LayoutModel": WidgetModel("LayoutView", _LAYOUT, "@jupyter-widgets/base"),
    "LinkModel": WidgetModel("", {"source": "link", "target": "link"}),
    "NaiveDatetimeModel": WidgetModel("DatetimeView", _MOMENT),
    "OutputModel": WidgetModel(
        "OutputView", _DOM | {"msg_id": "message", "outputs": "outputs"}, "@jupyter-widgets/output"
    ),
    "PlayModel": WidgetModel(
        "PlayView",
        _numeric("integer", _INPUT | _INT)
        | {"interval": "integer", "playing": "flag", "repeat": "flag", "show_repeat": "flag"},
    ),
    "ProgressStyleModel": WidgetModel("StyleView", _WIDE | {"bar_color": "colour"}),
    "RadioButtonsModel": WidgetModel("RadioButtonsView", _SELECTION | {"orientation": "choice"}),
    "SelectModel": WidgetModel("SelectView", _SELECTION | {"rows": "integer"}),
    "SelectMultipleModel": WidgetModel(
        "SelectMultipleView", _SELECTION | {"index": "integers", "rows": "integer"}
    ),
    "SelectionRangeSliderModel": WidgetModel(
        "SelectionRangeSliderView", _SLIDER | _SELECTION | {"index": "integers"}
    ),
    "SelectionSliderModel": WidgetModel("SelectionSliderView", _SLIDER | _SELECTION),
    "SliderStyleModel": WidgetModel("StyleView", _WIDE | {"handle_color": "colour"}),
    "StackModel": WidgetModel("StackView", _PAGES),
    "TabModel": WidgetModel("TabView", _PAGES),
    "TagsInputModel": WidgetModel(
        "TagsInputView", _TAGS | {"tag_style": "choice", "value": "tags"}
    ),
    "TextModel": WidgetModel("TextView", _FIELD | {"value": "text"}),
    "TextStyleModel": WidgetModel("StyleView", _SIZED),
    "TextareaModel": WidgetModel("TextareaView", _FIELD | {"rows": "integer", "value": "text"}),
    "TimeModel": WidgetModel("TimeView", _MOMENT | {"step": "step"}),
    "ToggleButtonModel": WidgetModel("ToggleButtonView", _BUTTON | {"value": "flag"}),
    "ToggleButtonStyleModel": WidgetModel("StyleView", _WIDE | _WRITTEN),
    "ToggleButtonsModel": WidgetModel(
        "ToggleButtonsView",
        _SELECTION | {"button_style": "choice", "icons": "icons", "tooltips": "labels"},
    ),
    "ToggleButtonsStyleModel": WidgetModel(
        "StyleView", _WIDE | {"button_width": "css", "font_weight": "css"}
    ),
    "VBoxModel": WidgetModel("VBoxView", _BOX),
    "ValidModel": WidgetModel("ValidView", _INPUT | {"readout": "line", "value": "flag"}),
}
"""Every model that a page may show, by its name."""

_GAMEPAD: Final = "it would read game controllers of the user's machine"
_MEDIA: Final = "a page would play it without the sandbox having looked at it"
WITHHELD_MODELS: Final[Mapping[str, str]] = {
    "AudioModel": _MEDIA,
    "ControllerAxisModel": _GAMEPAD,
    "ControllerButtonModel": _GAMEPAD,
    "ControllerModel": _GAMEPAD,
    "DOMWidgetModel": "it has no view",
    "PasswordModel": "a browser may fill it in with the password of this page; use getpass()",
    "VideoModel": _MEDIA,
}
"""Models of ipywidgets that are withheld, with the reason."""
