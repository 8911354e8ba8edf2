"""What comes back: the types of other libraries, and the option that trusts a cell."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

GUARDS = (
    Guard(
        "values price of tags",
        "what a tag makes is paid for before it is made",
        "gate/rules.py",
        "        budget.spend_memory(price(self.short, arguments))\n",
        "        pass\n",
        "tests/fuzz/test_fuzz.py",
    ),
    Guard(
        "values price of opcodes",
        "what an opcode makes is paid for",
        "gate/reader.py",
        "        self._budget.tick(made + prices.OPCODE * _TURNS)\n",
        "        self._budget.tick(0)\n",
        "tests/fuzz/test_fuzz.py",
    ),
    Guard(
        "values account of a cell",
        "all values of a cell have one account",
        "gate/budget.py",
        "        self.allowance.account.spent += self._spent\n",
        "        pass\n",
        "tests/unit/gate/test_prices.py",
    ),
    Guard(
        "values empty buffers",
        "buffers without bytes are not free",
        "gate/values.py",
        "    if not is_stock and not allowance.account.pays(sum(sizes), len(rest) * BUFFER):\n",
        "    if False:\n",
        "tests/unit/gate/test_prices.py",
    ),
    Guard(
        "values padding",
        "what padding returns is in the tuple of its arguments, too",
        "gate/builders.py",
        "    budget.share(arguments[0])\n",
        "    pass\n",
        "tests/unit/gate/test_prices.py",
    ),
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
        "values trust option",
        "--trust runs only where it was allowed",
        "launch/plan.py",
        "    if policy.trust and not may_trust:\n",
        "    if False:\n",
        "tests/contract/test_trust.py",
    ),
)
