"""The plan refuses what cannot be kept, and says which layer, why, and what to do."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from kavach_ipy.errors import CannotEnforce
from kavach_ipy.launch.host import Entry, Host, survey
from kavach_ipy.launch.libraries import Unforkable
from kavach_ipy.launch.places import Bind, Hide, Link, Overlay, Scratch, View
from kavach_ipy.launch.plan import Plan, make_plan
from kavach_ipy.linux.identity import IdRange
from kavach_ipy.policy import Policy

ALL_IDS = (IdRange(0, 0, 4294967295),)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Facts of a machine that grants everything, for an ordinary user in a project of theirs."""
    monkeypatch.chdir(tmp_path)
    return dataclasses.replace(
        survey(Policy()),
        is_inside=False,
        uid=1000,
        gid=1000,
        groups=(1000,),
        uid_ranges=ALL_IDS,
        gid_ranges=ALL_IDS,
        home=b"/home/someone",
        cwd=_entry(b"/home/someone/project"),
        cwd_dot_entries=(),
        landlock_abi=7,
        seccomp_missing=None,
        max_user_namespaces=1000,
        userns_clone_allowed=True,
        init=b"/usr/bin/cat",
        lacking_rights=(),
        # Other tests of this process may have used polars.
        unforkable=(),
    )


def _entry(
    path: bytes,
    *,
    mode: int = 0o755,
    owner: int = 1000,
    special: bool = False,
    has_mounts: bool = False,
) -> Entry:
    return Entry(
        path,
        path,
        directory=not special,
        special=special,
        has_mounts=has_mounts,
        mode=mode,
        owner=owner,
    )


def _place(plan: Plan, path: bytes) -> object:
    return next((place for place in plan.places.order if place.path == path), None)


def test_a_machine_that_grants_everything_gets_a_plan(host: Host) -> None:
    """The default policy on a good machine is not refused."""
    plan = make_plan(Policy(), host)
    assert plan.identity.uid == 1000
    assert len(plan.seccomp_program) % 8 == 0 < len(plan.seccomp_program)


@pytest.mark.parametrize(
    ("change", "layer", "words"),
    [
        ({"max_user_namespaces": 0}, "user namespace", "user.max_user_namespaces=10000"),
        ({"userns_clone_allowed": False}, "user namespace", "kernel.unprivileged_userns_clone=1"),
        ({"seccomp_missing": "no libseccomp.so.2"}, "seccomp", "libseccomp.so.2"),
        ({"landlock_abi": 0}, "Landlock", "CONFIG_SECURITY_LANDLOCK"),
        ({"init": None}, "PID namespace", "coreutils"),
        ({"is_inside": True}, "a sandbox inside a sandbox", "in the notebook instead"),
        (
            {"uid": 0, "uid_ranges": (IdRange(0, 0, 1),)},
            "an unprivileged identity",
            "ordinary user",
        ),
    ],
)
def test_a_missing_layer_is_refused_with_its_remedy(
    host: Host, change: dict[str, object], layer: str, words: str
) -> None:
    """Each thing a machine can lack is named, and nothing is downgraded."""
    with pytest.raises(CannotEnforce) as caught:
        make_plan(Policy(), dataclasses.replace(host, **change))  # type: ignore[arg-type]
    assert caught.value.layer == layer
    assert words in str(caught.value)
    assert "did not run" in str(caught.value)


def test_library_that_a_fork_would_break_is_refused_with_a_way_out(host: Host) -> None:
    """Such a cell would wait for ever, so it does not begin."""
    found = (Unforkable("polars", "a thread of its pool is there: polars-0"),)
    with pytest.raises(CannotEnforce) as caught:
        make_plan(Policy(), dataclasses.replace(host, unforkable=found))
    assert "polars (a thread of its pool is there: polars-0)" in caught.value.cause
    assert "--clean -i NAMES" in caught.value.remedy
    assert "--session NAME" in caught.value.remedy


HOST_NETWORK = Policy(clean=True, network="host")


def test_the_hosts_network_is_refused_where_no_port_can_be_closed(host: Host) -> None:
    """What notebooks print is sent to whoever connects, so ABI 3 gets no network and says why."""
    old = dataclasses.replace(host, landlock_abi=3)
    with pytest.raises(CannotEnforce, match=r"--net.*ABI is 3.*notebooks print.*Linux 6\.7"):
        make_plan(HOST_NETWORK, old)
    assert make_plan(Policy(clean=True), old).landlock_abi == 3
    assert make_plan(HOST_NETWORK, dataclasses.replace(host, landlock_abi=4)).shares_network


def test_plan_of_the_hosts_network_has_its_closed_ports(host: Host) -> None:
    """Any other plan has a network of its own."""
    found = dataclasses.replace(host, closed_ports=((1024, 2048), (5000, 5000)))
    plan = make_plan(HOST_NETWORK, found)
    assert plan.shares_network
    assert not plan.loopback
    assert plan.closed_ports == ((1024, 2048), (5000, 5000))
    for network in ("none", "loopback"):
        other = make_plan(Policy(clean=True, network=network), host)
        assert not other.shares_network
        assert other.seccomp_program != plan.seccomp_program


def test_resolvers_file_behind_a_link_is_shown_and_nothing_beside_it(host: Host) -> None:
    """systemd-resolved keeps it below /run, next to its sockets."""
    real = b"/run/systemd/resolve/stub-resolv.conf"
    entry = Entry(
        b"/etc/resolv.conf", real, directory=False, special=False, has_mounts=False, mode=0o644,
        owner=0, links=((b"/etc/resolv.conf", real),),
    )  # fmt: skip
    plan = make_plan(HOST_NETWORK, dataclasses.replace(host, resolver=(entry,)))
    assert _place(plan, real) == Bind(real, directory=False)
    below = [place.path for place in plan.places.order if place.path.startswith(b"/run")]
    assert below == [real]
    assert survey(Policy()).resolver == ()


def test_trust_is_refused_unless_somebody_allowed_it(host: Host) -> None:
    """A cell that may run code in the notebook runs only where an administrator says so."""
    with pytest.raises(CannotEnforce, match="allow_trust"):
        make_plan(Policy(trust=True), host)
    assert make_plan(Policy(trust=True), host, may_trust=True).policy.trust
    assert not make_plan(Policy(), host, may_trust=True).policy.trust


def test_trusted_displays_are_refused_unless_somebody_allowed_them(host: Host) -> None:
    """The setting that allows values does not allow displays."""
    with pytest.raises(CannotEnforce, match="allow_trust_display"):
        make_plan(Policy(trust_display=True), host, may_trust=True)
    assert make_plan(Policy(trust_display=True), host, may_trust_display=True).policy.trust_display


def test_a_kernel_of_host_root_becomes_an_id_that_nobody_uses(host: Host) -> None:
    """Root is mapped to an unprivileged id, never to itself."""
    plan = make_plan(Policy(), dataclasses.replace(host, uid=0, gid=0))
    assert plan.identity.is_other
    assert plan.identity.uid not in (0, 65534)


def test_root_that_has_dropped_its_rights_is_refused(host: Host) -> None:
    """It could make a cell no other id; an ordinary user needs none of them."""
    facts = dataclasses.replace(host, lacking_rights=("CAP_SETUID",))
    assert make_plan(Policy(), facts).identity.uid == 1000
    with pytest.raises(CannotEnforce, match="without CAP_SETUID, and cannot"):
        make_plan(Policy(), dataclasses.replace(facts, uid=0, gid=0))


def test_a_container_of_few_ids_gives_its_highest(host: Host) -> None:
    """Where the preferred id is not mapped, another that is not root's is taken."""
    few = (IdRange(0, 100000, 1000),)
    facts = dataclasses.replace(host, uid=0, gid=0, uid_ranges=few, gid_ranges=few)
    assert make_plan(Policy(), facts).identity.uid == 999


def test_the_working_directory_is_an_overlay(host: Host) -> None:
    """A project is seen, and what is written there is thrown away."""
    assert isinstance(_place(make_plan(Policy(), host), b"/home/someone/project"), Overlay)


def test_a_home_as_working_directory_keeps_its_dot_entries_hidden(host: Host) -> None:
    """Credentials live in dot-entries of the home, so those do not exist inside."""
    facts = dataclasses.replace(
        host, cwd=_entry(b"/home/someone"), cwd_dot_entries=(b".netrc", b".ssh")
    )
    place = _place(make_plan(Policy(), facts), b"/home/someone")
    assert place == Overlay(b"/home/someone", (b".netrc", b".ssh"))


@pytest.mark.parametrize("path", [b"/", b"/home", b"/tmp", b"/run/user", b"/proc/self"])
def test_a_working_directory_that_holds_more_than_a_project_is_not_shown(
    host: Host, path: bytes
) -> None:
    """Other homes, sockets and everybody's temporary files stay outside."""
    plan = make_plan(Policy(), dataclasses.replace(host, cwd=_entry(path)))
    assert not isinstance(_place(plan, path), Overlay | Bind)
    assert "not shown" in plan.places.cwd_note


def test_a_deleted_working_directory_starts_the_cell_in_an_empty_tmp(host: Host) -> None:
    """A directory that is gone is no reason to fail."""
    plan = make_plan(Policy(), dataclasses.replace(host, cwd=None))
    assert plan.places.cwd == b"/tmp"


def test_a_working_directory_with_mounts_inside_is_not_shown(host: Host) -> None:
    """What overlayfs cannot cover would show sockets and dot-entries; the report says so."""
    cwd = _entry(b"/home/someone/project", has_mounts=True)
    plan = make_plan(Policy(), dataclasses.replace(host, cwd=cwd))
    assert isinstance(_place(plan, b"/home/someone/project"), Scratch)
    assert "--ro" in plan.places.cwd_note


def test_a_read_only_directory_is_an_overlay_and_one_with_mounts_a_bind(host: Host) -> None:
    """An overlay keeps sockets and locks of the host out; with mounts inside it cannot be had."""
    policy = Policy(read_only=["/data", "/mnt/data"])
    named = (("/data", _entry(b"/data")), ("/mnt/data", _entry(b"/mnt/data", has_mounts=True)))
    plan = make_plan(policy, dataclasses.replace(host, named=named))
    assert _place(plan, b"/data") == View(b"/data")
    assert _place(plan, b"/mnt/data") == Bind(b"/mnt/data", directory=True)


def test_a_socket_cannot_be_shown(host: Host) -> None:
    """--ro of a socket would be a way out, so it is refused by name."""
    policy = Policy(read_only=["/srv/socket"])
    named = (("/srv/socket", _entry(b"/srv/socket", special=True)),)
    with pytest.raises(CannotEnforce, match="socket"):
        make_plan(policy, dataclasses.replace(host, named=named))


def test_what_is_hidden_through_a_link_is_hidden_where_it_is(host: Host, tmp_path: Path) -> None:
    """--hide resolves links, or it would cover a name and show the file."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "secret").write_text("s")
    (tmp_path / "link").symlink_to("real")
    policy = Policy(read_only=[str(tmp_path)], hidden=[str(tmp_path / "link" / "secret")])
    found = survey(policy)
    plan = make_plan(policy, dataclasses.replace(host, named=found.named, hidden=found.hidden))
    assert plan.places.order[-1] == Hide(os.fsencode((tmp_path / "real" / "secret").resolve()))


def test_what_is_the_sandboxs_own_cannot_be_hidden(host: Host) -> None:
    """A link to /proc or /dev is refused: nothing would cover it, and the cell needs it."""
    entry = dataclasses.replace(_entry(b"/srv/devices"), real=b"/dev")
    with pytest.raises(CannotEnforce, match="leads to /dev"):
        make_plan(Policy(), dataclasses.replace(host, hidden=(entry,)))


@pytest.mark.parametrize("hidden", [b"/home", b"/home/someone", b"/home/someone/project"])
def test_what_lies_below_a_hidden_path_is_hidden(host: Host, hidden: bytes) -> None:
    """A hidden path need not be shown itself: the working directory below it is gone as well."""
    facts = dataclasses.replace(host, hidden=(_entry(hidden),))
    places = make_plan(Policy(), facts).places
    assert _place(make_plan(Policy(), host), b"/home/someone/project") is not None
    assert [place for place in places.order if isinstance(place, Overlay)] == []
    assert (places.cwd, "is hidden" in places.cwd_note) == (b"/tmp", True)


def test_everything_at_once_is_refused(host: Host) -> None:
    """--ro / would show every home and every socket; it is refused before anything is mounted."""
    policy = Policy(read_only=["/"])
    facts = dataclasses.replace(host, named=(("/", _entry(b"/")),))
    with pytest.raises(CannotEnforce, match="every home"):
        make_plan(policy, facts)


def test_what_is_not_there_inside_needs_no_hiding(host: Host) -> None:
    """A path below a home that is not shown cannot be covered, and need not be."""
    hidden = (_entry(b"/home/someone/.ssh"),)
    plan = make_plan(Policy(), dataclasses.replace(host, hidden=hidden))
    assert not any(isinstance(place, Hide) for place in plan.places.order)


def test_a_search_path_entry_that_would_show_the_home_is_left_out(host: Host) -> None:
    """sys.path may name the home itself; the home is not a package."""
    facts = dataclasses.replace(host, python=(*host.python, _entry(b"/home/someone")))
    assert isinstance(_place(make_plan(Policy(), facts), b"/home/someone"), Scratch)


def test_parents_come_before_children_and_hidden_paths_last(host: Host) -> None:
    """A scratch /tmp must not cover an environment below it; nothing uncovers what is hidden."""
    facts = dataclasses.replace(host, python=(*host.python, _entry(b"/tmp/env")))
    facts = dataclasses.replace(facts, hidden=(_entry(b"/usr/share/doc"),))
    order = make_plan(Policy(hidden=["/usr/share/doc"]), facts).places.order
    paths = [place.path for place in order]
    assert paths.index(b"/tmp") < paths.index(b"/tmp/env")
    assert order[-1] == Hide(b"/usr/share/doc")


def test_an_environment_inside_the_working_directory_is_read_only(host: Host) -> None:
    """Packages run by themselves later, so a virtual environment in the project stays as it is."""
    venv = b"/home/someone/project/.venv"
    facts = dataclasses.replace(host, python=(*host.python, _entry(venv)))
    assert _place(make_plan(Policy(), facts), venv) == View(venv)


def test_installed_packages_below_a_view_are_read_without_an_overlay(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout on sys.path is seen through an overlay, the environment inside it directly."""
    checkout, venv, file = b"/srv/code", b"/srv/code/.venv", b"/srv/code/.venv/lib/a.zip"
    monkeypatch.setattr("sys.prefix", venv.decode())
    entries = (_entry(checkout), _entry(venv), dataclasses.replace(_entry(file), directory=False))
    plan = make_plan(Policy(), dataclasses.replace(host, python=entries))
    assert _place(plan, checkout) == View(checkout)
    assert _place(plan, venv) == Bind(venv, directory=True)
    assert _place(plan, file) is None


def test_a_writable_path_is_bound_writable_and_its_hooks_are_not(
    host: Host, tmp_path: Path
) -> None:
    """--rw lets a cell write, but not into what runs by itself later."""
    (tmp_path / ".git").mkdir()
    policy = Policy(writable=[str(tmp_path)])
    found = survey(policy)
    facts = dataclasses.replace(host, named=found.named, autostart=found.autostart)
    plan = make_plan(policy, facts)
    real = os.fsencode(tmp_path.resolve())
    assert _place(plan, real) == Bind(real, directory=True, writable=True)
    assert _place(plan, real + b"/.git") == Bind(real + b"/.git", directory=True)


def test_a_writable_home_is_refused(host: Host) -> None:
    """A home holds start-up files; a directory below it can be named instead."""
    policy = Policy(writable=["/home/someone"])
    facts = dataclasses.replace(host, named=(("/home/someone", _entry(b"/home/someone")),))
    with pytest.raises(CannotEnforce, match="directory below"):
        make_plan(policy, facts)


def test_a_path_that_is_not_there_is_refused_by_its_name(host: Host) -> None:
    """A misspelt --ro is told before anything runs."""
    policy = Policy(read_only=["/no/such/place"])
    facts = dataclasses.replace(host, named=(("/no/such/place", None),))
    with pytest.raises(CannotEnforce, match="/no/such/place"):
        make_plan(policy, facts)


def test_a_root_kernel_says_what_a_writable_path_needs(host: Host) -> None:
    """The cell of a root kernel is another id; a path it may not write to is refused, not faked."""
    policy = Policy(writable=["/srv/data"])
    entry = _entry(b"/srv/data", mode=0o755, owner=0)
    facts = dataclasses.replace(host, uid=0, gid=0, named=(("/srv/data", entry),))
    with pytest.raises(CannotEnforce, match="chown"):
        make_plan(policy, facts)


def test_a_symbolic_link_on_the_way_is_made_again(tmp_path: Path, host: Host) -> None:
    """A path that goes through a link works inside under the name the user knows."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    policy = Policy(read_only=[str(tmp_path / "link")])
    found = survey(policy)
    plan = make_plan(policy, dataclasses.replace(host, named=found.named))
    link = os.fsencode(tmp_path.resolve() / "link")
    assert _place(plan, link) == Link(link, os.fsencode(tmp_path.resolve() / "real"))


def test_only_listed_environment_variables_survive(host: Host) -> None:
    """A token is not in the plan, a language is."""
    facts = dataclasses.replace(
        host, environment=(("JUPYTERHUB_API_TOKEN", "t"), ("LANG", "C.UTF-8"), ("HOME", "/x"))
    )
    assert dict(make_plan(Policy(), facts).environment) == {
        "LANG": "C.UTF-8",
        "HOME": "/home/someone",
    }
