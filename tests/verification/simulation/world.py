"""Virtual time and the processes that live in it.

Each replica runs the shipped loop in a greenlet of its own. Whenever it would wait (for a reply,
for a message, for time to pass) it gives way, and the world continues with the next process in
virtual time. Nothing else switches, so a seed replays exactly. A wait during which no other process
has anything to do is no switch at all: the clock is put forward, and that is where most of the
speed comes from.

A crashed replica never runs again: the next thing that it does is to raise `Crashed`. A paused
one (SIGSTOP) continues where it was when it is thawed, having noticed nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet

SECOND = 1_000_000
#: A run that has more events than this goes round in circles.
EVENTS_MAX = 400_000


class Crashed(BaseException):
    """The process is gone; nothing of ours may catch this."""


class Endless(Exception):
    """Something happens again and again, and virtual time hardly passes."""


class Stuck(BaseException):
    """Real time passes and nothing else does; raised by the runner's alarm."""


class World:
    """True time, in microseconds, and the events to come."""

    def __init__(self, seed: int | str, start_us: int = 1_700_000_000_000_000) -> None:
        self.random = random.Random(seed)
        self.now_us = start_us
        self.start_us = start_us
        self.until_us = start_us
        self.events = 0
        self._heap: list[tuple[int, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._order = 0
        self._hub = getcurrent()
        #: The printed history; None where it is not needed.
        self.log: list[str] | None = None

    def tell(self, text: str, *args: Any) -> None:
        """One line of the printed history."""
        if self.log is not None:
            at_s = (self.now_us - self.start_us) / 1e6
            self.log.append(f"{at_s:10.6f}  {text % args if args else text}")

    def at(self, delay_us: int, act: Callable[..., Any], *args: Any) -> None:
        """Do something later."""
        self._order += 1
        heappush(self._heap, (self.now_us + max(0, delay_us), self._order, act, args))

    def run(self, until_us: int) -> None:
        """Let everything happen up to a moment."""
        heap = self._heap
        self.until_us = until_us
        while heap and heap[0][0] <= until_us:
            at_us, _, act, args = heappop(heap)
            if at_us > self.now_us:
                self.now_us = at_us
            self.events += 1
            if self.events > EVENTS_MAX:
                raise Endless(f"{self.events} events in {self.now_us - self.start_us} us")
            act(*args)
        self.now_us = max(self.now_us, until_us)

    def forget(self) -> None:
        """Drop all events to come."""
        self._heap.clear()

    def give_way(self) -> Any:
        """From a greenlet: let the others run until one of them switches back."""
        return self._hub.switch()


class Host:
    """A process on a machine: its clocks, and whether it runs."""

    def __init__(self, world: World, name: str, main: Callable[[Host], None]) -> None:
        self.world = world
        self.name = name
        self.began_us = world.now_us
        #: By which the schedule knows this process; set by its starter.
        self.nonce = name
        self.alive = True
        self.frozen = False
        self.stopping = False
        #: A signal has come that it has not noticed yet; what it does then, at its next rest.
        self.signalled = False
        self.on_signal: Callable[[], None] = lambda: None
        #: When it was asked to stop, or was killed.
        self.gone_us: int | None = None
        self.ended = False
        self.rate = 1.0 + world.random.uniform(-1e-4, 1e-4)
        self.boot_us = world.random.randrange(10**12)
        self.skew_ms = world.random.choice((0, 0, 40, -3_600_000, 3_600_000))
        self.on_death: list[Callable[[], None]] = []
        #: What lies in wait at the boundaries of its calls: (where, act), see storm.py.
        self.ambushes: list[tuple[str, Callable[[Host], None]]] = []
        self._sleeps = 0
        self._asleep = False
        self._thawed: list[int] = []
        self._greenlet = greenlet(self._main)
        self._todo = main
        world.at(0, self._go_on, 0)

    def _main(self) -> None:
        try:
            self._todo(self)
        except Crashed:
            pass
        finally:
            self.ended = True

    # -- ports.Clock --------------------------------------------------------------------------

    def monotonic_us(self) -> int:
        world = self.world
        return self.boot_us + int((world.now_us - world.start_us) * self.rate)

    def wall_ms(self) -> int:
        return self.world.now_us // 1_000 + self.skew_ms

    # -- waiting ------------------------------------------------------------------------------

    def sleep(self, us: int) -> None:
        """Let time pass; Crashed if the process dies meanwhile."""
        if not self.alive:
            raise Crashed
        world = self.world
        if not self.frozen:  # no other process has anything to do until then: put the clock forward
            wake_us, heap = world.now_us + us, world._heap
            if wake_us <= world.until_us and not (heap and heap[0][0] <= wake_us):
                world.now_us = wake_us
                world.events += 1
                if world.events > EVENTS_MAX:
                    raise Endless(f"{world.events} events in {wake_us - world.start_us} us")
                if self.signalled:
                    self._notice()
                return
        self._sleeps += 1
        self._asleep = True
        world.at(us, self._go_on, self._sleeps)
        world.give_way()
        if not self.alive:
            raise Crashed
        if self.signalled:
            self._notice()

    def _notice(self) -> None:
        self.signalled = False
        self.on_signal()

    def boundary(self, where: str) -> None:
        """A request or a reply is under way: the worst moment for anything to happen."""
        for ambush in self.ambushes:
            if ambush[0] == where:
                self.ambushes.remove(ambush)
                ambush[1](self)
                self.sleep(1)
                return

    def strike(self, where: str) -> None:
        """The same for what is on its way without us: we are not held up by it."""
        for ambush in self.ambushes:
            if ambush[0] == where:
                self.ambushes.remove(ambush)
                ambush[1](self)
                return

    def wake(self) -> None:
        """End a sleep early, if there is one."""
        if self._asleep:
            self._sleeps += 1
            self.world.at(0, self._go_on, self._sleeps)

    def _go_on(self, sleep: int) -> None:
        if sleep != self._sleeps:
            return
        if self.frozen:
            self._thawed.append(sleep)
        elif self.alive:
            self._asleep = False
            self._greenlet.switch()

    # -- what can happen to it ----------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL: the kernel closes its sockets, and it never runs again."""
        self.alive = False
        self.going()
        self.ambushes.clear()
        for act in self.on_death:
            act()

    def going(self) -> None:
        """It accepts no more work."""
        if self.gone_us is None:
            self.gone_us = self.world.now_us

    def bury(self) -> None:
        """End the greenlet of a dead process: what it holds would stay in memory forever."""
        if not self.ended and self._greenlet:
            self.alive = False
            self._greenlet.throw(Crashed)

    def freeze(self) -> None:
        """SIGSTOP, or a machine put to sleep: its monotonic clock keeps going."""
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen = False
        waiting, self._thawed = self._thawed, []
        for sleep in waiting:
            self.world.at(0, self._go_on, sleep)
