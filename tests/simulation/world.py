"""Virtual time and the replicas that live in it.

Each replica runs the shipped loop in a greenlet of its own. Whenever it would wait (for a reply,
for a message, for time to pass) it gives way, and the world goes on with whoever is next in
virtual time. Nothing else switches, so a seed replays exactly.

A crashed replica never runs again: the next thing that it does is to raise `Crashed`. A paused
one (SIGSTOP) goes on where it was when it is thawed, having noticed nothing.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import greenlet

SECOND = 1_000_000


class Crashed(BaseException):
    """The process is gone; nothing of ours may catch this."""


@dataclass(order=True)
class Event:
    """Something that happens at a moment of true time."""

    at_us: int
    order: int
    act: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)


class World:
    """True time, in microseconds, and what is to happen."""

    def __init__(self, seed: int, start_us: int = 1_700_000_000_000_000) -> None:
        self.random = random.Random(seed)
        self.now_us = start_us
        self.start_us = start_us
        self._events: list[Event] = []
        self._order = itertools.count()
        self._hub = greenlet.getcurrent()
        self.log: list[str] = []

    def tell(self, text: str) -> None:
        """One line of the printed history."""
        self.log.append(f"{(self.now_us - self.start_us) / 1e6:10.6f}  {text}")

    def at(self, delay_us: int, act: Callable[[], None]) -> Event:
        """Do something later."""
        event = Event(self.now_us + max(0, delay_us), next(self._order), act)
        heapq.heappush(self._events, event)
        return event

    def run(self, until_us: int) -> None:
        """Let everything happen up to a moment."""
        while self._events and self._events[0].at_us <= until_us:
            event = heapq.heappop(self._events)
            self.now_us = max(self.now_us, event.at_us)
            if not event.cancelled:
                event.act()
        self.now_us = max(self.now_us, until_us)

    def give_way(self) -> Any:
        """From a greenlet: let the others go on until somebody switches back."""
        return self._hub.switch()


class Host:
    """A process on a machine: its clocks, and whether it runs."""

    def __init__(self, world: World, name: str, main: Callable[[Host], None]) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.frozen = False
        self.rate = 1.0 + world.random.uniform(-1e-4, 1e-4)
        self.boot_us = world.random.randrange(10**12)
        self.skew_ms = world.random.choice((0, 0, 40, -3_600_000, 3_600_000))
        self.on_death: list[Callable[[], None]] = []
        #: Done at the next boundary of a call, with the request or the reply under way.
        self.ambush: Callable[[], None] | None = None
        self._wakes: Any = None
        self._wake_event: Event | None = None
        self._thawed: list[Callable[[], None]] = []
        self._greenlet = greenlet(lambda: self._main(main))
        world.at(0, self._greenlet.switch)

    def _main(self, main: Callable[[Host], None]) -> None:
        try:
            main(self)
        except Crashed:
            return

    # -- ports.Clock --------------------------------------------------------------------------

    def monotonic_us(self) -> int:
        return self.boot_us + int((self.world.now_us - self.world.start_us) * self.rate)

    def wall_ms(self) -> int:
        return self.world.now_us // 1_000 + self.skew_ms

    # -- waiting ------------------------------------------------------------------------------

    def sleep(self, us: int) -> None:
        """Let time pass; Crashed if the process dies meanwhile."""
        self._wake_event = self.world.at(us, self._go_on)
        self.world.give_way()
        if not self.alive:
            raise Crashed

    def boundary(self) -> None:
        """A request or a reply is on its way: the worst moment for anything to happen."""
        act, self.ambush = self.ambush, None
        if act is not None:
            act()
            self.sleep(1)

    def wake(self) -> None:
        """End a sleep early, if there is one."""
        if self._wake_event is not None and not self._wake_event.cancelled:
            self._wake_event.cancelled = True
            self._wake_event = self.world.at(0, self._go_on)

    def _go_on(self) -> None:
        if self.frozen:
            self._thawed.append(self._go_on)
        elif self.alive:
            self._greenlet.switch()

    # -- what can happen to it ----------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL: the kernel closes its sockets, and it never runs again."""
        self.alive = False
        for act in self.on_death:
            act()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen = False
        waiting, self._thawed = self._thawed, []
        for act in waiting:
            self.world.at(0, act)
