"""Other schedulers in sight of a beat, on a real server, and what health says."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from habeat.beat.declared.beat_schedule import declare
from habeat.beat.other_schedulers import LOOK_EVERY_MS, OtherSchedulers
from habeat.clock import SystemClock
from habeat.config import Settings
from habeat.core.other_schedulers import OtherScheduler
from habeat.store.connection import Connections
from habeat.store.prefixes import Prefixes
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell
from tests.support.django_databases import empty_beat_tables, use_databases
from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app
from tests.unit.engine.world import FakeClock

TICK = {"task": "proj.add", "schedule": 60.0}


class Sight:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.app = Celery("proj", broker=server.url(), set_as_current=False)
        self.app.conf.result_expires = None

    def looking(self, given: dict[str, Any], clock: Any = None, **conf: Any) -> OtherSchedulers:
        self.app.conf.update(conf)
        settings = Settings.from_conf(self.app.conf, app_main="proj")
        schedule = declare(make_app(), given)
        return OtherSchedulers(self.app, settings, schedule, clock or SystemClock())

    def look(self, given: dict[str, Any] | None = None, **conf: Any) -> tuple[OtherScheduler, ...]:
        looking = self.looking(given or {}, **conf)
        connections = Connections(Settings.from_conf(self.app.conf, app_main="proj").redis)
        try:
            looking.look(connections)
        finally:
            connections.close()
        return looking.found

    def redbeat(self, *names: str, alive: bool = False) -> None:
        admin = self.server.admin
        admin.zadd("redbeat::schedule", {f"redbeat:{name}": 1 for name in names})
        if alive:
            admin.set("redbeat::lock", "x")


@pytest.fixture
def sight(valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sight:
    monkeypatch.chdir(tmp_path)
    if find_spec("django_celery_beat"):
        empty_beat_tables()  # another test of this process may have filled them
    return Sight(valkey)


def test_nothing_is_in_sight(sight: Sight) -> None:
    assert sight.look() == ()


def test_redbeat_its_entries_those_in_common_and_whether_it_lives(sight: Sight) -> None:
    sight.redbeat("tick", "other", alive=True)
    [found] = sight.look({"tick": TICK})
    assert found == OtherScheduler("redbeat", "redbeat::schedule", 2, shared=1, alive=True)
    sight.server.admin.delete("redbeat::lock")
    [found] = sight.look({})
    assert (found.shared, found.alive) == (0, False)


def test_redbeat_under_its_own_prefix(sight: Sight) -> None:
    sight.server.admin.zadd("rb:schedule", {"rbtick": 1})
    [found] = sight.look({"tick": TICK}, redbeat_key_prefix="rb")
    assert (found.where, found.shared) == ("rb:schedule", 1)


@pytest.mark.parametrize("name", ["redbeat_lock_key", "REDBEAT_LOCK_KEY"])
def test_redbeat_with_a_lock_of_its_own(sight: Sight, name: str) -> None:
    sight.redbeat("tick")
    sight.server.admin.set("redbeat:own", "x")
    [found] = sight.look({"tick": TICK}, **{name: "own"})
    assert found.alive


def written(path: Path, ago_s: float) -> None:
    path.write_bytes(b"x")
    at = time.time() - ago_s
    os.utime(path, (at, at))


def test_the_file_of_celerys_beat_if_it_was_written_lately(sight: Sight) -> None:
    written(Path("celerybeat-schedule.db"), 60)
    [found] = sight.look({"tick": TICK})
    assert found == OtherScheduler("shelve", "celerybeat-schedule", None, shared=1, alive=False)
    written(Path("celerybeat-schedule.db"), -2)
    assert [each.alive for each in sight.look({"tick": TICK})] == [True]
    written(Path("celerybeat-schedule.db"), 3_600)
    assert sight.look({"tick": TICK}) == ()
    written(Path("elsewhere"), 1)
    assert len(sight.look({}, beat_schedule_filename="elsewhere")) == 1


def test_a_prefix_with_entries_of_the_api_while_there_is_none_here(sight: Sight) -> None:
    bench = Bench(sight.server, prefix="habeat:old", app="proj")
    bench.lead()
    bench.admin.hset(bench.keys.entries, "api", json.dumps({"v": 1, "owner": "api"}))
    old = Connections(Settings.from_conf(sight.app.conf, app_main="proj").redis)
    Prefixes(old, "habeat:old").announce("proj")
    old.close()
    [found] = sight.look()
    assert (found.source, found.where, found.entries) == ("prefix", "habeat:old", 1)
    assert sight.look({"tick": TICK}) == ()
    assert sight.look(habeat_shadow=True) == ()  # a shadow must not adopt them


class Rows:
    """The rows of django-celery-beat that are enabled, each with a last run so long ago."""

    def __init__(self, *names: str, ago_s: float) -> None:
        self.names, self.ago_s = names, ago_s

    def filter(self, **given: Any) -> Rows:
        if "name__in" in given:
            return Rows(*set(self.names) & set(given["name__in"]), ago_s=self.ago_s)
        if "last_run_at__gt" in given:
            from django.conf import settings

            since = given["last_run_at__gt"]
            assert (since.tzinfo is None) is not settings.USE_TZ
            is_after = time.time() - self.ago_s > since.replace(tzinfo=UTC).timestamp()
            return Rows(*(self.names if is_after else ()), ago_s=self.ago_s)
        return self

    def exclude(self, name: str) -> Rows:
        return Rows(*set(self.names) - {name}, ago_s=self.ago_s)

    def count(self) -> int:
        return len(self.names)

    def exists(self) -> bool:
        return bool(self.names)


@pytest.fixture
def django_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[Rows], None]:
    pytest.importorskip("django")
    use_databases()
    from django.apps import apps

    def install(rows: Rows) -> None:
        model = SimpleNamespace(objects=rows)
        monkeypatch.setattr("django.apps.apps.ready", True)
        monkeypatch.setattr(apps, "is_installed", lambda name: name == "django_celery_beat")
        monkeypatch.setattr(apps, "get_model", lambda *_: model)
        monkeypatch.setattr("django.db.connections", SimpleNamespace(close_all=lambda: None))

    return install


def test_rows_of_django_celery_beat(sight: Sight, django_rows: Callable[[Rows], None]) -> None:
    django_rows(Rows("tick", "other", "celery.backend_cleanup", ago_s=-2))
    [found] = sight.look({"tick": TICK})
    assert found == OtherScheduler("django", "its database", 2, shared=1, alive=True)
    django_rows(Rows("celery.backend_cleanup", ago_s=-2))
    assert sight.look({"tick": TICK}) == ()


def test_a_beat_of_django_that_was_stopped_before_ours_started_is_not_alive(
    sight: Sight, django_rows: Callable[[Rows], None]
) -> None:
    django_rows(Rows("tick", ago_s=5))
    [found] = sight.look({"tick": TICK})
    assert not found.alive


def test_rows_of_a_project_without_time_zones(
    sight: Sight, django_rows: Callable[[Rows], None]
) -> None:
    from django.test import override_settings

    django_rows(Rows("tick", ago_s=-2))
    with override_settings(USE_TZ=False):
        [found] = sight.look({"tick": TICK})
    assert found.alive


def test_an_operator_who_wants_an_empty_schedule_says_so(sight: Sight) -> None:
    sight.redbeat("tick")
    written(Path("celerybeat-schedule"), 1)
    assert len(sight.look()) == 2
    assert sight.look(habeat_ignored_schedulers=["redbeat", "shelve"]) == ()


def test_a_foreign_key_in_place_of_redbeats_hides_nothing_else(sight: Sight) -> None:
    sight.server.admin.set("redbeat::schedule", "x")
    written(Path("celerybeat-schedule"), 1)
    assert [each.source for each in sight.look()] == ["shelve"]


def test_each_line_is_logged_once(sight: Sight, caplog: pytest.LogCaptureFixture) -> None:
    sight.redbeat("tick")
    looking = sight.looking({})
    connections = Connections(Settings.from_conf(sight.app.conf, app_main="proj").redis)
    with caplog.at_level(logging.WARNING):
        looking.look(connections)
        looking.look(connections)
    connections.close()
    [line] = caplog.messages
    assert line.startswith("habeat: not healthy: habeat has no entries, and RedBeat has 1")
    assert "migrate --from redbeat" in line


@pytest.mark.parametrize(("names", "lines"), [(["tick"], 0), (["tick", "other"], 1)])
def test_entries_that_were_carried_over_are_not_remarked_on(
    sight: Sight, caplog: pytest.LogCaptureFixture, names: list[str], lines: int
) -> None:
    sight.redbeat(*names, "celery.backend_cleanup")
    with caplog.at_level(logging.WARNING):
        sight.look({"tick": TICK})
    assert len(caplog.messages) == lines
    assert all(f"found {len(names)} entries of RedBeat" in each for each in caplog.messages)


def test_a_look_is_in_a_thread_at_intervals_and_one_that_hangs_is_the_last(sight: Sight) -> None:
    clock = FakeClock()
    sight.redbeat("tick")
    looking = sight.looking({}, clock)
    looking.step()
    until(lambda: looking.found, 10, "it has looked")
    sight.server.admin.delete("redbeat::schedule")
    looking.step()
    assert looking.found
    first = looking._thread
    assert first is not None
    first.join(10)
    clock.advance(LOOK_EVERY_MS)
    looking.step()
    until(lambda: not looking.found, 10, "it has looked again")
    hanging = SimpleNamespace(is_alive=lambda: True)
    looking._thread = hanging  # type: ignore[assignment]
    clock.advance(LOOK_EVERY_MS)
    looking.step()
    assert looking._thread is hanging


# -- health -------------------------------------------------------------------------------------


@pytest.fixture
def leader(valkey: Server) -> Callable[..., None]:
    bench = Bench(valkey, prefix="habeat:proj", app="proj")
    bench.lead("alpha")

    def register(*others: OtherScheduler, celerys_own: int = 0) -> None:
        facts = {"host": "alpha", "pid": 7, "others": [each.to_json() for each in others]}
        facts["celerys_own"] = celerys_own
        bench.leases.register("alpha", json.dumps(facts), "f", 0)

    return register


LEFT = OtherScheduler("redbeat", "redbeat::schedule", 38, shared=1, alive=True)


def test_an_unfinished_change_over_is_not_healthy(
    leader: Callable[..., None], valkey: Server
) -> None:
    shell = Shell(valkey.url())
    leader()
    shell.ok("health")
    leader(LEFT)
    said = shell("health")
    assert said.exit_code == 1
    assert "migrate --from redbeat" in said.stdout
    shell.ok("add", "tick", "proj.tick", "--every", "60")
    assert "1 entry is sent by both" in shell("health").stdout
    leader(OtherScheduler("redbeat", "redbeat::schedule", 38))
    shell.ok("health")


def test_a_schedule_that_has_only_celerys_own_entry_is_empty(
    leader: Callable[..., None], valkey: Server
) -> None:
    shell = Shell(valkey.url())
    shell.ok("add", "celery.backend_cleanup", "celery.backend_cleanup", "--every", "60")
    leader(LEFT, celerys_own=1)
    assert "habeat has no entries" in shell("health").stdout
