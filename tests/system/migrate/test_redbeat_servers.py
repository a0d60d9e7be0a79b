"""RedBeat through Sentinel and over TLS: what its library writes is read, and what we write too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import schedule

from habeat import Client
from habeat.migrate.going_back import gone_back
from habeat.migrate.sources import redbeat as source
from habeat.migrate.targets.redbeat import RedBeatTarget
from tests.support.redbeat import redbeat
from tests.support.servers.redis_server import Server, redis70_binary
from tests.support.servers.sentinel import HOST, Sentinels

pytestmark = pytest.mark.slow

LAST = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def over_tls(request: pytest.FixtureRequest) -> dict[str, Any]:
    private_server: Callable[..., Server] = request.getfixturevalue("private_server")
    server = private_server(redis70_binary(), tls=True)
    assert server.certificates is not None
    checks = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(server.certificates.ca)}
    return {
        "redbeat_redis_url": f"rediss://localhost:{server.port}/2",
        "redbeat_redis_use_ssl": checks,
    }


def through_sentinel(request: pytest.FixtureRequest) -> dict[str, Any]:
    trio: Sentinels = request.getfixturevalue("sentinels")
    hosts = [(HOST, watcher.port) for watcher in trio.watchers]
    return {
        "redbeat_redis_url": "redis-sentinel://redis-sentinel:26379/0",
        "redbeat_redis_options": {
            "sentinels": hosts,
            "service_name": trio.master_name,
            "socket_timeout": 1,
        },
    }


def save(app: Celery, name: str) -> None:
    entry = redbeat().RedBeatSchedulerEntry(name, "proj.work", schedule(3_600), app=app)
    entry.save()
    entry.reschedule(LAST)


def is_alive(app: Celery) -> bool:
    found = source.read(source.settings_of(app.conf), (), "UTC", lambda seconds: None)
    return found.living.alive


@pytest.mark.parametrize("way", [over_tls, through_sentinel], ids=lambda way: way.__name__)
def test_what_redbeat_writes_is_read_there_and_written_back(
    way: Callable[..., dict[str, Any]], request: pytest.FixtureRequest, valkey: Server
) -> None:
    redbeat()
    app = Celery("proj", broker=valkey.url(), set_as_current=False)
    app.conf.update(way(request))
    for name in ("a", "b c"):
        save(app, name)
    settings = source.settings_of(app.conf)
    found = source.read(settings, (), "UTC", lambda seconds: None)
    assert {each.name: each.last_run_at for each in found.entries} == {"a": LAST, "b c": LAST}
    assert not found.living.alive
    package = redbeat()
    server = package.schedulers.get_redis(app)
    server.set(settings.lock_key, "x", ex=60)  # as a living RedBeat holds it
    assert is_alive(app)
    server.delete(settings.lock_key)

    with Client(valkey.url(), prefix="habeat:back") as client:
        client.add("back", "proj.work", 3_600)
        target = RedBeatTarget(settings, "UTC")
        try:
            done = gone_back(client._calls, target, dry_run=False)
        finally:
            target.close()
        assert [row.name for row in done.rows if row.action == "write"] == ["back"]
        loaded = package.RedBeatSchedulerEntry.from_key(f"{settings.key_prefix}back", app=app)
        assert loaded.schedule.run_every == timedelta(hours=1)
