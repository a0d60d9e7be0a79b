"""Beats that send to SQS: standard and FIFO queues, and a leader that is killed."""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from habeat import Client
from tests.support.servers.children import end, free_port, spawn, until
from tests.support.servers.processes import Processes
from tests.support.servers.redis_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

pytest.importorskip("moto", reason="moto is missing: nox -s sqs installs it")
boto3: Any = pytest.importorskip("boto3")

APP = """
from celery import Celery

app = Celery("shop", broker="sqs://key:secret@127.0.0.1:{port}")
app.conf.broker_transport_options = {{"region": "eu-west-1", "is_secure": False}}
app.conf.habeat_redis_url = {redis!r}
app.conf.beat_schedule = {schedule!r}
app.conf.habeat_remote_tasks = ["*"]
"""
Fetch = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    chosen = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(chosen)]
    server = spawn(command, log=tmp_path / "moto.log")
    said = (tmp_path / "moto.log").read_text
    until(lambda: "Running on" in said(), 20, said)
    yield chosen
    end(server, 15)


@pytest.fixture
def sqs(port: int) -> Any:
    access = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    url = f"http://127.0.0.1:{port}"
    return boto3.client("sqs", region_name="eu-west-1", endpoint_url=url, **access)


@pytest.fixture
def fetch(sqs: Any) -> Fetch:
    """`fetch(queue)`: the headers of all messages in it, which are deleted."""

    def take(queue: str) -> list[dict[str, Any]]:
        url, found = sqs.get_queue_url(QueueName=queue)["QueueUrl"], []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                found.append(json.loads(base64.b64decode(each["Body"]))["headers"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return found

    return take


def write(folder: Path, port: int, valkey: Server, schedule: dict[str, Any]) -> None:
    text = APP.format(port=port, redis=valkey.url(), schedule=schedule)
    (folder / "shop.py").write_text(text)


def ids_in_ledger(valkey: Server, count: int) -> list[str]:
    """Task ids of the first firings, once there are that many."""
    with Client(valkey.url(), prefix="habeat:shop") as client:
        until(lambda: len(list(client.history(limit=count))) >= count, 30, f"{count} firings")
        return [str(record.task_id) for record in client.history(limit=1000)]


def test_each_slot_is_in_a_standard_queue_once(
    tmp_path: Path, port: int, sqs: Any, fetch: Fetch, valkey: Server, processes: Processes
) -> None:
    write(tmp_path, port, valkey, {"often": {"task": "often", "schedule": 0.2}})
    beat = processes.beat("shop", cwd=tmp_path)
    ids_in_ledger(valkey, 20)
    beat.term()
    assert beat.wait() == 0
    arrived = Counter(headers["id"] for headers in fetch("celery"))
    assert arrived == Counter(ids_in_ledger(valkey, 20))
    assert set(arrived.values()) == {1}


def test_a_fifo_queue_drops_what_a_killed_leader_makes_be_sent_again(
    tmp_path: Path, port: int, sqs: Any, fetch: Fetch, valkey: Server, processes: Processes
) -> None:
    queue = "orders.fifo"
    sqs.create_queue(QueueName=queue, Attributes={"FifoQueue": "true"})
    options = {"queue": queue, "MessageGroupId": "orders"}
    entry = {"task": "often", "schedule": 0.1, "options": options}
    write(tmp_path, port, valkey, {"often": entry})
    for _ in range(3):
        beat = processes.beat("shop", cwd=tmp_path)
        before = len(ids_in_ledger(valkey, 1))
        ids_in_ledger(valkey, before + 10)
        beat.kill()
    processes.beat("shop", cwd=tmp_path)
    until(lambda: not unsettled(valkey), 30, "nothing is in flight")
    arrived = Counter(headers["id"] for headers in fetch(queue))
    assert len(arrived) >= 30
    assert set(arrived.values()) == {1}


def unsettled(valkey: Server) -> int:
    with Client(valkey.url(), prefix="habeat:shop") as client:
        return client.status().in_flight
