"""The chain: what was written reads as intact, and nothing else does."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.audit.chain import HEAD_BYTES, LONGEST, Chain, chain_key, next_key, parse_secret
from kavach_ipy.audit.command import main
from kavach_ipy.audit.verify import Expected, Verdict, verify_log
from tests.unit.audit.logs import NAME, SECRET, intact, lines_of, write_log

CELLS = 4
LINES, HEAD = lines_of(CELLS)
WHOLE = b"".join(LINES)
COUNT = len(LINES)
PLACES = st.integers(0, COUNT - 1)
ENDS = [len(b"".join(LINES[:count])) for count in range(1, COUNT)]


def _verdict(data: bytes, head: bytes | None = HEAD, expected: Expected | None = None) -> Verdict:
    with tempfile.TemporaryDirectory() as place:
        return verify_log(write_log(Path(place), data, head), SECRET, expected=expected)


def _where(data: bytes, head: bytes | None = HEAD) -> int:
    """The line that is named as wrong, counted from 1."""
    verdict = _verdict(data, head)
    assert verdict.problem is not None
    return verdict.problem.line


@given(cells=st.integers(0, 20), is_closed=st.booleans())
def test_log_that_nobody_touched_is_intact(cells: int, is_closed: bool) -> None:
    """Closed or open, of any length, and a second verifier agrees."""
    lines, head = lines_of(cells, is_closed=is_closed)
    verdict = _verdict(b"".join(lines), head)
    assert verdict.is_intact, verdict.problem
    assert verdict.lines == len(lines) == intact(b"".join(lines))
    assert verdict.is_closed == is_closed


@given(place=st.integers(0, len(WHOLE) - 1), change=st.integers(1, 255))
def test_changed_byte_is_found_at_its_line(place: int, change: int) -> None:
    """Whichever byte is changed to whatever: the line is named, or the next where lines joined."""
    data = bytearray(WHOLE)
    data[place] ^= change
    line = WHOLE[:place].count(b"\n") + 1
    assert _where(bytes(data)) == line


@given(place=PLACES)
def test_line_that_was_taken_out_is_found(place: int) -> None:
    """The line that stands in its place is named; of the last one, the head tells."""
    data = b"".join(LINES[:place] + LINES[place + 1 :])
    assert _where(data) == (place + 1 if place < COUNT - 1 else 0)


@given(first=PLACES, second=PLACES)
def test_lines_that_changed_places_are_found(first: int, second: int) -> None:
    """The earlier of the two is named."""
    lines = [*LINES]
    lines[first], lines[second] = lines[second], lines[first]
    if first == second:
        assert _verdict(b"".join(lines)).is_intact
    else:
        assert _where(b"".join(lines)) == min(first, second) + 1


@given(place=PLACES, at=PLACES)
def test_line_that_stands_twice_is_found(place: int, at: int) -> None:
    """Wherever its copy is put, the first line that is not where it was is named."""
    lines = [*LINES[:at], LINES[place], *LINES[at:]]
    moved = next((i for i, line in enumerate(lines) if i >= COUNT or line != LINES[i]), None)
    assert moved is not None
    assert _where(b"".join(lines)) == moved + 1


@given(data=st.binary(min_size=1, max_size=200))
def test_whatever_is_appended_is_found(data: bytes) -> None:
    """Behind the end of a log stands nothing."""
    assert _where(WHOLE + data) == COUNT + 1


def test_line_behind_the_end_is_found_although_its_key_was_the_one_due() -> None:
    """As by who takes the writer over in its last moment: what was closed stays closed."""
    chain = Chain(SECRET, NAME)
    lines = []
    for kind, members in (("open", f'"chain":"{NAME}"'), ("close", ""), ("cell", '"cell":1')):
        link = chain.link(kind, members.encode())
        chain.written(link)
        lines.append(link.data)
    assert intact(b"".join(lines)) == 3, "every MAC fits"
    assert _where(b"".join(lines), chain.head("closed")) == 3
    assert _verdict(b"".join(lines[:2]), None).is_intact


@given(data=st.data(), is_closed=st.booleans())
def test_log_that_was_cut_anywhere_is_found(data: st.DataObject, is_closed: bool) -> None:
    """Within a line it is torn; between two, the head says how many there were."""
    lines, head = lines_of(CELLS, is_closed=is_closed)
    whole = b"".join(lines)
    ends = [len(b"".join(lines[:count])) for count in range(1, len(lines))]
    cut = whole[: data.draw(st.sampled_from(ends) | st.integers(0, len(whole) - 1))]
    torn = 0 if cut.endswith(b"\n") or not cut else cut.count(b"\n") + 1
    assert _where(cut, head) == torn


# Between two lines nothing is torn, and only the missing head tells.
@given(end=st.sampled_from(ENDS) | st.integers(0, len(WHOLE) - 1))
def test_cut_log_without_a_head_is_not_called_intact(end: int) -> None:
    """Who takes the head away as well gains nothing."""
    assert not _verdict(WHOLE[:end], None).is_intact


def test_cut_log_with_an_older_head_needs_what_was_kept_elsewhere() -> None:
    """The one truncation that only a number kept elsewhere shows, as the page says."""
    lines, _ = lines_of(CELLS, is_closed=False)
    older, head = lines_of(CELLS - 1, is_closed=False)
    data = b"".join(older)
    assert lines[: len(older)] == older
    assert _verdict(data, head).is_intact
    last = json.loads(lines[-1])["mac"]
    kept = Expected.parse(f"{len(lines)}:{last}")
    problem = _verdict(data, head, expected=kept).problem
    assert problem is not None
    assert f"{len(lines)} lines were expected" in problem.reason
    assert _verdict(b"".join(lines), None, expected=kept).is_intact


def test_expected_line_that_is_another_is_found() -> None:
    """A log that was written anew from some line on does not meet what was kept."""
    kept = Expected(3, bytes(32))
    problem = _verdict(WHOLE, expected=kept).problem
    assert problem is not None
    assert "another MAC" in problem.reason


@given(place=st.integers(0, HEAD_BYTES - 1), change=st.integers(1, 255))
def test_changed_head_is_found(place: int, change: int) -> None:
    """But for its blanks, no byte of a head can be changed, and a torn one is no head."""
    head = bytearray(HEAD)
    head[place] ^= change
    is_blank = place >= len(HEAD.rstrip())
    if not is_blank:
        assert not _verdict(WHOLE, bytes(head)).is_intact
    if place < HEAD_BYTES - 1:
        assert not _verdict(WHOLE, HEAD[:place]).is_intact


def test_line_of_another_log_is_found() -> None:
    """Two logs of one key have two chains: nothing can be carried from one to the other."""
    other, head = lines_of(CELLS, name="f" * 32)
    assert _where(b"".join([*LINES[:3], other[3], *LINES[4:]])) == 4
    assert _where(WHOLE, head) == 0


def test_another_key_is_found_at_the_first_line() -> None:
    """And the sentence says that it may be the key."""
    with tempfile.TemporaryDirectory() as place:
        verdict = verify_log(write_log(Path(place), WHOLE, HEAD), bytes(32))
    assert verdict.problem is not None
    assert verdict.problem.line == 1
    assert "not the key" in verdict.problem.reason


def test_later_key_does_not_make_an_earlier_line() -> None:
    """Who has the key of line 5 can write from there on, and change nothing before."""
    key = chain_key(SECRET, NAME)
    keys = [key := next_key(key) for _ in range(9)]
    assert len({chain_key(SECRET, NAME), *keys}) == 10
    chain = Chain(SECRET, NAME)
    for line in LINES[:5]:
        chain.written(chain.link(json.loads(line)["kind"], b""))
    held = {getattr(chain, name) for name in Chain.__slots__ if name.endswith("_key")}
    assert keys[4] in held
    assert held.isdisjoint({SECRET, chain_key(SECRET, NAME), *keys[:4]})


@pytest.mark.parametrize("members", [b'"a":"\n"', b'"a":"' + b"x" * LONGEST + b'"'])
def test_what_is_no_line_is_not_written(members: bytes) -> None:
    """A line end, or too much, is an error before anything is in the file."""
    chain = Chain(SECRET, NAME)
    with pytest.raises(ValueError, match="no line"):
        chain.link("cell", members)
    assert chain.lines == 0


@pytest.mark.parametrize("text", ["", "0" * 63, "g" * 64, "0" * 64 + "\n\n", "0" * 65])
def test_what_is_no_key_is_refused(text: str) -> None:
    """64 hexadecimal digits and one line end at most."""
    assert parse_secret(text.encode()) is None
    assert parse_secret(b"0" * 64 + b"\n") == bytes(32)


def test_command_says_where_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status and one line: intact, not intact, or not to be read."""
    path = write_log(tmp_path, WHOLE, HEAD)
    assert main(["verify", path]) == 0
    said = capsys.readouterr().out
    assert "intact, closed" in said
    kept = said.split("--expect ")[1].strip()
    assert main(["verify", path, "--expect", kept]) == 0
    Path(path).write_bytes(WHOLE.replace(b'"ok"', b'"no"', 1))
    assert main(["verify", path]) == 1
    assert "NOT INTACT: line 3: its MAC does not fit" in capsys.readouterr().out
    assert main(["verify", path, "--key", str(tmp_path / "none")]) == 2
    assert main(["verify", path, "--expect", "many"]) == 2
    assert main(["verify", str(tmp_path)]) == 2
    assert "cannot be checked" in capsys.readouterr().err


@given(data=st.binary(max_size=400))
def test_verifier_reads_anything(data: bytes) -> None:
    """Whatever stands in a file, it has a verdict, and only what was written is intact."""
    for text in (data, LINES[0] + data, b"{" + data + b"}\n"):
        assert not _verdict(text, None).is_intact


def test_log_that_is_being_written_is_not_called_cut(tmp_path: Path) -> None:
    """The head is read before the log, so it is never ahead of it, whenever somebody looks."""
    path = write_log(tmp_path, b"", b"")
    chain = Chain(SECRET, NAME)

    def write(kind: str, members: str) -> None:
        link = chain.link(kind, members.encode())
        with open(path, "ab", buffering=0) as log:
            log.write(link.data)
        chain.written(link)
        # In place, as the writer does: a head is never seen without its bytes.
        with open(f"{path}.head", "r+b", buffering=0) as head:
            head.write(chain.head("open"))

    write("open", f'"chain":"{NAME}"')

    def write_all() -> None:
        for cell in range(500):
            write("begin", f'"cell":{cell}')

    writer = threading.Thread(target=write_all)
    writer.start()
    verdicts = []
    while writer.is_alive():
        verdicts.append(verify_log(path, SECRET))
    writer.join()
    problems = [verdict.problem.reason for verdict in verdicts if verdict.problem is not None]
    # A line that crosses a page may be read in the middle of its write, and the reason says so.
    assert [reason for reason in problems if "at this moment" not in reason] == []
    assert verify_log(path, SECRET).lines == 501
