"""write, remove, skip, defer, quarantine, read, prune, tick: on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.firing import Outcome, SkippedRun
from habeat.core.lease import Fence, Token
from habeat.entries.codec import paused_json
from habeat.ports import DueEntry, Lost, Statuses, Tick
from habeat.ports.entries import Conflict, Position, Removal, Write
from tests.integration.scripts.bench import EVERY_MS, TTL_MS, Bench, Placed, changed

STALE_MS = 60_000


def words(reply: Statuses | Lost) -> list[str]:
    assert isinstance(reply, Statuses), reply
    return list(reply.words)


# -- tick -----------------------------------------------------------------------------------


def tick(bench: Bench, token: Token, limit: int = 10, heartbeat: int = 0) -> Tick:
    found = bench.store.tick(Fence(token, TTL_MS, heartbeat), limit)
    assert isinstance(found, Tick), found
    return found


def test_a_tick_shows_what_is_due_oldest_first_and_what_is_next(bench: Bench) -> None:
    token = bench.lead()
    late, due = bench.place("late", ago_ms=500), bench.place("due")
    ahead = bench.place("ahead", ago_ms=-60_000)
    found = tick(bench, token)
    assert [item.name for item in found.due] == ["late", "due"]
    assert found.due[0] == DueEntry("late", late.slot_ms, late.digest, late.cursor_ms, 0)
    assert found.next_due_ms == ahead.slot_ms
    assert abs(found.now_us // 1_000 - bench.now_ms) < 5_000
    limited = tick(bench, token, limit=1)
    assert [item.name for item in limited.due] == ["late"]
    assert limited.next_due_ms == due.slot_ms


def test_a_tick_extends_the_lease_and_moves_the_heart(bench: Bench) -> None:
    token = bench.lead()
    bench.shorten()
    beats = [tick(bench, token).heartbeat for _ in range(3)]
    assert beats == [beats[0], beats[0] + 1, beats[0] + 2]
    assert bench.pttl() > TTL_MS - 500


def test_a_tick_without_the_lease_writes_nothing(bench: Bench) -> None:
    token = bench.lead()
    bench.leases.release(token, "aa")
    other = bench.lead("bb")
    bench.shorten()
    before = bench.everything()
    assert bench.store.tick(Fence(token, TTL_MS), 10) == Lost(str(other))
    assert bench.everything() == before
    assert bench.pttl() <= 500


def test_a_tick_counts_the_leaders_own_listeners(bench: Bench) -> None:
    token = bench.lead()
    assert tick(bench, token).listeners == 0
    pubsub = bench.alive("aa")
    assert tick(bench, token).listeners == 1
    pubsub.close()


def test_a_tick_of_limit_none_is_a_renewal(bench: Bench) -> None:
    token = bench.lead()
    placed = bench.place()
    found = tick(bench, token, limit=0)
    assert found.due == []
    assert found.next_due_ms == placed.slot_ms


def test_a_due_name_without_a_definition_is_shown_as_such(bench: Bench) -> None:
    token = bench.lead()
    bench.admin.zadd(bench.keys.due, {"ghost": 1})
    assert tick(bench, token).due == [DueEntry("ghost", 1, "", None, 0)]


def test_the_ledger_is_trimmed_by_age_and_length(bench: Bench) -> None:
    token = bench.lead()
    for n in range(300):
        bench.admin.xadd(bench.keys.ledger, {"entry": "e", "slot": n}, id=f"{n + 1}-0")
    for _ in range(6):
        tick(bench, token)
    assert bench.admin.xlen(bench.keys.ledger) < 300


# -- skip, defer, quarantine ----------------------------------------------------------------


def test_a_skip_moves_the_cursor_with_its_record(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    skip = bench.skip_of(placed, new_cursor_ms=placed.slot_ms + 9 * EVERY_MS, count=10)
    assert words(bench.store.skip(Fence(token, TTL_MS), [skip])) == ["ok"]
    assert bench.cursor() == placed.slot_ms + 9 * EVERY_MS
    assert bench.ledger() == [("missed", "misfire: skip", str(placed.slot_ms))]
    before = bench.everything()
    assert words(bench.store.skip(Fence(token, TTL_MS), [skip])) == ["replan"]  # the reply was lost
    assert bench.everything() == before
    assert bench.pushed() == []


@pytest.mark.parametrize("what", ["digest", "due", "cursor", "gone"])
def test_a_stale_skip_changes_nothing(bench: Bench, what: str) -> None:
    token, placed = bench.lead(), bench.place()
    skip = bench.skip_of(placed)
    if what == "digest":
        skip = changed(skip, digest="0" * 40)
    elif what == "due":
        skip = changed(skip, planned_due_ms=placed.slot_ms + 1)
    elif what == "cursor":
        skip = changed(skip, cursor_ms=placed.cursor_ms + 1)
    else:
        bench.admin.hdel(bench.keys.entries, "e")
    before = bench.everything()
    (word,) = words(bench.store.skip(Fence(token, TTL_MS), [skip]))
    assert word == ("gone" if what == "gone" else "replan")
    assert bench.everything() == before


def test_skips_of_several_entries_are_judged_one_by_one(bench: Bench) -> None:
    token, one, other = bench.lead(), bench.place("one"), bench.place("other")
    stale = changed(bench.skip_of(one), digest="0" * 40)
    found = words(bench.store.skip(Fence(token, TTL_MS), [stale, bench.skip_of(other)]))
    assert found == ["replan", "ok"]


def test_skip_defer_and_quarantine_are_fenced(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.leases.release(token, "aa")
    bench.lead("bb")
    before = bench.everything()
    due = bench.due_of(placed)
    assert isinstance(bench.store.skip(Fence(token, TTL_MS), [bench.skip_of(placed)]), Lost)
    assert isinstance(bench.store.defer(Fence(token, TTL_MS), due, 1), Lost)
    assert isinstance(bench.store.quarantine(Fence(token, TTL_MS), due, "why"), Lost)
    assert bench.everything() == before


def test_a_deferred_entry_keeps_its_cursor(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    due = bench.due_of(placed)
    later = placed.slot_ms + 30_000
    assert words(bench.store.defer(Fence(token, TTL_MS), due, later)) == ["ok"]
    assert (bench.due(), bench.cursor()) == (later, placed.cursor_ms)
    assert words(bench.store.defer(Fence(token, TTL_MS), due, later + 1)) == ["replan"]
    assert words(bench.store.defer(Fence(token, TTL_MS), replace(due, due_ms=later), None)) == [
        "ok"
    ]
    assert bench.due() is None


def test_a_quarantined_entry_keeps_its_definition_and_leaves_due(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.hset(bench.keys.entries, "e", b"garbage")
    due = tick(bench, token).due[0]
    assert words(bench.store.quarantine(Fence(token, TTL_MS), due, "garbage")) == ["ok"]
    assert bench.due() is None
    assert bench.admin.hget(bench.keys.entries, "e") == b"garbage"
    (stored,) = bench.entries.read(["e"]).stored
    assert stored.state.quarantined == "garbage"
    assert stored.state.cursor_ms == placed.cursor_ms


def test_a_quarantine_of_what_was_mended_meanwhile_is_refused(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    due = replace(bench.due_of(placed), digest="0" * 40)
    assert words(bench.store.quarantine(Fence(token, TTL_MS), due, "why")) == ["replan"]
    assert bench.due() == placed.slot_ms


# -- write ----------------------------------------------------------------------------------


def rewritten(placed: Placed, **other: object) -> Write:
    return replace(Write(placed.entry.name, placed.digest, placed.stored + b" "), **other)  # type: ignore[arg-type]


def test_a_write_compares_the_definition(bench: Bench) -> None:
    placed = bench.place()
    assert bench.entries.write([rewritten(placed)]) is None
    assert bench.entries.write([rewritten(placed)]) == Conflict("e")
    assert bench.entries.write([Write("e", "", b"anew")]) == Conflict("e")
    assert bench.entries.write([Write("new", "0" * 40, b"?")]) == Conflict("new")


def test_a_write_that_loses_slots_compares_the_cursor(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.claim(token, bench.claim_of(placed))
    position = Position(placed.slot_ms, None, None)
    stale = rewritten(placed, cursor_ms=placed.cursor_ms, position=position)
    assert bench.entries.write([stale]) == Conflict("e")
    fresh = replace(stale, cursor_ms=placed.slot_ms)
    assert bench.entries.write([fresh]) is None


def test_a_conflict_of_one_writes_none(bench: Bench) -> None:
    one, other = bench.place("one"), bench.place("other")
    before = bench.everything()
    writes = [rewritten(one), replace(rewritten(other), digest="0" * 40)]
    assert bench.entries.write(writes) == Conflict("other")
    assert bench.everything() == before


def test_a_fenced_write_without_the_lease_writes_nothing(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.delete(bench.keys.lease)
    before = bench.everything()
    assert isinstance(bench.entries.write([rewritten(placed)], fence=Fence(token, TTL_MS)), Lost)
    assert bench.everything() == before


def test_a_write_without_a_position_keeps_cursor_and_due(bench: Bench) -> None:
    placed = bench.place()
    bench.entries.write([rewritten(placed)])
    assert (bench.cursor(), bench.due()) == (placed.cursor_ms, placed.slot_ms)


def test_a_write_records_the_slots_that_it_costs(bench: Bench) -> None:
    placed = bench.place(ago_ms=2_500)
    lost = SkippedRun(placed.slot_ms, placed.slot_ms + 2_000, 3, Outcome.SKIPPED, "edited")
    now_ms = bench.now_ms
    write = rewritten(
        placed,
        cursor_ms=placed.cursor_ms,
        position=Position(now_ms, now_ms + 500, now_ms + 500),
        lost=lost,
    )
    assert bench.entries.write([write]) is None
    assert bench.ledger() == [("skipped", "edited", str(placed.slot_ms))]
    assert (bench.cursor(), bench.due()) == (now_ms, now_ms + 500)


def test_a_pause_leaves_due_and_a_resume_comes_back(bench: Bench) -> None:
    placed = bench.place()
    now_ms = bench.now_ms
    pause = Write(
        "e", placed.digest, paused=paused_json("holiday", now_ms), resume_at_ms=now_ms + 5,
        position=Position(now_ms, now_ms + 900, now_ms + 900),
    )  # fmt: skip
    assert bench.entries.write([pause]) is None
    assert bench.due() is None
    (stored,) = bench.entries.read(["e"]).stored
    assert stored.state.paused == "holiday"
    edit = rewritten(placed, position=Position(now_ms, now_ms + 900, now_ms + 900))
    assert bench.entries.write([edit]) is None
    assert bench.due() is None, "an edit does not end a pause"
    (stored,) = bench.entries.read(["e"]).stored
    resume = Write("e", stored.digest, paused="", position=Position(now_ms, 5, now_ms + 900))
    assert bench.entries.write([resume]) is None
    assert bench.due() == now_ms + 900
    assert bench.admin.zcard(bench.keys.resume) == 0


def test_a_pause_of_what_was_resumed_meanwhile_leaves_due_all_the_same(bench: Bench) -> None:
    """Two people pause an entry, the second more slowly than the first pause lasts."""
    placed = bench.place()
    again = Write("e", placed.digest, paused=paused_json("still", bench.now_ms))
    assert bench.due() is not None
    assert bench.entries.write([again]) is None
    assert bench.due() is None


def test_a_write_wakes_the_leader(bench: Bench) -> None:
    listener = bench.server.client().pubsub()
    listener.subscribe(bench.keys.wake)
    listener.get_message(timeout=5)
    bench.place()
    assert (listener.get_message(timeout=5) or {})["data"] == b"changed"
    listener.close()


def test_a_rewritten_definition_leaves_quarantine(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.store.quarantine(Fence(token, TTL_MS), bench.due_of(placed), "why")
    now_ms = bench.now_ms
    position = Position(now_ms, now_ms + 900, now_ms + 900)
    assert bench.entries.write([rewritten(placed, position=position)]) is None
    assert not bench.admin.hexists(bench.keys.quarantine, "e")
    assert bench.due() == now_ms + 900


def test_a_change_that_was_planned_before_its_entry_was_set_aside_is_planned_again(
    bench: Bench,
) -> None:
    """It would leave quarantine, and never be due."""
    token, placed = bench.lead(), bench.place()
    bench.store.quarantine(Fence(token, TTL_MS), bench.due_of(placed), "why")
    before = bench.everything()
    assert bench.entries.write([rewritten(placed)]) == Conflict("e")
    assert bench.everything() == before


# -- remove ---------------------------------------------------------------------------------


def test_a_removed_entry_leaves_nothing_behind(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.claim(token, bench.claim_of(placed))
    lost = SkippedRun(placed.slot_ms, placed.slot_ms, 1, Outcome.SKIPPED, "removed")
    assert bench.entries.remove([Removal("e", placed.digest, None, lost, "removed")]) is None
    for key in (bench.keys.entries, bench.keys.state, bench.keys.due, bench.keys.owned):
        assert not bench.admin.exists(key)
    assert not bench.admin.exists(bench.keys.entry_lateness("e"))
    assert bench.ledger()[-1] == ("skipped", "removed", str(placed.slot_ms))


def test_a_removal_of_what_changed_meanwhile_is_a_conflict_for_all(bench: Bench) -> None:
    one, other = bench.place("one"), bench.place("other")
    before = bench.everything()
    removals = [
        Removal("one", one.digest, one.cursor_ms, None, ""),
        Removal("other", other.digest, other.cursor_ms + 1, None, ""),
    ]
    assert bench.entries.remove(removals) == Conflict("other")
    assert bench.everything() == before


def test_an_intent_of_a_removed_entry_still_goes_out(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.claim(token, bench.claim_of(placed), atomic=False)
    bench.entries.remove([Removal("e", placed.digest, None, None, "removed")])
    bench.hasten()
    assert len(bench.store.recover(Fence(token, TTL_MS), 10).intents) == 1  # type: ignore[union-attr]


# -- read -----------------------------------------------------------------------------------


def test_a_read_shows_what_is_there_and_what_is_not(bench: Bench) -> None:
    placed = bench.place()
    bench.admin.hset(bench.keys.entries, "bad", b"{")
    snapshot = bench.entries.read(["e", "nobody", "bad"])
    found, nobody, bad = snapshot.stored
    assert found.entry == placed.entry
    assert found.state.due_ms == placed.slot_ms
    assert not nobody.exists
    assert bad.entry is None
    assert bad.unreadable
    assert bad.state.quarantined


# -- prune ----------------------------------------------------------------------------------


def declare(bench: Bench, fingerprint: str, *names: str) -> None:
    bench.entries.declare(fingerprint, names)
    bench.leases.register("aa", "{}", fingerprint, len(names))


def unseen(bench: Bench, fingerprint: str, ms: int = STALE_MS + 5_000) -> None:
    generation, _, names = bench.admin.hget(bench.keys.configs, fingerprint).decode().split("|")
    bench.admin.hset(bench.keys.configs, fingerprint, f"{generation}|{bench.now_ms - ms}|{names}")


def orphans(bench: Bench, token: Token) -> list[str]:
    found = bench.entries.orphans(Fence(token, TTL_MS), STALE_MS, 100)
    assert not isinstance(found, Lost)
    return sorted(found)


@pytest.fixture
def token(bench: Bench) -> Token:
    bench.admin.sadd(bench.keys.owned, "kept", "gone")
    return bench.lead()


def test_an_entry_that_a_live_replica_declares_is_kept(bench: Bench, token: Token) -> None:
    declare(bench, "old", "kept", "gone")
    declare(bench, "new", "kept")
    assert orphans(bench, token) == []
    unseen(bench, "old", STALE_MS - 5_000)
    assert orphans(bench, token) == []
    unseen(bench, "old")
    assert orphans(bench, token) == ["gone"]
    assert not bench.admin.exists(bench.keys.declared("old"))


def test_a_set_of_names_not_complete_yet_stops_pruning(bench: Bench, token: Token) -> None:
    declare(bench, "old", "kept", "gone")
    declare(bench, "new", "kept")
    bench.leases.register("bb", "{}", "third", 500)
    unseen(bench, "old")
    assert orphans(bench, token) == []
    bench.entries.declare("third", [f"n{n}" for n in range(500)])
    assert orphans(bench, token) == ["gone"]


def test_no_live_configuration_is_no_reason_to_prune_everything(bench: Bench, token: Token) -> None:
    declare(bench, "old", "kept", "gone")
    unseen(bench, "old")
    assert orphans(bench, token) == []
    declare(bench, "new", "kept")
    assert orphans(bench, token) == ["gone"]


def test_pruning_continues_until_nothing_is_left(bench: Bench, token: Token) -> None:
    bench.admin.sadd(bench.keys.owned, *[f"old{n}" for n in range(25)])
    declare(bench, "new", "kept", "gone")
    declare(bench, "old", "kept")
    unseen(bench, "old")
    for _ in range(3):
        found = bench.entries.orphans(Fence(token, TTL_MS), STALE_MS, 10)
        assert not isinstance(found, Lost)
        for name in found:
            bench.admin.srem(bench.keys.owned, name)
    assert bench.admin.smembers(bench.keys.owned) == {b"kept", b"gone"}


def test_what_was_found_and_not_removed_is_found_again(bench: Bench, token: Token) -> None:
    declare(bench, "new", "kept")
    declare(bench, "old", "kept")
    unseen(bench, "old")
    assert orphans(bench, token) == ["gone"]
    assert orphans(bench, token) == ["gone"]


def test_a_slice_leaves_the_rest_to_the_next_call(bench: Bench, token: Token) -> None:
    names = [f"name {n:04}" for n in range(3_000)]
    bench.admin.sadd(bench.keys.owned, *names)
    declare(bench, "new", "kept", "gone", *names[:2_900])
    declare(bench, "old", "kept")
    unseen(bench, "old")
    found: list[str] = []
    slices, more = 0, True
    while more:
        slice_ = bench.entries.orphans(Fence(token, TTL_MS), STALE_MS, 100)
        assert not isinstance(slice_, Lost)
        found += slice_
        slices, more = slices + 1, slice_.more
    assert set(found) == set(names[2_900:])
    assert slices > 10


def test_an_api_entry_is_never_an_orphan(bench: Bench, token: Token) -> None:
    bench.place("made by api")
    declare(bench, "new", "kept", "gone")
    declare(bench, "old")
    unseen(bench, "old")
    assert orphans(bench, token) == []


def test_prune_is_fenced(bench: Bench, token: Token) -> None:
    declare(bench, "new", "kept")
    bench.admin.delete(bench.keys.lease)
    before = bench.everything()
    assert isinstance(bench.entries.orphans(Fence(token, TTL_MS), STALE_MS, 10), Lost)
    assert bench.everything() == before
