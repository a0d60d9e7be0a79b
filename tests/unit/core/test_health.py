"""What is wrong, from facts: each fault is named, and what passes by itself is not."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.core.events import EVENTS, EventCode
from habeat.core.firing import Outcome
from habeat.core.health import (
    NAMED,
    PASSED_OVER_BY_MS,
    SETTLED_AFTER_MS,
    STALLED_AFTER_MS,
    TAKEOVER_FOR_MS,
    Finding,
    HealthFacts,
    Recorded,
    Severity,
    Trouble,
    Waiting,
    assess,
    error,
    errors,
    warning,
    warnings,
)

NOW_MS = 1_800_000_000_000
QUIET_MS = STALLED_AFTER_MS + 1_000
LONG_AGO_MS = NOW_MS - 3_600_000


def found(**given: Any) -> dict[tuple[str, str], Finding]:
    facts: dict[str, Any] = {"leader": "alpha pid 1", "leader_since_ms": LONG_AGO_MS, **given}
    findings = assess(HealthFacts(NOW_MS, **facts))
    assert {each.code for each in findings} <= {code.value for code in EventCode}
    assert all(each.next_step for each in findings)
    return {each.subject: each for each in findings}


def codes(**given: Any) -> list[str]:
    return [code for code, _ in found(**given)]


def sent(ago_ms: int, effective_ago_ms: int | None = None, entry: str = "e") -> Recorded:
    effective_ms = NOW_MS - (ago_ms if effective_ago_ms is None else effective_ago_ms)
    return Recorded(entry, Outcome.SENT, "", NOW_MS - ago_ms, effective_ms)


def failed(ago_ms: int, reason: str = "no list", entry: str = "e") -> Recorded:
    return Recorded(entry, Outcome.FAILED, reason, NOW_MS - ago_ms)


def overdue(*ago_ms: int) -> dict[str, Any]:
    items = [(f"e{at}", NOW_MS - each) for at, each in enumerate(ago_ms)]
    return {"overdue": items, "overdue_count": len(items)}


def test_nothing_is_wrong() -> None:
    assert codes() == []
    assert codes(newest=[sent(QUIET_MS)], in_flight=3, in_flight_since=NOW_MS - 100) == []


@pytest.mark.parametrize("newest", [(), (sent(QUIET_MS),), (failed(61_000),)])
def test_what_is_due_while_no_slot_gets_an_outcome(newest: tuple[Recorded, ...]) -> None:
    assert codes(newest=newest) == [], "nothing is due"
    stalled = found(newest=newest, **overdue(9_000, 7_000))
    assert list(stalled) == [("dispatch_stalled", "")]
    assert stalled["dispatch_stalled", ""].since_ms == NOW_MS - 9_000
    assert "2 entries have been due for more than 5 s" in stalled["dispatch_stalled", ""].sentence
    assert list(found(newest=newest, **overdue(9_000))) == [("dispatch_stalled", "e0")]


@pytest.mark.parametrize("outcome", Outcome)
def test_while_slots_get_outcomes_nothing_stands_still(outcome: Outcome) -> None:
    newest = [Recorded("other", outcome, "", NOW_MS - 500)]
    assert "dispatch_stalled" not in codes(newest=newest, **overdue(9_000))


def test_a_new_leader_has_time_to_begin() -> None:
    for since_ms, expected in (
        (SETTLED_AFTER_MS - 1, []),
        (SETTLED_AFTER_MS, ["dispatch_stalled"]),
    ):
        assert codes(leader_since_ms=NOW_MS - since_ms, **overdue(9_000)) == expected
    assert codes(leader="", **overdue(9_000)) == ["no_leader", "dispatch_stalled"]


def test_messages_that_the_broker_does_not_take() -> None:
    flying = {"in_flight": 2, "in_flight_since": NOW_MS - QUIET_MS}
    (stalled,) = found(newest=[sent(QUIET_MS)], **flying).values()
    assert stalled.sentence.endswith("the broker does not take 2 messages in flight")
    assert codes(newest=[sent(100)], **flying) == []


def test_the_broker_itself_is_the_finding_once_a_replica_has_named_it() -> None:
    broker = Trouble("alpha pid 1", NOW_MS - 8_000, "connection refused")
    (finding,) = found(broker=broker, **overdue(9_000, 9_000)).values()
    assert (finding.code, finding.since_ms) == ("broker_unavailable", NOW_MS - 8_000)
    assert finding.sentence.endswith("for 8 s: connection refused")


def test_one_starved_entry_among_many_that_fire_is_named() -> None:
    late = overdue(9_000)
    passed = found(newest=[sent(100)], **late)
    assert list(passed) == [("entry_starved", "e0")]
    assert passed["entry_starved", "e0"].since_ms == NOW_MS - 9_000
    at_the_margin_ms = 9_000 - PASSED_OVER_BY_MS
    assert codes(newest=[sent(100, at_the_margin_ms)], **late) == [], "a burst is sent in order"
    assert codes(newest=[sent(100, at_the_margin_ms - 1)], **late) == ["entry_starved"]


def test_what_catches_up_or_was_asked_for_proves_nothing() -> None:
    unscheduled = Recorded("other", Outcome.SENT, "trigger", NOW_MS - 10)
    assert codes(newest=[unscheduled], **overdue(9_000)) == []


def test_of_many_starved_entries_some_are_named_and_the_rest_is_counted() -> None:
    starved = found(newest=[sent(100)], **overdue(*[9_000] * (NAMED + 2)))
    assert len(starved) == NAMED + 1
    assert starved["entry_starved", ""].sentence.startswith("2 entries more")


def test_an_entry_that_waits_is_named_with_the_reason() -> None:
    waits = found(waiting=[Waiting("e", NOW_MS - 3_000, "its schedule fails")])
    assert "its schedule fails (it has waited for 3 s)" in waits["entry_waits", "e"].sentence
    both = codes(newest=[sent(10)], waiting=[Waiting("e0", NOW_MS, "why")], **overdue(9_000))
    assert both == ["entry_waits"], "one finding for one entry"


def test_a_failed_slot_is_named_until_its_entry_is_sent() -> None:
    assert codes(newest=[failed(100)]) == ["entry_unsendable"]
    assert codes(newest=[sent(50), failed(100)]) == []
    assert codes(newest=[sent(50, entry="other"), failed(100)]) == ["entry_unsendable"]
    assert codes(newest=[failed(100, "circuit open: no list")], circuit_count=1) == [
        "circuit_opened"
    ]


def test_circuits_are_one_finding() -> None:
    one = found(circuits=[("a", 5)], circuit_count=1)
    assert one["circuit_opened", "a"].since_ms == 5
    many = found(circuits=[("b", 7), ("a", 5)], circuit_count=9)
    assert many["circuit_opened", ""].sentence == "9 entries are failing: 'a', 'b' and 7 more"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"leader": ""}, "no_leader"),
        ({"hangs": [Trouble("alpha pid 1", NOW_MS - 6_000, "a.py:3 f")]}, "tick_hangs"),
        ({"ticks": [Trouble("alpha pid 1", NOW_MS - 6_000, "ValueError()")]}, "tick_failed"),
        ({"beyond_grace": 1}, "dispatch_late"),
        ({"dead": 1}, "dead_letters"),
        ({"accounting_off": -1}, "accounting_off"),
        ({"lost_ms": NOW_MS - 60_000}, "data_lost"),
        ({"undefined": 2}, "entries_gone"),
        ({"unplaced": 2}, "entries_gone"),
        ({"repaired": [Trouble("alpha pid 1", NOW_MS, "due")]}, "keys_repaired"),
    ],
)
def test_each_fault_has_its_code(given: dict[str, Any], code: str) -> None:
    assert codes(**given) == [code]


def test_calendars_without_effect_deserve_a_look_and_some_of_many_are_named() -> None:
    many = [Waiting(f"e{at}", NOW_MS - 5_000, "de") for at in range(NAMED + 2)]
    findings = found(missing_calendars=many, ended_calendars=many[:1])
    assert errors(findings.values()) == ()
    one = findings["calendar_missing", "e0"]
    assert "'de', which does not exist: it fires every day" in one.sentence
    assert one.since_ms == NOW_MS - 5_000
    assert "2 entries more name a calendar" in findings["calendar_missing", ""].sentence
    assert "whose days are all past" in findings["calendar_ended", "e0"].sentence
    assert len(findings) == NAMED + 2


def test_a_loss_of_data_is_over_after_some_time() -> None:
    assert codes(lost_ms=LONG_AGO_MS) == []


def test_only_errors_are_problems() -> None:
    findings = (error(EventCode.NO_LEADER, "bad"), warning(EventCode.NO_STANDBY, "look"))
    assert (errors(findings), warnings(findings)) == (("bad",), ("look",))
    assert [each.severity for each in findings] == [Severity.ERROR, Severity.WARNING]
    assert findings[0].next_step == EVENTS[EventCode.NO_LEADER].next_step


@pytest.mark.parametrize(
    ("cause", "why"), [("expired", "the lease of b expired"), ("stuck", "b froze")]
)
def test_a_leader_that_failed_is_named_for_a_while_after_another_took_over(
    cause: str, why: str
) -> None:
    def seen(ago_ms: int) -> dict[tuple[str, str], Finding]:
        return found(leader_cause=cause, led_after="b", leader_since_ms=NOW_MS - ago_ms)

    (finding,) = seen(3_000).values()
    assert finding.code == EventCode.LEADER_ACQUIRED
    assert finding.severity is Severity.WARNING
    assert finding.sentence == f"alpha pid 1 took over 3 s ago: {why}"
    assert seen(TAKEOVER_FOR_MS) == {}


@pytest.mark.parametrize("cause", ["first", "released", "", "odd"])
def test_a_planned_change_of_leader_is_no_finding(cause: str) -> None:
    assert codes(leader_cause=cause, leader_since_ms=NOW_MS - 3_000) == []


def test_a_receiver_that_fails_is_an_error() -> None:
    (finding,) = found(receivers=[Trouble("alpha pid 1", NOW_MS - 6_000, "x.y hangs")]).values()
    assert (finding.code, finding.severity) == (EventCode.RECEIVER_FAILED, Severity.ERROR)
    assert finding.sentence.endswith("in alpha pid 1, for 6 s: x.y hangs")


def test_quarantined_entries_are_named_and_the_rest_is_counted() -> None:
    names = [f"q{number}" for number in range(NAMED + 2)]
    seen = found(quarantined=names, quarantined_count=50)
    assert [entry for _, entry in seen] == [*names[:NAMED], ""]
    assert seen["entry_quarantined", ""].sentence == f"{50 - NAMED} entries more are quarantined"
    assert {each.severity for each in seen.values()} == {Severity.WARNING}


def test_invalid_entries_of_beat_schedule_are_named() -> None:
    (finding,) = found(refused=["b", "a"]).values()
    assert (finding.code, finding.severity) == (EventCode.ENTRY_REFUSED, Severity.WARNING)
    assert finding.sentence == "2 entries of beat_schedule cannot be stored: 'a', 'b'"
    (finding,) = found(refused=["a"]).values()
    assert finding.entry == "a"


def test_beats_that_hang_are_not_said_to_be_gone() -> None:
    gone = found(leader="")["no_leader", ""].sentence
    hang = found(leader="", hangs=[Trouble("b", NOW_MS, "x.py:1")])["no_leader", ""].sentence
    assert (gone, hang) == (
        "no leader; no beat is running",
        "no leader; no beat's loop is running",
    )
