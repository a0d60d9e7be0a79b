"""The network between processes and the model of Redis, with everything that can go wrong on it.

A call is a request that takes time to arrive, the execution, and a reply that takes time to
come back. At both boundaries something may lie in wait (`Host.ambushes`): the process is killed
or frozen, the message is lost, the server loses its data. A request may also arrive *after* its
sender has given up on it: it is executed all the same, as by a server that was stuck.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from habeat.ports import StoreUnavailable
from habeat.store.scripting import script
from tests.verification.simulation.model import ReplyError, Server
from tests.verification.simulation.watching import TELLING
from tests.verification.simulation.world import Host, World

if TYPE_CHECKING:
    from tests.verification.simulation.ahead import UnderWay

SCRIPTS = (
    *(
        "acquire",
        "asked",
        "circuits",
        "control",
        "claim",
        "defer",
        "drop",
        "mark",
        "observe",
        "prune",
        "put_off",
    ),
    *("quarantine", "read"),
    *("recover", "register", "release", "remove", "rename", "request", "settle", "skip"),
    *("steal", "sweep", "tick", "trace", "recall", "names", "reindex", "write"),
    *("postpone", "mend", "event"),
)

#: The longest time for one direction while Redis is not slow.
SLOWEST_REPLY_US = 60_000


class Network:
    """How calls to Redis behave at present."""

    def __init__(self, world: World, server: Server, timeout_us: int) -> None:
        self.world = world
        self.server = server
        self.timeout_us = timeout_us
        self.lose_request = 0.0
        self.lose_reply = 0.0
        #: Added to the way there; above the timeout a call fails and is executed later.
        self.slow_us = 0
        self.down = False
        self.cut_off: set[str] = set()
        #: Set by an ambush: what becomes of the call under way.
        self.lose_this = False
        #: The same: it is abandoned, and arrives after this long.
        self.late_this_us = 0
        self.lines: list[Line] = []
        #: Calls that are under way, or answered and not read.
        self.flights: set[UnderWay] = set()
        #: What a failover leaves at least, since Redis replicas have been waited for.
        self.copied: tuple[int, object] | None = None
        #: Whether they do not have it in time, for once.
        self.uncopied: Callable[[Host], bool] = lambda host: False
        #: Called with what is lost by chance: (host, "request" or "reply", until when).
        self.on_lost: Callable[[Host, str, int], None] = lambda host, what, until_us: None
        #: Called with each script that has run: (host, name, reply or error).
        self.on_script: Callable[[Host, str, Any], None] | None = None
        #: The same with the holder of the lease before it.
        self.watching: Any = None
        #: Called with what each process sends and hears (conduct.py).
        self.conduct: Any = None
        #: Processes whose pub/sub connection cannot be opened, although commands are answered.
        self.muted: set[str] = set()
        self.caller: Host | None = None
        #: Whether its request had been given up, and arrives now.
        self.late = False
        self.calls = 0

    def latency_us(self) -> int:
        chance = self.world.random.random()
        if chance < 0.97:
            return 50 + int(chance * 567)
        return 600 + int((chance - 0.97) * 33 * SLOWEST_REPLY_US)  # up to SLOWEST_REPLY_US

    def reaches(self, host: Host) -> bool:
        return not self.down and host.name not in self.cut_off

    def drop_lines(self) -> None:
        """Note that the server is gone: all its connections are closed."""
        for line in list(self.lines):
            line.drop()
        for flight in sorted(self.flights, key=lambda flight: flight.number):
            flight.close()

    def say(self, channel: bytes, message: bytes) -> None:
        """A message on a channel, on its way to its subscribers."""
        for line in self.server.subscribers.get(channel, ()):
            self.world.at(20 + int(380 * self.world.random.random()), line.hear, message)


_NAMES: dict[str, str] = {}


def script_name(sha: str) -> str:
    """Which script this is, by its digest."""
    found = _NAMES.get(sha)
    if found is None:  # never asked yet, or a bug has been planted since
        _NAMES.update({script(name).sha: name for name in SCRIPTS})
        found = _NAMES.get(sha, "?")
    return found


def texts() -> list[tuple[str, str]]:
    """All scripts as they are now: (digest, text)."""
    return [(found.sha, found.text) for found in map(script, SCRIPTS)]


class Client:
    """What the store uses of redis-py, over the network."""

    def __init__(self, host: Host, network: Network) -> None:
        self.host = self._host = host
        self.network = self._network = network
        self._server = network.server
        #: The last call but for WAIT.
        self._before = ""

    name_of = staticmethod(script_name)

    def wait(self, replicas: int, timeout_ms: int) -> Any:
        """All that has been written until now has been copied, before the answer comes."""

        def act() -> int:
            if self._network.uncopied(self._host):
                return 0
            self._network.copied = self._network.world.now_us, self._server.snapshot()
            return replicas

        try:
            have = self._carry("wait", act)
        except (RedisConnectionError, RedisTimeoutError, ResponseError):
            # The store raises this, and throws the answer before it away.
            self._network.watching.uncopied(self._host, self._before)
            raise
        if have:
            self._network.conduct.copied(self._host)
        return have

    def evalsha(self, sha: str, numkeys: int, *words: Any) -> Any:
        return self._script(script_name(sha), sha, None, words[:numkeys], words[numkeys:])

    def eval(self, text: str, numkeys: int, *words: Any) -> Any:
        sha = _digest(text)
        with self._network.conduct.same_call(self._host):
            return self._script(script_name(sha), sha, text, words[:numkeys], words[numkeys:])

    def hmget(self, key: str, names: Any, *more: Any) -> Any:
        names = [names, *more] if isinstance(names, str) else names
        return self._send("hmget", "HMGET", key, *names)

    def hscan(self, key: str, cursor: int, count: int) -> Any:
        found = self._send("hscan", "HSCAN", key, cursor)[1]
        return 0, _pairs(found)

    def hgetall(self, key: str) -> Any:
        return _pairs(self._send("hgetall", "HGETALL", key))

    def hkeys(self, key: str) -> Any:
        return self._send("hkeys", "HKEYS", key)

    def get(self, key: str) -> Any:
        return self._send("get", "GET", key)

    def pttl(self, key: str) -> Any:
        return self._send("pttl", "PTTL", key)

    def pexpire(self, key: str, span_ms: int) -> Any:
        return self._send("pexpire", "PEXPIRE", key, span_ms)

    def hlen(self, key: str) -> Any:
        return self._send("hlen", "HLEN", key)

    def zcard(self, key: str) -> Any:
        return self._send("zcard", "ZCARD", key)

    def zscore(self, key: str, member: bytes) -> float | None:
        found = self._send("zscore", "ZSCORE", key, member)
        return None if found is None else float(found)

    def zrange(self, key: str, start: int, stop: int, *, withscores: bool) -> Any:
        most = -1 if stop < 0 else stop - start + 1
        words = ("-inf", "+inf", "WITHSCORES", "LIMIT", start, most)
        found = self._send("zrange", "ZRANGEBYSCORE", key, *words)
        return [(member, float(score)) for member, score in _pairs(found).items()]

    def scard(self, key: str) -> Any:
        return self._send("scard", "SCARD", key)

    def sscan(self, key: str, cursor: int, count: int) -> Any:
        return 0, self._send("sscan", "SSCAN", key, cursor)[1]

    def smismember(self, key: str, members: Any) -> Any:
        return self._send("smismember", "SMISMEMBER", key, *members)

    def sadd(self, key: str, *members: str) -> Any:
        return self._send("sadd", "SADD", key, *members)

    def set(self, key: str, value: str, *, nx: bool, px: int) -> Any:
        return self._send("set", "SET", key, value, "PX", px, *(["NX"] if nx else []))

    def pipeline(self, transaction: bool = False) -> Pipeline:
        return Pipeline(self)

    def _script(self, name: str, sha: str, text: str | None, keys: Any, args: Any) -> Any:
        self._network.watching.trusts(self._host)
        sent_ms = self._network.conduct.sends(self._host, name, args)
        reply = self._carry(name, lambda: self.run(name, sha, text, keys, args))
        self._network.conduct.hears(self._host, name, args, reply, sent_ms)
        return reply

    def run(self, name: str, sha: str, text: str | None, keys: Any, args: Any) -> Any:
        """Let the server run a script now."""
        network = self._network
        network.caller = self._host
        network.calls += 1
        holder = network.watching.holder
        reply = self._server.evalsha(sha, text, keys, args)
        network.watching.ran(self._host, name, reply, holder)
        network.watching.answered()
        if network.on_script is not None:
            network.on_script(self._host, name, reply)
        return reply

    def _send(self, name: str, *words: Any) -> Any:
        return self._carry(name, lambda: self._server.call(*words))

    def _carry(self, name: str, act: Callable[[], Any]) -> Any:
        if name != "wait":
            self._before = name
        self._go(name, act)
        if self._network.down:
            raise RedisConnectionError("simulated: refused")
        ran_us = self._network.world.now_us
        try:
            reply = act()
        except NoScriptError:
            raise
        except ReplyError as error:
            raise ResponseError(str(error)) from error
        self._come_back(name)
        if name in TELLING and reply[0] == b"ok":
            self._network.watching.knows(self._host, ran_us)
        return reply

    def _go(self, name: str, act: Callable[[], Any]) -> None:
        host, network = self._host, self._network
        way_us = network.latency_us() + network.slow_us
        if way_us >= network.timeout_us:
            network.world.at(way_us, self._late, name, act)
            host.sleep(network.timeout_us)
            raise RedisTimeoutError("simulated: no reply in time")
        host.sleep(way_us)
        network.lose_this = False
        if host.ambushes:
            host.boundary(name + "<")
            if network.late_this_us:
                network.world.at(network.late_this_us, self._late, name, act)
                network.late_this_us, network.lose_this = 0, True
        if network.lose_request and network.world.random.random() < network.lose_request:
            network.on_lost(host, "request", network.world.now_us + network.timeout_us)
            network.lose_this = True
        if network.lose_this or host.name in network.cut_off:
            host.sleep(network.timeout_us)
            raise RedisTimeoutError("simulated: the request was lost")

    def _come_back(self, name: str) -> None:
        host, network = self._host, self._network
        network.lose_this = False
        if host.ambushes:
            host.boundary(name + ">")
        if network.lose_reply and network.world.random.random() < network.lose_reply:
            network.on_lost(host, "reply", network.world.now_us + network.timeout_us)
            network.lose_this = True
        lost = network.lose_this
        host.sleep(network.latency_us())
        if lost or host.name in network.cut_off or network.down:
            network.watching.unanswered(host)
        if lost or host.name in network.cut_off:
            host.sleep(network.timeout_us)
            raise RedisTimeoutError("simulated: the reply was lost")
        if network.down:
            raise RedisConnectionError("simulated: closed by the server")

    def _late(self, name: str, act: Callable[[], Any]) -> None:
        if self._network.reaches(self._host):
            self._network.world.tell("%s: its %s arrives late", self._host.name, name)
            self._network.late = True
            try:
                act()
            except (ReplyError, NoScriptError):
                return
            finally:
                self._network.late = False


class Pipeline:
    """Several commands, one after the other: ours never need them to be one transaction."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._commands: list[Callable[[], Any]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        command = getattr(self._client, name)
        return lambda *words, **named: self._commands.append(lambda: command(*words, **named))

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        # The server of a simulation refuses none of these commands, and its network fails for all.
        return [command() for command in self._commands]


class Direct:
    """A client beside the network and beside time, for what stands before the run."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def evalsha(self, sha: str, numkeys: int, *words: Any) -> Any:
        raise NoScriptError("NOSCRIPT")

    def eval(self, text: str, numkeys: int, *words: Any) -> Any:
        sha = _digest(text)
        return self._server.evalsha(sha, text, words[:numkeys], words[numkeys:])

    def hgetall(self, key: str) -> Any:
        return _pairs(self._server.call("HGETALL", key))

    def hmget(self, key: str, *names: Any) -> Any:
        return self._server.call("HMGET", key, *names)


class Clients:
    """`calling.Clients`: one client, whatever happens."""

    def __init__(self, client: Client | Direct, network: Network | None = None) -> None:
        self._client = client
        self._network = network

    def client(self) -> Any:
        return self._client

    def reset(self) -> None:
        """Answers that have not been read are gone with their connections."""
        if self._network is None or isinstance(self._client, Direct):
            return
        self._network.conduct.reconnects(self._client.host)
        own = [flight for flight in self._network.flights if flight.host is self._client.host]
        for flight in sorted(own, key=lambda flight: flight.number):
            flight.close()


class Line:
    """`ports.Line` over the model's subscriptions."""

    def __init__(self, host: Host, network: Network, channels: list[str]) -> None:
        self.host = host
        self._network = network
        self._server = network.server
        self._channels = [channel.encode() for channel in channels]
        self.is_open = False
        self._said: list[str] = []
        network.lines.append(self)
        host.on_death.append(self.drop)

    def open(self) -> bool:
        if self.is_open:
            return False
        self._network.conduct.opens(self.host)
        if self.host.name in self._network.muted:
            return False
        self.host.sleep(self._network.latency_us())
        if not self._network.reaches(self.host):
            self.host.sleep(0 if self._network.down else self._network.timeout_us)
            raise StoreUnavailable("unreachable", "simulated")
        for channel in self._channels:
            self._server.subscribe(channel, self)
        self.is_open = True
        return True

    def wait(self, timeout_ms: float) -> frozenset[str]:
        if not self._said:
            self.host.sleep(round(timeout_ms * 1_000))
        said, self._said = frozenset(self._said), []
        return said

    def resubscribe(self) -> None:
        self._close()

    def drop(self) -> None:
        """The other side closes the connection; the wait on it ends."""
        self._close()
        if self.host.alive:
            self.host.wake()

    def hear(self, message: bytes) -> None:
        """A message arrives on one of our channels."""
        if self.is_open and self._network.reaches(self.host):
            self._said.append(message.decode())
            self.host.wake()

    def _close(self) -> None:
        if self.is_open:
            for channel in self._channels:
                self._server.unsubscribe(channel, self)
        self.is_open = False


@lru_cache(maxsize=256)
def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
