"""Whatever the kernel shows of a cell and was not promised, the parent refuses before it runs."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

import pytest

from kavach_ipy.errors import SetupFailed
from kavach_ipy.launch import bounds, report
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.places import Link
from kavach_ipy.launch.plan import Plan, make_plan
from kavach_ipy.linux import verify
from kavach_ipy.linux.cgroups import Group
from kavach_ipy.linux.verify import Mount, Status
from kavach_ipy.policy import Policy

GONE = 1 << 22
"""No process: above the highest pid_max that there is, proc(5)."""

NONE = (0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """What a plain cell is promised."""
    return make_plan(Policy(), survey(Policy()))


def _status(plan: Plan) -> Status:
    identity = plan.identity
    return Status(
        parent=1,
        threads=1,
        uids=(identity.uid,) * 4,
        gids=(identity.gid,) * 4,
        capabilities=NONE,
        no_new_privs=True,
        seccomp=2,
    )


def test_status_that_was_promised_is_verified(plan: Plan) -> None:
    """Id, capabilities and filter as the plan says, so that the refusals below mean something."""
    layers = tuple(report._rights(plan, _status(plan)))
    assert [layer.name for layer in layers if layer.state == "verified"] == [
        "capabilities",
        "system calls",
    ]


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        ({"uids": (0, 0, 0, 0)}, "identity"),
        ({"gids": (0, 0, 0, 0)}, "identity"),
        *(
            ({"capabilities": (*NONE[:n], 1 << 21, *NONE[n + 1 :])}, "capabilities")
            for n in range(5)
        ),
        ({"no_new_privs": False}, "capabilities"),
        ({"seccomp": 0}, "seccomp"),
        ({"seccomp": 1}, "seccomp"),
    ],
    ids=str,
)
def test_right_that_is_left_is_refused(plan: Plan, change: dict[str, object], layer: str) -> None:
    """Host root's id in any place, one capability in any set, no filter or another mode of it."""
    status = dataclasses.replace(_status(plan), **change)  # type: ignore[arg-type]
    with pytest.raises(SetupFailed, match=layer):
        tuple(report._rights(plan, status))


def test_one_place_of_four_is_enough_to_be_another_id(plan: Plan) -> None:
    """A saved or file-system id is looked at like the real one."""
    good = plan.identity.uid
    for place in range(4):
        uids = tuple(0 if here == place else good for here in range(4))
        with pytest.raises(SetupFailed, match="identity"):
            tuple(report._rights(plan, dataclasses.replace(_status(plan), uids=uids)))


@pytest.mark.parametrize(("parent", "threads"), [(2, 1), (1, 2)])
def test_process_of_another_parent_or_with_threads_is_refused(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, parent: int, threads: int
) -> None:
    """What was read must be of the one thread that will run the cell."""
    status = dataclasses.replace(_status(plan), parent=parent, threads=threads)
    monkeypatch.setattr(verify, "read_status", lambda _: status)
    with pytest.raises(SetupFailed, match="process"):
        report.verify_rights(plan, 7, parent=1)


@pytest.mark.parametrize("name", ["uid_map", "gid_map"])
@pytest.mark.parametrize("rows", [(), ((0, 0, 1),), ((0, 0, 4294967295),)])
def test_map_that_was_not_promised_is_refused(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, name: str, rows: tuple[tuple[int, int, int], ...]
) -> None:
    """No line, host root's line, or all ids."""
    good = {
        "uid_map": ((0, plan.identity.uid, 1),),
        "gid_map": ((0, plan.identity.gid, 1),),
    }
    monkeypatch.setattr(verify, "read_uid_map", lambda _, which="uid_map": good[which])
    assert report._id_maps(plan, 7).state == "verified"
    bad = good | {name: rows}
    monkeypatch.setattr(verify, "read_uid_map", lambda _, which="uid_map": bad[which])
    with pytest.raises(SetupFailed, match="uid_map"):
        report._id_maps(plan, 7)


@pytest.mark.parametrize("name", verify.NAMESPACES)
def test_namespace_that_is_still_the_kernels_is_refused(plan: Plan, name: str) -> None:
    """One of seven is enough."""
    own = {each: f"{each}:[1]" for each in verify.NAMESPACES}
    other = {each: f"{each}:[2]" for each in verify.NAMESPACES}
    assert report._namespaces(plan, other, own).state == "verified"
    with pytest.raises(SetupFailed, match=name):
        report._namespaces(plan, other | {name: own[name]}, own)


@pytest.mark.parametrize("name", [name for name in verify.NAMESPACES if name != "net"])
def test_with_the_hosts_network_six_namespaces_are_the_cells_own(plan: Plan, name: str) -> None:
    """The host's network is the kernel's, and no other one; a network of its own is refused."""
    shares = dataclasses.replace(plan, shares_network=True)
    own = {each: f"{each}:[1]" for each in verify.NAMESPACES}
    other = {each: f"{each}:[2]" for each in verify.NAMESPACES} | {"net": own["net"]}
    layer = report._namespaces(shares, other, own)
    assert "net" not in layer.detail
    with pytest.raises(SetupFailed, match=name):
        report._namespaces(shares, other | {name: own[name]}, own)
    with pytest.raises(SetupFailed, match="promised: net"):
        report._namespaces(shares, other | {"net": "net:[2]"}, own)


def _mounts(plan: Plan) -> tuple[Mount, ...]:
    writable = frozenset(plan.places.writable)
    shown = {place.path for place in plan.places.order if not isinstance(place, Link)}
    return tuple(
        Mount(
            point=point,
            read_only=point not in writable | {b"/dev/pts"},
            fstype=b"proc" if point == b"/proc" else b"ext4",
            root=b"/",
        )
        for point in sorted(shown | writable | {b"/", b"/proc", b"/dev/pts"})
    )


def _files(plan: Plan, mounts: tuple[Mount, ...]) -> list[str]:
    return [layer.state for layer in report._files(plan, mounts, frozenset())]


def test_mounts_that_were_promised_are_verified(plan: Plan) -> None:
    """The same list, unchanged."""
    assert _files(plan, _mounts(plan)) == ["verified", "verified"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (Mount(b"/old", True, b"ext4", b"/"), "unexpected"),
        (Mount(b"/home", True, b"ext4", b"/"), "unexpected"),
        (Mount(b"/usr/lib/below", False, b"ext4", b"/"), "writable"),
        (Mount(b"/proc/sys", False, b"proc", b"/sys"), "writable"),
        (Mount(b"/usr/lib/below", True, b"proc", b"/"), "another one"),
    ],
    ids=["old-root", "home", "writable", "knobs", "second-proc"],
)
def test_mount_that_was_not_promised_is_refused(plan: Plan, more: Mount, words: str) -> None:
    """A place of the host that stayed, one that takes writes, a /proc of other processes."""
    with pytest.raises(SetupFailed, match=words):
        _files(plan, (*_mounts(plan), more))


@pytest.mark.parametrize("below", ["", "/below"])
@pytest.mark.parametrize("option", ["read_only", "hidden", "autostart"])
def test_read_only_place_inside_a_writable_one_is_read_only(option: str, below: str) -> None:
    """What ``--ro`` shows below the cell's own /tmp, and hooks below ``--rw``, take no write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        hooks = os.path.join(folder, ".git", "hooks")
        os.makedirs(hooks)
        os.chmod(folder, 0o777)
        policy, place = {
            "read_only": (Policy(read_only=[folder]), folder),
            "hidden": (Policy(read_only=[folder], hidden=[hooks]), hooks),
            "autostart": (Policy(writable=[folder]), hooks),
        }[option]
        plan = make_plan(policy, survey(policy))
    good = _mounts(plan)
    assert _files(plan, good) == ["verified", "verified"]
    assert _files(plan, (*good, Mount(b"/tmp/made", False, b"tmpfs", b"/"))) == ["verified"] * 2
    point = os.fsencode(place + below)
    found = tuple(mount for mount in good if mount.point != point)
    with pytest.raises(SetupFailed, match="writable"):
        _files(plan, (*found, Mount(point, False, b"ext4", b"/")))


def test_mount_that_is_missing_is_refused(plan: Plan) -> None:
    """What was to cover something is not there."""
    mounts = tuple(mount for mount in _mounts(plan) if mount.point != b"/proc")
    with pytest.raises(SetupFailed, match="missing: /proc"):
        _files(plan, mounts)


def test_descriptor_that_is_live_is_refused() -> None:
    """/dev/null and what the plan lists are all that there may be."""
    found = {0: "/dev/null", 1: "pipe:[1]", 5: "/null"}
    assert report._descriptors(found, frozenset({"pipe:[1]"})).state == "verified"
    for link in ("socket:[9]", "/home/someone/history.sqlite", "anon_inode:[eventpoll]"):
        with pytest.raises(SetupFailed, match="descriptors"):
            report._descriptors(found | {7: link}, frozenset({"pipe:[1]"}))


def test_state_that_cannot_be_read_is_not_verified(plan: Plan) -> None:
    """A cell that is gone, or a /proc that shows nothing, is a failure with a name."""
    with pytest.raises(SetupFailed, match="verification"):
        report.verify_identity(plan, GONE, {})
    with pytest.raises(SetupFailed, match="verification"):
        report.verify_rights(plan, GONE, parent=1)


def _limits(plan: Plan) -> dict[str, int | None]:
    return {
        "Max processes": plan.processes,
        "Max cpu time": plan.cpu_seconds,
        "Max file size": plan.file_bytes,
        "Max core file size": 1,
        "Max data size": 1 << 30,
        "Max open files": 100,
    }


def test_limits_that_were_promised_are_verified(plan: Plan) -> None:
    """As much as the plan says, or less."""
    bounds.check_limits(plan, _limits(plan))
    bounds.check_limits(plan, _limits(plan) | {"Max core file size": 0})


@pytest.mark.parametrize(
    "name",
    [
        "Max processes", "Max cpu time", "Max file size", "Max core file size", "Max data size",
        "Max open files",
    ],
)  # fmt: skip
def test_limit_that_was_not_set_is_refused(plan: Plan, name: str) -> None:
    """Each of them, unlimited; and one more than promised, where the plan knows the amount."""
    with pytest.raises(SetupFailed, match=name):
        bounds.check_limits(plan, _limits(plan) | {name: None})
    promised = _limits(plan)[name]
    assert promised is not None
    if name not in ("Max data size", "Max open files"):
        with pytest.raises(SetupFailed, match=name):
            bounds.check_limits(plan, _limits(plan) | {name: promised + 1})


def test_cell_outside_its_control_group_is_refused(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own list of members is asked."""
    monkeypatch.setattr(verify, "read_limits", lambda _: _limits(plan))
    (tmp_path / "cgroup.procs").write_text("7\n", encoding="ascii")
    group = Group(str(tmp_path), frozenset())
    assert bounds.verify_limits(plan, 7, group).state == "verified"
    with pytest.raises(SetupFailed, match="cgroup"):
        bounds.verify_limits(plan, 8, group)
