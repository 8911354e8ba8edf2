"""A plan as text, for a process that shares no memory with the one that made it.

Guarantees: what `read_plan` returns is equal to what `write_plan` was given; a plan that holds
anything but plain values and the classes of a plan is an error when it is written.
Assumes: the text comes from the kernel process, which is trusted.
"""

from __future__ import annotations

from dataclasses import fields

from kavach_ipy.launch.places import Bind, Device, Hide, Link, Overlay, Places, Scratch, View
from kavach_ipy.launch.plan import Plan
from kavach_ipy.linux.identity import Identity
from kavach_ipy.policy import Policy
from kavach_ipy.wire.documents import Json

__all__ = ["read_plan", "write_plan"]

_CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (Bind, Device, Hide, Identity, Link, Overlay, Places, Plan, Scratch, View)
}


def write_plan(plan: Plan) -> Json:
    """Return a plan as JSON: bytes and classes become objects of one key."""
    return _write(plan)


def read_plan(text: Json) -> Plan:
    """Return the plan that `write_plan` wrote."""
    plan = _read(text)
    assert isinstance(plan, Plan), type(plan)
    return plan


def _write(value: object) -> Json:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"bytes": value.decode("latin-1")}
        case tuple():
            return [_write(item) for item in value]
        case Policy():
            changed = {name: item for name, item in value.to_mapping().items() if item is not None}
            return {"Policy": {name: _write(item) for name, item in changed.items()}}
        case _ if type(value).__name__ in _CLASSES:
            kind = _CLASSES[type(value).__name__]
            parts = {field.name: _write(getattr(value, field.name)) for field in fields(kind)}
            return {kind.__name__: parts}
        case _:
            raise TypeError(f"a {type(value).__name__} in a plan")


def _read(value: Json) -> object:
    match value:
        case list():
            return tuple(_read(item) for item in value)
        case {"bytes": str(text)}:
            return text.encode("latin-1")
        case {"Policy": dict(parts)}:
            return Policy.from_mapping({name: _read(item) for name, item in parts.items()})
        case dict():
            ((name, held),) = value.items()
            assert isinstance(held, dict), name
            return _CLASSES[name](**{key: _read(item) for key, item in held.items()})
        case _:
            return value
