"""Going back to RedBeat and to celery's beat: both read what was written, and go on with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, _state
from celery.beat import PersistentScheduler
from celery.schedules import crontab

import habeat
from habeat import Client
from habeat.errors import BeatsAlive, HabeatError
from habeat.migrate.going_back import GoingBack, Target, gone_back
from habeat.migrate.sources import redbeat, shelf
from habeat.migrate.targets.redbeat import RedBeatTarget
from habeat.migrate.targets.shelf import ShelfTarget
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.positions import assert_goes_on, place
from tests.support.redbeat import redbeat as redbeat_package
from tests.support.servers.redis_server import Server

PREFIX = "habeat:back"
START = datetime(2030, 1, 7, 9, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin")


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


@pytest.fixture(params=ZONES)
def app(request: pytest.FixtureRequest, valkey: Server) -> Iterator[Celery]:
    made = Celery("proj", broker=valkey.url(), set_as_current=False)
    made.conf.update(timezone=request.param, redbeat_redis_url=valkey.url(), result_expires=None)
    before = _state._tls.current_app
    made.set_current()  # schedules from a file ask the current app for the zone
    yield made
    _state._tls.current_app = before


def zone_of(app: Celery) -> str:
    return str(app.conf.timezone)


def steps(done: GoingBack) -> dict[str, str]:
    return {row.name: row.action.value for row in done.rows}


def close_to(one: datetime, other: datetime | None) -> bool:
    return other is not None and abs(one - other) < timedelta(seconds=2)


# -- RedBeat ----------------------------------------------------------------------------------


@pytest.fixture
def to_redbeat(app: Celery) -> Iterator[RedBeatTarget]:
    redbeat_package()
    target = RedBeatTarget(redbeat.settings_of(app.conf), zone_of(app))
    yield target
    target.close()


def go_back(client: Client, target: Target, **options: Any) -> GoingBack:
    return gone_back(client._calls, target, **{"dry_run": False, **options})


def in_redbeat(name: str, app: Celery) -> Any:
    return redbeat_package().RedBeatSchedulerEntry.from_key(f"redbeat:{name}", app=app)


def test_redbeat_goes_on_at_the_next_slot_of_every_schedule(
    client: Client, app: Celery, to_redbeat: RedBeatTarget, valkey: Server
) -> None:
    soon = client.server_time().replace(microsecond=0) + timedelta(hours=5)
    schedules = {
        "s": habeat.every(90),
        "ms": habeat.every(7.25),
        "daily": habeat.crontab(30, 8, tz=zone_of(app)),
        "cron": habeat.cron("*/7 6-9 * * mon-fri", tz=zone_of(app)),
        "rule": habeat.rrule("FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=9,15;WKST=SU", "UTC", START),
        "ends": habeat.rrule("FREQ=HOURLY;INTERVAL=5;UNTIL=20310101T000000Z", "UTC", START),
        "offset": habeat.rrule("FREQ=DAILY;COUNT=9;BYMONTHDAY=-1", "UTC+05:30", START),
        "once": habeat.once(soon),
    }
    for name, schedule in schedules.items():
        client.add(name, "t", schedule)
    client.add("later", "t", habeat.every(60, 0), start=START)
    done = go_back(client, to_redbeat)
    assert set(steps(done).values()) == {"write"}
    for row in done.rows:
        assert row.first_slot == client.get(row.name).state.next_slot
        assert_goes_on(in_redbeat(row.name, app).is_due, row.first_slot)
        score = valkey.admin.zscore("redbeat::schedule", f"redbeat:{row.name}")
        assert score == int(row.first_slot.timestamp()), row.name


def test_every_field_arrives_in_redbeat(
    client: Client, app: Celery, to_redbeat: RedBeatTarget
) -> None:
    options = {"queue": "q", "priority": 3, "headers": {"x": 1}, "countdown": 2}
    client.add("é", "proj.t", 60, args=[1, START], kwargs={"a": None}, options=options)
    client.add("paused", "t", 60)
    client.pause("paused")
    go_back(client, to_redbeat)
    entry = in_redbeat("é", app)
    assert (entry.task, entry.args, entry.kwargs) == ("proj.t", [1, START], {"a": None})
    assert (entry.options, entry.enabled, entry.total_run_count) == (options, True, 0)
    assert str(entry.last_run_at.tzinfo) == zone_of(app), "Celery before 5.7 counts crontabs there"
    assert in_redbeat("paused", app).enabled is False


def test_what_redbeat_cannot_express_is_named(client: Client, to_redbeat: RedBeatTarget) -> None:
    rule = "FREQ=MONTHLY;BYDAY=1MO"
    client.add("first monday", "t", habeat.rrule(rule, "UTC", START))
    client.add("zone", "t", habeat.rrule("FREQ=DAILY", "Asia/Tokyo", START))
    client.add("without", "t", habeat.rrule("FREQ=DAILY\nEXDATE:20300109T090000", "UTC", START))
    client.add("half a second", "t", habeat.once(START + timedelta(milliseconds=500)))
    client.add("sun", "t", habeat.solar("sunset", 52, 13))
    client.add("tokyo", "t", habeat.crontab(0, 8, tz="Asia/Tokyo"))
    client.add("limit", "t", 60, max_runs=3)
    client.add("uuid", "t", 60, args=[__import__("uuid").uuid4()])
    client.add(":schedule", "t", 60)
    done = {row.name: row for row in go_back(client, to_redbeat).rows}
    assert {row.action.value for row in done.values()} == {"refuse"}
    assert done["first monday"].why == "RedBeat keeps no number with a BYDAY, such as 1MO"
    assert done["zone"].why.startswith(
        "its zone is Asia/Tokyo, and RedBeat keeps a rule at a fixed"
    )
    assert done["without"].why == "RedBeat has no EXDATE"
    assert done["half a second"].why == "RedBeat stores a single run in whole seconds"
    assert done["sun"].why == "RedBeat has no schedule of the kind solar"
    assert done["uuid"].why == "its args have an UUID, which RedBeat's JSON cannot hold"
    assert done[":schedule"].why == "redbeat::schedule is a key of RedBeat itself"


def test_redbeat_keeps_the_entries_of_the_api_at_its_start(
    client: Client, app: Celery, to_redbeat: RedBeatTarget, valkey: Server
) -> None:
    valkey.admin.sadd("redbeat::statics", "api", "gone from the code")
    for name in ("api", "in code"):
        client.add(name, "t", habeat.every(3600, 0))
    place(client, "in code", client.server_time() - timedelta(hours=3), owned=True)
    done = {row.name: row for row in go_back(client, to_redbeat).rows}
    app.conf.beat_schedule = {"in code": {"task": "t", "schedule": 3600}}
    redbeat_package().RedBeatScheduler(app)
    first = done["api"].first_slot
    assert first is not None
    assert in_redbeat("api", app).last_run_at == first - timedelta(hours=1)
    first = done["in code"].first_slot
    assert first is not None
    assert in_redbeat("in code", app).last_run_at == first - timedelta(hours=1)
    assert in_redbeat("in code", app).is_due()[0], "three slots were not sent: it runs at once"
    assert valkey.admin.smembers("redbeat::statics") == {b"in code"}


def test_what_only_redbeat_has_never_runs_at_once(
    client: Client, app: Celery, to_redbeat: RedBeatTarget, valkey: Server
) -> None:
    make = redbeat_package().RedBeatSchedulerEntry
    now = client.server_time()
    for name, last in (("removed", now - timedelta(days=1)), ("running", now)):
        entry = make(name, "t", 60, app=app, last_run_at=last)
        entry.save()
    done = go_back(client, to_redbeat)
    assert steps(done) == {"removed": "disable", "running": "leave"}
    assert not in_redbeat("removed", app).enabled
    assert in_redbeat("running", app).enabled


def test_what_redbeat_has_run_since_is_not_run_again_when_this_is_repeated(
    client: Client, app: Celery, to_redbeat: RedBeatTarget, valkey: Server
) -> None:
    now = client.server_time().replace(microsecond=0)
    for name in ("hourly", "code"):
        client.add(name, "t", habeat.cron("0 * * * *", tz=zone_of(app)))
        place(client, name, now - timedelta(hours=5), owned=name == "code")
    client.add("period", "t", habeat.every(86_400))
    place(client, "period", now - timedelta(days=2))
    go_back(client, to_redbeat)
    valkey.client().sadd("redbeat::statics", "code")
    last = now + timedelta(seconds=1)
    for name in ("hourly", "code", "period"):
        in_redbeat(name, app).reschedule(last)
    rows = {row.name: row for row in go_back(client, to_redbeat).rows}
    for name in ("hourly", "code"):
        assert in_redbeat(name, app).last_run_at == last
        assert rows[name].first_slot > last
    assert timedelta(hours=12) <= rows["period"].first_slot - last <= timedelta(hours=36)


def test_an_impossible_last_run_in_redbeat_is_overwritten(
    client: Client, app: Celery, to_redbeat: RedBeatTarget
) -> None:
    client.add("hourly", "t", habeat.cron("0 * * * *", tz=zone_of(app)))
    go_back(client, to_redbeat)
    in_redbeat("hourly", app).reschedule(client.server_time() + timedelta(days=4_000))
    go_back(client, to_redbeat)
    assert in_redbeat("hourly", app).last_run_at < client.server_time()


def test_what_goes_back_to_redbeat_can_come_again(
    client: Client, app: Celery, to_redbeat: RedBeatTarget
) -> None:
    rule = habeat.rrule("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;UNTIL=20310101T000000Z", "UTC", START)
    client.add("rule", "t", rule, args=[1])
    client.add("each minute", "t", habeat.every(60, 7))
    go_back(client, to_redbeat)
    found = redbeat.read(redbeat.settings_of(app.conf), (), zone_of(app), lambda s: None)
    by_name = {entry.name: entry for entry in found.entries}
    again = by_name["rule"].arguments["schedule"]
    after_ms = int(START.timestamp() * 1_000)
    for _ in range(30):
        assert again.next_after_ms(after_ms) == rule.next_after_ms(after_ms)
        after_ms += 86_400_000 * 13
    assert "WKST" not in again.text, "the rule would be another one than the one that is here"
    last_run = by_name["each minute"].last_run_at
    assert last_run is not None
    assert last_run.second == 7


# -- celery's beat ----------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "celerybeat-schedule"


@contextmanager
def started_beat(app: Celery, path: Path) -> Iterator[PersistentScheduler]:
    """Celery's scheduler as it starts."""
    beat = PersistentScheduler(app, schedule_filename=str(path))
    try:
        yield beat
    finally:
        beat.close()


def test_celerys_beat_goes_on_at_the_next_slot(client: Client, app: Celery, path: Path) -> None:
    app.conf.beat_schedule = {
        "s": {"task": "t", "schedule": 7200},
        "daily": {"task": "t", "schedule": crontab(30, 8)},
        "made here": {"task": "t", "schedule": 3600},
        "new in code": {"task": "t", "schedule": 3600},
    }
    client.add("s", "t", habeat.every(7200))
    client.add("daily", "t", habeat.crontab(30, 8, tz=zone_of(app)))
    client.add("made here", "t", habeat.every(3600))
    client.add("only here", "t", habeat.every(60))
    for name in ("s", "daily"):
        place(client, name, client.server_time(), owned=True)
    target = ShelfTarget(path, app, zone_of(app))
    done = {row.name: row for row in go_back(client, target).rows}
    assert {name: row.action.value for name, row in done.items()} == {
        "s": "last run",
        "daily": "last run",
        "made here": "write",
        "only here": "write",
    }
    assert done["made here"].notes == (
        "write it into beat_schedule: celery's beat drops every other entry",
    )
    with started_beat(app, path) as beat:
        assert set(beat.schedule) == {"s", "daily", "made here", "new in code"}
        for name in ("s", "daily", "made here"):
            assert_goes_on(beat.schedule[name].is_due, done[name].first_slot)


def test_an_old_file_is_replaced(client: Client, app: Celery, path: Path) -> None:
    app.conf.beat_schedule = {"s": {"task": "t", "schedule": 90}}
    with started_beat(app, path):
        pass
    (path.parent / f"{path.name}.dat").write_bytes(b"of another dbm")
    client.add("s", "t", habeat.every(90))
    place(client, "s", client.server_time() - timedelta(hours=1), owned=True)
    go_back(client, ShelfTarget(path, app, zone_of(app)))
    files = {each.name for each in path.parent.iterdir()}
    assert not any(name.startswith(".") for name in files)
    assert f"{path.name}.dat" not in files or path.name not in files
    with started_beat(app, path) as beat:
        assert beat.schedule["s"].is_due()[0], "its slots of an hour were not sent: it runs at once"


def test_the_file_can_be_read_again(client: Client, app: Celery, path: Path) -> None:
    client.add("s", "t", habeat.every(90))
    (row,) = go_back(client, ShelfTarget(path, app, zone_of(app))).rows
    (entry,) = shelf.read(path, ("s",)).entries
    assert row.first_slot is not None
    assert entry.last_run_at == row.first_slot - timedelta(seconds=90)


def test_what_celerys_beat_has_run_since_is_not_run_again_when_this_is_repeated(
    client: Client, app: Celery, path: Path
) -> None:
    now = client.server_time()
    client.add("hourly", "t", habeat.cron("0 * * * *", tz=zone_of(app)))
    place(client, "hourly", now - timedelta(hours=5), owned=True)
    target = ShelfTarget(path, app, zone_of(app))
    go_back(client, target)
    app.conf.beat_schedule = {"hourly": {"task": "t", "schedule": crontab(minute=0)}}
    beat = PersistentScheduler(app, schedule_filename=str(path))
    beat.schedule["hourly"].last_run_at = now
    beat.close()
    go_back(client, target)
    (entry,) = shelf.read(path, ("hourly",)).entries
    assert close_to(now, entry.last_run_at)


def test_the_file_of_a_running_beat_is_not_replaced(
    client: Client, app: Celery, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path.parent / "celerybeat.pid").write_text("1")
    with pytest.raises(HabeatError, match=r"is in use: celerybeat.pid names process 1"):
        go_back(client, ShelfTarget(path, app, zone_of(app)))


def test_a_folder_that_is_missing_is_named(client: Client, app: Celery, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "celerybeat-schedule"
    with pytest.raises(HabeatError, match="cannot be written: No such file or directory"):
        go_back(client, ShelfTarget(path, app, zone_of(app)))


# -- habeat's side ----------------------------------------------------------------------------


def test_nothing_goes_back_while_a_beat_of_habeat_runs(
    valkey: Server, client: Client, app: Celery, path: Path
) -> None:
    bench = Bench(valkey, PREFIX, "proj")
    bench.lead()
    client.add("s", "t", 60)
    target = ShelfTarget(path, app, zone_of(app))
    with pytest.raises(BeatsAlive):
        go_back(client, target)
    assert not path.exists()
    assert steps(go_back(client, target, dry_run=True)) == {"s": "write"}
    assert steps(go_back(client, target, force=True)) == {"s": "write"}


def test_triggers_that_no_beat_has_carried_out_are_named(
    client: Client, app: Celery, path: Path
) -> None:
    client.add("s", "t", 60)
    client.trigger("s")
    done = go_back(client, ShelfTarget(path, app, zone_of(app)), dry_run=True)
    assert done.warnings[0].startswith("1 trigger or backfill has not been carried out")


def test_going_back_changes_nothing_here(client: Client, app: Celery, path: Path) -> None:
    client.add("s", "t", 60)
    before = client.export()["entries"]
    go_back(client, ShelfTarget(path, app, zone_of(app)))
    assert client.export()["entries"] == before


def test_a_shadow_has_nothing_to_hand_over(valkey: Server) -> None:
    shell = Shell(valkey.url())
    shell.app.conf.habeat_shadow = True
    assert "a shadow has sent nothing" in shell.fails(2, "migrate", "--to", "redbeat")
