"""The troubles of a plan, caused at their times.

A trouble is done to the leader, mostly, for that is where it hurts; or it lies in wait at the
next call of a kind that a leader makes, before the request arrives or between execution and
reply. Everything is reported to the recorder as it happens, with the victim and the span: that is
what the checker may explain a duplicate by, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from habeat.engine.plan import Plan as EnginePlan
from habeat.ports import Tick
from tests.verification.history.events import Kind
from tests.verification.simulation.model import ReplyError
from tests.verification.simulation.plan import SECOND, Trouble
from tests.verification.simulation.staging import Staging
from tests.verification.simulation.world import Host

if TYPE_CHECKING:
    from tests.verification.simulation.run import Simulation

Act = Callable[[Trouble, Host], None]


class Storm(Staging):
    """Carries out a plan."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._world = sim.world
        self._network = sim.network
        self._broker = sim.broker
        #: Taken when the trouble begins: what a snapshot or a lagging Redis replica has.
        self._snapshots: dict[int, tuple[int, object]] = {}

    def brew(self) -> None:
        """Put all troubles on the calendar."""
        for trouble in self._sim.plan.troubles:
            self._world.at(trouble.at_us, self._begin, trouble)

    def _begin(self, trouble: Trouble) -> None:
        host = self._victim(trouble)
        if host is None:
            return
        if trouble.kind in ("restore", "failover"):
            self._snapshots[trouble.number] = (self._world.now_us, self._sim.server.snapshot())
            if not trouble.on:
                self._world.at(min(trouble.us, 2 * SECOND), self._do, trouble, host)
                return
        if trouble.on:
            host.ambushes.append((trouble.on, partial(self._do, trouble)))
        else:
            self._do(trouble, host)

    def _do(self, trouble: Trouble, host: Host) -> None:
        if self._world.now_us < self._sim.calm_us:
            act: Act = getattr(self, "_" + trouble.kind.replace(" ", "_"))
            act(trouble, host)

    def _victim(self, trouble: Trouble) -> Host | None:
        alive = [host for host in self._sim.hosts if host.alive and not host.frozen]
        if not alive:
            return None
        lease = self._sim.server.call("GET", self._sim.keys.lease)
        if lease and trouble.leader:
            nonce = lease.decode().partition(":")[2]
            for host in alive:
                if host.nonce == nonce:
                    return host
        return alive[trouble.number % len(alive)]

    def _until(self, us: int, act: Callable[[], None]) -> None:
        """Do something after a span, or at the end of the storm if that is earlier."""
        self._world.at(min(us, self._sim.calm_us - self._world.now_us), act)

    def _fault(
        self, kind: Kind, us: int = 0, host: Host | None = None, what: str = "", entry: str = ""
    ) -> None:
        self._sim.recorder.fault(kind, us, host.nonce if host else "", what, entry=entry)

    # -- to a replica -------------------------------------------------------------------------

    def _kill(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.KILL, 0, host)
        host.kill()
        self._sim.replace_soon(host)

    def _term(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.TERM, 0, host)
        self._sim.terminate(host)
        self._sim.replace_soon(host)

    def _pause_all(self, trouble: Trouble, host: Host) -> None:
        """A person pauses the whole schedule, and resumes it after a while."""
        at_once = bool(trouble.on) or trouble.amount % 2 == 0
        ends_ms = trouble.us // 1_000 if trouble.amount == 3 else None
        self._sim.people.pause_all(at_once, ends_ms)
        self._until(trouble.us, partial(self._sim.people.resume_all, at_once))

    def _hold(self, trouble: Trouble, host: Host) -> None:
        self._sim.people.hold(f"w{trouble.number}", trouble.us // 1_000, trouble.amount)

    def _step_down(self, trouble: Trouble, host: Host) -> None:
        """The leader is asked to hand over, to another one or to any."""
        others = [each.nonce for each in self._sim.hosts if each.alive and each is not host]
        to = others[0] if others and trouble.amount % 2 else ""
        self._sim.people.ask_to_step_down(to)

    def _late_release(self, trouble: Trouble, host: Host) -> None:
        """A polite stop whose last request is held up on its way."""

        def hold_up(_: Host) -> None:
            self._fault(Kind.LOST_REQUEST, trouble.us, host, "(release)")
            self._network.late_this_us = 600_000 + trouble.us // 2

        host.ambushes.append(("release<", hold_up))
        self._term(trouble, host)

    def _others_at(self, where: str, host: Host, act: Callable[[Host], None]) -> None:
        """Wait for the next caller."""

        def once(other: Host) -> None:
            for waiting in self._sim.hosts:
                waiting.ambushes = [(at, do) for at, do in waiting.ambushes if do is not once]
            act(other)

        for other in self._sim.hosts:
            if other is not host:
                other.ambushes.append((where, once))

    def _late_steal(self, trouble: Trouble, host: Host) -> None:
        """A replica that takes a leader for dead is held up until the leader shows itself again."""
        stuck = trouble.number % 2
        if stuck:  # the lease outlives its holder, for the clock of Redis steps back
            self._step_clock(-60_000)
        else:
            self._deafen(trouble, host)
        us = 3 * self._sim.plan.ttl_ms * 1_000 if stuck else 700_000
        self._fault(Kind.FREEZE, us, host)
        host.freeze()

        def heard_again(other: Host) -> None:
            if not stuck:  # its line is open again, and its next call is not there yet
                host.ambushes.append(("tick<", lambda _: host.sleep(5_000)))
            host.thaw()
            for _ in range(100):
                if not stuck and self._listens(host):
                    return
                other.sleep(300)

        self._others_at("steal<", host, heard_again)
        self._until(us, host.thaw)

    def _listens(self, host: Host) -> bool:
        return any(line.is_open for line in self._network.lines if line.host is host)

    def _all_frozen(self, trouble: Trouble, host: Host) -> None:
        """No replica runs for a while, and a client edits what is due before they continue."""
        us = SECOND + max(trouble.us, SECOND // 2)
        hosts = [found for found in self._sim.hosts if found.alive and not found.frozen]
        for found in hosts:
            self._fault(Kind.FREEZE, us, found)
            found.freeze()

        def go_on() -> None:
            if self._world.now_us < self._sim.calm_us:
                what = ("remove", "update", "", "remove")[trouble.number % 4]
                self._sim.people.edit_all(what)
            for found in hosts:
                found.thaw()

        self._until(us, go_on)

    def _freeze(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.FREEZE, trouble.us, host)
        host.freeze()
        self._until(trouble.us, host.thaw)

    def _freeze_then_term(self, trouble: Trouble, host: Host) -> None:
        """A signal that waits for the process to go on: it is stopped as soon as it does."""
        self._fault(Kind.FREEZE, trouble.us, host)
        host.freeze()

        def go_on() -> None:
            self._fault(Kind.TERM, 0, host)
            host.thaw()
            self._sim.terminate(host)
            self._sim.replace_soon(host)

        self._until(trouble.us, go_on)

    def _freeze_to_mark(self, trouble: Trouble, host: Host) -> None:
        """Frozen until a successor is about to send again what this one has sent."""
        self._fault(Kind.FREEZE, 3 * SECOND, host)
        host.freeze()

        def go_on(other: Host) -> None:
            host.thaw()
            other.sleep(5_000)

        for other in self._sim.hosts:
            if other is not host:
                other.ambushes.append(("mark<", go_on))
        self._until(3 * SECOND, host.thaw)

    def _wedge(self, trouble: Trouble, host: Host) -> None:
        """A leader whose loop runs, and dispatches nothing; the standbys notice it after a while.

        Only by hand: it takes longer than a drawn storm lasts.
        """
        self._fault(Kind.FREEZE, trouble.us + SECOND, host, "(ticks, and sends nothing)")
        engine = self._sim.parts[host.name].engine

        def nothing(found: Tick) -> EnginePlan:
            planned = EnginePlan()
            planned.note_next(found.next_due_ms)
            return planned

        engine._act_on = nothing  # type: ignore[method-assign]
        lease = self._sim.server.call("GET", self._sim.keys.lease)

        def suspect() -> None:
            for other in self._sim.hosts:
                if other is not host and other.alive:
                    self._sim.parts[other.name].election.suspect(lease.decode())

        for us in range(SECOND, trouble.us, SECOND):
            self._until(us, suspect)

    def _cut_off(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.CUT_OFF, trouble.us + self._network.timeout_us, host)
        self._network.cut_off.add(host.name)
        self._until(trouble.us, partial(self._network.cut_off.discard, host.name))

    def _broker_cut(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.BROKER_CUT, trouble.us, host)
        self._broker.cut_off.add(host.name)
        self._until(trouble.us, partial(self._broker.cut_off.discard, host.name))

    def _lose_request(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.LOST_REQUEST, self._network.timeout_us, host, trouble.on)
        self._network.lose_this = True

    def _late_request(self, trouble: Trouble, host: Host) -> None:
        """It arrives after its sender has given up and may have moved on."""
        late_us = self._network.timeout_us + trouble.us % 250_000
        self._fault(Kind.LOST_REQUEST, late_us, host, f"{trouble.on} (late)")
        self._network.late_this_us = late_us

    def _lose_reply(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.LOST_REPLY, self._network.timeout_us, host, trouble.on)
        self._network.lose_this = True

    def _confirm_lost(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.CONFIRM_LOST, self._sim.plan.publish_timeout_ms * 1_000, host)
        self._broker.lose_this = True

    def _deafen(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.PUBSUB_CUT, 0, host)
        for line in list(self._network.lines):
            if line.host is host:
                line.drop()

    def _host_clock(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.HOST_CLOCK, 0, host, f"{trouble.amount} ms")
        host.skew_ms += trouble.amount

    # -- to Redis -----------------------------------------------------------------------------

    def _restore(self, trouble: Trouble, host: Host) -> None:
        self._go_back(trouble, Kind.REDIS_RESTORED, "a snapshot was restored")

    def _failover(self, trouble: Trouble, host: Host) -> None:
        gone_us = 50_000 + trouble.us // 4
        self._go_back(trouble, Kind.REDIS_FAILOVER, "a Redis replica that lagged took over")
        self._fault(Kind.REDIS_DOWN, gone_us + self._network.timeout_us)
        self._unreachable(gone_us)

    def _restored_call(self, trouble: Trouble, host: Host) -> None:
        """A snapshot between two calls of the leader takes the place of what the second did."""
        self._snapshots[trouble.number] = (self._world.now_us, self._sim.server.snapshot())
        host.ambushes.append(("claim>", partial(self._restore, trouble)))

    def _evicted(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.EVICTED)
        self._network.caller = None
        self._by_hand("DEL", self._sim.keys.lease)

    def _evicted_slow(self, trouble: Trouble, host: Host) -> None:
        """The lease is gone while a message of its holder takes its time."""
        self._evicted(trouble, host)
        self._broker_slow(trouble, host)

    def _clock_slow(self, trouble: Trouble, host: Host) -> None:
        """The same by the clock of Redis."""
        self._step_clock(max(3_000, abs(trouble.amount)))
        self._broker_slow(trouble, host)

    def _killed_then_clock(self, trouble: Trouble, host: Host) -> None:
        """An intent is left behind, and the clock goes back while its heir has to wait."""
        self._kill(trouble, host)
        self._others_at("recover<", host, lambda _: self._step_clock(-60_000))

    def _step_clock(self, amount_ms: int) -> None:
        if amount_ms < 0 and self._sim.plan.never_back:
            return
        if amount_ms > 0 and self._sim.server.call("HLEN", self._sim.keys.untrusted):
            return  # an heir waits by this clock until an old trust has ended: a limit of habeat
        if self._world.now_us < self._sim.calm_us:
            self._fault(Kind.REDIS_CLOCK, 0, None, f"{amount_ms} ms")
            self._sim.server_offset_us += amount_ms * 1_000
            self._sim.stepped_back |= amount_ms < 0

    def _go_back(self, trouble: Trouble, kind: Kind, how: str) -> None:
        taken_us, snapshot = self._snapshots[trouble.number]
        copied = self._network.copied if kind is Kind.REDIS_FAILOVER else None
        if copied is not None and copied[0] > taken_us:
            taken_us, snapshot = copied
        self._sim.recorder.loss(kind, taken_us)
        claimed = self._sim.watching.claimed()
        self._sim.server.restore(snapshot)
        self._sim.server.forget_scripts()
        self._sim.recorder.lost(how)
        if kind is Kind.REDIS_FAILOVER and self._sim.plan.waits:
            self._sim.watching.check_copied(claimed)
        self._network.drop_lines()

    def _empty(self, trouble: Trouble, host: Host) -> None:
        self._sim.recorder.loss(Kind.REDIS_EMPTIED, 0)
        self._sim.server.empty()
        self._sim.recorder.lost("it was emptied")

    def _emptied_for_a_while(self, trouble: Trouble, host: Host) -> None:
        """Redis is empty when it answers once, and what had been there comes back before it looks.

        It learns so from a claim, or from a look when its window is over.
        """
        call = "claim" if trouble.number % 2 else "observe"

        def empty(_: Host) -> None:
            self._snapshots[trouble.number] = (self._world.now_us, self._sim.server.snapshot())
            self._empty(trouble, host)
            back = "observe<" if call == "claim" else "observe>"
            host.ambushes.append((back, partial(self._restore, trouble)))

        host.ambushes.append((f"{call}<", empty))
        if call == "observe":
            self._freeze(trouble, host)

    def _redis_down(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.REDIS_DOWN, trouble.us + self._network.timeout_us)
        self._unreachable(trouble.us)

    def _redis_restart(self, trouble: Trouble, host: Host) -> None:
        us = trouble.us // 3
        self._fault(Kind.REDIS_DOWN, us + self._network.timeout_us, None, "(restarted)")
        self._sim.server.forget_scripts()
        self._network.drop_lines()
        self._unreachable(us)

    def _unreachable(self, us: int) -> None:
        self._network.down = True
        self._until(us, partial(setattr, self._network, "down", False))

    def _redis_slow(self, trouble: Trouble, host: Host) -> None:
        slow_us = self._network.timeout_us * (2 if trouble.amount > 0 else 1) // 2
        self._fault(Kind.REDIS_SLOW, trouble.us + 2 * slow_us, None, f"by {slow_us} us")
        self._network.slow_us = slow_us
        self._until(trouble.us, partial(setattr, self._network, "slow_us", 0))

    def _redis_oom(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.REDIS_OOM, trouble.us)
        self._sim.server.limit(no_memory=True)
        self._until(trouble.us, self._sim.server.limit)

    def _redis_readonly(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.REDIS_READONLY, trouble.us)
        self._sim.server.limit(read_only=True)
        self._until(trouble.us, self._sim.server.limit)

    def _redis_clock(self, trouble: Trouble, host: Host) -> None:
        self._step_clock(trouble.amount)

    def _lossy(self, trouble: Trouble, host: Host) -> None:
        network = self._network
        network.lose_request, network.lose_reply = 0.1, 0.2
        self._world.tell("FAULT the network loses messages for %.3f s", trouble.us / 1e6)
        self._until(trouble.us, self._sim.not_lossy)

    # -- to the broker ------------------------------------------------------------------------

    def _broker_down(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.BROKER_DOWN, trouble.us)
        self._broker.down = True
        self._until(trouble.us, partial(setattr, self._broker, "down", False))

    def _slow_backlog(self, trouble: Trouble, host: Host) -> None:
        """Messages that could not be sent are sent in one batch, slowly."""
        us = 700_000 + trouble.number * 100_000
        self._fault(Kind.BROKER_DOWN, us)
        self._broker.down = True

        def back() -> None:
            self._broker.down = False
            if self._world.now_us < self._sim.calm_us:
                self._broker_slow(trouble, host)

        self._until(us, back)

    def _broker_hangs(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.BROKER_HANGS, trouble.us + SECOND // 100)
        left_us = max(0, self._sim.calm_us - self._world.now_us)
        self._broker.hangs_until_us = self._world.now_us + min(trouble.us, left_us)

    def _broker_slow(self, trouble: Trouble, host: Host) -> None:
        # It makes things late and may explain a miss, but never a duplicate: as poison does.
        us = SECOND + 2 * trouble.us
        self._fault(Kind.POISON, us, None, "the broker is slow")
        self._broker.slow_us = 900_000
        self._until(us, partial(setattr, self._broker, "slow_us", 1_000))

    def _deafen_slow(self, trouble: Trouble, host: Host) -> None:
        """A live leader looks dead while its message takes its time."""
        self._deafen(trouble, host)
        self._broker_slow(trouble, host)

    def _refuse(self, trouble: Trouble, host: Host) -> None:
        name = self._sim.any_name()
        us = max(trouble.us, 9 * SECOND // 2) if trouble.number % 2 else trouble.us
        if self._sim.plan.attempts_cap > 2 and abs(trouble.amount) == 60_000:
            us = 13 * SECOND
        problem = f"the broker refuses {name}"
        self._sim.recorder.fault(Kind.POISON, us, "", problem, outlasts=True, entry=name)
        self._broker.refuse.add(name)
        self._world.at(us, self._broker.refuse.discard, name)

    # -- to entries ---------------------------------------------------------------------------

    def _unrenderable(self, trouble: Trouble, host: Host) -> None:
        name, how = self._sim.any_name(), ("failed", "bug", "bypassed")[trouble.number % 3]
        problem = f"{name} cannot be rendered ({how})"
        self._fault(Kind.POISON, trouble.us, None, problem, name)
        self._broker.unrenderable[name] = how
        self._until(trouble.us, lambda: self._broker.unrenderable.pop(name, None) and None)

    def _garble(self, trouble: Trouble, host: Host) -> None:
        name = self._sim.any_name()
        key, call = self._sim.keys.entries, self._sim.server.call
        raw, garbled = call("HGET", key, name), b"{garbled %d" % trouble.number
        if raw is None or raw.startswith(b"{garbled"):
            return
        if not self._by_hand("HSET", key, name, garbled):
            return
        problem = f"the definition of {name} is garbled"
        self._fault(Kind.POISON, trouble.us, None, problem, name)

        def mend() -> None:
            if call("HGET", key, name) != garbled:
                return  # a client has written it again: what we took away is older
            if self._by_hand("HSET", key, name, raw):
                self._sim.people.resume(name)
            else:
                self._world.at(100_000, mend)

        self._until(trouble.us, mend)

    def _by_hand(self, *words: object) -> bool:
        """A person types a command; returns whether Redis took it."""
        try:
            self._sim.server.call(*words)
        except ReplyError:
            return False
        return True

    def _edit(self, trouble: Trouble, host: Host) -> None:
        people, at_once = self._sim.people, bool(trouble.on)
        if trouble.on == "claim<" and trouble.number % 2:
            people.edit_all("describe")
        elif trouble.us % 3 == 0:
            people.pair(at_once)
        elif at_once:
            people.edit(at_once)
        else:
            for number in range(3):
                self._world.at(number * 150_000, self._soon, lambda: people.edit(at_once))

    def _soon(self, act: Callable[[], None]) -> None:
        if self._world.now_us < self._sim.calm_us:
            act()

    def _deploy(self, trouble: Trouble, host: Host) -> None:
        self._fault(Kind.DEPLOY)
        self._sim.deploy(200_000 + trouble.us // 4)
