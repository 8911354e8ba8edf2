"""Fixtures of this folder."""

from __future__ import annotations

from tests.contract.places import project

__all__ = ["project"]
