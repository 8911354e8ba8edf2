"""Threads that native code started are told from Python's, by the names that they have now."""

from __future__ import annotations

import _thread
import ctypes
import os
import threading
from pathlib import Path

import pytest

from kavach_ipy.linux.mapped import Mapped, MappedFiles
from kavach_ipy.linux.threads import NativeThreads

PR_SET_NAME = 15
DEADLINE = 10.0


class Native:
    """A thread that the threading module does not know, as those of a library."""

    def __init__(self) -> None:
        self._steps = [threading.Semaphore(0), threading.Semaphore(0)]
        self._name: bytes | None = None
        self.tid = 0
        _thread.start_new_thread(self._run, ())
        assert self._steps[1].acquire(timeout=DEADLINE)

    def _run(self) -> None:
        self.tid = threading.get_native_id()
        prctl = ctypes.CDLL(None).prctl
        while True:
            self._steps[1].release()
            self._steps[0].acquire()
            if self._name is None:
                return
            prctl(ctypes.c_int(PR_SET_NAME), ctypes.c_char_p(self._name), 0, 0, 0)

    def rename(self, name: bytes | None) -> None:
        """Give the thread a name; None ends it."""
        self._name = name
        self._steps[0].release()
        if name is not None:
            assert self._steps[1].acquire(timeout=DEADLINE)


def test_thread_of_native_code_is_listed_by_its_name() -> None:
    """At most fifteen bytes of it, which is what the kernel keeps."""
    native = Native()
    native.rename(b"polars-ooc-cleaner")
    assert NativeThreads().look()[native.tid] == "polars-ooc-clea"
    native.rename(None)


def test_threads_of_python_are_not_listed() -> None:
    """Python knows what they do."""
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, args=(DEADLINE,))
    thread.start()
    found = NativeThreads().look()
    assert thread.native_id not in found
    assert os.getpid() not in found
    gate.set()
    thread.join()


def test_name_that_a_thread_takes_late_is_seen() -> None:
    """A look may come between the start of a thread and its name."""
    threads = NativeThreads()
    native = Native()
    assert not threads.look()[native.tid].startswith("polars")
    native.rename(b"polars-0")
    assert threads.look()[native.tid] == "polars-0"
    native.rename(None)


def _maps(folder: Path, *paths: str) -> str:
    """A list of mappings as proc(5) shows it."""
    lines = [
        f"7f3a2c000000-7f3a2c021000 r-xp 00000000 fd:00 {number}      {path}\n"
        for number, path in enumerate(("", "[heap]", "/usr/lib/libc.so.6", *paths))
    ]
    file = folder / "maps"
    file.write_text("".join(lines), encoding="ascii")
    return str(file)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/venv/torch/lib/libgomp.so.1", Mapped(openmp=(b"/venv/torch/lib/libgomp.so.1",))),
        (
            "/a b/scikit_learn.libs/libgomp-e985bcbb.so.1.0.0",
            Mapped(openmp=(b"/a b/scikit_learn.libs/libgomp-e985bcbb.so.1.0.0",)),
        ),
        ("/dev/nvidia0", Mapped(gpus=("/dev/nvidia0",))),
        ("/dev/kfd", Mapped(gpus=("/dev/kfd",))),
        ("/home/libgomp/lib/libomp.so", Mapped()),
        ("/dev/zero (deleted)", Mapped()),
    ],
)
def test_openmp_and_gpus_are_found_among_what_is_mapped(
    tmp_path: Path, path: str, found: Mapped
) -> None:
    """By the file's own name, whatever a wheel has made of it; LLVM's OpenMP needs no help."""
    assert MappedFiles(_maps(tmp_path, path)).look({1}) == found


def test_mappings_are_read_again_for_a_new_thread_only(tmp_path: Path) -> None:
    """What started no thread since the last look has no pool."""
    files = MappedFiles(_maps(tmp_path))
    assert files.look({1, 2}) == Mapped()
    _maps(tmp_path, "/lib/libgomp.so.1")
    assert files.look({1}) == Mapped()
    assert files.look({1, 2}) == Mapped(openmp=(b"/lib/libgomp.so.1",))
