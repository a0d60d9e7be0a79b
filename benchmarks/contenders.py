"""Who leads, and since when, as each scheduler tells it: for `benchmarks.takeover`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import redis
from tests.support.servers.processes import CeleryProcess, Processes
from tests.support.servers.redis_server import Server

_APP = """\
from celery import Celery
app = Celery("bench")
app.conf.update({conf!r})
app.conf.beat_schedule = {{"tick": {{"task": "bench.tick", "schedule": 1.0}}}}

@app.task(name="bench.tick")
def tick():
    return None
"""


class Contender(Protocol):
    name: str
    scheduler: str

    def conf(self, server: Server) -> dict[str, Any]: ...

    def holder(self, client: redis.Redis) -> str:
        """Who leads, in a word that changes with each leadership; "" for nobody."""
        ...

    def taken_over_us(self, client: redis.Redis) -> int:
        """When the present leader began to lead, by the server's clock."""
        ...

    def leader(self, client: redis.Redis, beats: list[CeleryProcess]) -> CeleryProcess | None:
        """Which of the beats leads."""
        ...


def now_us(client: redis.Redis) -> int:
    seconds, micros = client.time()  # type: ignore[misc]
    return int(seconds) * 1_000_000 + int(micros)


@dataclass
class Habeat:
    name: str = "habeat"
    scheduler: str = "habeat.Scheduler"

    def conf(self, server: Server) -> dict[str, Any]:
        return {"broker_url": server.url(1), "habeat_redis_url": server.url(0)}

    def holder(self, client: redis.Redis) -> str:
        found: Any = client.get("{habeat:bench}:lease")
        return found.decode() if found else ""

    def taken_over_us(self, client: redis.Redis) -> int:
        return int(client.hget("{habeat:bench}:meta", "leader_since") or 0)  # type: ignore[arg-type]

    def leader(self, client: redis.Redis, beats: list[CeleryProcess]) -> CeleryProcess | None:
        told: Any = client.hget("{habeat:bench}:replicas", self.holder(client).partition(":")[2])
        pid = json.loads(told)["pid"] if told else 0
        return next((beat for beat in beats if beat.pid == pid), None)


@dataclass
class RedBeat:
    name: str = "redbeat"
    scheduler: str = "redbeat.RedBeatScheduler"

    def conf(self, server: Server) -> dict[str, Any]:
        return {
            "broker_url": server.url(1),
            "redbeat_redis_url": server.url(0),
            "redbeat_lock_timeout": 5,
            "beat_max_loop_interval": 1,
        }

    def holder(self, client: redis.Redis) -> str:
        found: Any = client.get("redbeat::lock")
        return found.decode() if found else ""

    def taken_over_us(self, client: redis.Redis) -> int:
        return now_us(client)

    def leader(self, client: redis.Redis, beats: list[CeleryProcess]) -> CeleryProcess | None:
        """The lock does not tell: it is who has said that he acquired it, and lives."""
        return next((b for b in beats if b.alive and "beat: Acquired lock" in b.log()), None)


def start(contender: Contender, processes: Processes, folder: Path) -> CeleryProcess:
    return processes.beat("bench", ["-l", "INFO"], cwd=folder, scheduler=contender.scheduler)


def write_app(contender: Contender, server: Server, folder: Path) -> None:
    (folder / "bench.py").write_text(_APP.format(conf=contender.conf(server)))


def wait_until(predicate: Any, timeout_s: float, what: str, every_s: float = 0.002) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {timeout_s:g} s still not: {what}")
        time.sleep(every_s)
    return value
