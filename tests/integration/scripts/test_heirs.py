"""An heir leaves the last leader's intents alone for one TTL, unless the lease was given back."""

from __future__ import annotations

import pytest

from habeat.core.lease import Fence, Token
from habeat.ports import Known, Recovered, Won
from tests.integration.scripts.bench import TTL_MS, Bench

SPAN_MS = 4_000


def acquired(bench: Bench, nonce: str = "bb", known: Known | None = None) -> Won:
    reply = bench.leases.acquire(nonce, TTL_MS, known or Known())
    assert isinstance(reply, Won)
    return reply


def distrusted(bench: Bench) -> dict[str, int]:
    found = bench.admin.hgetall(bench.keys.untrusted)
    return {token.decode(): int(result.split(b"|")[0]) for token, result in found.items()}


def recovered(bench: Bench, token: Token) -> Recovered:
    bench.hasten()
    reply = bench.store.recover(Fence(token, TTL_MS), 100)
    assert isinstance(reply, Recovered)
    return reply


def intent(bench: Bench, token: Token) -> None:
    bench.claim(token, bench.claim_of(bench.place(ago_ms=500)), atomic=False)
    assert bench.flying()


@pytest.mark.parametrize("how", ["evicted", "ran out", "stolen"])
def test_an_heir_waits_for_one_ttl(bench: Bench, how: str) -> None:
    """Its holder may trust the lease still, however the heir came by it."""
    token = bench.lead("aa")
    intent(bench, token)
    if how == "stolen":
        seen = bench.leases.observe().seen
        heir = bench.leases.steal("bb", TTL_MS, Known(), "stuck", seen)
        assert isinstance(heir, Won)
    else:
        if how == "evicted":
            bench.admin.delete(bench.keys.lease)
        else:
            bench.admin.pexpire(bench.keys.lease, 1)
            while bench.admin.exists(bench.keys.lease):
                pass
        heir = acquired(bench)
    assert TTL_MS - 1_000 < distrusted(bench)[str(token)] - bench.now_ms <= TTL_MS
    found = recovered(bench, heir.token)
    assert found.intents == []
    assert found.wait_until_ms == distrusted(bench)[str(token)]
    bench.admin.hset(bench.keys.untrusted, str(token), f"{bench.now_ms - 1}|{TTL_MS}")
    assert len(recovered(bench, heir.token).intents) == 1


def test_it_is_the_ttl_of_the_last_leader_that_counts(bench: Bench) -> None:
    bench.leases.acquire("aa", 3 * TTL_MS, Known())
    bench.admin.delete(bench.keys.lease)
    acquired(bench)
    (ends_ms,) = distrusted(bench).values()
    assert 3 * TTL_MS - 1_000 < ends_ms - bench.now_ms <= 3 * TTL_MS


def test_a_leader_whom_the_heir_has_never_seen_is_left_alone(bench: Bench) -> None:
    """It came and went between two looks: the heir knows only the leader before it."""
    before = bench.lead("aa")
    bench.leases.release(before, "aa")
    token = bench.lead("cc")
    bench.admin.delete(bench.keys.lease)
    acquired(bench)
    assert set(distrusted(bench)) == {str(token)}


def test_a_leader_whose_lease_was_given_back_after_it_is_left_alone_still(bench: Bench) -> None:
    token = bench.lead("aa")
    bench.admin.delete(bench.keys.lease)
    between = acquired(bench).token
    bench.leases.release(between, "bb")
    acquired(bench, "cc")
    assert set(distrusted(bench)) == {str(token)}


def test_a_lease_that_was_given_back_has_no_replica_waiting_for_it(bench: Bench) -> None:
    """The heir need not have heard ``released``."""
    token = bench.lead("aa")
    intent(bench, token)
    bench.leases.release(token, "aa")
    assert len(recovered(bench, acquired(bench).token).intents) == 1
    assert distrusted(bench) == {}


def test_a_replica_that_leads_again_does_not_wait_for_itself(bench: Bench) -> None:
    """It has one thread, and nothing under way when it recovers."""
    intent(bench, bench.lead("aa"))
    bench.admin.delete(bench.keys.lease)
    assert len(recovered(bench, acquired(bench, "aa").token).intents) == 1


@pytest.mark.parametrize("how", ["given back", "its own"])
def test_after_a_loss_of_data_nothing_excuses_the_last_leader(bench: Bench, how: str) -> None:
    """What came back is older than the leader that is at work now, and may be sending these."""
    token = bench.lead("aa")
    if how == "given back":
        bench.leases.release(token, "aa")
    else:
        bench.admin.delete(bench.keys.lease)
    look = bench.leases.observe().known
    known = Known(look.cluster, look.epoch, look.heartbeat + 5)
    reply = acquired(bench, "bb" if how == "given back" else "aa", known)
    assert reply.timeline == "restored"
    assert set(distrusted(bench)) == {str(token)}


def test_a_clock_that_steps_back_makes_no_standby_wait_longer_than_the_span(bench: Bench) -> None:
    """The stored end is then an hour ahead; it is uncertain how much of the span has passed."""
    first = bench.lead("aa")
    intent(bench, first)
    bench.admin.delete(bench.keys.lease)
    token = acquired(bench).token
    hour_ms = bench.now_ms + 3_600_000
    bench.admin.hset(bench.keys.untrusted, str(first), f"{hour_ms}|{SPAN_MS}")
    found = recovered(bench, token)
    assert found.intents == []
    assert found.wait_until_ms is not None
    assert found.wait_until_ms - bench.now_ms <= SPAN_MS
    assert distrusted(bench)[str(first)] - bench.now_ms <= SPAN_MS


def test_a_snapshot_that_brings_our_own_lease_back_is_a_loss(bench: Bench) -> None:
    """The survivor asks for the lease and learns that it holds it and that data was lost."""
    first = acquired(bench)
    known = Known(first.cluster, first.token.epoch, first.heartbeat + 5)
    again = acquired(bench, known=known)
    assert again.already
    assert again.timeline == "restored"
    assert again.loss.until_ms > 0
    assert acquired(bench, known=Known(first.cluster, 0, 0)).timeline == "continued"
