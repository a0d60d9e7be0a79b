"""The slots that each entry should have, computed from the calls that the test has made.

An entry's life is a row of stretches: within one its period stays the same. The end of the last
is its cursor, or a moment somewhere in a removal.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Stretch:
    """One grid, ``offset + n * every``, for the slots with ``after < slot <= until``.

    Those up to `surely_ms` have to be accounted for; those up to `until_ms` may be. (A removal
    happens somewhere between the two.)
    """

    every_ms: int
    offset_ms: int
    after_ms: int
    surely_ms: int | None = None
    until_ms: int | None = None

    def has(self, slot_ms: int) -> bool:
        inside = self.after_ms < slot_ms and (self.until_ms is None or slot_ms <= self.until_ms)
        return inside and (slot_ms - self.offset_ms) % self.every_ms == 0

    def slots(self) -> range:
        """Those that have to be accounted for."""
        assert self.surely_ms is not None
        first = (self.after_ms - self.offset_ms) // self.every_ms + 1
        last = (self.surely_ms - self.offset_ms) // self.every_ms
        return range(
            first * self.every_ms + self.offset_ms,
            last * self.every_ms + self.offset_ms + 1,
            self.every_ms,
        )


@dataclass
class Life:
    """All of one entry."""

    stretches: list[Stretch] = field(default_factory=list)

    @classmethod
    def begun(cls, every_ms: int, offset_ms: int, after_ms: int) -> Life:
        return cls([Stretch(every_ms, offset_ms, after_ms)])

    def changed(self, every_ms: int, offset_ms: int, at_ms: int) -> None:
        """Another grid, for the slots after `at_ms`."""
        self.ended(at_ms, at_ms)
        self.stretches.append(Stretch(every_ms, offset_ms, at_ms))

    def ended(self, surely_ms: int, until_ms: int) -> None:
        """No slot any more after a moment between these two."""
        last = self.stretches[-1]
        last.surely_ms, last.until_ms = surely_ms, until_ms

    @property
    def is_over(self) -> bool:
        return self.stretches[-1].until_ms is not None

    def has(self, slot_ms: int) -> bool:
        return any(stretch.has(slot_ms) for stretch in self.stretches)
