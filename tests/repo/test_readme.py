"""What the first page shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.repo.sources import ROOT

EXAMPLES = [
    (document, number, code)
    for document in ("README.md", "docs/tutorial/first-cell.md")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    )
]


@pytest.mark.needs("userns", "seccomp", "landlock")
@pytest.mark.parametrize(
    ("document", "code"),
    [(document, code) for document, _, code in EXAMPLES],
    ids=[f"{document}-{number}" for document, number, _ in EXAMPLES],
)
def test_python_example_prints_what_its_comment_says(document: str, code: str) -> None:
    """Each `print(…)  # text` of an example prints that text."""
    promised = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert promised, "an example that promises nothing shows nothing"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised
