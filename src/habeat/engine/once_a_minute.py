"""Limits lines that would be logged for each firing to one a minute for each entry."""

from __future__ import annotations

EVERY_US, ENTRIES_KEPT = 60_000_000, 1_000


class OnceAMinute:
    """Counts the lines that are left out. It remembers `ENTRIES_KEPT` entries."""

    def __init__(self) -> None:
        #: By entry: when its last line was logged, and how many were not since.
        self._logged: dict[str, tuple[int, int]] = {}

    def due(self, entry: str, now_us: int) -> str | None:
        """The end of the line to log now, which says how many were left out; None for no line."""
        began_us, more = self._logged.get(entry, (now_us - EVERY_US, 0))
        if now_us - began_us < EVERY_US:
            self._logged[entry] = began_us, more + 1
            return None
        if len(self._logged) >= ENTRIES_KEPT:
            self._logged.clear()
        self._logged[entry] = now_us, 0
        return f"; {more} more since the last such line" if more else ""
