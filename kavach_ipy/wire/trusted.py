"""Classes of the notebook's whose instances may come back, because their owner said so.

::

    kavach_ipy.trust(Point)                                a dataclass, attrs or pydantic class,
                                                           an Enum, a NamedTuple
    kavach_ipy.trust(Model, encode=as_dict, decode=Model.load)    anything else, by two functions

An instance crosses as the values of its fields; the class's own constructor, called by keyword,
makes it again. `__setstate__`, `__reduce__` and `__dict__` are never used.

Guarantees: only a class in the table, by its exact type and full name, is made; what the
constructor returns is of exactly that class; the writer and the reader use one table, which only
the process that imported this module changes: a cell changes its own copy.
Assumes: whoever trusts a class accepts that its constructor, or `decode`, runs in the notebook on
values that a hostile cell has chosen, each of a listed type.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, Flag
from functools import cached_property
from typing import Any, TypeVar, cast

from kavach_ipy.errors import PolicyError
from kavach_ipy.wire.packing import Reduced, unlisted

__all__ = [
    "Trusted",
    "by_text",
    "distrust",
    "encoded",
    "instance",
    "shape_of",
    "take_apart",
    "trust",
    "trusted",
]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Trusted:
    """How instances of one class cross.

    Attributes:
        cls: the class.
        fields: the constructor's keywords and the attributes that hold their values; None for
            `encode` and `decode`.
        encode: called in the child with an instance; returns values of listed types.
        decode: called in the notebook with what came of it; returns an instance.
    """

    cls: type
    fields: tuple[tuple[str, str], ...] | None = None
    encode: Callable[[Any], object] | None = None
    decode: Callable[[Any], object] | None = None

    @property
    def is_open(self) -> bool:
        """True for a pydantic model that takes keywords besides its fields."""
        return getattr(self.cls, "model_config", {}).get("extra") == "allow"


_table: dict[str, Trusted] = {}


def trust(
    cls: type[_T],
    *,
    encode: Callable[[_T], object] | None = None,
    decode: Callable[[Any], _T] | None = None,
) -> type[_T]:
    """Let instances of exactly this class come back; usable as a decorator.

    Args:
        cls: a dataclass, an attrs or pydantic class, an Enum or a NamedTuple; with `encode` and
            `decode`, any class.
        encode: called in the sandbox with an instance; returns values of listed types.
        decode: called in the notebook with those values, which a hostile cell may have chosen.

    Raises:
        PolicyError: it is no such class, or cannot be made by keywords alone.
    """
    if not isinstance(cls, type):
        raise PolicyError("trust", cls, "a class is")
    if (encode is None) != (decode is None):
        raise PolicyError("trust", cls, "encode and decode are needed together")
    if cls.__module__ == "builtins":
        raise PolicyError("trust", cls, "a class of your own is; built-in ones come back anyway")
    if encode is not None and decode is not None:
        made = Trusted(cls, None, encode, decode)
    elif issubclass(cls, Flag):
        made = Trusted(cls, None, _number_of, lambda value: cls(_exact(value, int)))
    elif issubclass(cls, Enum):
        made = Trusted(cls, None, _name_of, lambda value: cls.__members__[_exact(value, str)])
    else:
        made = Trusted(cls, _fields_of(cls))
    _table[_full_name(cls)] = made
    return cls


def distrust(cls: type) -> None:
    """Take back what `trust` allowed; a class that was never trusted is left as it is."""
    _table.pop(_full_name(cls), None)


def by_text(name: str) -> type:
    """Return the class that ``module.Class`` names, among modules that are loaded or can be.

    Raises:
        PolicyError: there is none.
    """
    from importlib import import_module  # noqa: PLC0415 - for settings only.

    module, _, rest = name.rpartition(".")
    try:
        found = getattr(sys.modules.get(module) or import_module(module), rest)
    except (ImportError, AttributeError, ValueError) as error:
        raise PolicyError("trusted_types", name, f"module.Class is ({error})") from error
    if not isinstance(found, type):
        raise PolicyError("trusted_types", name, "a class is")
    return found


def trusted() -> tuple[str, ...]:
    """Return the full names of all classes in the table."""
    return tuple(sorted(_table))


def shape_of(cls: type) -> str | None:
    """Return what kind of class it is that `trust` takes as it is; None for any other."""
    if issubclass(cls, Enum):
        return "a member of an Enum"
    if dataclasses.is_dataclass(cls):
        return "a dataclass"
    if hasattr(cls, "__attrs_attrs__"):
        return "an attrs class"
    if hasattr(cls, "__pydantic_fields__") or hasattr(cls, "model_fields"):
        return "a pydantic model"
    return None


def take_apart(value: Any) -> Reduced | None:
    """Return the tag and the arguments for an instance of a trusted class; None for others."""
    name = _full_name(type(value))
    found = _table.get(name)
    if found is None or found.cls is not type(value):
        return None
    if found.encode is not None:
        return encoded, (name, found.encode(value))
    assert found.fields is not None
    fields = {key: getattr(value, source) for key, source in found.fields}
    fields.update(_extras(value))
    _check_rest(found, value, fields)
    return instance, (name, fields)


def _extras(value: Any) -> dict[str, object]:
    """Return the fields that pydantic has taken besides those of the class."""
    return dict(getattr(value, "__pydantic_extra__", None) or {})


def _check_rest(found: Trusted, value: Any, fields: dict[str, object]) -> None:
    """Check that the constructor makes again what its keywords do not say.

    Raises:
        OutputWithheld: an attribute would be lost or another.
    """
    rest = _rest(found, value)
    if not rest:
        return
    again = _rest(found, found.cls(**fields))
    for name, item in rest.items():
        if name not in again or not _is_equal(item, again[name]):
            raise unlisted(
                f"its attribute {name[:100]} is no keyword of its constructor, and would be lost",
                "kavach_ipy.trust(…, encode=…, decode=…) says how it comes back",
            )


def _rest(found: Trusted, value: Any) -> dict[str, object]:
    """Return the attributes that are no keywords, without those that are computed when asked."""
    sources = {source for _, source in found.fields or ()}
    names = {
        *(field.name for field in getattr(found.cls, "__attrs_attrs__", ())),
        *getattr(found.cls, "__dataclass_fields__", ()),
    }
    rest = {name: getattr(value, name) for name in names - sources if hasattr(value, name)}
    rest.update(getattr(value, "__pydantic_private__", None) or {})
    return rest | {
        name: item
        for name, item in getattr(value, "__dict__", {}).items()
        if name not in sources and not isinstance(getattr(found.cls, name, None), cached_property)
    }


def _is_equal(one: object, other: object) -> bool:
    # What cannot be compared, as an array, counts as another.
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except Exception:  # noqa: BLE001 - classes of the user's compare as they like.
        return False


def instance(name: str, fields: dict[str, object]) -> object:
    """An instance of a trusted class, by its constructor and keywords."""
    found = _known(name)
    keys = set() if found.fields is None else {key for key, _ in found.fields}
    if found.fields is None or not (
        keys == fields.keys() or (found.is_open and keys < set(fields))
    ):
        raise ValueError(f"{name} has other fields")
    return _exactly(found, found.cls(**fields))


def encoded(name: str, value: object) -> object:
    """An instance of a trusted class, by its `decode`."""
    found = _known(name)
    if found.decode is None:
        raise ValueError(f"{name} is made of its fields")
    return _exactly(found, found.decode(value))


def _known(name: str) -> Trusted:
    if name not in _table:
        raise ValueError(f"{name} is not a trusted class")
    return _table[name]


def _exactly(found: Trusted, made: object) -> object:
    if type(made) is not found.cls:
        raise ValueError(f"the constructor made a {type(made).__name__}")
    return made


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _exact(value: object, kind: type[_T]) -> _T:
    # Looking anything else up hashes it, and a tuple of tuples is hashed for seconds.
    if type(value) is not kind:
        raise TypeError(f"a {kind.__name__} is needed")
    return value


def _number_of(value: Any) -> object:
    return int(value.value)


def _name_of(value: Any) -> object:
    return str(value.name)


def _fields_of(cls: type) -> tuple[tuple[str, str], ...]:
    """Return the keywords of a constructor, and the attributes that hold their values."""
    if dataclasses.is_dataclass(cls):
        # An InitVar is a keyword without an attribute, so it is not to be had again.
        if any(_is_init_only(field) for field in cls.__dataclass_fields__.values()):
            raise PolicyError("trust", cls, "a dataclass without InitVar is; or encode and decode")
        return tuple((field.name, field.name) for field in dataclasses.fields(cls) if field.init)
    if hasattr(cls, "__attrs_attrs__"):
        attributes = cast("Iterable[Any]", cls.__attrs_attrs__)
        return tuple((field.alias, field.name) for field in attributes if field.init)
    if shape_of(cls) is not None:
        model: Any = cls
        fields = getattr(model, "__pydantic_fields__", None) or model.model_fields
        return tuple((_keyword(model, name, field), name) for name, field in fields.items())
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return tuple((name, name) for name in cast("tuple[str, ...]", cls._fields))
    raise PolicyError(
        "trust",
        cls,
        "a dataclass, an attrs or pydantic class, an Enum or a NamedTuple is; any other class needs"
        " encode and decode",
    )


def _is_init_only(field: Any) -> bool:
    # dataclasses keeps the kind of a field in a private attribute, and fields() leaves these out.
    return getattr(field, "_field_type", None) is getattr(dataclasses, "_FIELD_INITVAR", ...)


def _keyword(cls: Any, name: str, field: Any) -> str:
    # pydantic's constructor takes the alias, unless the model also takes the name.
    config = cls.model_config
    if config.get("populate_by_name") or config.get("validate_by_name"):
        return name
    alias = field.validation_alias or field.alias
    if alias is None:
        return name
    if not isinstance(alias, str):
        raise PolicyError("trust", cls, "a model whose aliases are plain texts is")
    return alias
