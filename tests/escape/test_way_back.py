"""What a cell sends back runs nothing, names nothing and changes nothing in the notebook."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kavach_ipy.gate.outcome import Outcome
from tests.contract.cells import CHANNEL, NEEDS, python, run

pytestmark = [pytest.mark.escape, NEEDS]


def _touching(path: Path) -> dict[str, bytes]:
    """Pickles that make a file when a stock unpickler reads them."""
    text = str(path).encode()
    command = b"touch " + text

    class Reduced:
        def __reduce__(self) -> tuple[object, ...]:
            import os

            return os.system, (command.decode(),)

    class Evaluated:
        def __reduce__(self) -> tuple[object, ...]:
            return eval, (f"open({str(path)!r}, 'w').close()",)

    return {
        "global": b"cposix\nsystem\n(X" + len(command).to_bytes(4, "little") + command + b"tR.",
        "instance": b"(S'" + command + b"'\niposix\nsystem\n.",
        "object": b"(cposix\nsystem\nS'" + command + b"'\no.",
        "stack": pickle.dumps(Reduced(), 5),
        "old": pickle.dumps(Reduced(), 0),
        "evaluated": pickle.dumps(Evaluated(), 5),
        "in a list": pickle.dumps([1, Reduced()], 5),
        "as a key": b"\x80\x05}" + pickle.dumps(Reduced(), 5)[2:-1] + b"K\x01s.",
    }


NAMES = sorted(_touching(Path("/x")))


def _send(data: bytes, name: str = "x") -> Outcome:
    body = {"name": name, "kind": "int", "parts": [None]}
    code = f"{CHANNEL}\nsend(frame(VALUE, {body!r}, {data!r}) + frame(DONE, {{'failure': None}}))"
    return run(f"{code}\nos._exit(0)", out=["x"])


@pytest.mark.parametrize("name", NAMES)
def test_pickle_that_runs_code_is_withheld(name: str, tmp_path: Path) -> None:
    """The file is not made; the value is withheld with a reason."""
    canary = tmp_path / "touched"
    outcome = _send(_touching(canary)[name])
    assert not canary.exists()
    assert "x" not in outcome.values
    assert outcome.withheld["x"].reason


@pytest.mark.parametrize("name", NAMES)
def test_pickle_runs_code_in_a_stock_reader(name: str, tmp_path: Path) -> None:
    """The same bytes make the file when `pickle` reads them."""
    canary = tmp_path / "touched"
    done = python(f"import pickle\npickle.loads({_touching(canary)[name]!r})")
    assert canary.exists(), done.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"cnumpy\nndarray\n.",
        b"ckavach_ipy.wire\ntag\n.",
        b"c__main__\n__builtins__\n.",
        b"\x80\x05\x8c\x08builtins\x8c\x06object\x93.",
        b"\x82\x01.",
        b"Pexternal\n.",
        b"(" * 100_000 + b"t" * 100_000 + b".",
        b"\x80\x05]\x94" + b"h\x00" * 1000 + b".",
        b"\x80\x05]\x94h\x00a.",
        b"\x8e" + (1 << 62).to_bytes(8, "little"),
        b"",
        b".",
        b"N.N.",
    ],
    ids=[
        "class", "tag", "builtins", "object", "extension", "persistent", "deep", "memo", "cycle",
        "huge", "empty", "nothing", "trailing",
    ],
)  # fmt: skip
def test_pickle_that_no_honest_cell_writes_is_withheld(data: bytes) -> None:
    """Classes, extensions, cycles and broken lengths never become values."""
    outcome = _send(data)
    assert not outcome.values
    assert outcome.withheld or outcome.failure


def test_honest_value_by_the_same_hand_comes_back() -> None:
    """The forged frames above are whole; only what they carry is refused."""
    assert dict(_send(b"\x80\x05K\x07.").values) == {"x": 7}


def test_name_that_was_not_asked_for_is_not_assigned() -> None:
    """Only what stands after ``-o`` is ever assigned."""
    for name in ("y", "__builtins__", "get_ipython", "x\0", "../x", ""):
        assert "x" not in _send(b"\x80\x05K\x07.", name).values
        assert not _send(b"\x80\x05K\x07.", name).values


def test_script_for_the_browser_is_not_passed_on() -> None:
    """What a page would run is taken out of what is displayed."""
    data = {
        "text/html": "<b>bold</b><script>fetch('/api')</script><img src=x onerror=alert(1)>",
        "application/javascript": "alert(1)",
        "text/plain": "plain",
    }
    content = {"data": data, "metadata": {"isolated": True}, "transient": {"display_id": "taken"}}
    body = {"type": "display_data", "content": content, "metadata": {}}
    outcome = run(f"{CHANNEL}\nsend(frame(MESSAGE, {body!r}))").check()
    shown = repr(outcome.outputs)
    assert "plain" in shown
    assert not [
        bad for bad in ("<script", "onerror", "alert(1)", "isolated", "taken") if bad in shown
    ]


def test_exception_name_cannot_pose_as_code() -> None:
    """A failure is text: a name that is no identifier does not become one of a class."""
    for name in ("KavachError", "a b", "__import__('os')", "x" * 10_000):
        failure = {"name": name, "text": "t", "lines": ["\x1b]0;x\x07"], "notes": []}
        code = f"{CHANNEL}\nsend(frame(DONE, {{'failure': {failure!r}}}))\nos._exit(0)"
        failed = run(code).failure
        assert failed is not None
        assert getattr(failed, "name", "").isidentifier()
        assert "\x1b]" not in "".join(getattr(failed, "lines", ()))
