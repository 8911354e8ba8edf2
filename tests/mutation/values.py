"""What comes back: the types of other libraries, and the option that trusts a cell."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

GUARDS = (
    Guard(
        "values imports",
        "no value makes the kernel load what a cell left in the notebook's directory",
        "gate/reader.py",
        "    with allowance.reading(), installed_only():\n",
        "    with allowance.reading():\n",
        "tests/escape/values/test_imports.py tests/unit/gate/test_imports.py",
    ),
    Guard(
        "values trailing bytes",
        "a pickle ends where its value does",
        "gate/reader.py",
        " or at != size or ",
        " or ",
        "tests/unit/gate/test_reader.py",
    ),
    Guard(
        "values key hashes",
        "keys that collide do not stall the kernel",
        "gate/budget.py",
        "        if max(map(self._counts.__getitem__, hashes), default=0) > EQUAL_HASHES:\n",
        "        if False:\n",
        "tests/unit/gate/test_reader.py",
    ),
    Guard(
        "values owners",
        "codes, indices and labels that were checked have one owner",
        "gate/budget.py",
        "        self._claimed.add(id(value))\n",
        "        pass\n",
        "tests/unit/gate/test_shared_memory.py",
    ),
    Guard(
        "values array items",
        "a boolean is 0 or 1, a character a code point",
        "gate/arrays.py",
        "    _check_items(budget, made.reshape(-1, order=order))\n",
        "    pass\n",
        "tests/unit/gate/test_forged_arrays.py",
    ),
    Guard(
        "values sparse indices",
        "an index of a sparse array lies inside its shape",
        "gate/sparse.py",
        "(indices.min() < 0 or indices.max() >= minor)",
        "False",
        "tests/unit/gate/test_forged_libraries.py",
    ),
    Guard(
        "values Arrow validation",
        "offsets and lengths of Arrow's are true",
        "gate/arrow.py",
        "        column.validate(full=True)\n",
        "        pass\n",
        "tests/escape/values/test_corpus.py",
    ),
    Guard(
        "values Arrow buffers",
        "no two buffers of Arrow's share memory",
        "gate/ipc.py",
        "            if start < last or not 0 < size <= length - start:\n",
        "            if False:\n",
        "tests/unit/gate/test_forged_libraries.py",
    ),
    Guard(
        "values Arrow compression",
        "nothing is inflated in the kernel",
        "gate/ipc.py",
        "        if _find(metadata, header, _COMPRESSION):\n",
        "        if False:\n",
        "tests/unit/gate/test_forged_libraries.py",
    ),
    Guard(
        "display trust option",
        "--trust-display runs only where it was allowed",
        "launch/plan.py",
        "    if policy.trust_display and not may_trust_display:\n",
        "    if False:\n",
        "tests/unit/launch/test_plan.py"
        "::test_trusted_displays_are_refused_unless_somebody_allowed_them",
    ),
    Guard(
        "values trust option",
        "--trust runs only where it was allowed",
        "launch/plan.py",
        "    if policy.trust and not may_trust:\n",
        "    if False:\n",
        "tests/contract/test_trust.py",
    ),
)
