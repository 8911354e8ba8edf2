"""What a cell may do because its control group counts it, and only then."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch.bounds import check_group
from kavach_ipy.launch.groups import plan_within
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.plan import Plan, make_plan
from kavach_ipy.linux.cgroups import Group
from kavach_ipy.policy import Policy

pytestmark = pytest.mark.needs("userns", "seccomp", "landlock")

BOUND = {"memory.max": "536870912", "memory.swap.max": "0"}
LOOSE = {
    "no bound": BOUND | {"memory.max": "max"},
    "swapped out": BOUND | {"memory.swap.max": "max"},
    "swap is not counted": {"memory.max": "536870912"},
    "no controller": {},
}


def _group(folder: Path, files: dict[str, str]) -> Group:
    """A folder that reads as a control group does; a real one needs the memory controller."""
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n", encoding="ascii")
    (folder / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")
    return Group(str(folder), frozenset(("memory",)))


@pytest.fixture
def plan() -> Plan:
    """A plan for this machine, as if a control group were delegated."""
    policy = Policy()
    return make_plan(policy, dataclasses.replace(survey(policy), cgroup="/sys/fs/cgroup/mine"))


def test_cell_that_its_group_counts_gets_the_other_filter(plan: Plan, tmp_path: Path) -> None:
    """memory.max is set and nothing leaves it by being swapped out."""
    counted = plan_within(plan, _group(tmp_path, BOUND))
    assert counted.counts_memory
    assert counted.seccomp_program == plan.counted_program != plan.seccomp_program


@pytest.mark.parametrize("name", LOOSE)
def test_cell_that_nothing_counts_keeps_the_filter(plan: Plan, tmp_path: Path, name: str) -> None:
    """A group that lets one byte go uncounted is as good as none."""
    assert plan_within(plan, _group(tmp_path, LOOSE[name])) is plan


def test_cell_without_a_group_keeps_the_filter(plan: Plan, tmp_path: Path) -> None:
    """Where none is delegated the other filter is not even built."""
    policy = Policy()
    alone = make_plan(policy, dataclasses.replace(survey(policy), cgroup=None))
    assert alone.counted_program is None
    assert plan_within(plan, None) is plan
    assert plan_within(alone, _group(tmp_path, BOUND)) is alone


def test_group_that_no_longer_counts_is_found_before_the_cell_runs(
    plan: Plan, tmp_path: Path
) -> None:
    """The filter is loaded for a group that counts; read back, it must still do."""
    group = _group(tmp_path, BOUND)
    counted = plan_within(plan, group)
    check_group(counted, os.getpid(), group)
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    for found in (group, None):
        with pytest.raises(SetupFailed, match="no group counts it"):
            check_group(counted, os.getpid(), found)
        check_group(plan, os.getpid(), found)
    (tmp_path / "cgroup.procs").write_text("1\n", encoding="ascii")
    with pytest.raises(SetupFailed, match="not a member"):
        check_group(plan, os.getpid(), group)
