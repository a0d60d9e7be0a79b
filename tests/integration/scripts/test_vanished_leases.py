"""The intents of a holder whose lease vanished, and what a clock that steps back may do to them."""

from __future__ import annotations

from habeat.core.lease import Token
from habeat.ports import Known, Recovered, Won
from tests.integration.scripts.bench import TTL_MS, Bench

SPAN_MS = 4_000


def acquired(bench: Bench, vanished: str = "", known: Known | None = None) -> Won:
    """By who looked a moment ago, if not told otherwise."""
    known = known or bench.leases.observe().known
    reply = bench.leases.acquire("bb", TTL_MS, known, vanished, SPAN_MS)
    assert isinstance(reply, Won)
    return reply


def distrusted(bench: Bench) -> dict[str, int]:
    found = bench.admin.hgetall(bench.keys.untrusted)
    return {token.decode(): int(told.split(b"|")[0]) for token, told in found.items()}


def recovered(bench: Bench, token: Token) -> Recovered:
    reply = bench.store.recover(token, TTL_MS, 100)
    assert isinstance(reply, Recovered)
    return reply


def test_the_heir_leaves_the_intents_of_a_vanished_lease_alone(bench: Bench) -> None:
    token = bench.lead("aa")
    bench.admin.delete(bench.keys.lease)
    acquired(bench, str(token))
    assert SPAN_MS - 1_000 < distrusted(bench)[str(token)] - bench.now_ms <= SPAN_MS


def test_a_leader_whom_the_heir_has_never_seen_is_left_alone(bench: Bench) -> None:
    """It came and went between two looks: what the heir knows of is the one before."""
    before = bench.lead("aa")
    bench.leases.release(before, "aa")
    token = bench.lead("cc")
    bench.admin.delete(bench.keys.lease)
    acquired(bench, str(before))
    assert set(distrusted(bench)) == {str(token)}


def test_a_lease_that_was_given_back_has_not_vanished(bench: Bench) -> None:
    """The heir need not have heard ``released``."""
    token = bench.lead("aa")
    bench.leases.release(token, "aa")
    acquired(bench, str(token))
    assert distrusted(bench) == {}


def test_who_knows_of_no_vanished_lease_waits_for_nobody(bench: Bench) -> None:
    bench.lead("aa")
    bench.admin.delete(bench.keys.lease)
    acquired(bench)
    assert distrusted(bench) == {}


def test_who_led_between_the_look_and_the_request_is_left_alone(bench: Bench) -> None:
    """The lease was free at the look, somebody took it and lost it, and is at work."""
    before = bench.lead("cc")
    bench.leases.release(before, "cc")
    looked = bench.leases.observe().known
    token = bench.lead("aa")
    bench.admin.delete(bench.keys.lease)
    acquired(bench, known=looked)
    assert set(distrusted(bench)) == {str(token)}
    assert TTL_MS - 1_000 < distrusted(bench)[str(token)] - bench.now_ms <= TTL_MS


def test_a_clock_that_steps_back_makes_nobody_wait_longer_than_the_span(bench: Bench) -> None:
    """What was kept lies an hour ahead then; of the span nothing had passed for sure."""
    first = bench.lead("aa")
    bench.claim(first, bench.claim_of(bench.place(ago_ms=500)), atomic=False)
    assert bench.flying()
    bench.admin.delete(bench.keys.lease)
    token = acquired(bench, str(first)).token
    hour_ms = bench.now_ms + 3_600_000
    bench.admin.hset(bench.keys.untrusted, str(first), f"{hour_ms}|{SPAN_MS}")
    found = recovered(bench, token)
    assert found.intents == []
    assert found.wait_until_ms is not None
    assert found.wait_until_ms - bench.now_ms <= SPAN_MS
    assert distrusted(bench)[str(first)] - bench.now_ms <= SPAN_MS


def test_a_snapshot_that_brings_our_own_lease_back_is_a_loss(bench: Bench) -> None:
    """The survivor asks for the lease, is told that it is its own, and that data was lost."""
    first = acquired(bench)
    known = Known(first.cluster, first.token.epoch, first.heartbeat + 5)
    again = acquired(bench, known=known)
    assert again.already
    assert again.history == "restored"
    assert again.history_lost_ms > 0
    assert acquired(bench, known=Known(first.cluster, 0, 0)).history == "continued"
