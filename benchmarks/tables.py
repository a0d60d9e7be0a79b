"""Tables as they are printed: aligned with spaces on a terminal, with bars in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

UNKNOWN = "-"


@dataclass
class Table:
    """One table; `notes` are sentences below it."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For a terminal: the first column to the left, the others to the right."""
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        lines = [self.title, ""]
        for row in (self.columns, ["-" * width for width in widths], *self.rows):
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])

    def markdown(self) -> str:
        """For a page of the documentation."""
        lines = [f"**{self.title}**", ""]
        lines.append("| " + " | ".join(self.columns) + " |")
        lines.append("|---|" + "---:|" * (len(self.columns) - 1))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([*lines, *([""] if self.notes else []), *self.notes])


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """With thousands set apart; what is unknown, infinite or not a number is a hyphen."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:,.{digits}f}{unit}"


def short(value: float | None, unit: str = "") -> str:
    """Three digits or so, whatever the size."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    return number(value, 0 if size >= 100 else 1 if size >= 10 else 2, unit)


def times(value: float | None, beside: float | None) -> str:
    """`value` as a multiple of `beside`: "2.4 x"."""
    if not value or not beside or not math.isfinite(value) or not math.isfinite(beside):
        return UNKNOWN
    return f"{short(value / beside)} x"
