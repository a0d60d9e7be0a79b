"""The facts from which health is assessed, as one script reads them from real servers."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.core.circuit import Circuit
from habeat.ports.entries import Write
from habeat.store.health import REPORT_FORGOTTEN_MS, HealthStore
from tests.integration.scripts.bench import Bench

HOUR_MS = 3_600_000


@pytest.fixture
def health(bench: Bench) -> HealthStore:
    return HealthStore(bench.caller)


def hanging(at_ms: int) -> dict[str, Any]:
    return {"hangs": {"since_ms": at_ms, "what": "a.py:1"}, "where": "w", "at_ms": at_ms}


def test_a_report_is_news_while_it_is_fresh(bench: Bench, health: HealthStore) -> None:
    health.report("aa", hanging(bench.now_ms))
    assert [each.where for each in health.read(60_000).facts.hangs] == ["w"]


def test_what_a_leader_reports_of_calendars_is_read(bench: Bench, health: HealthStore) -> None:
    one = {"entry": "e", "since_ms": bench.now_ms, "why": "de"}
    said = {"calendars_missing": [one, "?"], "calendars_ended": {"not": "a list"}}
    health.report("aa", {**said, "where": "w", "at_ms": bench.now_ms})
    facts = health.read(60_000).facts
    assert [(each.entry, each.why) for each in facts.missing_calendars] == [("e", "de")]
    assert (facts.ended_calendars, facts.waiting) == ([], [])


def test_a_report_from_before_the_clock_was_set_back_is_no_news(
    bench: Bench, health: HealthStore
) -> None:
    health.report("aa", hanging(bench.now_ms + HOUR_MS // 2))
    health.report("bb", hanging(bench.now_ms + REPORT_FORGOTTEN_MS + HOUR_MS))
    found = health.read(60_000)
    assert found.facts.hangs == []
    assert found.stale == ["bb"]


def test_of_messages_in_flight_only_the_beginning_of_a_few_is_read(
    bench: Bench, health: HealthStore
) -> None:
    for number in range(100):
        intent = f"1:aa\n0\n{1_000 + number}\nr/d\n" + "x" * 1_000
        bench.admin.hset(bench.keys.inflight, f"e@{number}", intent)
        bench.admin.zadd(bench.keys.inflight_due, {f"e@{number}": number})
    reply = bench.caller.run("health", 1_000, 61_000, 5_000, 20, 50, 50, 15_000)
    intents = next(each for each in reply if isinstance(each, list) and each[:1] == [b"e@0"])
    assert len(intents) == 2 * 6
    assert max(map(len, intents)) <= 300
    facts = health.read(60_000).facts
    assert (facts.in_flight, facts.in_flight_since) == (100, 1_000)


def test_the_leader_before_is_known_by_its_place(bench: Bench, health: HealthStore) -> None:
    bench.admin.set(bench.keys.lease, "8:bb", px=60_000)
    bench.admin.hset(
        bench.keys.meta, mapping={"leader_cause": "stuck", "led_after": "8:bb 7 alpha"}
    )
    facts = health.read(60_000).facts
    assert (facts.leader_cause, facts.led_after) == ("stuck", "alpha pid 7")
    bench.admin.set(bench.keys.lease, "9:cc", px=60_000)
    assert health.read(60_000).facts.led_after == ""


def test_quarantined_entries_are_counted_and_some_are_named(
    bench: Bench, health: HealthStore
) -> None:
    bench.admin.hset(bench.keys.quarantine, mapping={f"e{number}": "bad" for number in range(3)})
    facts = health.read(60_000).facts
    assert (sorted(facts.quarantined), facts.quarantined_count) == (["e0", "e1", "e2"], 3)


def test_what_the_leader_refuses_is_known_however_odd_its_registration(
    bench: Bench, health: HealthStore
) -> None:
    bench.admin.set(bench.keys.lease, "8:bb", px=60_000)
    for said, names in (('{"u": "why"}', ["u"]), ("[1]", []), ("5", [])):
        bench.admin.hset(bench.keys.replicas, "bb", f'{{"host": "h", "unstorable": {said}}}')
        assert list(health.read(60_000).facts.refused) == names


def test_since_when_a_leader_leads_is_known(bench: Bench, health: HealthStore) -> None:
    bench.lead()
    since_ms = health.read(60_000).facts.leader_since_ms
    assert since_ms is not None
    assert abs(since_ms - bench.now_ms) < 60_000


HUNG = Circuit.of_hang("app.py:7 receiver", 1_000)


def test_an_entry_that_hangs_gets_a_circuit_unless_it_was_edited(
    bench: Bench, health: HealthStore
) -> None:
    placed = bench.place("e")
    assert health.open_circuit("e", placed.digest, HUNG)
    assert bench.store.circuits() == {"e": HUNG}
    assert bench.entries.write([Write("e", placed.digest, placed.stored + b" ")]) is None
    assert not health.open_circuit("e", placed.digest, HUNG)
    assert not health.open_circuit("gone", "", HUNG)
    assert bench.store.circuits() == {}
    assert health.open_circuit("e", "", HUNG)


def test_an_edit_while_the_circuit_is_written_closes_it(
    bench: Bench, health: HealthStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = bench.place("e")
    compare = health._is_defined

    def then_edited(entry: str, digest: str) -> bool:
        found = compare(entry, digest)
        bench.entries.write([Write("e", placed.digest, placed.stored + b" ")])
        return found

    monkeypatch.setattr(health, "_is_defined", then_edited)
    assert not health.open_circuit("e", placed.digest, HUNG)
    assert bench.store.circuits() == {}


def test_only_the_circuit_that_was_opened_is_closed_again(
    bench: Bench, health: HealthStore
) -> None:
    placed = bench.place("e")
    health.open_circuit("e", placed.digest, HUNG)
    health.close_circuit("e", Circuit.of_hang("elsewhere", 1_000))
    assert bench.store.circuits() == {"e": HUNG}
    health.close_circuit("e", HUNG)
    assert bench.store.circuits() == {}
