"""What is refused before anything is forked (`launch/plan.py`, `launch/host.py`)."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

_PLAN = "launch/plan.py"
_TESTS = "tests/unit/launch/test_plan.py"
_MISSING = f"{_TESTS}::test_a_missing_layer_is_refused_with_its_remedy"


def _refusal(name: str, promise: str, old: str, tests: str = _MISSING) -> Guard:
    return Guard(f"refusal: {name}", promise, _PLAN, old, "    if False:\n", tests)


GUARDS = (
    Guard(
        "name: taken by another extension",
        "a cell magic that was ours is not another's without a word",
        "front/owning.py",
        "            self._shell.events.register(event, self._look)\n",
        "            pass\n",
        "tests/kernel/test_loading.py",
    ),
    _refusal(
        "no rights for another identity",
        "root of a container that has dropped its rights is told which a cell's id needs",
        "    if identity.is_other and host.lacking_rights:\n",
        "tests/contract/test_containers.py"
        "::test_root_without_the_rights_for_another_id_is_told_which",
    ),
    Guard(
        "refusal: the doctor's child",
        "a doctor whose child waits for a map that cannot be written comes to an end",
        "linux/probe.py",
        "        os.close(from_child)\n        os.close(to_child)\n        _be_the_child",
        "        _be_the_child",
        "tests/contract/test_containers.py"
        "::test_doctor_where_no_map_can_be_written_comes_to_an_end",
    ),
    Guard(
        "refusal: root of a container",
        "where root may not clone its mounts, a cell runs on its files as they are",
        "linux/mounts.py",
        "        if error.errno not in (errno.EINVAL, errno.EPERM):\n            raise\n",
        "        raise\n",
        "tests/contract/test_containers.py::test_root_with_what_docker_leaves_it_runs_the_cell",
    ),
    _refusal(
        "sandbox inside a sandbox",
        "a cell is told why it cannot make another",
        "    if host.is_inside:\n",
        f"{_MISSING} tests/contract/test_refusals.py"
        "::test_sandbox_inside_a_sandbox_is_refused_clearly",
    ),
    _refusal(
        "no user namespaces",
        "a machine without user namespaces runs nothing and says which switch",
        "    if host.max_user_namespaces == 0:\n",
    ),
    _refusal(
        "no user namespaces for users",
        "a machine without user namespaces for users runs nothing and says which switch",
        "    if not host.userns_clone_allowed:\n",
    ),
    _refusal(
        "no seccomp",
        "a machine without libseccomp runs nothing",
        "    if host.seccomp_missing is not None:\n",
    ),
    _refusal(
        "no Landlock",
        "a kernel without Landlock runs nothing",
        "    if host.landlock_abi < 1:\n",
    ),
    _refusal(
        "no init",
        "a machine without cat(1) runs nothing",
        "    if host.init is None:\n",
    ),
    Guard(
        "refusal: no other identity",
        "a kernel of host root that knows no other id runs nothing",
        "linux/identity.py",
        "    return None\n\n\ndef _other",
        "    return Identity(uid, gid, is_other=False)\n\n\ndef _other",
        _MISSING,
    ),
    Guard(
        "listed names of the environment",
        "a variable survives only where the policy lists it",
        _PLAN,
        "for name, value in host.environment if survives(name, policy.environment)}",
        "for name, value in host.environment}",
        f"{_TESTS}::test_only_listed_environment_variables_survive",
    ),
    Guard(
        "autostart places",
        "a file that runs by itself is not written, also below a writable path",
        "launch/host.py",
        "        autostart=_autostart_entries(policy.writable),\n",
        "        autostart=(),\n",
        "tests/contract/test_places.py"
        "::test_files_that_run_by_themselves_stay_read_only_below_a_writable_path",
    ),
    Guard(
        "dot entries of a home",
        "a working directory that is the home shows no credentials",
        "launch/host.py",
        "    return tuple(sorted(there | _CREDENTIALS))\n",
        "    return tuple(sorted(_CREDENTIALS))\n",
        "tests/escape/test_file_read.py"
        "::test_working_directory_that_is_the_home_hides_its_dot_entries",
    ),
    Guard(
        "credentials that come later",
        "what a user logs in to while a session lives is not in its working directory",
        "launch/host.py",
        "    return tuple(sorted(there | _CREDENTIALS))\n",
        "    return tuple(sorted(there))\n",
        "tests/escape/test_file_read.py"
        "::test_credentials_that_a_home_gets_while_a_session_lives_are_not_there",
    ),
)
