"""What a fork breaks: pools of OpenMP, of Python and of libraries, and what is said of them."""

from __future__ import annotations

from tests.mutation.guard import Guard, condition_off

__all__ = ["GUARDS"]

_OPENMP = "tests/unit/linux/test_openmp.py"
_THREADS = "tests/unit/linux/test_threads.py"
_POOLS = "tests/contract/test_pools.py"
_PLAN = "tests/unit/launch/test_plan.py"

GUARDS = (
    Guard(
        "end of OpenMP's pools",
        "a parallel region in the cell does not wait for threads that are not there",
        "linux/openmp.py",
        "            if pause is None or pause(_HARD) != 0\n",
        "            if pause is None\n",
        f"{_OPENMP} {_POOLS}::test_openmp_that_was_used_works_in_the_cell_and_afterwards",
    ),
    Guard(
        "look at libraries before a fork",
        "libraries that the notebook has used work in a cell or are refused",
        "launch/host.py",
        "        unforkable=() if policy.clean else prepare_libraries(),\n",
        "        unforkable=(),\n",
        f"{_POOLS}::test_openmp_that_was_used_works_in_the_cell_and_afterwards",
    ),
    Guard(
        "pool of polars",
        "a cell that would wait for threads of polars for ever does not begin",
        "launch/libraries.py",
        '    (re.compile(r"polars-\\d+|async-executor-"), "polars"),\n',
        "",
        f"{_POOLS}::test_polars_that_was_used_is_refused_and_nothing_runs",
    ),
    Guard(
        "refusal of what a fork breaks",
        "a library that cannot survive a fork is refused with a way out",
        "launch/plan.py",
        "    _refuse_what_a_fork_breaks(host.unforkable)\n",
        "",
        f"{_PLAN}::test_library_that_a_fork_would_break_is_refused_with_a_way_out",
    ),
    Guard(
        "names that threads take late",
        "a pool that was seen before its threads had names is recognised",
        "linux/threads.py",
        "            if self._seen.get(tid) == name:\n",
        "            if True:\n",
        f"{_THREADS}::test_name_that_a_thread_takes_late_is_seen",
    ),
    condition_off(
        "second look at what is mapped",
        "a library that is loaded between two cells is found",
        "linux/mapped.py",
        "        if not self._threads.issuperset(threads):\n",
        f"{_THREADS}::test_mappings_are_read_again_for_a_new_thread_only",
    ),
    Guard(
        "pools of Python",
        "no pool of the notebook takes work of a cell and never does it",
        "launch/child.py",
        "        renew_pools()\n",
        "        pass\n",
        f"{_POOLS}::test_pool_whose_workers_are_elsewhere_says_so",
        of="C: pools",
    ),
    Guard(
        "warnings of the fork",
        "what libraries say of forks is not printed under every cell",
        "launch/quiet.py",
        "    warnings.showwarning = _drop\n",
        "    pass\n",
        f"{_POOLS}::test_warnings_of_a_fork_do_not_reach_the_user",
    ),
)
