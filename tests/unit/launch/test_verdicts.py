"""Every verdict of a limit says what ran out, how much was used, and what raises it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from kavach_ipy.errors import CellStopped
from kavach_ipy.launch import verdicts
from kavach_ipy.policy import OPTIONS, Policy

POLICY = Policy(timeout=30, cpu=10, memory="512M", disk="64M", output="8M")
OF_LIMITS: dict[str, tuple[str, Callable[[Policy], CellStopped], str]] = {
    "out_of_time": ("timeout", lambda policy: verdicts.out_of_time(policy, 30.01), "30.0 s"),
    "out_of_cpu": ("cpu", lambda policy: verdicts.out_of_cpu(policy, 10.5), "10.5 s"),
    "out_of_memory": (
        "memory", lambda policy: verdicts.out_of_memory(policy, 600 << 20), "600MiB"
    ),
    "out_of_file_size": ("disk", verdicts.out_of_file_size, "more than 512MiB"),
    "out_of_output": ("output", verdicts.out_of_output, "more than 8MiB"),
    "out_of_messages": (
        "messages", lambda policy: verdicts.out_of_messages(policy, 10_001), "10001"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_LIMITS)
def test_verdict_names_limit_amount_and_option(name: str) -> None:
    """The option is one that exists; what has none names its setting."""
    limit, verdict, used = OF_LIMITS[name]
    found = verdict(POLICY)
    assert found.limit == limit
    assert used in found.used
    assert found.allowed
    assert found.remedy
    option = f"--{limit}"
    if any(option in known.flags for known in OPTIONS):
        assert found.remedy == f"Raise it with {option}."
    else:
        assert f"c.Kavach.{limit}" in found.remedy


def test_no_verdict_of_a_limit_is_forgotten() -> None:
    """A new one gets a row above."""
    assert {name for name in verdicts.__all__ if name.startswith("out_of_")} == OF_LIMITS.keys()


@pytest.mark.parametrize(
    ("number", "limit", "option"),
    [
        (signal.SIGXFSZ, "disk", "--disk"),
        (signal.SIGXCPU, "cpu", "--cpu"),
        (signal.SIGBUS, "signal", "--disk"),
    ],
    ids=str,
)
def test_signal_of_a_limit_is_told_as_the_limit(number: int, limit: str, option: str) -> None:
    """Nobody should have to know which signal stands for which amount."""
    found = verdicts.stopped_by_status(POLICY, number)
    assert found.limit == limit
    assert option in found.remedy


def test_signal_of_no_limit_is_told_as_itself() -> None:
    """A crash is no matter of amounts, and no option helps."""
    found = verdicts.stopped_by_status(POLICY, signal.SIGSEGV)
    assert (found.limit, found.allowed) == ("signal", "")
    assert found.used.startswith("SIGSEGV")
    assert "--" not in found.remedy
