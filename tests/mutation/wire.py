"""The wire: what a frame, a document and the arena may be before anybody reads what they say."""

from __future__ import annotations

from tests.mutation.guard import Guard, condition_off

__all__ = ["GUARDS"]

_FRAMES = "wire/frames.py"
_DOCUMENTS = "wire/documents.py"
_ARENA = "wire/arena.py"
_MESSAGES = "wire/messages.py"
_DECODED = "tests/unit/wire/test_frames.py::test_decoder_refuses_a_length_before_its_bytes_arrive"
_READ = "tests/unit/wire/test_documents.py"
_SEALED = "tests/unit/wire/test_arena.py"
_SAID = "tests/unit/wire/test_messages.py"
_VALUES = "tests/unit/gate/test_values.py"


GUARDS = (
    condition_off(
        "version of the wire",
        "bytes of another protocol are no frame",
        _FRAMES,
        "        if magic != _MAGIC or version != _VERSION:\n",
        _DECODED,
    ),
    condition_off(
        "number of buffers",
        "a frame announces a bounded number of buffers",
        _FRAMES,
        "    if count > limits.buffers:\n",
        _DECODED,
    ),
    condition_off(
        "size of a body",
        "a body that is too large is not waited for",
        _FRAMES,
        "    if body > limits.body:\n",
        _DECODED,
    ),
    condition_off(
        "size of a buffer",
        "a buffer that is too large is not waited for",
        _FRAMES,
        "    if longest > limits.buffer:\n",
        _DECODED,
    ),
    condition_off(
        "size of a frame",
        "a frame that is too large is not waited for",
        _FRAMES,
        "    if total > limits.total:\n",
        _DECODED,
    ),
    condition_off(
        "stream that is broken",
        "nothing is read behind a fault",
        _FRAMES,
        "        if self._error is not None:\n",
        "tests/unit/wire/test_frames.py",
    ),
    condition_off(
        "depth of a document",
        "no document takes the interpreter's C stack",
        _DOCUMENTS,
        "    if max(accumulate(steps), default=0) > MAX_DEPTH:\n",
        f"{_READ}::test_deep_documents_are_refused_without_recursion",
    ),
    condition_off(
        "values of a document",
        "a document holds a bounded number of values",
        _DOCUMENTS,
        "    if sum(map(outside.count, _MARKS)) > MAX_VALUES:\n",
        f"{_READ}::test_no_document_holds_more_values_than_are_allowed",
    ),
    condition_off(
        "hashes of a document",
        "keys that collide do not take quadratic time",
        _DOCUMENTS,
        "    if sum(map(ne, keys, map(last.__getitem__, hashes))) > _EQUAL_HASHES:\n",
        f"{_READ}::test_keys_that_share_a_hash_are_refused",
    ),
    condition_off(
        "keys of a document",
        "a key means one thing",
        _DOCUMENTS,
        "    if len(made) != len(pairs):\n",
        f"{_READ}::test_what_json_should_not_say_is_refused",
    ),
    Guard(
        "seal of the arena",
        "nobody changes what is being read",
        _ARENA,
        "            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)\n",
        "            pass\n",
        f"{_SEALED}::test_nobody_can_write_after_the_seal"
        f" {_SEALED}::test_seal_refuses_while_a_straggler_maps_it",
    ),
    condition_off(
        "size of the arena",
        "the arena holds no more than was allowed",
        _ARENA,
        "        if status.st_size > self.limit:\n",
        f"{_SEALED}::test_seal_refuses_more_than_the_limit",
    ),
    condition_off(
        "sparse arena",
        "reading the arena takes no memory that nobody wrote",
        _ARENA,
        "        if status.st_blocks * _BLOCK < status.st_size:\n",
        f"{_SEALED}::test_seal_refuses_a_sparse_arena",
    ),
    condition_off(
        "spans outside the arena",
        "a span lies inside the arena, at a page",
        _ARENA,
        "        if offset < 0 or offset % _PAGE or length < 0 or offset + length > self.size:\n",
        f"{_SEALED}::test_spans_outside_are_refused",
    ),
    condition_off(
        "spans that overlap",
        "a span is used once",
        _ARENA,
        "        if self._taken.find(1, first, last) >= 0:\n",
        f"{_SEALED}::test_spans_that_overlap_are_refused",
    ),
    condition_off(
        "types of messages",
        "a cell sends messages of the listed types only",
        _MESSAGES,
        "    if msg_type not in MESSAGE_TYPES:\n",
        f"{_SAID}::test_messages_of_other_types_are_refused",
    ),
    condition_off(
        "types of fields",
        "a field is of exactly its type",
        _MESSAGES,
        "    if type(value) is not kind:\n",
        f"{_SAID}::test_readers_refuse_other_keys_types_and_buffers",
    ),
    condition_off(
        "keys of fields",
        "a frame says what it must and nothing else",
        _MESSAGES,
        "    if record.keys() != keys:\n",
        f"{_SAID}::test_readers_refuse_other_keys_types_and_buffers",
    ),
    condition_off(
        "kinds of frames",
        "a frame is read as what it is",
        _MESSAGES,
        "    if frame.kind is not kind:\n",
        f"{_SAID}::test_readers_refuse_other_kinds",
    ),
    condition_off(
        "number of parts",
        "a value has a bounded number of parts",
        "wire/value_frames.py",
        "    if count > MAX_PARTS:\n",
        f"{_VALUES}::test_the_number_of_parts_is_bounded_at_both_ends",
    ),
    Guard(
        "spans of a value",
        "a place in the arena is two numbers that are not negative",
        "wire/value_frames.py",
        "        if type(offset) is int and type(length) is int and offset >= 0 and length >= 0:\n",
        "        if True:\n",
        f"{_SAID}::test_spans_that_are_not_two_numbers_are_refused",
    ),
)
