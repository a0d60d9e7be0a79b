"""acquire, steal, release, observe, register: who may lead, on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.data_loss import Loss
from habeat.core.lease import Fence, Observation, Token
from habeat.ports import Behind, Known, Lost, Refused, StoreUnavailable, Tick, Won
from habeat.store.leases import CONFIG_FORGOTTEN_MS, LIVE_FOR_MS, RedisElectionStore
from tests.integration.scripts.bench import TTL_MS, Bench


def won(reply: Won | Refused) -> Won:
    assert isinstance(reply, Won), reply
    return reply


# -- acquire --------------------------------------------------------------------------------


def test_the_first_leader_makes_the_cluster(bench: Bench) -> None:
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    assert first.timeline == "first"
    assert not first.already
    assert bench.meta("cluster") == first.cluster
    assert bench.meta("app") == "bench"
    assert bench.meta("leader_cause") == "first"
    assert str(first.token) == bench.admin.get(bench.keys.lease).decode()
    assert TTL_MS - 500 < bench.pttl() <= TTL_MS
    assert abs(first.token.epoch - bench.now_ms) < 5_000


def test_who_lost_the_reply_finds_the_lease_its_own(bench: Bench) -> None:
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    bench.shorten()
    again = won(bench.leases.acquire("aa", TTL_MS, Known()))
    assert again.already
    assert again.token == first.token  # I2
    assert bench.pttl() > TTL_MS - 500
    assert bench.meta("leader_changes") == "1"


def test_i1_a_held_lease_is_refused_and_not_touched(bench: Bench) -> None:
    token = bench.lead("aa")
    bench.shorten()
    before = bench.everything()
    reply = bench.leases.acquire("bb", TTL_MS, Known())
    assert isinstance(reply, Refused)
    assert not reply.foreign
    assert str(token) in reply.why
    assert bench.everything() == before
    assert bench.pttl() <= 500


def test_a_nonce_that_begins_like_another_is_another(bench: Bench) -> None:
    bench.lead("aabb")
    assert isinstance(bench.leases.acquire("aa", TTL_MS, Known()), Refused)
    assert isinstance(bench.leases.acquire("bb", TTL_MS, Known()), Refused)


def test_i2_tokens_rise_also_within_one_millisecond_and_when_the_clock_is_behind(
    bench: Bench,
) -> None:
    seen: list[Token] = []
    bench.admin.hset(bench.keys.meta, "epoch", bench.now_ms + 3_600_000)
    for n in range(5):
        token = bench.lead(f"n{n}")
        seen.append(token)
        bench.leases.release(token, token.nonce)
    epochs = [token.epoch for token in seen]
    assert epochs == sorted(set(epochs))
    assert epochs[0] > bench.now_ms + 3_000_000


@pytest.mark.parametrize(("field", "value"), [("app", "other"), ("schema", "99")])
def test_foreign_state_is_refused_to_every_caller(bench: Bench, field: str, value: str) -> None:
    token = bench.lead("aa")
    bench.leases.release(token, "aa")
    bench.admin.hset(bench.keys.meta, field, value)
    before = bench.everything()
    reply = bench.leases.acquire("aa", TTL_MS, Known())
    assert isinstance(reply, Refused)
    assert reply.foreign
    assert value in reply.why
    seen = Observation(0, str(token), 1, 1, 0, 0, TTL_MS)
    stolen = bench.leases.steal("bb", TTL_MS, Known(), "stuck", seen)
    assert isinstance(stolen, Refused)
    assert stolen.foreign
    assert bench.everything() == before


def test_two_apps_on_one_prefix_never_become_one_cluster(bench: Bench) -> None:
    bench.lead("aa")
    other = RedisElectionStore(bench.caller, bench.clock, "another app")
    bench.admin.delete(bench.keys.lease)
    reply = other.acquire("bb", TTL_MS, Known())
    assert isinstance(reply, Refused)
    assert reply.foreign


@pytest.mark.parametrize("released", [True, False])
def test_the_cause_of_a_change_is_kept(bench: Bench, released: bool) -> None:
    token = bench.lead("aa")
    if released:
        bench.leases.release(token, "aa")
    else:
        bench.admin.delete(bench.keys.lease)
    bench.lead("bb")
    assert bench.meta("leader_cause") == ("released" if released else "expired")
    assert bench.meta("leader_changes") == "2"


# -- a loss of data -------------------------------------------------------------------------


def test_an_emptied_redis_is_a_new_boot_for_who_knew_it(bench: Bench) -> None:
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    known = Known(first.cluster, first.token.epoch + 10**9, first.heartbeat)
    bench.admin.flushall()
    after = won(bench.leases.acquire("bb", TTL_MS, known))
    assert after.timeline == "emptied"
    assert after.cluster != first.cluster
    assert after.token.epoch > known.epoch  # I2 holds over the loss for who survived it
    assert abs(after.loss.until_ms - bench.now_ms) < 5_000
    assert bench.meta("boot") == str(after.loss.until_ms)


def test_who_knows_nothing_finds_a_first_boot(bench: Bench) -> None:
    assert won(bench.leases.acquire("bb", TTL_MS, Known())).loss.until_ms == 0


@pytest.mark.parametrize("behind", ["epoch", "heartbeat"])
def test_a_restored_snapshot_is_a_new_boot_for_who_knew_better(bench: Bench, behind: str) -> None:
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    known = Known(first.cluster, first.token.epoch, first.heartbeat)
    bench.admin.delete(bench.keys.lease)
    known = replace(known, **{behind: getattr(known, behind) + 100})
    after = won(bench.leases.acquire("bb", TTL_MS, known))
    assert after.timeline == "restored"
    assert after.cluster == first.cluster
    assert after.loss.until_ms
    assert after.token.epoch > known.epoch


def test_a_survivor_of_an_older_cluster_declares_no_loss(bench: Bench) -> None:
    bench.lead("aa")
    bench.admin.delete(bench.keys.lease)
    known = Known("another cluster", 1, 10**6)
    assert won(bench.leases.acquire("bb", TTL_MS, known)).timeline == "continued"


def test_a_survivor_of_a_newer_cluster_declares_a_loss(bench: Bench) -> None:
    """Redis was emptied, a cluster began, and then a snapshot of the first one was restored."""
    bench.lead("aa")
    bench.admin.delete(bench.keys.lease)
    known = Known("another cluster", 10**15, 1)
    after = won(bench.leases.acquire("bb", TTL_MS, known))
    assert after.timeline == "restored"
    assert after.loss.until_ms


def test_a_live_leader_declares_a_loss_that_it_was_refused_for(bench: Bench) -> None:
    token = bench.lead("aa")
    first = bench.store.tick(Fence(token, TTL_MS, 1), 1)
    assert first.loss == Loss()  # type: ignore[union-attr]
    answered_ms = first.now_us // 1_000  # type: ignore[union-attr]
    assert isinstance(bench.store.tick(Fence(token, TTL_MS, 10**6), 1), Behind)
    fence = Fence(token, TTL_MS, 10**6)
    found = bench.store.tick(fence, 1, lost_after_ms=answered_ms)
    assert isinstance(found, Tick)
    assert found.loss == Loss(answered_ms, found.now_us // 1_000)
    assert bench.meta("boot") == str(found.loss.declared_ms)
    again = bench.store.tick(Fence(token, TTL_MS, found.heartbeat), 1)
    assert again.loss == found.loss  # type: ignore[union-attr]


@pytest.mark.parametrize("answered", [0, 10**15])
def test_a_loss_reaches_up_to_now_where_its_begin_is_not_known(bench: Bench, answered: int) -> None:
    """Never answered, or answered by a clock that was set back since."""
    token = bench.lead("aa")
    found = bench.store.tick(Fence(token, TTL_MS), 1, lost_after_ms=answered)
    assert isinstance(found, Tick)
    assert found.loss.until_ms == found.loss.declared_ms == found.now_us // 1_000


@pytest.mark.parametrize("how", ["acquire", "steal"])
def test_a_loss_is_bounded_by_the_last_answer_of_its_declarer(bench: Bench, how: str) -> None:
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    answered_ms = bench.now_ms - 700
    known = Known(first.cluster, first.token.epoch, first.heartbeat + 1, answered_ms=answered_ms)
    if how == "acquire":
        bench.admin.delete(bench.keys.lease)
        after = won(bench.leases.acquire("bb", TTL_MS, known))
    else:
        after = won(bench.leases.steal("bb", TTL_MS, known, "stuck", seen_now(bench)))
    assert after.loss == Loss(answered_ms, after.now_us // 1_000)
    assert bench.leases.observe().known.loss == after.loss


def test_what_an_emptied_redis_has_now_keeps_the_slots_after_the_last_answer(bench: Bench) -> None:
    """A client may have added entries since; only slots up to the answer may have been claimed."""
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    answered_ms = first.now_us // 1_000 - 400
    known = Known(first.cluster, first.token.epoch, first.heartbeat, answered_ms=answered_ms)
    bench.admin.flushall()
    after = won(bench.leases.acquire("bb", TTL_MS, known))
    assert after.timeline == "emptied"
    assert after.loss == Loss(answered_ms, after.now_us // 1_000)


def test_without_an_answer_all_is_lost_up_to_now(bench: Bench) -> None:
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    known = Known(first.cluster, first.token.epoch, first.heartbeat)
    bench.admin.flushall()
    after = won(bench.leases.acquire("bb", TTL_MS, known))
    assert after.loss.until_ms == after.loss.declared_ms == after.now_us // 1_000


def test_a_loss_that_an_older_release_has_declared_is_read(bench: Bench) -> None:
    token = bench.lead("aa")
    bench.admin.hset(bench.keys.meta, "history_lost", 4_000)
    found = bench.store.tick(Fence(token, TTL_MS), 1)
    assert found.loss == Loss(4_000, 4_000)  # type: ignore[union-attr]


# -- steal ----------------------------------------------------------------------------------


def seen_now(bench: Bench) -> Observation:
    return bench.leases.observe().seen


def test_a_stuck_holder_is_stolen_from_by_compare_and_swap(bench: Bench) -> None:
    token = bench.lead("aa")
    stolen = won(bench.leases.steal("bb", TTL_MS, Known(), "stuck", seen_now(bench)))
    assert stolen.token.epoch > token.epoch
    assert bench.meta("leader_cause") == "stuck"
    assert isinstance(bench.store.tick(Fence(token, TTL_MS), 1), Lost)


@pytest.mark.parametrize("garbage", [b"no token", b"\xff\xfe:x", b"9" * 400 + b":aa", b":"])
def test_a_garbage_holder_is_stolen_from_as_a_stuck_one(bench: Bench, garbage: bytes) -> None:
    """Written by hand, it has no TTL and no channel; nothing of a look may fail on it."""
    bench.lead("cc")
    bench.admin.set(bench.keys.lease, garbage)
    refused = bench.leases.acquire("aa", TTL_MS, Known())
    assert isinstance(refused, Refused)
    assert not refused.foreign
    seen = seen_now(bench)
    assert (seen.pttl_ms, seen.listeners) == (-1, 0)
    stolen = won(bench.leases.steal("bb", TTL_MS, Known(), "stuck", seen))
    assert bench.admin.get(bench.keys.lease).decode() == str(stolen.token)
    assert 0 < bench.pttl() <= TTL_MS


def test_a_steal_remembers_until_when_the_old_leader_may_trust_its_lease(bench: Bench) -> None:
    token = bench.lead("aa")
    bench.leases.steal("bb", TTL_MS, Known(), "stuck", seen_now(bench))
    until = int(bench.admin.hget(bench.keys.untrusted, str(token)).split(b"|")[0])
    assert TTL_MS - 1_000 < until - bench.now_ms <= TTL_MS


def test_a_lease_that_outlives_its_ttl_is_not_trusted_for_longer_than_that(
    bench: Bench,
) -> None:
    token = bench.lead("aa")
    bench.admin.pexpire(bench.keys.lease, 3_600_000)
    bench.leases.steal("bb", TTL_MS, Known(), "stuck", seen_now(bench))
    until = int(bench.admin.hget(bench.keys.untrusted, str(token)).split(b"|")[0])
    assert until - bench.now_ms <= TTL_MS


@pytest.mark.parametrize(
    ("late", "outcome_ago_ms", "taken"),
    [(2, None, True), (2, 6_000, True), (1, None, False), (2, 1_000, False)],
)
def test_a_leader_that_ticks_and_sends_nothing_loses_its_lease(
    bench: Bench, late: int, outcome_ago_ms: int | None, taken: bool
) -> None:
    for number in range(late):
        bench.place(f"e{number}", ago_ms=8_000)
    if outcome_ago_ms is not None:
        identity = f"{bench.now_ms - outcome_ago_ms}-1"
        bench.admin.xadd(bench.keys.ledger, {"entry": "x", "outcome": "sent"}, id=identity)
    token, seen = bench.lead("aa"), seen_now(bench)
    bench.store.tick(Fence(token, TTL_MS), 1)  # its heart beats
    before = bench.everything()
    reply = bench.leases.steal("bb", TTL_MS, Known(), "wedged", seen)
    assert isinstance(reply, Won) is taken
    assert (bench.everything() == before) is not taken
    assert bench.meta("leader_cause") == ("wedged" if taken else "first")
    assert bool(bench.admin.hget(bench.keys.untrusted, str(token))) is taken


def test_a_lease_is_taken_for_lack_of_progress_at_most_once_a_minute(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.place(name, ago_ms=8_000)
    bench.lead("aa")
    won(bench.leases.steal("bb", TTL_MS, Known(), "wedged", seen_now(bench)))
    refused = bench.leases.steal("cc", TTL_MS, Known(), "wedged", seen_now(bench))
    assert isinstance(refused, Refused)
    assert "within a minute" in refused.why
    assert 50_000 < bench.admin.pttl(bench.keys.base + "rotation") <= 60_000


@pytest.mark.parametrize("foreign", ["no expiry", "far expiry", "type"])
def test_a_foreign_key_does_not_keep_a_wedged_leader_in_the_lead(
    bench: Bench, foreign: str
) -> None:
    turn = bench.keys.base + "rotation"
    for name in ("a", "b"):
        bench.place(name, ago_ms=8_000)
    bench.lead("aa")
    if foreign == "type":
        bench.admin.hset(turn, "mine", 1)
    else:
        bench.admin.set(turn, "1", px=None if foreign == "no expiry" else 3_600_000)
    won(bench.leases.steal("bb", TTL_MS, Known(), "wedged", seen_now(bench)))
    assert 50_000 < bench.admin.pttl(turn) <= 60_000
    aside = bench.admin.keys(bench.keys.base + "foreign:*")
    assert [bench.admin.hgetall(each) for each in aside] == [{b"mine": b"1"}] * (foreign == "type")


def test_a_foreign_key_keeps_a_leader_from_handing_over_for_a_minute_at_most(bench: Bench) -> None:
    turn = bench.keys.base + "rotation"
    assert bench.leases.may_rotate()
    for px in (None, 3_600_000):
        bench.admin.set(turn, "1", px=px)
        assert not bench.leases.may_rotate()
        assert 50_000 < bench.admin.pttl(turn) <= 60_000


@pytest.mark.parametrize("what", ["holder", "heartbeat", "free", "mine"])
def test_a_steal_is_refused_when_anything_moved(bench: Bench, what: str) -> None:
    token = bench.lead("aa")
    seen, thief = seen_now(bench), "bb"
    if what == "holder":
        bench.leases.release(token, "aa")
        bench.lead("cc")
    elif what == "heartbeat":
        bench.store.tick(Fence(token, TTL_MS), 1)
    elif what == "free":
        bench.leases.release(token, "aa")
    else:
        thief = "aa"
    before = bench.everything()
    assert isinstance(bench.leases.steal(thief, TTL_MS, Known(), "stuck", seen), Refused)
    assert bench.everything() == before


@pytest.mark.parametrize(
    ("theirs", "ours", "taken"),
    [(False, True, True), (True, True, False), (False, False, False), (True, False, False)],
)
def test_a_crash_needs_their_silence_and_our_own_voice(
    bench: Bench, theirs: bool, ours: bool, taken: bool
) -> None:
    """Where SUBSCRIBE is refused to all, all would steal from all: 382 changes in 20 s."""
    bench.lead("aa")
    held = [bench.alive(nonce) for nonce, there in (("aa", theirs), ("bb", ours)) if there]
    reply = bench.leases.steal("bb", TTL_MS, Known(), "crash", seen_now(bench))
    assert isinstance(reply, Won) is taken
    for pubsub in held:
        pubsub.close()


def test_where_numsub_is_denied_no_replica_crashes_and_everything_else_works(bench: Bench) -> None:
    from habeat.store.calling import Caller
    from tests.integration.scripts.bench import One

    bench.lead("aa")
    bench.admin.acl_setuser(
        "deaf", enabled=True, nopass=True, commands=["+@all", "-pubsub"], keys=["*"], channels=["*"]
    )
    try:
        client = bench.server.client(username="deaf", password="x")
        deaf = RedisElectionStore(Caller(One(client), bench.keys), bench.clock, "bench")
        look = deaf.observe()
        assert look.seen.listeners is None
        reply = deaf.steal("bb", TTL_MS, Known(), "crash", look.seen)
        assert isinstance(reply, Refused)
        assert isinstance(deaf.steal("bb", TTL_MS, Known(), "stuck", look.seen), Won)
        assert deaf.register("bb", "{}", "f", 0).rank == 0
    finally:
        bench.admin.acl_deluser("deaf")


# -- release, observe -----------------------------------------------------------------------


def test_a_release_is_compare_and_delete_and_tells_the_standbys(bench: Bench) -> None:
    token = bench.lead("aa")
    listener = bench.server.client().pubsub()
    listener.subscribe(bench.keys.wake)
    listener.get_message(timeout=5)
    bench.leases.release(Token(token.epoch, "zz"), "zz")
    assert bench.admin.exists(bench.keys.lease)
    bench.leases.release(token, "aa")
    assert not bench.admin.exists(bench.keys.lease)
    assert (listener.get_message(timeout=5) or {})["data"] == b"released"
    other = bench.lead("bb")
    bench.leases.release(token, "aa")  # replayed: another replica holds the lease by now
    assert bench.admin.get(bench.keys.lease).decode() == str(other)
    listener.close()


def test_a_look_writes_nothing_and_sees_what_there_is(bench: Bench) -> None:
    nobody = bench.leases.observe()
    assert nobody.seen.holder is None
    assert nobody.known == Known(answered_ms=nobody.now_us // 1_000)
    token = bench.lead("aa")
    pubsub = bench.alive("aa")
    before = bench.everything()
    look = bench.leases.observe()
    assert bench.everything() == before
    assert look.seen.holder == str(token)
    assert look.seen.listeners == 1
    assert look.seen.holder_ttl_ms == TTL_MS
    assert look.known.epoch == token.epoch
    pubsub.close()


def test_a_connection_reopened_is_distinguished_from_the_one_before(bench: Bench) -> None:
    """redis-py silently reopens a closed connection; what arrives then is meant for another one."""
    from habeat.config.redis_target import redis_target
    from habeat.store.calling import Caller
    from habeat.store.connection import Connections

    connections = Connections(redis_target(bench.server.url()), client_name="looker")
    leases = RedisElectionStore(Caller(connections, bench.keys), bench.clock, "bench")
    try:
        first = leases.observe().seen.connection
        assert leases.observe().seen.connection == first
        for client in bench.admin.client_list():
            if client["name"] == "looker":
                bench.admin.client_kill_filter(_id=client["id"])
        try:
            second = leases.observe().seen.connection
        except StoreUnavailable:
            second = leases.observe().seen.connection
        assert second != first
    finally:
        connections.close()


# -- register -------------------------------------------------------------------------------


def register(bench: Bench, nonce: str, fingerprint: str = "f", **other: int) -> tuple[int, int]:
    found = bench.leases.register(nonce, "{}", fingerprint, 0, **other)
    return found.rank, found.generation


def test_registering_tells_how_many_of_its_names_are_kept(bench: Bench) -> None:
    assert bench.leases.register("a1", "{}", "f", 2).names == 0
    bench.entries.declare("f", ["one", "two"])
    assert bench.leases.register("a1", "{}", "f", 2).names == 2


def test_rank_counts_the_live_standbys_before_us(bench: Bench) -> None:
    bench.lead("a1")
    for nonce in ("a1", "a3", "a2", "a4"):
        register(bench, nonce)
    assert [register(bench, nonce)[0] for nonce in ("a2", "a3", "a4")] == [0, 1, 2]


def test_a_replica_not_seen_for_a_while_does_not_stand_in_line(bench: Bench) -> None:
    register(bench, "a1")
    register(bench, "a2")
    bench.admin.zadd(bench.keys.seen, {"a1": bench.now_ms - LIVE_FOR_MS - 1_000})
    assert register(bench, "a2")[0] == 0


def test_a_killed_replica_does_not_stand_in_line_where_it_can_be_heard(bench: Bench) -> None:
    held = [bench.alive(nonce) for nonce in ("a1", "a2")]
    for nonce in ("a1", "a2"):
        register(bench, nonce)
    assert register(bench, "a2")[0] == 1
    held[0].close()
    for _ in range(100):
        if register(bench, "a2")[0] == 0:
            break
    assert register(bench, "a2")[0] == 0
    held[1].close()


def test_long_gone_replicas_are_forgotten(bench: Bench) -> None:
    register(bench, "a1")
    bench.admin.zadd(bench.keys.seen, {"a1": bench.now_ms - 3_600_000})
    register(bench, "a2")
    assert bench.admin.hkeys(bench.keys.replicas) == [b"a2"]


def test_each_configuration_has_a_generation_of_its_own(bench: Bench) -> None:
    assert register(bench, "a1", "old")[1] == 1
    assert register(bench, "a2", "new")[1] == 2
    assert register(bench, "a1", "old")[1] == 1
    assert register(bench, "a3", "new")[1] == 2


def forget(bench: Bench, fingerprint: str) -> None:
    generation, _, names = bench.admin.hget(bench.keys.configs, fingerprint).decode().split("|")
    then = bench.now_ms - CONFIG_FORGOTTEN_MS - 1_000
    bench.admin.hset(bench.keys.configs, fingerprint, f"{generation}|{then}|{names}")


def test_a_roll_back_is_the_newest_configuration(bench: Bench) -> None:
    register(bench, "a1", "old")
    register(bench, "a2", "new")
    forget(bench, "old")
    assert register(bench, "a3", "old")[1] == 3  # a new process, started with the old code


def test_an_older_deploy_that_was_cut_off_comes_back_with_the_generation_it_had(
    bench: Bench,
) -> None:
    """Given a new one, it would overwrite the newer deploy's definitions."""
    assert register(bench, "a1", "old") == (0, 1)
    register(bench, "a2", "new")
    forget(bench, "old")
    assert register(bench, "a1", "old", generation=1)[1] == 1
    assert register(bench, "a2", "new", generation=2)[1] == 2


def test_processes_started_together_share_a_generation(bench: Bench) -> None:
    """Each may have drawn a random minute: none of them is a newer deploy than the others."""
    assert register(bench, "a1", "one draw", age_ms=1_500)[1] == 1
    assert register(bench, "a2", "another", age_ms=1_500)[1] == 1
    assert register(bench, "a3", "of a later deploy", age_ms=0)[1] == 2
    assert register(bench, "a2", "another", age_ms=9_000)[1] == 1
    assert register(bench, "a4", "started before the deploy", age_ms=60_000)[1] == 2


def alone_for(bench: Bench, since_ms: int, seen_ms: int = 1_000) -> None:
    """The configuration that registered last has done so since then, and the last time then."""
    who = bench.meta("alone").split("|")[0]
    now_ms = bench.now_ms
    for other, raw in bench.admin.hgetall(bench.keys.configs).items():
        generation, _, names = raw.decode().split("|")
        if other.decode() != who:
            gone_ms = now_ms - LIVE_FOR_MS - 1_000
            bench.admin.hset(bench.keys.configs, other, f"{generation}|{gone_ms}|{names}")
    bench.admin.hset(bench.keys.meta, "alone", f"{who}|{now_ms - since_ms}|{now_ms - seen_ms}")


def test_a_configuration_that_is_alone_for_a_while_becomes_the_newest(bench: Bench) -> None:
    """Otherwise, a deploy that was broken off would leave its definitions behind permanently."""
    register(bench, "a1", "old")
    register(bench, "a2", "new")
    assert register(bench, "a1", "old")[1] == 1
    alone_for(bench, CONFIG_FORGOTTEN_MS - 5_000)
    assert register(bench, "a1", "old")[1] == 1
    alone_for(bench, CONFIG_FORGOTTEN_MS + 1_000)
    assert register(bench, "a1", "old")[1] == 3
    alone_for(bench, CONFIG_FORGOTTEN_MS + 1_000)
    assert register(bench, "a1", "old")[1] == 3  # the newest one stays as it is


def test_beside_a_live_replica_of_an_older_release_no_configuration_is_alone(bench: Bench) -> None:
    """An older release does not write down that it registered, only when its configuration did."""
    register(bench, "a1", "new")
    register(bench, "a2", "old")
    assert register(bench, "a1", "new")[1] == 1
    alone_for(bench, CONFIG_FORGOTTEN_MS + 1_000)
    now_ms = bench.now_ms
    bench.admin.hset(bench.keys.configs, "old", f"2|{now_ms}|0")
    assert register(bench, "a1", "new")[1] == 1


def test_a_shared_generation_ends_when_one_configuration_is_left(bench: Bench) -> None:
    register(bench, "a1", "one draw", age_ms=1_500)
    register(bench, "a2", "another", age_ms=1_500)
    alone_for(bench, CONFIG_FORGOTTEN_MS + 1_000)
    assert register(bench, "a2", "another")[1] == 2
    assert register(bench, "a2", "another")[1] == 2


def test_after_an_outage_of_redis_no_configuration_counts_as_alone(bench: Bench) -> None:
    register(bench, "a1", "old")
    register(bench, "a2", "new")
    register(bench, "a1", "old")
    alone_for(bench, 10 * CONFIG_FORGOTTEN_MS, seen_ms=LIVE_FOR_MS + 1_000)
    assert register(bench, "a1", "old")[1] == 1


def test_registering_tells_how_many_configurations_are_live(bench: Bench) -> None:
    assert bench.leases.register("a1", "{}", "old", 0).configs == 1
    assert bench.leases.register("a2", "{}", "new", 0).configs == 2
    assert bench.leases.register("a3", "{}", "new", 0).configs == 2
    forget(bench, "old")
    assert bench.leases.register("a2", "{}", "new", 0).configs == 1


def test_a_generation_of_another_timeline_is_worth_nothing(bench: Bench) -> None:
    assert register(bench, "a1", "old", generation=77)[1] == 1
