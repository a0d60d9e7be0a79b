"""The span of time of a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """The slots in question: ``start_ms <= slot < end_ms``."""

    start_ms: int
    end_ms: int
