"""The endpoint over real sockets: bounds, slow clients, forks, ports in use. No Redis."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from habeat.beat.http import server
from habeat.beat.http.answers import Answers, State
from habeat.beat.http.server import CONNECTIONS_MOST, Endpoint
from habeat.config.address import Address
from habeat.metrics.samples import samples
from tests.support.servers.children import until
from tests.unit.engine.world import FakeClock
from tests.unit.metrics.test_samples import FIGURES

LOCAL = Address("127.0.0.1", 0)
TOKEN = "a-token-of-some-length"


class FakeSource:
    """`metrics.source.Source` without Redis."""

    def __init__(self) -> None:
        self.up = True
        self.reads = 0
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def answers(self) -> bool:
        self.gate.wait(10)
        self.reads += 1
        return self.up

    def samples(self) -> Any:
        self.reads += 1
        return samples(FIGURES)

    def close(self) -> None:
        self.closed = True


class World:
    """An endpoint, and what its answers depend on."""

    def __init__(self, token: str | None = None, address: Address = LOCAL) -> None:
        self.source, self.clock, self.state = FakeSource(), FakeClock(), State("", leads=True)
        answers = Answers(self.source, self.clock, token, lambda: self.state)  # type: ignore[arg-type]
        self.endpoint = Endpoint(address, answers)

    def address(self) -> tuple[str, int]:
        bound = until(lambda: self.endpoint.bound, 5, "it listens")
        return bound.host, bound.port

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address(), timeout=10)

    def send(self, raw: bytes) -> bytes:
        with self.connect() as client:
            client.sendall(raw)
            return everything(client)

    def get(self, path: str, *headers: str, method: str = "GET") -> tuple[int, str]:
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers])
        said = self.send(head.encode() + b"\r\n\r\n").decode()
        return int(said.split()[1]), said.partition("\r\n\r\n")[2]


def everything(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.endpoint.close()


@pytest.fixture
def guarded() -> Iterator[World]:
    made = World(TOKEN)
    yield made
    made.endpoint.close()


def test_a_process_that_ticks_is_alive_and_one_that_stopped_is_not(world: World) -> None:
    world.source.up = False  # an outage of Redis restarts no beat
    assert world.get("/healthz") == (200, "ok\n")
    world.clock.advance(60_001)
    assert world.get("/healthz") == (503, "the last tick began 60 s ago\n")
    world.endpoint.ticked()
    assert world.get("/healthz")[0] == 200


def test_a_standby_is_ready(world: World) -> None:
    world.state = State("", leads=False)
    assert world.get("/readyz") == (200, "ok\n")


def test_an_inert_beat_is_not_ready_and_does_not_tell_strangers_why(world: World) -> None:
    world.state = State("the keys belong to app 'secret'", leads=False)
    status, body = world.get("/readyz")
    assert status == 503
    assert "secret" not in body
    assert world.get("/healthz")[0] == 200


def test_without_redis_a_beat_is_not_ready(world: World) -> None:
    world.source.up = False
    assert world.get("/readyz") == (503, "Redis is unavailable\n")


def test_metrics_have_those_of_this_process_too(world: World) -> None:
    pytest.importorskip("prometheus_client")
    status, body = world.get("/metrics")
    assert status == 200
    assert "\nhabeat_redis_up 1.0\n" in body
    assert "\nhabeat_this_replica_leads 1.0\n" in body


def test_other_paths_and_methods_are_refused(world: World) -> None:
    assert world.get("/")[0] == 404
    assert world.get("/healthz/../metrics")[0] == 404
    assert world.get("/healthz", method="DELETE")[0] == 405
    assert world.get("/healthz", method="HEAD") == (200, "")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Authorization: Bearer wrong",),
        (f"Authorization: Basic {TOKEN}",),
        (f"Authorization: {TOKEN}",),
        ("Authorization: Bearer \xe9",),
        (f"X-Authorization: Bearer {TOKEN}",),
    ],
)
def test_metrics_are_refused_without_the_token_and_probes_need_none(
    guarded: World, headers: tuple[str, ...]
) -> None:
    assert guarded.get("/metrics", *headers)[0] == 401
    assert guarded.source.reads == 0
    assert guarded.get("/healthz")[0] == 200


def test_metrics_are_given_to_the_token(guarded: World) -> None:
    pytest.importorskip("prometheus_client")
    assert guarded.get("/metrics", f"Authorization: Bearer {TOKEN}")[0] == 200


def test_a_head_that_is_too_long_is_refused(world: World) -> None:
    said = world.send(b"GET / HTTP/1.1\r\nA: " + b"x" * 9_000)
    assert said.startswith(b"HTTP/1.1 431 ")


def test_a_client_that_never_ends_its_request_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "READ_WITHIN_S", 0.05)
    with world.connect() as client:
        client.sendall(b"GET / HTT")
        assert everything(client) == b""


def test_slow_clients_cannot_keep_a_probe_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "READ_WITHIN_S", 60)
    slow = [world.connect() for _ in range(CONNECTIONS_MOST + 5)]
    try:
        for each in slow[-CONNECTIONS_MOST:]:
            each.sendall(b"G")
        assert world.get("/healthz")[0] == 200
        assert everything(slow[0]) == b""  # the oldest made room
    finally:
        for each in slow:
            each.close()


def test_a_hung_redis_holds_up_no_liveness_probe_and_is_asked_once(world: World) -> None:
    world.source.gate.clear()
    waiting = [world.connect() for _ in range(5)]
    try:
        for each in waiting:
            each.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
        assert world.get("/healthz")[0] == 200
        world.source.gate.set()
        assert {everything(each).split()[1] for each in waiting} == {b"200"}
        assert world.source.reads == 1
    finally:
        world.source.gate.set()
        for each in waiting:
            each.close()


def test_a_thousand_probes_leave_no_threads_files_or_reads_behind(world: World) -> None:
    world.get("/readyz")
    threads, files = threading.active_count(), len(os.listdir("/dev/fd"))
    for _ in range(1_000):
        world.get("/readyz")
    until(lambda: threading.active_count() <= threads, 5, "the threads have ended")
    until(lambda: len(os.listdir("/dev/fd")) <= files, 5, "the files are closed")
    assert world.source.reads < 100


def test_a_port_in_use_is_logged_once_and_taken_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "BIND_AGAIN_S", 0.02)
    tries = counted(monkeypatch, server, "_listening")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        second = World(address=Address("127.0.0.1", taken.getsockname()[1]))
        until(lambda: tries[0] > 3, 5, "it tries again")
    assert second.get("/healthz")[0] == 200
    second.endpoint.close()
    lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert [line.split(" at ")[0] for line in lines] == [
        "habeat: habeat_http cannot listen",
        "habeat: serving /healthz, /readyz and /metrics",
    ]


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    calls, real = [0], getattr(module, name)

    def call(*args: Any) -> Any:
        calls[0] += 1
        return real(*args)

    monkeypatch.setattr(module, name, call)
    return calls


def test_closing_frees_the_port_and_ends_the_thread() -> None:
    world = World()
    host, port = world.address()
    client = world.connect()
    threads = [each for each in threading.enumerate() if each.name == "habeat http"]
    world.endpoint.close()
    assert everything(client) == b""
    client.close()
    assert not any(each.is_alive() for each in threads)
    assert world.source.closed
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, port))


def test_a_forked_child_does_not_keep_the_port() -> None:
    world = World()
    host, port = world.address()
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)  # the child outlives the endpoint
        os._exit(0)
    try:
        os.read(ready[0], 1)
        assert world.get("/healthz")[0] == 200  # the parent's endpoint goes on
        world.endpoint.close()
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind((host, port))
            again.listen()
    finally:
        os.write(done[1], b"x")
        os.waitpid(pid, 0)
        for each in (*ready, *done):
            os.close(each)


def test_an_answer_that_fails_is_an_error_and_the_endpoint_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bool:
        raise KeyError("a defect")

    monkeypatch.setattr(world.source, "answers", fail)
    assert world.get("/readyz")[0] == 503
    assert world.get("/healthz")[0] == 200
