"""Spans of time as people write and read them: "1h30m", "in 4m", "12 ms"."""

from __future__ import annotations

import re
from datetime import datetime

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_UNIT_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_SHOWN = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def seconds_of(text: str) -> float | None:
    """The seconds of "300", "5m" or "1h30m"; None if the text is not a span."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _WRITTEN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return round(sum(float(number) * _UNIT_S[unit] for number, unit in parts), 3)


def written(ms: int) -> str:
    """Milliseconds as text that `seconds_of` reads back: "1h30m", "0s"."""
    parts = []
    for unit, unit_ms in _UNIT_MS:
        count, ms = divmod(ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def span(seconds: float) -> str:
    """A duration in its largest unit, below ten of it also in the next: "1h 5m", "12h"."""
    whole = int(abs(seconds))
    for place, (unit, size) in enumerate(_SHOWN):
        count, rest = divmod(whole, size)
        if count:
            below, below_size = _SHOWN[min(place + 1, len(_SHOWN) - 1)]
            more = rest // below_size if count < 10 and below != unit else 0
            return f"{count}{unit}" + (f" {more}{below}" if more else "")
    return "0s"


def relative(at: datetime, now: datetime) -> str:
    """How far a time is from now: "in 4m", "12s ago", "now"."""
    seconds = (at - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(seconds)} ago"


def milliseconds(ms: int | None) -> str:
    """A lateness: "12 ms", "3.4 s", "5m"."""
    if ms is None:
        return "-"
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1_000:.1f} s" if ms < 60_000 else span(ms / 1_000)
