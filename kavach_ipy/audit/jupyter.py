"""Events through ``jupyter_events``, for who collects those of Jupyter already.

Guarantees: the package is loaded only where somebody asks for it; without it nothing is lost.
Assumes: handlers are configured as for any EventLogger (``c.EventLogger.handlers``).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from kavach_ipy.audit.hooks import Hook

__all__ = ["SCHEMA", "SCHEMA_ID", "hook_of", "is_installed"]

SCHEMA: Final = Path(__file__).with_name("cell_event.yaml")
"""The schema of an event, which `jupyter_events` and any JSON schema validator can read."""

SCHEMA_ID: Final = "urn:kavach-ipy:audit:cell"


def is_installed() -> bool:
    """Tell whether the extra ``audit`` is there."""
    return find_spec("jupyter_events") is not None


def hook_of(logger: Any) -> Hook:
    """Register the schema with an EventLogger, and return the hook that emits events by it."""
    logger.register_event_schema(SCHEMA)

    def emit(event: dict[str, Any]) -> None:
        logger.emit(schema_id=SCHEMA_ID, data=event)

    return emit
