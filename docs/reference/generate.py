"""Write the pages of docs/reference that are generated from the code.

Guarantees: a page says what `kavach_ipy.policy` says, so it cannot drift; tests/repo compares.
Assumes: run by ``make docs`` from anywhere, with the package importable.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

# The catalogue of guards lives with the tests, below the root of the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kavach_ipy.gate.comms import UPDATES, WIDGETS
from kavach_ipy.gate.mimes import MIME_RULES
from kavach_ipy.gate.pace import OUTPUTS, RATE
from kavach_ipy.gate.widget_kinds import KINDS, LINKED
from kavach_ipy.gate.widget_table import MODELS, VERSIONS, WITHHELD_MODELS, WidgetModel
from kavach_ipy.launch.strength import WEIGHTS
from kavach_ipy.policy import OPTIONS, PROFILES, Option, Policy, explain
from kavach_ipy.policy.file_keys import KEYS, OF_A_CELL, Key
from tests.mutation.guards import GUARDS, NO_GUARDS

__all__ = [
    "PAGES",
    "display_page",
    "guards_page",
    "options_page",
    "policy_file_page",
    "profiles_page",
    "strength_page",
    "widgets_page",
]

_HERE = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/reference/generate.py; change the code and run `make docs`. -->"


def options_page() -> str:
    """Every option of ``%%sandbox``, one heading each."""
    lines = [
        "# Options",
        "",
        _NOTE,
        "",
        "`%%sandbox [options]` runs a cell and `%sandbox [options] code` runs one line.",
        "`%kavach explain [options]` says in plain sentences what they mean together.",
        "",
        "Sizes are `512M` or `1.5G`, in powers of 1024; times are `30s`, `2min` or `1h30m`.",
        'A default can be changed in the settings: `%config Kavach`, or `c.Kavach.memory = "1G"`.',
        "A misspelt option or a value that makes no sense stops the cell before it runs.",
        "",
        "| option | field of `Policy` |",
        "|---|---|",
        *(f"| [`{_usage(option)}`](#{_anchor(option)}) | {_field(option)} |" for option in OPTIONS),
        "| `--report` | show the confinement report under the output |",
        "| `--help` | show these options and run nothing |",
    ]
    for option in OPTIONS:
        lines += ["", f"## {_heading(option)}", "", f"`{_usage(option)}`", "", *_text(option)]
    return "\n".join(lines) + "\n"


def profiles_page() -> str:
    """Every built-in profile, as `explain` says it."""
    lines = [
        "# Profiles",
        "",
        _NOTE,
        "",
        "A profile is a ready-made policy: `%%sandbox --profile NAME`.",
        "It tightens what the settings allow, and never loosens it.",
        "The sentences are those of `%kavach explain --profile NAME`.",
    ]
    for name, policy in PROFILES.items():
        lines += ["", f"## {name}", "", *(f"- {sentence}" for sentence in explain(policy))]
    return "\n".join(lines) + "\n"


def policy_file_page() -> str:
    """Every key of a policy file, one heading each."""
    lines = [
        "# The policy file",
        "",
        _NOTE,
        "",
        "`/etc/kavach/policy.toml` is a floor: no user, notebook or cell can loosen it.",
        "It is TOML without tables, at most 1000 lines and 64 KiB, and read before each cell.",
        "What it does not mention is the user's to choose, but where a key below says otherwise.",
        "It must be root's, and nobody else may be able to write it or a directory above it.",
        "An unknown key, a wrong type and a value without sense are errors, and no cell runs.",
        "",
        "| key | value | where it is not mentioned |",
        "|---|---|---|",
        *(f"| [`{key.name}`](#{key.name}) | {_form(key)} | {_unmentioned(key)} |" for key in KEYS),
    ]
    for key in KEYS:
        lines += ["", f"## {key.name}", "", *_text(key)]
    lines += ["", "## Words that are no keys", ""]
    lines += [f"- `{word}`: {why}." for word, why in OF_A_CELL.items()]
    return "\n".join(lines) + "\n"


def _form(key: Key) -> str:
    if key.kind == "word":
        return key.forms.removesuffix(" is").removesuffix(" are")
    forms = {
        "switch": "`true` or `false`",
        "size": '`"512M"`, powers of 1024, or bytes',
        "time": '`"30s"`, `"1h"`, or seconds',
        "count": "a whole number",
        "words": '`["PATH", "LC_*"]`',
        "paths": '`["/srv/data"]`, absolute',
    }
    return forms[key.kind]


def _unmentioned(key: Key) -> str:
    return f"`{key.unmentioned}`" if key.unmentioned else "the user's choice"


def _usage(option: Option) -> str:
    spelt = ", ".join(option.flags)
    return f"{spelt} {option.metavar}" if option.metavar else spelt


def _heading(option: Option) -> str:
    return option.flags[-1]


def _anchor(option: Option) -> str:
    # GitHub's rule for the anchor of a heading: lower case, hyphens stay.
    return _heading(option).lower()


def _field(option: Option) -> str:
    known = {field.name for field in fields(Policy)}
    return f"`{option.field}`" if option.field in known else "several"


def _text(option: Option | Key) -> list[str]:
    """The help text, one sentence a line; a full stop inside "1.5" ends no sentence."""
    return option.help.replace(". ", ".\n").split("\n")


def strength_page() -> str:
    """The weights of the strength score."""
    lines = [
        "# The strength score",
        "",
        _NOTE,
        "",
        "`--report`, `%kavach status` and `outcome.report.strength` give a number from 0 to 100.",
        "It counts only what the kernel process read back from outside before the cell ran.",
        "What was asked for, or applied without a trace to read, adds nothing and is named.",
        "Nor does the network where the policy leaves it open (`--net`).",
        "The number is for telling people: whether a cell runs is decided layer by layer.",
        "",
        "| layer | points | why |",
        "|---|---|---|",
        *(f"| {name} | {weight.points} | {weight.reason} |" for name, weight in WEIGHTS.items()),
    ]
    return "\n".join(lines) + "\n"


def guards_page() -> str:
    """The guards that ``make mutate`` switches off, and the tests that notice."""
    lines = [
        "# Guards and the tests that notice",
        "",
        _NOTE,
        "",
        "`make mutate` switches off one guard at a time, in a copy, and demands that a test fails.",
        "The catalogue is `tests/mutation/guards.py`.",
        "Every step of the recipe and group of system calls is in it, or below with a reason.",
        "",
        "| guard | without it | where | tests |",
        "|---|---|---|---|",
        *(
            f"| {guard.name} | not kept: {guard.promise} | `{guard.file}`"
            f" | {', '.join(f'`{test}`' for test in guard.tests.split())} |"
            for guard in GUARDS
        ),
        "",
        "## No guards",
        "",
        "`A` builds the sandbox, `C` becomes the cell; no promise rests on these.",
        "",
        "| step or group of calls | why it is none |",
        "|---|---|",
        *(f"| {name} | {reason} |" for name, reason in NO_GUARDS.items()),
    ]
    return "\n".join(lines) + "\n"


def display_page() -> str:
    """What becomes of each MIME type, as the gate's table says it."""
    lines = [
        "# What a page is shown",
        "",
        _NOTE,
        "",
        "JupyterLab trusts what an executed cell shows, so the gate rebuilds every output.",
        "A type that is not here is withheld.",
        "What is withheld leaves one line: the type, why, and what could be shown instead.",
        "",
        "`c.Kavach.withheld_types` withholds more; nothing shows more, but `--trust-display`,",
        "which `c.Kavach.allow_trust_display` has to permit.",
        "",
        "| type | what becomes of it |",
        "|---|---|",
        *(
            f"| `{mime}` | {'withheld: ' if rule.treatment == 'withheld' else ''}{rule.becomes} |"
            for mime, rule in MIME_RULES.items()
        ),
        "",
        f"A page holds {OUTPUTS} displays of a cell at a time; one line counts the others.",
        f"Updates and clears are drawn at most {RATE:g} times a second, and the last one always.",
        "",
        "Cells of a sandbox in JupyterLab, light and dark:",
        "",
        "![Tables, a Styler, polars, rich and a figure](../images/output-light.png)",
        "",
        "![The same in the dark theme](../images/output-dark.png)",
    ]
    return "\n".join(lines) + "\n"


def widgets_page() -> str:
    """What becomes of each widget and trait, as the gate's tables say it."""
    linked = {word: [kind for kind in LINKED if LINKED[kind] == word] for word in LINKED.values()}
    lines = [
        "# What a page is told of widgets",
        "",
        _NOTE,
        "",
        "Widgets of ipywidgets 8 work where every cell runs in a session: in the kernel",
        "`kavach_ipy.kernel`, and with `c.Kavach.default_on` or after `%kavach on`.",
        "Below `%%sandbox` they are withheld, with `--session` too: nobody carries their messages.",
        "",
        "A page does for a widget what the session says, so each message is built anew.",
        "Programs come from the server's installed extension only, in these versions:",
        "",
        *(f"- `{module}` {version}" for module, version in VERSIONS.items()),
        "",
        "A widget that may not be shown is replaced by a label that says why.",
        "A trait that is not here, or whose value is not of its kind, is left out.",
        f"A page holds {WIDGETS} widgets of a session at a time.",
        f"Updates are told at most {UPDATES:g} times a second after a burst of them.",
        "What waits is joined, and the last state is always told.",
        "",
        "Where a session goes back to what it was before a cell, a page loses the widgets of that",
        "cell; those that the cell has closed stay closed, and must be made anew.",
        "What it shows of the others is what the cell has made of them, until they change again.",
        "An `Output` takes nothing more of a cell that is stopped: the reason stands below it.",
        "",
        "## Messages",
        "",
        "| message | from the session | from the page |",
        "|---|---|---|",
        "| `comm_open` | target `jupyter.widget`, rebuilt | target `jupyter.widget.control` |",
        "| `comm_msg` `update` | rebuilt | passes, within bounds |",
        "| `comm_msg` `echo_update` | rebuilt, without `outputs` | - |",
        "| `comm_msg` `update_states` | rebuilt, for widgets that are open | - |",
        "| `comm_msg` `custom` | refused: it would take the focus | passes, within bounds |",
        "| `comm_msg` `request_state` | - | passes |",
        "| `comm_close` | passes | passes |",
        "",
        "## Kinds of values",
        "",
        "| kind | what passes |",
        "|---|---|",
        *(f"| {kind} | {passes} |" for kind, passes in KINDS.items()),
        "",
        "`jslink` and `jsdlink` let the page copy one trait to another.",
        "They work between traits of one kind, or of one line here:",
        "",
        *(f"- {', '.join(kinds)}" for kinds in linked.values()),
        "",
        "## Widgets",
        "",
        "| model | traits, by kind |",
        "|---|---|",
        *(f"| `{name}` | {_traits(row)} |" for name, row in MODELS.items()),
        "",
        "## Not shown",
        "",
        "| model | why |",
        "|---|---|",
        *(f"| `{name}` | {reason} |" for name, reason in WITHHELD_MODELS.items()),
        "| any other | others bring their own programs, or the sandbox has no rule for them |",
    ]
    return "\n".join(lines) + "\n"


def _traits(row: WidgetModel) -> str:
    kinds: dict[str, list[str]] = {}
    for name, kind in sorted(row.traits.items()):
        kinds.setdefault(kind, []).append(f"`{name}`")
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in sorted(kinds.items()))


PAGES = {
    "display.md": display_page,
    "guards.md": guards_page,
    "options.md": options_page,
    "policy-file.md": policy_file_page,
    "profiles.md": profiles_page,
    "strength.md": strength_page,
    "widgets.md": widgets_page,
}


def main() -> int:
    """Write every page; return 0."""
    for name, page in PAGES.items():
        (_HERE / name).write_text(page(), encoding="utf-8")
        print(f"docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
