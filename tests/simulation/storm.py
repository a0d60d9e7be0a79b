"""The faults of a run, drawn from its seed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.history import Fault
from tests.simulation.world import SECOND, Host

if TYPE_CHECKING:
    from tests.simulation.run import Simulation


class Storm:
    """Two to seven of these, at random moments; what they do is noted for the checker."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self._world = simulation.world

    def brew(self) -> None:
        """Schedule the faults of this run."""
        random, plan = self._world.random, self._sim.plan
        kinds = [
            self.kill,
            self.freeze,
            self.stop,
            self.cut_off,
            self.redis_down,
            self.lossy,
            self.restart_clock,
            self.deafen,
            self.ambush_kill,
            self.ambush_freeze,
            self.ambush_freeze,
            self.restore,
        ]
        if not plan.atomic:
            kinds += [self.broker_down, self.confirms_lost]
        for _ in range(random.randrange(2, 8)):
            self._world.at(random.randrange(plan.storm_s * SECOND), random.choice(kinds))

    def _leader_or_any(self) -> Host | None:
        alive = [host for host in self._sim.hosts if host.alive and not host.frozen]
        if not alive:
            return None
        lease = self._sim.server.call("GET", self._sim.keys.lease)
        for host in alive:
            if lease and lease.decode().endswith(host.name) and self._world.random.random() < 0.8:
                return host
        return self._world.random.choice(alive)

    def _fault(self, kind: str, us: int) -> None:
        now_us = self._world.now_us
        self._world.tell(f"FAULT {kind} for {us / 1e6:.3f} s")
        self._sim.history.faults.append(Fault(kind, now_us, now_us + us))

    def kill(self) -> None:
        host = self._leader_or_any()
        if host:
            self._fault(f"SIGKILL {host.name}", 0)
            host.kill()
            self._world.at(self._world.random.randrange(4 * SECOND), self._sim.start_replica)

    def stop(self) -> None:
        host = self._leader_or_any()
        if host:
            self._world.tell(f"SIGTERM {host.name}")
            host.stopping = True  # type: ignore[attr-defined]
            host.wake()
            self._world.at(self._world.random.randrange(4 * SECOND), self._sim.start_replica)

    def freeze(self) -> None:
        host = self._leader_or_any()
        if host:
            us = self._world.random.choice((50_000, 1_500_000, 3 * SECOND, 7 * SECOND))
            self._fault(f"SIGSTOP {host.name}", us)
            host.freeze()
            self._world.at(us, host.thaw)

    def cut_off(self) -> None:
        host = self._leader_or_any()
        if host:
            us = self._world.random.randrange(200_000, 6 * SECOND)
            self._fault(f"cut off {host.name}", us)
            self._sim.network.cut_off.add(host.name)
            self._world.at(us, lambda: self._sim.network.cut_off.discard(host.name))

    def redis_down(self) -> None:
        us = self._world.random.randrange(200_000, 5 * SECOND)
        self._fault("Redis down", us)
        self._sim.network.down = True
        self._world.at(us, partial(setattr, self._sim.network, "down", False))

    def lossy(self) -> None:
        us = self._world.random.randrange(500_000, 6 * SECOND)
        self._fault("lossy network", us + SECOND)
        network = self._sim.network
        network.lose_request, network.lose_reply = 0.1, 0.2
        self._world.at(us, partial(setattr, network, "lose_request", 0.0))
        self._world.at(us, partial(setattr, network, "lose_reply", 0.0))

    def ambush_kill(self) -> None:
        """SIGKILL with a request or a reply under way."""
        host = self._leader_or_any()
        if host:

            def die() -> None:
                self._fault(f"SIGKILL {host.name} in a call", 0)
                host.kill()
                self._world.at(SECOND, self._sim.start_replica)

            host.ambush = die

    def ambush_freeze(self) -> None:
        """SIGSTOP with a request or a reply under way."""
        host = self._leader_or_any()
        us = self._world.random.choice((100_000, 1_500_000, 4 * SECOND))
        if host:

            def stop() -> None:
                self._fault(f"SIGSTOP {host.name} in a call", us)
                host.freeze()
                self._world.at(us, host.thaw)

            host.ambush = stop

    def deafen(self) -> None:
        """The pub/sub connection of a live replica is cut: it looks dead to the others."""
        host = self._leader_or_any()
        if host:
            self._fault(f"pub/sub of {host.name} cut", 0)
            for line in self._sim.lines.get(host.name, []):
                line.close()

    def restore(self) -> None:
        """A snapshot is taken now and restored a little later: acknowledged writes are lost."""
        snapshot = self._sim.server.snapshot()
        us = self._world.random.randrange(50_000, 4 * SECOND)

        def go_back() -> None:
            self._world.tell("FAULT Redis goes back to its snapshot")
            self._sim.server.restore(snapshot)
            self._sim.history.reset()

        self._fault("snapshot taken", us)
        self._world.at(us, go_back)

    def restart_clock(self) -> None:
        step_ms = self._world.random.choice((-2_000, -500, 500, 5_000))
        self._fault(f"Redis' clock steps {step_ms} ms", 0)
        self._sim.server_offset_us += step_ms * 1_000

    def broker_down(self) -> None:
        us = self._world.random.randrange(200_000, 6 * SECOND)
        self._fault("broker down", us)
        self._sim.broker.down = True
        self._world.at(us, partial(setattr, self._sim.broker, "down", False))

    def confirms_lost(self) -> None:
        us = self._world.random.randrange(200_000, 4 * SECOND)
        self._fault("confirms lost", us + SECOND)
        self._sim.broker.lose_confirm = 0.3
        self._world.at(us, partial(setattr, self._sim.broker, "lose_confirm", 0.0))


def brew_storm(simulation: Simulation) -> None:
    """What a run has if nothing else is said."""
    Storm(simulation).brew()
