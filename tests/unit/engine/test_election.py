"""The election, step by step, over a store in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from habeat.core.data_loss import Loss
from habeat.core.lease import Fence
from habeat.engine.election import FOREIGN_RETRY_MS, DataLost, Election, LeaseLost, Pace
from habeat.ports import Known, Lost, Refused, Statuses, StoreUnavailable, Won
from tests.unit.engine.world import FakeClock, FakeStore

TTL_MS = 6_000


class Field:
    """Replicas over one store, each with a monotonic clock of its own rate: all the same here."""

    def __init__(self, crash_poll_ms: int = 250, ttl_ms: int = TTL_MS) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.pace = Pace(ttl_ms, crash_poll_ms)

    def replica(self, nonce: str) -> Election:
        return Election(self.store, self.clock, self.pace, nonce)

    def run(self, election: Election, ms: int, *, until_leading: bool = True) -> None:
        """Step and wait as the engine does."""
        ends = self.clock.us + ms * 1_000
        while self.clock.us < ends:
            if election.step() and until_leading:
                return
            self.clock.advance(max(1, election.wait_ms()))


@pytest.fixture
def field() -> Field:
    return Field()


def renew(election: Election, field: Field) -> object:
    return election.fenced(lambda fence: field.store.tick(fence, 1))


def test_a_free_lease_is_taken_at_the_first_step(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    assert one.leading
    assert one.holder == field.store.lease


def test_i1_only_one_leads(field: Field) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    assert not other.step()
    field.run(other, 3_000)
    assert not other.leading


def test_an_error_is_never_a_reason_to_lead(field: Field) -> None:
    one = field.replica("a")
    for call, kind in (("observe", "reply"), ("acquire", "request"), ("acquire", "reply")):
        field.store.fault(call, kind)
        field.clock.advance(TTL_MS)
        with pytest.raises(StoreUnavailable):
            one.step()
        assert not one.leading


def test_a_lost_reply_of_acquire_is_learnt_at_the_next_look(field: Field) -> None:
    one = field.replica("a")
    field.store.fault("acquire", "reply")
    with pytest.raises(StoreUnavailable):
        one.step()
    token = field.store.lease
    field.run(one, 1_000)
    assert one.leading
    assert field.store.lease == token  # I2: the same leadership, no new token
    assert one.won is not None
    assert one.won.already


def test_the_window_is_anchored_before_the_request(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    started = field.clock.us

    def slow(fence: Fence) -> object:
        field.clock.advance(3_000)
        return field.store.tick(fence, 1)

    one.fenced(slow)
    assert one.trust is not None
    assert one.trust.until_ms == started // 1_000 + TTL_MS - 1_000
    assert field.store.lease_ends_us // 1_000 > one.trust.until_ms


def test_a_leader_stalled_past_its_window_does_not_act(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    field.clock.advance(5_001)
    with pytest.raises(LeaseLost):
        renew(one, field)
    assert field.store.count("tick") == 0


def test_losing_the_lease_is_stepping_down_and_contending_again(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    field.store.lease = "99:thief"
    with pytest.raises(LeaseLost):
        renew(one, field)
    assert not one.leading
    field.run(one, 2 * TTL_MS)
    assert one.leading
    assert field.store.lease.endswith(":a")


def test_a_lost_reply_of_a_renewal_does_not_end_the_window(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    field.clock.advance(1_000)
    field.store.fault("tick", "reply")
    with pytest.raises(StoreUnavailable):
        renew(one, field)
    assert one.leading
    renew(one, field)


def test_a_released_lease_is_taken_at_once(field: Field) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    assert not other.step()
    one.resign()
    other.look_now()
    assert other.step()


def test_an_expired_lease_is_looked_for_when_it_ends(field: Field) -> None:
    """Not a poll later: the standby knows the PTTL."""
    one, other = field.replica("a"), field.replica("b")
    other.placed(9)  # far back in the line: it polls every third of a TTL
    assert one.step()
    ends = field.store.lease_ends_us
    field.run(other, 3 * TTL_MS)
    assert other.leading
    assert field.clock.us - ends < 50_000


def test_two_replicas_close_to_the_lead_watch_closely_and_the_rest_do_not(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    waits = []
    for rank in range(4):
        standby = field.replica(f"s{rank}")
        standby.placed(rank)
        standby.step()
        waits.append(standby.wait_ms())
    assert waits == [250, 250, TTL_MS // 3, TTL_MS // 3]


def kill(field: Field) -> None:
    """The leader's process is gone: its channel has no subscriber, its heart stands still."""
    field.store.listeners = 0


def test_a_crash_is_taken_over_after_two_looks(field: Field) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    field.run(other, 1_000)
    kill(field)
    killed = field.clock.us
    field.run(other, TTL_MS)
    assert other.leading
    assert field.clock.us - killed <= 350_000
    assert field.store.count("steal") == 1


def test_a_crash_poll_of_zero_leaves_it_to_the_ttl() -> None:
    field = Field(crash_poll_ms=0)
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    ends = field.store.lease_ends_us
    field.run(other, 2_500)
    kill(field)
    field.run(other, 2 * TTL_MS)
    assert other.leading
    assert field.clock.us >= ends
    assert field.store.count("steal") == 0


@pytest.mark.parametrize("crash_poll_ms", [0, 250])
@pytest.mark.parametrize("rank", [0, 5])
def test_a_lease_that_outlives_its_leader_is_taken(crash_poll_ms: int, rank: int) -> None:
    """Redis' clock stepped back by an hour, and NUMSUB cannot be had."""
    field = Field(crash_poll_ms, ttl_ms=12_000)
    one, other = field.replica("a"), field.replica("b")
    other.placed(rank)
    assert one.step()
    field.store.listeners = None
    field.store.lease_ends_us += 3_600 * 1_000_000
    field.run(other, 60_000)
    assert other.leading
    assert field.store.count("steal") == 1


def test_a_suspect_that_ticks_and_sends_nothing_is_taken_over_at_the_next_look(
    field: Field,
) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    field.run(other, 1_000)
    other.suspect(str(one.trust.token) if one.trust else "")
    field.run(other, 1_000)
    assert other.leading
    assert field.store.count("steal") == 1


def test_another_leader_than_the_suspect_is_left_alone(field: Field) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    field.run(other, 1_000)
    other.suspect("1:another")
    field.run(other, 1_000)
    assert not other.leading
    other.suspect(str(one.trust.token) if one.trust else "")
    field.store.before["steal"] = lambda: setattr(field.store, "lease", "5:c")
    field.run(other, 500)
    assert not other.leading
    assert field.store.count("steal") == 1, "one attempt for one suspicion"


def test_a_refused_steal_continues_watching(field: Field) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    field.run(other, 1_000)
    kill(field)
    field.store.before["steal"] = lambda: setattr(field.store, "heartbeat", 77)
    field.run(other, 2_000)
    assert other.leading
    assert field.store.count("steal") == 2


def test_a_foreign_state_makes_an_inert_standby_that_says_so_once(
    field: Field, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = field.replica("a")
    foreign = Refused("the keys belong to another app", foreign=True)
    monkeypatch.setattr(field.store, "acquire", lambda *_: foreign)
    for _ in range(5):
        assert not one.step()
        assert one.wait_ms() == FOREIGN_RETRY_MS
        field.clock.advance(FOREIGN_RETRY_MS)
    assert one.inert
    assert caplog.text.count("inert") == 1


def test_a_foreign_state_is_found_out_though_the_lease_is_held(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, it would count as a standby until the other app's leader is gone."""
    leader, stranger = field.replica("a"), field.replica("b")
    assert leader.step()
    acquire = field.store.acquire
    foreign = Refused("the keys belong to another app", foreign=True)
    monkeypatch.setattr(field.store, "acquire", lambda *_: foreign)
    assert not stranger.step()
    assert stranger.inert == foreign.why
    monkeypatch.setattr(field.store, "acquire", acquire)
    field.clock.advance(FOREIGN_RETRY_MS)
    field.run(leader, 1_000)
    assert leader.leading
    assert not stranger.step()
    assert not stranger.inert, "the keys are its own now, and the lease is held"


def test_a_barred_replica_never_contends(field: Field) -> None:
    one = Election(field.store, field.clock, field.pace, "a", barred=lambda: "Redis evicts entries")
    field.run(one, 3 * TTL_MS)
    assert field.store.count("acquire") == 0
    assert field.store.count("observe") > 2


def test_who_stepped_down_on_request_competes_again_once_another_has_led(field: Field) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    one.resign(60_000, until_taken=True)
    assert not one.step()
    assert other.step()
    field.run(one, 1_000)  # it has seen that the other one leads
    other.resign(60_000)
    one.look_now()
    assert one.step()


def test_a_lease_that_could_not_be_released_is_not_taken_for_anothers(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    field.store.fault("release", "request")
    with pytest.raises(StoreUnavailable):
        one.resign(60_000, until_taken=True)
    field.run(one, TTL_MS - 500)
    assert not one.leading


def test_who_resigned_stays_away_unless_no_other_wants_the_lease(field: Field) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    one.resign(60_000)
    assert not one.step()
    assert other.step()
    for _ in range(20):
        renew(other, field)
        field.run(one, 1_000)
    assert not one.leading
    other.resign(60_000)
    free = field.clock.us
    field.run(one, 30_000)
    assert one.leading
    assert TTL_MS * 1_000 <= field.clock.us - free <= 2 * TTL_MS * 1_000


def test_a_forked_child_leads_no_more_and_says_nothing(field: Field) -> None:
    one = field.replica("a")
    assert one.step()
    one.forget()
    assert not one.leading
    assert field.store.count("release") == 0
    assert field.store.lease


def test_the_most_that_was_known_is_kept_until_the_loss_is_declared(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = field.replica("a"), field.replica("b")
    assert one.step()
    for _ in range(5):
        renew(one, field)
    assert not other.step()
    known = other.known
    field.store.heartbeat = field.store.epoch = 1  # an old snapshot came back
    field.store.lease = ""
    passed: list[Known] = []
    acquire = field.store.acquire
    monkeypatch.setattr(
        field.store, "acquire", lambda n, t, k, *_: (passed.append(k), acquire(n, t, k))[1]
    )
    other.look_now()
    other.step()
    assert passed == [known]


def test_an_emptied_redis_is_reported_by_a_replica_that_knew_it(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = field.replica("b")
    one = field.replica("a")
    assert one.step()
    assert not other.step()
    field.store.lease = ""
    empty = replace(field.store._observe(), known=Known())
    monkeypatch.setattr(field.store, "observe", lambda: empty)
    passed: list[Known] = []
    acquire = field.store.acquire
    monkeypatch.setattr(
        field.store, "acquire", lambda n, t, k, *_: (passed.append(k), acquire(n, t, k))[1]
    )
    other.look_now()
    other.step()
    assert passed[0].cluster == "cluster"


def test_a_fenced_call_without_an_answer_says_the_lease_is_gone(
    field: Field, caplog: pytest.LogCaptureFixture
) -> None:
    one = field.replica("a")
    assert one.step()
    with pytest.raises(LeaseLost):
        one.fenced(lambda *_: Lost(""))
    assert "gone" in caplog.text


def test_a_leader_keeps_the_highest_heartbeat_of_its_answers() -> None:
    """A snapshot taken after the last tick, and restored after a claim, is noticed by it."""
    field = Field()
    one = field.replica("a")
    assert one.step()
    before = one.known.heartbeat
    first, second = one.attempt(), one.attempt()
    one.concluded(Statuses(0, [], before + 3), second)
    one.concluded(Statuses(0, [], before + 2), first)  # the later one may be answered first
    assert one.known.heartbeat == before + 3
    one.fenced(lambda fence: 1)
    one.fenced(lambda fence: Statuses(0, [], 0))  # says nothing of it
    assert one.known.heartbeat == before + 3


def test_a_refusal_for_a_loss_ends_the_turn_and_has_the_loss_declared() -> None:
    field = Field()
    one = field.replica("a")
    assert one.step()
    answered_ms = one.known.answered_ms
    field.clock.advance(700)
    field.store.heartbeat -= 1
    with pytest.raises(DataLost):
        renew(one, field)
    assert one.leading
    assert one.timeline.lost_after_ms == answered_ms
    found = one.fenced(
        lambda fence: field.store.tick(fence, 1, lost_after_ms=one.timeline.lost_after_ms)
    )
    one.heard(found, declared=True)
    assert one.timeline.lost_after_ms is None
    assert one.known.loss == Loss(answered_ms, field.store.now_ms)
    assert one.known.heartbeat == field.store.heartbeat
    renew(one, field)


def test_two_answers_that_tell_the_same_show_a_loss() -> None:
    """A snapshot from between the two was restored between the two."""
    field = Field()
    one = field.replica("a")
    assert one.step()
    attempts = [one.attempt() for _ in range(4)]
    answered_ms = one.known.answered_ms
    for attempt, beat in zip(attempts, (8, 9, 7), strict=False):  # read in another order
        one.concluded(Statuses(0, [], beat), attempt)
    assert not one.timeline.loss_suspected
    one.concluded(Statuses((answered_ms + 5) * 1_000, [], 8), attempts[3])
    assert one.timeline.lost_after_ms == answered_ms, "nor is that an answer of our timeline"


def test_a_leader_whose_declared_loss_is_forgotten_declares_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What has come back is from before the first loss, and its heartbeat above ours."""
    field = Field()
    one = field.replica("a")
    assert one.step()
    found = renew(one, field)
    one.heard(replace(found, loss=Loss(4_000, 5_000)))
    assert "Redis went back in time" in caplog.text
    caplog.clear()
    one.heard(replace(found, loss=Loss(4_000, 5_000)))
    assert not one.timeline.loss_suspected
    with pytest.raises(DataLost):
        one.heard(replace(found, heartbeat=90))
    assert not caplog.text, "logged once for each loss"
    assert one.timeline.loss_suspected
    one.heard(replace(found, loss=Loss(2_000, 3_000)), declared=True)
    assert not one.timeline.loss_suspected, "the clock of Redis may have been set back besides"


def test_a_standby_keeps_the_most_that_it_knew_of_this_timeline() -> None:
    field = Field()
    two = field.replica("b")
    two.timeline.begin(Known("cluster", 7, 100, Loss(4, 5), 50))
    field.store.epoch, field.store.heartbeat, field.store.loss = 3, 50, Loss(4, 5)
    two.step()
    assert (two.known.epoch, two.known.heartbeat) >= (7, 100)


def test_what_came_back_from_before_a_loss_may_have_counted_further() -> None:
    """By the heartbeat alone, it would be taken for the same timeline."""
    field = Field()
    two = field.replica("b")
    two.timeline.begin(Known("cluster", 7, 20, Loss(4, 5), 50))
    field.store.epoch, field.store.heartbeat, field.store.loss = 7, 90, Loss()
    field.store.lease, field.store.lease_ends_us = "7:a", field.clock.us + 10**9
    two.step()
    assert two.timeline.lost_after_ms == 50, "what has answered now is not that timeline"
    field.store.loss = Loss(60, 70)
    two.look_now()
    two.step()
    assert two.timeline.lost_after_ms is None, "another leader has declared the loss"
    assert two.known.loss == Loss(60, 70)


def test_an_answer_of_a_redis_that_knows_less_is_none_of_our_timeline() -> None:
    """After a failover that lost a heartbeat, a standby looks before it comes to lead."""
    field = Field()
    one, two = field.replica("a"), field.replica("b")
    assert one.step()
    two.step()
    answered_ms = two.known.answered_ms
    assert answered_ms == field.store.now_ms
    field.clock.advance(3_000)
    field.store.heartbeat -= 1
    two.step()
    assert two.known.answered_ms == answered_ms
    field.store.heartbeat += 1
    field.clock.advance(3_000)
    two.step()
    assert two.known.answered_ms == field.store.now_ms


@pytest.mark.parametrize("shown_by", ["an answer", "a look"])
def test_a_token_that_was_gone_and_is_back_shows_a_loss(shown_by: str) -> None:
    """Emptied, then restored: the heartbeat alone shows no gap."""
    field = Field()
    one = field.replica("a")
    assert one.step()
    token, field.store.lease = field.store.lease, ""
    if shown_by == "an answer":
        with pytest.raises(LeaseLost):
            renew(one, field)
    else:
        field.clock.advance(TTL_MS)
        field.store.fault("acquire", "request")
        with pytest.raises(StoreUnavailable):
            one.step()
    field.store.lease, field.store.lease_ends_us = token, field.clock.us + 10**9
    field.run(one, 1_000)
    assert one.leading
    assert field.store.lease == token
    assert one.timeline.loss_suspected
    one.timeline.begin(one.known)
    field.clock.advance(TTL_MS - 500)  # a lapse of trust later on is no second loss
    field.store.lease_ends_us = field.clock.us + 10**9
    field.run(one, 1_000)
    assert not one.timeline.loss_suspected


def test_a_token_that_comes_back_between_the_look_and_the_acquisition_shows_a_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The look found no lease, so only the reply to the acquisition can show the restored data."""
    field = Field()
    one = field.replica("a")
    assert one.step()
    token, field.store.lease = field.store.lease, ""
    with pytest.raises(LeaseLost):
        renew(one, field)
    acquire = field.store.acquire

    def of_restored_data(nonce: str, ttl_ms: int, known: Known) -> Won | Refused:
        field.store.lease, field.store.lease_ends_us = token, field.clock.us + 10**9
        return acquire(nonce, ttl_ms, known)

    monkeypatch.setattr(field.store, "acquire", of_restored_data)
    field.run(one, 1_000)
    assert one.leading
    assert field.store.lease == token
    assert one.timeline.loss_suspected


def test_a_look_that_finds_our_lost_token_is_no_answer_of_our_timeline() -> None:
    """Slots due since the last real answer fire late; they are not lost with the timeline."""
    field = Field()
    one = field.replica("a")
    assert one.step()
    renew(one, field)
    answered_ms = one.known.answered_ms
    token, field.store.lease = field.store.lease, ""
    with pytest.raises(LeaseLost):
        renew(one, field)
    field.store.lease, field.store.lease_ends_us = token, field.clock.us + 10**9
    field.clock.advance(900)
    field.run(one, 1_000)
    assert field.store.lease == token
    assert one.timeline.lost_after_ms == answered_ms


def test_a_lease_that_was_ours_all_the_time_shows_none() -> None:
    field = Field()
    one = field.replica("a")
    assert one.step()
    field.clock.advance(TTL_MS - 500)
    field.run(one, 1_000)
    assert one.leading
    assert one.won is not None
    assert one.won.already
    assert not one.timeline.loss_suspected
