"""Who else hears of events: Python callables, and the logger ``kavach_ipy.audit``.

Guarantees: each hook gets a copy of its own, after the event was handed to the log; what a hook
raises is reported, and nobody else's loss.
Assumes: hooks are the user's, or the administrator's, and trusted. They run in the thread that runs
cells, which waits for them.
"""

from __future__ import annotations

import importlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from kavach_ipy.errors import PolicyError

__all__ = ["LOGGER", "Hook", "add_hook", "call_hooks", "hook_by_name", "remove_hook"]

Hook: TypeAlias = Callable[[dict[str, Any]], object]

LOGGER: Final = logging.getLogger("kavach_ipy.audit")
"""One INFO record a cell: the event as JSON, and as ``record.kavach_event``. No handler is set."""

_lock: Final = threading.Lock()
_hooks: list[Hook] = []


def add_hook(hook: Hook) -> Hook:
    """Have a callable hear each event of this process; adding it twice is adding it once.

    Args:
        hook: takes the event as a dictionary. It can be used as a decorator.
    """
    with _lock:
        if hook not in _hooks:
            _hooks.append(hook)
    return hook


def remove_hook(hook: Hook) -> None:
    """Have it hear no more; nothing where it does not hear any."""
    with _lock:
        if hook in _hooks:
            _hooks.remove(hook)


def hook_by_name(name: str) -> Hook:
    """Import ``module.callable``.

    Raises:
        PolicyError: there is no such module or callable.
    """
    module, _, attribute = name.rpartition(".")
    allowed = "the name of an importable callable is, as module.callable"
    try:
        found: object = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise PolicyError("audit_hooks", name, f"{allowed} ({error})") from error
    if not callable(found):
        raise PolicyError("audit_hooks", name, allowed)
    return found


def call_hooks(
    members: bytes, place: dict[str, object] | None, more: Sequence[Hook]
) -> Iterable[str]:
    """Tell everybody of an event; a sentence for each that failed.

    Args:
        members: of the event, as JSON without braces; each hook's own copy is read from it.
        place: where it stands in the log; None where it could not be written yet.
        more: hooks besides those that were added.
    """
    with _lock:
        hooks = [*dict.fromkeys((*_hooks, *more))]
    is_logged = LOGGER.isEnabledFor(logging.INFO)
    if not (hooks or is_logged):
        return
    text = f'{{{members.decode("ascii")},"log":{json.dumps(place)}}}'
    if is_logged:
        try:
            LOGGER.info("%s", text, extra={"kavach_event": json.loads(text)})
        except Exception as error:  # noqa: BLE001 - a handler of the user's may raise anything.
            yield f"a handler of the logger {LOGGER.name!r} raised {type(error).__name__}: {error}"
    for hook in hooks:
        try:
            hook(json.loads(text))
        except Exception as error:  # noqa: BLE001 - so may a hook.
            yield f"the hook {hook!r} raised {type(error).__name__}: {error}"
