"""Calls that are sent now and read later, as `habeat.store.pipelining` makes them, over a network.

Each has a connection of its own: its request is on its way at once, the server runs it when it
arrives, in any order with those on other connections, and the answer waits to be read. Meanwhile
its sender continues, and whatever lies in wait at the boundaries of a call happens without it: a
frozen or killed sender's request is run all the same. Requests and answers get lost; a connection
that is closed, by the server or because another call failed, takes an answer with it that had come
and not been read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from habeat.store.calling import Caller, ScriptCall
from habeat.store.pipelining import plain
from habeat.store.scripting import Script, script
from tests.verification.simulation.model import ReplyError
from tests.verification.simulation.watching import TELLING

if TYPE_CHECKING:
    from tests.verification.simulation.network import Client


class AsyncCaller(Caller):
    """`Caller` whose `send` is what it says."""

    def send(self, name: str, *args: Any) -> ScriptCall[Any]:
        keys = self.keys.fixed
        call = self.do(lambda client: UnderWay(client, script(name), keys, args))
        return ScriptCall(self, call)  # type: ignore[arg-type]

    def run_packed(self, name: str, *args: Any) -> Any:
        return self.run(name, *args)


class UnderWay:
    """One call; as `habeat.store.pipelining.Exchange`."""

    def __init__(
        self, client: Client, which: Script, keys: tuple[str, ...], args: tuple[Any, ...]
    ) -> None:
        self._client, self._script = client, which
        self.host = self._host = client.host
        self._network = client.network
        self.number = self._network.calls, self._host.name, len(self._network.flights)
        self._keys, self._args = keys, tuple(plain(args))
        self._name = client.name_of(which.sha)
        #: The answer, or an error; None while there is none.
        self._came: Any = None
        self._open = True
        self._waiting = False
        #: When the server ran it; 0: it has not.
        self._ran_us = 0
        self._network.watching.trusts(self._host)
        self._sent_ms = self._network.conduct.sends(self._host, self._name, self._args)
        if self._network.down:
            raise RedisConnectionError("simulated: refused")
        self._network.flights.add(self)
        way_us = self._network.latency_us() + self._network.slow_us
        self._host.world.at(way_us, self._arrives)

    # -- on its way ---------------------------------------------------------------------------

    def _arrives(self) -> None:
        host, network = self._host, self._network
        network.lose_this = False
        host.strike(self._name + "<")
        late_us, network.late_this_us = network.late_this_us, 0
        if late_us:
            host.world.at(late_us, self._runs, True)
        elif not self._is_lost("request", network.lose_request):
            self._runs(False)

    def _is_lost(self, what: str, chance: float) -> bool:
        host, network = self._host, self._network
        if chance and network.world.random.random() < chance:
            network.on_lost(host, what, network.world.now_us + network.timeout_us)
            network.lose_this = True
        lost, network.lose_this = network.lose_this, False
        return lost or not network.reaches(host)

    def _runs(self, late: bool) -> None:
        network = self._network
        if late and not network.reaches(self._host):
            return
        network.late = late or not self._open
        self._ran_us = network.world.now_us
        try:
            reply = self._client.run(self._name, self._script.sha, None, self._keys, self._args)
        except NoScriptError as error:
            reply = error
        except ReplyError as error:
            reply = ResponseError(str(error))
        finally:
            network.late = False
        if late:
            return
        network.lose_this = False
        self._host.strike(self._name + ">")
        if self._is_lost("reply", network.lose_reply):
            network.watching.unanswered(self._host)
        else:
            network.world.at(network.latency_us(), self._comes, reply)

    def _comes(self, reply: Any) -> None:
        if not self._open:
            return
        if not self._network.reaches(self._host):
            self._network.watching.unanswered(self._host)
            return
        self._came = reply
        if self._waiting:
            self._host.wake()

    # -- habeat.store.pipelining.Exchange ---------------------------------------------------

    def result(self) -> Any:
        """The answer; waits for as long as a socket would."""
        host, world = self._host, self._host.world
        ends_us = world.now_us + self._network.timeout_us
        while self._came is None and self._open and world.now_us < ends_us:
            self._waiting = True
            host.sleep(ends_us - world.now_us)
            self._waiting = False
        came = self._taken()
        if came is None:
            self._unheard()
            if world.now_us < ends_us:
                raise RedisConnectionError("simulated: the connection was closed meanwhile")
            raise RedisTimeoutError("simulated: no reply in time")
        if isinstance(came, NoScriptError):
            with self._network.conduct.same_call(self._host):
                return self._script.run(self._client, self._keys, *self._args)
        if isinstance(came, Exception):
            raise came
        self._heard(came)
        return came

    def has_come(self) -> bool:
        return self._open and self._came is not None

    def drop(self) -> Any:
        came = self._taken()
        if came is None or isinstance(came, Exception):
            self._unheard()
            return None
        self._heard(came, dropped=True)
        return came

    def close(self) -> None:
        """The connection is closed, so an answer that had arrived is gone, too."""
        self._open, self._came = False, None
        self._network.flights.discard(self)
        self._unheard()
        if self._waiting:
            self._host.wake()

    def _taken(self) -> Any:
        came, self._came, self._open = self._came, None, False
        self._network.flights.discard(self)
        return came

    def _heard(self, reply: Any, dropped: bool = False) -> None:
        if not dropped or reply[0] == b"ok":  # of what is dropped a refusal need not be noted
            self._network.conduct.hears(self._host, self._name, self._args, reply, self._sent_ms)
        if self._name in TELLING and reply[0] == b"ok":
            self._network.watching.knows(self._host, self._ran_us)

    def _unheard(self) -> None:
        if self._name in TELLING:
            self._network.watching.unheard(self._host, self._ran_us)
