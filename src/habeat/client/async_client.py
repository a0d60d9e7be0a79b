"""The Client for asyncio: each call runs in a thread, so the event loop is never blocked.

The methods are those of `Client`, made from them one by one, so their arguments, types and
documentation cannot differ. Calls of many steps, retries and the detection of lost replies are the
same code as well. See decision 0052 for why there is no second implementation on `redis.asyncio`.

**Threads.** A client has up to `threads` of its own; more calls wait for a free one. The waiting
counts: a call that finds no thread within the client's `timeout` raises CallTimeout without having
begun. Each thread has a connection of its own while it is in a call.

**Cancellation.** If a task is cancelled while it waits for a call, it stops waiting at once. A call
that a thread has not begun is dropped. One that has begun continues to its end, which its timeout
bounds, and a write may take effect: as after RedisUnavailable, read before you write again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from copy import copy
from functools import partial, update_wrapper, wraps
from threading import Lock
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from habeat.client.client import Client
from habeat.client.guard import Guard
from habeat.client.history import FOLLOW_EVERY_S, LedgerRecord, OutcomeName
from habeat.clock import SystemClock
from habeat.core.change_record import Author
from habeat.core.entry import Entry, Policies
from habeat.errors import CallTimeout, ValidationError

P = ParamSpec("P")
Result = TypeVar("Result")
Method = TypeVar("Method", bound=Callable[..., Any])

#: Items of an iteration are handed over in groups: of this size, or after this time.
GROUP = 100
GROUP_US = 50_000

_CLOCK = SystemClock()


def _awaited(
    call: Callable[Concatenate[Client, P], Result],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, Result]]:
    """The method that runs this call of the Client in a thread."""

    @wraps(call)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return await self._in_thread(partial(call, self._client, *args, **kwargs))

    return method


def _iterated(
    call: Callable[Concatenate[Client, P], Iterator[Result]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[Result]]:
    """The method that iterates over the items of this call; wrong arguments raise at the first."""

    @wraps(call)
    async def method(
        self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[Result]:
        items = await self._in_thread(partial(call, self._client, *args, **kwargs))
        while group := await self._in_thread(partial(_group, items)):
            for item in group:
                yield item

    return method


def _described_by(call: Callable[..., Any]) -> Callable[[Method], Method]:
    """Gives a method the documentation of this call, and keeps its own type."""

    def described(method: Method) -> Method:
        update_wrapper(method, call)
        return method

    return described


def _group(items: Iterator[Result]) -> list[Result]:
    """The next items that arrive within a moment; [] at the end."""
    group: list[Result] = []
    ends_us = _CLOCK.monotonic_us() + GROUP_US
    for item in items:
        group.append(item)
        if len(group) == GROUP or _CLOCK.monotonic_us() > ends_us:
            break
    return group


class _Pool:
    """The threads of a client, which are started when a call needs one."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None
        self._pid = os.getpid()
        self._lock = Lock()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        with self._lock:
            if self._executor is None or self._pid != os.getpid():  # a fork has no threads
                self._executor = ThreadPoolExecutor(self._threads, "habeat-client")
                self._pid = os.getpid()
            return self._executor.submit(copy_context().run, call)

    def shutdown(self) -> None:
        """Wait for the calls that were begun; a later call starts threads again."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()


class AsyncClient:
    """The `Client` for asyncio: the same methods, to be awaited; ``async for`` with iterators.

    The arguments are those of `Client`. Up to `threads` calls run at the same time; others wait
    for `timeout` seconds at most, then they raise CallTimeout. A call whose task is cancelled may
    still take effect. One client can be used by several event loops.
    """

    def __init__(
        self,
        app: Any,
        *,
        prefix: str | None = None,
        options: Mapping[str, Any] | None = None,
        timezone: str | None = None,
        timeout: float = 5.0,
        long_timeout: float | None = None,
        guard: Guard | None = None,
        by: str | Author | None = None,
        threads: int = 8,
    ) -> None:
        if type(threads) is not int or threads < 1:
            raise ValidationError("threads", threads, "a whole number, 1 or more")
        self._client = Client(
            app,
            prefix=prefix,
            options=options,
            timezone=timezone,
            timeout=timeout,
            long_timeout=long_timeout,
            guard=guard,
            by=by,
        )
        self._timeout_s = timeout
        self._threads = threads
        self._pool = _Pool(threads)

    get = _awaited(Client.get)
    list = _iterated(Client.list)
    preview = _awaited(Client.preview)
    simulate = _awaited(Client.simulate)

    changes = _awaited(Client.changes)
    last_change = _awaited(Client.last_change)
    diff = _awaited(Client.diff)
    drift = _awaited(Client.drift)
    drift_report = _awaited(Client.drift_report)
    explain = _awaited(Client.explain)
    events = _awaited(Client.events)
    history = _awaited(Client.history)

    @_described_by(Client.follow)
    async def follow(
        self,
        name: str | None = None,
        *,
        outcome: OutcomeName | Iterable[OutcomeName] = (),
        after: str | None = None,
    ) -> AsyncIterator[LedgerRecord]:
        # Not `_iterated`: between two looks, that would keep a thread.
        begin = partial(self._client._follower, name, outcome, after)
        follower = await self._in_thread(begin)
        while True:
            for record in await self._in_thread(follower.look):
                yield record
            if follower.is_caught_up:
                await asyncio.sleep(FOLLOW_EVERY_S)

    status = _awaited(Client.status)
    upcoming = _awaited(Client.upcoming)
    unregistered = _awaited(Client.unregistered)
    server_time = _awaited(Client.server_time)

    add = _awaited(Client.add)
    add_many = _awaited(Client.add_many)
    sync = _awaited(Client.sync)
    update = _awaited(Client.update)
    remove = _awaited(Client.remove)
    rename = _awaited(Client.rename)
    pause = _awaited(Client.pause)
    resume = _awaited(Client.resume)

    remove_many = _awaited(Client.remove_many)
    pause_many = _awaited(Client.pause_many)
    resume_many = _awaited(Client.resume_many)
    enable_many = _awaited(Client.enable_many)
    disable_many = _awaited(Client.disable_many)
    trigger_many = _awaited(Client.trigger_many)

    trigger = _awaited(Client.trigger)
    backfill = _awaited(Client.backfill)
    circuit = _awaited(Client.circuit)

    dead = _awaited(Client.dead)
    dead_letter = _awaited(Client.dead_letter)
    resend = _awaited(Client.resend)
    purge_dead = _awaited(Client.purge_dead)

    pause_all = _awaited(Client.pause_all)
    resume_all = _awaited(Client.resume_all)
    schedule_paused = _awaited(Client.schedule_paused)
    set_calendar = _awaited(Client.set_calendar)
    calendars = _awaited(Client.calendars)
    remove_calendar = _awaited(Client.remove_calendar)
    add_hold = _awaited(Client.add_hold)
    holds = _awaited(Client.holds)
    remove_hold = _awaited(Client.remove_hold)
    step_down = _awaited(Client.step_down)

    purge = _awaited(Client.purge)
    adopt = _awaited(Client.adopt)
    export = _awaited(Client.export)
    load = _awaited(Client.load)
    backup = _awaited(Client.backup)
    restore = _awaited(Client.restore)

    # -- without Redis, so they are not awaited ------------------------------------------------

    def policies(self, entry: Entry) -> Policies:
        """How an entry catches up: its own policies, completed by the app's."""
        return self._client.policies(entry)

    def acting_as(self, by: str | Author) -> Self:
        """This client for changes that `by` makes; it shares the connections of this one.

        For a web application with one client and many users: ``client.acting_as("alice")``.
        """
        other = copy(self)
        other._client = self._client.acting_as(by)
        return other

    @property
    def timezone(self) -> str:
        """The IANA name of the zone for schedules without one of their own."""
        return self._client.timezone

    @property
    def redis(self) -> str:
        """The Redis and the key prefix, for display; without password."""
        return self._client.redis

    # -- connections and threads ---------------------------------------------------------------

    async def close(self) -> None:
        """Wait for the calls that were begun, then disconnect. A later call reconnects."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._pool.shutdown()
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        """The result of the call, which runs in a thread; CallTimeout if none becomes free."""
        job = self._pool.submit(call)
        waiting = asyncio.wrap_future(job)
        try:
            await asyncio.wait([waiting], timeout=self._timeout_s)
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        if job.cancel():  # it works only for a call that has not begun
            raise CallTimeout(self._timeout_s, f"its {self._threads} threads were busy", "threads")
        return await waiting
