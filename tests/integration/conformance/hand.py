"""What drawing a command works with: chance, the time, and the state as the caller believes it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.integration.conformance.view import View

Any_ = TypeVar("Any_")

NAMES = (b"a", b"b@1", b"c:2#3", "d|\u00e9".encode())
NONCES = ("aa", "bb", "cc")
REQUESTS = (b"r1", b"r:2", b"r3")
EVERY_MS = 1_000
TTL_MS = 6_000
DEDUP_MS = 20_000


@dataclass(slots=True)
class Hand:
    """`view` may be an old one: then the command is a stale one."""

    chance: random.Random
    now_ms: int
    view: View

    def one(self, of: Sequence[Any_]) -> Any_:
        return self.chance.choice(of)

    def odds(self, probability: float) -> bool:
        return self.chance.random() < probability

    def name(self) -> bytes:
        """An entry: mostly an existing one, rarely one that never existed."""
        there = [name for name in NAMES if name in self.view.entries]
        return self.one(there) if there and self.odds(0.9) else self.one((*NAMES, b"nobody"))

    def due_name(self) -> bytes:
        """An entry: mostly one whose time has come."""
        due = [name for name, at in self.view.due.items() if float(at) <= self.now_ms]
        return self.one(due) if due and self.odds(0.85) else self.name()

    def token(self) -> bytes:
        """The holder's; sometimes another replica's."""
        stranger = self.one((b"1:stranger", b"7:aa", b"", b"garbage"))
        return self.view.token or stranger if self.odds(0.93) else stranger

    def fence(self) -> tuple[bytes, int, int]:
        """Token, TTL and a known heartbeat: rarely a higher one than Redis has."""
        heartbeat = self.view.heartbeat
        known = heartbeat if self.odds(0.85) else self.one((0, heartbeat + 1, 10**6))
        return self.token(), TTL_MS, known

    @property
    def stamp(self) -> bytes:
        """The stamp of the controls; rarely another one."""
        return b"older" if self.now_ms % 13 == 0 else self.view.meta.get(b"controls", b"")

    def message(self, name: bytes) -> bytes:
        return self.one((b"{}", b"m of " + name, b"two\nlines", b"\x00\xff"))

    def grid(self, back_ms: int = 4_000) -> int:
        """A moment of the grid, not long ago."""
        return (self.now_ms - self.chance.randrange(back_ms)) // EVERY_MS * EVERY_MS
