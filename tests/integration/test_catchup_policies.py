"""No leader for an hour, a day and two weeks of slots: what fires is what was promised.

The shipped engine and scripts run on the simulation's server, whose clock is the test's. The
expectation is derived from the slots that `client.preview` returns and the wording of the policy,
not from the code that plans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

import habeat
from habeat.client.preview import COUNT_MAX, Span, instants_of
from habeat.core.catchup import HISTORY_LOST
from habeat.core.entry import Entry, Misfire
from habeat.core.request import Request
from habeat.entries import changes
from habeat.entries.codec import encode_request
from habeat.ports.entries import Stored
from habeat.schedules import Schedule
from habeat.schedules.schedule import moment, to_ms
from habeat.store.calling import Caller
from habeat.store.entries import EntryStore
from tests.verification.history.checker import judge
from tests.verification.history.events import Arrival, Expectation
from tests.verification.simulation.network import Clients, Direct
from tests.verification.simulation.plan import SECOND, Plan
from tests.verification.simulation.run import Simulation

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
GRACE_MS = 60_000

GAPS = {"an hour": HOUR_MS, "a day": 24 * HOUR_MS, "two weeks": 14 * 24 * HOUR_MS}
SHORT_FIRST = ["an hour", "a day", pytest.param("two weeks", marks=pytest.mark.slow)]
SCHEDULES: dict[str, Schedule] = {
    "interval": habeat.every(60, offset=0),
    "cron": habeat.cron("* * * * *", tz="Europe/Berlin"),
}


@dataclass
class Message:
    """What a consumer of the broker would see."""

    at_us: int
    slot_ms: int


class Bench(Simulation):
    """One entry, one replica at a time, and a clock that the test moves."""

    def __init__(self, schedule: Schedule, **policies: Any) -> None:
        super().__init__(
            Plan(1, 1, entries=(), troubles=(), storm_us=0, ttl_ms=2_000, atomic=False)
        )
        self.caller = Caller(Clients(Direct(self.server)), self.keys)
        self.entries = EntryStore(self.caller)
        self.to_half_a_minute()
        self.begin_ms = self.now_ms
        entry = Entry("e", "task", schedule, misfire_grace_ms=GRACE_MS, **policies)
        edit = changes.addition(self.stored(), entry, self.now_ms)
        assert self.entries.write([edit.write]) is None

    @property
    def now_ms(self) -> int:
        return self.server.now_us() // 1_000

    def to_half_a_minute(self) -> None:
        """No slot is near, so it does not matter how many milliseconds a takeover takes."""
        self.world.run((self.world.now_us // (60 * SECOND) + 1) * 60 * SECOND + 30 * SECOND)

    def stored(self) -> Stored:
        return self.entries.read(["e"]).stored[0]

    def edit(self, act: Callable[..., Any], *words: Any, **named: Any) -> None:
        edit = act(self.stored(), *words, **named)
        assert edit is not None
        assert self.entries.write([edit.write]) is None

    def play(self, seconds: float) -> None:
        self.world.run(self.world.now_us + round(seconds * SECOND))

    def beat_for(self, seconds: float) -> None:
        """A beat starts, runs for this long, and is stopped."""
        host = self.start_replica()
        self.play(seconds)
        self.terminate(host)
        self.play(1)

    def stand_still(self, ms: int) -> None:
        self.play(ms / 1_000)

    def preview(self, after_ms: int, until_ms: int) -> list[int]:
        """The slots that `client.preview` names, page by page."""
        entry = self.stored().entry
        assert entry is not None
        bare = replace(entry, max_runs=None)
        found: list[int] = []
        while True:
            span = Span.checked(moment(after_ms), moment(until_ms), COUNT_MAX)
            page = [to_ms("slot", slot.nominal) for slot in instants_of(bare, span)]
            found += page
            if len(page) < COUNT_MAX:
                return found
            after_ms = page[-1]

    def sent(self) -> list[Message]:
        return [
            Message(event.at_us, int(event.identity.partition("#")[0]))
            for event in self.recorder.events
            if isinstance(event, Arrival)
        ]

    @property
    def cursor_ms(self) -> int:
        return self.stored().state.cursor_ms

    def records(self) -> list[dict[str, str]]:
        raw = self.server.call("XRANGE", self.keys.ledger, "-", "+")
        return [
            {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2], strict=True)}
            for _, flat in raw
        ]

    def reasons(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        for record in self.records():
            counted[f"{record['outcome']} {record['reason']}".strip()] += int(record["count"])
        return counted

    def judge(self) -> None:
        # Why slots were missed, the tests say themselves.
        expectation = Expectation(
            self.keys.base, 2_000_000, atomic=False, misses=False, slack_us=1_000
        )
        assert judge(self.recorder.events, expectation).problems == []


def promised(slots: Sequence[int], now_ms: int, policies: dict[str, Any]) -> list[int]:
    """The slots found at `now_ms` that fire, by the wording of the policy."""
    in_grace = [slot for slot in slots if slot >= now_ms - GRACE_MS]
    older = [slot for slot in slots if slot < now_ms - GRACE_MS]
    window_ms = policies.get("misfire_window_ms")
    if window_ms is not None:
        older = [slot for slot in older if slot >= now_ms - window_ms]
    match policies.get("misfire", Misfire.LATEST):
        case Misfire.LATEST:
            older = older[-1:]
        case Misfire.ALL:
            older = older[-policies.get("misfire_limit", 1_000) :]
        case Misfire.SKIP:
            older = []
    return older + in_grace


POLICIES: dict[str, dict[str, Any]] = {
    "latest": {"misfire": Misfire.LATEST},
    "latest in a window": {"misfire": Misfire.LATEST, "misfire_window_ms": 30 * MINUTE_MS},
    "latest, and none in the window": {
        "misfire": Misfire.LATEST,
        "misfire_window_ms": 70_000,
    },
    "skip": {"misfire": Misfire.SKIP},
    "all": {"misfire": Misfire.ALL},
    "all, few": {"misfire": Misfire.ALL, "misfire_limit": 7},
    "all, slowly": {"misfire": Misfire.ALL, "misfire_limit": 25, "misfire_pace": 2.0},
    "all in a window": {"misfire": Misfire.ALL, "misfire_window_ms": 45 * MINUTE_MS},
    "all in a window, few and fast": {
        "misfire": Misfire.ALL,
        "misfire_window_ms": 12 * HOUR_MS,
        "misfire_limit": 500,
        "misfire_pace": 200.0,
    },
}


@dataclass
class Outage:
    """What a leader finds when it comes back."""

    bench: Bench
    found_ms: int
    missed: list[int]
    messages: list[Message]


def outage(gap_ms: int, schedule: Schedule, seconds: float, **policies: Any) -> Outage:
    bench = Bench(schedule, **policies)
    bench.beat_for(90)
    bench.to_half_a_minute()
    before = len(bench.sent())
    off_ms = bench.cursor_ms
    bench.stand_still(gap_ms)
    bench.to_half_a_minute()
    found_ms = bench.now_ms
    host = bench.start_replica()
    bench.play(seconds)
    bench.terminate(host)
    bench.play(1)
    return Outage(bench, found_ms, bench.preview(off_ms, found_ms), bench.sent()[before:])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("gap", SHORT_FIRST)
@pytest.mark.parametrize("kind", SCHEDULES)
def test_exactly_what_was_promised_fires(kind: str, gap: str, policy: str) -> None:
    given = POLICIES[policy]
    expected_pace = given.get("misfire_pace", 50.0)
    wanted = given.get("misfire_limit", 1_000) if given["misfire"] is Misfire.ALL else 1
    seconds = 25 + min(wanted, GAPS[gap] // MINUTE_MS) / expected_pace
    found = outage(GAPS[gap], SCHEDULES[kind], seconds, **given)
    assert len(found.missed) >= GAPS[gap] // MINUTE_MS

    expected = promised(found.missed, found.found_ms, given)
    last_ms = found.missed[-1]
    fired = [message.slot_ms for message in found.messages if message.slot_ms <= last_ms]
    assert fired == expected
    found.bench.judge()

    reasons = found.bench.reasons()
    unfired = sum(count for reason, count in reasons.items() if reason.startswith("missed"))
    assert unfired == len(found.missed) - len(expected)
    assert HISTORY_LOST not in "".join(reasons)
    check_pace([m for m in found.messages if m.slot_ms < found.found_ms - GRACE_MS], expected_pace)


def check_pace(messages: Sequence[Message], pace: float) -> None:
    """No second has more than the pace and one burst of a tenth of it."""
    burst = max(1, round(pace / 10))
    moments = [message.at_us for message in messages]
    for first, at_us in enumerate(moments):
        within = sum(1 for other in moments[first:] if other < at_us + SECOND)
        assert within <= pace + burst
    if len(moments) > 4 * burst:
        # And it is not much slower than promised either.
        assert len(moments) / ((moments[-1] - moments[0]) / SECOND) > pace * 0.6


@pytest.mark.parametrize("gap", GAPS)
def test_a_long_gap_is_a_few_records(gap: str) -> None:
    """An interval's gap is counted by arithmetic: one record for all that did not fire."""
    found = outage(GAPS[gap], SCHEDULES["interval"], 20)
    missed = [record for record in found.bench.records() if record["outcome"] == "missed"]
    (record,) = missed
    older = [slot for slot in found.missed if slot < found.found_ms - GRACE_MS]
    assert int(record["count"]) == len(older) - 1
    assert (int(record["slot"]), int(record["until"])) == (older[0], older[-2])


@pytest.mark.parametrize("misfire", list(Misfire))
def test_max_runs_counts_what_fires_and_not_what_was_missed(misfire: Misfire) -> None:
    bench = Bench(SCHEDULES["interval"], misfire=misfire, max_runs=5, misfire_limit=3)
    bench.beat_for(90)
    bench.stand_still(HOUR_MS)
    bench.to_half_a_minute()
    bench.beat_for(600)
    assert len(bench.sent()) == 5
    stored = bench.stored()
    assert stored.entry is not None
    assert (stored.entry.condition, stored.state.fired) == ("exhausted", 5)


@pytest.mark.parametrize("misfire", list(Misfire))
@pytest.mark.parametrize("catch_up", [False, True])
def test_a_resume_continues_from_now_or_from_the_pause(misfire: Misfire, catch_up: bool) -> None:
    bench = Bench(SCHEDULES["interval"], misfire=misfire)
    bench.beat_for(90)
    bench.to_half_a_minute()
    bench.edit(changes.pause, "why", bench.now_ms)
    off_ms = bench.cursor_ms
    before = len(bench.sent())
    by_the_pause = bench.reasons()["skipped paused"]
    host = bench.start_replica()
    bench.stand_still(8 * MINUTE_MS)
    assert len(bench.sent()) == before
    bench.to_half_a_minute()
    now_ms = bench.now_ms
    slots = bench.preview(off_ms, now_ms)
    bench.edit(changes.resume, now_ms, catch_up=catch_up)
    bench.play(20)
    bench.terminate(host)
    bench.play(1)
    expected = promised(slots, now_ms, {"misfire": misfire}) if catch_up else []
    fired = [message.slot_ms for message in bench.sent()[before:]]
    assert fired == expected
    bench.judge()
    paused = bench.reasons()["skipped paused"] - by_the_pause
    assert paused == (0 if catch_up else len(slots))


def test_a_trigger_and_a_backfill_fire_once_whatever_the_schedule_does() -> None:
    bench = Bench(SCHEDULES["interval"])
    bench.beat_for(90)
    bench.to_half_a_minute()
    before = len(bench.sent())
    end_ms = bench.now_ms - HOUR_MS
    orders = {
        "t": Request("trigger", "e", bench.now_ms),
        "b": Request(
            "backfill", "e", 0, cursor_ms=end_ms - 30 * MINUTE_MS, end_ms=end_ms, pace=5.0
        ),
    }
    for identity, order in orders.items():
        for mark, word in (("m1", "ok"), ("m1", "ok"), ("m2", "known")):
            asked = bench.entries.add_request(identity, encode_request(order), 60_000, "e", mark)
            assert asked.word == word
    host = bench.start_replica()
    bench.play(20)
    for identity, order in orders.items():
        asked = bench.entries.add_request(identity, encode_request(order), 60_000, "e", "m3")
        assert asked.word == "known"
    bench.play(5)
    bench.terminate(host)
    bench.play(1)
    extra = bench.sent()[before:]
    old = [message for message in extra if message.slot_ms <= end_ms]
    first_ms = (end_ms - 30 * MINUTE_MS) // MINUTE_MS * MINUTE_MS + MINUTE_MS
    assert [m.slot_ms for m in old] == list(range(first_ms, end_ms + 1, MINUTE_MS))
    check_pace(old, 5.0)
    assert len([message for message in extra if message.slot_ms == orders["t"].at_ms]) == 1
    reasons = bench.reasons()
    assert (reasons["sent backfill"], reasons["sent trigger"]) == (len(old), 1)
