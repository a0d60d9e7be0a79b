"""What users may write, and the types that they get. Checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import habeat
from habeat import client as api
from habeat import errors, schedules, testing

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def schedules_have_their_own_types() -> None:
    assert_type(habeat.every(60), schedules.Interval)
    assert_type(habeat.every(timedelta(minutes=1), offset=2.5, align="epoch"), schedules.Interval)
    assert_type(habeat.cron("0 8 * * *", tz="UTC", gap="skip", fold="both"), schedules.Cron)
    assert_type(habeat.crontab(minute=0, hour="*/2", tz="UTC"), schedules.Crontab)
    assert_type(habeat.once(MOMENT), schedules.Once)
    assert_type(habeat.rrule("FREQ=DAILY", dtstart=MOMENT), schedules.RRule)
    assert_type(habeat.solar("sunset", 52.5, 13.4), schedules.Solar)
    assert_type(habeat.every(60).next_after(MOMENT), datetime | None)


def a_client_is_made_for_an_app_or_a_url(app: Any) -> None:
    assert_type(habeat.Client(app), api.Client)
    habeat.Client(app, on_commit=True)
    habeat.Client(app, on_commit="other")
    made = habeat.Client(
        "redis://",
        prefix="habeat:proj",
        options={"socket_timeout": 1},
        timezone="UTC",
        timeout=2,
        long_timeout=60.0,
        guard=habeat.Guard(prefix="a:", tasks=["t"], queues=["q"], options=[], max_entries=1),
    )
    with made as client:
        assert_type(client, api.Client)
        assert_type(client.redis, str)
        assert_type(client.timezone, str)
        client.close()


def entries_are_read(client: habeat.Client) -> None:
    assert_type(client.get("a"), habeat.Entry)
    assert_type(client.list(prefix="a", tags=["b"]), Iterator[habeat.Entry])
    client.list(owner="config", state="quarantined")
    entry = client.get("a")
    assert_type(entry.misfire, api.Misfire | None)
    assert_type(entry.delivery, api.Delivery | None)
    assert_type(entry.condition, api.Condition)
    assert_type(entry.owner, api.Owner)
    assert_type(entry.state.next_due, datetime | None)
    assert_type(entry.rev, int)
    assert_type(entry.start, datetime | None)
    assert_type(entry.spread, timedelta)
    assert_type(entry.deadline, timedelta | None)
    assert_type(entry.state.paused_until, datetime | None)
    assert_type(client.policies(entry).misfire_grace, timedelta)


def entries_are_added(client: habeat.Client, task: Any) -> None:
    assert_type(client.add("a", task, 60), habeat.Entry)
    client.add("a", "t", timedelta(minutes=1), (1, 2), {"x": 1}, options={"queue": "q"})
    client.add("a", "t", habeat.cron("0 8 * * *"), tags=("x",), description="", enabled=False)
    client.add("a", "t", 60, start=MOMENT, end=MOMENT + DAY, max_runs=3, deadline=DAY, start_by=60)
    client.add("a", "t", 60, jitter=1, spread=timedelta(seconds=1), replace=True)
    client.add("a", "t", 60, misfire="all", misfire_limit=5, misfire_pace=1.5, misfire_window=DAY)
    client.add("a", "t", 60, delivery="at_most_once", misfire_grace=10)
    entry = client.get("a")
    client.add("b", entry.task, entry.schedule, misfire=entry.misfire, delivery=entry.delivery)
    client.update("b", start=entry.start, spread=entry.spread, misfire_window=entry.misfire_window)
    client.add(**entry.definition(), replace=True)
    made: list[dict[str, Any]] = [{"name": "a", "task": "t", "schedule": 60}]
    assert_type(client.add_many(made, replace=True), list[habeat.Entry])
    many: list[api.EntryArguments] = [{"name": "a", "task": "t", "schedule": 60, "misfire": "all"}]
    client.add_many(many)
    client.sync(many, tag="t")
    plan = client.sync(made, tag="t", dry_run=True)
    assert_type(plan, api.SyncPlan)
    assert_type(plan.added, tuple[str, ...])
    client.sync([entry.definition() for entry in client.list(tags=["t"])], tag="t")


def entries_are_changed(client: habeat.Client, given: dict[str, Any]) -> None:
    changes: api.EntryChanges = {"misfire": "skip", "tags": ["x"]}
    assert_type(client.update("a", **changes), habeat.Entry)
    client.update("a", rev=3, schedule=600, misfire=None, delivery="at_least_once")
    client.update("a", **given)
    assert_type(client.rename("a", "b"), habeat.Entry)
    assert_type(client.pause("a", "why", until=MOMENT), habeat.Entry)
    assert_type(client.resume("a", from_="paused"), habeat.Entry)
    assert_type(client.remove("a"), int)
    assert_type(client.remove(prefix="a", tags=["b"]), int)


def entries_fire_by_hand(client: habeat.Client) -> None:
    request = client.trigger("a", args=[1], kwargs={}, request_id="r")
    assert_type(request, api.RequestId)
    assert_type(request.known, bool)
    backfill = client.backfill("a", MOMENT, MOMENT + DAY, pace=1, dry_run=True)
    assert_type(backfill, api.Backfill)
    assert_type(backfill.first, datetime | None)


def what_will_happen_and_what_happened(client: habeat.Client) -> None:
    assert_type(client.preview("a", 3), list[api.Instant])
    assert_type(client.preview(habeat.every(60), end=MOMENT), list[api.Instant])
    assert_type(client.preview("a")[0].effective, datetime)
    assert_type(client.simulate(MOMENT, MOMENT + DAY, spread=60), api.Simulation)
    assert_type(client.drift(since=DAY), list[api.Drift])
    assert_type(client.drift_report("a"), api.DriftReport)
    assert_type(client.explain("a", MOMENT), api.Explanation)
    assert_type(client.explain("a").links, tuple[api.Link, ...])
    assert_type(client.diff("a", since=DAY, tolerance=DAY), api.Diff)
    assert_type(client.upcoming(), list[tuple[str, datetime]])
    assert_type(client.enable_many(["a"]).changed, tuple[str, ...])
    assert_type(client.diff().differences, tuple[api.ComparedSlot, ...])
    assert_type(client.history("a", since=MOMENT, limit=5), list[api.LedgerRecord])
    assert_type(client.status(), api.Status)
    assert_type(client.server_time(), datetime)
    assert_type(client.dead(older_than=DAY), list[api.DeadLetter])
    assert_type(client.dead_letter("id"), api.DeadLetter)
    assert_type(client.resend("id"), api.DeadLetter)
    assert_type(client.purge_dead(entry="a"), int)


def everything_is_exported_and_loaded(client: habeat.Client) -> None:
    document = client.export()
    assert_type(document, dict[str, Any])
    assert_type(client.load(document, dry_run=True), api.LoadReport)
    assert_type(client.adopt("habeat:old", force=True), api.Adoption)


def errors_have_attributes(client: habeat.Client) -> None:
    try:
        client.get("a")
    except habeat.errors.ValidationError as error:
        assert_type(error.field, str)
    except errors.HabeatError as error:
        assert_type(error, errors.HabeatError)


def the_scheduler_is_a_class(app: Any) -> None:
    assert_type(habeat.Scheduler(app, lazy=True), habeat.Scheduler)
    assert_type(habeat.__version__, str)


async def the_same_is_awaited(app: Any, given: dict[str, Any]) -> None:
    async with habeat.AsyncClient(app, timeout=2, threads=4) as client:
        assert_type(client, habeat.AsyncClient)
        assert_type(await client.get("a"), habeat.Entry)
        assert_type(client.list(state="paused"), AsyncIterator[habeat.Entry])
        async for entry in client.list(tags=["x"]):
            assert_type(entry, habeat.Entry)
        assert_type(client.follow("a", outcome="sent"), AsyncIterator[api.LedgerRecord])
        await client.add("a", "t", 60, (1,), misfire="all", replace=True)
        changes: api.EntryChanges = {"misfire": "skip"}
        assert_type(await client.update("a", rev=3, **changes), habeat.Entry)
        await client.update("a", **given)
        await client.resume("a", from_="paused")
        assert_type(await client.sync([given], tag="t"), api.SyncPlan)
        assert_type(await client.trigger("a"), api.RequestId)
        assert_type(await client.status(), api.Status)
        assert_type(await client.remove(prefix="a"), int)
        assert_type(client.policies(await client.get("a")), api.Policies)
        assert_type(client.timezone, str)
        await client.close()


def schedules_are_tested(app: Any, entry: habeat.Entry) -> None:
    clock = testing.Clock("2026-01-01 00:00", "Europe/Berlin")
    clock.advance(hours=1)
    scheduler = testing.ManualScheduler(
        app, [entry, {"name": "a", "task": "t", "schedule": 60}], clock=clock
    )
    assert_type(scheduler.run_until(MOMENT), list[testing.Firing])
    assert_type(scheduler.advance(DAY), list[testing.Firing])
    assert_type(scheduler.skipped, list[testing.Skipped])
    assert_type(testing.slots(habeat.every(60), MOMENT, "2026-01-02"), list[api.Instant])
