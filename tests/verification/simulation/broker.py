"""A broker, and the publisher that builds messages which say what they are.

With the atomic dispatch the messages are words of `LPUSH` and the model server has the queue;
with the outbox they are published here, and a publish can fail in every way that a broker
knows: refused, cut off, taken with the confirmation lost, taken only after the sender gave up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from habeat.core.entry import Entry
from habeat.core.expiry import expires_ms
from habeat.core.firing import Firing
from habeat.ports import (
    Answered,
    BrokerUnavailable,
    Parcel,
    PublishRefused,
    RenderBypassed,
    Rendered,
    RenderFailed,
)
from tests.verification.simulation.world import Host, World

QUEUE = "queue"
#: A queue whose key is not a list: claims of entries that go there are refused one by one.
BAD_QUEUE = "not-a-queue"
#: The same of one part of a group, behind a part that could be sent.
BAD_PART = "not-a-queue-of-a-group"


class Broker:
    """What all publishers share."""

    def __init__(self, world: World, arrived: Callable[[str, str, str, Host, int], None]) -> None:
        self.world = world
        self.arrived = arrived
        self.down = False
        self._ids: dict[tuple[str, str, str], str] = {}
        #: Task ids of messages that cannot be kept: only who has built one can send it.
        self.only_here: set[str] = set()
        self.cut_off: set[str] = set()
        #: While it hangs, senders wait in vain; the broker may take the message at the end.
        self.hangs_until_us = 0
        #: The longest time that it takes to accept a message; slowness is not a fault.
        self.slow_us = 1_000
        self.lose_confirm = 0.0
        #: Entries that it refuses, and entries whose message cannot be built, by how.
        self.refuse: set[str] = set()
        self.unrenderable: dict[str, str] = {}
        self.lose_this = False
        self.on_lost: Callable[[Host, int], None] = lambda host, until_us: None

    def made(self, cluster: str, entry: str, identity: str, task_id: str) -> None:
        """A message was built; all messages of a firing have the same id, on every replica."""
        known = self._ids.setdefault((cluster, entry, identity), task_id)
        if known != task_id:
            raise AssertionError(f"{entry}@{identity} has the task ids {known} and {task_id}")

    def reaches(self, host: Host) -> bool:
        return not self.down and host.name not in self.cut_off


class OnItsWay:
    """`ports.Handed`: the broker has each that has no answer yet, and has not said so."""

    code_us: int | None = None

    def __init__(self, publisher: Publisher, known: Sequence[Answered], confirmed: bool) -> None:
        self._publisher = publisher
        self._known = known
        self._confirmed = confirmed

    def answers(self, timeout_ms: int) -> Sequence[Answered]:
        """One after the other; when one is lost with its connection, so are those after it."""
        if self._confirmed:
            return self._known
        problem: list[Answered] = []
        lost: BrokerUnavailable | None = None
        for known in self._known:
            answer = known or lost or self._publisher.confirm(timeout_ms)
            lost = lost or (answer if isinstance(answer, BrokerUnavailable) else None)
            problem.append(answer)
        return problem


class Publisher:
    """`ports.Publisher`, and what the shipped `Replica` asks of Celery's."""

    decided = True
    why = "simulated"

    def __init__(
        self,
        host: Host,
        broker: Broker,
        *,
        atomic: bool,
        begins: Callable[[Host, Sequence[Parcel], int], None],
    ) -> None:
        self._host = host
        self._begins = begins
        self._broker = broker
        self.atomic = atomic
        self.dispatch = "atomic" if atomic else "outbox"
        self._connected = False

    def prepare(self, timeout_ms: int) -> None:
        """The dispatch is given."""

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        how = self._broker.unrenderable.get(entry.name)
        if how == "bypassed":
            raise RenderBypassed("simulated")
        if how == "bug":
            raise ZeroDivisionError("simulated")
        if how:
            raise RenderFailed("simulated")
        task_id = firing.task_id(cluster)
        self._broker.made(cluster, entry.name, firing.identity, task_id)
        message = f"{entry.name} {firing.identity} {task_id} {entry.rev}"
        ends_ms = expires_ms(entry, firing)
        if self.atomic:
            queue = BAD_QUEUE if entry.task == "poisoned" else QUEUE
            commands = [("LPUSH", queue, message)]
            if entry.task == "group":
                commands.append(("LPUSH", BAD_PART, message))
            return Rendered(commands=commands, expires_ms=ends_ms)
        repeatable = entry.task != "its own way"
        (self._broker.only_here.discard if repeatable else self._broker.only_here.add)(task_id)
        return Rendered(envelope=message.encode(), repeatable=repeatable, expires_ms=ends_ms)

    def foresee(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered | None:
        """As from a template, for half of the entries: no other code sees it."""
        if entry.name[-1] in "02468" and not self._broker.unrenderable.get(entry.name):
            return self.render(entry, firing, cluster, epoch)
        return None

    def may_foresee(self) -> bool:
        return True

    def refused_push(self, commands: Sequence[Sequence[object]], why: str) -> bool:
        return False

    def connect(self, timeout_ms: int) -> None:
        """As in kombu: a connection that seems to be open is not checked."""
        if not self._connected:
            self.probe(timeout_ms)
            self._connected = True

    def probe(self, timeout_ms: int) -> None:
        """Whether the broker answers this host; BrokerUnavailable."""
        world = self._host.world
        self._host.sleep(100 + int(1_900 * world.random.random()))
        self._hang(timeout_ms)
        if not self._broker.reaches(self._host):
            self._host.sleep(timeout_ms * 1_000 if self._host.name in self._broker.cut_off else 0)
            raise BrokerUnavailable("simulated")

    @property
    def packets(self) -> int:
        """Half of the replicas have a broker that confirms later, as RabbitMQ does."""
        return 2 if self._host.boot_us % 2 else 1

    def publish(self, parcels: Sequence[Parcel], timeout_ms: int) -> OnItsWay:
        """One message after the other arrives, so a packet can be cut off anywhere."""
        ends_us = self._host.world.now_us + timeout_ms * 1_000
        self._begins(self._host, parcels, timeout_ms)
        known: list[Answered] = []
        failed: BrokerUnavailable | None = None
        for parcel in parcels:
            left_ms = (ends_us - self._host.world.now_us) // 1_000
            answer = failed or self._trying(self._send, parcel.envelope, parcel.attempt, left_ms)
            failed = failed or (answer if isinstance(answer, BrokerUnavailable) else None)
            known.append(answer)
        handed = OnItsWay(self, known, False)
        if self.packets == 2:
            return handed
        return OnItsWay(self, handed.answers(timeout_ms), True)

    def confirm(self, timeout_ms: int) -> Answered:
        return self._trying(self._confirm, timeout_ms)

    def _trying(self, act: Callable[..., None], *given: Any) -> Answered:
        try:
            act(*given)
        except BrokerUnavailable as error:
            self._connected = False
            return error
        except PublishRefused as error:
            return error
        return None

    def _send(self, envelope: bytes, attempt: int, timeout_ms: int) -> None:
        host, broker, world = self._host, self._broker, self._host.world
        if timeout_ms <= 0:
            raise BrokerUnavailable("simulated: the packet took too long")
        entry, identity, task_id, _ = envelope.decode().split(" ")
        if attempt > 1 and task_id in broker.only_here:
            raise AssertionError(f"{entry}@{identity} is sent again, and cannot be repeated")
        host.sleep(30 + int(970 * world.random.random()))
        host.boundary("publish<")
        if broker.slow_us > 1_000:
            share = 0.4 + 0.6 * world.random.random()
            host.sleep(min(timeout_ms * 900, int(broker.slow_us * share)))
        if entry in broker.refuse:
            raise PublishRefused("simulated")
        late_us = broker.hangs_until_us - world.now_us
        if late_us > timeout_ms * 1_000 and world.random.random() < 0.5:
            world.at(late_us, broker.arrived, entry, identity, task_id, host, attempt)
        self._hang(timeout_ms)
        if not broker.reaches(host):
            host.sleep(timeout_ms * 1_000 if host.name in broker.cut_off else 0)
            raise BrokerUnavailable("simulated")
        broker.arrived(entry, identity, task_id, host, attempt)

    def _confirm(self, timeout_ms: int) -> None:
        host, broker, world = self._host, self._broker, self._host.world
        broker.lose_this = False
        host.boundary("publish>")
        if broker.lose_confirm and world.random.random() < broker.lose_confirm:
            broker.on_lost(host, world.now_us + timeout_ms * 1_000)
            broker.lose_this = True
        lost = broker.lose_this
        host.sleep(30 + int(970 * world.random.random()))
        if lost:
            host.sleep(timeout_ms * 1_000)
        if lost or not broker.reaches(host):
            raise BrokerUnavailable("simulated: the confirm was lost")

    def _hang(self, timeout_ms: int) -> None:
        left_us = self._broker.hangs_until_us - self._host.world.now_us
        if left_us > 0:
            self._host.sleep(min(left_us, timeout_ms * 1_000))
            if left_us > timeout_ms * 1_000:
                raise BrokerUnavailable("simulated: no answer in time")


class Probe:
    """`beat.broker.Broker` as far as the shipped `Replica` uses it."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def probe(self, timeout_s: float) -> None:
        self._publisher.probe(round(timeout_s * 1_000))
