"""Draw a series of figures in one line of text."""

from __future__ import annotations

import sys
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
#: For terminals that cannot show the blocks.
MARKS = ".:-=+*#@"


def sparkline(values: Sequence[float | None], most: float | None = None) -> str:
    """One character for each value, as high as it is beside the greatest; a blank for None.

    With `most`, heights are relative to that, so that several lines can be compared.
    """
    if most is None:
        most = max((value for value in values if value is not None), default=0)
    marks = marks_of(getattr(sys.stdout, "encoding", None) or "ascii")
    return "".join(" " if value is None else _mark(value, most, marks) for value in values)


def marks_of(encoding: str) -> str:
    """The characters that an output with this encoding can show, the lowest first."""
    try:
        BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return MARKS
    return BLOCKS


def _mark(value: float, most: float, marks: str) -> str:
    if most <= 0:
        return marks[0]
    return marks[min(len(marks) - 1, int(value / most * len(marks)))]
