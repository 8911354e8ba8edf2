"""Libraries in C, compiled for a test: a parallel region, and what stands for an old runtime."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["build", "parallel_region"]

_REGION = """
#include <omp.h>
int region(void) {
    int count = 0;
    #pragma omp parallel num_threads(3)
    {
        #pragma omp atomic
        count++;
    }
    return count;
}
"""


def build(folder: Path, name: str, source: str, *options: str) -> Path:
    """Compile a shared library, or skip the test where nothing can."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc, to make a library with")
    built = folder / name
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(built), *options]
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"gcc {' '.join(options)}: {done.stderr}")
    return built


def parallel_region(folder: Path) -> Callable[[], int]:
    """A function with a parallel region of three threads, by GNU OpenMP; it returns their number.

    Each folder has a library of its own, and all have the system's one libgomp.
    """
    library = ctypes.CDLL(str(build(folder, "libregion.so", _REGION, "-fopenmp")))
    region: Callable[[], int] = library.region
    return region
