"""docs/reference/wire.md and the reader agree, so that a second reader can be written from it."""

from __future__ import annotations

import inspect
import pickletools
import re
from importlib import import_module

import pytest

from kavach_ipy.errors import OutputWithheld
from kavach_ipy.gate.reader import RULES, read_pickle
from tests.repo.sources import ROOT

_PAGE = (ROOT / "docs/reference/wire.md").read_text(encoding="utf-8")
_OPCODES = re.findall(r"^\| `0x(\w\w)` \| (\w+) \| (\w*) ?\| ", _PAGE, re.MULTILINE)
_LIMITS = re.findall(r"^\| `(\w+\.\w+)\.(\w+)` \| ([\d.]+) \| ", _PAGE, re.MULTILINE)
_NAMED = re.findall(r"`((?:wire|gate)\.\w+)\.(_?[A-Z_]+)`", _PAGE)


def _tags() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    module = ""
    for line in _PAGE.splitlines():
        if line.startswith("### kavach_ipy."):
            module = line.removeprefix("### ")
        elif row := re.match(r"\| `(\w+)\((.*?)\)` \|", line):
            found[module, row[1]] = [name.strip() for name in row[2].split(",") if name.strip()]
    return found


def _has(code: int) -> bool:
    """Tell whether the reader knows an opcode: it refuses others by their number."""
    try:
        read_pickle(b"\x80\x05" + bytes([code]))
    except OutputWithheld as error:
        return "which the gate has not" not in error.reason
    return True


def test_the_opcodes_of_the_page_are_the_reader_s() -> None:
    """Each of the 256 bytes is in the table exactly when the reader acts on it."""
    assert {code for code in range(256) if _has(code)} == {int(code, 16) for code, _, _ in _OPCODES}
    assert len(_OPCODES) == len({code for code, _, _ in _OPCODES})


def test_the_opcodes_of_the_page_are_pickle_s() -> None:
    """Names and arguments are those of Python's own table, as the dialect is a pickle."""
    known = {
        ord(code.code): (code.name, code.arg.name if code.arg else "")
        for code in pickletools.opcodes
    }
    for code, name, argument in _OPCODES:
        assert known[int(code, 16)] == (name, argument)


def test_the_tags_of_the_page_are_the_rules() -> None:
    """Every tag that the reader knows stands there under its module, and no other."""
    assert set(_tags()) == set(RULES)


@pytest.mark.parametrize("tag", sorted(RULES), ids=".".join)
def test_a_tag_s_arguments_stand_in_the_page(tag: tuple[str, str]) -> None:
    """The arguments are the function's own, in its order."""
    module, name = tag
    function = getattr(import_module(module), name)
    assert _tags()[tag] == list(inspect.signature(function).parameters)


@pytest.mark.parametrize(("module", "name", "value"), _LIMITS, ids=str)
def test_a_limit_of_the_page_is_the_code_s(module: str, name: str, value: str) -> None:
    """The numbers are those that the code obeys."""
    assert getattr(import_module(f"kavach_ipy.{module}"), name) == float(value)


def test_every_limit_that_is_named_has_a_row_or_a_table() -> None:
    """A limit that a rule refers to can be looked up: a number in the table, or a dict of names."""
    numbers = {(module, name) for module, name, _ in _LIMITS}
    assert len(numbers) >= 16
    for module, name in set(_NAMED) - numbers:
        assert isinstance(getattr(import_module(f"kavach_ipy.{module}"), name), dict | tuple)
