"""Several beats of one app: which one leads, which stand by, and what the test does to them.

All of it is read from Redis by plain commands, because the test looks from outside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess, Processes


@dataclass
class Fleet:
    """The beats of `module` in `folder`; `client` reads the schedule's Redis."""

    processes: Processes
    folder: Path
    client: redis.Redis
    module: str = "proj"
    prefix: str = "habeat:proj"
    arguments: Sequence[str] = ("-l", "WARNING")
    beats: list[CeleryProcess] = field(default_factory=list)

    def key(self, name: str) -> str:
        return f"{{{self.prefix}}}:{name}"

    # -- starting and stopping --------------------------------------------------------------

    def start_one(
        self, *arguments: str, env: Mapping[str, str] | None = None, module: str | None = None
    ) -> CeleryProcess:
        beat = self.processes.beat(
            module or self.module, [*self.arguments, *arguments], env, self.folder
        )
        self.beats.append(beat)
        return beat

    def start(self, count: int = 3, *arguments: str) -> None:
        """Start `count` beats at once, and wait until one leads and all are registered."""
        for _ in range(count):
            self.start_one(*arguments)
        self.settle(count)

    def settle(self, count: int, timeout_s: float = 40) -> CeleryProcess:
        """Wait until one leads and `count` live ones are registered; returns the leader."""
        leader: CeleryProcess = until(
            lambda: self.leader() if len(self.live_pids()) >= count else None,
            timeout_s,
            lambda: f"{count} beats have settled; they said:\n{self.logs()}",
            every_s=0.05,
        )
        return leader

    def kill(self, beat: CeleryProcess) -> None:
        beat.kill()
        self.beats.remove(beat)

    def stop(self) -> None:
        """SIGTERM to all. What the last leader had claimed and not sent when it began to stop
        is in flight and no beat is left to take it over; another beat is started for it."""
        self._stop_all()
        for _ in range(5):
            if not self.in_flight():
                return
            self.start(1)
            until(lambda: not self.in_flight(), 30, self.logs)
            self._stop_all()
        raise AssertionError(f"still in flight\n{self.logs()}")

    def _stop_all(self) -> None:
        """Standbys first, so that none of them takes over from a leader that is being stopped."""
        leader = self.leader()
        for beat in [*(each for each in self.beats if each is not leader), leader]:
            if beat is not None and beat.alive:
                beat.term()
                beat.wait(20)
        self.beats.clear()

    # -- looking ----------------------------------------------------------------------------

    @property
    def all_alive(self) -> bool:
        return all(beat.alive for beat in self.beats)

    def holder(self) -> str:
        """The token in the lease, "" if it is free."""
        found: Any = self.client.get(self.key("lease"))
        return found.decode() if found else ""

    def replicas(self) -> dict[str, dict[str, Any]]:
        found: Any = self.client.hgetall(self.key("replicas"))
        return {nonce.decode(): json.loads(fields) for nonce, fields in found.items()}

    def live_pids(self) -> set[int]:
        """The pids of our beats that run and are registered."""
        running = {beat.pid for beat in self.beats if beat.alive}
        return {fields["pid"] for fields in self.replicas().values()} & running

    def leader(self) -> CeleryProcess | None:
        """The beat of ours that holds the lease now."""
        fields = self.replicas().get(self.holder().partition(":")[2])
        if fields is None:
            return None
        return next((beat for beat in self.beats if beat.pid == fields["pid"]), None)

    def wait_for_leader(
        self, *, other_than: CeleryProcess | None = None, timeout_s: float = 30
    ) -> CeleryProcess:
        def found() -> CeleryProcess | None:
            leader = self.leader()
            return leader if leader is not None and leader is not other_than else None

        leader: CeleryProcess = until(
            found, timeout_s, lambda: f"another one leads; they said:\n{self.logs()}"
        )
        return leader

    def in_flight(self) -> int:
        return int(self.client.hlen(self.key("inflight")))  # type: ignore[arg-type]

    def meta(self) -> dict[str, str]:
        found: Any = self.client.hgetall(self.key("meta"))
        return {key.decode(): value.decode() for key, value in found.items()}

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.log()[-6000:]}" for p in self.processes.started)


MakeFleet = Callable[..., Fleet]
