"""People who change the schedule during the storm, through the shipped client's own code.

An edit is a short-lived process: it reads, plans and writes over the network, and repeats the
whole attempt as `habeat.client.calls` does. An edit that waits at a call of the leader happens
outside network and time, between two steps of the leader: the narrowest race possible.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from habeat.client.attempts import Overtaken, _may_pass
from habeat.client.by_hand import backfilled, triggered
from habeat.client.editing import Editing
from habeat.client.guard import NO_GUARD
from habeat.client.holding import paused_all, resumed_all
from habeat.client.stepping_down import ask
from habeat.core.controls import StepDown, stored_window
from habeat.core.holds import Window
from habeat.core.limits import DEFAULT_LIMITS
from habeat.errors import HabeatError
from habeat.schedules import Interval
from habeat.store.calling import Caller
from habeat.store.controls import ControlStore
from habeat.store.entries import EntryStore
from habeat.store.inspection import Inspection
from tests.verification.history.events import Kind
from tests.verification.simulation.model import ReplyError
from tests.verification.simulation.network import Client, Clients, Direct
from tests.verification.simulation.world import Host

if TYPE_CHECKING:
    from tests.verification.simulation.run import Simulation

TIMEOUT_US = 5_000_000
#: How long a client may take between reading and writing.
SLOW_US = 500_000
#: What two people do to the same entry, or one person in a row.
PAIRS = (
    *(("describe", "update"), ("update", "describe"), ("describe", "describe")),
    *(("pause", "update"), ("pause", "update"), ("pause", "update"), ("pause", "resume")),
    *(("remove", "update"), ("remove", "add"), ("disable", "update"), ("describe", "remove")),
)


class RetryingCalls:
    """`client.calls.RetryingCalls` in virtual time."""

    timeout_s = TIMEOUT_US / 1e6
    guard = NO_GUARD
    plans_only = False

    def __init__(self, sim: Simulation, host: Host | None) -> None:
        client = Client(host, sim.network) if host else Direct(sim.server)
        self.location = SimpleNamespace(
            limits=DEFAULT_LIMITS, timezone="UTC", ledger_age_ms=86_400_000
        )
        self._host = host
        caller = Caller(Clients(client), sim.keys)
        self._desk: Any = SimpleNamespace(
            entries=EntryStore(caller), inspection=Inspection(caller), controls=ControlStore(caller)
        )

    def bounded(self, more_s: float = 0.0) -> RetryingCalls:
        return self

    def check(self, done: object) -> None:
        """Never runs out of time."""

    def write(self, attempt: Callable[[Any], Any]) -> Any:
        host = self._host
        if host is None:
            return attempt(self._desk)
        ends_us = host.world.now_us + TIMEOUT_US
        while True:
            try:
                return attempt(self._desk)
            except (HabeatError, Overtaken) as error:
                if not _may_pass(error) or host.world.now_us > ends_us:
                    raise
                host.sleep(10_000 + int(40_000 * host.world.random.random()))

    read = write


class People:
    """Makes edits; what to do is drawn when it is done, for it depends on what is there."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._count = 0
        self._stepping_down_until_us = 0
        #: Identities (entry, request id) of triggers that were accepted, and when.
        self.asked: dict[tuple[str, str], int] = {}

    def edit(self, at_once: bool, name: str = "", what: str = "") -> None:
        """One change by a client; at once, or over the network."""
        self._count += 1
        act, problem = self._drawn(f"q{self._count}", name or self._any(), what)
        if at_once:
            self._do(act, problem, None)
        else:
            person = Host(
                self._sim.world, f"person{self._count}", lambda host: self._do(act, problem, host)
            )
            if self._sim.world.random.random() < 0.7:  # a slow one: others are faster meanwhile
                pause_us = int(SLOW_US * self._sim.world.random.random())
                for call in ("write<", "rename<", "request<"):
                    person.ambushes.append((call, lambda host: host.sleep(pause_us)))
                person.ambushes.append(("remove<", lambda host: host.sleep(pause_us // 5)))

    def pair(self, at_once: bool) -> None:
        """Two changes of one entry: by two people who do not know of each other, or in a row."""
        name, draw = self._any(), self._sim.world.random
        first, second = draw.choice(PAIRS)
        self.edit(at_once, name, first)
        self.edit(at_once, name, second)

    def edit_all(self, what: str) -> None:
        """Change every entry of the API at once; "describe" only makes a new revision."""
        for plan in self._sim.plan.entries:
            if not plan.config:
                self.edit(True, plan.name, what)

    def pause_all(self, at_once: bool, ends_ms: int | None) -> None:
        """Pause the whole schedule, for this long or until it is resumed."""
        until = None if ends_ms is None else _moment(self._sim.server.now_us() // 1_000 + ends_ms)
        self._ask(at_once, "pause all", lambda calls: paused_all(calls, "", until, "me"))

    def resume_all(self, at_once: bool) -> None:
        self._ask(at_once, "resume all", resumed_all)

    def hold(self, name: str, for_ms: int, how: int) -> None:
        """Hold all entries for a while, from now on."""
        now_ms = self._sim.server.now_us() // 1_000
        every_ms = max(1_000, 2 * for_ms)
        window = Window(
            name,
            now_ms,
            now_ms + (3 * every_ms if how == 2 else for_ms),
            Interval(every_ms, now_ms % every_ms) if how == 2 else None,
            for_ms,
            latest=how in (1, 2),
        )

        def act(calls: RetryingCalls) -> None:
            # Past the checks of `add_hold`, which allows no window as short as those of a run.
            store = calls._desk.controls
            store.write(f"hold {self._count}", f"hold:{name}", "", stored_window(window))

        self._ask(True, f"hold {name}", act)

    def ask_to_step_down(self, to: str) -> None:
        """As `client.step_down`, which refuses if there is no other replica, and waits for it."""
        now_us = self._sim.world.now_us
        if now_us < self._stepping_down_until_us:
            return
        self._stepping_down_until_us = now_us + 1_000_000
        lease = self._sim.server.call("GET", self._sim.keys.lease)
        there = [host for host in self._sim.hosts if host.alive and host.gone_us is None]
        if lease is not None and len(there) > 1:
            wanted = StepDown(lease.decode(), to, 0, "me")
            self._ask(True, "step down", lambda calls: ask(calls, wanted))

    def _ask(self, at_once: bool, problem: str, act: Callable[[Any], Any]) -> None:
        self._count += 1
        if at_once:
            self._do(act, problem, None)
        else:
            Host(self._sim.world, f"person{self._count}", lambda host: self._do(act, problem, host))

    def trigger(self, name: str, request: str) -> None:
        """A client requests a firing under an id of its own."""

        def act(calls: RetryingCalls) -> None:
            triggered(calls, name, None, None, request)  # type: ignore[arg-type]
            self.asked[name, request] = self._sim.world.now_us

        self._do(act, f"trigger {name} as {request}", None)

    def _any(self) -> str:
        """Mostly one of the API's: what the code declares can only be paused."""
        draw, sim = self._sim.world.random, self._sim
        own = [plan.name for plan in sim.plan.entries if not plan.config]
        return draw.choice(own) if own and draw.random() < 0.8 else sim.any_name()

    def resume(self, name: str) -> None:
        """Take an entry out of quarantine, once it can be read again."""

        def act(calls: RetryingCalls) -> None:
            Editing(calls).resume(name, catch_up=False)  # type: ignore[arg-type]

        Host(self._sim.world, f"{name} mended", lambda host: self._do(act, f"mend {name}", host))

    def _do(self, act: Callable[[RetryingCalls], Any], problem: str, host: Host | None) -> None:
        sim = self._sim
        sim.recorder.fault(Kind.EDIT, 0, "", problem)
        try:
            act(RetryingCalls(sim, host))
        except (HabeatError, ReplyError) as error:
            sim.world.tell("somebody: %s: %s", problem, error)
        else:
            sim.world.tell("somebody: %s: done", problem)

    def _drawn(
        self, request: str, name: str, what: str
    ) -> tuple[Callable[[RetryingCalls], Any], str]:
        random = self._sim.world.random
        now_ms = self._sim.server.now_us() // 1_000
        seconds = random.choice((0.3, 0.5, 1, 2))
        until_ms = now_ms + random.choice((100, 300, 700, 1_200))
        catch_up = random.random() < 0.3
        start, end = _moment(now_ms - 4_000), _moment(now_ms - 500)
        pace = random.choice((2.0, 20.0))
        other = f"{name}x"

        def trigger(calls: RetryingCalls) -> None:
            triggered(calls, name, None, None, request)  # type: ignore[arg-type]
            self.asked[name, request] = self._sim.world.now_us

        def backfill(calls: RetryingCalls) -> None:
            backfilled(calls, name, start, end, pace=pace, dry_run=False, identity=request)  # type: ignore[arg-type]

        given = {"task": "task", "schedule": seconds}
        acts: list[tuple[str, Callable[[Editing], Any]]] = [
            (f"update {name} to every {seconds} s", lambda e: e.update(name, None, given)),
            (f"describe {name}", lambda e: e.update(name, None, {"description": request})),
            (f"pause {name}", lambda e: e.pause(name, "", None)),
            (f"pause {name} for a while", lambda e: e.pause(name, "", until_ms)),
            (f"resume {name}", lambda e: e.resume(name, catch_up=catch_up)),
            (f"remove {name}", lambda e: e.remove(name)),
            (f"add {name}", lambda e: e.add(name, given, may_replace=True)),
            (f"rename {name} to {other}", lambda e: e.rename(name, other)),
            (f"rename {other} to {name}", lambda e: e.rename(other, name)),
            (f"disable {name}", lambda e: e.update(name, None, {"enabled": False})),
            (f"enable {name}", lambda e: e.update(name, None, {"enabled": True})),
        ]
        weights = (3, 1, 2, 5, 3, 1, 2, 1, 1, 1, 2, 4, 2)
        if what:
            problem, act = next(found for found in acts if found[0].startswith(what))
            return lambda calls: act(Editing(calls)), problem  # type: ignore[arg-type]
        problem, act = random.choices([*acts, ("trigger", None), ("backfill", None)], weights)[0]
        if problem == "trigger":
            return trigger, f"trigger {name} as {request}"
        if problem == "backfill":
            return backfill, f"backfill {name} as {request}"
        return lambda calls: act(Editing(calls)), problem  # type: ignore[arg-type, misc]


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)
