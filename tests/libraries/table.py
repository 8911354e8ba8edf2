"""What notebooks do with libraries that have threads or processes, and then do in a cell.

Guarantees: data only; each row stands alone, whatever ran before it in the same kernel.
Assumes: the code of `cell` prints `prints` wherever it works, so also in a plain cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["TABLE", "Row"]

PYTHON = "Python"
"""Stands for the standard library, which is always there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One library, warmed in the notebook and used in a cell."""

    package: str
    """The distribution that must be installed, or `PYTHON`."""

    did: str
    """What was done in the notebook, in words."""

    does: str
    """What is done in the cell, in words."""

    notebook: str
    cell: str
    prints: str
    error: str | None = None
    """The exception that the cell ends with, where it cannot work."""

    words: str = ""
    """What its message says."""

    displays: int = 0
    """Images that the cell shows."""

    group: str = "one notebook"
    """Rows of a group share a kernel, one after the other."""

    environment: dict[str, str] = field(default_factory=dict)
    """Variables of the kernel's environment; the same in all rows of a group."""

    is_required: bool = True
    """Part of the extra `libraries`, of `test`, or of Python."""

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"{self.package}: {self.did}"


_NOT_HERE = "made outside of the sandbox"
_FOLD = """
import numba, numpy as np
numba.config.THREADING_LAYER = {layer!r}
@numba.njit(parallel=True)
def fold(values):
    total = 0.0
    for i in numba.prange(values.size):
        total += values[i]
    return total
assert fold(np.ones(1000)) == 1000.0
assert numba.threading_layer() == {layer!r}
"""
_FOLD_IN_CELL = """
@numba.njit(parallel=True)
def double(values):
    for i in numba.prange(values.size):
        values[i] *= 2
    return values.sum()
print(fold(np.ones(1000)), double(np.ones(1000)))
"""
_GROUP_BY = """
frame = pl.DataFrame({"k": [1, 2] * 50_000, "v": range(100_000)})
print(frame.lazy().group_by("k").agg(pl.col("v").sum()).collect().shape)
"""

TABLE: tuple[Row, ...] = (
    Row(
        "numpy",
        "a product and an SVD",
        "the same",
        "import numpy as np\na = np.random.rand(800, 800)\n_ = a @ a, np.linalg.svd(a[:200, :200])",
        "print((a @ a).shape, np.linalg.svd(a[:200, :200])[1].shape)",
        "(800, 800) (200,)",
    ),
    Row(
        "pandas",
        "groupby, texts",
        "the same",
        "import pandas as pd\ndf = pd.DataFrame({'k': ['a', 'b'] * 50_000, 'v': range(100_000)})\n"
        "_ = df.groupby('k').v.mean(), df.k.str.upper()",
        "print(df.groupby('k').v.sum().tolist(), df.k.str.upper().iloc[1])",
        "[2499950000, 2500000000] B",
    ),
    Row(
        "pyarrow",
        "a sum, Parquet written and read",
        "the same",
        "import io, pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq\n"
        "table = pa.table({'a': range(1_000_000)})\nbuffer = io.BytesIO()\n"
        "pq.write_table(table, buffer)\n_ = pc.sum(table['a'])",
        "print(pc.sum(table['a']), pq.read_table(io.BytesIO(buffer.getvalue())).num_rows)",
        "499999500000 1000000",
    ),
    Row(
        "matplotlib",
        "an inline figure",
        "another",
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "plt.plot([2, 1])\nplt.show()\nprint(plt.get_fignums())",
        "[]",
        displays=1,
    ),
    Row(
        "duckdb",
        "a table of a million rows in memory",
        "a query of it, and of a new connection",
        "import duckdb\nducks = duckdb.connect()\n"
        "_ = ducks.execute('create table t as select range as x from range(1_000_000)')\n"
        "_ = ducks.execute('select sum(x) from t').fetchall()",
        "query = 'select sum(range) from range(1_000_000)'\n"
        "print(ducks.execute('select sum(x) from t').fetchone(),"
        " duckdb.connect().execute(query).fetchone())",
        "(499999500000,) (499999500000,)",
    ),
    Row(
        PYTHON,
        "sqlite3: a database in memory",
        "a query of it, and a file of the cell's own",
        "import sqlite3\nlite = sqlite3.connect(':memory:')\n"
        "_ = lite.execute('create table t as select 42 as x')",
        "import os, tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    own = sqlite3.connect(os.path.join(folder, 'own.db'))\n"
        "    _ = own.execute('create table t as select 43 as x')\n"
        "    own.commit()\n"
        "    print(lite.execute('select x from t').fetchone(),"
        " own.execute('select x from t').fetchone())\n"
        "    own.close()",
        "(42,) (43,)",
    ),
    Row(
        PYTHON,
        "sqlite3: a connection to a file",
        "a query of it; connect in the cell instead",
        "import sqlite3, tempfile\nfile = tempfile.NamedTemporaryFile(suffix='.db')\n"
        "filed = sqlite3.connect(file.name)\n"
        "_ = filed.execute('create table t as select 42 as x')\n"
        "filed.commit()",
        "print(filed.execute('select x from t').fetchone())",
        "(42,)",
        error="OperationalError",
    ),
    Row(
        "scikit-learn",
        "HistGradientBoosting, KMeans",
        "the same",
        "import numpy as np\nfrom sklearn.cluster import KMeans\n"
        "from sklearn.ensemble import HistGradientBoostingClassifier\n"
        "X = np.random.default_rng(0).random((5000, 10))\ny = X[:, 0] > 0.5\n"
        "def learn():\n"
        "    boosted = HistGradientBoostingClassifier(max_iter=10).fit(X, y)\n"
        "    return boosted.score(X, y) > 0.9, KMeans(4, n_init=2).fit(X).cluster_centers_.shape\n"
        "_ = learn()",
        "print(learn())",
        "(True, (4, 10))",
    ),
    Row(
        "torch",
        "a product, a sum, a DataLoader with two workers",
        "the same, and a backward pass",
        "import torch\nx = torch.rand(600, 600)\nwide = torch.rand(1_000_000)\n"
        "rows = torch.utils.data.TensorDataset(torch.rand(64, 8))\n"
        "def load():\n"
        "    loader = torch.utils.data.DataLoader(rows, 8, num_workers=2)\n"
        "    return sum(len(batch[0]) for batch in loader)\n"
        "_ = x @ x, (wide * wide).sum(), load()",
        "weight = torch.rand(300, 300, requires_grad=True)\n(weight @ weight).sum().backward()\n"
        "print((x @ x).shape[0], ((wide * wide).sum() > 0).item(), weight.grad.shape[0], load())",
        "600 True 300 64",
    ),
    Row(
        "numba",
        "njit",
        "the same, and another compiled",
        "import numba, numpy as np\n@numba.njit\ndef total(values):\n    return values.sum()\n"
        "_ = total(np.ones(10))",
        "@numba.njit\ndef first(values):\n    return values[0]\n"
        "print(total(np.ones(10)), first(np.ones(3)))",
        "10.0 1.0",
    ),
    Row(
        "numba",
        "parallel, by GNU OpenMP",
        "the same, and another compiled",
        _FOLD.format(layer="omp"),
        _FOLD_IN_CELL,
        "1000.0 2000.0",
    ),
    Row(
        "numba",
        "parallel, by its own work queue",
        "the same, and another compiled",
        _FOLD.format(layer="workqueue"),
        _FOLD_IN_CELL,
        "1000.0 2000.0",
        group="work queue",
        environment={"NUMBA_THREADING_LAYER": "workqueue"},
    ),
    Row(
        "joblib",
        "Parallel with loky",
        "the same: workers of the cell's own",
        "from joblib import Parallel, delayed\n"
        "_ = Parallel(n_jobs=2)(delayed(abs)(n) for n in range(-4, 0))",
        "print(Parallel(n_jobs=2)(delayed(abs)(n) for n in range(-4, 0)))",
        "[4, 3, 2, 1]",
    ),
    Row(
        PYTHON,
        "a ThreadPoolExecutor",
        "the same pool: threads of the cell's own",
        "from concurrent.futures import ThreadPoolExecutor\nthreads = ThreadPoolExecutor(2)\n"
        "_ = list(threads.map(abs, range(-4, 0)))",
        "print(sum(threads.map(abs, range(-40, 0))))",
        "820",
    ),
    Row(
        PYTHON,
        "a ProcessPoolExecutor",
        "the same pool",
        "from concurrent.futures import ProcessPoolExecutor\nprocesses = ProcessPoolExecutor(2)\n"
        "_ = list(processes.map(abs, range(-4, 0)))",
        "print(list(processes.map(abs, range(-4, 0))))",
        "[4, 3, 2, 1]",
        error="BrokenProcessPool",
        words=_NOT_HERE,
    ),
    Row(
        PYTHON,
        "a multiprocessing.Pool",
        "the same pool",
        "import multiprocessing\npool = multiprocessing.Pool(2)\n_ = pool.map(abs, range(-4, 0))",
        "print(pool.map(abs, range(-4, 0)))",
        "[4, 3, 2, 1]",
        error="ValueError",
        words=_NOT_HERE,
    ),
    Row(
        PYTHON,
        "pools of processes",
        "pools that the cell makes",
        "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "outer = ProcessPoolExecutor(2)\n_ = list(outer.map(abs, range(-4, 0)))",
        "with ProcessPoolExecutor(2) as inner, multiprocessing.Pool(2) as pool:\n"
        "    print(list(inner.map(abs, range(-4, 0))), pool.map(abs, range(-4, 0)))",
        "[4, 3, 2, 1] [4, 3, 2, 1]",
    ),
    Row(
        PYTHON,
        "asyncio: to_thread",
        "the same, in a loop of the cell's own",
        "import asyncio\n_ = await asyncio.to_thread(abs, -1)",
        "print(await asyncio.to_thread(abs, -1))",
        "1",
    ),
    Row(
        "polars",
        "imported",
        "a grouping",
        "import polars as pl",
        _GROUP_BY,
        "(2, 2)",
        group="polars",
    ),
    Row(
        "polars",
        "a grouping",
        "anything",
        "import polars as pl\n" + _GROUP_BY.replace("print", "_ = "),
        _GROUP_BY,
        "(2, 2)",
        error="CannotEnforce",
        words="--clean -i NAMES",
        group="polars used",
    ),
    Row(
        "lightgbm",
        "a model trained",
        "another",
        "import lightgbm, numpy as np\nZ = np.random.rand(2000, 5)\n"
        "def train():\n"
        "    data = lightgbm.Dataset(Z, label=Z[:, 0])\n"
        "    return lightgbm.train({'verbose': -1}, data, 5).predict(Z).shape\n_ = train()",
        "print(train())",
        "(2000,)",
        is_required=False,
    ),
    Row(
        "faiss-cpu",
        "a search",
        "the same",
        "import faiss, numpy as np\nindex = faiss.IndexFlatL2(16)\n"
        "index.add(np.random.rand(20_000, 16).astype('f4'))\n"
        "query = np.random.rand(200, 16).astype('f4')\n_ = index.search(query, 3)",
        "print(index.search(query, 3)[0].shape)",
        "(200, 3)",
        is_required=False,
    ),
    Row(
        "opencv-python-headless",
        "a blur",
        "the same",
        "import cv2, numpy as np\nimage = np.random.rand(2000, 2000).astype('f4')\n"
        "_ = cv2.GaussianBlur(image, (15, 15), 3)",
        "print(cv2.GaussianBlur(image, (15, 15), 3).shape)",
        "(2000, 2000)",
        is_required=False,
    ),
    Row(
        "jax",
        "a product",
        "anything",
        "import jax.numpy as jnp\n_ = (jnp.ones((500, 500)) @ jnp.ones((500, 500))).sum()",
        "print((jnp.ones((500, 500)) @ jnp.ones((500, 500))).shape)",
        "(500, 500)",
        error="CannotEnforce",
        words="--clean -i NAMES",
        group="jax used",
        is_required=False,
    ),
    Row(
        "tensorflow-cpu",
        "a product",
        "anything",
        "import tensorflow as tf\n_ = tf.reduce_sum(tf.ones((500, 500)) @ tf.ones((500, 500)))",
        "print((tf.ones((500, 500)) @ tf.ones((500, 500))).shape)",
        "(500, 500)",
        error="CannotEnforce",
        words="--clean -i NAMES",
        group="tensorflow used",
        is_required=False,
    ),
)
