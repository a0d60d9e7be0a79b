"""Calls to Redis from a web request: safe with threads and forks, and always over in time.

**Threads.** A thread that meets a dead connection drops all connections of its client object. With
a shared client, that would break the calls of other threads. So each call borrows a session with
its own client and returns it afterwards. There are as many sessions as were ever in use at once.

**Time.** A call is an attempt of several steps (read, then write the result). While Redis is away,
or another caller was faster, the attempt is repeated *as a whole* until the time is up. No single
wait is longer than a quarter of that time, and no request is sent once the call's budget is used
up. A call of many steps uses `bounded`, so that all of them share one budget. A repeated attempt
must recognise what an earlier one has done, as perhaps only its reply was lost: see `swapping`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random
from tenacity.nap import sleep as nap

from habeat.client.budget import Budget
from habeat.client.guard import NO_GUARD, Guard
from habeat.client.location import Location
from habeat.core.change_record import Author, Way
from habeat.core.shadow import why_refused
from habeat.errors import CallTimeout, ForeignState, HabeatError, RedisUnavailable
from habeat.ports import StoreUnavailable
from habeat.printable import repr_of
from habeat.store.calling import Caller
from habeat.store.change_log import ChangeLog
from habeat.store.connection import AnyRedis, Connections
from habeat.store.controls import ControlStore
from habeat.store.dead_letters import DeadStore
from habeat.store.entries import EntryStore
from habeat.store.events import Events
from habeat.store.inspection import Inspection
from habeat.store.keys import Keys
from habeat.store.known_tasks import KnownTasksStore
from habeat.store.lateness_feed import LatenessFeed
from habeat.store.prefix_keys import PrefixKeys
from habeat.store.shadow_log import ShadowLog
from habeat.store.slots import SlotStore

Result = TypeVar("Result")

SCHEMA = "1"

#: Faults that may pass, so the call is retried; all others are raised at once.
_PASSING = ("unreachable", "read_only", "busy")


class Overtaken(HabeatError):
    """Another caller changed the entry between our read and our write; nothing was written."""

    def __init__(self, entry: str) -> None:
        super().__init__(f"entry {repr_of(entry)} was changed by another caller at every attempt")
        self.entry = entry


class Session:
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
        caller = Caller(self, Keys(location.prefix))
        self.entries = EntryStore(caller)
        self.inspection = Inspection(caller)
        self.changes = ChangeLog(caller)
        self.events = Events(caller)
        self.dead = DeadStore(caller)
        self.prefix_keys = PrefixKeys(caller)
        self.known_tasks = KnownTasksStore(caller)
        self.shadow = ShadowLog(caller)
        self.slots = SlotStore(caller)
        self.lateness = LatenessFeed(caller)
        self.controls = ControlStore(caller)

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


class RetryingCalls:
    """Runs attempts in sessions, with retries and time limits."""

    def __init__(
        self,
        find_location: Callable[[], Location],
        timeout_s: float,
        sleep: Callable[[float], None] | None = None,
        guard: Guard = NO_GUARD,
        long_timeout_s: float | None = None,
    ) -> None:
        self.guard = guard
        #: Who makes the changes, for the change log.
        self.author = Author()
        self._find_location = find_location
        self._timeout_s = timeout_s
        self._long_timeout_s = timeout_s if long_timeout_s is None else long_timeout_s
        self._sleep = nap if sleep is None else sleep
        self._location: Location | None = None
        self._idle: deque[Session] = deque()
        self._ours = False
        self._budget: Budget | None = None
        #: Whether calls are planned and checked as always, but not written.
        self.plans_only = False

    def planning(self) -> RetryingCalls:
        """These calls without their writes."""
        planning = copy(self)
        planning.plans_only = True
        return planning

    def by(self, author: Author) -> RetryingCalls:
        """These calls with another author of their changes."""
        other = copy(self)
        other.author = author
        return other

    def by_way(self, way: Way) -> RetryingCalls:
        """These calls by another way, as the change log names it."""
        return self.by(self.author.with_way(way))

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

    def bounded(self, more_s: float = 0.0) -> RetryingCalls:
        """These calls with one budget for many steps: the long timeout plus `more_s`.

        Calls that are bounded already keep their first budget.
        """
        if self._budget is not None:
            return self
        bounded = copy(self)
        bounded._budget = Budget(self._long_timeout_s + more_s, "long_timeout")
        return bounded

    def wait(self, seconds: float) -> None:
        """Sleep, as between two attempts."""
        self._sleep(seconds)

    def under(self, prefix: str) -> RetryingCalls:
        """Calls to another prefix on the same Redis, with the same time; close them after use."""
        other = copy(self)
        other._location = replace(self.location, prefix=prefix, app_name="")
        other._idle, other._ours = deque(), False
        return other

    def is_past(self, share: float) -> bool:
        """Whether more than this share of the budget of these bounded calls is used up."""
        return self._budget is not None and self._budget.is_past(share)

    def renew(self) -> None:
        """Restart the budget of these bounded calls."""
        if self._budget is not None:
            self._budget.renew()

    def check(self, done: str | Callable[[], str] = "") -> None:
        """CallTimeout if the budget of these calls is used up; `done` says how far they came."""
        if self._budget is not None:
            self._budget.check(done)

    def read(self, attempt: Callable[[Session], Result]) -> Result:
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

    def once(self, attempt: Callable[[Session], Result]) -> Result:
        """The same without a retry, for a look at the conflict when a call has failed."""
        try:
            return self._in_session(attempt, Budget(self._timeout_s))
        except StoreUnavailable as error:
            raise RedisUnavailable(self._sentence(error)) from error

    def write(self, attempt: Callable[[Session], Result]) -> Result:
        """The same for an attempt that writes; ForeignState if the keys belong to another app."""

        def checked(session: Session) -> Result:
            self._check_owner(session)
            return attempt(session)

        return self.read(checked)

    def close(self) -> None:
        """Close the sessions not in use; a later call reconnects."""
        while self._idle:
            self._idle.pop().close()

    def _in_session(self, attempt: Callable[[Session], Result], budget: Budget) -> Result:
        try:
            session = self._idle.pop()
        except IndexError:
            session = Session(self.location, self._timeout_s / 4)
        session.budget = budget
        session.entries.author = self.author
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

    def _check_owner(self, session: Session) -> None:
        if self._ours:
            return
        app, schema = session.inspection.belongs_to()
        if schema and schema != SCHEMA:
            raise ForeignState(
                f"the keys under {self.location.prefix!r} have schema {schema}, but this release "
                f"of habeat writes schema {SCHEMA}: use the release that the beats run"
            )
        if app and self.location.app_name and app != self.location.app_name:
            if why := why_refused(app, self.location.app_name):
                raise ForeignState(why)
            raise ForeignState(
                f"the keys under {self.location.prefix!r} belong to another app ({app}), not to "
                f"{self.location.app_name}: give this one a habeat_key_prefix of its own"
            )
        self._ours = bool(app)

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
