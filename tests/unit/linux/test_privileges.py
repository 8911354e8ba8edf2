"""Orphans are adopted while a sandbox is set up, and at no other time."""

from __future__ import annotations

import prctl

from kavach_ipy.linux.privileges import adopting_orphans
from tests.unit.linux.throwaway import forked


def _while_adopting(was: bool) -> list[bool]:
    prctl.set_child_subreaper(was)
    seen = [bool(prctl.get_child_subreaper())]
    with adopting_orphans():
        seen.append(bool(prctl.get_child_subreaper()))
        with adopting_orphans():
            seen.append(bool(prctl.get_child_subreaper()))
        seen.append(bool(prctl.get_child_subreaper()))
    return [*seen, bool(prctl.get_child_subreaper())]


def test_orphans_are_adopted_for_a_while_only() -> None:
    """The user's own daemons are nobody's afterwards; two set-ups at once end with the last."""
    assert forked(lambda: _while_adopting(was=False)).value == [False, True, True, True, False]


def test_process_that_adopts_orphans_goes_on() -> None:
    """What the process was before, it is again."""
    assert forked(lambda: _while_adopting(was=True)).value == [True] * 5
