"""A shell without a kernel, in the child: terminal IPython, or one that is embedded.

Its display hook and publisher print plain text to standard output, and its input reads the
terminal. In the child both go by the link, so that rich output and prompts reach the notebook side
as they would from a kernel.

Guarantees: nothing that the cell shows or asks uses the terminal's descriptors directly.
Assumes: called in the child, before the first line of the cell.
"""

from __future__ import annotations

import builtins
import getpass
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher

from kavach_ipy.front.messages import Sender
from kavach_ipy.front.shells import Hook, Publisher, Shell
from kavach_ipy.front.streams import LinkStream, Name, Relay

__all__ = ["Ask", "tie_terminal"]

Ask = Callable[[str, bool], str]
"""Takes a prompt and whether what is typed is a password; returns the line."""


def tie_terminal(shell: Shell, sender: Sender, ask: Ask) -> Sequence[object]:
    """Give ``shell`` streams, displays and input that go by the link; return the streams."""
    relay = Relay()
    streams: list[object] = []
    names: tuple[Name, ...] = ("stdout", "stderr")
    for name in names:
        stream = LinkStream(name, sender.text, relay, getattr(sys, f"__{name}__"))
        setattr(sys, name, stream)
        streams.append(stream)
    publisher = cast("Callable[..., Publisher]", _LinkDisplayPublisher)
    shell.display_pub = publisher(sender, shell=shell, parent=shell)
    hook = cast("Callable[..., Hook]", _LinkDisplayHook)(
        sender, shell=shell, parent=shell, cache_size=shell.cache_size
    )
    # Else the cell would find "_" empty: the hook's constructor resets it.
    hook._, hook.__, hook.___ = shell.displayhook._, shell.displayhook.__, shell.displayhook.___
    shell.user_ns.update({"_": hook._, "__": hook.__, "___": hook.___})
    shell.displayhook = shell.display_trap.hook = hook

    def read_line(prompt: object = "", /) -> str:
        return ask(str(prompt), False)

    def read_password(prompt: str = "Password: ", stream: object = None) -> str:
        del stream
        return ask(prompt, True)

    builtins.input = read_line
    getpass.getpass = read_password
    return streams


class _LinkDisplayPublisher(DisplayPublisher):
    """Publishes by the link instead of printing plain text."""

    def __init__(self, sender: Sender, **kwargs: object) -> None:
        cast("Callable[..., None]", super().__init__)(**kwargs)
        self._sender = sender

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        source: object = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **kwargs: object,
    ) -> None:
        """Send ``display_data`` or ``update_display_data``."""
        del source, kwargs
        content = {"data": data, "metadata": metadata or {}, "transient": transient or {}}
        self._sender.message("update_display_data" if update else "display_data", content)

    def clear_output(self, wait: bool = False) -> None:
        """Send ``clear_output``."""
        self._sender.message("clear_output", {"wait": wait})


class _LinkDisplayHook(DisplayHook):
    """Sends ``execute_result`` by the link instead of printing ``Out[n]:``."""

    def __init__(self, sender: Sender, **kwargs: object) -> None:
        cast("Callable[..., None]", super().__init__)(**kwargs)
        self._sender = sender

    def write_output_prompt(self) -> None:
        """Leave the prompt to the parent, which knows its number."""

    def write_format_data(
        self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
    ) -> None:
        """Send the result."""
        self._sender.message(
            "execute_result",
            {
                "data": format_dict,
                "metadata": md_dict or {},
                "execution_count": self.prompt_count,
            },
        )

    def finish_displayhook(self) -> None:
        """Say that no display is under way any more."""
        self._is_active = False
