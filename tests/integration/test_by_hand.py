"""What a person does to single entries and to thousands: bounds, pauses, extra firings, names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat import errors
from habeat.client import Backfill, Client, RequestId
from habeat.config.redis_target import redis_target
from habeat.core.entry import Entry
from habeat.core.limits import DEFAULT_LIMITS
from habeat.core.request import BACKFILL_MAX
from habeat.entries.codec import decode_request
from habeat.schedules.custom import Code
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from tests.integration.test_client import (
    BASE,
    PREFIX,
    Beat,
    LosingReplies,
    between,
    keys_of,
    outcomes,
)
from tests.support.servers.redis_server import Server

TEN = habeat.every(10, offset=0)
HOUR = timedelta(hours=1)


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


@pytest.fixture
def beat(valkey: Server) -> Iterator[Beat]:
    connections = Connections(redis_target(valkey.url()))
    yield Beat(Caller(connections, Keys(PREFIX)))
    connections.close()


def orders(server: Server) -> dict[str, Any]:
    found = server.admin.hgetall(BASE + "requests")
    return {name.decode(): decode_request(raw) for name, raw in found.items()}


# -- bounds -----------------------------------------------------------------------------------


def test_bounds_and_offsets_are_kept_and_followed(client: Client, valkey: Server) -> None:
    start = client.server_time() + HOUR
    entry = client.add(
        "a",
        "proj.a",
        habeat.every(60, offset=0),
        start=start,
        end=start + HOUR,
        max_runs=3,
        jitter=5,
        spread=timedelta(seconds=20),
        deadline=30,
        misfire_window=HOUR,
        misfire_pace=2,
    )
    assert client.get("a") == entry
    slot_ms = entry.state.next_slot_ms
    assert slot_ms is not None
    assert start <= datetime.fromtimestamp(slot_ms / 1_000, UTC) < start + timedelta(minutes=1)
    assert entry.state.due_ms == entry.effective_ms(slot_ms)
    assert valkey.admin.zscore(BASE + "due", "a") == entry.state.due_ms
    slots = client.preview("a")
    assert len(slots) == 3
    assert all(slot.offset < timedelta(seconds=26) for slot in slots)
    assert (slots[0].nominal, slots[0].effective) == (
        datetime.fromtimestamp(slot_ms / 1_000, UTC),
        entry.state.next_due,
    )


def test_a_jitter_moves_the_due_time_alone(client: Client) -> None:
    before = client.add("a", "proj.a", habeat.every(3_600))
    after = client.update("a", jitter=600)
    assert after.state.cursor_ms == before.state.cursor_ms
    assert after.state.next_slot_ms == before.state.next_slot_ms
    assert after.state.due_ms == after.effective_ms(after.state.next_slot_ms or 0)
    assert client.get("a").state == after.state
    assert client.update("a", jitter=None).state.due_ms == before.state.due_ms


def test_runs_are_counted_over_edits_and_more_of_them_start_from_now(
    client: Client, beat: Beat
) -> None:
    beat.lead()
    client.add("a", "proj.a", TEN, max_runs=1)
    beat.backdate("a", 10_000)
    assert beat.fire("a") == "ok"
    # A leader takes it from :due with the last run; here the edit that finds it spent does.
    spent = client.update("a", schedule=habeat.every(20, offset=0))
    assert (spent.condition, spent.state.fired, client.preview("a")) == ("exhausted", 1, [])
    before = client.server_time()
    more = client.update("a", max_runs=3)
    assert more.state.next_due is not None
    assert more.state.next_due > before
    assert len(client.preview("a")) == 2
    assert client.update("a", max_runs=None).runs_left(1) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": datetime(2040, 1, 1)}, "start"),
        ({"end": datetime(2000, 1, 1, tzinfo=UTC)}, "end"),
        ({"max_runs": 0}, "max_runs"),
        ({"jitter": -1}, "jitter"),
        ({"misfire_pace": 0}, "misfire_pace"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_change_that_cannot_be_is_reported_at_the_call(
    client: Client, change: dict[str, Any], field: str
) -> None:
    entry = client.add("a", "proj.a", 60)
    with pytest.raises(errors.ValidationError) as caught:
        client.update("a", **change)
    assert (caught.value.entry, caught.value.field) == ("a", field)
    assert client.get("a") == entry


def test_a_day_that_never_comes_is_refused_at_the_call(client: Client) -> None:
    with pytest.raises(errors.ValidationError):
        client.add("a", "proj.a", habeat.cron("0 0 30 2 *"))
    with pytest.raises(errors.ValidationError):
        client.add("a", "proj.a", habeat.crontab(day_of_month="30", month_of_year="2"))
    assert list(client.list()) == []


# -- pauses -----------------------------------------------------------------------------------


def test_a_pause_with_an_end(client: Client, valkey: Server) -> None:
    client.add("a", "proj.a", TEN)
    until = client.server_time().replace(microsecond=0) + HOUR
    paused = client.pause("a", "why", until)
    assert client.get("a").state == paused.state
    until_ms = round(until.timestamp() * 1_000)
    assert paused.state.paused_until_ms == until_ms
    assert valkey.admin.zscore(BASE + "resume", "a") == until_ms
    # Another reason keeps the end, another end the reason.
    assert client.pause("a", "other").state.paused_until_ms == until_ms
    later = client.pause("a", until=until + HOUR).state
    assert (later.paused, later.paused_until_ms) == ("other", until_ms + 3_600_000)
    assert later.paused_at_ms == paused.state.paused_at_ms
    client.resume("a")
    assert valkey.admin.zscore(BASE + "resume", "a") is None


def test_a_pause_ends_in_the_future(client: Client) -> None:
    client.add("a", "proj.a", TEN)
    for until in (client.server_time() - HOUR, datetime(2040, 1, 1)):
        with pytest.raises(errors.ValidationError) as caught:
            client.pause("a", "why", until)
        assert (caught.value.entry, caught.value.field) == ("a", "until")
    assert client.get("a").condition == "active"


def test_a_resume_from_the_pause_leaves_the_slots_to_the_policy(client: Client, beat: Beat) -> None:
    client.add("a", "proj.a", TEN)
    client.pause("a", "why")
    cursor_ms = beat.backdate("a", 60_000)
    for begin in ({"from_": "yesterday"}, {"from": "yesterday"}):
        with pytest.raises(errors.ValidationError, match="'now' or 'paused'"):
            client.resume("a", **begin)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="since"):
        client.resume("a", **{"since": "paused"})  # type: ignore[arg-type]
    resumed = client.resume("a", **{"from": "paused"})  # type: ignore[arg-type]
    assert resumed.state.cursor_ms == cursor_ms
    assert resumed.state.due_ms is not None
    assert resumed.state.due_ms <= cursor_ms + 10_000
    assert outcomes(client, "a") == []
    client.pause("a", "again")
    beat.backdate("a", 60_000)
    client.resume("a", from_="now")
    assert ("skipped", "paused") in {each[:2] for each in outcomes(client, "a")}


def test_pauses_and_their_ends_are_exported_and_loaded(client: Client, beat: Beat) -> None:
    client.add("a", "proj.a", TEN, max_runs=4, spread=3, end=datetime(2090, 1, 1, tzinfo=UTC))
    client.add("b", "proj.b", TEN)
    until = client.server_time().replace(microsecond=0) + HOUR
    client.pause("a", "why", until)
    entry = client.get("a")
    data = json.loads(json.dumps(client.export()))
    assert client.load(data).unchanged == ("a", "b")
    client.remove(prefix="a")
    client.pause("b", "not in the document", until)
    report = client.load(data)
    assert (report.added, report.changed) == (("a",), ("b",))
    loaded = client.get("a")
    assert (loaded.max_runs, loaded.spread_ms, loaded.end_ms) == (4, 3_000, entry.end_ms)
    assert (loaded.state.paused, loaded.state.paused_until_ms) == (
        "why",
        entry.state.paused_until_ms,
    )
    assert client.get("b").condition == "active"
    # A pause that is over by the time of loading is none.
    data["entries"][0]["paused_until"] = "2020-01-01T00:00:00+00:00"
    assert client.load(data).changed == ("a",)
    assert client.get("a").condition == "active"
    for field, given in (
        ("paused_until", "tomorrow"),
        ("paused_until", "2090-01-01T00:00:00"),
        ("start_ms", "soon"),
        ("jitter_ms", None),
        ("misfire_pace", "fast"),
        ("max_runs", 0),
    ):
        bad = {**data, "entries": [{**data["entries"][0], field: given}]}
        assert list(client.load(bad).refused) == ["a"], field


# -- trigger and backfill ---------------------------------------------------------------------


def test_a_trigger_is_asked_for_once(client: Client, valkey: Server) -> None:
    client.add("a", "proj.a", TEN, (1,))
    first = client.trigger("a", args=[2], kwargs={"k": 3}, request_id="click-1")
    assert (first, first.known, isinstance(first, RequestId)) == ("click-1", False, True)
    again = client.trigger("a", request_id="click-1")
    assert (again, again.known) == ("click-1", True)
    other = client.trigger("a")
    assert not other.known
    assert len(orders(valkey)) == 2
    order = orders(valkey)["click-1"]
    assert (order.kind, order.entry, order.args, order.kwargs) == ("trigger", "a", (2,), {"k": 3})
    assert valkey.admin.pttl(BASE + "request:click-1") > 86_000_000
    # Its own arguments where none are given.
    assert (orders(valkey)[str(other)].args, orders(valkey)[str(other)].kwargs) == (None, None)


def test_a_request_id_is_for_one_entry(client: Client) -> None:
    client.add("a", "proj.a", TEN)
    client.add("b", "proj.b", TEN)
    client.trigger("a", request_id="r")
    with pytest.raises(errors.ValidationError, match="used for entry 'a'"):
        client.trigger("b", request_id="r")


def test_a_lost_reply_asks_for_nothing_twice(
    client: Client, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.add("a", "proj.a", TEN)
    replies = LosingReplies(monkeypatch, "add_request")
    replies.at_the_next()
    assert not client.trigger("a", request_id="r").known
    valkey.admin.delete(BASE + "requests")  # as if a leader had carried it out
    replies.at_the_next()
    assert not client.trigger("a", request_id="s").known
    assert replies.lost == 2
    assert set(orders(valkey)) == {"s"}


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("request_id", {"request_id": ""}),
        ("request_id", {"request_id": "a b"}),
        ("request_id", {"request_id": "x" * 101}),
        ("request_id", {"request_id": "a#b"}),
        ("request_id", {"request_id": 5}),
        ("args", {"args": "abc"}),
        ("args[0]", {"args": [object()]}),
        ("kwargs", {"kwargs": {1: 2}}),
    ],
)
def test_a_trigger_that_cannot_be(client: Client, field: str, given: dict[str, Any]) -> None:
    client.add("a", "proj.a", TEN)
    with pytest.raises(errors.ValidationError) as caught:
        client.trigger("a", **given)
    assert (caught.value.entry, caught.value.field) == ("a", field)


def test_only_what_is_there_and_readable_can_be_asked_for(client: Client, valkey: Server) -> None:
    span = (client.server_time() - HOUR, client.server_time())
    with pytest.raises(errors.EntryNotFound):
        client.trigger("nobody")
    with pytest.raises(errors.EntryNotFound):
        client.backfill("nobody", *span)
    valkey.admin.hset(BASE + "entries", "bad", b"{")
    with pytest.raises(errors.DefinitionError):
        client.trigger("bad")
    with pytest.raises(errors.DefinitionError):
        client.backfill("bad", *span)


def test_a_backfill_says_what_it_will_do_and_leaves_one_order(
    client: Client, valkey: Server
) -> None:
    client.add("a", "proj.a", habeat.every(60, offset=0))
    end = client.server_time().replace(second=0, microsecond=0) - HOUR
    start = end - HOUR
    dry = client.backfill("a", start, end, dry_run=True)
    assert dry == Backfill(
        "a", 60, start + timedelta(minutes=1), end, 10.0, "", known=False, dry_run=True
    )
    assert (dry.seconds, orders(valkey)) == (6.0, {})
    done = client.backfill("a", start, end, pace=2, request_id="again")
    assert (done.count, done.request_id, done.known, done.seconds) == (60, "again", False, 30)
    order = orders(valkey)["again"]
    assert (order.kind, order.cursor_ms, order.end_ms, order.pace) == (
        "backfill",
        round(start.timestamp() * 1_000),
        round(end.timestamp() * 1_000),
        2.0,
    )
    assert client.backfill("a", start, end, request_id="again").known
    none = client.backfill("a", end, end + timedelta(seconds=59))
    assert (none.count, none.first, none.request_id) == (0, None, "")
    assert len(orders(valkey)) == 1


def test_a_backfill_that_cannot_be(client: Client, beat: Beat) -> None:
    client.add("a", "proj.a", habeat.every(1, offset=0))
    client.add("slow", "proj.a", habeat.cron("* * * * * *", tz="UTC"))
    beat.declare(Entry("code", "proj.a", Code("proj.Tides"), owner="config"))
    now = client.server_time()
    for name, start, end, field, words in (
        ("a", now - HOUR, now + HOUR, "end", "not later than now"),
        ("a", now, now - HOUR, "start", "before the end"),
        ("a", now - HOUR, datetime(2020, 1, 1), "end", "a timezone"),
        ("a", datetime(2020, 1, 1), now, "start", "a timezone"),
        ("a", now - timedelta(days=2), now, "end", f"at most {BACKFILL_MAX} slots"),
        ("slow", now - timedelta(days=2), now, "end", f"at most {BACKFILL_MAX} slots"),
        ("code", now - HOUR, now, "schedule", "known to code only"),
    ):
        with pytest.raises(errors.ValidationError, match=words) as caught:
            client.backfill(name, start, end)
        assert (caught.value.entry, caught.value.field) == (name, field)
    for pace in (0, -1, 5_000, "quick", float("nan")):
        with pytest.raises(errors.ValidationError) as caught:
            client.backfill("a", now - HOUR, now, pace=pace)  # type: ignore[arg-type]
        assert caught.value.field == "pace"


# -- rename -----------------------------------------------------------------------------------


def test_a_rename_takes_everything_along(client: Client, beat: Beat, valkey: Server) -> None:
    beat.lead()
    client.add("old", "proj.a", TEN, tags=["t"], spread=5)
    beat.backdate("old", 20_000)
    assert beat.fire("old") == "ok"
    client.trigger("old", request_id="r")
    before = client.get("old")
    after = client.rename("old", "new")
    assert client.get("new") == after
    assert client.get("new").state == after.state
    assert (after.schedule, after.tags, after.rev) == (before.schedule, ("t",), before.rev + 1)
    assert (after.state.cursor_ms, after.state.fired) == (before.state.cursor_ms, 1)
    assert after.state.due_ms == after.effective_ms(after.state.next_slot_ms or 0)
    assert orders(valkey)["r"].entry == "new"
    assert client.drift("new")[0].count == 1
    assert beat.fire("new") in ("ok", "early")
    # What has happened stays under the old name, and `history("old")` finds it.
    assert {key.partition(":")[0] for key in keys_of(valkey, "old")} <= {"fired", "ledger_last"}
    assert ("note", "renamed to new", 0) in outcomes(client, "old")
    assert ("note", "renamed from old", 0) in outcomes(client, "new")
    with pytest.raises(errors.EntryNotFound):
        client.get("old")


def test_a_renamed_pause_is_still_one(client: Client, valkey: Server) -> None:
    client.add("old", "proj.a", TEN)
    client.pause("old", "why", client.server_time() + HOUR)
    entry = client.rename("old", "new")
    assert (entry.condition, entry.state.paused, entry.state.due_ms) == ("paused", "why", None)
    assert client.get("new").state == entry.state
    assert valkey.admin.zscore(BASE + "due", "new") is None
    assert valkey.admin.zrange(BASE + "resume", 0, -1) == [b"new"]


def test_what_cannot_be_renamed(client: Client, beat: Beat, valkey: Server) -> None:
    client.add("a", "proj.a", TEN)
    client.add("b", "proj.b", TEN)
    beat.declare(Entry("code", "proj.c", TEN, owner="config"))
    valkey.admin.hset(BASE + "entries", "bad", b"{")
    for name, new_name, error in (
        ("a", "b", errors.EntryExists),
        ("a", "code", errors.EntryExists),
        ("code", "c", errors.OwnedByConfig),
        ("bad", "good", errors.DefinitionError),
        ("nobody", "x", errors.EntryNotFound),
        ("a", "", errors.ValidationError),
        ("a", "x\ny", errors.ValidationError),
    ):
        with pytest.raises(error):
            client.rename(name, new_name)
    assert client.rename("a", "a") == client.get("a")
    assert client.get("a").rev == 1


def test_a_lost_reply_of_a_rename(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.add("old", "proj.a", TEN)
    replies = LosingReplies(monkeypatch, "rename")
    replies.at_the_next()
    assert client.rename("old", "new").name == "new"
    assert (replies.lost, [entry.name for entry in client.list()]) == (1, ["new"])


def test_a_rename_that_is_overtaken_is_planned_again(
    client: Client, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.add("old", "proj.a", TEN)
    real, asked = EntryStore.requests, []

    def requests_and_then_one_more(store: EntryStore) -> dict[str, bytes]:
        found = real(store)
        if not asked:
            asked.append(client.trigger("old", request_id="r"))
        return found

    monkeypatch.setattr(EntryStore, "requests", requests_and_then_one_more)
    client.rename("old", "new")
    assert orders(valkey)["r"].entry == "new"


# -- many at once -----------------------------------------------------------------------------


def many(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"c{n:05}", "task": "proj.report", "schedule": 300, "args": [n]}
        for n in range(count)
    ]


BULK_MAX = DEFAULT_LIMITS.bulk_entries


@pytest.mark.parametrize("count", [500, pytest.param(BULK_MAX, marks=pytest.mark.slow)])
def test_up_to_ten_thousand_in_one_call(client: Client, valkey: Server, count: int) -> None:
    added = client.add_many(many(count))
    assert len(added) == count
    assert valkey.admin.hlen(BASE + "entries") == valkey.admin.zcard(BASE + "due") == count
    assert client.get("c00123") == added[123]
    # No reader saw only some of them: it was one write.
    assert valkey.admin.info("commandstats").get("cmdstat_hset", {}) != {}


def test_more_than_ten_thousand_in_one_call_are_refused(client: Client) -> None:
    with pytest.raises(
        errors.ValidationError, match=r"at most 10000 entries \(habeat_bulk_entries\)"
    ):
        client.add_many(many(BULK_MAX + 1))


def test_what_is_wrong_is_reported_each_and_nothing_is_added(client: Client, beat: Beat) -> None:
    client.add("taken", "proj.a", TEN)
    beat.declare(Entry("code", "proj.c", TEN, owner="config"))
    good = many(5)
    with pytest.raises(errors.BulkError) as caught:
        client.add_many(
            [
                *good,
                {"name": "no-task", "schedule": 60},
                {"name": "no-schedule", "task": "t"},
                {"name": "pace", "task": "t", "schedule": 60, "misfire_pace": 0},
                {"name": "colour", "task": "t", "schedule": 60, "colour": "red"},
                {"name": "c00001", "task": "t", "schedule": 60},
                {"task": "t", "schedule": 60},
                "an entry",
                {"name": "taken", "task": "t", "schedule": 60},
            ]
        )
    result = caught.value
    assert list(result.errors) == [
        *("no-task", "no-schedule", "pace", "colour"),
        *("entries[9]", "entries[10]", "entries[11]"),
        "taken",
    ]
    assert result.total == 13
    assert str(result).startswith("8 of 13 entries were refused, so none was written: ")
    assert str(result).count("'no-task'") == 1
    assert "invalid misfire_pace 0: expected" in str(result.errors["pace"])
    assert "each name only once" in str(result.errors["entries[9]"])
    past = habeat.once(datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(errors.BulkError) as caught:
        client.add_many(
            [
                *good,
                {"name": "taken", "task": "t", "schedule": 60},
                {"name": "code", "task": "t", "schedule": 60},
                {"name": "past", "task": "t", "schedule": past},
            ]
        )
    assert list(caught.value.errors) == ["taken", "code", "past"]
    assert {entry.name for entry in client.list()} == {"taken", "code"}
    assert client.add_many([]) == []


def test_a_lost_reply_of_many(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = LosingReplies(monkeypatch, "write")
    replies.at_the_next()
    added = client.add_many(many(300))
    assert (replies.lost, len(added)) == (1, 300)
    assert client.get("c00299") == added[299]


def test_one_name_taken_meanwhile_leaves_none(
    client: Client, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(valkey.url(), prefix=PREFIX) as other:
        # After the last page is read: the write itself has to find out.
        between(monkeypatch, lambda: other.add("c00003", "proj.other", 60))
        with pytest.raises(errors.BulkError) as caught:
            client.add_many(many(10))
    assert list(caught.value.errors) == ["c00003"]
    assert [entry.name for entry in client.list()] == ["c00003"]


# -- simulate ---------------------------------------------------------------------------------


def test_the_whole_schedule_is_simulated(client: Client) -> None:
    client.add_many(
        {"name": f"n{n:03}", "task": "t", "schedule": habeat.cron("0 3 * * *")} for n in range(250)
    )
    client.add("often", "t", habeat.every(30, offset=0))
    client.add("off", "t", 60, enabled=False)
    start = datetime(2030, 1, 1, tzinfo=UTC)
    found = client.simulate(start, start + 24 * HOUR, spread=3_600)
    assert (found.entries, dict(found.left_out)) == (251, {"off": "disabled"})
    assert (found.load.highest, found.load.peaks[0].at) == (252, start + 3 * HOUR)
    assert found.with_spread is not None
    assert found.with_spread.highest < 30
    assert client.get("n000").spread_ms == 0


def test_a_trigger_is_refused_arguments_that_its_serializer_would_not_get(client: Client) -> None:
    client.add("a", "proj.a", TEN, options={"serializer": "pickle"})
    with pytest.raises(errors.ValidationError, match=r"args\[0\]"):
        client.trigger("a", args=[(1, 2)])
    client.trigger("a", args=[[1, 2]], kwargs={"at": datetime.now(UTC)})
    client.add("b", "proj.b", TEN)
    client.trigger("b", args=[(1, 2)])
