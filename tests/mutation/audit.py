"""The audit: what is recorded, what a cell cannot reach, and what a verifier finds."""

from __future__ import annotations

from tests.mutation.guard import Guard, condition_off

__all__ = ["GUARDS"]

_CONTRACT = "tests/contract/test_audit.py"
_CHAIN = "tests/unit/audit/test_chain.py"
_ESCAPE = "tests/escape/test_audit_key.py"
_VERIFY = "audit/verify.py"
_TOUCHED = f"{_CONTRACT}::test_log_that_somebody_touches_is_noticed_with_the_next_cell"
_REQUIRED = f"{_CONTRACT}::test_required_audit_that_cannot_be_opened_runs_nothing"

GUARDS = (
    Guard(
        "audit: log out of reach",
        "no path leads a cell to the log or its key",
        "audit/hiding.py",
        "            hidden.add(path)\n",
        "            pass\n",
        f"{_ESCAPE}::test_no_path_leads_a_cell_to_the_log_or_its_key",
    ),
    Guard(
        "audit: logs that are not there yet",
        "a session that began before the first log sees none come",
        "audit/record.py",
        "            os.makedirs(self.directory, mode=0o700, exist_ok=True)\n",
        "            pass\n",
        "tests/unit/audit/test_hiding.py",
    ),
    condition_off(
        "audit: log that cannot be hidden",
        "where the log cannot be hidden, nothing runs",
        "audit/hiding.py",
        "        elif any(covers(top, path) for top in shown if top not in _OWN):\n",
        f"{_ESCAPE}::test_log_that_cannot_be_hidden_is_refused",
    ),
    Guard(
        "audit: required",
        "no cell runs that cannot be recorded",
        "audit/record.py",
        "            if self.mode is not AuditMode.REQUIRED:\n",
        "            if True:\n",
        _REQUIRED,
    ),
    condition_off(
        "audit: place of the logs",
        "logs do not lie where others take them away",
        "audit/files.py",
        "    if is_shared or found.st_uid not in (0, os.geteuid()):\n",
        _REQUIRED,
    ),
    Guard(
        "audit: key for all",
        "a key that other users read is none",
        "audit/files.py",
        " or found.st_mode & 0o027 or",
        " or",
        _REQUIRED,
    ),
    Guard(
        "audit: log that is found",
        "what stands at a log's name already is not written to",
        "audit/files.py",
        "os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW",
        "os.O_CREAT | os.O_CLOEXEC",
        f"{_CONTRACT}::test_symbolic_link_in_the_place_of_a_log_is_not_followed",
    ),
    Guard(
        "audit: touched log",
        "a log that somebody else touched is not gone on with",
        "audit/writer.py",
        "        return found.st_size != self._size or not found.st_nlink\n",
        "        return False\n",
        _TOUCHED,
    ),
    Guard(
        "audit: part of a line",
        "a line for which there is no room is taken back",
        "audit/writer.py",
        "            os.ftruncate(self._log, self._size)\n",
        "            pass\n",
        f"{_CONTRACT}::test_what_could_not_be_written_is_written_once_there_is_room",
    ),
    Guard(
        "audit: event that waits",
        "an event that could not be written is written later",
        "audit/record.py",
        "            self._unwritten.append((number, members))\n",
        "            self._unwritten.clear()\n",
        f"{_CONTRACT}::test_what_could_not_be_written_is_written_once_there_is_room",
    ),
    condition_off(
        "audit: fork of the notebook's own",
        "two processes do not write one log",
        "audit/record.py",
        "        if self._owner != os.getpid():\n",
        f"{_CONTRACT}::test_fork_of_the_notebooks_own_has_a_log_of_its_own",
    ),
    Guard(
        "audit: end of a killed kernel",
        "a kernel that is killed leaves a log with an end",
        "audit/writer.py",
        '        log.close("the kernel process ended, or closed its end, without a word")\n',
        "        pass\n",
        f"{_CONTRACT}::test_two_kernels_write_two_logs_and_a_killed_one_leaves_an_end",
    ),
    Guard(
        "audit: text of cells",
        "the text of a cell is in no log that was not asked for it",
        "audit/events.py",
        "    if with_code:\n",
        "    if True:\n",
        f"{_CONTRACT}::test_text_of_a_cell_is_kept_only_where_that_is_asked_for",
    ),
    Guard(
        "audit: what a cell said",
        "what a cell raised is in no log",
        "audit/events.py",
        '            return _end("failed", failure.name, "")\n',
        '            return _end("failed", failure.name, failure.text)\n',
        f"{_CONTRACT}::test_text_of_a_cell_is_kept_only_where_that_is_asked_for",
    ),
    Guard(
        "audit: hostile text",
        "a claim of a front end is plain text on its line",
        "audit/events.py",
        "    return None if value is None else clean_line(value, limit)\n",
        "    return value\n",
        f"{_CONTRACT}::test_hostile_names_stay_on_their_line_and_bounded",
    ),
    Guard(
        "audit: keys that are forgotten",
        "a later key makes no earlier line",
        "audit/chain.py",
        "        self._key = next_key(self._key)\n",
        "        pass\n",
        f"{_CHAIN}::test_later_key_does_not_make_an_earlier_line",
    ),
    condition_off(
        "audit: MAC of a line",
        "a changed line is found",
        _VERIFY,
        "        if not hmac.compare_digest(mac_of(self._key, verdict.mac, body), mac):\n",
        _CHAIN,
    ),
    condition_off(
        "audit: behind the end",
        "nothing stands behind the end of a log",
        _VERIFY,
        "        if verdict.is_closed:\n",
        f"{_CHAIN}::test_line_behind_the_end_is_found_although_its_key_was_the_one_due",
    ),
    condition_off(
        "audit: head",
        "a log that was cut at the end is found",
        _VERIFY,
        "    if lines > verdict.lines:\n",
        f"{_CHAIN}::test_log_that_was_cut_anywhere_is_found",
    ),
    condition_off(
        "audit: no head",
        "a log whose end nobody knows is not called intact",
        _VERIFY,
        "    if told is None and expected is None:\n",
        f"{_CHAIN}::test_cut_log_without_a_head_is_not_called_intact",
    ),
    condition_off(
        "audit: what was kept elsewhere",
        "a number that was kept elsewhere is held against the log",
        _VERIFY,
        "    if expected is not None and not reader.met:\n",
        f"{_CHAIN}::test_cut_log_with_an_older_head_needs_what_was_kept_elsewhere",
    ),
)
