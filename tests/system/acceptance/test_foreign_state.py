"""What should not be there: garbage in an entry, another app's state, another scheduler's."""

from __future__ import annotations

import pytest

from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.accounts import LEFT, ledger
from tests.system.acceptance.apps import entries, write_app
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]


def test_garbage_in_a_stored_entry(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(5))
    fleet.start(2)
    _wait_for(fleet, 3)
    garbage = b'{"v": 1, "schedule": {"kind": "interval", "every_ms": "\xff"'
    fleet.client.hset(fleet.key("entries"), "e00002", garbage)
    until(lambda: _quarantined(fleet) == {"e00002"}, 20, fleet.logs)
    at = {entry: _left(fleet, entry) for entry in ("e00000", "e00001", "e00003", "e00004")}
    until(
        lambda: all(_left(fleet, entry) >= count + 3 for entry, count in at.items()),
        20,
        lambda: f"the others go on; they said\n{fleet.logs()}",
    )
    assert fleet.client.hget(fleet.key("entries"), "e00002") == garbage, "it is left untouched"
    assert "entry 'e00002' is quarantined" in fleet.logs()
    assert fleet.all_alive


def test_a_definition_that_is_gone(make_fleet: MakeFleet, valkey: Server) -> None:
    """As after an eviction, or a deletion by hand."""
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(3))
    fleet.start(1)
    _wait_for(fleet, 2)
    fleet.client.hdel(fleet.key("entries"), "e00001")
    until(lambda: _quarantined(fleet) == {"e00001"}, 20, fleet.logs)
    before = _left(fleet, "e00000")
    until(lambda: _left(fleet, "e00000") >= before + 2, 20, fleet.logs)


@pytest.mark.parametrize("whose", ["app", "schema"])
def test_state_of_another(make_fleet: MakeFleet, valkey: Server, whose: str) -> None:
    """Another app's state under the same prefix, or another release's: an inert standby."""
    conf = {**redis_broker(valkey).conf, "habeat_key_prefix": "habeat:proj"}
    fleet = make_fleet(valkey, conf, entries(1))
    fleet.client.hset(fleet.key("meta"), mapping={"app": "proj", "schema": "1", "cluster": "c"})
    fleet.client.hset(fleet.key("meta"), whose, "999")
    beat = fleet.start_one()
    beat.wait_for_log("inert standby")
    assert f"belong to another {whose} (999)" in beat.log()
    until(lambda: _roles(fleet) == {"inert"}, 20, "it is listed as inert")
    until(lambda: fleet.client.exists(fleet.key("seen")), 5, "it is seen")
    before = fleet.client.zscore(fleet.key("seen"), next(iter(fleet.replicas())))
    until(
        lambda: fleet.client.zscore(fleet.key("seen"), next(iter(fleet.replicas()))) != before,
        20,
        "it lives on and says so",
    )
    assert beat.alive
    assert not fleet.holder()
    assert fleet.client.hlen(fleet.key("entries")) == 0
    assert beat.log().count("inert standby") == 1
    fleet.client.hset(fleet.key("meta"), mapping={"app": "proj", "schema": "1"})
    until(fleet.holder, 20, lambda: f"it leads when the way is free\n{fleet.logs()}")


def test_two_apps_of_one_redis_do_not_meet(make_fleet: MakeFleet, valkey: Server) -> None:
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(2))
    conf = {**redis_broker(valkey, prefix="other:").conf, "habeat_redis_url": valkey.url()}
    write_app(fleet.folder, conf, entries(4), module="other", main="other")
    fleet.start(1)
    other = Fleet(fleet.processes, fleet.folder, fleet.client, "other", "habeat:other")
    other.start(1)
    assert fleet.holder()
    assert other.holder()
    until(lambda: fleet.client.hlen(fleet.key("entries")) == 2, 20, "its own two")
    until(lambda: fleet.client.hlen(other.key("entries")) == 4, 20, "its own four")


def test_entries_of_redbeat_in_sight(make_fleet: MakeFleet, valkey: Server) -> None:
    valkey.admin.zadd("redbeat::schedule", {"redbeat:a": 1, "redbeat:b": 2, "redbeat:c": 3})
    fleet = make_fleet(valkey, dict(redis_broker(valkey).conf), entries(1))
    fleet.start(1)
    line = "found 3 entries of RedBeat, which beat does not import"
    until(lambda: line in fleet.logs(), 20, fleet.logs)


def test_a_static_entry_that_cannot_be_stored(make_fleet: MakeFleet, valkey: Server) -> None:
    """It is named and skipped; the rest run."""
    fleet = make_fleet(
        valkey,
        dict(redis_broker(valkey).conf),
        entries(3),
        more='app.conf.beat_schedule["bad"] = '
        '{"task": "proj.work", "schedule": 1.0, "args": (object(),)}',
    )
    fleet.start(1)
    _wait_for(fleet, 2)
    assert "entry 'bad' of beat_schedule is not scheduled" in fleet.logs()
    assert {record.entry for record in ledger(fleet)} == {"e00000", "e00001", "e00002"}


def _quarantined(fleet: Fleet) -> set[str]:
    return {name.decode() for name in fleet.client.hkeys(fleet.key("quarantine"))}  # type: ignore[union-attr]


def _roles(fleet: Fleet) -> set[str]:
    return {fields["role"] for fields in fleet.replicas().values()}


def _left(fleet: Fleet, entry: str) -> int:
    return sum(1 for r in ledger(fleet) if r.entry == entry and r.outcome in LEFT)


def _wait_for(fleet: Fleet, slots: int) -> None:
    until(
        lambda: _left(fleet, "e00000") >= slots,
        20,
        lambda: f"{slots} slots were sent; they said\n{fleet.logs()}",
    )
