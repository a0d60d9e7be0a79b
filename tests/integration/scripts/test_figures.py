"""The figures behind the metrics: what is counted, at which cost, and with damaged keys."""

from __future__ import annotations

from typing import Any

import pytest

from habeat.core.lease import Fence
from habeat.metrics.samples import samples
from habeat.ports import Departed
from habeat.store import figures
from habeat.store.figures import read_figures
from tests.integration.scripts.bench import TTL_MS, Bench


def shown(bench: Bench, listed: int = 100) -> dict[tuple[str, ...], Any]:
    found = samples(read_figures(bench.caller, listed))
    return {(each.metric.name, *each.labels): each.value for each in found}


def indexed(bench: Bench) -> None:
    """Build the index of names, as a leader does."""
    at: tuple[str, bytes] = ("entries", b"")
    while at[0] != "done":
        at = bench.entries.index.make(at, 100)


def test_slots_are_counted_by_outcome_overall_and_by_entry(bench: Bench) -> None:
    token = bench.lead()
    placed = [bench.place(name) for name in ("e", "f", "g")]
    for each, late_ms in zip(placed, (5, 2_000, 0), strict=True):
        if late_ms:
            bench.claim(token, bench.claim_of(each), atomic=False)
            left = Departed(each.entry.name, str(each.slot_ms), each.slot_ms + late_ms, 1)
            bench.store.settle(token, [left])
    bench.store.skip(Fence(token, TTL_MS), [bench.skip_of(placed[2], count=4)])
    indexed(bench)
    found = shown(bench)
    overall = {key[1]: count for key, count in found.items() if key[0] == "habeat_firings_total"}
    assert {each: count for each, count in overall.items() if count} == {
        "sent": 1,
        "late": 1,
        "missed": 4,
    }
    assert found["habeat_entry_firings_total", "e", "sent"] == 1
    assert found["habeat_entry_firings_total", "f", "late"] == 1
    assert found["habeat_entry_firings_total", "g", "missed"] == 4
    assert found["habeat_entry_lateness_seconds", "f"].count == 1
    assert found["habeat_claimed_total",] == found["habeat_settled_total",] == 2
    assert found["habeat_accounting_error",] == 0
    assert found["habeat_leader",] == 1
    assert found["habeat_leader_changes_total", "first"] == 1


def test_counters_go_on_when_the_leader_changes(bench: Bench) -> None:
    token = bench.lead()
    placed = bench.place()
    bench.store.skip(Fence(token, TTL_MS), [bench.skip_of(placed, count=4)])
    before = shown(bench)
    bench.leases.release(token, token.nonce)
    assert shown(bench)["habeat_leader",] == 0
    assert shown(bench)["habeat_firings_total", "missed"] == 4
    bench.lead("next")
    after = shown(bench)
    assert after["habeat_leader_changes_total", "released"] == 1
    counters = [key for key in before if key[0].endswith("_total")]
    assert all(after[key] >= before[key] for key in counters)


@pytest.mark.parametrize("count", [0, 3, 8])
def test_entries_beyond_the_limit_are_only_counted(
    bench: Bench, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "PAGE", 3)
    bench.lead()
    for number in range(8):
        bench.place(f"e{number}")
    indexed(bench)
    found = shown(bench, listed=count)
    named = {key[1] for key in found if key[0] == "habeat_entry_lateness_seconds"}
    assert named == {f"e{number}" for number in range(count)}
    assert found["habeat_entries_unlisted",] == 8 - count


def test_a_scrape_costs_the_same_at_any_size_of_the_schedule(bench: Bench) -> None:
    bench.lead()

    def requests() -> int:
        before = bench.admin.info("commandstats")
        shown(bench, listed=10)
        after = bench.admin.info("commandstats")
        return sum(
            row["calls"] - before.get(name, {"calls": 0})["calls"]
            for name, row in after.items()
            if name != "cmdstat_info"
        )

    for number in range(10):
        bench.place(f"e{number:04}")
    indexed(bench)
    requests()
    few = requests()
    for number in range(10, 100):
        bench.place(f"e{number:04}")
    indexed(bench)
    assert requests() == few


def test_keys_of_a_foreign_type_are_left_out(bench: Bench) -> None:
    bench.lead()
    bench.place()
    indexed(bench)
    keys = bench.keys
    for key in (
        *(keys.outcomes, keys.lateness, keys.paused, keys.quarantine, keys.circuits, keys.dead),
        *(keys.seen, keys.replicas, keys.entry_lateness("e"), keys.entry_outcomes("e")),
    ):
        bench.admin.delete(key)
        bench.admin.set(key, "x")
    found = shown(bench)
    assert found["habeat_redis_up",] == 1
    assert found["habeat_entry_firings_total", "e", "sent"] == 0


def test_without_an_index_no_entry_is_listed(bench: Bench) -> None:
    bench.lead()
    bench.place()
    bench.admin.delete(bench.keys.names)
    assert shown(bench)["habeat_entries_unlisted",] == 1
