"""A module that starts a thread when it is imported, as some libraries do."""

from __future__ import annotations

import threading

__all__: list[str] = []

threading.Thread(target=threading.Event().wait, daemon=True).start()
