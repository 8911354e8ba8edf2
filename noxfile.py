"""Sessions forward to one command each; the settings stand in pyproject.toml.

No session reaches for the network except to install.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import nox

_PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
_PREFIX = "Programming Language :: Python :: 3."
# The classifiers are the one place that names the Pythons we support.
PYTHONS = [
    "3." + classifier.removeprefix(_PREFIX)
    for classifier in _PROJECT["classifiers"]
    if classifier.startswith(_PREFIX)
]
CHECKED = ["kavach_ipy", "tests", "notebooks", "benchmarks", "docs", "noxfile.py"]

nox.options.sessions = ["lint", "types", "layers", "unit"]
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True


def _pytest(session: nox.Session, *arguments: str) -> None:
    session.install("--editable", ".[test]")
    session.run("python", "-m", "pytest", *arguments, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff: rules and format."""
    session.install("--editable", ".[test]")
    session.run("ruff", "check", *CHECKED)
    session.run("ruff", "format", "--check", *CHECKED)


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy --strict."""
    session.install("--editable", ".[test]")
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports go down only."""
    session.install("--editable", ".[test]")
    session.run("lint-imports", "--no-cache")


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """Run the tests that need nothing of the kernel; they take seconds."""
    _pytest(session, "tests/unit", "tests/repo")


@nox.session(python=PYTHONS)
@nox.parametrize("ipykernel", ["ipykernel>=6.29,<7", "ipykernel>=7"])
def kernel(session: nox.Session, ipykernel: str) -> None:
    """Run the tests in a real kernel, of both generations of ipykernel."""
    session.install("--editable", ".[test]", ipykernel)
    session.run("python", "-m", "pytest", "tests/kernel", *session.posargs)


# The oldest generation that values are promised for; pyarrow 18 is the last that takes NumPy 1.
_OLD = ["numpy==1.26.*", "pandas==2.1.*", "pyarrow<19"]


@nox.session(python="3.11")
def old_libraries(session: nox.Session) -> None:
    """Run the round trips and the attacks on values with NumPy 1.26 and pandas 2."""
    session.install("--editable", ".[test]", *_OLD)
    session.run(
        "python", "-m", "pytest", "tests/unit/gate", "tests/escape/values", *session.posargs
    )


@nox.session
def escape(session: nox.Session) -> None:
    """Play the attacker: one promise of the threat model each."""
    _pytest(session, "tests/escape")


@nox.session
def notebooks(session: nox.Session) -> None:
    """Execute the notebooks."""
    _pytest(session, "tests/notebook")


@nox.session
def cover(session: nox.Session) -> None:
    """Measure the coverage of the unit tests, branches included."""
    session.install("--editable", ".[test]")
    session.run("coverage", "run", "-m", "pytest", "tests/unit", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and install it into a clean environment."""
    session.run(".ci/build", "python", external=True)
