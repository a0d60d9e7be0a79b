"""One scenario: beats, their servers, the faults that were injected, and the verdict.

    arena.start()           three beats that have settled and fire
    … faults …              each noted with its time and victim (inflicting.py)
    arena.finish()          quiet, a polite stop, and the checker's word

Times are those of this machine's clock, which the servers share (but in test_clocks, where the
tape is put right).
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

import habeat
from tests.support.servers.children import until
from tests.support.servers.processes import CeleryProcess
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.chaos.beats import Beats
from tests.system.chaos.figures import build_folder, figures, record
from tests.system.chaos.queue import Queue
from tests.system.chaos.tape import Tape
from tests.verification.history.checker import judge
from tests.verification.history.events import Event, Expectation, Fault, Kind, Lost, merged

TTL_S = 2.0
#: All clocks are the same; but a fault is noted a moment after it was done.
SLACK_US = 20_000
BASE = b"{habeat:proj}:"


def now_us() -> int:
    return time.time_ns() // 1_000


@dataclass
class Arena:
    """`server` keeps the schedule (and is None on Sentinel and Cluster); `way` leads to it."""

    name: str
    beats: Beats
    atomic: bool
    server: Server | None = None
    way: Proxy | None = None
    tape: Tape | None = None
    queue: Queue | None = None
    rabbit: RabbitMQ | None = None
    broker_way: Proxy | None = None
    faults: list[Event] = field(default_factory=list)
    points: dict[int, str] = field(default_factory=dict)
    #: Composes the history of the servers, where that is more than one tape.
    history: Callable[[], list[Event]] | None = None
    at_most_once: frozenset[str] = frozenset()
    #: Entries that cannot fire, and that no test waits for.
    sick: frozenset[str] = frozenset()
    began_s: float = field(default_factory=time.monotonic)

    # -- running ----------------------------------------------------------------------------

    def start(self, count: int = 3) -> None:
        self.beats.start(count)
        self.fires()

    def top_up(self, count: int = 3) -> None:
        """Start beats in the place of those that were killed, and wait until they are known."""
        self.begin_top_up(count)
        self.beats.settle(count)

    def begin_top_up(self, count: int = 3) -> None:
        for _ in range(count - len(self.beats.beats)):
            self.beats.start_one()

    def leader(self, other_than: CeleryProcess | None = None) -> CeleryProcess:
        return self.beats.wait_for_leader(other_than=other_than, timeout_s=60)

    def settled(self) -> int:
        try:
            return int(self.beats.meta().get("settled", 0))
        except redis.RedisError:
            return -1

    def fires(self, timeout_s: float = 120) -> None:
        """Wait until present firings are sent, so that nothing is held up any more."""
        wanted_ms = int(time.time() * 1_000)
        until(
            lambda: self._caught_up(wanted_ms),
            timeout_s,
            lambda: f"the firings of {wanted_ms} are sent; they said\n{self.beats.logs()}",
            every_s=0.1,
        )

    def _caught_up(self, wanted_ms: int) -> bool:
        """Whether every entry that can fire has its cursor beyond that moment."""
        try:
            states: Any = self.beats.client.hgetall(self.beats.key("state"))
            due: Any = self.beats.client.zrange(self.beats.key("due"), 0, -1)
        except redis.RedisError:
            return False
        healthy = [name for name in due if name in states and name.decode() not in self.sick]
        cursors = [int(states[name].split(b"|")[0]) for name in healthy]
        return bool(cursors) and min(cursors) >= wanted_ms

    # -- noting -----------------------------------------------------------------------------

    def note(
        self, kind: Kind, start_us: int, end_us: int, beat: CeleryProcess | None = None
    ) -> None:
        victim = self.beats.nonce(beat) if beat is not None else ""
        self.faults.append(Fault(kind, start_us, end_us, victim))
        print(f"{kind.name} {victim[-6:]} {(end_us - start_us) / 1e6:.2f} s", flush=True)

    @contextlib.contextmanager
    def during(self, kind: Kind, beat: CeleryProcess | None = None) -> Iterator[None]:
        start_us = now_us()
        yield
        self.note(kind, start_us, now_us(), beat)

    def lost(self, kind: Kind, as_of_us: int) -> None:
        """Note that data was lost now: everything since that moment, or all of it if it is 0."""
        at_us = now_us()
        self.faults.append(Fault(kind, as_of_us, at_us))
        self.faults.append(Lost(at_us, kind.name, None if as_of_us else ()))

    # -- the end ----------------------------------------------------------------------------

    def finish(self) -> list[Event]:
        """Quiet; then stop and judge. The logs are kept if anything is wrong."""
        try:
            self.fires()
            time.sleep(TTL_S)  # what a stolen lease's trust held back is recovered
            self.fires()
            dead = [beat.name for beat in self.beats.beats if not beat.alive]
            assert not dead, f"{dead} ended by themselves\n{self.beats.logs()}"
            self._pause_all()
            until(lambda: not self.beats.in_flight(), 120, self.beats.logs)
            self.beats.stop()
            return self._judged()
        except BaseException:
            self._keep_logs()
            raise

    def _pause_all(self) -> None:
        """So that those who are stopped leave nothing in flight, however slow the machine is."""
        conf = self.beats.conf
        url = self.server.url() if self.server is not None else str(conf["habeat_redis_url"])
        options = conf.get("habeat_redis_options")
        due: Any = self.beats.client.zrange(self.beats.key("due"), 0, -1)
        with habeat.Client(url, prefix=self.beats.prefix, options=options) as client:
            for name in due:
                client.pause(name.decode(), "the scenario is over")

    def _judged(self) -> list[Event]:
        events = self.events()
        expectation = Expectation(
            base=BASE.decode(),
            ttl_us=int(TTL_S * 1_000_000),
            atomic=self.atomic,
            slack_us=SLACK_US,
            at_most_once=self.at_most_once,
        )
        verdict = judge(events, expectation)
        found = figures(events, verdict, time.monotonic() - self.began_s, self.points)
        record(self.name, found)
        shown = {key: value for key, value in found.items() if key != "faults"}
        print(self.name, shown, flush=True)
        assert found["messages"], "nothing was sent at all"
        if verdict.problems:
            text = "\n".join(verdict.problems)
            (self._folder() / "problems").write_text(text)
            # Can be judged again: pickle.load, then judge(*it).
            (self._folder() / "history").write_bytes(pickle.dumps((events, expectation)))
            pytest.fail(f"{len(verdict.problems)} problems\n{text[:20_000]}", pytrace=False)
        return events

    def events(self) -> list[Event]:
        """What the servers did, what reached the broker, and the faults, in order."""
        if self.history is not None:
            found = self.history()
        else:
            assert self.tape is not None
            self.tape.stop()
            found = self.tape.events()
        came = self.queue.take() if self.queue is not None else []
        return merged(self.faults, self.beats.orders.unanswered(), found, came)

    def _folder(self) -> Any:
        folder = build_folder() / "chaos" / "".join(c if c.isalnum() else "-" for c in self.name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _keep_logs(self) -> None:
        folder = self._folder()
        for process in self.beats.processes.started:
            shutil.copy(process.log_path, folder)
        print(f"the logs are in {folder}", flush=True)
