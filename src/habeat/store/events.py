"""Stored events: what happened to the schedule as a whole, in the stream `:events`.

A change of leader is one event, written by the script that makes it (scripts/leadership.lua), and
so is a loss of data. Outages of Redis and of the broker are reported by replicas
(scripts/event.lua).
The stream is held to the age of the ledger, and to 10,000 events. A replica of an older release
writes none, so an event also names the leader before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from habeat.core.events import EventCode
from habeat.ports.events import Happening
from habeat.printable import ERROR_MAX_CHARS, printable, without_passwords
from habeat.store.calling import Caller, blank, optional_ms, text
from habeat.store.replies import words
from habeat.store.streams import ids, pages_of_stream

PAGE = 200
#: How many events are looked through for the hosts of leaders.
LOOKED_AT_MOST = 2_000
#: Longer texts are cut when they are read: another program may have written them.
TEXT_MAX_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Party:
    """A replica in an event; what is unknown is "" or None."""

    replica: str = ""
    host: str = ""
    pid: int | None = None
    lease_epoch: int | None = None

    @property
    def is_known(self) -> bool:
        return bool(self.replica or self.host)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as stored. Instants are Unix milliseconds; `at_ms` is when it was written.

    `by` is the replica that wrote it, and in a change of leader the new leader. `before` is the
    leader before.
    """

    id: str
    at_ms: int
    code: str
    entry: str
    by: Party
    since_ms: int | None
    until_ms: int | None
    cause: str
    detail: str
    before: Party = Party()


class RedisEventLog:
    """`ports.events.EventLog` of one replica."""

    def __init__(
        self,
        caller: Caller,
        nonce: str,
        host: str = "",
        pid: int = 0,
        error_chars: int = ERROR_MAX_CHARS,
    ) -> None:
        self._caller = caller
        self._who = (nonce, host, pid)
        self._error_chars = error_chars

    def add(self, happening: Happening) -> bool:
        detail = printable(without_passwords(happening.detail), self._error_chars)
        times = (happening.since_ms, blank(happening.until_ms))
        facts = (happening.cause, detail, happening.report.value, happening.subject)
        epoch = blank(happening.lease_epoch)
        reply = self._caller.run("event", happening.code.value, *self._who, epoch, *times, *facts)
        return text(reply) == "ok"


class Events:
    """Reads stored events. StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def newest_first(
        self, since_ms: int | None = None, until_ms: int | None = None
    ) -> Iterator[StoredEvent]:
        """The events written from `since_ms` to `until_ms` (Redis time), newest first."""
        do = partial(self._caller.do_or, otherwise=())
        bounds = ids(since_ms, until_ms)
        for page in pages_of_stream(do, self._caller.keys.events, *bounds, PAGE):
            yield from (_event(text(identity), fields) for identity, fields in page)

    def after(self, last: str, limit: int) -> list[StoredEvent]:
        """The events after the one with this id, oldest first, `limit` at most."""
        key = self._caller.keys.events
        found = self._caller.do_or(
            lambda client: client.xrange(key, min=f"({last}", count=limit), ()
        )
        return [_event(text(identity), fields) for identity, fields in found]

    def newest_id(self) -> str:
        """The id of the last event; one before all events if there is none."""
        key = self._caller.keys.events
        found = self._caller.do_or(lambda client: client.xrevrange(key, count=1), ())
        return text(found[0][0]) if found else "0-0"

    def replicas_of(self, epochs: Iterable[int]) -> dict[int, Party]:
        """The leaders under these lease epochs, as far as their host is known.

        An event names the leader before as well, so the leaders of older releases and those whose
        own event is trimmed already are missing only if nothing has followed them.
        """
        missing, found = set(epochs), dict[int, Party]()
        for party in chain([self.leading()], self._leaders()):
            if not missing:
                break
            if party.host and party.lease_epoch in missing:
                missing.remove(party.lease_epoch)
                found[party.lease_epoch] = party
        return found

    def _leaders(self) -> Iterator[Party]:
        for event in islice(self.newest_first(), LOOKED_AT_MOST):
            if event.code == EventCode.LEADER_ACQUIRED:
                yield event.by
                yield event.before

    def leading(self) -> Party:
        """The present or last leader, as it wrote of itself; empty if an older release leads."""
        key = self._caller.keys.meta
        leader, place = self._caller.do(lambda client: client.hmget(key, ["leader", "leader_at"]))
        token, _, where = text(place or b"").partition(" ")
        if not leader or token != text(leader):
            return Party()
        pid, _, host = where.partition(" ")
        epoch, _, nonce = token.partition(":")
        return Party(nonce, _bounded(host), optional_ms(pid), optional_ms(epoch))


def _event(identity: str, raw: Mapping[bytes, bytes]) -> StoredEvent:
    """One event; unreadable numbers are None."""
    fields = words(raw)
    return StoredEvent(
        id=identity,
        at_ms=optional_ms(identity.partition("-")[0]) or 0,
        code=_bounded(fields.get("code", "")),
        entry=fields.get("entry", ""),
        by=_party(fields, ""),
        since_ms=optional_ms(fields.get("since", "")),
        until_ms=optional_ms(fields.get("until", "")),
        cause=_bounded(fields.get("cause", "")),
        detail=_bounded(fields.get("detail", "")),
        before=_party(fields, "from_"),
    )


def _party(fields: Mapping[str, str], prefix: str) -> Party:
    replica, host = (_bounded(fields.get(prefix + name, "")) for name in ("replica", "host"))
    pid, epoch = (optional_ms(fields.get(prefix + name, "")) for name in ("pid", "epoch"))
    return Party(replica, host, pid, epoch)


def _bounded(word: str) -> str:
    return word[:TEXT_MAX_CHARS]
