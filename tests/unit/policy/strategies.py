"""What hypothesis draws policies from.

The alphabets are small on purpose: paths that lie in each other, prefixes that begin alike and
names that occur twice are where the algebra can go wrong.
"""

from __future__ import annotations

from hypothesis import strategies as st

from kavach_ipy.policy import Network, Policy
from kavach_ipy.policy.units import LARGEST, LONGEST, SHORTEST

NAMES = ("a", "df", "größe", "x1")
PATTERNS = ("*", "A", "A*", "AB", "AB*", "AB_C", "B", "B_*", "LC_*", "PATH")
VARIABLES = ("A", "AB", "AB_C", "ABX", "AX", "B", "B_", "B_X", "BX", "LC_ALL", "PATH", "PATHX")

_STEPS = st.lists(st.sampled_from(("a", "b", "ab")), max_size=3)
# Joined from a list: st.text() would merge these few into the range of all characters, where they
# are almost never drawn. "\udcff" stands for the byte 0xff, as os.fsdecode() writes it.
_ODD = ("\udcff", "\udc80", '"', "\\", "\n", "\x1b", "\u202e", "\U000e0041", "é", ",", " ", "a")
_ODD_STEPS = (
    st.lists(
        st.sampled_from(_ODD) | st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
        min_size=1,
        max_size=6,
    )
    .map("".join)
    .filter(lambda step: step not in (".", ".."))
)

paths = _STEPS.map(lambda steps: "/" + "/".join(steps))
odd_paths = st.lists(_ODD_STEPS, min_size=1, max_size=3).map(lambda steps: "/" + "/".join(steps))
sizes = st.integers(1 << 20, LARGEST)
counts = st.integers(16, LARGEST)
durations = st.floats(SHORTEST, LONGEST)


def lies_in(path: str, top: str) -> bool:
    """Tell whether path is top or below it; written anew, to judge what is tested."""
    parts, top_parts = path.strip("/").split("/"), top.strip("/").split("/")
    return top == "/" or parts[: len(top_parts)] == top_parts


def _is_own(path: str) -> bool:
    return any(lies_in(path, own) for own in ("/proc", "/dev"))


@st.composite
def policies(
    draw: st.DrawFn,
    *,
    sessions: tuple[str | None, ...] = (None, "model-1"),
    places: st.SearchStrategy[str] = paths,
) -> Policy:
    """Draw any valid policy."""
    clean = draw(st.booleans())
    networks = list(Network) if clean else [Network.NONE, Network.LOOPBACK]
    may_hide = places.filter(lambda path: path != "/" and not _is_own(path))
    hidden = draw(st.sets(may_hide, max_size=2))
    shown = places.filter(lambda path: not any(lies_in(path, top) for top in hidden))
    marks = draw(st.dictionaries(shown, st.booleans(), max_size=4))
    names = st.none() | st.sets(st.sampled_from(NAMES))
    return Policy(
        network=draw(st.sampled_from(networks)),
        inputs=draw(names),
        outputs=draw(names),
        timeout=draw(st.none() | durations),
        cpu=draw(durations),
        memory=draw(sizes),
        pids=draw(counts),
        files=draw(counts),
        disk=draw(sizes),
        output=draw(sizes),
        messages=draw(counts),
        read_only=[path for path, may_write in marks.items() if not may_write],
        writable=[path for path, may_write in marks.items() if may_write],
        hidden=hidden,
        environment=draw(st.sets(st.sampled_from(PATTERNS))),
        clean=clean,
        session=draw(st.sampled_from(sessions)),
        trust=draw(st.booleans()),
        stdin=draw(st.booleans()),
        trust_display=draw(st.booleans()),
    )
