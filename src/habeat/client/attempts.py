"""Calls to Redis from a web request: safe with threads and forks, and always over in time.

**Threads.** A thread that meets a dead connection drops all connections of its client object. With
a shared client, that would break the calls of other threads. So each call borrows a session with
its own client and returns it afterwards. There are as many sessions as were ever in use at once.

**Time.** A call is an attempt of several steps (read, then write the result). While Redis is away,
or another caller was faster, the attempt is repeated *as a whole* until the time is up. No single
wait is longer than a quarter of that time, and no request is sent once the call's budget is used
up.

This part has no stores, so that a probe which only reads the status is quick to import.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random
from tenacity.nap import sleep as nap

from habeat.client.budget import Budget
from habeat.client.location import Location
from habeat.errors import CallTimeout, HabeatError, RedisUnavailable, StoreUnavailable
from habeat.printable import repr_of
from habeat.store.calling import Caller
from habeat.store.connection import AnyRedis, Connections
from habeat.store.inspection import Inspection
from habeat.store.keys import Keys

Result = TypeVar("Result")
Borrowed = TypeVar("Borrowed", bound="Connected")

#: Faults that may pass, so the call is retried; all others are raised at once.
_PASSING = ("unreachable", "read_only", "busy")


class Overtaken(HabeatError):
    """Another caller changed the entry between our read and our write; nothing was written."""

    def __init__(self, entry: str) -> None:
        super().__init__(f"entry {repr_of(entry)} was changed by another caller at every attempt")
        self.entry = entry


class Connected:
    """What one attempt works with; borrowed, so no other thread uses it at the same time."""

    def __init__(self, location: Location, wait_s: float) -> None:
        self.location = location
        self._connections = Connections(
            location.target,
            socket_timeout_s=wait_s,
            connect_timeout_s=wait_s,
            client_name="habeat-client",
        )
        #: The budget of the call that has borrowed this session; each request is held to it.
        self.budget: Budget | None = None
        self.caller = Caller(self, Keys(location.prefix))
        self.inspection = Inspection(self.caller)

    def client(self) -> AnyRedis:
        """The client for the next request; CallTimeout if there is no time for one."""
        if self.budget is not None:
            self.budget.check()
        return self._connections.client()

    def reset(self) -> None:
        """Drop the connections, because one of them is dead."""
        self._connections.reset()

    def close(self) -> None:
        """Disconnect; a later use reconnects."""
        self._connections.close()


class Attempts(Generic[Borrowed]):
    """Runs attempts in sessions that `connect` makes, with retries and a time limit."""

    def __init__(
        self,
        find_location: Callable[[], Location],
        timeout_s: float,
        connect: Callable[[Location, float], Borrowed],
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._find_location = find_location
        self._timeout_s = timeout_s
        self._connect = connect
        self._sleep = nap if sleep is None else sleep
        self._location: Location | None = None
        self._idle: deque[Borrowed] = deque()
        self._budget: Budget | None = None

    @property
    def timeout_s(self) -> float:
        """How long one call may take."""
        return self._timeout_s

    @property
    def location(self) -> Location:
        """Where the schedule is; found out at the first use."""
        if self._location is None:
            self._location = self._find_location()
        return self._location

    def wait(self, seconds: float) -> None:
        """Sleep, as between two attempts."""
        self._sleep(seconds)

    def read(self, attempt: Callable[[Borrowed], Result]) -> Result:
        """The result of an attempt that writes nothing; RedisUnavailable when the time is up."""
        patience = Budget(self._timeout_s)
        budget = self._budget or patience
        retrying = self._retrying(lambda: budget.is_over or patience.is_over)
        failed: HabeatError | None = None

        def attempted() -> Result:
            nonlocal failed
            try:
                return self._in_session(attempt, budget)
            except CallTimeout:
                if failed is None:
                    raise
                raise failed from None  # no time for a retry: the fault before says more
            except (StoreUnavailable, Overtaken) as error:
                failed = error
                raise

        try:
            return retrying(attempted)
        except StoreUnavailable as error:
            raise RedisUnavailable(self._sentence(error)) from error

    def once(self, attempt: Callable[[Borrowed], Result]) -> Result:
        """The same without a retry, for a look at the conflict when a call has failed."""
        try:
            return self._in_session(attempt, Budget(self._timeout_s))
        except StoreUnavailable as error:
            raise RedisUnavailable(self._sentence(error)) from error

    def lend(self, session: Borrowed) -> None:
        """Prepare a session for the call that borrows it."""

    def close(self) -> None:
        """Close the sessions not in use; a later call reconnects."""
        while self._idle:
            self._idle.pop().close()

    def _in_session(self, attempt: Callable[[Borrowed], Result], budget: Budget) -> Result:
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._connect(self.location, self._timeout_s / 4)
        session.budget = budget
        self.lend(session)
        try:
            return attempt(session)
        finally:
            session.budget = None
            self._idle.append(session)

    def _retrying(self, is_over: Callable[[], bool]) -> Retrying:
        return Retrying(
            sleep=self._sleep,
            stop=lambda _: is_over(),
            wait=wait_exponential(multiplier=0.01, max=self._timeout_s / 20) + wait_random(0, 0.01),
            retry=retry_if_exception(_may_pass),
            retry_error_callback=_last_error,
        )

    def _sentence(self, error: StoreUnavailable) -> str:
        where = f"Redis at {self.location.target}"
        match error.fault:
            case "unreachable":
                return f"{where} did not answer within {self._timeout_s:g} s ({error})"
            case "read_only" | "busy":
                return f"{where} took no writes within {self._timeout_s:g} s ({error})"
            case _:
                return f"{where} refused the call ({error})"


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, StoreUnavailable):
        return error.fault in _PASSING
    return isinstance(error, Overtaken)


def _last_error(state: RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()  # raises the last error
