"""A message that is sent at its expiry or later is skipped: by claim, settle and mark."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.firing import Firing
from habeat.core.lease import Fence, Token
from habeat.ports import Departed, Intent, Recovered, Rendered
from tests.integration.scripts.bench import EVERY_MS, QUEUE, TTL_MS, Bench, Placed

BOTH = pytest.mark.parametrize("atomic", [True, False], ids=["atomic", "outbox"])
FAR_MS = 60_000


def expiring(placed: Placed, after_ms: int) -> Rendered:
    message = f"message {placed.entry.name} {placed.slot_ms}".encode()
    return Rendered(message, [("LPUSH", QUEUE, message)], expires_ms=placed.slot_ms + after_ms)


def in_flight(bench: Bench, token: Token, after_ms: int, **other: str) -> tuple[Placed, Intent]:
    """A claimed firing of the outbox that expires then, and its intent."""
    placed = bench.place()
    claim = bench.claim_of(placed, rendered=expiring(placed, after_ms), **other)
    assert bench.claim(token, claim, atomic=False) == ["ok"]
    bench.hasten()
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert isinstance(found, Recovered)
    (intent,) = found.intents
    return placed, intent


def end(bench: Bench, intent: Intent) -> None:
    """Let the expiry of this intent pass."""
    (value,) = bench.admin.hvals(bench.keys.inflight)
    past = value.replace(str(intent.expires_ms).encode(), str(bench.now_ms - 1).encode())
    bench.admin.hset(bench.keys.inflight, intent.field, past)


def late_count(bench: Bench) -> int:
    return sum(int(v) for k, v in bench.admin.hgetall(bench.keys.lateness).items() if k != b"max")


@BOTH
def test_a_claim_sends_nothing_and_says_why(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=500)
    claim = bench.claim_of(placed, rendered=expiring(placed, 500))
    assert bench.claim(token, claim, atomic=atomic) == ["expired"]
    assert (bench.pushed(), bench.flying()) == ([], {})
    assert bench.ledger() == [("skipped", "expired", str(placed.slot_ms))]
    assert bench.cursor() == placed.slot_ms
    assert bench.due() <= bench.now_ms, "it is planned again"
    assert (bench.state()[4], bench.fired(placed)) == ("0", "")
    assert late_count(bench) == 0
    assert bench.balanced()
    before = bench.everything()
    assert bench.claim(token, claim, atomic=atomic) == ["duplicate"]  # the reply was lost
    assert bench.everything() == before


@BOTH
def test_before_its_expiry_a_message_is_claimed(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place()
    claim = bench.claim_of(placed, rendered=expiring(placed, FAR_MS))
    assert bench.claim(token, claim, atomic=atomic) == ["ok"]


def test_an_expired_firing_costs_no_run_of_those_planned_with_it(bench: Bench) -> None:
    """With two runs left, the plan ended the entry with its second slot."""
    token, placed = bench.lead(), bench.place(ago_ms=1_500, max_runs=2)
    first = bench.claim_of(placed, rendered=expiring(placed, 100))
    second_ms = placed.slot_ms + EVERY_MS
    second = replace(
        bench.claim_of(
            placed, firing=Firing("e", second_ms, second_ms), next_slot_ms=None, next_due_ms=None
        ),
        expected=replace(first.expected, due_ms=second_ms, cursor_ms=placed.slot_ms),
    )
    assert bench.claim(token, first, second) == ["expired", "replan"]
    assert bench.due() <= bench.now_ms
    assert bench.state()[4] == "0"


def test_an_entry_whose_last_run_has_expired_is_planned_again(bench: Bench) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=500)
    last = bench.claim_of(
        placed, rendered=expiring(placed, 100), next_slot_ms=None, next_due_ms=None
    )
    assert bench.claim(token, last) == ["expired"]
    due_ms = bench.due()
    assert due_ms is not None
    assert due_ms <= bench.now_ms


@BOTH
def test_a_request_whose_message_has_expired_is_over(bench: Bench, atomic: bool) -> None:
    token, placed = bench.lead(), bench.place(ago_ms=500)
    bench.caller.run("request", "r1", b"order", FAR_MS, "e")
    (request,) = bench.requests()
    firing = Firing("e", placed.slot_ms, placed.slot_ms, request="r1")
    claim = bench.claim_of(
        placed, firing=firing, rendered=expiring(placed, 100), digest=request.digest
    )
    cursor_ms = bench.cursor()
    assert bench.claim(token, claim, atomic=atomic) == ["expired"]
    assert (bench.requests(), bench.pushed(), bench.flying()) == ([], [], {})
    assert bench.ledger() == [("skipped", "expired", str(placed.slot_ms))]
    assert bench.cursor() == cursor_ms


@pytest.mark.parametrize(
    ("after_ms", "outcome"), [(99, "sent"), (100, "skipped"), (5_000, "skipped")]
)
def test_what_was_sent_at_its_expiry_or_later_is_settled_as_skipped(
    bench: Bench, after_ms: int, outcome: str
) -> None:
    token = bench.lead()
    placed, intent = in_flight(bench, token, FAR_MS)
    expiry = str(placed.slot_ms + 100).encode()
    raw = bench.admin.hget(bench.keys.inflight, intent.field)
    assert raw is not None
    bench.admin.hset(
        bench.keys.inflight, intent.field, raw.replace(str(intent.expires_ms).encode(), expiry)
    )
    left = Departed("e", intent.identity, placed.slot_ms + after_ms, 1)
    assert bench.store.settle(token, [left]) == 1
    reason = "expired" if outcome == "skipped" else ""
    assert bench.ledger() == [(outcome, reason, str(placed.slot_ms))]
    assert late_count(bench) == (1 if outcome == "sent" else 0)
    assert bench.fired(placed) == f"{token}|settled"
    assert bench.balanced()


def test_an_expired_intent_is_not_sent_again(bench: Bench) -> None:
    token = bench.lead()
    placed, intent = in_flight(bench, token, FAR_MS)
    assert (intent.expires_ms, intent.delivery) == (placed.slot_ms + FAR_MS, "at_least_once")
    end(bench, intent)
    marked = bench.store.mark(Fence(token, TTL_MS), intent, 3, "", 0)
    assert (marked.attempt, marked.buried) == (0, False)
    assert bench.ledger() == [("skipped", "expired", str(placed.slot_ms))]
    assert (bench.flying(), bench.admin.zcard(bench.keys.inflight_due)) == ({}, 0)
    assert not bench.admin.exists(bench.keys.dead)
    assert bench.fired(placed) == f"{token}|settled"
    assert bench.balanced()
    before = bench.everything()
    assert bench.store.mark(Fence(token, TTL_MS), intent, 3, "", 0).attempt == 0
    assert bench.everything() == before


def test_what_may_not_be_repeated_stays_ambiguous_after_its_expiry(bench: Bench) -> None:
    token = bench.lead()
    _, intent = in_flight(bench, token, FAR_MS, delivery="at_most_once")
    assert intent.delivery == "at_most_once"
    end(bench, intent)
    assert bench.store.mark(Fence(token, TTL_MS), intent, 3, "at most once", 0).buried
    assert [what for what, *_ in bench.ledger()] == ["ambiguous"]


def test_a_firing_that_was_given_up_keeps_its_expiry_when_it_is_resent(bench: Bench) -> None:
    from habeat.store.dead_letters import DeadStore

    token = bench.lead()
    _, intent = in_flight(bench, token, FAR_MS)
    assert bench.store.mark(Fence(token, TTL_MS), intent, 0, "", 0).buried
    dead = DeadStore(bench.caller)
    record = dead.find(intent.field)
    assert record is not None
    assert dead.resend(record) == "ok"
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert isinstance(found, Recovered)
    assert [each.expires_ms for each in found.intents] == [intent.expires_ms]


@pytest.mark.parametrize("kind", ["/at_least_once", "trigger/at_least_once", "a/b/at_least_once"])
def test_an_intent_without_an_expiry_never_expires(bench: Bench, kind: str) -> None:
    token = bench.lead()
    _, intent = in_flight(bench, token, FAR_MS)
    bench.admin.hset(bench.keys.inflight, intent.field, f"{token}\n0\n5\n{kind}\nm")
    bench.hasten()
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert isinstance(found, Recovered)
    (read,) = found.intents
    assert (read.expires_ms, read.delivery) == (None, "at_least_once")
    assert bench.store.mark(Fence(token, TTL_MS), read, 3, "", 0).attempt == 1
