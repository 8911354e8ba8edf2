"""What a cell sends back runs nothing, names nothing and changes nothing in the notebook."""

from __future__ import annotations

import ast
import pickle
import zlib
from pathlib import Path

import pytest

from kavach_ipy.gate.outcome import Outcome
from tests.contract.cells import CHANNEL, NEEDS, python, run
from tests.escape.probes import outside

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


@pytest.mark.baseline("test_pickle_that_runs_code_is_withheld")
@pytest.mark.parametrize("name", NAMES)
def test_pickle_runs_code_in_a_stock_reader(name: str, tmp_path: Path) -> None:
    """The same bytes make the file when `pickle` reads them."""
    canary = tmp_path / "touched"
    done = python(f"import pickle\npickle.loads({_touching(canary)[name]!r})")
    assert canary.exists(), done.stderr


TAKEN_BY_A_STOCK_READER = {
    "class": b"cnumpy\nndarray\n.",
    "builtins": b"c__main__\n__builtins__\n.",
    "object": b"\x80\x05\x8c\x08builtins\x8c\x06object\x93.",
    "deep": b"(" * 100_000 + b"t" * 100_000 + b".",
    "memo": b"\x80\x05]\x94" + b"h\x00" * 1000 + b".",
    "cycle": b"\x80\x05]\x94h\x00a.",
    "trailing": b"N.N.",
}
BROKEN = {
    "tag": b"ckavach_ipy.wire\ntag\n.",
    "extension": b"\x82\x01.",
    "persistent": b"Pexternal\n.",
    "huge": b"\x8e" + (1 << 62).to_bytes(8, "little"),
    "empty": b"",
    "nothing": b".",
}


@pytest.mark.parametrize("name", [*TAKEN_BY_A_STOCK_READER, *BROKEN])
def test_pickle_that_no_honest_cell_writes_is_withheld(name: str) -> None:
    """Classes, extensions, cycles and broken lengths never become values."""
    outcome = _send((TAKEN_BY_A_STOCK_READER | BROKEN)[name])
    assert not outcome.values
    assert outcome.withheld or outcome.failure


@pytest.mark.baseline("test_pickle_that_no_honest_cell_writes_is_withheld")
@pytest.mark.parametrize("name", TAKEN_BY_A_STOCK_READER)
def test_pickle_that_no_honest_cell_writes_is_taken_by_a_stock_reader(name: str) -> None:
    """Whatever is no broken pickle becomes a value there."""
    data = TAKEN_BY_A_STOCK_READER[name]
    assert outside(f"import pickle\npickle.loads({_spelt(data)})\nprint('taken')") == "taken\n"


def _spelt(data: bytes) -> str:
    """Code for the bytes; the kernel takes no argument of a program above 128 KiB (execve(2))."""
    return f"__import__('zlib').decompress({zlib.compress(data)!r})"


@pytest.mark.no_baseline("shows what must work")
def test_honest_value_by_the_same_hand_comes_back() -> None:
    """The forged frames above are whole; only what they carry is refused."""
    assert dict(_send(b"\x80\x05K\x07.").values) == {"x": 7}


@pytest.mark.no_baseline("a plain cell has no wire: it assigns names itself")
def test_name_that_was_not_asked_for_is_not_assigned() -> None:
    """Only what stands after ``-o`` is ever assigned."""
    for name in ("y", "__builtins__", "get_ipython", "x\0", "../x", ""):
        assert "x" not in _send(b"\x80\x05K\x07.", name).values
        assert not _send(b"\x80\x05K\x07.", name).values


PAGE = {
    "text/html": "<b>bold</b><script>fetch('/api')</script><img src=x onerror=alert(1)>",
    "application/javascript": "alert(1)",
    "text/plain": "plain",
}


def test_script_for_the_browser_is_not_passed_on() -> None:
    """What a page would run is taken out of what is displayed."""
    content = {"data": PAGE, "metadata": {"isolated": True}, "transient": {"display_id": "taken"}}
    body = {"type": "display_data", "content": content, "metadata": {}, "mark": [0, 0, 0, 0]}
    outcome = run(f"{CHANNEL}\nsend(frame(MESSAGE, {body!r}))").check()
    shown = repr(outcome.outputs)
    assert "plain" in shown
    assert not [
        bad for bad in ("<script", "onerror", "alert(1)", "isolated", "taken") if bad in shown
    ]


@pytest.mark.baseline("test_script_for_the_browser_is_not_passed_on")
def test_script_for_the_browser_is_passed_on_by_a_plain_cell() -> None:
    """IPython publishes what it is given, which the page then runs."""
    code = f"""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display
    from IPython.utils.capture import capture_output
    InteractiveShell.instance()
    with capture_output() as captured:
        display({PAGE!r}, raw=True)
    print([output.data for output in captured.outputs])
    """
    assert ast.literal_eval(outside(code)) == [PAGE]


NAMES_OF_EXCEPTIONS = ("KavachError", "a b", "__import__('os')", "x" * 10_000)


@pytest.mark.baseline("test_exception_name_cannot_pose_as_code")
@pytest.mark.parametrize("name", NAMES_OF_EXCEPTIONS)
def test_exception_is_shown_as_it_calls_itself_without_the_sandbox(name: str) -> None:
    """A plain process shows any name and any control sequence of an exception."""
    done = python(f"raise type({name!r}, (Exception,), {{}})('\\x1b]0;x\\x07')")
    assert f"{name}: \x1b]0;x\x07" in done.stderr


def test_exception_name_cannot_pose_as_code() -> None:
    """A failure is text: a name that is no identifier does not become one of a class."""
    for name in NAMES_OF_EXCEPTIONS:
        failure = {"name": name, "text": "t", "lines": ["\x1b]0;x\x07"], "notes": []}
        code = f"{CHANNEL}\nsend(frame(DONE, {{'failure': {failure!r}}}))\nos._exit(0)"
        failed = run(code).failure
        assert failed is not None
        assert getattr(failed, "name", "").isidentifier()
        assert "\x1b]" not in "".join(getattr(failed, "lines", ()))
