"""The calls of the Client: sessions with all stores, one budget for many steps, and writes.

A call of many steps uses `bounded`, so that all of them share one budget. A repeated attempt must
recognise what an earlier one has done, as perhaps only its reply was lost: see `swapping`.
`attempts.py` says how threads, forks and time are dealt with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import TypeVar

from habeat.client.attempts import Attempts, Connected
from habeat.client.attempts import Overtaken as Overtaken
from habeat.client.budget import Budget
from habeat.client.guard import NO_GUARD, Guard
from habeat.client.location import Location
from habeat.core.change_record import Author, Way
from habeat.core.shadow import why_refused
from habeat.errors import ForeignState
from habeat.store.change_log import ChangeLog
from habeat.store.controls import ControlStore
from habeat.store.dead_letters import DeadStore
from habeat.store.entries import EntryStore
from habeat.store.events import Events
from habeat.store.known_tasks import KnownTasksStore
from habeat.store.lateness_feed import LatenessFeed
from habeat.store.prefix_keys import PrefixKeys
from habeat.store.shadow_log import ShadowLog
from habeat.store.slots import SlotStore

Result = TypeVar("Result")

SCHEMA = "1"


class Session(Connected):
    """A connection with all stores."""

    def __init__(self, location: Location, wait_s: float) -> None:
        super().__init__(location, wait_s)
        caller = self.caller
        self.entries = EntryStore(caller)
        self.changes = ChangeLog(caller)
        self.events = Events(caller)
        self.dead = DeadStore(caller)
        self.prefix_keys = PrefixKeys(caller)
        self.known_tasks = KnownTasksStore(caller)
        self.shadow = ShadowLog(caller)
        self.slots = SlotStore(caller)
        self.lateness = LatenessFeed(caller)
        self.controls = ControlStore(caller)


class RetryingCalls(Attempts[Session]):
    """Runs attempts in sessions, with retries and time limits."""

    def __init__(
        self,
        find_location: Callable[[], Location],
        timeout_s: float,
        sleep: Callable[[float], None] | None = None,
        guard: Guard = NO_GUARD,
        long_timeout_s: float | None = None,
    ) -> None:
        super().__init__(find_location, timeout_s, Session, sleep)
        self.guard = guard
        #: Who makes the changes, for the change log.
        self.author = Author()
        self._long_timeout_s = timeout_s if long_timeout_s is None else long_timeout_s
        self._ours = False
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

    def bounded(self, more_s: float = 0.0) -> RetryingCalls:
        """These calls with one budget for many steps: the long timeout plus `more_s`.

        Calls that are bounded already keep their first budget.
        """
        if self._budget is not None:
            return self
        bounded = copy(self)
        bounded._budget = Budget(self._long_timeout_s + more_s, "long_timeout")
        return bounded

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

    def write(self, attempt: Callable[[Session], Result]) -> Result:
        """The same for an attempt that writes; ForeignState if the keys belong to another app."""

        def checked(session: Session) -> Result:
            self._check_owner(session)
            return attempt(session)

        return self.read(checked)

    def lend(self, session: Session) -> None:
        session.entries.author = session.controls.author = self.author

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
