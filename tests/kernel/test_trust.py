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


def test_trusted_displays_need_the_setting_and_say_so_in_red(kernel: Kernel) -> None:
    """Off by default, the option runs nothing; allowed, what the cell shows passes as it is."""
    code = "from IPython.display import Javascript\ndisplay(Javascript('1'))"
    cell = f"%%sandbox --trust-display\n{code}"
    assert "allow_trust_display" in str(kernel.run(cell).outputs)
    kernel.run("%config Kavach.allow_trust_display = True")
    run = kernel.run(cell)
    kernel.run("%config Kavach.allow_trust_display = False")
    assert run.stderr.startswith("\x1b[1;31m--trust-display: ")
    (shown,) = run.of("display_data")
    assert shown["data"]["application/javascript"] == "1"
    plain = kernel.run(cell.replace(" --trust-display", ""))
    assert "application/javascript: it is a program" in str(plain.outputs)


def test_withheld_types_are_shown_as_text(kernel: Kernel) -> None:
    """The setting withholds what the gate could clean; a word that is no type is refused."""
    cell = "%%sandbox\nfrom IPython.display import HTML\nHTML('<b>x</b>')"
    assert "text/html" in kernel.run(cell).result["data"]
    kernel.run("%config Kavach.withheld_types = ['text/html']")
    shown = kernel.run(cell).result["data"]
    assert "MIME types are" in str(kernel.run("%config Kavach.withheld_types = ['html']").outputs)
    kernel.run("%config Kavach.withheld_types = []")
    assert "text/html: the settings withhold it" in shown["text/plain"]
    assert "text/html" not in shown
