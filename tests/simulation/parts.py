"""The world's side of the ports: a network to the model server, a line, a broker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.ports import BrokerUnavailable, Rendered, StoreUnavailable
from tests.simulation.model import ReplyError, Server
from tests.simulation.world import Host, World

TIMEOUT_US = 1_000_000


@dataclass
class Network:
    """How calls to Redis fare. Chances are per call."""

    lose_request: float = 0.0
    lose_reply: float = 0.0
    down: bool = False
    cut_off: set[str] = field(default_factory=set)

    def latency_us(self, world: World) -> int:
        quick = world.random.randrange(50, 600)
        return quick if world.random.random() < 0.97 else world.random.randrange(600, 60_000)


class Client:
    """What the store's `Caller` uses of redis-py, over the network."""

    def __init__(self, host: Host, server: Server, network: Network) -> None:
        self._host = host
        self._server = server
        self._network = network

    def evalsha(self, sha: str, numkeys: int, *words: Any) -> Any:
        return self._send(lambda: self._server.evalsha(sha, None, words[:numkeys], words[numkeys:]))

    def eval(self, text: str, numkeys: int, *words: Any) -> Any:
        sha = hashlib.sha1(text.encode()).hexdigest()
        return self._send(lambda: self._server.evalsha(sha, text, words[:numkeys], words[numkeys:]))

    def hmget(self, key: str, names: list[str]) -> Any:
        return self._send(lambda: self._server.call("HMGET", key, *names))

    def hscan(self, key: str, cursor: int, count: int) -> Any:
        found = self._send(lambda: self._server.call("HSCAN", key, cursor))[1]
        return 0, dict(zip(found[::2], found[1::2], strict=True))

    def _send(self, act: Callable[[], Any]) -> Any:
        host, network, world = self._host, self._network, self._host.world
        host.sleep(network.latency_us(world))
        if host.name in network.cut_off or world.random.random() < network.lose_request:
            host.sleep(TIMEOUT_US)
            raise RedisTimeoutError("simulated: the request was lost")
        if network.down:
            raise RedisConnectionError("simulated: refused")
        host.boundary()
        try:
            reply = act()
        except ReplyError as error:
            raise ResponseError(str(error)) from error
        host.boundary()
        host.sleep(network.latency_us(world))
        if host.name in network.cut_off or world.random.random() < network.lose_reply:
            world.tell(f"{host.name}: a reply is lost")
            host.sleep(TIMEOUT_US)
            raise RedisTimeoutError("simulated: the reply was lost")
        return reply


class Direct:
    """A client beside the network and beside time, for what stands before the run."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def evalsha(self, sha: str, numkeys: int, *words: Any) -> Any:
        raise NoScriptError("NOSCRIPT")

    def eval(self, text: str, numkeys: int, *words: Any) -> Any:
        return self._server.evalsha(text, text, words[:numkeys], words[numkeys:])


class Clients:
    """`calling.Clients`: one client, whatever happens."""

    def __init__(self, client: Client | Direct) -> None:
        self._client = client

    def client(self) -> Any:
        return self._client

    def reset(self) -> None:
        """There is nothing to reset."""


class Line:
    """`ports.Line` over the model's subscriptions."""

    def __init__(self, host: Host, server: Server, network: Network, channels: list[str]) -> None:
        self._host = host
        self._server = server
        self._network = network
        self._channels = [channel.encode() for channel in channels]
        self.is_open = False
        self._said: list[str] = []
        host.on_death.append(self.close)

    def open(self) -> bool:
        if self.is_open:
            return False
        self._host.sleep(self._network.latency_us(self._host.world))
        if self._network.down or self._host.name in self._network.cut_off:
            raise StoreUnavailable("unreachable", "simulated")
        for channel in self._channels:
            self._server.subscribers.setdefault(channel, {})[self] = None
        self.is_open = True
        return True

    def wait(self, timeout_ms: int) -> frozenset[str]:
        if not self._said:
            self._host.sleep(timeout_ms * 1_000)
        said, self._said = frozenset(self._said), []
        return said

    def resubscribe(self) -> None:
        self.close()

    def close(self) -> None:
        for channel in self._channels:
            self._server.subscribers.get(channel, {}).pop(self, None)
        self.is_open = False

    def hear(self, message: str) -> None:
        """Something was said on a channel of ours."""
        self._said.append(message)
        self._host.wake()


@dataclass
class Message:
    """What a consumer of the broker would see."""

    at_us: int
    entry: str
    slot_ms: int
    task_id: str
    sender: str


class Broker:
    """A broker of its own, for the outbox."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.down = False
        self.lose_confirm = 0.0
        self.refuse: set[str] = set()


class Publisher:
    """`ports.Publisher`: messages that say what they are."""

    def __init__(self, host: Host, broker: Broker, *, atomic: bool) -> None:
        self._host = host
        self._broker = broker
        self.atomic = atomic

    def prepare(self, timeout_ms: int) -> None:
        """The dispatch is given."""

    def render(self, entry: Entry, firing: Firing, cluster: str, epoch: int) -> Rendered:
        told = json.dumps([entry.name, firing.slot_ms, firing.task_id(cluster)]).encode()
        if self.atomic:
            return Rendered(commands=[("LPUSH", "queue", told)])
        return Rendered(envelope=told)

    def give_up_atomic(self, why: str) -> bool:
        raise AssertionError(why)

    def connect(self, timeout_ms: int) -> None:
        self._host.sleep(self._host.world.random.randrange(100, 2_000))
        if self._broker.down:
            raise BrokerUnavailable("simulated")

    def publish(self, envelope: bytes, attempt: int, timeout_ms: int) -> None:
        world = self._host.world
        self._host.sleep(world.random.randrange(50, 3_000))
        self._host.boundary()
        if self._broker.down:
            raise BrokerUnavailable("simulated")
        entry, slot_ms, task_id = json.loads(envelope)
        self._broker.messages.append(
            Message(world.now_us, entry, slot_ms, task_id, self._host.name)
        )
        world.tell(f"{self._host.name}: published {entry}@{slot_ms} (attempt {attempt})")
        self._host.sleep(world.random.randrange(50, 3_000))
        if world.random.random() < self._broker.lose_confirm:
            self._host.sleep(timeout_ms * 1_000)
            raise BrokerUnavailable("simulated: the confirm was lost")
