"""What we touch of IPython and ipykernel, named and typed in one place.

IPython annotates few of its functions, ipykernel fewer, and both change their annotations between
the versions that we support (IPython 8.20 to 9, ipykernel 6.29 to 7). So the parts that we rely on
are written down here as protocols, and everything else in this folder is checked against them.

Guarantees: importing this costs nothing beyond IPython itself, and never imports ipykernel.
Assumes: attributes marked Any are handed from one part of IPython to another, never looked into.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from IPython.core import completer, magic, magic_arguments, page
from IPython.core.completer import CompletionContext, SimpleMatcherResult

__all__ = [
    "Decorator",
    "ExecutionResult",
    "History",
    "Hook",
    "Kernel",
    "Matcher",
    "OutStream",
    "Publisher",
    "Shell",
    "argument",
    "context_matcher",
    "description",
    "display_pager",
    "line_cell_magic",
    "line_magic",
    "magics_class",
    "no_var_expand",
    "with_parser",
]

_Magic = TypeVar("_Magic", bound=Callable[..., object])
_Class = TypeVar("_Class", bound=type)

Matcher = Callable[[CompletionContext], SimpleMatcherResult]
"""A completion matcher, version 2."""


class Decorator(Protocol):
    """Leaves the type of what it decorates alone."""

    def __call__(self, magic: _Magic, /) -> _Magic:
        """Decorate."""
        ...


class Hook(Protocol):
    """``IPython.core.displayhook.DisplayHook`` and ipykernel's subclass of it."""

    prompt_count: int
    do_full_cache: int
    exec_result: ExecutionResult | None
    _: object
    __: object
    ___: object

    def start_displayhook(self) -> None:
        """Begin a result."""

    def write_output_prompt(self) -> None:
        """Write ``Out[n]:``, or note n in the message."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any]) -> None:
        """Write the result's representations."""

    def update_user_ns(self, result: object) -> None:
        """Put the value behind ``_`` and ``Out[n]``."""

    def fill_exec_result(self, result: object) -> None:
        """Tell the running ``run_cell`` what came out."""

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """Note the result in the history."""

    def finish_displayhook(self) -> None:
        """End a result: print a line end, or send the message."""


class Publisher(Protocol):
    """``IPython.core.displaypub.DisplayPublisher`` and what stands in for it."""

    session: Any
    pub_socket: Any

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
    ) -> None:
        """Show or update one display."""

    def clear_output(self, wait: bool = False) -> None:
        """Clear what the cell has shown."""


class History(Protocol):
    """``IPython.core.history.HistoryManager``."""

    enabled: bool
    db_cache_size: int
    db_log_output: bool
    db_input_cache_lock: Any
    db_output_cache_lock: Any
    input_hist_parsed: list[str]
    input_hist_raw: list[str]
    _i: str
    _ii: str
    _iii: str
    _i00: str


class ExecutionResult(Protocol):
    """``IPython.core.interactiveshell.ExecutionResult``."""

    error_before_exec: BaseException | None
    error_in_exec: BaseException | None
    result: object


class Shell(Protocol):
    """``IPython.core.interactiveshell.InteractiveShell``, with or without a kernel."""

    user_ns: dict[str, Any]
    starting_dir: str
    user_ns_hidden: dict[str, Any]
    execution_count: int
    cache_size: int
    colors: str
    configurables: list[Any]
    Completer: Any
    db: Any
    InteractiveTB: Any
    display_pub: Publisher
    display_trap: Any
    displayhook: Hook
    events: Any
    history_manager: History | None
    loop_runner: Callable[..., object]
    magics_manager: Any
    show_usage_error: Callable[[BaseException], None]
    _showtraceback: Callable[[object, BaseException | None, list[str]], None]

    def run_cell(self, raw_cell: str, store_history: bool = False) -> ExecutionResult:
        """Run a cell."""
        ...

    def push(self, variables: dict[str, object], interactive: bool = True) -> None:
        """Assign variables of the user."""

    def init_display_pub(self) -> None:
        """Make a fresh ``display_pub``."""

    def set_hook(self, name: str, hook: Callable[..., object], priority: int = 50) -> None:
        """Add to a chain of hooks; the lowest number is asked first."""

    def register_magics(self, *magics: object) -> None:
        """Make magics known."""


class Kernel(Protocol):
    """``ipykernel.ipkernel.IPythonKernel``."""

    session: Any
    iopub_socket: Any
    iopub_thread: Any
    _allow_stdin: bool
    _input_request: Callable[..., str]


class OutStream(Protocol):
    """``ipykernel.iostream.OutStream``."""

    pub_thread: object
    _io_loop: object
    _master_pid: int
    _buffer_lock: Any
    _flush_pending: bool
    _subprocess_flush_pending: bool
    _flush: Callable[[], None]
    _schedule_flush: Callable[[], None]
    _buffers: dict[object, io.StringIO]
    echo: object
    parent_header: dict[str, object]
    write: Callable[[str], int | None]

    def flush(self) -> None:
        """Send what is buffered."""


argument = cast("Callable[..., Decorator]", magic_arguments.argument)
description = cast("Callable[..., Decorator]", magic_arguments.kwds)
with_parser = cast("Callable[[], Decorator]", magic_arguments.magic_arguments)
line_magic = cast("Decorator", magic.line_magic)
line_cell_magic = cast("Decorator", magic.line_cell_magic)
no_var_expand = cast("Decorator", magic.no_var_expand)
magics_class = cast("Callable[[_Class], _Class]", magic.magics_class)
context_matcher = cast("Callable[..., Callable[[Matcher], Matcher]]", completer.context_matcher)


def display_pager() -> Callable[..., object]:
    """Return a hook that displays what a pager would have shown."""
    as_hook = cast("Callable[[object], Callable[..., object]]", page.as_hook)
    return as_hook(page.display_page)
