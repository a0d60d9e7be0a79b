"""examples/routing: queues by kind, and priorities, on Redis and on RabbitMQ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.processes import Processes, until
from tests.support.servers.redis_server import Server
from tests.system.examples.project import Project, project_in

pytestmark = pytest.mark.slow


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def project(
    request: pytest.FixtureRequest, tmp_path: Path, processes: Processes, valkey: Server
) -> Iterator[Project]:
    broker = valkey.url()
    if request.param == "rabbitmq":
        broker = request.getfixturevalue("rabbitmq").fresh_vhost()
    yield from project_in("routing", "media", tmp_path, processes, valkey, BROKER_URL=broker)


def test_the_urgent_message_overtakes_and_each_worker_has_its_queue(project: Project) -> None:
    project.beat("thumbnails")
    fast = project.worker("-n", "fast@%h", "-Q", "fast")
    for name, request_id in (("archive", "one"), ("archive", "two"), ("live", "three")):
        project.client.trigger(name, request_id=request_id)
    project.client.trigger("thumbnails")
    until(lambda: len(project.client.history(outcome=["sent", "late"])) >= 4, 20, fast.log)
    fast.wait_for_log("made thumbnails")
    heavy = project.worker("-n", "heavy@%h", "-Q", "heavy")
    until(lambda: len(done(heavy.log())) >= 3, 20, heavy.log)
    found = done(heavy.log())[:3]
    # A slot of `live` itself may fall due while this runs.
    assert found in (["live", "archive", "archive"], ["live", "live", "archive"])
    assert done(fast.log()) == []


def done(log: str) -> list[str]:
    return re.findall(r"transcoded (\w+)", log)
