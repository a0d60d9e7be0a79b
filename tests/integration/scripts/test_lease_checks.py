"""Checks in the lease's scripts that matter only at rare moments, one by one, on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.lease import Fence
from habeat.ports import Behind, Known, Won
from habeat.store.leases import LIVE_FOR_MS
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.integration.scripts.test_leases import forget, register, seen_now, won


def heard(bench: Bench) -> list[bytes]:
    """What the standbys hear while a replica takes the lease, without other messages."""
    listener = bench.server.client().pubsub()
    listener.subscribe(bench.keys.wake)
    listener.get_message(timeout=5)
    bench.lead("aa")
    message = listener.get_message(timeout=5) or {}
    listener.close()
    return [message["data"]] if message else []


def test_the_others_are_notified_of_a_new_leader(bench: Bench) -> None:
    assert heard(bench) == [b"led"]


def test_the_first_leader_says_what_schema_and_boot_it_is(bench: Bench) -> None:
    """Without it a later release could not tell whose keys these are."""
    bench.lead("aa")
    assert bench.meta("schema") == "1"
    assert abs(int(bench.meta("boot")) - bench.now_ms) < 5_000


@pytest.mark.parametrize("how", ["acquire", "steal"])
def test_who_knows_all_there_is_declares_no_loss(bench: Bench, how: str) -> None:
    """A standby has mostly seen the very epoch and heartbeat that Redis has."""
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    look = bench.leases.observe()
    assert (look.known.epoch, look.known.heartbeat) == (first.token.epoch, first.heartbeat)
    if how == "acquire":
        bench.leases.release(first.token, "aa")
        after = bench.leases.acquire("bb", TTL_MS, look.known)
    else:
        after = bench.leases.steal("bb", TTL_MS, look.known, "stuck", look.seen)
    assert isinstance(after, Won)
    assert after.timeline == "continued"
    assert after.loss.until_ms == 0


@pytest.mark.parametrize("behind", ["epoch", "heartbeat"])
def test_one_step_behind_is_a_loss(bench: Bench, behind: str) -> None:
    first = won(bench.leases.acquire("aa", TTL_MS, Known()))
    known = Known(first.cluster, first.token.epoch, first.heartbeat)
    known = replace(known, **{behind: getattr(known, behind) + 1})
    bench.leases.release(first.token, "aa")
    assert won(bench.leases.acquire("bb", TTL_MS, known)).timeline == "restored"


@pytest.mark.parametrize(("ahead", "lost"), [(0, False), (1, True)])
def test_a_live_leader_counts_on_its_own_heartbeat(bench: Bench, ahead: int, lost: bool) -> None:
    """It may know less than Redis has, because answers are lost, but never more."""
    token = bench.lead("aa")
    known = int(bench.meta("heartbeat")) + ahead
    found = bench.store.tick(Fence(token, TTL_MS, known), 1)
    assert isinstance(found, Behind) is lost
    assert bench.meta("loss_declared") == ""


def test_a_lease_that_ran_out_after_an_earlier_release_has_expired(bench: Bench) -> None:
    token = bench.lead("aa")
    bench.leases.release(token, "aa")
    bench.lead("bb")
    bench.admin.delete(bench.keys.lease)
    bench.lead("cc")
    assert bench.meta("leader_cause") == "expired"


def test_a_steal_forgets_distrusts_that_are_over(bench: Bench) -> None:
    bench.lead("aa")
    now_ms = bench.now_ms
    bench.admin.hset(bench.keys.untrusted, "1:old", now_ms - 1)
    bench.admin.hset(bench.keys.untrusted, "2:new", now_ms + 60_000)
    token = bench.leases.observe().seen.holder
    assert isinstance(bench.leases.steal("bb", TTL_MS, Known(), "stuck", seen_now(bench)), Won)
    kept = {name.decode() for name in bench.admin.hkeys(bench.keys.untrusted)}
    assert kept == {"2:new", token}


def test_who_released_is_no_replica_any_more(bench: Bench) -> None:
    """Else it would stand in line for the rest of its window."""
    register(bench, "a1")
    register(bench, "a2")
    bench.leases.release(None, "a1")
    assert bench.admin.hkeys(bench.keys.replicas) == [b"a2"]
    assert bench.admin.zrange(bench.keys.seen, 0, -1) == [b"a2"]


def test_of_long_gone_replicas_nothing_is_left(bench: Bench) -> None:
    register(bench, "a1")
    bench.admin.zadd(bench.keys.seen, {"a1": bench.now_ms - 21 * LIVE_FOR_MS})
    register(bench, "a2")
    assert bench.admin.zrange(bench.keys.seen, 0, -1) == [b"a2"]


def test_the_newest_deploy_that_was_cut_off_is_no_newer_for_it(bench: Bench) -> None:
    assert register(bench, "a1", "only")[1] == 1
    forget(bench, "only")
    assert register(bench, "a1", "only", generation=1)[1] == 1
