"""How long and how often: short by default, at full length with HABEAT_FULL=1."""

from __future__ import annotations

import os
from typing import TypeVar

Number = TypeVar("Number", int, float)

FULL = os.environ.get("HABEAT_FULL", "") not in ("", "0")


def pick(short: Number, full: Number) -> Number:
    """`full` with HABEAT_FULL=1, else `short`."""
    return full if FULL else short
