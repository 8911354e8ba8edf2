"""Trace the scientific stack and compare what it calls with the allowed set.

Run as ``python benchmarks/trace_syscalls.py`` in an environment that holds the libraries, with
strace installed. A library that is not installed is said to be missing, never passed over.
Every workload runs twice: traced without the filter, to see what it would like to call, and under
the filter without a trace, to see whether it notices.

Last run: 2026-11-24, Linux 6.18 x86-64, glibc 2.36, Python 3.11.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pyseccomp

from kavach_ipy.linux import _libc, seccomp, syscalls

# Library to ask for (None: the standard library) and what a notebook does with it.
WORKLOADS: dict[str, tuple[str | None, str]] = {
    "numpy": (
        "numpy",
        "import numpy as np; a = np.random.rand(900, 900); (a @ a).sum(); np.linalg.svd(a[:99])\n"
        "np.save('a.npy', a); np.load('a.npy', mmap_mode='r').sum()",
    ),
    "pandas": (
        "pandas",
        "import pandas as pd; d = pd.DataFrame({'a': range(9999), 'b': ['x', 'y', 'z'] * 3333})\n"
        "d.to_csv('d.csv'); pd.read_csv('d.csv').groupby('b').a.mean(); d.to_pickle('d.pkl')\n"
        "pd.Timestamp.now('Europe/Berlin')",
    ),
    "pyarrow": (
        "pyarrow",
        "import pyarrow as pa, pyarrow.parquet as pq, pyarrow.csv as c, pyarrow.dataset as ds\n"
        "t = pa.table({'a': list(range(9999))}); pq.write_table(t, 't.pq'); pq.read_table('t.pq')\n"
        "c.write_csv(t, 't.csv'); c.read_csv('t.csv'); ds.dataset('t.pq').to_table()\n"
        "pa.memory_map('t.pq').read()",
    ),
    "polars": (
        "polars",
        "import polars as pl; d = pl.DataFrame({'a': range(99999)}); d.write_parquet('p.pq')\n"
        "pl.scan_parquet('p.pq').select(pl.col('a').sum()).collect()\n"
        "d.group_by(pl.col('a') % 7).len(); d.write_csv('p.csv'); pl.read_csv('p.csv')",
    ),
    "scikit-learn": (
        "sklearn",
        "from sklearn.datasets import make_classification; from sklearn.cluster import KMeans\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "X, y = make_classification(500); RandomForestClassifier(n_jobs=2).fit(X, y).predict(X)\n"
        "from sklearn.model_selection import cross_val_score\n"
        "KMeans(3).fit(X); cross_val_score(RandomForestClassifier(9), X, y, n_jobs=2)",
    ),
    "matplotlib": (
        "matplotlib",
        "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.savefig('f.png'); plt.savefig('f.svg'); plt.savefig('f.pdf')",
    ),
    "numba": (
        "numba",
        "import numba, numpy as np\n"
        "@numba.njit(parallel=True)\n"
        "def f(a):\n"
        "    s = 0.0\n"
        "    for i in numba.prange(a.size):\n"
        "        s += a[i]\n"
        "    return s\n"
        "f(np.ones(99999))",
    ),
    "torch": (
        "torch",
        "import torch; a = torch.rand(300, 300, requires_grad=True); (a @ a).sum().backward()\n"
        "torch.save(a, 'a.pt'); torch.load('a.pt')\n"
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "sum(x[0].sum() for x in DataLoader(TensorDataset(torch.ones(64, 3)), num_workers=2))",
    ),
    "sqlite3": (
        None,
        "import sqlite3; c = sqlite3.connect('s.db'); c.execute('pragma journal_mode=wal')\n"
        "c.execute('create table t(a)'); c.executemany('insert into t values(?)', [(1,)] * 999)\n"
        "c.commit(); assert c.execute('select count(*) from t').fetchone() == (999,)",
    ),
    "asyncio": (
        None,
        "import asyncio, sys\n"
        "async def main():\n"
        "    p = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(1)',\n"
        "        stdout=asyncio.subprocess.PIPE)\n"
        "    assert (await p.communicate())[0] == b'1\\n'\n"
        "    s = await asyncio.start_unix_server(lambda r, w: w.close(), 'u.sock')\n"
        "    r, w = await asyncio.open_unix_connection('u.sock'); await r.read(); w.close()\n"
        "    s.close(); await asyncio.to_thread(print); await asyncio.sleep(0.01)\n"
        "asyncio.run(main())",
    ),
    "subprocess": (
        None,
        "import subprocess as s, shutil, tarfile, tempfile, threading, time\n"
        "s.run('ls / | sort | head -3; echo hi > f; cp f g; mv g h; tar cf t.tar h; grep h h',\n"
        "    shell=True, check=True, stdout=s.DEVNULL)\n"
        "with tempfile.TemporaryDirectory() as d: shutil.copytree('.', d + '/x')\n"
        "tarfile.open('t.tar').extractall('y', filter='data')\n"
        "t = threading.Thread(target=time.sleep, args=(0.01,)); t.start(); t.join()",
    ),
    "multiprocessing": (
        None,
        "import multiprocessing as mp\n"
        "from multiprocessing import shared_memory\n"
        "if __name__ == '__main__':\n"
        "    for mode in ('fork', 'spawn', 'forkserver'):\n"
        "        with mp.get_context(mode).Pool(2) as pool:\n"
        "            assert pool.map(abs, [-1, -2]) == [1, 2]\n"
        "        q = mp.get_context(mode).Queue(); q.put(1); assert q.get() == 1\n"
        "    m = shared_memory.SharedMemory(create=True, size=4096); m.close(); m.unlink()",
    ),
}


def trace(script: Path) -> frozenset[str]:
    """The names of all system calls that the script and its children make."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as log:
        command = ["strace", "-f", "-qq", "-o", log.name, sys.executable, str(script)]
        subprocess.run(command, check=True, cwd=script.parent, stdout=subprocess.DEVNULL)
        found = re.findall(r"^\d+\s+(?:<\.\.\. )?(\w+)(?:\(| resumed)", log.read(), re.MULTILINE)
    # strace writes a call that is younger than itself as a number; libseccomp may know its name.
    return frozenset(
        pyseccomp.resolve_syscall(pyseccomp.system_arch(), int(call[8:], 16)).decode()
        if call.startswith("syscall_0x")
        else call
        for call in found
    )


def run_filtered(script: Path) -> str:
    """Run the script under the filter; an empty string, or the last line of its complaint."""
    program = seccomp.build("none")

    def confine() -> None:
        _libc.prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
        seccomp.load(program)

    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=script.parent,
        preexec_fn=confine,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[-1] if done.returncode else ""


def main() -> int:
    """Trace every workload; the number of those that notice the filter or are missing."""
    allowed = syscalls.names(syscalls.ALLOWED)
    asked: set[str] = set()
    troubled = 0
    for name, (library, code) in WORKLOADS.items():
        if library is not None and importlib.util.find_spec(library) is None:
            print(f"{name:16} MISSING: {library} is not installed")
            troubled += 1
            continue
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "workload.py")
            script.write_text(code)
            calls = trace(script)
            for file in Path(folder).iterdir():
                if file != script and file.is_file():
                    os.unlink(file)
            complaint = run_filtered(script)
        asked |= calls
        refused = " ".join(sorted(calls - allowed)) or "nothing"
        print(f"{name:16} {len(calls):3} calls, not allowed: {refused}; {complaint or 'works'}")
        troubled += bool(complaint)
    print(f"\n{len(asked)} calls in all; {len(allowed)} allowed by name")
    print("allowed and not asked for:", " ".join(sorted(allowed - asked)))
    return troubled


if __name__ == "__main__":
    sys.exit(min(main(), 1))
