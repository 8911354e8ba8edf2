"""A page of hostile output does nothing: no script, no request, no dialog, no command, no file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.attacks import ATTACKS, PRELUDE, names_in
from tests.browser.notebooks import FRONT_ENDS, FrontEnd, Notebook, opened
from tests.browser.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_OUTPUT = ".jp-OutputArea-output"
# An output of the notebook's own, which the attack "update" aims at.
_KNOWN = "display('known', display_id='known');"


def _cells(magic: str) -> list[str]:
    # The one that raises is the last: it ends "run all".
    return [PRELUDE, _KNOWN, *(f"{magic}{attack.cell()}" for attack in ATTACKS)]


@pytest.fixture(scope="module", params=FRONT_ENDS)
def hostile(
    request: pytest.FixtureRequest, browser: Browser, server: Server
) -> Iterator[tuple[Notebook, list[str], set[str]]]:
    """The page with every attack run in the sandbox, its cells and the server's files before."""
    front_end: FrontEnd = request.param
    cells = _cells("%%sandbox\n")
    server.write(f"hostile-{front_end}.ipynb", cells)
    with opened(browser, server, front_end, f"hostile-{front_end}.ipynb") as notebook:
        files = notebook.files()
        notebook.run_all()
        notebook.click_all(f"{_OUTPUT} *")
        # Longer than the same cells take to act without the sandbox.
        notebook.page.wait_for_timeout(3000)
        yield notebook, cells, files


def test_no_script_runs_and_no_request_leaves(
    hostile: tuple[Notebook, list[str], set[str]],
) -> None:
    """Whatever a sandboxed cell shows, nothing of it runs, loads, asks or opens a window."""
    notebook, _, _ = hostile
    assert notebook.deeds.all() == []


def test_every_attack_was_shown(hostile: tuple[Notebook, list[str], set[str]]) -> None:
    """The silence is not that of cells that never ran: each shows something or says why not."""
    notebook, cells, _ = hostile
    silent = {"pager", "payload"}
    for at, attack in enumerate(ATTACKS, start=2):
        shown = notebook.outputs(at)
        assert bool(shown) != (attack.name in silent), (attack.name, cells[at], shown)


def test_cells_files_and_commands_are_untouched(
    hostile: tuple[Notebook, list[str], set[str]],
) -> None:
    """No cell is added or changed, no file is made on the server, no command of the lab runs."""
    notebook, cells, files = hostile
    assert notebook.sources() == cells
    assert notebook.files() == files
    assert notebook.commands() == []


def test_the_output_of_another_cell_stays(hostile: tuple[Notebook, list[str], set[str]]) -> None:
    """An update of a display that the cell did not make changes nothing."""
    notebook, _, _ = hostile
    (known,) = notebook.outputs(1)
    assert known["data"] == {"text/plain": "'known'"}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_baseline_the_same_cells_act_without_the_sandbox(
    browser: Browser, server: Server, front_end: FrontEnd
) -> None:
    """Without the magic the page runs, loads, adds cells and writes files: the probes work."""
    name = f"baseline-{front_end}.ipynb"
    cells = _cells("")
    server.write(name, cells)
    firing = {attack.name for attack in ATTACKS if attack.fires}
    with opened(browser, server, front_end, name) as notebook:

        def missing() -> set[str]:
            added = set(notebook.sources()) - set(cells)
            return firing - names_in([*notebook.deeds.all(), *added])

        notebook.run_all()
        notebook.click_all(f"{_OUTPUT} *")
        notebook.wait_until(lambda: not missing())
        assert missing() == set()
        assert "html-file.txt" in notebook.files()
    (server.folder / "html-file.txt").unlink()
