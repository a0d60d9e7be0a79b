"""One simulated run: a plan, its storm, a quiet phase, a verdict.

The quiet phase ends as soon as all is as it should be (nothing in flight, every entry up to date,
no request pending), and a moment more is watched. It has a limit, and what has not recovered by
then is a problem: that is the check of liveness.
"""

from __future__ import annotations

import hashlib
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.core.entry import Delivery, Entry, EntryState, Misfire
from habeat.entries import changes, codec
from habeat.ports.entries import Stored
from habeat.schedules import every
from habeat.store.calling import Caller
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from tests.verification.history.checker import Verdict, judge
from tests.verification.history.events import Expectation, Fault, Kind
from tests.verification.simulation.broker import BAD_PART, BAD_QUEUE, Broker
from tests.verification.simulation.conduct import Conduct
from tests.verification.simulation.model import Server
from tests.verification.simulation.network import (
    SLOWEST_REPLY_US,
    Clients,
    Direct,
    Network,
    texts,
)
from tests.verification.simulation.people import SLOW_US, People
from tests.verification.simulation.plan import SECOND, EntryPlan, Plan
from tests.verification.simulation.recorder import Recorder
from tests.verification.simulation.replica import Parts, engine_as_planned, live
from tests.verification.simulation.storm import Storm
from tests.verification.simulation.story import Story
from tests.verification.simulation.watching import Watching
from tests.verification.simulation.world import Endless, Host, Stuck, World

PREFIX = "sim"
START_US = 1_700_000_000 * SECOND
CALM_BEFORE_US = 3 * SECOND // 10
QUIET_STEP_US = SECOND // 5
#: How long the run is watched once everything is well again.
AFTERMATH_US = 2 * SECOND // 5

LOG = logging.getLogger("habeat")


class Bugs(logging.Handler):
    """Collects the exceptions that the engine survives: none of ours may be raised at all."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            text = "".join(traceback.format_exception(record.exc_info[1])[-4:])
            self.found[record.getMessage()] = text


BUGS = Bugs()


@contextmanager
def _listening() -> Iterator[None]:
    """Of the engine's log only the exceptions are looked at; afterwards it is as it was."""
    before = LOG.level, LOG.propagate
    BUGS.found.clear()
    LOG.addHandler(BUGS)
    LOG.setLevel(logging.ERROR)
    LOG.propagate = False
    try:
        yield
    finally:
        LOG.removeHandler(BUGS)
        LOG.setLevel(before[0])
        LOG.propagate = before[1]


@dataclass
class Outcome:
    """The result of a run."""

    problems: list[str]
    verdict: Verdict | None
    figures: dict[str, int] = field(default_factory=dict)
    faults: dict[Kind, int] = field(default_factory=dict)


class Simulation:
    """A plan, run to its verdict."""

    def __init__(self, plan: Plan, *, telling: bool = False, server: Server | None = None) -> None:
        self.plan = plan
        self.world = World(f"run {plan.seed}", START_US + plan.phase_ms * 1_000)
        if telling:
            self.world.log = []
        self.server_offset_us = 0
        self.stepped_back = False
        self.server = server or Server(lambda: 0)
        self.server.know_scripts(texts())
        self.server.now_us = lambda: self.world.now_us + self.server_offset_us
        self.network = Network(self.world, self.server, plan.timeout_us)
        self.server.on_publish = self.network.say
        self.keys = Keys(PREFIX)
        self.story = Story(self) if telling else None
        self.nonces: dict[str, Host] = {}
        self.hosts: list[Host] = []
        self.parts: dict[str, Parts] = {}
        self.names = [entry.name for entry in plan.entries]
        #: When the storm ends; what is said to last longer, ends then.
        self.calm_us = self.world.start_us + CALM_BEFORE_US + plan.storm_us
        self.network.watching = self.watching = Watching(self)
        self.network.conduct = self.conduct = Conduct(self)
        self.recorder = Recorder(self)
        self.broker = Broker(self.world, self.recorder.arrival)
        self.network.on_lost = self._lost_by_chance
        self.network.uncopied = self._uncopied_by_chance
        self.people = People(self)
        self._started = 0
        self._deployed = 0

    # -- building -----------------------------------------------------------------------------

    def _seed(self) -> None:
        """The entries of the API, made by a client before the run; the others are declared."""
        caller = Caller(Clients(Direct(self.server)), self.keys)
        now_ms = self.server.now_us() // 1_000
        writes = [
            changes.addition(
                Stored(plan.name, "", None, EntryState()), entry_of(plan), now_ms
            ).write
            for plan in self.plan.entries
            if not plan.config
        ]
        if writes:
            EntryStore(caller).write(writes)
        if any(plan.task == "poisoned" for plan in self.plan.entries):
            self.server.call("SET", BAD_QUEUE, "this is no list")
            for plan in self.plan.entries:
                if plan.task == "poisoned":
                    text = "its queue is no list"
                    for name in (plan.name, f"{plan.name}x"):  # and renamed by a client
                        self.recorder.fault(Kind.POISON, 600 * SECOND, "", text, entry=name)
        for plan in self.plan.entries:
            if plan.task == "group":
                self.server.call("SET", BAD_PART, "this is no list")
                text = "a queue of its group is no list"
                self.recorder.fault(Kind.POISON, 600 * SECOND, "", text, entry=plan.name)

    def _declared(self) -> BeatSchedule:
        """What the code declares now; each deploy changes the period of one entry."""
        found = {}
        config = [plan for plan in self.plan.entries if plan.config]
        for number, plan in enumerate(config):
            changed = number == self._deployed % 3 and self._deployed > 0
            plan = replace(plan, every_ms=900 + 100 * self._deployed) if changed else plan
            found[plan.name] = declared_of(plan)
        return BeatSchedule(found)

    def start_replica(self) -> Host:
        """One more process."""
        self._started += 1
        declared = self._declared()
        host = Host(self.world, f"r{self._started}", lambda host: live(self, host, declared))
        self.hosts.append(host)
        self.world.tell("%s: started", host.name)
        return host

    def any_name(self) -> str:
        return self.world.random.choice(self.names)

    # -- what the storm asks for --------------------------------------------------------------

    def replace_soon(self, host: Host) -> None:
        """A supervisor (systemd, Kubernetes) starts another one."""
        self.world.at(self.world.random.randrange(2 * SECOND), self.start_replica)

    def terminate(self, host: Host) -> None:
        """SIGTERM; the second of a process would not wait, and is not sent."""
        host.signalled |= not host.stopping
        host.stopping = True
        host.going()
        host.wake()

    def deploy(self, pause_us: int) -> None:
        """A rolling deploy: each replica is replaced by one of the next configuration."""
        self._deployed += 1
        for number, host in enumerate([host for host in self.hosts if host.alive]):
            self.world.at(number * pause_us, self._roll, host)

    def _roll(self, host: Host) -> None:
        if host.alive and not host.stopping:
            self.recorder.fault(Kind.TERM, 0, host.nonce)
            self.terminate(host)
            self.start_replica()

    def not_lossy(self) -> None:
        self.network.lose_request = self.network.lose_reply = 0.0

    def _lost_by_chance(self, host: Host, what: str, until_us: int) -> None:
        kind = Kind.LOST_REQUEST if what == "request" else Kind.LOST_REPLY
        self.recorder.fault(kind, until_us - self.world.now_us, host.nonce)

    def _uncopied_by_chance(self, host: Host) -> bool:
        """The Redis replicas that claims wait for lag, so claimed messages are not sent for now."""
        if self.world.now_us > self.calm_us or self.world.random.random() > 0.03:
            return False
        self.recorder.fault(Kind.REDIS_SLOW, 1, "", "(no Redis replica has it in time)")
        self.watching.gives_up(host)
        return True

    # -- running ------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """The storm, the quiet, the verdict; never raises for what the engine does."""
        with _listening(), engine_as_planned(self.plan):
            return self._outcome()

    def take_apart(self) -> None:
        """Break reference cycles, because the collector takes long to find them."""
        self.world.forget()
        for host in self.hosts:
            vars(host).clear()
        for part in (
            *(self.recorder, self.watching, self.network, self.server, self.people),
            self.conduct,
        ):
            vars(part).clear()
        vars(self).clear()

    def _outcome(self) -> Outcome:
        problems: list[str] = []
        try:
            self._run(problems)
        except (Endless, Stuck) as error:
            problems.append(f"HANG: {error}")
        except Exception as error:
            text = "".join(traceback.format_exception(error)[-4:])
            problems.append(f"EXCEPTION: {error!r}\n{text}")
        finally:
            for host in self.hosts:
                host.bury()
        problems += [f"BUG: {what}\n{where}" for what, where in BUGS.found.items()]
        problems += self.watching.problems
        verdict = self._judge()
        figures = self.recorder.figures() | {
            "replicas": len(self.hosts),
            "script calls": self.network.calls,
            "virtual ms": (self.world.now_us - self.world.start_us) // 1_000,
        }
        return Outcome(problems + verdict.problems, verdict, figures, self.recorder.faults)

    def _run(self, problems: list[str]) -> None:
        world, plan = self.world, self.plan
        self._seed()
        for _ in range(plan.replicas):
            self.start_replica()
        world.run(world.start_us + CALM_BEFORE_US)
        Storm(self).brew()
        world.run(self.calm_us)
        self._calm()
        ends_us = world.now_us + plan.quiet_most_us
        while (wrong := self._not_well()) and world.now_us < ends_us:
            world.run(world.now_us + QUIET_STEP_US)
        if wrong:
            problems.append(f"LIVENESS: after {plan.quiet_most_us // SECOND} s of quiet {wrong}")
        world.run(world.now_us + AFTERMATH_US)
        # Not in the middle of a firing; and a claim that had been given up may have arrived since,
        # whose intents wait until the trust of its sender has ended.
        for _ in range(2_000):
            if not self.server.call("HLEN", self.keys.inflight):
                break
            world.run(world.now_us + 5_000)

    def _calm(self) -> None:
        self.world.tell("-- quiet --")
        world, network, broker = self.world, self.network, self.broker
        world.run(world.now_us + 1)  # what the storm has left to end
        network.down = broker.down = False
        network.slow_us = 0
        self.not_lossy()
        self.server.limit()
        # What these were in the way of can be sent now.
        self.server.call("DEL", BAD_QUEUE, BAD_PART)
        for host in self.hosts:
            host.ambushes.clear()
        while sum(host.alive and not host.stopping for host in self.hosts) < 2:
            self.start_replica()

    def _not_well(self) -> str:
        """What is not yet as it should be, "" if all is."""
        call, keys = self.server.call, self.keys
        if self.broker.refuse:
            return "the broker refuses messages"
        if call("GET", keys.lease) is None:
            return "nobody leads"
        if flying := call("HKEYS", keys.inflight):
            return f"firings are in flight: {flying}"
        # A backfill has its pace by the clock of Redis: what was put back, is waited for.
        if not self.stepped_back and (asked := call("HKEYS", keys.requests)):
            return f"requests are not carried out: {asked}"
        declared = {each.name for each in self.plan.entries if each.config}
        missing = sorted(name for name in declared if not call("HEXISTS", keys.entries, name))
        if missing:
            return f"entries of the code are not stored: {missing}"
        now_ms = self.server.now_us() // 1_000
        late = call("ZRANGEBYSCORE", keys.due, "-inf", now_ms - 1_500, "WITHSCORES")
        return f"entries are behind: {late}" if late else ""

    def _judge(self) -> Verdict:
        plan = self.plan
        expectation = Expectation(
            base=self.keys.base,
            ttl_us=plan.ttl_ms * 1_000,
            atomic=plan.atomic,
            slack_us=1_000,  # Redis counts in whole milliseconds
            behind_us=SLOWEST_REPLY_US,
            prompt_us=SECOND // 2,
            handover_us=SECOND // 4,
            timeout_us=plan.timeout_us,
            start_us=self.world.start_us,
            attempts_cap=plan.attempts_cap + 1,
            edit_slack_us=SLOW_US // 5 + 2 * plan.timeout_us + 150_000,
            window=plan.most_under_way,
        )
        return judge([*self.recorder.events, *self._no_one()], expectation)

    def _no_one(self) -> Iterator[Fault]:
        """The times at which no replica was there to lead."""
        there_us = 0
        for host in self.hosts:  # in the order in which they were started
            if 0 < there_us < host.began_us:
                yield Fault(Kind.NOBODY, there_us, host.began_us)
            gone_us = self.world.now_us if host.gone_us is None else host.gone_us
            there_us = max(there_us, gone_us)


@lru_cache(maxsize=64)
def declared_of(plan: EntryPlan) -> Entry:
    """The same as code declares it."""
    entry = entry_of(plan)
    digest = hashlib.sha1(codec.encode(entry), usedforsecurity=False).hexdigest()
    return replace(entry, fingerprint=digest)


def entry_of(plan: EntryPlan) -> Entry:
    """The entry that a plan describes."""
    options: dict[str, Any] = {}
    return Entry(
        plan.name,
        plan.task,
        every(plan.every_ms / 1_000, offset=0),
        options=options,
        owner="config" if plan.config else "api",
        misfire=Misfire(plan.misfire) if plan.misfire else None,
        misfire_grace_ms=plan.grace_ms,
        misfire_limit=plan.limit,
        misfire_pace=plan.pace,
        misfire_window_ms=plan.window_ms,
        delivery=Delivery.AT_MOST_ONCE if plan.at_most_once else None,
        jitter_ms=plan.jitter_ms,
        spread_ms=plan.spread_ms,
        deadline_ms=plan.deadline_ms,
        max_runs=plan.max_runs,
    )
