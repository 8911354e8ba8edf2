"""The floor: what a policy file says, who may have written it, and the command that writes it."""

from __future__ import annotations

from tests.mutation.guard import Guard, condition_off

__all__ = ["GUARDS"]

_FLOOR = "policy/floor.py"
_FILE = "policy/file.py"
_OWNED = "linux/owned.py"
_HUB = "hub/installing.py"
_OF_FILE = "tests/unit/policy/test_policy_file.py"
_OF_OWNED = "tests/unit/linux/test_owned.py"
_OF_FRONT = "tests/unit/front/test_floor.py"
_OF_HUB = "tests/unit/hub/test_installing.py"
_OF_SESSIONS = (
    "tests/kernel/test_policy_file.py::test_notebook_with_every_cell_sandboxed_is_held_by_the_file"
)
_OF_AUDIT = (
    "tests/kernel/test_policy_file.py::test_no_setting_takes_an_audit_back_that_the_file_asks_for"
)
_NONSENSE = f"{_OF_FILE}::test_what_makes_no_sense_is_refused_with_line_and_column"

GUARDS = (
    Guard(
        "floor: settings are tightened",
        "what a user configures is no looser than the policy files",
        "front/settings.py",
        "        return (floor or self.floor()).tighten(self._profiled())\n",
        "        return self._profiled()\n",
        f"{_OF_FRONT}::test_settings_are_tightened_to_the_file_of_the_machine",
    ),
    Guard(
        "floor: options are checked",
        "an option that asks for more than a policy file allows runs nothing",
        "front/arguments.py",
        "        floor.check(policy, _SPELT)\n",
        "        pass\n",
        f"{_OF_FRONT}::test_option_that_asks_for_more_is_refused_with_file_and_line",
    ),
    Guard(
        "floor: profiles of the user's own",
        "a profile that a user defines is no looser than the policy files",
        "front/settings.py",
        "name: floor.tighten(plain.replace(**_as_fields(changes)))",
        "name: plain.replace(**_as_fields(changes))",
        f"{_OF_FRONT}::test_settings_are_tightened_to_the_file_of_the_machine",
    ),
    Guard(
        "floor: the machine's file is always read",
        "naming another policy file does not leave out that of the machine",
        "front/floor.py",
        "    found = [read_file(SYSTEM_FILE, ROOT)]\n",
        "    found = [] if named else [read_file(SYSTEM_FILE, ROOT)]\n",
        f"{_OF_FRONT}::test_no_setting_leaves_out_the_file_of_the_machine",
    ),
    condition_off(
        "floor: a named file is there",
        "a policy file that is named and missing is not taken for none",
        "front/floor.py",
        "        if added is None:\n",
        f"{_OF_FRONT}::test_file_that_is_named_and_missing_runs_nothing",
    ),
    Guard(
        "floor: only root writes the machine's",
        "a file of a user's own is no floor of the machine",
        "front/floor.py",
        "ROOT: Final = 0\n",
        "ROOT: Final = os.geteuid() + 1\n",
        f"{_OF_FRONT}::test_only_root_may_have_written_the_file_of_the_machine",
    ),
    Guard(
        "floor: trust",
        "--trust needs every policy file's permission besides the settings'",
        "front/trusting.py",
        "settings.allow_trust and settings.floor().allow_trust\n",
        "settings.allow_trust\n",
        f"{_OF_FRONT}::test_trust_needs_the_setting_and_every_policy_file",
    ),
    Guard(
        "floor: trusted displays",
        "--trust-display needs every policy file's permission besides the settings'",
        "front/trusting.py",
        "settings.allow_trust_display and settings.floor().allow_trust_display\n",
        "settings.allow_trust_display\n",
        f"{_OF_FRONT}::test_trust_needs_the_setting_and_every_policy_file",
    ),
    condition_off(
        "floor: switching off",
        "%kavach off is refused unless every policy file allows it",
        _FLOOR,
        "            if not file.allow_off:\n",
        f"{_OF_FILE}::test_switching_off_is_refused_with_its_place",
    ),
    Guard(
        "floor: the most network",
        "the host's network is had only where the policy files grant it",
        _FLOOR,
        "        return policy.network.rank <= self.network.rank and is_at_most(\n",
        "        return is_at_most(\n",
        f"{_OF_FILE}::test_what_a_line_forbids_is_refused_with_its_place",
    ),
    Guard(
        "floor: every file bounds",
        "of two policy files each holds",
        _FLOOR,
        "    for file in floor.files:\n        for bound in file.bounds:\n            result",
        "    for file in floor.files[:1]:\n        for bound in file.bounds:\n            result",
        f"{_OF_FILE}::test_of_two_files_the_tighter_line_holds",
    ),
    condition_off(
        "policy file: keys that it knows",
        "a misspelt key is an error, and no line without effect",
        _FILE,
        "        if name not in _KEYS:\n",
        _NONSENSE,
    ),
    condition_off(
        "policy file: types",
        "a value of another type than the key's is refused",
        _FILE,
        "        if problem:\n",
        _NONSENSE,
    ),
    Guard(
        "policy file: homes",
        "no path of a policy file leads where an environment variable says",
        _FILE,
        '    if key.kind == "paths" and not all(item.startswith("/") for item in value):\n',
        "    if False:\n",
        _NONSENSE,
    ),
    Guard(
        "policy file: what it does not mention",
        "trust and the host's network need a line that grants them",
        _FILE,
        "    if not mentioned and not key.unmentioned:\n",
        "    if not mentioned:\n",
        f"{_OF_FILE}::test_file_that_says_nothing_forbids_only_what_reaches_beyond_the_sandbox",
    ),
    Guard(
        "owned: mode of the file",
        "a file that others can write is not relied on",
        _OWNED,
        "    if status.st_mode & _WRITABLE_BY_OTHERS:\n",
        "    if False:\n",
        f"{_OF_OWNED}::test_file_that_others_can_write_is_refused",
    ),
    Guard(
        "owned: mode of directories",
        "a file below a directory that others can write is not relied on",
        _OWNED,
        "    if mode & _WRITABLE_BY_OTHERS and not is_sticky_of_root:\n",
        "    if False:\n",
        f"{_OF_OWNED}::test_file_below_a_directory_that_others_can_write_is_refused"
        f" {_OF_OWNED}::test_directory_that_others_can_write_is_refused_further_up",
    ),
    Guard(
        "owned: owner of the file",
        "a file of somebody else's is not relied on",
        _OWNED,
        "    if status.st_uid not in {0, *owners}:\n        raise",
        "    if False:\n        raise",
        f"{_OF_OWNED}::test_file_of_somebody_else_is_refused",
    ),
    Guard(
        "owned: owner of directories",
        "a file below a directory of somebody else's is not relied on",
        _OWNED,
        "    if status.st_uid not in {0, *owners}:\n        return",
        "    if False:\n        return",
        f"{_OF_OWNED}::test_directory_of_somebody_else_is_refused",
    ),
    Guard(
        "owned: a link for the file",
        "a symbolic link is not followed to what somebody else chose",
        _OWNED,
        "_FILE = os.O_RDONLY | os.O_NOFOLLOW |",
        "_FILE = os.O_RDONLY |",
        f"{_OF_OWNED}::test_symbolic_link_is_refused",
    ),
    Guard(
        "owned: a link on the way",
        "a directory that is a symbolic link is not followed",
        _OWNED,
        "_DIRECTORY = os.O_PATH | os.O_NOFOLLOW |",
        "_DIRECTORY = os.O_PATH |",
        f"{_OF_OWNED}::test_directory_that_is_a_symbolic_link_is_refused",
    ),
    Guard(
        "owned: regular files",
        "a FIFO, a device or a directory is no file that decides",
        _OWNED,
        "    if not stat.S_ISREG(status.st_mode):\n",
        "    if False:\n",
        f"{_OF_OWNED}::test_fifo_is_refused_and_not_waited_for",
    ),
    Guard(
        "owned: a file that was taken away",
        "a missing file, where others could have removed it, is not taken for none",
        _OWNED,
        "    if parent is None or refusal is not None:\n",
        "    if parent is None:\n",
        f"{_OF_OWNED}::test_file_that_is_missing_where_others_can_write_is_refused",
    ),
    condition_off(
        "owned: length",
        "a file that never ends is not read to its end",
        _OWNED,
        "    if not left:\n",
        f"{_OF_OWNED}::test_file_that_is_too_long_is_refused",
    ),
    condition_off(
        "kavach-jupyter: files of others",
        "enable overwrites nothing that it did not write",
        _HUB,
        '    if state == "foreign":\n',
        f"{_OF_HUB}::test_file_of_somebody_else_is_not_overwritten",
    ),
    condition_off(
        "kavach-jupyter: edited files",
        "enable overwrites nothing that was edited since",
        _HUB,
        '    if state == "edited" and not target.is_edited:\n',
        f"{_OF_HUB}::test_edited_file_is_not_overwritten",
    ),
    Guard(
        "kavach-jupyter: edited files stay",
        "disable removes nothing that was edited since",
        _HUB,
        '    return "written" if digest_of(content) == digest else "edited"\n',
        '    return "written"\n',
        f"{_OF_HUB}::test_edited_file_is_not_removed",
    ),
    Guard(
        "kavach-jupyter: directories of others",
        "enable writes nothing where others decide what lies there",
        _HUB,
        "        check_owned_directory(os.path.dirname(target.path), {scope.owner})\n",
        "        pass\n",
        f"{_OF_HUB}::test_directory_that_others_can_write_is_refused",
    ),
    condition_off(
        "kavach-jupyter: names in the manifest",
        "disable removes nothing that no installation has",
        "hub/manifest.py",
        "        if path not in known:\n",
        f"{_OF_HUB}::test_manifest_that_names_something_else_is_refused",
    ),
    condition_off(
        "kavach-jupyter: directories in the manifest",
        "disable removes no directory in which nothing was installed",
        "hub/manifest.py",
        "        if path not in above:\n",
        f"{_OF_HUB}::test_manifest_that_names_something_else_is_refused",
    ),
    Guard(
        "hub: kernels that are started",
        "a server starts no kernel that is not among the sandboxed ones, by whatever name",
        "hub/kernelspecs.py",
        "        if directory is None:\n            raise NoSuchKernel(kernel_name)\n",
        "        if directory is None:\n            return super().get_kernel_spec(kernel_name)\n",
        "tests/unit/hub/test_kernelspecs.py::test_kernel_of_a_user_is_not_started_by_name"
        " tests/unit/hub/test_kernelspecs.py::test_name_python3_falls_back_to_nothing",
    ),
    Guard(
        "hub: kernels that others can write",
        "a sandboxed kernel whose file others can write is left out",
        "hub/kernelspecs.py",
        "        except FileRefused as error:\n"
        '            self.log.warning("this kernel is left out: %s", error)\n'
        "            return False\n",
        "        except FileRefused:\n            return True\n",
        "tests/unit/hub/test_kernelspecs.py::test_kernel_that_others_can_write_is_left_out",
    ),
    Guard(
        "floor: what a session may do",
        "what every cell of a notebook may do is no looser than the policy files",
        "front/making.py",
        "    return floor.tighten(policy.replace(session=_NAME, stdin=asks))\n",
        "    return policy.replace(session=_NAME, stdin=asks)\n",
        _OF_SESSIONS,
    ),
    Guard(
        "floor: sessions that began before",
        "a session runs no cell once a policy file forbids what it may do",
        "front/broker.py",
        "        check_still_allowed(made.policy, self._settings)\n",
        "        pass\n",
        _OF_SESSIONS,
    ),
    Guard(
        "floor: %kavach off",
        "cells leave the sandbox only where every policy file allows it",
        "front/broker_commands.py",
        '        settings.floor().check_off("%kavach off")\n',
        "        pass\n",
        _OF_SESSIONS,
    ),
    Guard(
        "floor: the audit",
        "no setting takes back an audit that a policy file asks for",
        "front/auditing.py",
        "        stricter(settings.audit, settings.floor().audit),\n",
        "        AuditMode(settings.audit),\n",
        _OF_AUDIT,
    ),
)
