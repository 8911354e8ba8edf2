"""One machine and one hub for all tests of this folder.

``pytest`` enters this folder only where it is named, as ``make hub`` does: it needs root, the extra
``hub``, and the proxy from npm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.hub.hubs import Hub, User, start_hub
from tests.hub.machine import Machine, make_machine

__all__ = ["alice", "bob", "hub", "machine"]


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine of its own, with two users."""
    if os.geteuid() != 0:
        pytest.skip("two system users need root")
    with make_machine(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.fixture(scope="session")
def hub(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub as an administrator sets it up."""
    with start_hub(machine, tmp_path_factory.mktemp("hub") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def alice(hub: Hub) -> User:
    """A user with a server."""
    return hub.start("alice")


@pytest.fixture(scope="session")
def bob(hub: Hub) -> User:
    """Another one."""
    return hub.start("bob")
