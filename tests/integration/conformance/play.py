"""Draws a play from a seed: a thousand things that replicas, Clients and other programs might do.

Most commands are sensible: made from the state as it is, as habeat's own code would make them.
The others are stale (made from a state that was), foreign (another token), replayed (a call
whose reply was lost is made again as it was), garbled, or harm (harm.py). The clock advances by
fractions of a second; sometimes it stands still, jumps past every TTL, or goes back.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from tests.integration.conformance import draw_entries, draw_firings, draw_leases, harm
from tests.integration.conformance.hand import NONCES, TTL_MS, Hand
from tests.integration.conformance.sides import State
from tests.integration.conformance.steps import KEYS, LISTEN, PLAIN, START_US, UNLISTEN, Step, Word
from tests.integration.conformance.view import View

#: How often each script is drawn. `adopt`, `health`, `control` and `event` are drawn apart, by
#: `_arrives`, `_controls` and `_happens`.
WEIGHTS = {
    "claim": 14, "write": 9, "settle": 6, "recover": 4, "mark": 5, "tick": 7, "skip": 5,
    "acquire": 6, "steal": 6, "register": 4, "prune": 3, "request": 4, "defer": 2, "read": 1,
    "quarantine": 2, "release": 1, "observe": 3, "drop": 2, "remove": 4, "rename": 3, "recall": 2,
    "trace": 3, "sweep": 2, "names": 3, "count": 2, "reindex": 5,
    "samehost": 2, "postpone": 2, "mend": 6, "asked": 3, "put_off": 2, "circuits": 2, "resend": 3,
    "adopt": 0, "control": 0, "event": 0, "health": 0,
}  # fmt: skip
DRAWERS: dict[str, Callable[[Hand], tuple[Word, ...]]] = {
    name: getattr(module, name)
    for name in WEIGHTS
    for module in (draw_entries, draw_firings, draw_leases)
    if hasattr(module, name)
}
GARBAGE = ("", "x", "-1", "0")


class Play:
    """Draws the next step from the state that the last one left."""

    def __init__(self, seed: int, digest: Callable[[bytes], str]) -> None:
        self._chance = random.Random(seed)
        self._looks = seed % 10 == 5
        self._has_arrivals, self._arrivals = seed % 10 == 3, random.Random(-1 - seed)
        self._has_events, self._events = seed % 10 == 4, random.Random(-2 - seed)
        self._overwrites, self._overwriting = seed % 10 == 6, random.Random(-3 - seed)
        self._is_overwritten = False
        self._digest = digest
        self._has_controls, self._asking = seed % 10 in (1, 2), random.Random(-1_000_000 - seed)
        self._handing_over: list[str] = []
        self._now_us = START_US + self._chance.randrange(10**6)
        self._seen: deque[State] = deque([{}], maxlen=8)
        self._made: deque[Step] = deque(maxlen=8)
        self._waiting: list[tuple[int, tuple[Word, ...]]] = [(0, ("SET", "not a list", "a string"))]

    def next(self, state: State) -> Step:
        """The step that follows, `state` being the present one."""
        self._seen.append(state)
        self._pass_time()
        step = self._arrives(state) or self._controls(state) or self._happens(state)
        step = step or self._mends(state) or self._draw()
        if WEIGHTS.get(step.name):
            self._made.append(step)
        return step

    def _arrives(self, state: State) -> Step | None:
        """In some plays, entries of another prefix: drawn apart, so that the others stay as is.

        In others, a look at the health.
        """
        if self._looks and self._arrivals.random() < 0.05:
            hand = Hand(self._arrivals, self._now_us // 1_000, View(state, self._digest))
            return Step(self._now_us, "health", DRAWERS["health"](hand))
        if not self._has_arrivals or self._arrivals.random() > 0.08:
            return None
        hand = Hand(self._arrivals, self._now_us // 1_000, View(state, self._digest))
        return Step(self._now_us, "adopt", DRAWERS["adopt"](hand))

    def _controls(self, state: State) -> Step | None:
        """In some plays, what people ask of the schedule, and a leader that hands over."""
        if not self._has_controls or (not self._handing_over and self._asking.random() > 0.05):
            return None
        hand = Hand(self._asking, self._now_us // 1_000, View(state, self._digest))
        if not self._handing_over:
            words = DRAWERS["control"](hand)
            if words[1] == b"step_down":
                self._handing_over = ["acquire", "acquire", "release"]
            return Step(self._now_us, "control", words)
        if self._handing_over.pop() == "acquire":
            return Step(self._now_us, "acquire", DRAWERS["acquire"](hand))
        return Step(self._now_us, "release", (hand.view.token, hand.view.nonce))

    def _happens(self, state: State) -> Step | None:
        """In some plays, replicas report outages: drawn apart for the same reason."""
        if not self._has_events or self._events.random() > 0.05:
            return None
        hand = Hand(self._events, self._now_us // 1_000, View(state, self._digest))
        return Step(self._now_us, "event", DRAWERS["event"](hand))

    def _mends(self, state: State) -> Step | None:
        """In some plays, another program overwrites a position, and the next repair finds it."""
        if not self._overwrites:
            return None
        hand = Hand(self._overwriting, self._now_us // 1_000, View(state, self._digest))
        if self._is_overwritten:
            self._is_overwritten = False
            return Step(self._now_us, "mend", (hand.view.token, TTL_MS, "new", "0", 20))
        if not hand.view.entries or not hand.odds(0.05):
            return None
        self._is_overwritten = True
        name = hand.one(sorted(hand.view.entries))
        return Step(self._now_us, PLAIN, ("HSET", KEYS.state, name, b"x"))

    def _pass_time(self) -> None:
        chance = self._chance
        span = chance.choices(
            ((0, 0), (0, 400), (1_000, 4_000), (5_000, 30_000), (-3_000, 0)), (15, 73, 9, 1, 2)
        )[0]
        self._now_us += int(chance.uniform(*span) * 1_000)

    def _step(self, name: str, args: tuple[Word, ...]) -> Step:
        return Step(self._now_us, name, args, deaf=self._chance.random() < 0.07)

    def _draw(self) -> Step:
        chance = self._chance
        for waiting in self._waiting:
            if waiting[0] <= 0 or chance.random() < 0.2:
                self._waiting.remove(waiting)
                return Step(self._now_us, PLAIN, waiting[1])
        hand = Hand(chance, self._now_us // 1_000, View(self._believed(), self._digest))
        kind = chance.random()
        if kind < 0.05:
            self._harm(hand)
            return self._draw()
        if kind < 0.08:
            return Step(self._now_us, chance.choice((LISTEN, UNLISTEN)), (chance.choice(NONCES),))
        if kind < 0.10:
            return Step(self._now_us, PLAIN, draw_entries.declaration(hand))
        if kind < 0.22 and self._made:
            again = self._made[-1] if kind < 0.18 else chance.choice(self._made)
            return self._step(again.name, again.args)
        name = chance.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
        meta = hand.view.meta
        if meta.get(b"schema", b"1") != b"1" and chance.random() < 0.2:
            name = chance.choice(("acquire", "steal"))
        if b"cluster" not in meta and hand.view.token and chance.random() < 0.6:
            name = chance.choice(("acquire", "steal"))
        if not hand.view.token and chance.random() < 0.6:
            name = "acquire"
        return self._step(name, self._garbled(name, DRAWERS[name](hand)))

    def _believed(self) -> State:
        return self._seen[-1] if self._chance.random() < 0.92 else self._chance.choice(self._seen)

    def _harm(self, hand: Hand) -> None:
        now, later = harm.draw(hand)
        self._waiting += [(0, command) for command in now]
        if self._chance.random() < 0.9:
            self._waiting += [(1, command) for command in later]

    def _garbled(self, name: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
        if not words or self._chance.random() > 0.02:
            return words
        if self._chance.random() < 0.2:
            return words[: self._chance.randrange(len(words))]
        at = self._chance.randrange(len(words))
        if name == "claim":
            # Not its counts: words read as others would have a server count to a moment in ms.
            at = self._chance.choice([*range(6), *range(7, 20)])
        return (*words[:at], self._chance.choice(GARBAGE), *words[at + 1 :])
