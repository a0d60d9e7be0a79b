"""Schedules under other prefixes, as a beat finds them at start, on a real server."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import json
import logging
from typing import Any

import pytest

import habeat
from habeat.beat.declared.beat_schedule import declare
from habeat.beat.neighbours import NEW_FOR_MS, Neighbours
from habeat.config import Settings
from habeat.store.connection import Connections
from habeat.store.prefixes import REGISTRY, Prefixes
from tests.integration.scripts.bench import Bench
from tests.integration.test_reconcile import GOOD, Deploy, StandingLead
from tests.support.servers.cluster import Cluster
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app


def neighbours(server: Server, prefix: str, app: str, given: dict[str, Any]) -> list[str]:
    """What a beat of this app would log under this prefix."""
    conf = {"habeat_redis_url": server.url(), "habeat_key_prefix": prefix}
    settings = Settings.from_conf(conf, app_main=app)
    connections = Connections(settings.redis)
    try:
        return Neighbours(settings, app, declare(make_app(), given)).lines(connections)
    finally:
        connections.close()


@pytest.fixture
def proj(valkey: Server) -> Bench:
    """The app "proj": a live leader that has stored its entry, and an entry of the API."""
    bench = Bench(valkey, prefix="habeat:proj", app="proj")
    lead = StandingLead(bench, bench.lead("alpha"))
    Deploy(bench, make_app(), 1, {"tick": GOOD, "celery.backend_cleanup": GOOD}).lead(lead)
    bench.leases.register("alpha", json.dumps({"host": "alpha", "pid": 7}), "f", 0)
    assert neighbours(valkey, "habeat:proj", "proj", {"tick": GOOD}) == []
    return bench


def add_by_api(bench: Bench) -> None:
    bench.admin.hset(bench.keys.entries, "api", json.dumps({"v": 1, "owner": "api"}))


def is_not_new(bench: Bench, prefix: str) -> None:
    since_ms = bench.now_ms - NEW_FOR_MS - 1_000
    bench.admin.hset(REGISTRY, prefix, json.dumps({"app": "x", "since_ms": since_ms}))


def test_an_app_renamed_while_its_old_beats_run(valkey: Server, proj: Bench) -> None:
    add_by_api(proj)
    [line] = neighbours(valkey, "habeat:shop", "shop", {"tick": GOOD})
    assert "under the other prefix 'habeat:proj'" in line
    assert "beats are alive (alpha pid 7)" in line
    assert "1 entry of beat_schedule fires under both" in line
    assert "1 entry made through the API would stay there" in line
    assert "stop the old beats, then run `celery -A proj habeat adopt --from habeat:proj`" in line


def test_an_app_renamed_after_its_old_beats_were_stopped(valkey: Server, proj: Bench) -> None:
    proj.leases.release(None, "alpha")
    assert neighbours(valkey, "habeat:shop", "shop", {"tick": GOOD}) == []
    add_by_api(proj)
    [line] = neighbours(valkey, "habeat:shop", "shop", {"tick": GOOD})
    assert "no beat is alive; 1 entry made through the API would stay there" in line


def test_an_app_without_any_declared_entry_is_a_candidate_while_the_prefix_is_new(
    valkey: Server, proj: Bench
) -> None:
    add_by_api(proj)
    assert len(neighbours(valkey, "habeat:shop", "shop", {})) == 1
    is_not_new(proj, "habeat:shop")
    assert neighbours(valkey, "habeat:shop", "shop", {}) == []


def test_the_same_app_under_another_prefix_is_a_candidate_for_good(
    valkey: Server, proj: Bench
) -> None:
    add_by_api(proj)
    is_not_new(proj, "other")
    assert len(neighbours(valkey, "other", "proj", {})) == 1


def test_another_app_on_the_same_redis_is_none(valkey: Server, proj: Bench) -> None:
    """Celery's own entry, which both have, does not make them one app."""
    given = {"tick": {**GOOD, "schedule": 90}, "celery.backend_cleanup": GOOD}
    assert neighbours(valkey, "habeat:shop", "shop", given) == []


def test_a_prefix_that_cannot_be_read_hides_no_other(valkey: Server, proj: Bench) -> None:
    add_by_api(proj)
    proj.admin.set("{habeat:bad}:entries", "a string")
    proj.admin.hset(REGISTRY, "habeat:bad", "")
    [line] = neighbours(valkey, "habeat:shop", "shop", {"tick": GOOD})
    assert "habeat:proj" in line
    assert proj.admin.hexists(REGISTRY, "habeat:bad")


def test_a_prefix_under_which_nothing_is_left_is_forgotten(valkey: Server, proj: Bench) -> None:
    proj.admin.delete(*proj.admin.keys("{habeat:proj}:*"))
    assert neighbours(valkey, "habeat:shop", "shop", {"tick": GOOD}) == []
    assert proj.admin.hkeys(REGISTRY) == [b"habeat:shop"]


@pytest.mark.parametrize("record", [b"", b"x", b"[]", b'{"since_ms": "x"}', b"\xff"])
def test_what_another_program_wrote_into_the_registry_is_no_error(
    valkey: Server, proj: Bench, record: bytes
) -> None:
    proj.admin.hset(REGISTRY, mapping={b"habeat:shop": record, b"\xff": record})
    assert neighbours(valkey, "habeat:shop", "shop", {"tick": GOOD}) != []


def test_a_user_without_rights_finds_nothing_and_is_told_at_debug_level_only(
    valkey: Server, proj: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    proj.admin.execute_command(
        "ACL", "SETUSER", "limited", "on", "nopass", "~{habeat:shop}:*", "+@all"
    )
    url = valkey.url().replace("redis://", "redis://limited:x@")
    conf = {"habeat_redis_url": url, "habeat_key_prefix": "habeat:shop"}
    settings = Settings.from_conf(conf, app_main="shop")
    caplog.set_level(logging.DEBUG, "habeat")
    Neighbours(settings, "shop", declare(make_app(), {"tick": GOOD}))._look()
    assert [each.levelname for each in caplog.records] == ["DEBUG"]
    assert "cannot be looked for" in caplog.text


def test_the_registry_keeps_when_a_prefix_was_first_used(valkey: Server, proj: Bench) -> None:
    prefixes = Prefixes(
        Connections(
            Settings.from_conf(
                {"habeat_redis_url": valkey.url(), "habeat_key_prefix": "p"}, app_main="p"
            ).redis
        ),
        "p",
    )
    is_not_new(proj, "p")
    assert prefixes.announce("p") > NEW_FOR_MS


def test_on_a_cluster_the_registry_may_be_on_another_node(cluster: Cluster) -> None:
    def lines(prefix: str) -> list[str]:
        conf = {"habeat_redis_url": cluster.url, "habeat_redis_options": {"cluster": True}}
        settings = Settings.from_conf({**conf, "habeat_key_prefix": prefix}, app_main=prefix)
        connections = Connections(settings.redis)
        try:
            return Neighbours(settings, prefix, declare(make_app(), {})).lines(connections)
        finally:
            connections.close()

    assert lines("habeat:proj") == []
    with habeat.Client(cluster.url, prefix="habeat:proj", options={"cluster": True}) as client:
        client.add("api", "proj.work", 60)
    [line] = lines("habeat:shop")
    assert "1 entry made through the API would stay there" in line
