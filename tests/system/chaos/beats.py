"""The beats of a scenario: a fleet whose members look for orders, some behind a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.support.servers.processes import CeleryProcess
from tests.system.acceptance.fleet import Fleet
from tests.system.chaos.failpoints import ORDERS
from tests.system.chaos.orders import Orders
from tests.system.chaos.ways import BROKER, REDIS, Ways

#: The app's module takes orders, and each beat may have its own way to the servers, say that it
#: is of another release, or expect another schema in Redis.
IN_THE_APP = """
import os
if "SCHEMA_OF_THIS_BEAT" in os.environ:
    from habeat.store import scripting
    _source, _other = scripting.source, f"SCHEMA = '{os.environ['SCHEMA_OF_THIS_BEAT']}'"
    scripting.source = lambda name: _source(name).replace("SCHEMA = '1'", _other)
if "RELEASE_OF_THIS_BEAT" in os.environ:
    from habeat.beat import housekeeping
    _version_of = housekeeping.version_of
    housekeeping.version_of = lambda package: (
        os.environ["RELEASE_OF_THIS_BEAT"] if package == "habeat" else _version_of(package)
    )
from tests.system.chaos.failpoints import install
install()
for _setting, _word in (("habeat_redis_url", "REDIS_OF_THIS_BEAT"),
                        ("broker_url", "BROKER_OF_THIS_BEAT")):
    if os.environ.get(_word):
        app.conf[_setting] = os.environ[_word]
"""


@dataclass
class Beats(Fleet):
    """A fleet that faults can be aimed at. While Redis is unreachable, it has no known leader."""

    conf: dict[str, Any] = field(default_factory=dict)
    ways: dict[int, Ways] = field(default_factory=dict)

    @property
    def orders(self) -> Orders:
        folder = Path(self.folder) / "orders"
        folder.mkdir(exist_ok=True)
        return Orders(folder)

    def start_one(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        module: str | None = None,
        ways: Ways | None = None,
    ) -> CeleryProcess:
        own = _own(ways, str(self.conf["broker_url"])) if ways else {}
        beat = self.processes.beat(
            module or self.module,
            [*self.arguments, *arguments],
            {
                ORDERS: str(self.orders.folder),
                **own,
                **(env or {}),
            },
            self.folder,
            wrapper=ways.wrapper if ways else (),
        )
        self.beats.append(beat)
        if ways:
            self.ways[beat.pid] = ways
        return beat

    def settle(self, count: int, timeout_s: float = 120) -> CeleryProcess:
        return super().settle(count, timeout_s)

    def nonce(self, beat: CeleryProcess) -> str:
        return self.orders.nonce(beat)

    def leader(self) -> CeleryProcess | None:
        """Recognised by the nonce in the lease, so without waiting for a registration."""
        try:
            holder = self.holder().partition(":")[2]
        except redis.RedisError:
            return None
        nonces = {path.read_text(): path.stem for path in self.orders.folder.glob("*.nonce")}
        pid = int(nonces.get(holder, 0))
        return next((beat for beat in self.beats if beat.pid == pid and beat.alive), None)

    def standbys(self) -> list[CeleryProcess]:
        leader = self.leader()
        return [beat for beat in self.beats if beat is not leader and beat.alive]

    def live_pids(self) -> set[int]:
        try:
            return super().live_pids()
        except redis.RedisError:
            return set()


def _own(ways: Ways, broker_url: str) -> dict[str, str]:
    """The addresses under which a beat with ways of its own finds the servers."""
    broker = ways.proxies[BROKER]
    account, _, path = broker_url.rpartition("@")
    return {
        "REDIS_OF_THIS_BEAT": ways.proxies[REDIS].url(),
        "BROKER_OF_THIS_BEAT": f"{account}@{broker.host}:{broker.port}/{path.partition('/')[2]}",
    }
