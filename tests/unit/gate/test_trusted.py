"""Classes that the user trusts: they come back by their constructor, and no other class does."""

from __future__ import annotations

import dataclasses
import enum
import functools
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs
import pydantic
import pytest

import kavach_ipy
from kavach_ipy.errors import OutputWithheld, PolicyError
from kavach_ipy.gate.budget import KEY_ITEMS
from kavach_ipy.gate.listed import LISTED, sentences
from kavach_ipy.gate.reader import RULES, read_pickle
from kavach_ipy.wire import trusted
from kavach_ipy.wire.frames import Kind
from kavach_ipy.wire.values import encode_value, write_value
from tests.unit.gate.forging import Call, forge, is_refused


@dataclasses.dataclass(frozen=True)
class Point:
    """A dataclass with a field that its constructor does not take."""

    x: int
    y: object = None
    norm: int = dataclasses.field(init=False, default=0)


class Hue(enum.Enum):
    """An Enum whose values do not cross."""

    RED = object()


class Bits(enum.IntFlag):
    """A Flag."""

    A = 1
    B = 2


class Pair(NamedTuple):
    """A NamedTuple."""

    a: int
    b: int


@attrs.define
class Attrs:
    """An attrs class with an alias, as a private name has one."""

    _p: int
    q: list[int] = attrs.field(factory=list)


class Model(pydantic.BaseModel):
    """A pydantic model with an alias."""

    a: int
    b: int = pydantic.Field(1, alias="bee")


class Plain:
    """A class that says itself how it crosses."""

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __eq__(self, other: object) -> bool:
        return type(other) is Plain and self.inner == other.inner

    def __hash__(self) -> int:
        return hash(self.inner)


@dataclasses.dataclass
class Rude:
    """A class whose constructor would end the kernel."""

    x: int

    def __post_init__(self) -> None:
        if self.x == 1:
            raise SystemExit
        if self.x == 2:
            raise ValueError


_CLASSES: tuple[type, ...] = (Point, Hue, Bits, Pair, Attrs, Model, Rude)
_VALUES = [
    Point(1, Point(2, [3])),
    Hue.RED,
    Bits.A | Bits.B,
    Pair(1, 2),
    Attrs(1, [2]),
    Model(a=1, bee=5),
    Plain({"k": [1]}),
]


def _encode(value: Plain) -> object:
    return value.inner


@pytest.fixture
def _trusting() -> Iterator[None]:
    for cls in _CLASSES:
        kavach_ipy.trust(cls)
    kavach_ipy.trust(Plain, encode=_encode, decode=Plain)
    yield
    for cls in (*_CLASSES, Plain):
        kavach_ipy.distrust(cls)


class Open(pydantic.BaseModel):
    """A pydantic model that takes what it does not know."""

    model_config = pydantic.ConfigDict(extra="allow")
    a: int = 1
    _hidden: int = 0


class Strict(pydantic.BaseModel):
    """A pydantic model with a private attribute."""

    a: int = 1
    _hidden: int = 0


@dataclasses.dataclass
class Computed:
    """A dataclass with a field that its constructor computes, and one that is cached."""

    a: int
    double: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.double = 2 * self.a

    @functools.cached_property
    def later(self) -> int:
        """Four times the number."""
        return 2 * self.double


@attrs.define
class Slotted:
    """An attrs class with a field that its constructor sets."""

    a: int
    b: int = attrs.field(init=False, default=7)


def _changed(value: Any, name: str, item: object) -> Any:
    setattr(value, name, item)
    return value


@pytest.fixture
def _trusting_more() -> Iterator[None]:
    classes: tuple[type, ...] = (Open, Strict, Computed, Slotted)
    for cls in classes:
        kavach_ipy.trust(cls)
    yield
    for cls in classes:
        kavach_ipy.distrust(cls)


@pytest.mark.usefixtures("_trusting_more")
def test_what_a_constructor_makes_again_comes_back() -> None:
    """Extra fields of a model are keywords as well; what is computed is computed again."""
    known = Computed(3)
    assert known.later == 12
    extra = Open.model_validate({"a": 1, "b": [2], "c d": None})
    for value in (extra, Strict(a=2), known, Slotted(1)):
        data: Any = write_value([value])[0]
        for back in (read_pickle(data), pickle.loads(data)):
            assert back == [value]
            assert type(back[0]) is type(value)
    data = write_value(extra)[0]
    assert read_pickle(data).model_extra == {"b": [2], "c d": None}  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_trusting_more")
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (_changed(Computed(3), "double", 7), "double"),
        (_changed(Computed(3), "own", 1), "own"),
        (_changed(Slotted(1), "b", 8), "b"),
        (_changed(Strict(), "_hidden", 3), "_hidden"),
        (_changed(Open(), "_hidden", 3), "_hidden"),
    ],
)
def test_what_would_be_lost_is_said(value: object, name: str) -> None:
    """An attribute that no keyword carries withholds the value, instead of being dropped."""
    frame = encode_value("x", value, None)
    assert frame.kind is Kind.UNSENT
    assert f"attribute {name} " in str(frame.body["reason"])
    assert "encode" in str(frame.body["remedy"])


@pytest.mark.usefixtures("_trusting_more")
def test_fields_that_a_class_has_not_are_refused() -> None:
    """Only a model that says so takes keywords that are no fields, and it needs its own."""
    for cls, fields in ((Strict, {"a": 1, "b": 2}), (Open, {"b": 2}), (Computed, {"double": 1})):
        name = f"{cls.__module__}.{cls.__qualname__}"
        assert is_refused(forge(Call(trusted.instance, (name, fields))))


@pytest.mark.usefixtures("_trusting")
@pytest.mark.parametrize("value", _VALUES, ids=lambda value: type(value).__name__)
def test_instances_of_trusted_classes_come_back(value: object) -> None:
    """Alone, inside another value, and by stock pickle, they are equal and of their class."""
    data: Any = write_value([value, {"k": value}])[0]
    for back in (read_pickle(data), pickle.loads(data)):
        assert isinstance(back, list)
        assert back[0] == value
        assert type(back[0]) is type(value)
        assert back[0] is back[1]["k"]


@pytest.mark.parametrize("value", _VALUES[:3] + _VALUES[4:], ids=lambda v: type(v).__name__)
def test_without_trust_they_are_withheld_by_both_ends(value: object) -> None:
    """The writer says what would allow it; a pickle that names the class anyway is refused."""
    frame = encode_value("x", value, None)
    reason, remedy = str(frame.body["reason"]), str(frame.body["remedy"])
    assert "trust" in reason + remedy or "explain types" in remedy
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    for tag in (trusted.instance, trusted.encoded):
        assert is_refused(forge(Call(tag, (name, {}))))


@pytest.mark.usefixtures("_trusting")
def test_a_class_is_trusted_by_its_exact_type() -> None:
    """Neither a subclass nor another class of the same name rides on the trust in one."""

    class Sub(Plain):
        pass

    other = type("Plain", (), {"__module__": Plain.__module__, "__qualname__": "Plain"})()
    for value in (Sub(1), other):
        with pytest.raises(OutputWithheld):
            write_value(value)


_POINT = f"{__name__}.Point"


@pytest.mark.usefixtures("_trusting")
@pytest.mark.parametrize(
    ("tag", "arguments"),
    [
        (trusted.instance, (_POINT, {"x": 1})),
        (trusted.instance, (_POINT, {"x": 1, "y": 1, "norm": 1})),
        (trusted.instance, (_POINT, {"x": 1, 2: 1})),
        (trusted.instance, (_POINT, [1, 2])),
        (trusted.instance, (_POINT,)),
        (trusted.instance, ("os.system", {"command": "true"})),
        (trusted.instance, (1, {})),
        (trusted.instance, (f"{__name__}.Plain", {"inner": 1})),
        (trusted.encoded, (_POINT, {"x": 1, "y": 1})),
        (trusted.encoded, (f"{__name__}.Hue", "GREEN")),
        (trusted.encoded, (f"{__name__}.Hue", "__class__")),
        (trusted.encoded, (f"{__name__}.Bits", "x")),
        (trusted.instance, (f"{__name__}.Model", {"a": "no number", "bee": 1})),
        (trusted.instance, (f"{__name__}.Rude", {"x": 1})),
        (trusted.instance, (f"{__name__}.Rude", {"x": 2})),
    ],
)
def test_forged_fields_are_refused(tag: Any, arguments: tuple[object, ...]) -> None:
    """Other fields, names that nobody trusts, and a constructor that exits withhold the value."""
    assert not is_refused(forge(Call(trusted.instance, (_POINT, {"x": 1, "y": 1}))))
    assert is_refused(forge(Call(tag, arguments)))


@pytest.mark.usefixtures("_trusting")
def test_towers_of_trusted_instances_never_become_keys() -> None:
    """Each point holds the one before twice: hashing the fortieth would take for ever."""
    value = Point(1, 1)
    for _ in range(3):
        value = Point(1, (value, value))
    key: Any = {value: 1}
    assert read_pickle(bytes(_data(key))) == key
    for _ in range(40):
        value = Point(1, (value, value))
    tower = bytes(_data(value))
    assert KEY_ITEMS < 2**40
    # The value itself is too heavy, and as a key it is refused before it is hashed.
    assert is_refused(b"\x80\x05}" + tower[2:-1] + b"Ns.")


class _Odd:
    """A value that says when it is looked up."""

    hashed = 0

    def __hash__(self) -> int:
        _Odd.hashed += 1
        return 1


@pytest.mark.usefixtures("_trusting")
@pytest.mark.parametrize("name", ["Hue", "Bits"])
def test_members_are_looked_up_by_a_text_or_a_number_alone(name: str) -> None:
    """A tower of tuples, which hashes for seconds, is refused before it is looked up."""
    with pytest.raises(TypeError, match="is needed"):
        trusted.encoded(f"{__name__}.{name}", _Odd())
    assert _Odd.hashed == 0
    value: object = 1
    for _ in range(24):
        value = (value, value)
    tower = forge(Call(trusted.encoded, (f"{__name__}.{name}", value)))
    assert is_refused(tower)
    assert is_refused(forge(Call(trusted.encoded, (f"{__name__}.{name}", True))))


def _data(value: object) -> memoryview:
    data = write_value(value)[0]
    assert isinstance(data, memoryview)
    return data


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (1, {}),
        (int, {}),
        (Plain, {}),
        (Plain, {"encode": _encode}),
        (Plain, {"decode": Plain}),
        (dataclasses.make_dataclass("V", [("x", dataclasses.InitVar[int])]), {}),
    ],
)
def test_what_cannot_be_made_by_keywords_is_not_trusted(cls: Any, options: Any) -> None:
    """An instance, a built-in, a class without fields or with half of two functions is refused."""
    before = trusted.trusted()
    with pytest.raises(PolicyError, match="trust"):
        kavach_ipy.trust(cls, **options)
    assert trusted.trusted() == before


def test_names_of_the_settings_lead_to_classes() -> None:
    """module.Class is found; a function, a missing name and a missing module are errors."""
    assert trusted.by_text("fractions.Fraction").__name__ == "Fraction"
    for name in ("os.getcwd", "fractions.Fractoin", "no_such_module.X", "plain", "__main__.Nope"):
        with pytest.raises(PolicyError, match="trusted_types"):
            trusted.by_text(name)


def test_every_tag_is_said_in_a_sentence() -> None:
    """What `%kavach explain types` prints covers what the reader has rules for, and no more."""
    assert {tag for tags, _ in LISTED.values() for tag in tags} == {name for _, name in RULES}
    assert dict(sentences()).keys() == {*LISTED, "trusted"}
