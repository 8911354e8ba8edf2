"""What every test may ask for: capabilities of this machine.

Guarantees: a test that needs what the machine refuses is skipped with the probe's own reason, and
the reasons are counted at the end; a capability named in KAVACH_TEST_REQUIRE is never skipped, its
absence is a failure.
Assumes: `kavach_ipy.linux.probe` tells the truth, because it does each step in a throw-away child.
"""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable

import pytest

__all__ = ["needs"]

# The names that tests use, and the findings of the probe that stand behind each.
CAPABILITIES: dict[str, tuple[str, ...]] = {
    "userns": ("userns", "mounts", "pidns", "netns", "otherns", "capabilities"),
    "overlay": ("overlay",),
    "landlock": ("landlock",),
    "seccomp": ("seccomp",),
}

_skipped: Counter[str] = Counter()


@functools.cache
def _refusals() -> dict[str, str]:
    """The layers that this machine refuses, each with the probe's cause and remedy."""
    asked = [layer for layers in CAPABILITIES.values() for layer in layers]
    if sys.platform != "linux":
        return dict.fromkeys(asked, "this is not Linux.")
    from kavach_ipy.linux.probe import run_probe

    findings = {finding.layer: finding for finding in run_probe()}
    # A probe that gave up at the first layer has no finding for the others: they are refused, too.
    refusals = {layer: "not tried." for layer in asked if layer not in findings}
    assert not refusals or not all(finding.granted for finding in findings.values()), (
        f"the probe has no finding named {sorted(refusals)}, only {sorted(findings)}"
    )
    for layer, finding in findings.items():
        if not finding.granted:
            refusals[layer] = f"{finding.cause} {finding.remedy}"
    return refusals


def _required() -> frozenset[str]:
    names = os.environ.get("KAVACH_TEST_REQUIRE", "").replace(",", " ").split()
    unknown = sorted(set(names) - CAPABILITIES.keys())
    if unknown:
        allowed = ", ".join(sorted(CAPABILITIES))
        pytest.exit(f"KAVACH_TEST_REQUIRE names {unknown}; it knows {allowed}", returncode=4)
    return frozenset(names)


def _ask_for(*capabilities: str) -> None:
    """Skip the running test, or fail it where required, when a capability is refused."""
    for capability in capabilities:
        if capability not in CAPABILITIES:
            allowed = ", ".join(sorted(CAPABILITIES))
            pytest.fail(f"needs({capability!r}) is no capability; there are {allowed}")
        for layer in CAPABILITIES[capability]:
            reason = _refusals().get(layer)
            if reason is None:
                continue
            if capability in _required():
                pytest.fail(f"KAVACH_TEST_REQUIRE asks for {capability}, but {layer}: {reason}")
            _skipped[f"{layer}: {reason}"] += 1
            pytest.skip(f"needs {capability}: {layer}: {reason}")


@pytest.fixture
def needs() -> Callable[..., None]:
    """Ask for capabilities from inside a test; the mark of the same name asks before it."""
    return _ask_for


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a misspelt KAVACH_TEST_REQUIRE before the first test runs."""
    _required()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour ``@pytest.mark.needs("userns", …)`` before any fixture is made."""
    for mark in item.iter_markers("needs"):
        _ask_for(*mark.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what this machine did not let us prove: a skip is never silent."""
    for reason, count in sorted(_skipped.items()):
        terminalreporter.write_line(f"not proven here ({count} tests): {reason}", yellow=True)
