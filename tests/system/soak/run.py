"""One soak from its first scrape to its verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import redis

from tests.system.soak.arena import Arena
from tests.system.soak.calm import Calm
from tests.system.soak.explaining import unexplained
from tests.system.soak.faults import FAULTS, OF_A_BROKER
from tests.system.soak.minutes import Minute, Scrape, growth, percentile
from tests.system.soak.report import Report
from tests.verification.history.explanations import EXPLANATIONS

SCRAPE_EVERY_S = 1.0
PROGRESS_EVERY_S = 10.0
#: The last part of the run is without faults, so that everything can come to rest.
QUIET_S = 20.0
REST_WITHIN_S = 90.0
#: A miss is found when a beat leads again, at most this long after the fault.
MISS_AFTER_S = 30.0
#: Outcomes that nothing in a soak can cause.
NEVER = ("suppressed", "failed", "ambiguous")


@dataclass
class Run:
    """The loop of scrapes; faults go on in a thread beside it."""

    arena: Arena
    seconds: float
    say: Callable[[str], None]
    #: Watches what must stay silent, in a run without faults.
    calm: Calm | None = None
    problems: list[str] = field(default_factory=list)
    scrapes: list[Scrape] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _begun_s: float = 0.0

    def go(self) -> None:
        """Scrape until the time is up, then let everything come to rest."""
        self._begun_s = time.monotonic()
        does = self._torment if self.calm is None else self._over.wait
        tormentor = threading.Thread(target=does, daemon=True)
        tormentor.start()
        try:
            self._scrape_until(lambda: self._elapsed_s() >= self.seconds - QUIET_S)
            self._over.set()
            tormentor.join(120)
            self._scrape_until(lambda: self._elapsed_s() >= self.seconds)
            self._come_to_rest()
        finally:
            self._over.set()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._begun_s

    # -- faults -------------------------------------------------------------------------------

    def _torment(self) -> None:
        """One fault in each minute, at some second of it; every kind before one comes again."""
        deck: list[str] = []
        kinds = {**FAULTS, **(OF_A_BROKER if self.arena.outbox else {})}
        minute = 0
        while not self._over.is_set():
            if not deck:
                deck = self.arena.random.sample(sorted(kinds), len(kinds))
            at_s = minute * 60 + self.arena.random.uniform(5, 35)
            if at_s >= self.seconds - QUIET_S or self._over.wait(max(0, at_s - self._elapsed_s())):
                return
            self._inflict(deck.pop(), kinds)
            minute = max(minute + 1, int(self._elapsed_s() // 60))

    def _inflict(self, name: str, kinds: dict[str, Callable[[Arena], None]]) -> None:
        self.say(f"fault: {name}")
        try:
            kinds[name](self.arena)
        except BaseException as error:  # a failed `until` is none of Exception
            self.problems.append(f"the fault {name!r} could not be done: {error!r}"[:2_000])

    # -- scrapes ------------------------------------------------------------------------------

    def _scrape_until(self, over: Callable[[], bool]) -> None:
        next_s = time.monotonic()
        printed_s = next_s
        while not over():
            self._scrape()
            if time.monotonic() - printed_s >= PROGRESS_EVERY_S:
                printed_s = time.monotonic()
                self._progress()
            next_s = max(next_s + SCRAPE_EVERY_S, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))

    def _scrape(self) -> None:
        minute = self._minute()
        if not self.arena.away.acquire(blocking=False):
            minute.unseen += 1
            return
        try:
            scrape = self.arena.reader.look(self.arena.pids())
            minute.late_ms += self.arena.reader.read()
        except redis.RedisError as error:
            minute.unseen += 1
            self.say(f"not seen: {error}")
            return
        finally:
            self.arena.away.release()
        self.scrapes.append(scrape)
        minute.scrapes.append(scrape)
        self._judge(scrape)

    def _judge(self, scrape: Scrape) -> None:
        """What has to hold at every moment."""
        if scrape.difference:
            self._violated(
                f"I7 at {_clock(scrape.at_s)}: off by {scrape.difference} (claimed "
                f"{scrape.claimed}, settled {scrape.settled}, abandoned {scrape.abandoned}, "
                f"in flight {scrape.in_flight})"
            )
        for beat in self.arena.ended_by_themselves():
            self._violated(f"{beat} has ended by itself")
        for problem in self.arena.accounts.problems:
            self._violated(problem)
        self.arena.accounts.problems.clear()
        for problem in self.calm.look() if self.calm and self.arena.beats else ():
            self._violated(f"at {_clock(scrape.at_s)}: {problem}")

    def _violated(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
            self.say(f"VIOLATION: {problem}")

    def _minute(self) -> Minute:
        number = int(self._elapsed_s() // 60)
        while len(self.minutes) <= number:
            self.minutes.append(Minute(len(self.minutes)))
        return self.minutes[number]

    def _progress(self) -> None:
        if not self.scrapes:
            return
        last, late = self.scrapes[-1], self._minute().late_ms
        self.say(
            f"{last.claimed} claimed, I7 {last.difference}, {last.in_flight} in flight, "
            f"{last.overdue} overdue, p50/p99 {percentile(late, 50)}/{percentile(late, 99)} ms, "
            f"RSS {last.rss >> 20} MB, Redis {last.redis >> 20} MB, "
            f"{len(self.arena.accounts.copies)} copies, {len(self.problems)} violations"
        )

    # -- the end ------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """Nothing overdue, nothing in flight; then the beats are stopped and all is read."""
        ends_s = time.monotonic() + REST_WITHIN_S
        while time.monotonic() < ends_s and not self._rests():
            self._scrape()
            time.sleep(0.5)
        if not self._rests():
            last = self.scrapes[-1] if self.scrapes else None
            self._violated(f"{REST_WITHIN_S:g} s after the last fault it does not rest: {last}")
        self.arena.stop_beats()
        self._scrape()

    def _rests(self) -> bool:
        return bool(self.scrapes) and not (self.scrapes[-1].overdue or self.scrapes[-1].in_flight)

    def report(self, report: Report) -> None:
        """The accounts, closed, with everything they found."""
        arena = self.arena
        slots = arena.accounts.close(arena.reader.cursors())
        self.problems += arena.accounts.problems
        self.problems += unexplained(
            arena.accounts.copies, arena.faults, arena.reader.holders, outbox=arena.outbox
        )
        self.problems += self._odd()
        growths = growth(self.scrapes)
        late = [value for minute in self.minutes for value in minute.late_ms]
        for fault in arena.faults:
            number = int(fault.start_s - (time.time() - self._elapsed_s())) // 60
            if 0 <= number < len(self.minutes):
                self.minutes[number].faults.append(fault.what)
        report.problems = self.problems
        report.growths = growths
        report.table = [minute.row() for minute in self.minutes if minute.scrapes]
        report.faults = [
            f"{_clock(fault.start_s)} {fault.what} ({fault.end_s - fault.start_s:.1f} s)"
            for fault in arena.faults
        ]
        report.figures = {
            "slots": slots,
            "messages": arena.accounts.messages,
            "messages that came twice": len(arena.accounts.copies),
            **{f"slots {name}": count for name, count in sorted(arena.accounts.outcomes.items())},
            "scrapes (I7 checked at each)": len(self.scrapes),
            "faults": len(arena.faults),
            "leases": len({scrape.leader for scrape in self.scrapes if scrape.leader}),
            "lateness p50, p99, max (ms)": (
                f"{percentile(late, 50)}, {percentile(late, 99)}, {max(late, default=0)}"
            ),
            **(self.calm.figures() if self.calm is not None else {}),
        }
        found = len(self.problems)
        report.verdict = "No violation." if not found else f"{found} violations."
        grown = [each.what for each in growths if each.grows]
        report.verdict += f" Growing with time: {', '.join(grown)}." if grown else ""

    def _odd(self) -> list[str]:
        """Misses without a fault that can have caused them, and outcomes that must never occur."""
        found = []
        for at_s, record in self.arena.reader.odd:
            causes = [
                fault
                for fault in self.arena.faults
                if EXPLANATIONS[fault.kind].miss
                and fault.start_s <= at_s <= fault.end_s + MISS_AFTER_S
            ]
            if record.outcome in NEVER or not causes:
                found.append(f"{record} at {_clock(at_s)}: nothing is a reason for that")
        return found


def _clock(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%H:%M:%S}"
