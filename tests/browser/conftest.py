"""One browser and one server for all tests of this folder.

``pytest`` enters this folder only where it is named, as ``make browser`` does: it needs Chromium,
JupyterLab and Notebook 7 (the extra ``browser``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import chromium
from tests.browser.servers import Server, jupyter_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser", "server"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab and Notebook 7, with this checkout's kernels."""
    with jupyter_server(tmp_path_factory.mktemp("jupyter")) as running:
        yield running
