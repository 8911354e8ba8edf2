"""What the settings trust, as a front end meets it."""

from __future__ import annotations

import pytest

from tests.kernel.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.needs("userns", "seccomp", "landlock", "overlay")]

_POINT = "import dataclasses\n@dataclasses.dataclass\nclass Spot:\n    x: int"


def test_trusted_types_bring_a_class_of_the_notebook_back(kernel: Kernel) -> None:
    """The setting names it, and taking it out of the setting ends the trust."""
    kernel.run(_POINT)
    cell = "%%sandbox -o s\ns = Spot(4)"
    withheld = kernel.run(cell)
    assert "a dataclass whose class is not trusted" in withheld.stderr
    assert "kavach_ipy.trust(Spot)" in withheld.stderr
    kernel.run("%config Kavach.trusted_types = ['__main__.Spot']")
    assert kernel.run(cell).stderr == ""
    assert kernel.value("s") == "Spot(x=4)"
    kernel.run("%config Kavach.trusted_types = []")
    assert "not trusted" in kernel.run(cell).stderr


def test_trusted_types_that_cannot_be_found_run_nothing(kernel: Kernel) -> None:
    """A misspelt class is an error before the cell, and a misspelt form one of the setting."""
    kernel.run("%config Kavach.trusted_types = ['__main__.Spto']")
    run = kernel.run("%%sandbox\nprint('ran')")
    kernel.run("%config Kavach.trusted_types = []")
    assert run.status == "error"
    assert "Spto" in run.stderr
    assert run.stdout == ""
    assert "module.Class is" in str(
        kernel.run("%config Kavach.trusted_types = ['os; evil']").outputs
    )


def test_trust_needs_the_setting_and_says_in_red_what_it_means(kernel: Kernel) -> None:
    """Off by default, the option runs nothing; allowed, it warns before the cell."""
    cell = "%%sandbox --trust -o double\ndouble = lambda x: 2 * x"
    assert "allow_trust" in str(kernel.run(cell).outputs)
    kernel.run("%config Kavach.allow_trust = True")
    run = kernel.run(cell)
    kernel.run("%config Kavach.allow_trust = False")
    assert run.status == "ok"
    assert run.stderr.startswith("\x1b[1;31m--trust: ")
    assert "without a check" in run.stderr
    assert kernel.value("double(21)") == "42"


def test_one_line_says_what_did_not_come_back(kernel: Kernel) -> None:
    """The name, its type, the reason, and where to read on."""
    run = kernel.run("%%sandbox -o model\nclass Module: pass\nmodel = Module()")
    assert run.stderr == (
        "not brought back: model (__main__.Module: not a listed type; see %kavach explain types)\n"
    )
    shown = kernel.run("model").result["data"]
    assert "__main__.Module object at" in shown["text/plain"]
    assert "<b>not brought back:</b>" in shown["text/html"]
