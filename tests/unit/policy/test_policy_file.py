"""A policy file: what it may say, and where a refusal points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kavach_ipy.errors import FileRefused, PolicyError
from kavach_ipy.policy import FIELDS, Floor, Network, Policy
from kavach_ipy.policy.file import read_policy_file
from kavach_ipy.policy.file_keys import KEYS, OF_A_CELL, OWN_KEYS

FILE = "/etc/kavach/policy.toml"


def _floor(text: str) -> Floor:
    return Floor((read_policy_file(text.encode(), FILE),))


def _refused(data: bytes) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read_policy_file(data, FILE)
    return caught.value


def test_every_field_of_a_policy_is_bounded_or_a_cells_own() -> None:
    """A field that comes later cannot be forgotten here."""
    bounded = {key.field for key in KEYS} - {""}
    assert bounded | (OF_A_CELL.keys() & set(FIELDS)) == set(FIELDS)
    assert {key.name for key in KEYS} - OWN_KEYS == {key.name for key in KEYS if key.field}
    assert len({key.name for key in KEYS}) == len(KEYS)


def test_file_that_says_nothing_forbids_only_what_reaches_beyond_the_sandbox() -> None:
    """Limits and places stay the user's; the host's network, trust and switching off do not."""
    floor = _floor("# nothing\n")
    generous = Policy(memory="1T", timeout=None, writable=["/srv"], read_only=["/data"])
    floor.check(generous)
    assert floor.tighten(generous) == generous
    assert not floor.allow_off
    assert not floor.allow_trust
    assert not floor.allow_trust_display
    assert floor.audit == "off"
    assert floor.tighten(Policy(clean=True, network="host")).network is Network.LOOPBACK


def test_every_key_is_read() -> None:
    """A file that says everything is what it says."""
    floor = _floor(
        'network = "host"\ntimeout = "1h"\ncpu = 30\nmemory = "1G"\npids = 9\nfiles = 99\n'
        'disk = "1M"\noutput = "1M"\nmessages = 7\nread_only = ["/a"]\nwritable = ["/b"]\n'
        'hidden = ["/c"]\nenvironment = ["LC_*"]\nclean = true\nstdin = false\n'
        'allow_trust = true\nallow_trust_display = true\nallow_off = true\naudit = "required"\n'
    )
    assert floor.allow_off
    assert floor.allow_trust
    assert floor.allow_trust_display
    assert floor.audit == "required"
    loose = Policy(
        network="host",
        clean=True,
        memory="9G",
        stdin=True,
        trust=True,
        read_only=["/a/x", "/z"],
        writable=["/b/x", "/z/y"],
        environment=["LC_ALL", "PATH"],
    )
    assert floor.tighten(loose) == Policy(
        network="host",
        clean=True,
        timeout=3600,
        cpu=30,
        memory="1G",
        pids=9,
        files=99,
        disk="1M",
        output="1M",
        messages=7,
        read_only=["/a/x"],
        writable=["/b/x"],
        hidden=["/c"],
        environment=["LC_ALL"],
        trust=True,
    )


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ('memory = "1G"', Policy(memory="2G")),
        ("timeout = 30", Policy()),
        ('network = "none"', Policy(network="loopback")),
        ("", Policy(network="host", clean=True)),
        ('writable = ["/a"]', Policy(writable=["/b"])),
        ('read_only = ["/a"]', Policy(read_only=["/b"])),
        # Writing is more than reading.
        ('read_only = ["/a"]', Policy(writable=["/a"])),
        ('hidden = ["/a"]', Policy()),
        ('environment = ["LC_*"]', Policy()),
        ("clean = true", Policy()),
        ("stdin = false", Policy(stdin=True)),
        ("", Policy(trust=True)),
        ("", Policy(trust_display=True)),
        ("allow_trust = false", Policy(trust=True)),
    ],
)
def test_what_a_line_forbids_is_refused_with_its_place(text: str, policy: Policy) -> None:
    """The refusal names the file, and the line or that there is none; tightened, it passes."""
    floor = _floor(f"\n# a comment\n{text}\n")
    place = f"{FILE}, line 3, says" if text else f"{FILE} does not mention"
    with pytest.raises(PolicyError) as caught:
        floor.check(policy)
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)
    floor.check(floor.tighten(policy))


def test_reading_is_free_where_only_writing_is_bounded() -> None:
    """``writable`` alone says nothing of what --ro may show."""
    floor = _floor('writable = ["/scratch"]')
    policy = Policy(read_only=["/data"], writable=["/scratch/me"])
    floor.check(policy)
    assert floor.tighten(policy) == policy


def test_refusal_calls_a_field_as_the_person_did() -> None:
    """Who wrote ``--memory 8G`` is not told of a field."""
    with pytest.raises(PolicyError, match=r"^--memory: '8GiB' is not allowed"):
        _floor('memory = "1G"').check(Policy(memory="8G"), {"memory": "--memory"})


def test_of_two_files_the_tighter_line_holds() -> None:
    """A second file cannot take back what the first one says."""
    one = read_policy_file(b'memory = "1G"\nallow_off = true\naudit = "required"', "/one")
    two = read_policy_file(b'memory = "2G"\nallow_off = false\naudit = "off"', "/two")
    for files in ((one, two), (two, one)):
        floor = Floor(files)
        assert floor.tighten(Policy()).memory == 1 << 30
        assert not floor.allow_off
        assert floor.audit == "required"


def test_switching_off_is_refused_with_its_place() -> None:
    """``%kavach off`` is told which line forbids it, and allowed where one says so."""
    with pytest.raises(PolicyError, match=r"policy\.toml, line 2, says allow_off = false"):
        _floor("\nallow_off = false").check_off("%kavach off")
    with pytest.raises(PolicyError, match="does not mention allow_off"):
        _floor("").check_off("%kavach off")
    _floor("allow_off = true").check_off("%kavach off")
    Floor().check_off("%kavach off")


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("memory = \n", 1, 10, "no TOML"),
        ("\nmemroy = 1\n", 2, 1, "did you mean 'memory'"),
        ("pids = 3\n  memory = true\n", 2, 12, "a size is"),
        ('memory = "1MB"', 1, 10, "write M or MiB"),
        ("memory = 0", 1, 10, "a size from"),
        ("memory = nan", 1, 10, "a size from"),
        ("memory = 1979-05-27", 1, 10, "a size is"),
        ("memory.x = 1", 1, 12, "a size is"),
        ('timeout = "soon"', 1, 11, "a time from"),
        ("pids = -1", 1, 8, "a whole number"),
        ('stdin = "no"', 1, 9, "true or false is"),
        ('allow_off = "yes"', 1, 13, "true or false is"),
        ("allow_off = 1", 1, 13, "true or false is"),
        ('audit = "maybe"', 1, 9, '"required"'),
        ('network = "wifi"', 1, 11, '"loopback"'),
        ("network = true", 1, 11, '"loopback"'),
        ('hidden = "/srv"', 1, 10, "a list of texts"),
        ('hidden = [\n  "/srv",\n  7,\n]', 1, 10, "a list of texts"),
        ('a = 1\nhidden = ["~/.ssh"]', 1, 1, "no key"),
        ('hidden = ["~/.ssh"]', 1, 10, "a user decides"),
        ('hidden = ["srv"]', 1, 10, "absolute paths"),
        ('hidden = ["/"]', 1, 10, "nothing runs without"),
        ('read_only = ["/a"]\nwritable = ["/a"]', 1, 13, "name it once"),
        ('environment = ["PA TH"]', 1, 15, "names of environment variables"),
        ("[limits]\nmemory = 1", 1, 1, "'limits' is no key"),
        ("[memory]\nx = 1", 1, 1, "a size is"),
        ('memory = "1G"\nmemory = "2G"', 2, 14, "cannot overwrite"),
        ('text = """\nmemory = 1\n"""\n', 1, 1, "no key"),
        ('inputs = ["a"]', 1, 1, "each cell's own"),
        ("trust = true", 1, 1, "write allow_trust"),
        ('readable = ["/a"]', 1, 1, "write read_only"),
        ('\n"memory" = "x"', 2, 12, "a size from"),
        ("# \u2028memory = 1\npids = 0", 2, 8, "a whole number"),
        ("pids = " + "9" * 5000, 1, 5008, "no TOML"),
        ("\n" * 1001, 1001, 1, "lines"),
    ],
)
def test_what_makes_no_sense_is_refused_with_line_and_column(
    text: str, line: int, column: int, words: str
) -> None:
    """An administrator is led to the character, and told what is allowed there."""
    error = _refused(text.encode())
    assert words in str(error)
    assert str(error).startswith(f"{FILE}, line ")
    assert error.line == line
    if words not in ("no TOML", "cannot overwrite"):
        assert error.column == column
    assert "\n" not in str(error)


def test_what_is_no_text_is_refused_with_line_and_column() -> None:
    """A byte that no UTF-8 has is found."""
    error = _refused(b"# f\xc3\xbcr\npids = \xff")
    assert (error.line, error.column) == (2, 8)


def test_deep_nesting_is_refused() -> None:
    """The parser's recursion limit is no way to an exception that nobody expects."""
    assert "nested" in str(_refused(b"pids = " + b"[" * 60_000))


_PIECES = st.sampled_from(
    [key.name for key in KEYS]
    + ["=", " ", "\n", '"', "'''", "[", "]", "{", "}", ".", ",", "#", "1", "1G", "true", "\\", "\r"]
)


@given(st.binary(max_size=60) | st.lists(_PIECES, max_size=20).map(lambda it: "".join(it).encode()))
def test_any_bytes_are_a_file_or_a_refusal(data: bytes) -> None:
    """Nothing that somebody writes ends in an exception of the parser's."""
    try:
        floor = Floor((read_policy_file(data, FILE),))
    except FileRefused as error:
        where = (error.line, error.column)
    else:
        where = (1, 1)
        floor.check(floor.tighten(Policy()))
    assert min(where) >= 1
