"""Entries added while beats run, through the API, and what it says of their lateness."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

import habeat
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import ledger
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import Watch, redis_broker
from tests.system.acceptance.durations import pick
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

TIMES = pick(5, 20)


def test_added_one_second_before_its_slot(make_fleet: MakeFleet, valkey: Server) -> None:
    """The leader may be waiting for a minute; it is woken by the entry and fires it at its slot."""
    broker = redis_broker(valkey)
    fleet = make_fleet(valkey, dict(broker.conf))
    fleet.start(2)
    watch = Watch(lambda: valkey.client(1), broker.key)
    slots_ms = {}
    with habeat.Client(valkey.url(), prefix="habeat:proj") as client:
        for number in range(TIMES):
            at = datetime.now(UTC) + timedelta(seconds=1)
            at = at.replace(microsecond=at.microsecond // 1_000 * 1_000)
            client.add(f"late{number}", "proj.work", habeat.once(at))
            slots_ms[f"late{number}"] = round(at.timestamp() * 1_000)
            time.sleep(0.3)
        until(lambda: len(watch.seen) >= TIMES, 10, lambda: f"{watch.seen}\n{fleet.logs()}")
        time.sleep(1)
    seen = watch.stop()
    assert {arrival.firing for arrival in seen} == set(slots_ms.items())
    assert len(seen) == TIMES
    late_ms = [arrival.at_s * 1_000 - arrival.slot_ms for arrival in seen]
    print(f"late by {sorted(round(late) for late in late_ms)} ms")
    assert min(late_ms) >= 0, "never before its time"
    assert statistics.median(late_ms) < 100, late_ms


def test_three_hundred_tenants_do_not_share_a_second(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf))
    fleet.start(1)
    with habeat.Client(valkey.url(), prefix="habeat:proj") as client:
        for number in range(300):
            client.add(f"tenant-{number}", "proj.work", 300)
        instants = [client.preview(f"tenant-{number}", 1)[0] for number in range(300)]
        status = client.status()
    seconds = Counter(round(instant.effective.timestamp()) for instant in instants)
    assert max(seconds.values()) <= 15, seconds.most_common(5)
    assert len(seconds) >= 100
    assert status.entries.total == 300


#: A consumer that shares two cores with a beat, a server and more reads some time after the push.
AGREES_MS = 10


@pytest.mark.parametrize("dispatch", ["atomic", "outbox"])
def test_drift_agrees_with_a_consumer(make_fleet: MakeFleet, valkey: Server, dispatch: str) -> None:
    """Medians, because a consumer on a busy machine is sometimes late by itself."""
    broker = redis_broker(valkey)
    conf = {**broker.conf, "habeat_dispatch": dispatch}
    fleet = make_fleet(valkey, conf, entries(5))
    watch = Watch(lambda: valkey.client(1), broker.key)
    fleet.start(1)
    until(lambda: len(watch.seen) >= 5 * pick(10, 60), 120, fleet.logs)
    fleet.stop()
    time.sleep(0.5)
    seen = watch.stop()
    measured = defaultdict(list)
    for arrival in seen:
        measured[arrival.entry].append(arrival.at_s * 1_000 - arrival.slot_ms)
    with habeat.Client(valkey.url(), prefix="habeat:proj") as client:
        drift = {row.entry: row for row in client.drift()}
        exact = {row.entry: row for row in client.drift(since=timedelta(hours=1))}
    assert set(drift) == set(exact) == set(measured)
    for entry, late_ms in measured.items():
        assert drift[entry].count == exact[entry].count == len(late_ms)
        median_ms = statistics.median(late_ms)
        print(f"{entry}: measured {median_ms:.1f} ms, drift {drift[entry]}")
        assert abs(drift[entry].p50_ms - median_ms) <= AGREES_MS, (entry, late_ms, drift[entry])
        assert abs(exact[entry].p50_ms - median_ms) <= AGREES_MS, (entry, late_ms, exact[entry])
    recorded = {(r.entry, r.slot_ms): r.late_ms for r in ledger(fleet)}
    apart = [a.at_s * 1_000 - a.slot_ms - recorded[a.firing] for a in seen]
    assert abs(statistics.median(apart)) <= AGREES_MS
