"""What every test may ask for: capabilities of this machine.

Guarantees: a test that needs what the machine refuses is skipped with the probe's own reason, and
the reasons are counted at the end; a capability named in KAVACH_TEST_REQUIRE is never skipped, its
absence is a failure. So is that of a package of the extra "libraries", where that is named.
Assumes: `kavach_ipy.linux.probe` tells the truth, because it does each step in a throw-away child.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
from collections import Counter
from collections.abc import Callable

import hypothesis
import pytest

__all__ = ["needs"]

# Layers that a test may ask for alone; "userns" means every other layer that the probe tries.
_OWN = frozenset({"overlay", "landlock", "seccomp"})
CAPABILITIES = ("landlock", "overlay", "seccomp", "userns")
# What KAVACH_TEST_REQUIRE may name besides: that the packages of this extra are installed.
_EXTRA = "libraries"

# Speed is measured in benchmarks/, as a ratio: an example that a busy machine made slow is no
# failure.
hypothesis.settings.register_profile("kavach", deadline=None)
hypothesis.settings.load_profile("kavach")

_skipped: Counter[str] = Counter()


@functools.cache
def _refusals() -> dict[str, list[str]]:
    """Why this machine refuses each capability, in the probe's words: cause and remedy."""
    refusals: dict[str, list[str]] = {capability: [] for capability in CAPABILITIES}
    if sys.platform != "linux":
        return {capability: ["this is not Linux"] for capability in CAPABILITIES}
    from kavach_ipy.linux.probe import run_probe

    findings = run_probe()
    for finding in findings:
        if not finding.granted:
            capability = finding.layer if finding.layer in _OWN else "userns"
            refusals[capability].append(f"{finding.layer}: {finding.cause} {finding.remedy}")
    untried = _OWN - {finding.layer for finding in findings}
    # A probe that stops at the first layer has tried nothing else; any other gap is a misspelling.
    assert not untried or refusals["userns"], f"the probe knows no layer named {sorted(untried)}"
    for capability in untried:
        refusals[capability].append(f"{capability}: not tried after {refusals['userns'][0]}")
    return refusals


def pytest_report_header() -> list[str]:
    """Name what these tests leave out, and how it is run."""
    return [
        "left to make hub: tests/hub, a real JupyterHub, which takes root, npm and two minutes",
        "left to make browser: tests/browser, a real JupyterLab, which takes minutes",
    ]


def _required() -> frozenset[str]:
    names = os.environ.get("KAVACH_TEST_REQUIRE", "").replace(",", " ").split()
    known = (*CAPABILITIES, _EXTRA)
    unknown = sorted(set(names) - set(known))
    if unknown:
        allowed = ", ".join(known)
        pytest.exit(f"KAVACH_TEST_REQUIRE names {unknown}; it knows {allowed}", returncode=4)
    return frozenset(names)


def _ask_for(*capabilities: str) -> None:
    """Skip the running test, or fail it where required, when a capability is refused."""
    for capability in capabilities:
        if capability not in CAPABILITIES:
            allowed = ", ".join(CAPABILITIES)
            pytest.fail(f"needs({capability!r}) is no capability; there are {allowed}")
        for reason in _refusals()[capability]:
            if capability in _required():
                pytest.fail(f"KAVACH_TEST_REQUIRE asks for {capability}, but {reason}")
            _skipped[reason] += 1
            pytest.skip(f"needs {capability}: {reason}")


def _ask_for_package(name: str, *, is_required: bool = True) -> None:
    """Skip the running test, or fail it where required, when a package is not installed."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        reason = f"{name} is not installed"
        if is_required and _EXTRA in _required():
            pytest.fail(f"KAVACH_TEST_REQUIRE asks for {_EXTRA}, but {reason}")
        _skipped[reason] += 1
        pytest.skip(reason)


@pytest.fixture
def needs_package() -> Callable[..., None]:
    """Ask for an installed package; ``is_required=False`` where no extra of ours has it."""
    return _ask_for_package


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
