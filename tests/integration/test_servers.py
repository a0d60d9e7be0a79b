"""The harness itself: what a test believes it did to a server must really have happened."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from kombu import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.servers.children import until
from tests.support.servers.cluster import Cluster
from tests.support.servers.needs import need
from tests.support.servers.processes import Processes
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ, RabbitMQNode
from tests.support.servers.redis_server import Server, redis62_binary, redis70_binary, valkey_binary
from tests.support.servers.sentinel import Sentinels

BINARIES = {"valkey": valkey_binary, "redis70": redis70_binary, "redis62": redis62_binary}


@pytest.mark.parametrize("kind", BINARIES)
def test_each_kind_answers_and_starts_clean(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    assert server.client().dbsize() == 0
    server.client(db=1).set("left", "over")
    assert redis.Redis.from_url(server.unix_url).ping()


@pytest.mark.parametrize("kind", BINARIES)
def test_nothing_is_left_from_the_test_before(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    assert server.client(db=1).dbsize() == 0


def test_a_killed_server_refuses_and_comes_back_empty(
    private_server: Callable[..., Server],
) -> None:
    server = private_server()
    client = server.client()
    client.set("a", 1)
    server.kill()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    server.restart()
    assert client.get("a") is None


@pytest.mark.parametrize("kind", BINARIES)
def test_with_aof_a_restart_keeps_the_data_unless_asked_otherwise(
    kind: str, private_server: Callable[..., Server]
) -> None:
    server = private_server(BINARIES[kind](), appendonly=True)
    server.client().set("a", 1)
    server.kill()
    server.restart()
    assert server.client().get("a") == b"1"
    server.restart(empty=True)
    assert server.client().get("a") is None


def test_a_paused_server_is_silent_and_then_answers(private_server: Callable[..., Server]) -> None:
    server = private_server()
    client = server.client(socket_timeout=0.3)
    client.ping()
    server.pause()
    with pytest.raises(redis.TimeoutError):
        client.ping()
    server.resume()
    assert client.ping()


def test_a_refused_start_shows_the_log(private_server: Callable[..., Server]) -> None:
    with pytest.raises(RuntimeError, match="no-such-option"):
        private_server(extra_args=("--no-such-option", "1"))


def test_tls_and_acl_users(private_server: Callable[..., Server]) -> None:
    users = "user someone on >secret ~habeat:* &habeat:* +@all\n"
    server = private_server(redis70_binary(), tls=True, aclfile=users)
    assert server.client().ping()
    limited = server.client(username="someone", password="secret")
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.set("other", 1)
    with pytest.raises(redis.ConnectionError):
        redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)).ping()


@pytest.mark.parametrize("kill", [True, False])
def test_a_failover_changes_the_master(sentinels: Sentinels, kill: bool) -> None:
    before = sentinels.master
    client = before.client()
    client.set("a", 1)
    until(lambda: client.wait(2, 1_000) == 2, 20, "both Redis replicas have it")
    after = sentinels.failover(kill=kill)
    assert after.port != before.port
    assert after.client().get("a") == b"1"
    after.client().set("a", 2)


def test_each_node_of_the_cluster_serves_its_hash_slots(cluster: Cluster) -> None:
    client = cluster.client()
    for number in range(20):
        client.set(f"key{number}", number)
    assert sum(cluster.each(lambda node: node.dbsize())) == 20
    for number in range(20):
        assert cluster.owner(f"key{number}").client().get(f"key{number}") == b"%d" % number
    client.close()


def test_the_proxy_stalls_and_heals(valkey: Server, proxy: Callable[[Server], Proxy]) -> None:
    between = proxy(valkey)
    client = redis.Redis(port=between.port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
    assert client.incr("n") == 1
    between.stall(requests=False)
    with pytest.raises(redis.TimeoutError):
        client.incr("n")
    until(lambda: valkey.client().get("n") == b"2", 2, "the command was carried out")
    between.stall()
    with pytest.raises(redis.TimeoutError):
        client.incr("n")  # a new connection, accepted and then silent
    assert valkey.client().get("n") == b"2"
    between.heal()
    assert client.ping()


def test_the_proxy_loses_one_reply(valkey: Server, proxy: Callable[[Server], Proxy]) -> None:
    between = proxy(valkey)
    client = redis.Redis(port=between.port, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    client.ping()
    between.lose_next_reply()
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert client.get("n") == b"1"


def test_the_proxy_delays(valkey: Server, proxy: Callable[[Server], Proxy]) -> None:
    between = proxy(valkey)
    client = redis.Redis(port=between.port, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    client.ping()
    between.delay_s = 1.5
    with pytest.raises(redis.TimeoutError):
        client.ping()


def test_the_proxy_cuts_and_heals(valkey: Server, proxy: Callable[[Server], Proxy]) -> None:
    between = proxy(valkey)
    client = redis.Redis(port=between.port, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    subscriber = client.pubsub()
    subscriber.subscribe("channel")
    until(lambda: valkey.client().pubsub_numsub("channel") == [(b"channel", 1)], 2, "subscribed")
    between.cut()
    until(lambda: valkey.client().pubsub_numsub("channel") == [(b"channel", 0)], 2, "cut off")
    with pytest.raises(redis.ConnectionError):
        client.ping()
    between.heal()
    assert client.ping()


def test_children_die_with_the_process_that_started_them(
    tmp_path: Path, processes: Processes
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from tests.support.servers.redis_server import start_server, valkey_binary\n"
        f"server = start_server(valkey_binary(), dir={str(tmp_path)!r})\n"
        "print('port', server.port, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = processes.python(script, cwd=tmp_path)
    parent.wait_for_log("port")
    port = int(parent.log().split()[1])
    assert redis.Redis(port=port).ping()
    parent.kill()
    until(lambda: not _listens(port), 5, "the server died with its parent")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_beat_and_worker_processes(valkey: Server, tmp_path: Path, processes: Processes) -> None:
    (tmp_path / "proj.py").write_text(
        "import os, celery\n"
        "app = celery.Celery('proj', broker=os.environ['BROKER'])\n"
        "app.conf.beat_schedule = {'each': {'task': 'proj.mark', 'schedule': 0.2}}\n"
        "@app.task(ignore_result=True)\n"
        "def mark():\n"
        "    print('marked', flush=True)\n"
    )
    env = {"BROKER": valkey.url()}
    worker = processes.worker("proj", cwd=tmp_path, env=env)
    beat = processes.beat(
        "proj", ("-s", "own"), cwd=tmp_path, env=env, scheduler="celery.beat:PersistentScheduler"
    )
    worker.wait_for_log("marked")
    beat.stop_signal()
    beat.cont()
    beat.term()
    assert beat.wait() == 0
    assert "beat: Starting" in beat.log()
    worker.kill()
    assert not worker.alive


def test_rabbitmq_gives_each_test_an_empty_vhost(shared_rabbitmq: RabbitMQNode) -> None:
    first, second = shared_rabbitmq.fresh_vhost(), shared_rabbitmq.fresh_vhost()
    with Connection(first) as connection:
        connection.SimpleQueue("box").put("here")
    with Connection(second) as connection:
        assert connection.SimpleQueue("box").qsize() == 0
    with Connection(first) as connection:
        assert connection.SimpleQueue("box").get(timeout=5).payload == "here"


# Only the slow suites stop and freeze a RabbitMQ.
@pytest.mark.slow
def test_rabbitmq_stops_and_starts_with_its_messages(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.fresh_vhost()
    with Connection(url) as connection:
        connection.SimpleQueue("box").put("kept")
    rabbitmq.stop()
    with pytest.raises(ConnectionError):
        Connection(url, connect_timeout=1).connect()
    rabbitmq.start()
    with Connection(url) as connection:
        assert connection.SimpleQueue("box").get(timeout=5).payload == "kept"


@pytest.mark.slow
def test_a_paused_rabbitmq_is_silent(rabbitmq: RabbitMQ) -> None:
    rabbitmq.pause()
    with pytest.raises(TimeoutError):
        Connection(rabbitmq.url, connect_timeout=0.5).connect()
    rabbitmq.resume()
    Connection(rabbitmq.url, connect_timeout=10).connect()


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_what_is_missing_is_a_skip_at_home_and_a_failure_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    need("a thing that is there", True, "")
    with pytest.raises(outcome, match="the moon is missing: fly there"):
        need("the moon", False, "fly there")
