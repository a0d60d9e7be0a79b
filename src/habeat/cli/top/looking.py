"""Ask Redis what the screen shows: a few calls for each look, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from habeat.cli.top.window import SPAN, Window
from habeat.client import Client, Event, LedgerRecord, Status
from habeat.client.history import Follower
from habeat.errors import CallTimeout, RedisUnavailable

#: How many entries that are due next are asked for; a filter chooses among them.
UPCOMING = 200
#: How many records are read for the figures of the time before the first look.
BEFORE = 5_000
#: How many events are shown among the records: those of the last hour, the newest.
EVENTS, EVENTS_SINCE = 20, timedelta(hours=1)
#: How many pages of new records one look reads. If there are more, it goes on with the newest.
PAGES = 5

AWAY = (RedisUnavailable, CallTimeout)


@dataclass(frozen=True, slots=True)
class View:
    """What one look has found.

    `at` is Redis' time. `away` says why the last look failed ("" if it did not), since `away_s` of
    the monotonic clock; the rest is then of the last look that succeeded, or empty. `is_sampled`
    says that records come faster than they can be shown.
    """

    at: datetime | None = None
    status: Status | None = None
    upcoming: Sequence[tuple[str, datetime]] = ()
    records: Sequence[LedgerRecord] = ()
    events: Sequence[Event] = ()
    window: Window | None = None
    is_sampled: bool = False
    away: str = ""
    away_s: float = 0.0


class Looker:
    """Looks again and again; each look begins where the last one ended."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._window = Window()
        self._follower: Follower | None = None
        #: When records had to be left out: for five minutes, the figures are of a part.
        self._left_out: datetime | None = None
        self._last: View = View()

    def look(self) -> View:
        """What there is now. Raises HabeatError."""
        status = self._client.status()
        if self._read(status.at):
            self._left_out = status.at
        window = Window()
        window.add(self._window.records, status.at)  # a copy: the screen reads it meanwhile
        return View(
            at=status.at,
            status=status,
            upcoming=self._client.upcoming(UPCOMING),
            records=tuple(window.records)[-UPCOMING:],
            events=self._client.events(since=EVENTS_SINCE, limit=EVENTS)[::-1],
            window=window,
            is_sampled=self._left_out is not None and status.at - self._left_out <= SPAN,
        )

    def try_to_look(self) -> View:
        """What there is now; if Redis is away, what there was, and that it is."""
        try:
            self._last = self.look()
        except AWAY as error:
            last = self._last
            away_s = last.away_s if last.away else time.monotonic()
            self._last = replace(last, away=str(error), away_s=away_s)
        return self._last

    def _read(self, now: datetime) -> bool:
        """Read the new records; returns whether some had to be left out."""
        is_cut = False
        if self._follower is None:
            before = self._client.history(since=SPAN, limit=BEFORE)[::-1]
            self._window.add(before, now)
            self._follower = self._client._follower(None, (), before[-1].id if before else None)
            is_cut = len(before) == BEFORE
        for _ in range(PAGES):
            self._window.add(self._follower.look(), now)
            if self._follower.is_caught_up:
                return is_cut
        self._follower = self._client._follower(None, (), None)
        return True


class Watching:
    """The thread that looks every so often."""

    def __init__(self, looker: Looker, every_s: float, changed: Callable[[], None]) -> None:
        """`changed` is called after each look, in the thread."""
        self._looker = looker
        self._every_s = every_s
        self._changed = changed
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="habeat top", daemon=True)
        #: The last look.
        self.view = View()
        #: What ended the thread, if it was not asked to end.
        self.error: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_s: float = 0.2) -> None:
        """Ask the thread to end. It ends with its call, which may take a few seconds."""
        self._over.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.view = self._looker.try_to_look()
            except Exception as error:
                self.error = error
                return
            finally:
                self._changed()
            self._over.wait(self._every_s)
