"""Policy files as the settings and the options of a cell meet them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from traitlets import TraitError

from kavach_ipy.errors import FileRefused
from kavach_ipy.front import floor
from kavach_ipy.front.arguments import policy_of, read_cell_line
from kavach_ipy.front.settings import Kavach
from kavach_ipy.front.trusting import may_trust, may_trust_display
from kavach_ipy.policy import Policy


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the administrator of this machine would put a policy file; there is none yet."""
    path = tmp_path / "machine.toml"
    monkeypatch.setattr(floor, "SYSTEM_FILE", str(path))
    # Only root could write what only root may have written.
    monkeypatch.setattr(floor, "ROOT", os.geteuid())
    return path


@pytest.mark.usefixtures("machine")
def test_without_a_policy_file_the_settings_decide() -> None:
    """A machine that has none is as it was."""
    assert Kavach().floor().files == ()
    assert Kavach(memory="64G").to_policy() == Policy(memory="64G")


def test_settings_are_tightened_to_the_file_of_the_machine(machine: Path) -> None:
    """What a user configures is held, profiles of their own included; nothing is refused."""
    _written(machine, 'memory = "1G"\n')
    settings = Kavach(memory="64G", profiles={"large": {"memory": "32G"}})
    assert settings.to_policy().memory == 1 << 30
    settings.profile = "large"
    assert settings.to_policy().memory == 1 << 30
    assert policy_of(read_cell_line("--profile large"), settings).memory == 1 << 30


def test_option_that_asks_for_more_is_refused_with_file_and_line(machine: Path) -> None:
    """One line, naming the option as it was written, the file and the line."""
    _written(machine, '# first\nmemory = "1G"\n')
    with pytest.raises(UsageError) as caught:
        policy_of(read_cell_line("--memory 2G"), Kavach())
    assert str(caught.value).startswith("--memory: '2GiB' is not allowed; ")
    assert f"{machine}, line 2, says" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert policy_of(read_cell_line("--memory 512M"), Kavach()).memory == 512 << 20


def test_no_setting_leaves_out_the_file_of_the_machine(machine: Path, tmp_path: Path) -> None:
    """``policy_file`` adds one, and takes none away."""
    _written(machine, 'memory = "1G"\n')
    mine = _written(tmp_path / "mine.toml", 'memory = "2G"\npids = 9\n')
    for named in (str(mine), ""):
        assert Kavach(policy_file=named).to_policy().memory == 1 << 30
    assert Kavach(policy_file=str(mine)).to_policy().pids == 9


def test_change_of_the_file_holds_for_the_next_cell(machine: Path) -> None:
    """A notebook that runs for weeks obeys what the administrator writes today."""
    settings = Kavach()
    assert settings.to_policy().pids == 512
    _written(machine, "pids = 9\n")
    assert settings.to_policy().pids == 9
    _written(machine, "pids = 8\n")
    assert settings.to_policy().pids == 8


@pytest.mark.usefixtures("machine")
def test_file_that_is_named_and_missing_runs_nothing(tmp_path: Path) -> None:
    """A floor that is not there is not taken for none."""
    settings = Kavach(policy_file=str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="there is no such file"):
        policy_of(read_cell_line(""), settings)
    with pytest.raises(FileRefused):
        settings.to_policy()


@pytest.mark.parametrize("fault", ["mode", "nonsense", "link"])
def test_file_of_the_machine_that_cannot_be_relied_on_runs_nothing(
    machine: Path, tmp_path: Path, fault: str
) -> None:
    """Writable by others, without sense, a symbolic link: no cell, and one line that says why."""
    match fault:
        case "mode":
            _written(machine, "pids = 9\n").chmod(0o666)
        case "nonsense":
            _written(machine, "pids = 0\n")
        case _:
            machine.symlink_to(_written(tmp_path / "real.toml", "pids = 9\n"))
    with pytest.raises(UsageError, match=str(machine)) as caught:
        policy_of(read_cell_line(""), Kavach())
    assert "\n" not in str(caught.value)


def test_only_root_may_have_written_the_file_of_the_machine() -> None:
    """The real constants: nobody's own file stands in for it."""
    assert floor.SYSTEM_FILE == "/etc/kavach/policy.toml"
    assert floor.ROOT == 0


def test_file_of_the_environment_holds_as_well(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--sys-prefix`` writes one, and its owner is the environment's."""
    place = tmp_path / "etc" / "kavach"
    place.mkdir(parents=True)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    _written(place / "policy.toml", "pids = 9\n")
    assert Kavach().to_policy().pids == 9
    _written(machine, "pids = 8\n")
    assert Kavach().to_policy().pids == 8


@pytest.mark.parametrize("path", ["policy.toml", "~/policy.toml", "/etc/../etc/x"])
def test_policy_file_is_an_absolute_path(path: str) -> None:
    """Relative to what would be a guess."""
    with pytest.raises(TraitError, match=r"c\.Kavach\.policy_file: .*absolute path"):
        Kavach(policy_file=path)


def test_trust_needs_the_setting_and_every_policy_file(machine: Path) -> None:
    """A file that does not mention it forbids it; one that allows it leaves it to the setting."""
    settings = Kavach(allow_trust=True, allow_trust_display=True)
    assert may_trust(settings)
    assert may_trust_display(settings)
    _written(machine, "")
    assert not may_trust(settings)
    assert not may_trust_display(settings)
    with pytest.raises(UsageError, match="does not mention allow_trust"):
        policy_of(read_cell_line("--trust"), settings)
    _written(machine, "allow_trust = true\nallow_trust_display = true")
    assert may_trust(settings)
    assert may_trust_display(settings)
    assert not may_trust(Kavach())
    assert not may_trust_display(Kavach())


def test_list_that_a_floor_holds_is_not_forgotten(machine: Path) -> None:
    """``--hide none`` starts the list of the settings afresh, and not that of the file."""
    _written(machine, 'hidden = ["/srv/keys"]')
    with pytest.raises(UsageError, match=r"--hide: .*machine\.toml, line 1"):
        policy_of(read_cell_line("--hide none"), Kavach())
    assert policy_of(read_cell_line("--hide /a"), Kavach()).hidden == ("/a", "/srv/keys")
