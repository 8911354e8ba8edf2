"""Libraries that a fork would break are told by what they leave in a process, and no others are."""

from __future__ import annotations

import pytest

from kavach_ipy.launch.libraries import Unforkable, unforkable


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("polars-0", "polars"),
        ("polars-11", "polars"),
        ("async-executor-", "polars"),
        ("rayon-3", "a library that is written with rayon"),
        ("tf_XLAEigen", "JAX or TensorFlow"),
        ("tf_Compute", "JAX or TensorFlow"),
    ],
)
def test_pool_is_told_by_the_name_of_a_thread(name: str, library: str) -> None:
    """Whatever other threads there are."""
    (found,) = unforkable({"python", name, "ZMQbg/IO/0"}, (), ())
    assert found == Unforkable(library, f"a thread of its pool is there: {name}")


@pytest.mark.parametrize(
    "name", ["python", "jemalloc_bg_thd", "polars-ooc-clea", "ZMQbg/IO/0", "tokio-rt-worker"]
)
def test_threads_that_nobody_waits_for_are_none(name: str) -> None:
    """Of polars that was imported and not used, of OpenBLAS, of ZeroMQ."""
    assert unforkable({name}, (), ()) == ()


def test_gpu_is_told_by_its_device() -> None:
    """What is mapped of it is its memory, and the fork's would be another's."""
    (found,) = unforkable((), ("/dev/nvidia0", "/dev/nvidia-uvm"), ())
    assert (found.library, found.sign) == ("a GPU", "/dev/nvidia-uvm is mapped into it")


def test_openmp_whose_pools_cannot_be_ended_is_told_by_its_file() -> None:
    """A runtime that is older than the call."""
    (found,) = unforkable((), (), ("/old/libgomp.so.1",))
    assert found.library == "GNU OpenMP"
    assert "/old/libgomp.so.1" in found.sign
