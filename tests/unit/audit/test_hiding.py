"""Where the logs go is out of a session's reach before there is one."""

from __future__ import annotations

import stat
from pathlib import Path

from kavach_ipy.audit.record import Audit
from kavach_ipy.policy import Policy


def test_place_of_the_logs_is_there_before_a_session_is_built(tmp_path: Path) -> None:
    """A path that does not exist hides nothing, and a session would see it come later."""
    place = tmp_path / "state" / "audit"
    audit = Audit("on", directory=str(place))
    try:
        audit.hiding(Policy())
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    finally:
        audit.close()


def test_place_that_cannot_be_made_is_told_with_the_cell_and_not_before(tmp_path: Path) -> None:
    """The policy is the same, and the record of the first cell says why there is no log."""
    (tmp_path / "file").touch()
    audit = Audit("on", directory=str(tmp_path / "file" / "audit"))
    try:
        audit.hiding(Policy())
    finally:
        audit.close()
