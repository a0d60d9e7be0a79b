"""Checks in the entries' scripts that matter only at rare moments, one by one, on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.lease import Fence
from habeat.entries.codec import paused_json
from habeat.ports import Lost, StoreUnavailable
from habeat.ports.entries import Conflict, Position, Removal, Renaming, Write
from habeat.store.dispatch import RedisDispatchStore
from tests.integration.scripts.bench import EVERY_MS, TTL_MS, Bench, Placed
from tests.integration.scripts.test_entries import (
    declare,
    orphans,
    rewritten,
    unseen,
    words,
)

STALE = "0" * 40


# -- skip, defer ----------------------------------------------------------------------------


def test_a_skipped_entry_is_due_at_its_next_slot_and_its_lease_lives(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.shorten()
    beat = int(bench.meta("heartbeat"))
    assert words(bench.store.skip(Fence(token, TTL_MS), [bench.skip_of(placed)])) == ["ok"]
    assert bench.due() == placed.slot_ms + EVERY_MS
    assert bench.state()[1] == str(placed.slot_ms + EVERY_MS)
    assert bench.pttl() > TTL_MS - 500
    assert int(bench.meta("heartbeat")) > beat


@pytest.mark.parametrize("gone", ["state", "entries"])
def test_a_skip_of_what_is_gone_is_reported_and_hides_no_other(bench: Bench, gone: str) -> None:
    token = bench.lead()
    one, other = bench.place("one"), bench.place("other")
    bench.admin.hdel(getattr(bench.keys, gone), "one")
    skips = [bench.skip_of(one), bench.skip_of(other)]
    assert words(bench.store.skip(Fence(token, TTL_MS), skips)) == ["gone", "ok"]
    assert [slot for *_, slot in bench.ledger()] == [str(other.slot_ms)]


@pytest.mark.parametrize("key", ["due", "ledger", "state"])
def test_a_skip_stops_before_its_first_write_where_a_key_is_foreign(bench: Bench, key: str) -> None:
    """Half a skip would be a slot without a record."""
    token, placed = bench.lead(), bench.place()
    bench.admin.delete(getattr(bench.keys, key))
    bench.admin.sadd(getattr(bench.keys, key), "a set")
    before = bench.everything()
    with pytest.raises(StoreUnavailable):
        bench.store.skip(Fence(token, TTL_MS), [bench.skip_of(placed)])
    assert bench.everything() == before


@pytest.mark.parametrize("what", ["digest", "gone", "undue"])
def test_what_changed_meanwhile_is_not_put_off(bench: Bench, what: str) -> None:
    token, placed = bench.lead(), bench.place()
    due = bench.due_of(placed)
    if what == "digest":
        due = replace(due, digest=STALE)
    elif what == "gone":
        bench.admin.hdel(bench.keys.entries, "e")
    else:
        bench.admin.zrem(bench.keys.due, "e")
    before = bench.due()
    assert words(bench.store.defer(Fence(token, TTL_MS), due, placed.slot_ms + 9)) == ["replan"]
    assert bench.due() == before


def test_the_ledger_is_trimmed_by_length_alone_too(bench: Bench) -> None:
    """A thousand entries of a second fill it long before its records are old."""
    token = bench.lead()
    for n in range(600):
        bench.admin.xadd(bench.keys.ledger, {"entry": "e", "slot": n})
    store = RedisDispatchStore(
        bench.caller, dedup_ttl_ms=60_000, ledger_age_ms=86_400_000, ledger_length=100
    )
    for _ in range(6):
        store.tick(Fence(token, TTL_MS), 1)
    assert 100 <= bench.admin.xlen(bench.keys.ledger) < 400


# -- write ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["due", "ledger", "state"])
def test_a_write_stops_before_its_first_write_where_a_key_is_foreign(
    bench: Bench, key: str
) -> None:
    placed = bench.place()
    bench.admin.delete(getattr(bench.keys, key))
    bench.admin.sadd(getattr(bench.keys, key), "a set")
    before = bench.everything()
    position = Position(placed.slot_ms, placed.slot_ms + 5, placed.slot_ms + 5)
    with pytest.raises(StoreUnavailable):
        bench.entries.write([rewritten(placed, position=position)])
    assert bench.everything() == before


def test_who_owns_an_entry_is_kept_beside_it(bench: Bench) -> None:
    """Pruning looks there and nowhere else."""
    placed = bench.place()
    assert not bench.admin.exists(bench.keys.owned)
    bench.entries.write([rewritten(placed, owned=True)])
    assert bench.admin.smembers(bench.keys.owned) == {b"e"}
    (found,) = bench.entries.read(["e"]).stored
    bench.entries.write([Write("e", found.digest, placed.stored, owned=False)])
    assert not bench.admin.exists(bench.keys.owned)


def paused(bench: Bench, placed: Placed, until_ms: int | None) -> None:
    result = paused_json("why", bench.now_ms, until_ms)
    write = Write("e", placed.digest, paused=result, resume_at_ms=until_ms)
    assert bench.entries.write([write]) is None


def resumes(bench: Bench) -> dict[str, float]:
    found = bench.admin.zrange(bench.keys.resume, 0, -1, withscores=True)
    return {name.decode(): at for name, at in found}


def test_a_pause_with_an_end_is_looked_for_and_one_without_is_not(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    paused(bench, placed, bench.now_ms + 60_000)
    assert list(resumes(bench)) == ["e"]
    paused(bench, placed, bench.now_ms - 1)
    assert bench.store.tick(Fence(token, TTL_MS), 1).resumes == ["e"]  # type: ignore[union-attr]
    paused(bench, placed, None)
    assert resumes(bench) == {}
    paused(bench, placed, bench.now_ms + 60_000)
    bench.entries.write([Write("e", placed.digest, paused="")])
    assert resumes(bench) == {}


# -- remove, rename -------------------------------------------------------------------------


def test_an_edited_entry_is_not_removed_as_what_it_was(bench: Bench) -> None:
    bench.place()
    before = bench.everything()
    assert bench.entries.remove([Removal("e", STALE, None, None, "removed")]) == Conflict("e")
    assert bench.everything() == before


def test_a_removed_entrys_pause_ends_with_it_and_its_owner_forgets_it(bench: Bench) -> None:
    placed = bench.place()
    bench.entries.write([rewritten(placed, owned=True)])
    (found,) = bench.entries.read(["e"]).stored
    bench.entries.write(
        [Write("e", found.digest, paused=paused_json("x", 1), resume_at_ms=bench.now_ms)]
    )
    assert bench.entries.remove([Removal("e", found.digest, None, None, "removed")]) is None
    for key in ("owned", "resume", "paused", "quarantine", "entries", "state", "due"):
        assert not bench.admin.exists(getattr(bench.keys, key)), key


@pytest.mark.parametrize("heir", [True, False])
def test_who_has_lost_the_lease_prunes_nothing(bench: Bench, heir: bool) -> None:
    token, placed = bench.lead(), bench.place()
    bench.leases.release(token, "aa")
    if heir:
        bench.lead("bb")
    before = bench.everything()
    removal = Removal("e", placed.digest, placed.cursor_ms, None, "pruned")
    assert isinstance(bench.entries.remove([removal], fence=Fence(token, TTL_MS)), Lost)
    assert bench.everything() == before


def test_a_removal_wakes_the_leader(bench: Bench) -> None:
    placed = bench.place()
    listener = bench.server.client().pubsub()
    listener.subscribe(bench.keys.wake)
    listener.get_message(timeout=5)
    bench.entries.remove([Removal("e", placed.digest, None, None, "removed")])
    assert (listener.get_message(timeout=5) or {})["data"] == b"changed"
    listener.close()


def renaming(bench: Bench, placed: Placed, **other: object) -> Renaming:
    made = Renaming(
        "e", placed.digest, placed.cursor_ms, "new", placed.stored, placed.slot_ms, [], 0
    )
    return replace(made, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "who"),
    [
        ({"digest": STALE}, "e"),
        ({"cursor_ms": 17}, "e"),
        ({"request_count": 1}, "e"),
        ({"new_name": "taken"}, "taken"),
    ],
)
def test_what_changed_meanwhile_is_not_renamed(
    bench: Bench, other: dict[str, object], who: str
) -> None:
    placed = bench.place()
    bench.place("taken")
    before = bench.everything()
    assert bench.entries.rename(renaming(bench, placed, **other)) == Conflict(who)
    assert bench.everything() == before


def test_a_request_that_stepped_on_meanwhile_is_not_renamed_as_what_it_was(bench: Bench) -> None:
    placed = bench.place()
    bench.admin.hset(bench.keys.requests, "r1", b"stepped on")
    before = bench.everything()
    made = renaming(bench, placed, requests=[("r1", STALE, b"anew")], request_count=1)
    assert bench.entries.rename(made) == Conflict("e")
    assert bench.everything() == before


def test_a_renamed_entry_stands_where_it_stood(bench: Bench) -> None:
    placed = bench.place()
    state = bench.state()
    assert bench.entries.rename(renaming(bench, placed)) is None
    assert (bench.state("new"), bench.due("new")) == (state, placed.slot_ms)
    assert bench.due("e") is None
    assert not bench.admin.hexists(bench.keys.entries, "e")
    assert not bench.admin.hexists(bench.keys.state, "e")


# -- prune ----------------------------------------------------------------------------------


def test_what_has_gone_stale_is_forgotten(bench: Bench) -> None:
    token = bench.lead()
    declare(bench, "new", "kept")
    declare(bench, "old", "kept")
    unseen(bench, "old")
    orphans(bench, token)
    assert bench.admin.hkeys(bench.keys.configs) == [b"new"]


def test_names_are_compared_only_after_something_went_stale(bench: Bench) -> None:
    """Entries seeded before a deploy has registered its declaration are not orphans."""
    token = bench.lead()
    bench.admin.sadd(bench.keys.owned, "kept", "seeded early")
    declare(bench, "old", "kept")
    assert orphans(bench, token) == []
    declare(bench, "older", "kept")
    unseen(bench, "older")
    assert orphans(bench, token) == ["seeded early"]
    bench.admin.srem(bench.keys.owned, "seeded early")
    assert orphans(bench, token) == []
    bench.admin.sadd(bench.keys.owned, "seeded early")
    assert orphans(bench, token) == [], "there was nothing left: it is over"
