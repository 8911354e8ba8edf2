"""Libraries with threads or processes, warmed in the notebook: they work in a cell or are refused.

A hang is a failure: each cell has a timeout of its own and each wait a deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.cells import NEEDS
from tests.libraries.measure import Kernels
from tests.libraries.table import PYTHON, TABLE, Row

pytestmark = [pytest.mark.kernel, NEEDS]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    """The kernels of all rows."""
    with Kernels(tmp_path_factory.mktemp("libraries")) as running:
        yield running


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_library_that_was_used_in_the_notebook_works_in_a_cell_or_is_refused(
    row: Row, kernels: Kernels, needs_package: Callable[..., None]
) -> None:
    """As the table says, without a warning, and in the notebook it works as before."""
    if row.package != PYTHON:
        needs_package(row.package, is_required=row.is_required)
    measured = kernels.measure(row)
    assert measured.error == row.error, measured
    assert row.words in measured.message
    assert measured.printed == ("" if row.error else row.prints), measured
    assert measured.displays == row.displays
    assert measured.heard == ""
    assert measured.printed_again == row.prints
