"""The events that scripts store: changes of leader, losses of data, outages."""

from __future__ import annotations

from habeat.core.events import EventCode
from habeat.core.lease import Fence, Observation, Token
from habeat.ports import Known, Won
from habeat.ports.events import Happening, Report
from habeat.store.dispatch import RedisDispatchStore
from habeat.store.events import Events, RedisEventLog, StoredEvent
from habeat.store.leases import RedisElectionStore
from tests.integration.scripts.bench import TTL_MS, Bench


def stored(bench: Bench) -> list[StoredEvent]:
    """All events, oldest first."""
    return list(Events(bench.caller).newest_first())[::-1]


def leases_of(bench: Bench, host: str, pid: int) -> RedisElectionStore:
    return RedisElectionStore(bench.caller, bench.clock, "bench", host=host, pid=pid)


def lead(bench: Bench, nonce: str, host: str, pid: int, known: Known | None = None) -> Won:
    won = leases_of(bench, host, pid).acquire(nonce, TTL_MS, known or Known())
    assert isinstance(won, Won), won
    return won


def tick(bench: Bench, token: Token, heartbeat: int = 0) -> None:
    bench.store.tick(Fence(token, TTL_MS, heartbeat), 0)


def test_the_first_leader_has_none_before_it(bench: Bench) -> None:
    won = lead(bench, "aa", "alpha", 11)
    (event,) = stored(bench)
    assert (event.code, event.cause, event.since_ms) == ("leader_acquired", "first", None)
    assert (event.by.replica, event.by.host, event.by.pid) == ("aa", "alpha", 11)
    assert event.by.lease_epoch == won.token.epoch
    assert not event.before.is_known


def test_a_hand_over_names_both_and_says_why(bench: Bench) -> None:
    first = lead(bench, "aa", "alpha beta", 11)
    bench.leases.release(first.token, "aa", "stop")
    released_ms = bench.now_ms
    lead(bench, "bb", "beta", 22)
    event = stored(bench)[-1]
    assert (event.cause, event.detail) == ("released", "stop")
    assert (event.before.replica, event.before.host, event.before.pid) == ("aa", "alpha beta", 11)
    assert event.before.lease_epoch == first.token.epoch
    assert (event.by.host, event.by.pid) == ("beta", 22)
    assert event.since_ms is not None
    assert event.until_ms is not None
    assert abs(event.since_ms - released_ms) < 1_000
    assert event.since_ms <= event.until_ms


def test_a_steal_counts_the_gap_from_the_last_extension_of_the_lease(bench: Bench) -> None:
    first = lead(bench, "aa", "alpha", 11)
    tick(bench, first.token)
    bench.admin.pexpire(bench.keys.lease, TTL_MS - 5_000)  # as if it was extended 5 s ago
    bench.admin.hset(bench.keys.meta, mapping={"clock": "1", "leader_since": "1"})
    with bench.alive("bb"):
        seen = Observation(0, str(first.token), 0, int(bench.meta("heartbeat")), 0, 0, 0)
        won = leases_of(bench, "beta", 22).steal("bb", TTL_MS, Known(), "crash", seen)
    assert isinstance(won, Won)
    event = stored(bench)[-1]
    assert (event.cause, event.before.host, event.by.host) == ("crash", "alpha", "beta")
    assert event.since_ms is not None
    assert event.until_ms is not None
    assert 5_000 <= event.until_ms - event.since_ms < 6_000


def test_an_expired_lease_counts_the_gap_from_the_last_tick(bench: Bench) -> None:
    first = lead(bench, "aa", "alpha", 11)
    tick(bench, first.token)
    ticked_ms = int(bench.meta("clock"))
    bench.admin.delete(bench.keys.lease)
    lead(bench, "bb", "beta", 22)
    event = stored(bench)[-1]
    assert (event.cause, event.since_ms) == ("expired", ticked_ms)


def test_the_last_sign_is_never_in_the_future(bench: Bench) -> None:
    lead(bench, "aa", "alpha", 11)
    bench.admin.hset(bench.keys.meta, "clock", str(bench.now_ms + 10**9))
    bench.admin.delete(bench.keys.lease)
    lead(bench, "bb", "beta", 22)
    event = stored(bench)[-1]
    assert event.until_ms is not None
    assert event.since_ms == event.until_ms <= event.at_ms


def test_what_an_older_release_wrote_is_not_taken_for_its_successor(bench: Bench) -> None:
    """An older release writes neither an event nor where it runs: only its token is known."""
    lead(bench, "aa", "alpha", 11)
    older = "9999999999999:old"
    bench.admin.set(bench.keys.lease, older, px=TTL_MS)
    bench.admin.hset(bench.keys.meta, mapping={"leader": older, "epoch": "9999999999999"})
    assert Events(bench.caller).leading().replica == ""
    bench.admin.delete(bench.keys.lease)
    lead(bench, "bb", "beta", 22)
    event = stored(bench)[-1]
    assert (event.before.replica, event.before.lease_epoch) == ("old", 9999999999999)
    assert (event.before.host, event.before.pid) == ("", None)
    assert Events(bench.caller).leading().host == "beta"


def test_a_lease_that_is_won_twice_is_one_change(bench: Bench) -> None:
    lead(bench, "aa", "alpha", 11)
    lead(bench, "aa", "alpha", 11)
    assert len(stored(bench)) == 1


def test_an_emptied_redis_is_a_loss_with_its_bounds(bench: Bench) -> None:
    won = lead(bench, "aa", "alpha", 11)
    bench.admin.flushall()
    answered_ms = won.now_us // 1_000
    known = Known(won.cluster, won.token.epoch, won.heartbeat, answered_ms=answered_ms)
    lead(bench, "bb", "beta", 22, known)
    loss, change = stored(bench)
    assert (loss.code, loss.cause, loss.since_ms) == ("data_lost", "emptied", answered_ms)
    assert loss.until_ms is not None
    assert loss.until_ms >= answered_ms
    assert (loss.by.host, loss.by.pid) == ("beta", 22)
    assert (change.code, change.cause) == ("leader_acquired", "emptied")
    assert bench.meta("leader_changes_emptied") == "1"


def test_who_was_not_connected_before_is_the_first_leader_of_an_emptied_redis(bench: Bench) -> None:
    lead(bench, "aa", "alpha", 11)
    bench.admin.flushall()
    lead(bench, "bb", "beta", 22)
    assert [(event.code, event.cause) for event in stored(bench)] == [("leader_acquired", "first")]


def test_a_loss_that_is_declared_twice_is_one_event(bench: Bench) -> None:
    """The reply to the first declaration was lost."""
    won = lead(bench, "aa", "alpha", 11)
    answered_ms = bench.now_ms - 50
    for _ in range(2):
        bench.store.tick(Fence(won.token, TTL_MS), 0, lost_after_ms=answered_ms)
    losses = [event for event in stored(bench) if event.code == "data_lost"]
    assert [(loss.cause, loss.since_ms) for loss in losses] == [("restored", answered_ms)]


def redis_outage(since_ms: int, until_ms: int) -> Happening:
    return Happening(
        EventCode.REDIS_UNAVAILABLE,
        since_ms,
        until_ms,
        "unreachable",
        "refused",
        Report.SEEN,
        "redis",
    )


def test_an_outage_that_three_replicas_saw_is_one_event(bench: Bench) -> None:
    logs = [RedisEventLog(bench.caller, nonce, nonce, 1) for nonce in ("aa", "bb", "cc")]
    spans = [(10_000, 40_000), (10_900, 40_700), (9_500, 41_200)]
    kept = [log.add(redis_outage(*span)) for log, span in zip(logs, spans, strict=True)]
    assert kept == [True, False, False]
    (event,) = stored(bench)
    assert (event.since_ms, event.until_ms, event.by.host) == (10_000, 40_000, "aa")


def test_a_replica_that_was_cut_off_for_longer_is_an_event_of_its_own(bench: Bench) -> None:
    log = RedisEventLog(bench.caller, "aa", "alpha", 1)
    assert log.add(redis_outage(10_000, 40_000))
    assert log.add(redis_outage(10_000, 90_000))
    assert log.add(redis_outage(200_000, 201_000))
    assert len(stored(bench)) == 3


def broker(code: EventCode, at_ms: int, report: Report) -> Happening:
    until_ms = at_ms if report is Report.END else None
    return Happening(code, at_ms, until_ms, report=report, subject="broker")


def test_an_outage_of_the_broker_begins_once_and_ends_once(bench: Bench) -> None:
    """The leader that reports its end may be another than the one that saw its beginning."""
    one, other = (RedisEventLog(bench.caller, nonce, nonce, 1) for nonce in ("aa", "bb"))
    down, up = EventCode.BROKER_UNAVAILABLE, EventCode.BROKER_AVAILABLE
    assert not other.add(broker(up, 500, Report.END))
    assert one.add(broker(down, 1_000, Report.BEGIN))
    assert not other.add(broker(down, 2_000, Report.BEGIN))
    assert other.add(broker(up, 9_000, Report.END))
    assert not one.add(broker(up, 9_500, Report.END))
    began, ended = stored(bench)
    assert (began.code, began.since_ms, began.until_ms) == (down, 1_000, None)
    assert (ended.code, ended.since_ms, ended.until_ms) == (up, 1_000, 9_000)


def test_an_error_text_is_bounded_and_has_no_password(bench: Bench) -> None:
    log = RedisEventLog(bench.caller, "aa", "alpha", 1, error_chars=80)
    text = "cannot connect to amqp://me:s3cret@rabbit/vhost\n\x1b[31m" + "x" * 500
    log.add(Happening(EventCode.BROKER_UNAVAILABLE, 5, detail=text))
    (event,) = stored(bench)
    assert "s3cret" not in event.detail
    assert "me:**@rabbit" in event.detail
    assert len(event.detail) <= 80
    assert event.detail.isprintable()


def test_a_key_of_a_foreign_type_costs_no_change_of_leader(bench: Bench) -> None:
    bench.admin.set(bench.keys.events, "not ours")
    assert stored(bench) == []
    lead(bench, "aa", "alpha", 11)
    assert [event.code for event in stored(bench)] == ["leader_acquired"]


def test_damaged_events_are_read_as_far_as_they_go(bench: Bench) -> None:
    key = bench.keys.events
    bench.admin.xadd(key, {b"\xff": b"\xff", "since": "soon", "pid": "9" * 40})
    bench.admin.xadd(key, {"code": "x" * 5_000, "epoch": "nan", "until": "inf"})
    first, second = stored(bench)
    assert (first.code, first.since_ms, first.by.pid) == ("", None, None)
    assert len(second.code) <= 1_000
    assert (second.by.lease_epoch, second.until_ms) == (None, None)


def test_old_events_are_trimmed_by_the_leader(bench: Bench) -> None:
    token = lead(bench, "aa", "alpha", 11).token
    for _ in range(300):
        bench.admin.xadd(bench.keys.events, {"code": "x"})
    store = RedisDispatchStore(
        bench.caller, dedup_ttl_ms=60_000, ledger_age_ms=-1_000, ledger_length=10
    )
    for _ in range(5):
        store.tick(Fence(token, TTL_MS), 0)
    assert bench.admin.xlen(bench.keys.events) <= 101  # whole nodes of the stream are trimmed
