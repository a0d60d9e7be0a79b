"""`client.explain` and the command: one slot of each outcome, against a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat.client import Client, Explanation
from habeat.clock import SystemClock
from habeat.config.redis_target import redis_target
from habeat.core.circuit import Circuit
from habeat.core.controls import stored_window
from habeat.core.firing import Outcome, SkippedRun
from habeat.core.holds import Window
from habeat.core.lease import Fence
from habeat.errors import EntryNotFound
from habeat.ports import Expected, Known, Next, Skip, Won
from habeat.schedules.schedule import moment
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from tests.integration.test_cli import Shell
from tests.integration.test_client import BASE, HOUR_MS, PREFIX, Beat
from tests.support.servers.redis_server import Server

MINUTE = timedelta(minutes=1)


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


@pytest.fixture
def beat(valkey: Server) -> Iterator[Beat]:
    connections = Connections(redis_target(valkey.url()))
    yield Beat(Caller(connections, Keys(PREFIX)))
    connections.close()


def hourly(client: Client, name: str = "report", **fields: Any) -> None:
    client.add(name, "proj.report", habeat.every(3_600, align="epoch"), **fields)


def fired(client: Client, beat: Beat, name: str = "report", **fields: Any) -> datetime:
    """The slot of an hourly entry that was fired just now."""
    hourly(client, name, **fields)
    beat.backdate(name, HOUR_MS)
    beat.lead()
    assert beat.fire(name) == "ok"
    last = client.get(name).state.cursor_ms
    return moment(last)


def states(found: Explanation) -> dict[str, str]:
    return {each.link: each.state for each in found.links}


def test_a_sent_slot_says_when_by_whom_and_how_late(client: Client, beat: Beat) -> None:
    slot = fired(client, beat)
    [record] = client.history("report")
    found = client.explain("report", slot)
    assert (found.slot, found.outcome) == (slot, record.outcome)
    assert found.lateness_ms == record.lateness_ms
    assert found.fired_at == slot + timedelta(milliseconds=record.lateness_ms or 0)
    assert (found.leader, found.lease_epoch) == ("alpha pid 11", record.lease_epoch)
    assert found.task_id == record.task_id
    assert "by alpha pid 11 (lease epoch" in found.sentence
    assert (found.before, found.after) == (slot - 60 * MINUTE, slot + 60 * MINUTE)


def test_a_takeover_after_the_slot_is_the_broken_link_of_a_late_one(
    client: Client, beat: Beat
) -> None:
    found = client.explain("report", fired(client, beat))
    assert found.broken is not None
    assert found.broken.link == "leader"
    assert "began to lead" in found.broken.detail
    assert states(found)["handed over"] == "ok"


def test_a_time_between_slots_names_its_neighbours(client: Client, beat: Beat) -> None:
    slot = fired(client, beat)
    found = client.explain("report", slot + MINUTE)
    assert (found.asked, found.slot, found.after) == (slot + MINUTE, slot, slot + 60 * MINUTE)


def test_without_a_time_it_is_the_last_slot_and_the_next_one(client: Client, beat: Beat) -> None:
    slot = fired(client, beat)
    found = client.explain("report")
    assert found.slot == slot
    assert found.following is not None
    assert (found.following.slot, found.following.outcome) == (slot + 60 * MINUTE, "to come")
    assert found.following.sentence.startswith("will fire: due")


def test_a_new_entry_has_only_a_next_slot(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    found = client.explain("report")
    assert (found.outcome, found.following) == ("to come", None)
    assert found.broken is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda client: client.pause("report", "audit"), "paused since .*: audit"),
        (lambda client: client.update("report", enabled=False), "disabled"),
        (lambda client: client.update("report", max_runs=0), "max_runs"),
    ],
    ids=["paused", "disabled", "max_runs"],
)
def test_what_prevents_a_slot_to_come_is_the_broken_link(
    client: Client, beat: Beat, change: Any, says: str
) -> None:
    beat.lead()
    hourly(client, max_runs=1)
    if "max_runs" in says:
        beat.caller.do(lambda c: c.hset(f"{BASE}state", "report", f"{_now(client)}||||1"))
    else:
        change(client)
    found = client.explain("report", datetime.now(UTC) + timedelta(hours=1))
    assert found.outcome == "to come"
    assert found.broken is not None
    assert found.broken.link == "claimed"
    assert re.search(says, found.broken.detail)
    assert found.broken.next_step


def _now(client: Client) -> int:
    return round(client.server_time().timestamp() * 1_000)


def test_a_pause_that_ends_before_the_slot_does_not_prevent_it(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    client.pause("report", until=client.server_time() + timedelta(seconds=1))
    found = client.explain("report", client.server_time() + timedelta(hours=1))
    assert found.broken is None


def test_without_a_leader_the_slot_to_come_may_be_missed(client: Client) -> None:
    hourly(client)
    found = client.explain("report")
    assert found.broken is not None
    assert found.broken.detail == "there is no leader; no beat is running"


def test_an_open_circuit_is_named_with_its_cause(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    now_ms = _now(client)
    circuit = Circuit(now_ms, 5, "no such queue", now_ms + 8 * HOUR_MS, 8 * HOUR_MS)
    beat.caller.do(lambda c: c.hset(f"{BASE}circuits", "report", circuit.to_json()))
    found = client.explain("report")
    assert "no such queue" in found.sentence


def test_slots_of_a_pause_are_one_run_and_each_is_found_in_it(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    client.pause("report", "audit")
    beat.backdate("report", 5 * HOUR_MS)
    client.resume("report")
    [record] = client.history("report")
    assert record.count == 5
    found = client.explain("report", record.slot + timedelta(hours=2))
    assert found.slot == record.slot + timedelta(hours=2)
    assert (found.outcome, found.reason) == ("skipped", "paused")
    assert "the other 4 of 5 slots" in found.sentence
    assert found.broken is not None
    assert "habeat backfill report" in found.broken.next_step


def test_a_failed_slot_names_the_error(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    beat.backdate("report", HOUR_MS)
    _skip(beat, Outcome.FAILED, "the router raised KeyError")
    found = client.explain("report", client.history("report")[0].slot)
    assert found.sentence == "not fired: failed, the router raised KeyError"
    assert found.broken is not None
    assert "show report" in found.broken.next_step


def _skip(beat: Beat, outcome: Outcome, reason: str) -> None:
    stored = beat.entries.read(["report"]).stored[0]
    entry, state = stored.entry, stored.state
    assert entry is not None
    assert beat.won is not None
    slot_ms, due_ms = state.next_slot_ms, state.due_ms
    assert slot_ms is not None
    assert due_ms is not None
    following_ms = entry.next_slot_ms(slot_ms)
    run = SkippedRun(slot_ms, slot_ms, 1, outcome, reason)
    expected = Expected(stored.digest, due_ms, state.cursor_ms)
    skip = Skip("report", expected, Next(following_ms, following_ms), run, slot_ms)
    reply = beat.dispatch.skip(Fence(beat.won.token, 6_000), [skip])
    assert reply.words == ["ok"]  # type: ignore[union-attr]


def test_a_removed_entry_is_explained_while_its_records_are_there(
    client: Client, beat: Beat
) -> None:
    slot = fired(client, beat)
    client.remove("report")
    found = client.explain("report", slot + MINUTE)
    assert found.slot == slot
    assert found.outcome in ("sent", "late")
    assert "removed since" in found.links[0].detail
    with pytest.raises(EntryNotFound):
        client.explain("other", slot)


def test_a_renamed_entry_is_followed_to_its_earlier_name(client: Client, beat: Beat) -> None:
    slot = fired(client, beat)
    client.rename("report", "digest")
    found = client.explain("digest", slot)
    assert found.outcome in ("sent", "late")
    assert "as 'report'" in found.links[0].detail
    assert (
        client.explain("report", slot).links[0].detail == "the entry was renamed to 'digest' since"
    )


@pytest.mark.parametrize(("tag", "visible"), [("", "dig"), ("", "rep"), ("a", "dig")])
def test_a_client_with_a_scope_does_not_see_names_outside_of_it(
    client: Client, beat: Beat, valkey: Server, tag: str, visible: str
) -> None:
    slot = fired(client, beat)
    client.rename("report", "digest")
    client.update("digest", tags=["a"])
    name, other = ("digest", "report") if visible == "dig" else ("report", "digest")
    guard = habeat.Guard(tag=tag) if tag else habeat.Guard(prefix=visible)
    with Client(valkey.url(), prefix=PREFIX, guard=guard) as tenant:
        assert other not in repr(tenant.explain(name, slot)).replace("tasks.report", "")
        found = tenant.history(name)
        assert "renamed" in [each.reason for each in found]
        assert other not in repr(found)


def test_a_change_of_the_schedule_leaves_the_slots_of_the_earlier_one(
    client: Client, beat: Beat
) -> None:
    slot = fired(client, beat)
    client.update("report", schedule=habeat.every(60, align="epoch"))
    asked = min(slot + timedelta(minutes=1, seconds=30), client.server_time())
    found = client.explain("report", asked)
    assert (found.slot, found.asked) == (slot, asked)
    assert found.outcome in ("sent", "late")


def test_a_slot_older_than_the_ledger_is_unknown_and_says_so(client: Client, beat: Beat) -> None:
    slot = fired(client, beat)
    definition = json.loads(beat.caller.do(lambda c: c.hget(f"{BASE}entries", "report")))
    definition["created_ms"] -= 3 * 24 * HOUR_MS
    beat.caller.do(lambda c: c.hset(f"{BASE}entries", "report", json.dumps(definition)))
    found = client.explain("report", slot - timedelta(days=2))
    assert found.outcome == "unknown"
    assert "the ledger begins at" in found.sentence
    assert client.explain("report", slot - timedelta(days=4)).outcome == "no slot"


def test_a_slot_before_a_loss_of_data_is_not_said_to_have_had_no_entry(
    client: Client, beat: Beat
) -> None:
    slot = fired(client, beat)
    now_ms = int(client.server_time().timestamp() * 1_000)
    beat.caller.do(lambda c: c.hset(f"{BASE}meta", "history_lost", now_ms))
    found = client.explain("report", slot - timedelta(days=4))
    assert found.sentence.startswith("unknown: Redis lost data")
    assert (found.asked, found.before, found.after) == (None, None, None)


def test_a_trigger_is_found_by_its_second(client: Client, beat: Beat) -> None:
    fired(client, beat)
    at_ms = _now(client) + 1_000
    record = ("entry", "report", "slot", at_ms, "outcome", "sent", "reason", "trigger", "count", 1)
    more = ("until", at_ms, "epoch", 1, "late", 4, "attempt", 1, "request", "r-1", "prev", "")
    fields = dict(zip((record + more)[::2], (record + more)[1::2], strict=True))
    beat.caller.do(lambda c: c.xadd(f"{BASE}ledger", fields, id=f"{at_ms + 4}-0"))
    asked = moment(at_ms).replace(microsecond=0)
    found = client.explain("report", asked)
    assert found.slot == moment(at_ms)
    assert "triggered by hand" in found.sentence or found.outcome == "sent"


def test_the_command_prints_the_chain_and_the_same_as_json(valkey: Server) -> None:
    shell = Shell(valkey.url())
    shell.ok("add", "report", "proj.report", "--cron", "0 2 * * *", "--tz", "Europe/Berlin")
    shown = shell.ok("explain", "report")
    assert "there is no leader; no beat is running" in shown
    assert "BROKEN" in shown
    found = shell.json("explain", "report", "--at", "02:00")
    assert found["zone"] == "Europe/Berlin"
    assert found["outcome"] in ("no slot", "to come")
    links = json.loads(json.dumps(shell.json("explain", "report")))["links"]
    assert {"link", "state", "at", "detail", "evidence", "next_step"} == set(links[0])
    assert "expected a time" in shell.fails(2, "explain", "report", "--at", "25:00")


def test_a_client_with_a_scope_sees_no_host(client: Client, beat: Beat, valkey: Server) -> None:
    slot = fired(client, beat)
    guard = habeat.Guard(prefix="rep")
    with Client(valkey.url(), prefix=PREFIX, guard=guard) as tenant:
        found = (tenant.explain("report", slot), tenant.explain("report"))
    assert found[0].outcome in ("sent", "late")
    assert "alpha" in repr(client.explain("report"))
    assert "alpha" not in repr(found)


def test_the_leader_of_a_slot_is_named_after_it_has_gone(client: Client, beat: Beat) -> None:
    beat.leases = RedisElectionStore(beat.caller, SystemClock(), PREFIX, host="alpha", pid=11)
    slot = fired(client, beat)
    assert beat.won is not None
    beat.caller.do(lambda c: c.delete(f"{BASE}lease"))
    later = RedisElectionStore(beat.caller, SystemClock(), PREFIX, host="beta", pid=12)
    assert isinstance(later.acquire("heir", 6_000, Known()), Won)
    found = client.explain("report", slot)
    assert found.leader == "alpha pid 11"
    assert "alpha pid 11 leads: the first leader" in found.links[3].evidence
    assert found.lease_epoch == beat.won.token.epoch


def test_an_outage_between_a_slot_and_its_message_is_named(client: Client, beat: Beat) -> None:
    slot = fired(client, beat)
    [record] = client.history("report")
    began_ms, ended_ms = (round(at.timestamp() * 1_000) for at in (slot, record.at))
    outage = {"code": "redis_unavailable", "entry": "", "replica": "n", "host": "alpha", "pid": 11}
    bounds = {"epoch": 1, "since": began_ms, "until": ended_ms - 20, "cause": "", "detail": "reset"}
    beat.caller.do(lambda c: c.xadd(f"{BASE}events", {**outage, **bounds}))
    found = client.explain("report", slot)
    assert "Redis could not be reached for" in found.links[-1].evidence


def test_the_last_change_is_named_with_who_made_it(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    client.update("report", description="quarterly")
    assert re.search(r"changed through the API.* at .*\(description\)", _declared(client))


def _declared(client: Client) -> str:
    return client.explain("report").links[0].evidence


def test_keys_that_hold_something_else_hide_only_what_they_would_say(
    client: Client, beat: Beat
) -> None:
    slot = fired(client, beat)
    for name in ("replicas", "inflight", "dead", "seen", "events", "changes", "tasks"):
        beat.caller.do(lambda c: c.delete(f"{BASE}{name}"))  # noqa: B023 - called now
        beat.caller.do(lambda c: c.set(f"{BASE}{name}", "what\x00ever"))  # noqa: B023
    beat.caller.do(lambda c: c.set(f"{BASE}lease", "nobody"))
    assert client.explain("report", slot).outcome in ("sent", "late")


def test_a_pause_of_the_whole_schedule_is_the_broken_link(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    client.pause_all("migration")
    found = client.explain("report")
    assert found.broken is not None
    assert found.broken.detail == "the whole schedule is paused"
    assert found.broken.next_step == "celery -A proj habeat resume --all"
    client.resume_all()
    assert client.explain("report").broken is None


def test_a_window_holds_only_the_slots_in_it(client: Client, beat: Beat) -> None:
    beat.lead()
    hourly(client)
    now = _now(client)
    window = Window("night", now, now + 2 * HOUR_MS, prefix="rep")
    beat.caller.do(lambda c: c.hset(f"{BASE}controls", "hold:night", stored_window(window)))
    found = client.explain("report")
    assert found.broken is not None
    assert found.broken.detail.startswith("maintenance: night until ")
    later = client.explain("report", client.server_time() + timedelta(hours=4))
    assert (later.outcome, later.broken) == ("to come", None)


def test_a_slot_that_broke_its_start_by_says_so(client: Client, beat: Beat) -> None:
    slot = fired(client, beat, start_by=5)
    links = client.explain("report", slot).links
    assert any("later than its start_by of 5.0 s" in link.detail for link in links)


def test_an_entry_without_another_slot_says_why(client: Client, beat: Beat) -> None:
    slot = fired(client, beat, "other")
    beat.caller.do(lambda c: c.hset(f"{BASE}entries", "other", "{"))
    found = client.explain("other")
    assert found.slot == slot
    assert found.following is not None
    assert found.following.sentence.startswith("no slot to come: the entry is quarantined: ")
