"""Troubles that are staged and never drawn: one situation of the election, reproduced exactly.

What a standby sees of its leader takes several steps to be misleading, and drawn troubles hardly
ever come together so. The lives that need them are in lives.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.verification.history.events import Kind
from tests.verification.simulation.plan import Trouble
from tests.verification.simulation.world import Host, World

if TYPE_CHECKING:
    from tests.verification.simulation.network import Network
    from tests.verification.simulation.run import Simulation


class Staging:
    """A part of the storm."""

    _sim: Simulation
    _world: World
    _network: Network
    _kill: Callable[[Trouble, Host], None]
    _deafen: Callable[[Trouble, Host], None]
    _freeze: Callable[[Trouble, Host], None]
    _term: Callable[[Trouble, Host], None]
    _fault: Callable[..., None]
    _until: Callable[[int, Callable[[], Any]], None]
    _others_at: Callable[[str, Host, Callable[[Host], None]], None]
    _step_clock: Callable[[int], None]

    def _unheard(self, trouble: Trouble, host: Host) -> None:
        """A live leader looks dead: its channel has no listener, and its heartbeat stands still."""
        self._deafen(trouble, host)
        self._freeze(trouble, host)

    def _unheard_by_a_newcomer(self, trouble: Trouble, host: Host) -> None:
        """The same, and one more replica comes, which has seen nothing so far."""
        self._unheard(trouble, host)
        self._sim.start_replica()

    def _unheard_over_another_line(self, trouble: Trouble, host: Host) -> None:
        """The same, while a standby that has heard it loses its connection for commands."""

        def reconnect(other: Host) -> None:
            self._fault(Kind.LOST_REPLY, self._network.timeout_us, other, "observe>")
            self._network.lose_this = True
            self._unheard(trouble, host)

        self._others_at("observe>", host, reconnect)

    def _unheard_heir(self, trouble: Trouble, host: Host) -> None:
        """The same of the heir of a leader that was heard and stops."""
        self._others_at("acquire>", host, partial(self._unheard, trouble))
        self._term(trouble, host)

    def _called_between_looks(self, trouble: Trouble, host: Host) -> None:
        """A message arrives between a standby's two looks, and it looks again at once."""
        self._unheard(trouble, host)

        def speak(other: Host) -> None:
            wake = self._sim.keys.wake.encode()
            self._world.at(5_000, self._network.say, wake, b"released")

        self._others_at("observe>", host, speak)

    def _muted(self, trouble: Trouble, host: Host) -> None:
        """Its channel has no listener and cannot have one, while it continues to work."""
        self._fault(Kind.PUBSUB_CUT, trouble.us, host, "(and stays)")
        for line in list(self._network.lines):
            if line.host is host:
                line.drop()
        self._network.muted.add(host.name)
        self._until(trouble.us, partial(self._network.muted.discard, host.name))

    def _dies_as_the_clock_steps_back(self, trouble: Trouble, host: Host) -> None:
        """It leaves an intent and a lease that would live for a minute more."""
        self._kill(trouble, host)
        self._step_clock(-60_000)

    def _renews_late(self, trouble: Trouble, host: Host) -> None:
        """What it trusts is half over after a claim, and nearly so when its renewal is answered."""
        self._freeze(trouble, host)
        later = Trouble(trouble.number, trouble.at_us, "freeze", us=trouble.amount)
        host.ambushes.append(("tick>", partial(self._freeze, later)))

    def _asked_oddly(self, trouble: Trouble, host: Host) -> None:
        """Triggers whose ids contain the separators of a key's parts."""
        for plan in self._sim.plan.entries:
            self._sim.people.trigger(plan.name, f"{plan.name}:{trouble.number}")

    def _renamed(self, trouble: Trouble, host: Host) -> None:
        """Every entry of the API is renamed: between two steps, or over the network."""
        for plan in self._sim.plan.entries:
            self._sim.people.edit(bool(trouble.on), plan.name, "rename")
