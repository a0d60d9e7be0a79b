"""Calls to Redis: a script or a few plain commands, with habeat's keys and errors.

Each call is sent once. A failure raises `StoreUnavailable`, which names the fault. The caller
decides whether to retry, because only the caller knows how much time is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from habeat.errors import StoreUnavailable
from habeat.schedules.schedule import FIRST_MS, LAST_MS
from habeat.store.connection import AnyRedis
from habeat.store.faults import REDIS_ERRORS, Fault, classify
from habeat.store.keys import Keys
from habeat.store.pipelining import Exchange, wire
from habeat.store.replica_wait import run_and_wait
from habeat.store.scripting import script

Result = TypeVar("Result")
Read = TypeVar("Read")


#: How Redis calls a value of another type than a command needs.
_FOREIGN = "WRONGTYPE"


def _as_it_is(reply: Any) -> Any:
    return reply


class Clients(Protocol):
    """Supplies the client for commands: `Connections`, or a wrapper around a single client."""

    def client(self) -> AnyRedis: ...

    def reset(self) -> None: ...


class Caller:
    """Runs scripts and commands against the keys of one prefix."""

    def __init__(self, connections: Clients, keys: Keys) -> None:
        self._connections = connections
        self.keys = keys
        self._lost = 0

    @property
    def connection(self) -> int:
        """A number that changes whenever the connection may have been replaced.

        Observations from before the change may come from another server. redis-py reopens closed
        connections of its pool without an error; `Connections` counts those as well.
        """
        return self._lost + int(getattr(self._connections, "made", 0))

    def run(self, name: str, *args: Any) -> Any:
        """Run the shipped script `name` and return its reply. StoreUnavailable."""
        words = tuple(map(wire, args))
        return self.do(lambda client: script(name).run(client, self.keys.fixed, *words))

    def run_copied(self, name: str, *args: Any, wanted: int, timeout_ms: int) -> tuple[Any, int]:
        """The reply, and how many Redis replicas acknowledged the script's writes in time."""

        def act(client: AnyRedis) -> tuple[Any, int]:
            return run_and_wait(
                client, script(name), keys=self.keys.fixed, args=args, wanted=wanted, ms=timeout_ms
            )

        return self.do(act)

    def run_packed(self, name: str, *args: Any) -> Any:
        """Like `run`, for thousands of words: redis-py would take longer to pack them than Redis
        to run the script.
        """
        return self.send(name, *args).result()

    def send(self, name: str, *args: Any) -> ScriptCall[Any]:
        """Send the call now; `result` reads its reply later. StoreUnavailable."""
        return ScriptCall(
            self, self.do(lambda client: Exchange(client, script(name), self.keys.fixed, args))
        )

    def do(self, act: Callable[[AnyRedis], Result]) -> Result:
        """Run `act` with the client and return its result. StoreUnavailable if Redis fails."""
        try:
            return act(self._connections.client())
        except REDIS_ERRORS as error:
            raise self._failed(error) from error

    def at_once(self, questions: Sequence[Callable[[Any], object]]) -> list[Any]:
        """The replies to these commands, in one round trip. StoreUnavailable.

        None for a key in which another program has put something else.
        """

        def read(client: Any) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for question in questions:
                question(pipe)
            return [_reply(each) for each in pipe.execute(raise_on_error=False)]

        return self.do(read)

    def do_or(self, act: Callable[[AnyRedis], Any], otherwise: Any) -> Any:
        """Like `do`; `otherwise` if another program has put something else where ours belongs."""
        try:
            return self.do(act)
        except StoreUnavailable as error:
            if _FOREIGN in str(error):
                return otherwise
            raise

    def now_ms(self) -> int:
        """Redis' time. StoreUnavailable."""
        return int(self.run("read")[0]) // 1_000

    def _failed(self, error: BaseException) -> StoreUnavailable:
        fault = classify(error)
        if fault in (Fault.UNREACHABLE, Fault.READ_ONLY):  # the master may be another server now
            self._lost += 1
            self._connections.reset()
        return StoreUnavailable(fault.value, str(error) or type(error).__name__)


def _reply(found: Any) -> Any:
    if not isinstance(found, Exception):
        return found
    if _FOREIGN in str(found):
        return None
    raise found


class ScriptCall(Generic[Result]):
    """`ports.PendingCall` of a script: translates errors, and converts the reply with `read`."""

    def __init__(
        self, caller: Caller, exchange: Exchange, read: Callable[[Any], Result] = _as_it_is
    ) -> None:
        self._caller = caller
        self._exchange = exchange
        self._read = read

    def read_by(self, read: Callable[[Any], Read]) -> ScriptCall[Read]:
        """The same call, with `read` converting its reply."""
        return ScriptCall(self._caller, self._exchange, read)

    def result(self) -> Result:
        """Wait for the reply and return it. StoreUnavailable."""
        return self._read(self._caller.do(lambda _: self._exchange.result()))

    def has_come(self) -> bool:
        return self._exchange.has_come()

    def drop(self) -> Result | None:
        reply = self._exchange.drop()
        return None if reply is None else self._read(reply)


class AnsweredCall(Generic[Result]):
    """`ports.PendingCall` of a call that has already been answered."""

    def __init__(self, reply: Result) -> None:
        self._reply = reply

    def result(self) -> Result:
        return self._reply

    def has_come(self) -> bool:
        return True

    def drop(self) -> Result | None:
        return self._reply


def text(raw: bytes | str | int) -> str:
    """A word of a reply as text; never raises.

    Bytes that are not UTF-8 become lone surrogates, and `wire` turns those back into the same
    bytes: every name must lead back to its entry, whatever bytes it consists of.
    """
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else str(raw)


def optional_ms(raw: bytes | str | int) -> int | None:
    """Milliseconds; None for the empty word and for anything that is not a valid instant."""
    word = text(raw)
    try:
        found = int(float(word)) if word else None
    except (ValueError, OverflowError):
        return None
    return found if found is None or FIRST_MS <= found <= LAST_MS else None


def blank(value: int | None) -> int | str:
    """The reverse: the empty word for None."""
    return "" if value is None else value
