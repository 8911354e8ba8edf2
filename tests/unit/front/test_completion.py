"""Tab: what is offered where."""

from __future__ import annotations

import pytest
from IPython.core.completer import CompletionContext, CompletionSplitter

from kavach_ipy.front.arguments import FRONT_FLAGS
from kavach_ipy.front.completion import COMMANDS, make_matcher
from kavach_ipy.policy import OPTIONS, PROFILES

FLAGS = {flag for option in OPTIONS for flag in option.flags} | set(FRONT_FLAGS)


def offered(before: str, after: str = "") -> set[str]:
    """What the matcher offers between two pieces of a cell."""
    splitter = CompletionSplitter()  # type: ignore[no-untyped-call]
    line = before.rpartition("\n")[2]
    context = CompletionContext(
        token=str(splitter.split_line(line, len(line))),  # type: ignore[no-untyped-call]
        full_text=before + after,
        cursor_position=len(line),
        cursor_line=before.count("\n"),
        limit=None,
    )
    match = make_matcher(lambda: ["mine"], lambda: ["df", "sales"])
    return {completion.text for completion in match(context)["completions"]}


@pytest.mark.parametrize("start", ["%%sandbox ", "%sandbox ", "%%kavach ", "%kavach explain "])
def test_options_are_offered_where_options_stand(start: str) -> None:
    """All of them on an empty word, those that fit on a begun one."""
    assert offered(start) == FLAGS | ({"types"} if start == "%kavach explain " else set())
    assert offered(start + "--me") == {"--memory"}
    assert offered(start + "--no-net --timeout 30s --p") == {"--pids", "--profile"}


@pytest.mark.parametrize(
    "before",
    [
        "%%sandbox\n--me",
        "%%sandbox --no-net\n%sandb",
        "%sandbox --no-net x = --me",
        "%%sandboxed --me",
        "x --me",
        "%%time --me",
        "%kavach status --me",
        "--me",
    ],
)
def test_nothing_is_offered_where_there_is_code(before: str) -> None:
    """Inside code the shell's own completion is left alone."""
    assert offered(before) == set()


def test_values_that_are_few_are_offered() -> None:
    """Profiles, the notebook's variables after -i, what the cell assigns after -o."""
    assert offered("%%sandbox --profile ") == {*PROFILES, "mine"}
    assert offered("%%sandbox --profile=str") == {"strict"}
    assert offered("%%sandbox -i ") == {"df", "sales"}
    assert offered("%%sandbox --in df,s") == {"sales"}
    assert offered("%%sandbox -o ", "\ntotal = 1\nif total == 2: pass\nrest: int = 3\n") == {
        "total",
        "rest",
    }


@pytest.mark.parametrize("option", ["--memory", "--timeout", "--ro", "--rw"])
def test_other_values_are_left_to_the_shell(option: str) -> None:
    """A path is completed by IPython's own file matcher, which ours must not suppress."""
    assert offered(f"%%sandbox {option} ") == set()


def test_subcommands_are_offered() -> None:
    """All that ``%kavach`` knows."""
    assert offered("%kavach ") == set(COMMANDS)
    assert offered("%kavach d") == {"doctor"}
