"""Calls to Redis from a web request: safe among threads and forks, and over in good time.

**Threads.** Whoever meets a dead connection throws all connections of its client object away,
which would break the calls that other threads have under way. So each call borrows a client
of its own and gives it back: there are as many as were ever in use at once.

**Time.** A call is an attempt of several steps (read, then write what follows from it) that is
repeated *as a whole* while Redis is away or somebody else was faster, until the time is up. No
single wait is longer than a quarter of that time. An attempt that is repeated has to recognise
what an earlier one has done, for its reply may be all that was lost: see `swapping`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
    wait_random,
)
from tenacity.nap import sleep as nap

from habeat.client.guard import NO_GUARD, Guard
from habeat.client.place import Place
from habeat.errors import ForeignState, HabeatError, RedisUnavailable
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.entries import EntryStore
from habeat.store.insight import Insight
from habeat.store.keys import Keys

Result = TypeVar("Result")

SCHEMA = "1"

#: Faults that time may mend; the others are told at once.
_PASSING = ("unreachable", "read_only", "busy")


class Overtaken(HabeatError):
    """Somebody else changed the entry between our read and our write; nothing was written."""

    def __init__(self, entry: str) -> None:
        super().__init__(f"entry {entry!r} is being changed by others all the time")
        self.entry = entry


class Desk:
    """What one attempt works with; borrowed, so nobody else uses it meanwhile."""

    def __init__(self, place: Place, wait_s: float) -> None:
        self.place = place
        self._connections = Connections(
            place.target,
            socket_timeout_s=wait_s,
            connect_timeout_s=wait_s,
            client_name="habeat-client",
        )
        caller = Caller(self._connections, Keys(place.prefix))
        self.entries = EntryStore(caller)
        self.insight = Insight(caller)

    def close(self) -> None:
        """Disconnect; a later use connects anew."""
        self._connections.close()


class Calls:
    """Runs attempts at desks, with patience."""

    def __init__(
        self,
        find_place: Callable[[], Place],
        timeout_s: float,
        sleep: Callable[[float], None] | None = None,
        guard: Guard = NO_GUARD,
    ) -> None:
        self.guard = guard
        self._find_place = find_place
        self._timeout_s = timeout_s
        self._sleep = nap if sleep is None else sleep
        self._place: Place | None = None
        self._idle: deque[Desk] = deque()
        self._ours = False

    @property
    def timeout_s(self) -> float:
        """How long one call may take."""
        return self._timeout_s

    @property
    def place(self) -> Place:
        """Where the schedule lives; found when first asked for."""
        if self._place is None:
            self._place = self._find_place()
        return self._place

    def read(self, attempt: Callable[[Desk], Result]) -> Result:
        """The result of an attempt that writes nothing; RedisUnavailable when the time is up."""
        retrying = self._retrying()
        try:
            return retrying(lambda: self._at_desk(attempt))
        except StoreUnavailable as error:
            raise RedisUnavailable(self._sentence(error)) from error

    def write(self, attempt: Callable[[Desk], Result]) -> Result:
        """The same for an attempt that writes; ForeignState if the keys are not ours."""

        def checked(desk: Desk) -> Result:
            self._check_owner(desk)
            return attempt(desk)

        return self.read(checked)

    def patient(self, seconds: float) -> Calls:
        """The same for one call whose steps take so much longer; to be closed by itself."""
        longer = Calls(lambda: self.place, self._timeout_s + 4 * seconds, self._sleep, self.guard)
        longer._ours = self._ours
        return longer

    def close(self) -> None:
        """Disconnect what is not in use; a later call connects anew."""
        while self._idle:
            self._idle.pop().close()

    def _at_desk(self, attempt: Callable[[Desk], Result]) -> Result:
        try:
            desk = self._idle.pop()
        except IndexError:
            desk = Desk(self.place, self._timeout_s / 4)
        try:
            return attempt(desk)
        finally:
            self._idle.append(desk)

    def _retrying(self) -> Retrying:
        return Retrying(
            sleep=self._sleep,
            stop=stop_after_delay(self._timeout_s * 0.7),
            wait=wait_exponential(multiplier=0.01, max=self._timeout_s / 20) + wait_random(0, 0.01),
            retry=retry_if_exception(_may_pass),
            retry_error_callback=_last_error,
        )

    def _check_owner(self, desk: Desk) -> None:
        if self._ours:
            return
        app, schema = desk.insight.belongs_to()
        if schema and schema != SCHEMA:
            raise ForeignState(
                f"the keys under {self.place.prefix!r} have schema {schema}, and this release of "
                f"habeat writes schema {SCHEMA}: use the release that the beats run"
            )
        if app and self.place.app_name and app != self.place.app_name:
            raise ForeignState(
                f"the keys under {self.place.prefix!r} belong to another app ({app}), not to "
                f"{self.place.app_name}: give this one a habeat_key_prefix of its own"
            )
        self._ours = bool(app)

    def _sentence(self, error: StoreUnavailable) -> str:
        where = f"Redis at {self.place.target}"
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
    return state.outcome.result()  # which raises it
