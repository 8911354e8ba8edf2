"""``%kavach``, help, misuse and Tab, as a front end meets them."""

from __future__ import annotations

import pytest

from kavach_ipy.gate.listed import LISTED
from kavach_ipy.policy import Policy, explain
from tests.kernel.kernels import Kernel

pytestmark = pytest.mark.kernel


@pytest.mark.needs("userns", "seccomp", "landlock", "overlay")
def test_status_shows_what_was_verified(kernel: Kernel) -> None:
    """It confines an empty cell and prints the report of that."""
    run = kernel.run("%kavach status")
    assert run.status == "ok"
    assert "verified" in run.stdout
    assert "namespaces" in run.stdout
    assert run.stdout.endswith("audit: off, no cell is recorded\n")


def test_doctor_tells_each_layer(kernel: Kernel) -> None:
    """It really tries, and says granted or refused for each."""
    run = kernel.run("%kavach doctor")
    assert run.status == "ok"
    for layer in ("namespace", "seccomp", "andlock"):
        assert layer in run.stdout
    assert "granted" in run.stdout or "REFUSED" in run.stdout


def test_explain_says_the_policy_in_sentences(kernel: Kernel) -> None:
    """The options given are the policy explained; nothing runs."""
    run = kernel.run("%kavach explain --timeout 30s --loopback")
    said = " ".join(run.stdout.split())
    for sentence in explain(Policy(timeout=30, network="loopback")):
        assert " ".join(sentence.split()) in said


def test_explain_types_lists_what_comes_back(kernel: Kernel) -> None:
    """Every group of listed types is there, and the classes that this notebook trusts."""
    kernel.run("import kavach_ipy, enum\n@kavach_ipy.trust\nclass Hue(enum.Enum):\n    RED = 1")
    run = kernel.run("%kavach explain types")
    assert run.status == "ok"
    assert all(group in run.stdout for group in LISTED)
    assert "__main__.Hue" in run.stdout
    assert "Functions, classes, modules" in run.stdout
    kernel.run("kavach_ipy.distrust(Hue)")
    assert "no class is trusted" in kernel.run("%kavach explain types").stdout


def test_sessions_that_are_not_there_are_none(kernel: Kernel) -> None:
    """Listing them is empty, restarting one is an error."""
    assert "no sandbox lives on" in kernel.run("%kavach sessions").stdout
    run = kernel.run("%kavach restart model")
    assert run.status == "error"
    assert "'model'" in run.stderr


@pytest.mark.parametrize("line", ["%kavach", "%kavach stauts"])
def test_an_unknown_command_lists_those_there_are(kernel: Kernel, line: str) -> None:
    """Who guesses wrong is shown every right one."""
    run = kernel.run(line)
    assert run.status == "error"
    assert all(word in run.stderr for word in ("status", "doctor", "explain", "sessions"))


@pytest.mark.parametrize("code", ["%sandbox --help", "%%sandbox --help\nprint('ran')"])
def test_help_is_shown_and_nothing_runs(kernel: Kernel, code: str) -> None:
    """It names the options and shows examples."""
    run = kernel.run(code)
    assert run.status == "ok"
    assert "--timeout TIME" in run.stdout
    assert "%%sandbox -o summary" in run.stdout
    assert "ran" not in run.stdout.splitlines()


def test_a_question_mark_shows_the_help(kernel: Kernel) -> None:
    """``%%sandbox?`` is the way to help that IPython users know."""
    (page,) = kernel.run("%%sandbox?").reply["payload"]
    assert "--timeout TIME" in page["data"]["text/plain"]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("--memroy 1G", "--memory"),
        ("--memory much", "512M"),
        ("-o get_ipython", "belongs to the shell"),
        ("-i not_there", "'not_there'"),
        ("--net", "--clean"),
    ],
)
def test_misuse_is_one_line_and_nothing_runs(kernel: Kernel, first: str, said: str) -> None:
    """A ``UsageError`` on stderr, and the reply says error."""
    run = kernel.run(f"%%sandbox {first}\nprint('ran')")
    assert run.status == "error"
    assert run.stderr.startswith("UsageError: ")
    assert said in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""


def test_a_line_without_code_is_misuse(kernel: Kernel) -> None:
    """``%sandbox --no-net`` alone would otherwise do nothing in silence."""
    assert "no code" in kernel.run("%sandbox --no-net").stderr


def test_braces_and_dollars_are_not_expanded(kernel: Kernel) -> None:
    """The first line is no template: a variable's value never becomes an option."""
    kernel.run("name = '--net'")
    run = kernel.run("%%sandbox {name}\nprint('ran')")
    assert "{name}" in run.stderr
    assert run.stdout == ""


def test_tab_completes_options(kernel: Kernel) -> None:
    """A real ``complete_request`` offers our options alone on the first line."""
    assert kernel.complete("%%sandbox --me") == ["--memory"]
    assert kernel.complete("%sandbox --no-net --ti") == ["--timeout"]
    assert kernel.complete("%kavach do") == ["doctor"]
    assert kernel.complete("%%sandbox --profile stri") == ["strict"]
    assert "--memory" not in kernel.complete("%%sandbox\n--me")


def test_config_shows_and_sets(kernel: Kernel) -> None:
    """``%config Kavach`` lists the settings; a value set there holds for the next cell."""
    assert "Kavach.memory" in kernel.run("%config Kavach").stdout
    kernel.run("%config Kavach.timeout = '7s'")
    assert "stopped after 7s by the clock" in kernel.run("%kavach explain").stdout
    assert "is not allowed" in kernel.run("%config Kavach.timeout = 'soon'").stderr
    assert "stopped after 7s by the clock" in kernel.run("%kavach explain").stdout
    kernel.run("%config Kavach.timeout = 'none'")
    assert "No clock stops it" in kernel.run("%kavach explain").stdout
