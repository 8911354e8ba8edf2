"""What is looked at of this machine, and what is kept out of sight of every cell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kavach_ipy.launch import host
from kavach_ipy.launch.host import survey
from kavach_ipy.policy import Policy

if TYPE_CHECKING:
    import pytest

TELLING = (
    "kcore", "keys", "key-users", "timer_list", "sched_debug", "kallsyms", "acpi", "scsi", "asound",
)  # fmt: skip
"""Parts of /proc that show the machine and its other users; no machine has all of them."""


def test_telling_file_that_a_machine_has_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has them all, all are covered."""
    exists = os.path.exists
    everything = {f"/proc/{name}".encode() for name in TELLING}
    monkeypatch.setattr(os.path, "exists", lambda path: path in everything or exists(path))
    host._machine.cache_clear()
    try:
        covered = survey(Policy()).proc_covered
    finally:
        host._machine.cache_clear()
    assert sorted(covered) == sorted(name.encode() for name in TELLING)


def test_telling_file_that_a_machine_lacks_is_not_covered() -> None:
    """There is nothing to cover then."""
    for name in survey(Policy()).proc_covered:
        assert os.path.lexists(b"/proc/" + name)
