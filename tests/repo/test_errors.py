"""The exception tree and the code that raises it agree."""

from __future__ import annotations

import ast
import builtins
import pickle

import pytest

from kavach_ipy import errors
from tests.repo.sources import modules, tree

LEAVES = sorted(name for name in errors.__all__ if getattr(errors, name) is not errors.KavachError)
# Builtins that say nothing about whose problem it is. A ValueError or TypeError may be raised, for
# the caller in the same module that turns it into one of ours.
VAGUE = {
    "BaseException",
    "Exception",
    "RuntimeError",
    *(
        name
        for name, kind in vars(builtins).items()
        if isinstance(kind, type)
        and issubclass(kind, OSError | LookupError | ArithmeticError)
        # Says one thing: the other process has gone. A step of the child reports it.
        and kind is not BrokenPipeError
    ),
}


def _called(module: str) -> set[str]:
    """The last names of everything that `module` calls."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    found.add(name)
                case _:
                    pass
    return found


@pytest.mark.parametrize("name", LEAVES)
def test_every_exception_class_is_made_somewhere(name: str) -> None:
    """An exception that nobody makes is a promise that nobody keeps."""
    assert [module for module in modules() if name in _called(module)] != []


@pytest.mark.parametrize("module", modules())
def test_no_vague_exception_is_raised(module: str) -> None:
    """Whoever catches KavachError catches all that we raise on purpose, with its remedy."""
    raises = [node for node in ast.walk(tree(module)) if isinstance(node, ast.Raise)]
    assert [_name_of(node.exc) for node in raises if _name_of(node.exc) in VAGUE] == []


def _name_of(node: ast.expr | None) -> str:
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
            return name
        case _:
            return ""


@pytest.mark.parametrize("name", LEAVES)
def test_every_exception_survives_a_process_border(name: str) -> None:
    """A pool's worker may hand it to its parent: fields and message arrive whole."""
    kind = getattr(errors, name)
    numbers = {"errno": 13, "offset": 7}
    fields: dict[str, object] = {field: numbers.get(field, f"a {field}") for field in kind._fields}
    if "lines" in fields:
        fields["lines"] = ("line one", "line two")
    made = kind(**fields)
    copy = pickle.loads(pickle.dumps(made))
    assert type(copy) is kind
    assert str(copy) == str(made)
    assert {field: getattr(copy, field) for field in kind._fields} == fields


@pytest.mark.parametrize("name", errors.__all__)
def test_the_drawing_shows_every_class(name: str) -> None:
    """The tree drawn on top of errors.py is the tree."""
    assert errors.__doc__ is not None
    assert name in errors.__doc__
