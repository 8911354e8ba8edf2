"""Any policy: planned or refused in words; and where it is planned, kept.

Guarantees: the oracle of what was kept is a model of its own, a few lines long, and the files of
the host after the cell.
Assumes: `folder` can be walked to by the id that a cell of host root becomes.
"""

from __future__ import annotations

import dataclasses
import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from kavach_ipy.errors import CannotEnforce, CellStopped, PolicyError
from kavach_ipy.gate.outcome import Outcome
from kavach_ipy.launch.host import survey
from kavach_ipy.launch.plan import make_plan
from kavach_ipy.policy import Network, Policy
from kavach_ipy.sandbox import Sandbox
from tests.soak.census import leftovers
from tests.unit.policy.strategies import lies_in, policies

__all__ = ["random_policies"]

_FOLDERS = (
    "p",
    "p/q",
    "p/q/r",
    "pq",
    "two words",
    "line\nbreak",
    "\udcff",
    "project",
    "project/in",
)
_CANARY = "canary"
_WRITTEN = "written"
_SYSTEM = ("/etc", "/usr", "/tmp", "/proc", "/dev", "/sys", "/var", "/run", "/", "/dev/shm")
_LAYERS = {
    "identity", "namespaces", "network", "files", "working directory", "descriptors", "limits",
    "capabilities", "system calls",
}  # fmt: skip

_ATTACK = """
found = {}
for path in paths:
    try:
        with open(path) as file:
            found[path] = file.read()
    except OSError:
        continue
    try:
        with open(path, "w") as file:
            file.write("written")
    except OSError:
        pass
found
"""


def random_policies(
    planned: int, applied: int, number: int, folder: Path, say: Callable[[str], None]
) -> list[str]:
    """Plan `planned` policies and apply `applied` of those that are granted; what did not hold.

    Args:
        planned: how many are drawn.
        applied: how many are applied at most.
        number: hypothesis's seed.
        folder: for the files that the policies name.
        say: takes lines of progress.
    """
    wrong: list[str] = []
    files = _make(folder)
    ends: Counter[str] = Counter()
    places = st.sampled_from([*(str(folder / name) for name in _names()), *_SYSTEM])

    def plan(policy: Policy) -> None:
        ends[_planned(policy, wrong)] += 1

    def apply(policy: Policy) -> None:
        if sum(ends[end] for end in ("kept", "stopped")) < applied:
            ends[_applied(policy, folder, files, wrong)] += 1

    with chdir(folder / "project"):
        _for_each(policies(places=places), planned, number, plan)
        say(f"  planned: {', '.join(f'{end} {count}' for end, count in ends.most_common())}")
        if not {"planned", "CannotEnforce"} <= ends.keys():
            wrong.append(f"all policies have one answer: {ends}")
        ends.clear()
        # Twice as many as are wanted are refused, because of what they name.
        _for_each(
            policies(sessions=(None,), places=places).map(_usable), 6 * applied, number, apply
        )
        say(f"  applied: {', '.join(f'{end} {count}' for end, count in ends.most_common())}")
        if ends["kept"] < applied // 2:
            wrong.append(f"too few were applied to their end: {ends}")
    return wrong


def _for_each(
    drawn: st.SearchStrategy[Policy], examples: int, number: int, act: Callable[[Policy], None]
) -> None:
    """Draw; a failure is noted, not shrunk, because each of these has a machine's weather in it."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def run(policy: Policy) -> None:
        act(policy)

    run()


def _planned(policy: Policy, wrong: list[str]) -> str:
    try:
        make_plan(policy, survey(policy))
    except (CannotEnforce, PolicyError) as error:
        return type(error).__name__
    except Exception as error:
        wrong.append(f"planning {policy} raised {error!r}")
        return "raised"
    return "planned"


def _applied(policy: Policy, folder: Path, files: dict[str, str], wrong: list[str]) -> str:
    try:
        outcome = Sandbox(policy).run(_ATTACK, inputs={"paths": tuple(files.values())})
    except (CannotEnforce, PolicyError):
        return "refused"
    except Exception as error:
        wrong.append(f"{policy} raised {error!r}")
        return "raised"
    layers = getattr(outcome.report, "layers", ())
    verified = {layer.name for layer in layers if layer.state == "verified"}
    if missing := _LAYERS - verified:
        wrong.append(f"{policy}: {sorted(missing)} not verified")
    if left := leftovers():
        wrong.append(f"{policy} left {left}")
    for real, path in files.items():
        wrong += [
            f"{policy}: {path!r} {text}" for text in _judged(real, path, outcome, policy, folder)
        ]
    if outcome.ok:
        return "kept"
    if isinstance(outcome.failure, CellStopped):
        return "stopped"
    wrong.append(f"{policy}: {outcome.failure!r}")
    return "failed"


def _judged(real: str, path: str, outcome: Outcome, policy: Policy, folder: Path) -> Iterator[str]:
    """What is wrong with one file, on the host and in what the cell saw of it."""
    rule = _rule(real, policy, folder)
    written = Path(real).read_text(encoding="ascii") == _WRITTEN
    if written:
        Path(real).write_text(_CANARY, encoding="ascii")
    if written and rule != "rw":
        yield f"was written, and is {rule}"
    if not outcome.ok:
        return
    assert isinstance(outcome.result, dict)
    # A hidden file reads as an empty one: /dev/null covers it.
    if (outcome.result.get(path) == _CANARY) != (rule != "gone"):
        yield f"is {rule}, and seen: {outcome.result.get(path)}"
    if rule == "rw" and not written:
        yield "was not written"


def _rule(path: str, policy: Policy, folder: Path) -> str:
    """What a file must be inside: ``gone``, ``ro``, ``rw``, or ``cwd``, written to in vain."""
    real = os.path.realpath
    if any(lies_in(path, real(top)) for top in policy.hidden):
        return "gone"
    rules = {str(folder / "project"): "cwd"}
    rules |= {real(top): "ro" for top in policy.read_only}
    rules |= {real(top): "rw" for top in policy.writable}
    covering = [top for top in rules if lies_in(path, top)]
    return rules[max(covering, key=len)] if covering else "gone"


def _usable(policy: Policy) -> Policy:
    """The same policy for a fork that has no outputs, and with room for the cell's report."""
    draw = random.Random(policy.memory)
    roomy = {
        "timeout": 20.0,
        "cpu": max(policy.cpu, 10.0),
        "memory": max(policy.memory, 64 << 20),
        "output": max(policy.output, 1 << 20),
        "outputs": None,
        "inputs": None,
    }
    tight = {"timeout": 20.0 if policy.timeout is None else min(policy.timeout, 20.0)}
    network = policy.network if policy.network is not Network.HOST else Network.NONE
    changes = roomy if draw.random() < 0.8 else {**roomy, **tight}
    own = {"session": None, "clean": False, "trust": False, "network": network}
    return dataclasses.replace(policy, **{**changes, **own})  # type: ignore[arg-type]


def _names() -> Iterator[str]:
    """What policies name below the folder: directories, files, links, and what is no file."""
    yield from _FOLDERS
    yield from (f"{name}/file" for name in _FOLDERS[:3])
    yield from ("link", "link/r", "link to file", "socket", "fifo", "dangling", "nothing")


def _make(folder: Path) -> dict[str, str]:
    """Make all that; the real path of each canary, and a name that leads to it."""
    files = {}
    folder.chmod(0o755)
    for name in _FOLDERS:
        place = folder / name
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
        file = place / "file"
        file.write_text(_CANARY, encoding="ascii")
        file.chmod(0o666)
        files[str(file)] = str(file)
    (folder / "link").symlink_to("p/q")
    (folder / "link to file").symlink_to(folder / "pq" / "file")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    return files
