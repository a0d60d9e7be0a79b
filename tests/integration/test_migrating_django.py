"""django-celery-beat's tables, read and written through its own models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

import habeat
from habeat import Client
from habeat.migrate.found import Reading, SourceEmpty, SourceEntry, SourceUnreadable
from habeat.migrate.going_back import GoingBack, gone_back
from habeat.migrate.returning import Returned
from habeat.migrate.sources import django as source
from habeat.migrate.targets.django import DjangoTarget
from tests import ROOT
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.django_databases import empty_beat_tables
from tests.support.positions import assert_goes_on, place
from tests.support.servers.redis_server import Server

pytest.importorskip("django_celery_beat")

PREFIX = "habeat:back"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LAST = NOW - timedelta(seconds=3)


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    empty_beat_tables()
    yield
    from django.db import connections

    connections.close_all()


@pytest.fixture
def app() -> Celery:
    return Celery("proj", set_as_current=False)


def add(name: str, **fields: Any) -> Any:
    """A row; an interval of an hour, unless another schedule is given."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    kinds = ("interval", "crontab", "solar", "clocked")
    if not any(kind in fields or f"{kind}_id" in fields for kind in kinds):
        fields["interval"], _ = IntervalSchedule.objects.get_or_create(every=3600, period="seconds")
    given = {"task": "t", "last_run_at": LAST, **fields}
    return PeriodicTask.objects.bulk_create([PeriodicTask(name=name, **given)])[0]


def reading(
    app: Celery, declared: tuple[str, ...] = (), act: Callable[[], None] = lambda: None
) -> Reading:
    """What is read; `act` is what happens between the two looks at the rows."""
    return source.read(app, declared, now=NOW, sleep=lambda seconds: act())


def by_name(found: Reading) -> dict[str, SourceEntry]:
    return {each.name: each for each in found.entries}


def refused(found: Reading) -> dict[str, str]:
    return {each.name: each.why for each in found.uncarried}


# -- reading ----------------------------------------------------------------------------------


def test_rows_are_read_with_their_schedules(app: Celery) -> None:
    from django_celery_beat.models import ClockedSchedule, CrontabSchedule, SolarSchedule

    zone = CrontabSchedule.objects.create(minute="0", hour="8", timezone="Asia/Tokyo")
    sun = SolarSchedule.objects.create(event="sunset", latitude="52.52", longitude="13.405")
    at = ClockedSchedule.objects.create(clocked_time=NOW + timedelta(days=1))
    add("interval", total_run_count=5, args="[1]")
    add("crontab", crontab=zone)
    add("solar", solar=sun)
    add("clocked", clocked=at, one_off=True, last_run_at=None)
    found = reading(app)
    kinds = {name: str(each.arguments["schedule"]) for name, each in by_name(found).items()}
    assert kinds == {
        "interval": "1:00:00",
        "crontab": "Crontab(minute='0', hour='8', tz='Asia/Tokyo')",
        "solar": "Solar(event='sunset', lat=52.52, lon=13.405)",
        "clocked": f"Once(at_ms={int(NOW.timestamp() * 1_000) + 86_400_000})",
    }
    assert by_name(found)["interval"].last_run_at == LAST
    assert by_name(found)["interval"].total_run_count == 5
    assert found.source.startswith("django-celery-beat (sqlite database 'default', ")


def test_a_bad_row_never_stops_the_others(app: Celery) -> None:
    from django.db import connection
    from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule

    zone = CrontabSchedule.objects.create(minute="0", timezone="UTC")
    past = ClockedSchedule.objects.create(clocked_time=NOW - timedelta(days=1))
    add("broken JSON", args="[1,")
    add("no schedule", interval=None)
    add("past and disabled", clocked=past, one_off=True, enabled=False, last_run_at=None)
    add("unknown zone", crontab=zone)
    add("bad time")
    add("bad number", interval=IntervalSchedule.objects.create(every=41, period="days"))
    add("good")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_celery_beat_crontabschedule SET timezone = 'Mars/Base'")
        bad = "UPDATE django_celery_beat_periodictask SET expires = %s WHERE name = 'bad time'"
        cursor.execute(bad, ["2026-99-99 00:00"])
        cursor.execute(
            "UPDATE django_celery_beat_intervalschedule SET every = 'often' WHERE every = 41"
        )
    found = reading(app)
    assert list(by_name(found)) == ["good"]
    assert refused(found) == {
        "broken JSON": "its args are not JSON",
        "no schedule": "it has no schedule",
        "past and disabled": "its time, 2026-11-28 12:00:00 UTC, is over and it is disabled",
        "unknown zone": "a value of its row cannot be read: ValidationError",
        "bad time": "a value of its row cannot be read: ValueError",
        "bad number": "a value of its row cannot be read: TypeError",
    }


def test_more_rows_than_a_page_are_read(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PAGE", 2)
    for number in range(5):
        add(f"e{number}")
    assert list(by_name(reading(app))) == [f"e{number}" for number in range(5)]


def test_copies_of_beat_schedule_are_left_to_the_code(app: Celery) -> None:
    add("in code", total_run_count=9, args="[1,", start_time=NOW)
    found = reading(app, ("in code",))
    assert found.entries == [
        SourceEntry(
            "in code",
            last_run_at=LAST,
            total_run_count=9,
            declared=True,
            notes=("its start_time in the database: write it into beat_schedule",),
        )
    ]


def test_an_entry_of_code_that_has_never_run_counts_from_its_last_change(app: Celery) -> None:
    """So a slot between the stop of the old beat and the switch is not lost."""
    from django_celery_beat.models import PeriodicTask

    add("nightly", last_run_at=None)
    PeriodicTask.objects.update(date_changed=NOW - timedelta(hours=9))
    (found,) = reading(app, ("nightly",)).entries
    assert found.last_run_at is None
    assert found.first_run_at is not None
    slot = habeat.cron("0 * * * *").next_after(found.first_run_at - timedelta(milliseconds=1))
    assert slot == NOW - timedelta(hours=8)


def test_celerys_own_entry_is_habeats_where_the_backend_needs_it(app: Celery) -> None:
    add("celery.backend_cleanup")
    found = reading(app)
    assert list(refused(found)) == ["celery.backend_cleanup"]
    assert by_name(reading(app, ("celery.backend_cleanup",)))["celery.backend_cleanup"].declared


def test_crontabs_count_in_the_apps_zone_if_the_project_says_so(
    app: Celery, settings_of_django: Any
) -> None:
    from django_celery_beat.models import CrontabSchedule

    app.conf.timezone = "Europe/Paris"
    settings_of_django(DJANGO_CELERY_BEAT_TZ_AWARE=False)
    add("crontab", crontab=CrontabSchedule.objects.create(minute="0", timezone="Asia/Tokyo"))
    assert by_name(reading(app))["crontab"].arguments["schedule"].tz == "Europe/Paris"


@pytest.fixture
def settings_of_django() -> Iterator[Callable[..., None]]:
    from django.test.utils import override_settings

    made: list[Any] = []

    def override(**settings: Any) -> None:
        made.append(override_settings(**settings))
        made[-1].enable()

    yield override
    for each in reversed(made):
        each.disable()


# -- whether its beat lives -------------------------------------------------------------------


def test_a_last_run_that_changes_while_we_look_proves_that_its_beat_lives(app: Celery) -> None:
    from django_celery_beat.models import PeriodicTask

    add("a")

    def act() -> None:
        PeriodicTask.objects.update(last_run_at=NOW, total_run_count=1)

    living = reading(app, act=act).living
    assert (living.alive, living.evidence) == (
        True,
        "last runs in the database changed within 2 s",
    )


def test_rows_that_stand_still_are_no_proof_of_anything_and_that_is_said(app: Celery) -> None:
    add("a")
    found = reading(app)
    assert not found.living.alive
    expected = "its newest last run is 3 seconds old; stop its beat with SIGTERM"
    assert found.living.evidence == expected
    assert found.hint.endswith("give the time of the kill with --sent-until")


def test_a_long_overdue_period_proves_that_its_beat_does_not_live(app: Celery) -> None:
    add("a", last_run_at=NOW - timedelta(hours=2))
    living = reading(app).living
    assert not living.alive
    assert living.evidence == "it has not sent for 120 minutes, and a is overdue"


def test_a_beat_that_does_not_know_of_an_overdue_row_lives_all_the_same(app: Celery) -> None:
    """`update(enabled=True)` changes a row without the mark for which the scheduler looks."""
    add("a", last_run_at=NOW - timedelta(days=10))
    add("b")

    def act() -> None:
        from django_celery_beat.models import PeriodicTask

        PeriodicTask.objects.filter(name="b").update(total_run_count=1)

    assert reading(app, act=act).living.alive
    assert "overdue" not in reading(app).living.evidence


def test_edits_of_the_rows_are_no_proof_that_its_beat_lives(app: Celery) -> None:
    add("a")
    assert not reading(app, act=lambda: add("new", last_run_at=None)).living.alive


# -- what is missing --------------------------------------------------------------------------


def test_tables_without_rows_are_an_error(app: Celery) -> None:
    """Perhaps another database is meant; a switch that carries nothing is no success."""
    with pytest.raises(SourceEmpty, match="has no rows"):
        reading(app)


def test_missing_tables_are_named(app: Celery) -> None:
    from django.db import connection
    from django_celery_beat.models import PeriodicTask

    with connection.schema_editor() as editor:
        editor.delete_model(PeriodicTask)
    with pytest.raises(SourceUnreadable, match=r"no such table.*run `manage.py migrate"):
        reading(app)


def test_too_many_rows_are_not_read(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ENTRIES_MOST", 1)
    add("a")
    add("b")
    with pytest.raises(SourceUnreadable, match="has more than 1 rows"):
        reading(app)


def test_a_project_without_django_celery_beat_is_named(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.apps.apps.is_installed", lambda name: False)
    with pytest.raises(SourceUnreadable, match="django_celery_beat is not in INSTALLED_APPS"):
        reading(app)


def test_a_project_that_cannot_be_imported_is_named(app: Celery) -> None:
    app.conf.imports = ("no_such_module",)
    with pytest.raises(SourceUnreadable, match="cannot be set up: ModuleNotFoundError"):
        reading(app)


def test_a_process_without_django_settings_is_told_to_name_them() -> None:
    code = (
        "from celery import Celery\n"
        "from habeat.migrate.sources.django import tables_of\n"
        "tables_of(Celery('proj'))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert "Django has no settings here: set DJANGO_SETTINGS_MODULE" in done.stderr


# -- going back -------------------------------------------------------------------------------


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def go_back(client: Client, app: Celery, **options: Any) -> GoingBack:
    target = DjangoTarget(app)
    return gone_back(client._calls, target, **{"dry_run": False, **options})


def steps(done: GoingBack) -> dict[str, str]:
    return {row.name: row.action.value for row in done.rows}


def runs_at_once(name: str, app: Celery) -> bool:
    """Whether django-celery-beat itself would run it now."""
    return in_the_tables(name, app).is_due()[0]  # type: ignore[no-any-return]


def in_the_tables(name: str, app: Celery) -> Any:
    from django_celery_beat.models import PeriodicTask
    from django_celery_beat.schedulers import ModelEntry

    return ModelEntry(PeriodicTask.objects.get(name=name), app=app)


def test_every_schedule_goes_on_at_its_next_slot(client: Client, app: Celery) -> None:
    soon = client.server_time().replace(second=0, microsecond=0) + timedelta(hours=5)
    schedules = {
        "s": habeat.every(90),
        "h": habeat.every(3600),
        "ms": habeat.every(7.25),
        "daily": habeat.crontab(30, 8, tz="Asia/Tokyo"),
        "cron": habeat.cron("*/7 * * * mon-fri", tz="Europe/Berlin"),
        "sun": habeat.solar("sunset", 52.5, 13.4),
        "once": habeat.once(soon),
    }
    for name, schedule in schedules.items():
        client.add(name, "t", schedule)
    client.add("later", "t", habeat.every(60, 0), start=soon)
    done = go_back(client, app)
    assert set(steps(done).values()) == {"write"}
    for row in done.rows:
        entry = client.get(row.name)
        assert entry.state.next_slot == row.first_slot
        assert_goes_on(in_the_tables(row.name, app).is_due, row.first_slot)


def test_every_field_arrives(client: Client, app: Celery) -> None:
    from django_celery_beat.models import PeriodicTask

    end = client.server_time().replace(microsecond=0) + timedelta(days=3)
    client.add(
        "e",
        "proj.report",
        60,
        args=[1, "é"],
        kwargs={"a": None},
        options={"queue": "q", "priority": 3, "headers": {"x": 1}, "expires": 30},
        description="what for",
        start=end - timedelta(days=9),
    )
    client.add("ends", "t", 60, end=end - timedelta(milliseconds=1), max_runs=1)
    client.add("off", "t", 60, enabled=False)
    client.add("paused", "t", 60)
    client.pause("paused", "why")
    done = {row.name: row for row in go_back(client, app).rows}
    row = PeriodicTask.objects.get(name="e")
    assert (row.task, row.args, row.kwargs) == ("proj.report", '[1, "é"]', '{"a": null}')
    assert (row.queue, row.priority, row.headers, row.expire_seconds) == ("q", 3, '{"x": 1}', 30)
    assert (row.exchange, row.routing_key, row.expires, row.one_off) == (None, None, None, False)
    assert (row.description, row.start_time) == ("what for", end - timedelta(days=9))
    assert (row.interval.every, row.interval.period, row.enabled) == (1, "minutes", True)
    ends = PeriodicTask.objects.get(name="ends")
    assert (ends.expires, ends.one_off, ends.total_run_count) == (end, True, 0)
    assert not PeriodicTask.objects.filter(name__in=["off", "paused"], enabled=True).exists()
    assert done["paused"].notes == ("without the pause (it is disabled instead)",)
    assert done["paused"].first_slot is None


def test_what_cannot_go_back_is_named_and_the_old_row_is_disabled(
    client: Client, app: Celery
) -> None:
    from django_celery_beat.models import PeriodicTask

    add("changed")
    add("rule")
    client.add("changed", "t", habeat.cron("30 0 8 * * *", tz="UTC"))
    client.add("rule", "t", habeat.rrule("FREQ=DAILY", "UTC", NOW))
    client.add("good", "t", 60)
    done = {row.name: row for row in go_back(client, app).rows}
    assert done["rule"].why == "django-celery-beat has no schedule of the kind rrule"
    assert done["rule"].notes == ("its old definition in django-celery-beat is disabled",)
    assert done["changed"].action.value == "refuse"
    enabled = PeriodicTask.objects.filter(enabled=True)
    assert list(enabled.values_list("name", flat=True)) == ["good"]


def test_an_entry_that_is_done_does_not_run_again(client: Client, app: Celery) -> None:
    from django_celery_beat.models import ClockedSchedule, PeriodicTask

    at = client.server_time() + timedelta(seconds=30)
    add("once", clocked=ClockedSchedule.objects.create(clocked_time=at), one_off=True)
    client.add("once", "t", habeat.once(at))
    place(client, "once", at)
    assert steps(go_back(client, app)) == {"once": "disable"}
    assert not PeriodicTask.objects.get(name="once").enabled
    assert steps(go_back(client, app)) == {"once": "spent"}


def test_rows_of_beat_schedule_get_only_their_last_run(client: Client, app: Celery) -> None:
    from django_celery_beat.models import PeriodicTask

    add("in code", args="[1]", description="by hand")
    for name in ("in code", "new in code"):
        client.add(name, "t", habeat.every(60, 0))
        place(client, name, client.server_time(), owned=True)
    done = go_back(client, app)
    assert steps(done) == {"in code": "last run", "new in code": "last run"}
    row = PeriodicTask.objects.get(name="in code")
    assert (row.args, row.description) == ("[1]", "by hand"), "the code has its definition"
    expected = done.rows[0].first_slot
    assert expected is not None
    assert row.last_run_at == expected - timedelta(minutes=1)
    assert PeriodicTask.objects.get(name="new in code").last_run_at == row.last_run_at


def test_rows_that_only_the_database_has_never_run_at_once(client: Client, app: Celery) -> None:
    from django_celery_beat.models import PeriodicTask

    now = client.server_time()
    add("removed", last_run_at=now - timedelta(days=1))
    add("running", last_run_at=now)
    add("off", enabled=False)
    add("broken", args="[1,")
    done = {row.name: row for row in go_back(client, app).rows}
    assert {name: row.action.value for name, row in done.items()} == {
        "removed": "disable",
        "running": "leave",
        "broken": "leave",
    }
    assert done["running"].first_slot == now + timedelta(hours=1)
    enabled = PeriodicTask.objects.filter(enabled=True).order_by("name")
    assert list(enabled.values_list("name", flat=True)) == ["broken", "running"]


def test_only_the_entries_with_a_prefix_go_back(client: Client, app: Celery) -> None:
    add("b:removed", last_run_at=NOW - timedelta(days=1))
    client.add("a:1", "t", 60)
    client.add("b:1", "t", 60)
    assert steps(go_back(client, app, prefix="a:")) == {"a:1": "write"}


def test_a_dry_run_writes_nothing(client: Client, app: Celery) -> None:
    from django_celery_beat.models import PeriodicTask

    add("removed", last_run_at=NOW - timedelta(days=1))
    client.add("e", "t", 60)
    done = go_back(client, app, dry_run=True)
    assert not done.written
    assert steps(done) == {"e": "write", "removed": "disable"}
    assert PeriodicTask.objects.get().enabled


def test_a_row_that_the_database_refuses_does_not_stop_the_others(
    client: Client, app: Celery
) -> None:
    from django_celery_beat.models import PeriodicTask

    client.add("x" * 250, "t", 60)
    client.add("good", "t", 60)
    done = {row.name: row for row in go_back(client, app).rows}
    assert done["x" * 250].why == "django-celery-beat does not accept name"
    assert list(PeriodicTask.objects.values_list("name", flat=True)) == ["good"]


def test_a_schedule_of_a_refused_row_can_be_used_by_the_next(client: Client, app: Celery) -> None:
    from django_celery_beat.models import PeriodicTask

    client.add("a" + "x" * 250, "t", 77)
    client.add("b", "t", 77)
    assert sorted(steps(go_back(client, app)).values()) == ["refuse", "write"]
    assert PeriodicTask.objects.get(name="b").interval.every == 77


@pytest.mark.parametrize("name", ["nul \0", "a surrogate \udc80"])
def test_a_name_that_no_database_takes_does_not_stop_the_others(app: Celery, name: str) -> None:
    from django_celery_beat.models import PeriodicTask

    entries = [
        Returned(each, "t", habeat.every(60), NOW, None, args=("\udc80",) if each == "args" else ())
        for each in (name, "args", "good")
    ]
    refused = DjangoTarget(app).write(entries)
    assert refused[name] == "django-celery-beat cannot store this name"
    assert refused["args"].startswith("the database refuses it: ")
    assert list(PeriodicTask.objects.values_list("name", flat=True)) == ["good"]


def test_celerys_own_row_is_not_judged(client: Client, app: Celery) -> None:
    add("celery.backend_cleanup", last_run_at=NOW - timedelta(days=9))
    assert steps(go_back(client, app)) == {}


def test_without_time_zones_instants_are_stored_in_utc(
    client: Client, app: Celery, settings_of_django: Any
) -> None:
    from django_celery_beat.models import PeriodicTask

    settings_of_django(USE_TZ=False, DJANGO_CELERY_BEAT_TZ_AWARE=False, TIME_ZONE="Asia/Tokyo")
    soon = client.server_time().replace(microsecond=0) + timedelta(hours=1)
    client.add("e", "t", habeat.every(60, 0), start=soon, end=soon + timedelta(days=1))
    client.add("once", "t", habeat.once(soon))
    (first, _) = go_back(client, app).rows
    row = PeriodicTask.objects.get(name="e")
    assert first.first_slot is not None
    assert row.last_run_at == (first.first_slot - timedelta(minutes=1)).replace(tzinfo=None)
    assert row.start_time == soon.replace(tzinfo=None)
    clocked = PeriodicTask.objects.get(name="once").clocked.clocked_time
    assert clocked == soon.replace(tzinfo=None)
    again = by_name(source.read(app, (), now=client.server_time(), sleep=lambda seconds: None))
    assert again["e"].last_run_at == first.first_slot - timedelta(minutes=1)
    assert again["e"].arguments["end"] == soon + timedelta(days=1)


def test_going_back_twice_is_the_same_as_once(client: Client, app: Celery) -> None:
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    client.add("e", "t", 60)
    go_back(client, app)
    before = PeriodicTask.objects.values().get()
    go_back(client, app)
    after = PeriodicTask.objects.values().get()
    assert {**before, "date_changed": 0} == {**after, "date_changed": 0}
    assert IntervalSchedule.objects.count() == 1


def test_a_running_scheduler_is_told_of_the_changes(client: Client, app: Celery) -> None:
    from django_celery_beat.models import PeriodicTasks

    client.add("e", "t", 60)
    assert PeriodicTasks.last_change() is None
    go_back(client, app)
    assert PeriodicTasks.last_change() is not None


def test_slots_that_habeat_has_not_sent_are_said_to_be_due(client: Client, app: Celery) -> None:
    half_an_hour = (client.server_time() + timedelta(minutes=30)).timestamp() % 3600
    client.add("e", "t", habeat.every(3600, offset=int(half_an_hour)))
    place(client, "e", client.server_time() - timedelta(hours=3))
    (row,) = go_back(client, app).rows
    assert row.why == "due: it runs as soon as the other beat starts"
    assert runs_at_once("e", app)
    now_ms = int(client.server_time().timestamp() * 1_000)
    (row,) = go_back(client, app, sent_until_ms=now_ms).rows
    assert row.why == ""
    assert not runs_at_once("e", app)


# -- the command ------------------------------------------------------------------------------


@pytest.fixture
def shell(valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)  # another test may have a beat in the project's own folder
    monkeypatch.setattr(source, "LOOK_S", 0.0)
    return Shell(valkey.url())


def test_the_command_carries_the_rows_and_takes_them_back(shell: Shell) -> None:
    from django_celery_beat.models import PeriodicTask

    now = datetime.now(UTC).replace(microsecond=0)
    add("tick", last_run_at=now - timedelta(seconds=5), total_run_count=3)
    add("broken", args="[1,")
    add("without task", task="")
    done = shell("migrate", "--from", "django")
    assert done.exit_code == 1, "two cannot be carried"
    assert "invalid task ''" in done.stdout
    assert "from django-celery-beat (sqlite database 'default', " in done.stdout
    assert "nothing was written; to write, give --apply" in done.stdout
    assert shell.json("list") == []

    assert "1 entry carried" in shell("migrate", "--from", "django", "--apply").stdout
    (listed,) = shell.json("list")
    assert listed["name"] == "tick"

    PeriodicTask.objects.update(last_run_at=now - timedelta(days=1))
    done = shell("migrate", "--to", "django")
    assert "1 entry would be written" in done.stdout
    assert "1 entry that only the other beat has, left there" in done.stdout
    assert PeriodicTask.objects.get(name="tick").last_run_at == now - timedelta(days=1)

    assert "1 entry written" in shell.ok("migrate", "--to", "django", "--apply")
    assert PeriodicTask.objects.get(name="tick").last_run_at == now - timedelta(seconds=5)
    answer = shell.json("migrate", "--to", "django", "--apply")
    assert answer["written"] is True
    assert [(row["name"], row["action"]) for row in answer["rows"]] == [
        ("broken", "leave"),
        ("tick", "write"),
    ]


def test_what_its_beat_has_run_since_is_not_run_again_when_this_is_repeated(
    client: Client, app: Celery
) -> None:
    from django_celery_beat.models import PeriodicTask

    now = client.server_time().replace(microsecond=0)
    client.add("hourly", "t", habeat.cron("0 * * * *"))
    place(client, "hourly", now - timedelta(hours=5))
    go_back(client, app)
    PeriodicTask.objects.update(last_run_at=now)
    go_back(client, app)
    assert PeriodicTask.objects.get(name="hourly").last_run_at == now


def test_a_beat_in_this_folder_counts_as_alive_unless_it_is_habeats(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("tick", last_run_at=datetime.now(UTC))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("habeat.migrate.sources.shelf.beats_in", lambda folder: ["77"])
    refused = shell.fails(1, "migrate", "--from", "django", "--apply")
    assert "process 77 is a celery beat that runs in this folder" in refused
    bench = Bench(valkey, prefix="habeat:proj", app="proj")
    bench.leases.register("alpha", '{"host": "alpha", "pid": 77}', "f", 0)
    assert "carried" in shell.ok("migrate", "--from", "django", "--apply")


def test_a_live_beat_is_refused_by_the_command(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_celery_beat.models import PeriodicTask

    add("tick", last_run_at=datetime.now(UTC))

    def sleep(seconds: float) -> None:
        PeriodicTask.objects.update(total_run_count=F("total_run_count") + 1)

    from django.db.models import F

    monkeypatch.setattr("time.sleep", sleep)
    refused = shell.fails(1, "migrate", "--from", "django", "--apply")
    assert "may still be running: last runs in the database changed" in refused
    assert shell.json("list") == []


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--from", "django", "--to", "django"),
        ("--to", "shelve", "--prefix", "a"),
        ("--to", "django", "--schedule", "x"),
    ],
)
def test_contradictions_are_usage_errors(shell: Shell, argv: tuple[str, ...]) -> None:
    shell.fails(2, "migrate", *argv)
