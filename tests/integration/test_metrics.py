"""Metrics through the command line and in a registry of the user's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner

import habeat
from habeat import Client
from habeat.cli import habeat as habeat_group
from habeat.contrib.prometheus import Collector
from habeat.metrics.source import source_of_app
from tests.support.servers.redis_server import Server


@pytest.fixture
def app(valkey: Server) -> Iterator[Celery]:
    made = Celery("proj", broker=valkey.url())
    with Client(made) as client:
        client.add("e", "proj.task", habeat.every(60))
        yield made


def run(app: Celery, *args: str) -> Any:
    obj = SimpleNamespace(app=app)
    return CliRunner().invoke(habeat_group, ["metrics", *args], obj=obj)


def test_the_command_prints_what_the_endpoint_serves(app: Celery) -> None:
    pytest.importorskip("prometheus_client")
    done = run(app)
    assert done.exit_code == 0
    assert "\nhabeat_entries{" in done.output
    assert run(app, "--openmetrics").output.endswith("# EOF\n")


def test_the_command_prints_json(app: Celery) -> None:
    found = json.loads(run(app, "--json").output)
    values = {each["name"]: each for each in found}
    assert values["habeat_redis_up"]["value"] == 1
    assert values["habeat_lateness_seconds"]["buckets"]["+Inf"] == 0


def test_without_redis_the_command_says_so_and_fails() -> None:
    pytest.importorskip("prometheus_client")
    done = run(Celery("proj", broker="redis://127.0.0.1:1/0"))
    assert done.exit_code == 1
    assert done.output.endswith("\nhabeat_redis_up 0.0\n")


def test_the_collector_fits_into_a_registry_of_the_users(app: Celery) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    registry = prometheus_client.CollectorRegistry(auto_describe=True)
    registry.register(Collector(app))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(Collector(app))
    assert registry.get_sample_value("habeat_redis_up") == 1
    assert registry.get_sample_value("habeat_entries", {"state": "paused"}) == 0


def test_a_collector_can_be_registered_before_redis_or_the_settings_are_there() -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    registry = prometheus_client.CollectorRegistry()
    app = Celery("proj")
    registry.register(Collector(app))
    app.conf.broker_url = "redis://127.0.0.1:1/0"
    assert registry.get_sample_value("habeat_redis_up") == 0
    assert registry.get_sample_value("habeat_leader") is None


def test_a_source_connects_again_after_its_connection_was_closed(
    app: Celery, valkey: Server
) -> None:
    source = source_of_app(app)
    assert source.answers()
    valkey.client().client_kill_filter(_type="normal", skipme=True)
    assert source.answers()
    source.close()
