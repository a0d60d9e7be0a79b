"""What people want to see: who leads, which replicas are live, outcomes of slots, lateness."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

from habeat.core.circuit import Circuit
from habeat.core.controls import Controls, controls_of
from habeat.core.firing import Outcome
from habeat.core.lateness import Lateness
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.controls import ControlStore
from habeat.store.overview import Asked, Overview, ask, asked_of_all, live_of, seen_of
from habeat.store.pipelining import wire
from habeat.store.replies import histogram, holder, objects, pairs, whole, words
from habeat.store.streams import ids, order_of, pages_of_stream

LEDGER_PAGE = 500
SCANNED = 500
#: How many records of a chain one script call follows; each needs a lookup of its own.
CHAIN_PAGE = 50


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the ledger: the outcome of a slot, or of a run of slots.

    Instants are Unix milliseconds, UTC. `at_ms` is when the record was written (Redis time),
    `last_ms` is the last slot of the run, and `lateness_ms` belongs to a firing that was sent.
    """

    entry: str
    slot_ms: int
    outcome: Outcome
    reason: str
    count: int
    last_ms: int
    lease_epoch: int
    lateness_ms: int
    attempt: int
    at_ms: int
    #: The record's id in the ledger, and the id of the request of a firing by hand ("" if none).
    id: str = ""
    request: str = ""
    #: The queue or routing key of the message; "" if unknown.
    queue: str = ""

    @property
    def is_by_hand(self) -> bool:
        """Whether it is about a requested firing; older releases did not record the request."""
        return bool(self.request) or self.reason in ("trigger", "backfill")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Overview):
    """Everything that `status` shows."""

    quarantined: Mapping[str, str]
    circuits: Mapping[str, Circuit] = field(default_factory=dict)
    #: How many of the entries with an open circuit are scheduled.
    failing: int = 0
    controls: Controls = field(default_factory=Controls)


@dataclass(frozen=True, slots=True)
class Registered:
    """The live replicas: what each registered, by nonce, and what the leader did (or nothing)."""

    replicas: Mapping[str, Mapping[str, Any]]
    leader: Mapping[str, Any]


class Inspection:
    """Read-only queries."""

    def __init__(self, caller: Caller) -> None:
        self.caller = self._caller = caller

    def facts(self) -> Facts:
        """The state of all replicas together."""
        keys = self._caller.keys
        own: Asked = {
            "quarantined": (lambda pipe: pipe.hgetall(keys.quarantine), words),
            "circuits": (lambda pipe: pipe.hgetall(keys.circuits), _circuits),
        }
        now_ms = self.now_ms()
        found = ask(self._caller, {**asked_of_all(keys), **own})
        # Without a stamp, there never were any.
        controls = self.controls() if found["meta"].get("controls") else Controls()
        failing = self._scheduled(found["circuits"])
        return Facts(now_ms=now_ms, **found, failing=failing, controls=controls)

    def controls(self) -> Controls:
        """What people ask of the schedule as a whole."""
        found = ControlStore(self._caller).read()
        return controls_of(found.stamp, found.fields)

    def _scheduled(self, names: Collection[str]) -> int:
        """How many of these entries are scheduled."""
        if not names:
            return 0
        key = self._caller.keys.due
        questions = [partial(_score_at, key, wire(name)) for name in names]
        return sum(score is not None for score in self._caller.at_once(questions))

    def registered(self) -> Registered:
        """What the live replicas have registered."""
        keys = self._caller.keys
        now_ms = self.now_ms()
        lease, replicas, seen = self._caller.at_once(
            [
                lambda pipe: pipe.get(keys.lease),
                lambda pipe: pipe.hgetall(keys.replicas),
                lambda pipe: pipe.zrange(keys.seen, 0, -1, withscores=True),
            ]
        )
        facts, leading = objects(replicas), holder(lease)
        live = {nonce: facts.get(nonce, {}) for nonce in live_of(seen_of(seen), now_ms)}
        return Registered(live, live.get(leading.nonce, {}) if leading else {})

    def newest(self, count: int) -> list[Record]:
        """The most recent records of the ledger, newest first."""
        key = self._caller.keys.ledger
        found: Any = self._caller.do(lambda client: client.xrevrange(key, count=count))
        return [record_of(text(identity), words(fields)) for identity, fields in found]

    def now_ms(self) -> int:
        """Redis' time."""
        return self._caller.now_ms()

    def cluster(self) -> str:
        """The id that the task ids of this schedule derive from; "" if no replica has led yet."""
        key = self._caller.keys.meta
        return text(self._caller.do(lambda client: client.hget(key, "cluster")) or b"")

    def after(self, last: str) -> Iterator[Record]:
        """The records after the one with this id, oldest first.

        If the ledger now ends before it, because Redis has lost data, these are all its records.
        """
        newest = self.newest(1)
        if newest and order_of(newest[0].id) < order_of(last):
            last = "0-0"
        yield from self.ledger(newest_first=False, low=f"({last}")

    def page_after(self, last: str, count: int) -> list[Record]:
        """Up to `count` records after the one with this id, oldest first."""
        key = self._caller.keys.ledger
        low = f"({last}"
        found: Any = self._caller.do(lambda client: client.xrange(key, min=low, count=count))
        return [record_of(text(identity), words(fields)) for identity, fields in found]

    def belongs_to(self) -> tuple[str, str]:
        """App and schema that own the keys under our prefix; "" if no replica has led yet."""
        meta = self._caller.keys.meta
        app, schema = self._caller.do(lambda client: client.hmget(meta, "app", "schema"))
        return text(app or b""), text(schema or b"")

    def quarantined(self) -> dict[str, str]:
        """The quarantined entries, and why."""
        key = self._caller.keys.quarantine
        found: Any = self._caller.do(lambda client: client.hgetall(key))
        return words(found)

    def set_aside(self) -> Iterator[str]:
        """The names of the quarantined entries."""
        key, cursor = self._caller.keys.quarantine, 0
        while True:
            at = cursor
            cursor, found = self._caller.do(lambda client: client.hscan(key, at, count=SCANNED))  # noqa: B023
            yield from map(text, found)
            if not int(cursor):
                return

    def circuit(self, name: str) -> Circuit | None:
        """The circuit of this entry; None if it is closed."""
        key = self._caller.keys.circuits
        found: Any = self._caller.do(lambda client: client.hget(key, wire(name)))
        return None if found is None else Circuit.from_json(text(found))

    def overdue(self, before_ms: int) -> int:
        """The number of entries that have been due since before `before_ms` (Redis time)."""
        key = self._caller.keys.due
        return int(self._caller.do(lambda client: client.zcount(key, "-inf", f"({before_ms}")))

    def upcoming(self, count: int) -> list[tuple[str, int]]:
        """The entries that are due next, with their due times in ms; the soonest first."""
        key = self._caller.keys.due
        found: Any = self._caller.do(
            lambda client: client.zrange(key, 0, count - 1, withscores=True)
        )
        read = ((text(name), optional_ms(str(at))) for name, at in found)
        return [(name, at_ms) for name, at_ms in read if at_ms is not None]

    def lateness(self, entries: Sequence[str]) -> dict[str, Lateness]:
        """The histograms of these entries; those that never fired are left out."""
        keys = [wire(self._caller.keys.entry_lateness(entry)) for entry in entries]
        questions = [partial(_hash_at, key) for key in keys]
        found = self._caller.at_once(questions) if entries else []
        return {entry: histogram(raw) for entry, raw in zip(entries, found, strict=True) if raw}

    def overall_lateness(self) -> Lateness:
        """The histogram over all entries, including removed ones."""
        key = self._caller.keys.lateness
        found: Any = self._caller.do(lambda client: client.hgetall(key))
        return histogram(found)

    def ledger_of(
        self, entry: str, since_ms: int | None = None, until_ms: int | None = None
    ) -> Iterator[Record]:
        """The records of one entry, newest first, without reading those of other entries.

        An older release did not chain its records; those are searched for in the whole ledger.
        """
        low_ms, identity = max(0, since_ms or 0), ""
        while True:
            reply = self._caller.run("trace", entry, identity, low_ms, CHAIN_PAGE)
            identity, chained = text(reply[0]), text(reply[1])
            chained_ms = whole(chained)
            for found, fields in reply[2:]:
                record = record_of(text(found), words(dict(pairs(fields))))
                if record.at_ms < chained_ms:  # from here on, the chain may have gaps
                    identity = ""
                    break
                if until_ms is None or record.at_ms <= until_ms:
                    yield record
            if not identity:
                break
        high_ms = chained_ms - 1 if until_ms is None else min(until_ms, chained_ms - 1)
        if low_ms <= high_ms:
            older = self.ledger(since_ms, high=str(high_ms))
            yield from (record for record in older if record.entry == entry)

    def ledger(
        self,
        since_ms: int | None = None,
        *,
        newest_first: bool = True,
        low: str = "-",
        high: str = "+",
    ) -> Iterator[Record]:
        """The records written at or after `since_ms` (Redis time), from id `low` to id `high`."""
        key = self._caller.keys.ledger
        low = low if since_ms is None else ids(since_ms)[0]
        do = self._caller.do
        for page in pages_of_stream(do, key, low, high, LEDGER_PAGE, newest_first=newest_first):
            for identity, fields in page:
                yield record_of(text(identity), words(fields))


def _score_at(key: str, member: bytes, pipe: Any) -> None:
    pipe.zscore(key, member)


def _hash_at(key: bytes | str, pipe: Any) -> None:
    pipe.hgetall(key)


def _circuits(raw: Mapping[bytes, bytes] | None) -> dict[str, Circuit]:
    read = {name: Circuit.from_json(stored) for name, stored in words(raw).items()}
    return {name: circuit for name, circuit in read.items() if circuit is not None}


def record_of(identity: str, fields: Mapping[str, str]) -> Record:
    """One record of the ledger; unreadable numbers become 0, an unknown outcome becomes a note."""
    outcome = fields.get("outcome", "")
    return Record(
        entry=fields.get("entry", "?"),
        slot_ms=_instant(fields.get("slot", "")),
        outcome=Outcome(outcome) if outcome in _OUTCOMES else Outcome.NOTE,
        reason=fields.get("reason", ""),
        count=whole(fields.get("count", "1")),
        last_ms=_instant(fields.get("until", "")),
        lease_epoch=whole(fields.get("epoch", "")),
        lateness_ms=whole(fields.get("late", "")),
        attempt=whole(fields.get("attempt", "")),
        at_ms=_instant(identity.partition("-")[0]),
        id=identity,
        request=unquote(fields.get("request", "")),
        queue=fields.get("queue", ""),
    )


_OUTCOMES = frozenset(map(str, Outcome))


def _instant(word: str) -> int:
    return optional_ms(word) or 0
