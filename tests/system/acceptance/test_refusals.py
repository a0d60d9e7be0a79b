"""Beats that refuse to start: at once, with one sentence, without a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.processes import Processes
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import entries, write_app
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown setting": ({"habeat_lease_tll": 5}, "did you mean habeat_lease_ttl?"),
    "a TTL of 0": ({"habeat_lease_ttl": 0}, "invalid habeat_lease_ttl 0: expected"),
    "a TTL below what renewal needs": ({"habeat_lease_ttl": 0.5}, "at least 1"),
    "an impossible poll": ({"habeat_crash_poll": 5}, "invalid habeat_crash_poll 5 s"),
    "an unknown word": ({"habeat_misfire": "sometimes"}, "'latest', 'all', 'skip'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_settings(tmp_path: Path, processes: Processes, valkey: Server, wrong: str) -> None:
    conf, words = WRONG[wrong]
    write_app(tmp_path, {"broker_url": valkey.url(), **conf}, entries(1))
    _assert_refused(processes, tmp_path, words)


def test_no_redis_to_be_found(tmp_path: Path, processes: Processes) -> None:
    write_app(tmp_path, {"broker_url": "amqp://guest:s3cret@localhost//"}, entries(1))
    _assert_refused(processes, tmp_path, "habeat has no Redis")


def test_an_app_without_a_name(tmp_path: Path, processes: Processes, valkey: Server) -> None:
    write_app(tmp_path, {"broker_url": valkey.url()}, entries(1), main=None)
    _assert_refused(processes, tmp_path, "no name of its own")


def test_a_redis_that_evicts_entries(
    make_fleet: MakeFleet, private_server: Callable[..., Server]
) -> None:
    """Refused at the first installation only: later, the schedule exists and must go on."""
    server = private_server(extra_args=("--maxmemory-policy", "allkeys-lru"))
    fleet = make_fleet(server, dict(redis_broker(server).conf), entries(1))
    refused = fleet.processes.beat("proj", ["-l", "WARNING"], cwd=fleet.folder)
    assert refused.wait(30) != 0
    said = [line for line in refused.log().splitlines() if "allkeys-lru" in line]
    assert len(said) == 1, refused.log()
    assert "habeat refuses to start: Redis evicts any key" in said[0]
    assert "Traceback" not in refused.log()
    assert not server.admin.keys("*"), "nothing was written"
    server.admin.config_set("maxmemory-policy", "volatile-lru")
    fleet.start(1)
    assert "Redis may evict the lease" in fleet.logs()
    server.admin.config_set("maxmemory-policy", "allkeys-lru")
    late = fleet.start_one()
    late.wait_for_log("maxmemory-policy allkeys-lru")
    fleet.settle(2)
    assert fleet.all_alive


def _assert_refused(processes: Processes, folder: Path, words: str) -> None:
    beat = processes.beat("proj", ["-l", "WARNING"], cwd=folder)
    code = beat.wait(30)
    said = beat.log()
    assert code != 0, said
    sentences = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == 1, said
    assert words in sentences[0], said
    assert "Traceback" not in said
    assert "s3cret" not in said
