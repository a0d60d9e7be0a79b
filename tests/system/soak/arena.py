"""The servers, the beats and the entries of a soak, each beat with its own way to Redis."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import habeat
from habeat.client import Client
from tests.support.servers.children import free_port, until
from tests.support.servers.processes import CeleryProcess, Processes
from tests.support.servers.rabbitmq import RabbitMQ, start_rabbitmq
from tests.support.servers.redis_server import Server, start_server, valkey_binary
from tests.system.acceptance.apps import write_app
from tests.system.acceptance.arrivals import OnRabbitMQ
from tests.system.acceptance.fleet import Fleet
from tests.system.soak.accounts import Accounts
from tests.system.soak.explaining import Inflicted
from tests.system.soak.lives import Life
from tests.system.soak.scraping import OnServer, Queue, Reader
from tests.system.soak.ways import Ways
from tests.verification.history.events import Kind

BEATS = 3
PREFIX = "habeat:proj"
#: So that what is kept by age stops growing within minutes, and real growth shows.
LEDGER_AGE_S = 180
DEDUP_TTL_S = 60

OWN_WAY = """
import os
if os.environ.get("SOAK_REDIS"):
    app.conf.habeat_redis_url = os.environ["SOAK_REDIS"]
if os.environ.get("SOAK_BROKER"):
    app.conf.broker_url = os.environ["SOAK_BROKER"]
app.conf.habeat_http = os.environ["SOAK_HTTP"]
"""

#: Seconds, and how many of a thousand entries have this period; the rest shares the long ones.
SHORT = ((1.0, 2), (10.0, 10))
LONG = (60.0, 120.0, 300.0, 600.0)


@dataclass
class Arena:
    """Everything that runs; `close` ends it all."""

    seed: int
    outbox: bool
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="hb-soak-")))
    accounts: Accounts = field(default_factory=Accounts)
    faults: list[Inflicted] = field(default_factory=list)
    beats: dict[int, CeleryProcess] = field(default_factory=dict)
    #: The port of each beat's endpoint.
    endpoints: list[int] = field(default_factory=lambda: [free_port() for _ in range(BEATS)])
    rabbit: RabbitMQ | None = None
    ways: Ways = field(init=False)
    server: Server = field(init=False)
    fleet: Fleet = field(init=False)
    reader: Reader = field(init=False)
    client: Client = field(init=False)
    #: Held while a server is away: what is read just then would be lost with the reply.
    away: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    # -- building -----------------------------------------------------------------------------

    def open(self) -> None:
        """The servers, three beats, a leader among them."""
        self.server = start_server(valkey_binary(), appendonly=True)
        self.ways = Ways.open(self.server.host, self.server.port, BEATS)
        queue: Queue = OnServer(self.server.client(1))
        broker = self.server.url(1)
        if self.outbox:
            self.rabbit = start_rabbitmq()
            broker = self.rabbit.url
            queue = OnRabbitMQ(broker)
        self._write_app(broker)
        self.fleet = Fleet(Processes(), self.folder, self.server.client(), prefix=PREFIX)
        self.client = Client(self.server.url(), prefix=PREFIX, timeout=20)
        self.reader = Reader(
            self.server.client(), self.fleet.key(""), queue, self.accounts
        )  # fmt: skip
        for place in range(BEATS):
            self.start(place)
        self.settle()

    def _write_app(self, broker: str) -> None:
        conf = {
            "broker_url": broker,
            "habeat_redis_url": self.server.url(),
            "habeat_dispatch": "outbox" if self.outbox else "atomic",
            "habeat_ledger_age": LEDGER_AGE_S,
            "habeat_dedup_ttl": DEDUP_TTL_S,
        }
        write_app(self.folder, conf, more=OWN_WAY)

    def populate(self, count: int) -> None:
        """Add this many entries; the first slot of each is strictly after its creation."""
        given = [self.drawn(f"e{number:05d}", number, count) for number in range(count)]
        for start in range(0, count, 2_000):
            for entry in self.client.add_many(given[start : start + 2_000]):
                self.born(entry)

    def drawn(self, name: str, number: int, count: int) -> dict[str, Any]:
        """The arguments of `add` for one more entry."""
        policies: Sequence[dict[str, Any]] = (
            *({},) * 8,
            {"misfire": "all"},
            {"misfire": "skip", "misfire_grace": 5},
        )
        policy = self.random.choice(policies)
        return {"name": name, "task": "proj.work", "schedule": self.period(number, count), **policy}

    def period(self, number: int = -1, count: int = 0) -> habeat.schedules.Schedule:
        """A period: a few of the entries have a short one."""
        seen = 0
        for seconds, of_thousand in SHORT:
            seen += max(1, count * of_thousand // 1_000)
            if 0 <= number < seen:
                offset = self.random.randrange(round(seconds * 1_000)) / 1_000
                return habeat.every(seconds, offset=offset)
        return habeat.every(self.random.choice(LONG))

    def born(self, entry: Any) -> None:
        """Remember the slots of a new entry."""
        schedule = entry.schedule
        life = Life.begun(schedule.every_ms, schedule.offset_ms or 0, entry.created_ms)
        self.accounts.lives[entry.name] = life

    # -- beats --------------------------------------------------------------------------------

    def start(self, place: int) -> CeleryProcess:
        env = {"SOAK_REDIS": self.ways.url(place)}
        env["SOAK_HTTP"] = f"127.0.0.1:{self.endpoints[place]}"
        if not self.outbox:
            env["SOAK_BROKER"] = self.ways.url(place, 1)
        self.beats[place] = self.fleet.start_one(env=env)
        return self.beats[place]

    def gone(self, place: int) -> None:
        """A beat that was ended on purpose."""
        beat = self.beats.pop(place)
        if beat in self.fleet.beats:
            self.fleet.beats.remove(beat)

    def settle(self, timeout_s: float = 60) -> None:
        """Until all beats are known and one leads."""
        until(
            lambda: self.leader() is not None
            and len(self.fleet.live_pids()) >= len(self.beats),
            timeout_s,
            lambda: f"the beats have settled; they said:\n{self.fleet.logs()}",
            every_s=0.1,
        )  # fmt: skip

    def leader(self) -> int | None:
        """The place of the beat that leads."""
        found = self.fleet.leader()
        return next((place for place, beat in self.beats.items() if beat is found), None)

    def nonce(self, place: int) -> str:
        pid = self.beats[place].pid
        replicas = self.fleet.replicas()
        return next((nonce for nonce, fields in replicas.items() if fields["pid"] == pid), "")

    def pids(self) -> list[int]:
        return [beat.pid for beat in list(self.beats.values()) if beat.alive]

    def ended_by_themselves(self) -> list[str]:
        """Beats that are gone although the test did not end them."""
        return [beat.name for beat in list(self.beats.values()) if not beat.alive]

    # -- faults -------------------------------------------------------------------------------

    @contextmanager
    def during(self, kind: Kind, what: str, *places: int) -> Iterator[None]:
        """Note the fault that is done meanwhile; `places` are those of the beats that it hits."""
        victims = frozenset(filter(None, map(self.nonce, places)))
        start_s = time.time()
        try:
            yield
        finally:
            self.faults.append(Inflicted(kind, what, start_s, time.time(), victims))

    # -- the end ------------------------------------------------------------------------------

    def stop_beats(self) -> None:
        """SIGTERM to all, standbys first; what is in flight then is sent by another one."""
        for place in range(BEATS):
            self.ways.heal(place)
        self.beats.clear()
        self.fleet.stop()

    def close(self) -> None:
        """End and delete everything."""
        self.fleet_kill()
        if hasattr(self, "ways"):
            self.ways.close()
        if hasattr(self, "client"):
            self.client.close()
        if hasattr(self, "server"):
            self.server.dispose()
        if self.rabbit is not None:
            self.rabbit.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fleet_kill(self) -> None:
        if hasattr(self, "fleet"):
            self.fleet.processes.kill_all()
