"""Watch what another beat sends: Celery's task-sent events, in a thread of its own.

The other beat publishes them if its app has ``task_send_sent_event = True``. They carry the task,
the queue and the arguments of a message and the process that sent it. Events are only received: a
queue for them is declared, and nothing is published, not even the request for heartbeats that
Celery's own monitors broadcast.

Only the leader watches, and only once its entries are stored. So in each period that it records as
watched, it decided as well. What goes wrong here ends the period; the loop goes on, and watching is
tried again. Messages that cannot be stored are kept for a while, in a bounded number.

Web processes send tasks, too, perhaps thousands a second. So a message is stored if its task is one
that the schedule has. Others are stored only if their process sends mostly such tasks, as a beat
does: a task that is scheduled there, and not here, is an important difference.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from celery import Celery
from kombu import Connection, Consumer

from habeat.beat.broker.blame import text_of
from habeat.beat.shadow.description import digest_of
from habeat.core.comparison import Kind, Message
from habeat.core.events import EventCode
from habeat.engine.trouble_log import TroubleLog
from habeat.ports import Clock, StoreUnavailable
from habeat.printable import printable

log = logging.getLogger("habeat")

ROUTING_KEY = "task.sent"
DRAIN_S = 0.5
STORE_EVERY_MS = 1_000
TRIM_EVERY_MS = 30_000
#: A broker may drop events that wait for longer: the default of `event_queue_ttl`.
EVENTS_KEPT_MS = 5_000
RETRY_S = 2.0
CONNECT_S = 3.0
#: Messages that wait to be stored; if there are more, the oldest are dropped and the period ends.
WAITING_MOST = 20_000
#: A message waits this long for its task to become known: our own slot may come a moment later.
DECIDE_AFTER_MS = 2_000
#: Processes that are remembered, and from how many messages on they are judged.
SENDERS_KEPT, JUDGED_FROM = 1_000, 3
#: The newest records of an earlier leader, read for the tasks that the schedule has.
RECORDS_READ = 5_000
CHARS_MOST = 255


class Log(Protocol):
    """Where it is stored: `store.shadow_log.ShadowLog`."""

    def now_ms(self) -> int: ...

    def saw(self, messages: list[Message], watched: tuple[str, int, int]) -> None: ...

    def trim(self, age_ms: int, length: int) -> bool: ...

    def tasks(self, limit: int) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """How much is kept: an age and a number of records."""

    age_ms: int
    length: int


class Watcher:
    """The thread, and what it has received."""

    def __init__(
        self,
        app: Celery,
        shadow_log: Log,
        has_task: Callable[[str], bool],
        kept: Kept,
        clock: Clock,
        nonce: str,
        disconnect: Callable[[], None] = lambda: None,
    ) -> None:
        """`has_task` tells whether an entry has this task. `disconnect` is called at the end."""
        self._disconnect = disconnect
        self._app = app
        self._log = shadow_log
        self._has_task = has_task
        self._kept = kept
        self._now_ms: Callable[[], int] = lambda: clock.monotonic_us() // 1_000
        self._nonce = nonce
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = TroubleLog()
        self._waiting: deque[tuple[int, Message]] = deque()
        self._senders = Senders()
        #: Tasks of slots that were decided before this process led.
        self._earlier: set[str] = set()
        self._dropped = False
        self._stored_ms = self._trimmed_ms = -TRIM_EVERY_MS
        #: How many firings were decided since another beat was last seen, and since when.
        self._unseen, self._unseen_since_ms = 0, 0
        #: When this period began, by Redis' clock; None while it does not watch.
        self._since_ms: int | None = None

    def want(self, wanted: bool) -> None:
        """Watch, or stop watching; returns at once and raises nothing."""
        if not wanted:
            self._wanted.clear()
            self._unseen = 0
        elif not self._wanted.is_set():
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="habeat shadow", daemon=True)
                self._thread.start()

    def decided(self) -> None:
        """Note that a firing was decided, which another beat should send."""
        if not self._unseen:
            self._unseen_since_ms = self._now_ms()
        self._unseen += 1

    @property
    def facts(self) -> dict[str, int]:
        """What a replica registers: firings decided since another beat was last seen."""
        since_ms = self._now_ms() - self._unseen_since_ms if self._unseen else 0
        return {"unseen": self._unseen, "unseen_ms": since_ms}

    def close(self) -> None:
        """End the thread, soon."""
        self._wanted.clear()
        self._over.set()

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.is_set():
            if not self._wanted.wait(DRAIN_S):
                continue
            try:
                self._watch()
            except Exception as error:
                if self._over.is_set():
                    break
                why = printable(text_of(error), CHARS_MOST)
                self._trouble.error(
                    "watching",
                    EventCode.SHADOW_BLIND,
                    "habeat: the other beat's messages cannot be watched (%s); trying again, and "
                    "`habeat diff` shows the slots until then as unknown",
                    why,
                )
                self._trim_if_due()
                self._over.wait(RETRY_S)
            finally:
                self._since_ms = None
        self._disconnect()

    def _watch(self) -> None:
        """Receive until it is no longer wanted or fails."""
        with self._app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECT_S)
            with receiving(self._app, connection, self._received):
                self._drained(connection)  # on Redis, this subscribes
                self._begin()
                while self._wanted.is_set():
                    self._drained(connection)
                    self._store_if_due()
                if not self._over.is_set():
                    self._store()

    def _begin(self) -> None:
        self._since_ms = self._log.now_ms()
        self._earlier = self._log.tasks(RECORDS_READ)
        self._dropped, self._stored_ms = False, self._now_ms()
        self._trouble.over("watching", "habeat: the other beat's messages are watched again")

    def _drained(self, connection: Connection) -> None:
        try:
            connection.drain_events(timeout=DRAIN_S)
        except TimeoutError:
            connection.heartbeat_check()

    def _received(self, event: Mapping[str, Any]) -> None:
        """Process one event; one that cannot be read is ignored."""
        try:
            message = message_of(event)
        except Exception:
            log.debug("habeat: a task-sent event cannot be read", exc_info=True)
            return
        if self._is_scheduled(message):
            self._unseen = 0
        self._senders.heard(message.sender, self._is_scheduled(message))
        self._waiting.append((self._now_ms(), message))
        if len(self._waiting) > WAITING_MOST:
            self._waiting.popleft()
            self._dropped = True

    def _is_scheduled(self, message: Message) -> bool:
        task = message.kind.task
        return task in self._earlier or self._has_task(task)

    # -- storing ----------------------------------------------------------------------------

    def _store_if_due(self) -> None:
        if self._now_ms() - self._stored_ms >= STORE_EVERY_MS:
            self._store()
        self._trim_if_due()

    def _store(self) -> None:
        """Store what has waited long enough, and how far the period reaches."""
        now_ms, redis_ms = self._now_ms(), self._log.now_ms()
        if self._dropped or now_ms - self._stored_ms > EVENTS_KEPT_MS:
            self._dropped, self._since_ms = False, redis_ms
        behind_ms = redis_ms - now_ms
        ripe: list[tuple[int, Message]] = []
        while self._waiting and self._is_ripe(self._waiting[0], now_ms):
            ripe.append(self._waiting.popleft())
        found = [
            _at(message, at_ms + behind_ms) for at_ms, message in ripe if self._counts(message)
        ]
        # What still waits is not stored yet, so the period ends before it.
        upto_ms = self._waiting[0][0] + behind_ms - 1 if self._waiting else redis_ms
        since_ms = self._since_ms or redis_ms
        try:
            self._log.saw(found, (self._nonce, since_ms, max(since_ms, upto_ms)))
        except StoreUnavailable:
            self._waiting.extendleft(reversed(ripe))
            raise
        self._stored_ms = now_ms

    def _is_ripe(self, waiting: tuple[int, Message], now_ms: int) -> bool:
        at_ms, message = waiting
        return self._is_scheduled(message) or now_ms - at_ms >= DECIDE_AFTER_MS

    def _counts(self, message: Message) -> bool:
        return self._is_scheduled(message) or self._senders.is_beat(message.sender)

    def _trim_if_due(self) -> None:
        if self._now_ms() - self._trimmed_ms < TRIM_EVERY_MS:
            return
        try:
            while self._log.trim(self._kept.age_ms, self._kept.length) and not self._over.is_set():
                pass
        except StoreUnavailable as error:
            log.debug("habeat: the shadow's records cannot be trimmed: %s", error)
        self._trimmed_ms = self._now_ms()


class Senders:
    """How many messages of each process were of scheduled tasks; a bounded number of processes."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def heard(self, sender: str, scheduled: bool) -> None:
        """Count one message of a process."""
        mine, others = self._counts.get(sender, (0, 0))
        self._counts[sender] = (mine + 1, others) if scheduled else (mine, others + 1)
        self._counts.move_to_end(sender)
        if len(self._counts) > SENDERS_KEPT:
            self._counts.popitem(last=False)

    def is_beat(self, sender: str) -> bool:
        """Whether most of its messages were of scheduled tasks."""
        mine, others = self._counts.get(sender, (0, 0))
        return mine >= JUDGED_FROM and mine >= others


@contextmanager
def receiving(
    app: Celery, connection: Connection, received: Callable[[Mapping[str, Any]], None]
) -> Iterator[None]:
    """Have `received` called with each task-sent event, whenever the connection is drained."""
    channel = connection.channel()
    receiver = app.events.Receiver(
        channel, handlers={"task-sent": received}, routing_key=ROUTING_KEY
    )
    consumers = receiver.get_consumers(_consumer_on(channel), channel)
    with consumers[0]:
        yield


def message_of(event: Mapping[str, Any]) -> Message:
    """The message that a task-sent event is about; KeyError or TypeError if it is not one."""
    kind = Kind(
        str(event["name"])[:CHARS_MOST],
        str(event.get("queue") or "")[:CHARS_MOST],
        digest_of(event.get("args"), event.get("kwargs")),
    )
    sender = str(event.get("hostname") or "")[:CHARS_MOST]
    return Message(str(event["uuid"])[:CHARS_MOST], 0, kind, sender)


def _at(message: Message, at_ms: int) -> Message:
    return Message(message.id, at_ms, message.kind, message.sender)


def _consumer_on(channel: Any) -> Callable[..., Consumer]:
    def make(**given: Any) -> Consumer:
        return Consumer(channel, **given)

    return make
