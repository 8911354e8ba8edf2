"""Documents that cannot lie: what they name exists, and what exists they name."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from kavach_ipy.policy import OPTIONS, PROFILES
from tests.repo.sources import ROOT, modules

# By path: another distribution may have installed a package named docs.
PAGES: dict[str, Callable[[], str]] = runpy.run_path(str(ROOT / "docs/reference/generate.py"))[
    "PAGES"
]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for place in ("*.md", "docs/**/*.md", "notebooks/**/*.md", "changes/*.md")
    for path in ROOT.glob(place)
)
TARGETS = set(
    re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)


def _text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted(PAGES))
def test_reference_is_what_the_code_says(page: str) -> None:
    """The generated pages are current; `make docs` writes them again."""
    assert _text(f"docs/reference/{page}") == PAGES[page]()


def test_every_option_has_a_heading() -> None:
    """Nobody has to read the code to learn what a flag does."""
    headings = set(re.findall(r"^## (--\S+)$", _text("docs/reference/options.md"), re.MULTILINE))
    assert headings == {option.flags[-1] for option in OPTIONS}


def test_every_profile_has_a_heading() -> None:
    """A profile's promise can be read before it is used."""
    headings = set(re.findall(r"^## (\S+)$", _text("docs/reference/profiles.md"), re.MULTILINE))
    assert headings == set(PROFILES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_commands_exist(document: str) -> None:
    """Every `make target` that a document tells a reader to type is a target."""
    named = re.findall(r"(?:^\$ |`)make ([a-z]+)", _text(document), re.MULTILINE)
    assert set(named) - TARGETS == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link is a file of this repository."""
    here = (ROOT / document).parent
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", _text(document))
    missing = [link for link in links if "://" not in link and not (here / link).resolve().exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_one_sentence_stands_on_a_line(document: str) -> None:
    """A change of one sentence is a change of one line."""
    prose = re.sub(r"```.*?```", "", _text(document), flags=re.DOTALL)
    crowded = [
        line
        for line in prose.splitlines()
        if not line.startswith(("|", "#", "<!--", "**Citation"))
        and re.search(r"[a-z`)]\. [A-Z][a-z]", line)
    ]
    assert crowded == []


def test_readme_names_both_commands() -> None:
    """The first page says how to see it and how to test it."""
    readme = _text("README.md")
    assert "$ make demo" in readme
    assert "$ make test" in readme


def test_architecture_describes_every_folder() -> None:
    """A newcomer finds a paragraph for each folder of the package."""
    architecture = _text("docs/explanation/architecture.md")
    folders = {module.partition("/")[0] for module in modules() if "/" in module}
    assert [name for name in sorted(folders) if f"### {name}/" not in architecture] == []


def test_decisions_are_numbered_without_gaps() -> None:
    """A superseded decision stays, so a number is never used twice."""
    names = sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md"))
    numbers = [int(name[:4]) for name in names]
    assert numbers == list(range(1, len(names) + 1))


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("*.md")), ids=str)
def test_decision_says_why_and_what_else(path: Path) -> None:
    """Context, choice, rejected options, consequences and a date."""
    text = path.read_text(encoding="utf-8")
    parts = ("## Context", "## Choice", "## Rejected", "## Consequences", "Date: 2")
    assert [part for part in parts if part not in text] == []


def test_change_notes_have_a_known_kind() -> None:
    """Fragments are named ``<id>.<kind>.md`` with a kind that towncrier knows."""
    kinds = "added|changed|fixed|removed|security"
    names = [path.name for path in (ROOT / "changes").glob("*.md") if path.name != "README.md"]
    assert names
    assert [name for name in names if not re.fullmatch(rf"[\w+-]+\.({kinds})\.md", name)] == []
