"""What is repaired or deferred if a stored value makes no sense: on real servers."""

from __future__ import annotations

import re

import pytest

from habeat.core.lease import Fence, Token
from habeat.ports import Lost, Statuses
from habeat.ports.entries import Removal
from habeat.store.health import HealthStore
from habeat.store.key_repair import Mending
from habeat.store.keys import FIXED
from habeat.store.scripting import source
from tests.integration.scripts.bench import TTL_MS, Bench

# -- postpone -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["e", "\udcff"])
def test_the_end_of_a_pause_is_looked_at_later(bench: Bench, name: str) -> None:
    token = bench.lead()
    key, raw = bench.keys.resume, name.encode("utf-8", "surrogateescape")
    bench.admin.zadd(key, {raw: 5})
    bench.admin.hset(bench.keys.paused, raw, "{}")  # type: ignore[arg-type]
    bench.shorten()
    later = bench.entries.postpone(name, 70_000, Fence(token, TTL_MS))
    assert isinstance(later, Statuses)
    assert list(later.words) == ["ok"]
    assert bench.admin.zscore(key, raw) == 70_000  # type: ignore[arg-type]
    assert bench.pttl() > TTL_MS - 500


@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_without_an_end_or_no_pause_at_all_is_not_looked_at(
    bench: Bench, paused: bool
) -> None:
    token = bench.lead()
    bench.admin.zadd(bench.keys.resume, {"e": 5})
    if paused:
        bench.admin.hset(bench.keys.paused, "e", "{}")
    found = bench.entries.postpone("e", None if paused else 70_000, Fence(token, TTL_MS))
    assert isinstance(found, Statuses)
    assert list(found.words) == ["gone"]
    assert bench.admin.zcard(bench.keys.resume) == 0


def test_only_the_leader_postpones(bench: Bench) -> None:
    bench.lead()
    bench.admin.zadd(bench.keys.resume, {"e": 5})
    assert isinstance(bench.entries.postpone("e", None, Fence(Token(1, "x"), TTL_MS)), Lost)
    assert bench.admin.zcard(bench.keys.resume) == 1


# -- mend -----------------------------------------------------------------------------------


def mended(bench: Bench, token: Token | None, fingerprint: str = "f") -> list[tuple[str, str, str]]:
    found = Mending(bench.caller).run(token, TTL_MS, fingerprint)
    assert not isinstance(found, Lost)
    return [(each.what, each.which, each.how) for each in found]


def test_every_key_that_scripts_are_given_has_its_kind_in_the_script() -> None:
    named = set(re.findall(r"\{([A-Z_]+), '[a-z]+'\}", source("mend.lua")))
    derived = {
        "last_records",
        "names",
        "shadow",
        "watched",
        "events",
    }  # those that common.lua makes of the prefix
    assert {name.lower() for name in named} == {*FIXED, *derived} - {"wake"}


@pytest.mark.parametrize("key", ["controls", "signs", "outcomes", "events", "changes"])
def test_a_key_that_scripts_name_themselves_is_renamed_too(bench: Bench, key: str) -> None:
    token = bench.lead()
    bench.admin.delete(bench.keys.base + key)
    bench.admin.set(bench.keys.base + key, "another program's")
    ((what, which, aside),) = mended(bench, token)
    assert (what, which) == ("foreign", key)
    assert bench.admin.get(aside) == b"another program's"
    HealthStore(bench.caller).read(60_000)


def test_a_key_of_a_foreign_type_is_renamed(bench: Bench) -> None:
    token = bench.lead()
    bench.admin.set(bench.keys.paused, "a string")
    bench.admin.rpush(bench.keys.declared("f"), "a list")
    ((what, which, how), (_, other, _)) = sorted(mended(bench, token), reverse=True)
    assert (what, which, other) == ("foreign", "paused", "declared:f")
    assert bench.admin.get(how) == b"a string"
    assert not bench.admin.exists(bench.keys.paused)
    assert mended(bench, token) == []


@pytest.mark.parametrize("score", ["inf", "-inf", "1e15", "-1e18"])
@pytest.mark.parametrize("key", ["due", "resume"])
def test_a_score_that_is_no_instant_is_now(bench: Bench, key: str, score: str) -> None:
    token = bench.lead()
    bench.admin.zadd(getattr(bench.keys, key), {"e": score, "sane": 17})
    assert mended(bench, token) == [(key, "e", "")]
    assert bench.admin.zscore(getattr(bench.keys, key), "sane") == 17
    found = bench.admin.zscore(getattr(bench.keys, key), "e")
    assert abs(float(found) - bench.now_ms) < 5_000  # type: ignore[arg-type]


@pytest.mark.parametrize("score", ["inf", "-inf", "17.5", "-1e18"])
def test_a_tick_finds_what_is_due_at_no_instant_due_now(bench: Bench, score: str) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.zadd(bench.keys.due, {placed.entry.name: score})
    if score == "inf":
        mended(bench, token)
    found = bench.store.tick(Fence(token, TTL_MS), 10)
    assert not isinstance(found, Lost)
    assert abs(found.due[0].due_ms - found.now_us // 1_000) < 5_000


@pytest.mark.parametrize("raw", ["x", "", "-1", "9" * 30, "inf", "1.5"])
def test_a_counter_that_is_no_number_starts_again(bench: Bench, raw: str) -> None:
    token = bench.lead()
    epoch = int(bench.meta("epoch"))
    for field in ("heartbeat", "epoch", "ticks", "config_generation", "history_lost"):
        bench.admin.hset(bench.keys.meta, field, raw)
    assert len(mended(bench, token)) == 5
    assert (bench.meta("ticks"), bench.meta("history_lost")) == ("0", "0")
    for field in ("heartbeat", "epoch", "config_generation"):
        assert int(bench.meta(field)) >= epoch, "what only rises starts above all there has been"
    assert mended(bench, token) == []


def test_a_loss_in_the_future_is_none(bench: Bench) -> None:
    """Otherwise, every slot until then would count as lost."""
    token = bench.lead()
    bench.admin.hset(bench.keys.meta, "history_lost", bench.now_ms + 2 * 86_400_000)
    assert mended(bench, token) == [("counter", "history_lost", "0")]
    bench.admin.hset(bench.keys.meta, "history_lost", bench.now_ms)
    assert mended(bench, token) == []


@pytest.mark.parametrize("bad", [["claimed"], ["settled"], ["abandoned"], ["claimed", "settled"]])
def test_the_accounting_adds_up_again(bench: Bench, bad: list[str]) -> None:
    token = bench.lead()
    bench.admin.hset(bench.keys.inflight, "e@17", "x")
    sums = {"claimed": "10", "settled": "6", "abandoned": "3"}
    bench.admin.hset(bench.keys.meta, mapping={**sums, **dict.fromkeys(bad, "x")})
    assert {which for _, which, _ in mended(bench, token)} == set(bad)
    claimed, settled, abandoned = (int(bench.meta(name)) for name in sums)
    assert claimed == settled + abandoned + 1
    if len(bad) == 1:
        assert (claimed, settled, abandoned) == (10, 6, 3)


def test_a_replica_seen_in_the_future_is_forgotten(bench: Bench) -> None:
    token = bench.lead()
    bench.admin.zadd(bench.keys.seen, {"odd": "inf", "sane": bench.now_ms})
    assert mended(bench, token) == [("seen", "odd", "")]
    assert bench.admin.zrange(bench.keys.seen, 0, -1) == [b"sane"]


def test_only_the_leader_mends_unless_no_replica_leads(bench: Bench) -> None:
    token = bench.lead()
    bench.admin.set(bench.keys.paused, "a string")
    for other in (None, Token(1, "x")):
        assert isinstance(Mending(bench.caller).run(other, TTL_MS, "f"), Lost)
    assert bench.admin.exists(bench.keys.paused)
    bench.admin.delete(bench.keys.lease)
    assert isinstance(Mending(bench.caller).run(token, TTL_MS, "f"), Lost)
    assert [what for what, *_ in mended(bench, None)] == ["foreign"]


def test_a_lease_of_a_foreign_type_is_renamed_by_anybody(bench: Bench) -> None:
    token = bench.lead()
    bench.admin.delete(bench.keys.lease)
    bench.admin.rpush(bench.keys.lease, "x")
    assert isinstance(Mending(bench.caller).run(token, TTL_MS, "f"), Lost)
    assert not bench.admin.exists(bench.keys.lease)


# -- what the other scripts make of it ------------------------------------------------------


@pytest.mark.parametrize("harm", ["bucket", "max", "type"])
def test_a_histogram_that_cannot_be_read_starts_again(bench: Bench, harm: str) -> None:
    token, placed = bench.lead(), bench.place()
    for key in (bench.keys.entry_lateness(placed.entry.name), bench.keys.lateness):
        if harm == "type" and key != bench.keys.lateness:
            bench.admin.set(key, "a string")
        for bucket in range(3) if harm == "bucket" else ():
            bench.admin.hset(key, str(bucket), "x")
        if harm == "max":
            bench.admin.hset(key, "max", "x")
    claim = bench.claim_of(placed)
    words = bench.store.claim(Fence(token, TTL_MS), [claim], atomic=True)
    assert not isinstance(words, Lost)
    assert list(words.words) == ["ok"]
    counted = bench.admin.hgetall(bench.keys.entry_lateness(placed.entry.name))
    assert b"1" in counted.values()  # type: ignore[union-attr]


def test_what_is_no_record_of_a_firing_does_not_keep_it_from_leaving(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.rpush(bench.keys.fired(placed.entry.name, placed.slot_ms), "x")
    words = bench.store.claim(Fence(token, TTL_MS), [bench.claim_of(placed)], atomic=True)
    assert not isinstance(words, Lost)
    assert list(words.words) == ["ok"]


@pytest.mark.parametrize("raw", ["garbage", "1|" + "9" * 20 + "|0", ""])
def test_a_configuration_that_cannot_be_read_stops_pruning(bench: Bench, raw: str) -> None:
    """An unknown set of names must not read as an empty one."""
    token = bench.lead()
    bench.admin.sadd(bench.keys.owned, "e")
    bench.admin.hset(bench.keys.configs, "f", raw)
    bench.admin.hset(bench.keys.configs, "other", f"1|{bench.now_ms}|0")
    bench.admin.hset(bench.keys.meta, "prune", "1")
    assert bench.entries.orphans(Fence(token, TTL_MS), 60_000, 10) == []
    assert bench.leases.register("n", "{}", "f", 0).generation >= 1


def test_a_state_of_any_length_is_a_state_that_cannot_be_read(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place()
    bench.admin.hset(bench.keys.state, placed.entry.name, "9" * 5_000 + "||||0")
    words = bench.store.claim(Fence(token, TTL_MS), [bench.claim_of(placed)], atomic=True)
    assert not isinstance(words, Lost)
    assert list(words.words) == ["gone"]


def test_an_empty_definition_can_be_acted_on(bench: Bench) -> None:
    bench.lead()
    bench.admin.hset(bench.keys.entries, "e", "")
    bench.admin.hset(bench.keys.quarantine, "e", "why")
    stored = bench.entries.read(["e"]).stored[0]
    assert bench.entries.remove([Removal("e", stored.digest, None, None, "removed")]) is None
    assert not bench.admin.hexists(bench.keys.entries, "e")


@pytest.mark.parametrize(
    "record", ["{t}\n" + "9" * 5_000 + "\n17\n/\nx", "{t}\n1\n" + "9" * 5_000 + "\n/\nx", "x", ""]
)
def test_an_intent_that_cannot_be_read_is_buried(bench: Bench, record: str) -> None:
    token = bench.lead()
    bench.admin.hset(bench.keys.inflight, "e@17", record.replace("{t}", str(token)))
    bench.admin.hset(bench.keys.inflight, "no slot", f"{token}\n1\n17\n/\nx")
    bench.hasten()
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert not isinstance(found, Lost)
    assert list(found.intents) == []
    assert bench.admin.hlen(bench.keys.dead) == 2


def test_entries_without_a_place_in_the_index_are_found_page_by_page(bench: Bench) -> None:
    token = bench.lead()
    now, keys = bench.now_ms, bench.keys
    due = {"due": now, "late": now - 9_000_000, "soon": now + 599_000, "far": now + 9_000_000}
    bench.admin.zadd(keys.due, {**due, "custom": now + 9_000_000})
    names = [*due, "custom", "gone", "paused", "bad"]
    bench.admin.hset(keys.entries, mapping=dict.fromkeys(names, "{}"))
    states = {name: f"{now - 1}|{'' if name == 'custom' else now}|1:a||1" for name in names}
    bench.admin.hset(keys.state, mapping={**states, "orphan": f"{now}|{now}|1:a||1"})
    bench.admin.hset(keys.paused, "paused", "{}")
    bench.admin.hset(keys.quarantine, "bad", "why")
    mending = Mending(bench.caller)
    assert mending.run(token, TTL_MS, "f") == []
    assert (sorted(mending.strays), mending.position) == (["far", "gone"], "0")
    bench.admin.hset(keys.base + "controls", "hold:h", "{}")
    mending.run(token, TTL_MS, "f")
    assert mending.strays == ["gone"], "a hold defers entries to its end"


def test_an_entry_whose_position_cannot_be_read_is_checked_now(bench: Bench) -> None:
    token = bench.lead()
    bench.admin.hset(bench.keys.entries, "e", "{}")
    bench.admin.hset(bench.keys.state, "e", "garbage{")
    bench.admin.zadd(bench.keys.due, {"e": bench.now_ms + 3_600_000})
    assert mended(bench, token) == [("state", "e", "")]
    found = bench.admin.zscore(bench.keys.due, "e")
    assert abs(float(found) - bench.now_ms) < 5_000  # type: ignore[arg-type]
    assert mended(bench, token) == []
