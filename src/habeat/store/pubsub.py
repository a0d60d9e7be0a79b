"""The pub/sub connection: a replica waits on it, and others see by it that the replica is alive.

One connection is subscribed to the wake channel and to the replica's own channel. The kernel keeps
it open while the process lives, and closes it the moment the process dies.

The replica waits on the connection's socket. `get_message` checks the client's buffer before it
sleeps, so a second message in the same packet is not missed. It sleeps by poll(2), which rounds up
to whole milliseconds. So the last part of a wait sleeps without listening, and held claims leave on
time.

An idle connection is PINGed, because NATs forget idle flows, and a half-open socket shows no error.
If a PING is not answered within `PING_PATIENCE_MS`, the connection is closed. If SUBSCRIBE is not
allowed, the channel is deaf: waiting only sleeps, and a takeover waits for the TTL. If the
connection cannot be opened (maxclients) while commands work, the channel is deaf for a while and
then tries again, and dispatch continues on the connection for commands.

When the credentials change, the connection is replaced, before the server closes it because its
password has expired (store/credentials.py).
"""

from __future__ import annotations

import contextlib
import logging
import select
from collections.abc import Sequence
from typing import Any

from redis.client import PubSub
from redis.exceptions import NoPermissionError, ResponseError

from habeat.core.events import EventCode, Level
from habeat.log import log_event
from habeat.ports import Clock, StoreUnavailable
from habeat.store.calling import text
from habeat.store.connection import Connections
from habeat.store.faults import REDIS_ERRORS, classify
from habeat.store.keys import Keys

log = logging.getLogger("habeat")

PING_EVERY_MS = 10_000
PING_PATIENCE_MS = 5_000
SUBSCRIBE_PATIENCE_MS = 1_000
#: How long before its end a wait stops listening and only sleeps.
DEAF_MS = 2
#: The shortest time between two renewals, for providers with new credentials at each call.
RENEW_EVERY_MS = 5_000
#: How long to wait after the connection could not be opened, before the next try.
REOPEN_EVERY_MS = 1_000


class RedisWakeChannel:
    """`ports.WakeChannel`, on one redis-py PubSub."""

    def __init__(self, connections: Connections, keys: Keys, nonce: str, clock: Clock) -> None:
        self._connections = connections
        self._keys = keys
        self._channels = (keys.wake, keys.alive(nonce))
        self._clock = clock
        self._pubsub: PubSub | None = None
        self._deaf = False
        self._closed_until_ms = 0
        self._cannot_open = False
        self._heard_ms = 0
        self._pinged_ms: int | None = None
        #: Which credentials the connection has logged in with, and when it may be renewed.
        self._generation = 0
        self._renew_at_ms = 0
        self._cannot_renew = False

    def open(self) -> bool:
        if self._pubsub is not None or self._deaf or self._now_ms() < self._closed_until_ms:
            return False
        generation = self._connections.credentials(self._clock)
        try:
            self._pubsub = self._subscribed()
        except (NoPermissionError, ResponseError) as error:
            self._deaf = True
            log_event(
                EventCode.PUBSUB_UNAVAILABLE,
                "habeat: SUBSCRIBE is refused (%s): takeover after a crash waits for the TTL, "
                "and changes are seen within a second",
                error,
                level=Level.WARNING,
            )
        except REDIS_ERRORS as error:
            self._not_opened(error)
            return False
        if self._cannot_open:
            self._cannot_open = False
            log_event(EventCode.PUBSUB_AVAILABLE, "habeat: the pub/sub connection is open again")
        self._heard_ms, self._pinged_ms = self._now_ms(), None
        self._generation = generation
        return True

    def wait(self, timeout_ms: float) -> frozenset[str]:
        try:
            heard = self._renewed()
            if heard:
                return frozenset(heard)
            if self._pubsub is None:
                select.select((), (), (), timeout_ms / 1_000)
                return frozenset()
            self._keep_alive()
            return frozenset(self._listen(self._pubsub, timeout_ms))
        except REDIS_ERRORS as error:
            self.resubscribe()
            raise StoreUnavailable(classify(error).value, str(error)) from error

    def resubscribe(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            try:
                pubsub.close()
            except REDIS_ERRORS:
                log.debug("habeat: closing the pub/sub connection failed", exc_info=True)

    def forget(self) -> None:
        """In a forked child: drop the object; `Connections` closes its socket."""
        self._pubsub = None

    def _renewed(self) -> Sequence[str]:
        """Replace the connections if the credentials have changed; what the old one still heard.

        The new one is subscribed before the old one is closed, so this replica has a subscriber
        all the time. If that fails, the old one stays for another while.
        """
        generation = self._connections.credentials(self._clock)
        if generation == self._generation or self._now_ms() < self._renew_at_ms:
            return ()
        self._renew_at_ms = self._now_ms() + RENEW_EVERY_MS
        old = self._pubsub
        try:
            self._pubsub = None if old is None else self._subscribed()
        except REDIS_ERRORS as error:
            if not self._cannot_renew:
                self._cannot_renew = True
                log_event(
                    EventCode.CREDENTIALS_REFUSED,
                    "habeat: the credentials have changed, but no pub/sub connection can be opened "
                    "with the new ones (%s): the old one stays for as long as Redis allows",
                    error,
                )
            return ()
        if self._cannot_renew:
            self._cannot_renew = False
            log_event(
                EventCode.CREDENTIALS_RENEWED,
                "habeat: the pub/sub connection uses the new credentials now",
            )
        self._generation = generation
        self._connections.drop_idle()
        heard = () if old is None else self._last_heard(old)
        self._heard_ms, self._pinged_ms = self._now_ms(), None
        return heard

    def _last_heard(self, old: PubSub) -> Sequence[str]:
        try:
            return self._listen(old, 0)
        except REDIS_ERRORS:
            return ()  # closed by Redis already; the engine looks again within a second anyway
        finally:
            with contextlib.suppress(*REDIS_ERRORS):
                old.close()

    def _not_opened(self, error: Exception) -> None:
        """Retry after a while if Redis still answers commands; otherwise StoreUnavailable."""
        try:
            self._connections.client().exists(self._keys.meta)
        except REDIS_ERRORS:
            # With a Cluster or Sentinel, the server we know of may be gone for good.
            self._connections.reset()
            raise StoreUnavailable(classify(error).value, str(error)) from error
        self._closed_until_ms = self._now_ms() + REOPEN_EVERY_MS
        if not self._cannot_open:
            self._cannot_open = True
            log_event(
                EventCode.PUBSUB_UNAVAILABLE,
                "habeat: the pub/sub connection cannot be opened (%s), though Redis answers: "
                "dispatch continues, and takeover after a crash waits for the TTL",
                error,
            )

    def _subscribed(self) -> PubSub:
        pubsub = self._connections.pubsub(self._keys.meta)
        try:
            return self._confirmed(pubsub)
        except BaseException:
            with contextlib.suppress(*REDIS_ERRORS):
                pubsub.close()
            raise

    def _confirmed(self, pubsub: PubSub) -> PubSub:
        pubsub.subscribe(*self._channels)
        ends_ms = self._now_ms() + SUBSCRIBE_PATIENCE_MS
        confirmed = 0
        while confirmed < len(self._channels):
            left_ms = ends_ms - self._now_ms()
            if left_ms <= 0:
                raise TimeoutError("SUBSCRIBE was not confirmed in time")
            message = pubsub.get_message(timeout=left_ms / 1_000)
            confirmed += bool(message) and message["type"] == "subscribe"
        return pubsub

    def _listen(self, pubsub: PubSub, timeout_ms: float) -> Sequence[str]:
        said: list[str] = []
        message = self._waited(pubsub, timeout_ms)
        while message is not None:
            self._heard_ms, self._pinged_ms = self._now_ms(), None
            if message["type"] == "message":
                said.append(text(message["data"]))
            message = pubsub.get_message(timeout=0)
        return said

    def _waited(self, pubsub: PubSub, timeout_ms: float) -> Any:
        """The first message within `timeout_ms`, or None."""
        ends_us = self._clock.monotonic_us() + int(timeout_ms * 1_000)
        heard_ms = int(timeout_ms) - DEAF_MS
        if heard_ms > 0:
            message = pubsub.get_message(timeout=heard_ms / 1_000)
            if message is not None:
                return message
        left_us = ends_us - self._clock.monotonic_us()
        if left_us > 0:
            select.select((), (), (), left_us / 1e6)
        return pubsub.get_message(timeout=0)

    def _keep_alive(self) -> None:
        now_ms = self._now_ms()
        if self._pinged_ms is not None and now_ms - self._pinged_ms > PING_PATIENCE_MS:
            raise TimeoutError("the pub/sub connection does not answer PING")
        if self._pinged_ms is None and now_ms - self._heard_ms >= PING_EVERY_MS:
            assert self._pubsub is not None
            self._pubsub.ping()
            self._pinged_ms = now_ms

    def _now_ms(self) -> int:
        return self._clock.monotonic_us() // 1_000
