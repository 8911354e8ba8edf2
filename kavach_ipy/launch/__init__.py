"""One cell, one child: a pure plan, the recipe the child follows, the parent that watches it."""

from __future__ import annotations
