"""Reads and writes entries, for the Client and for reconciling.

Every write is a compare-and-swap. It compares the digest of the stored definition; the pause, if
the write changes it; and the cursor, if slots are at stake. If an entry has changed meanwhile,
nothing is written, and `Conflict` names that entry. If the reply to a write with a `Mark` is lost,
`recall` tells whether the write was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from habeat.core.change_record import Author, ChangesKept, Way
from habeat.core.circuit import Circuit
from habeat.core.entry import Entry, EntryState
from habeat.core.firing import SkippedRun
from habeat.core.lease import Fence
from habeat.entries import codec
from habeat.entries.codec import digest_of, read_state, with_facts
from habeat.errors import DefinitionError
from habeat.ports import PendingCall, Statuses, Unfenced
from habeat.ports.entries import Arrival, Conflict, Mark, Removal, Renaming, Snapshot, Stored, Write
from habeat.store.calling import Caller, blank, optional_ms, text
from habeat.store.fenced_replies import statuses, unfenced
from habeat.store.name_index import Bound, Full, NameIndex, Orphans
from habeat.store.pages import PAGE, pages
from habeat.store.pipelining import wire

Decode = Callable[[str, bytes, EntryState], Entry]


@dataclass(frozen=True, slots=True)
class RequestReply:
    """The reply to a new request: ok, known or gone; and the entry that its id belongs to."""

    word: str
    entry: str


class EntryStore:
    """Entries by name, read and written by the scripts."""

    def __init__(
        self, caller: Caller, decode: Decode = codec.decode, author: Author | None = None
    ) -> None:
        self._caller = caller
        self._decode = decode
        self.index = NameIndex(caller)
        #: Who makes the changes, for the change log.
        self.author = author or Author()

    def by_way(self, way: Way) -> EntryStore:
        """This store for changes that are made by another way."""
        other = copy(self)
        other.author = self.author.with_way(way)
        return other

    def names(self) -> list[str]:
        """All names, sorted."""
        entries = self._caller.keys.entries
        return sorted(text(name) for name in self._caller.do(lambda c: c.hkeys(entries)))

    def definitions(self, names: Sequence[str]) -> list[bytes | None]:
        """The stored definitions of these names, not decoded; None for a missing one."""
        entries = self._caller.keys.entries
        found: Any = self._caller.do(lambda client: client.hmget(entries, list(map(wire, names))))
        return list(found)

    def read(self, names: Sequence[str], only: Callable[[bytes], bool] | None = None) -> Snapshot:
        """A consistent snapshot of these entries; `only` selects by the stored definition."""
        reply = self._caller.run_packed("read", *names)
        stored = [
            _stored(name, parts, self._decode)
            for name, parts in zip(names, reply[1:], strict=True)
            if only is None or only(bytes(parts[0]))
        ]
        return Snapshot(int(reply[0]) // 1_000, stored)

    def absent(self, names: Sequence[str]) -> list[Stored]:
        """Entries without a stored definition, with their state if one was left behind."""
        key = self._caller.keys.state
        states: Any = self._caller.do(lambda client: client.hmget(key, list(map(wire, names))))
        return [
            _stored(name, (b"", raw or b"", b"", b"", b"", b""), self._decode)
            for name, raw in zip(names, states, strict=True)
        ]

    def pages(self, names: Sequence[str]) -> Iterator[Stored]:
        """These entries, read page by page; each page is consistent in itself."""
        for page in pages(names, PAGE):
            yield from self.read(page).stored

    def write(
        self, writes: Sequence[Write], fence: Fence | None = None, mark: Mark | None = None
    ) -> Conflict | Unfenced | None:
        """Make all of these changes or none; fenced if a fence is given."""
        return self.send_write(writes, fence, mark).result()

    def send_write(
        self, writes: Sequence[Write], fence: Fence | None = None, mark: Mark | None = None
    ) -> PendingCall[Conflict | Unfenced | None]:
        """The same call, sent now and read later."""
        head = (*_fence(fence), *_mark(mark), *_writes_words(writes), "", "")
        log = self._log_words([write.differing for write in writes])
        return self._caller.send("write", *head, *log).read_by(_verdict)

    def write_within(
        self, bound: Bound, writes: Sequence[Write], mark: Mark | None = None
    ) -> Conflict | Full | None:
        """Make all of these changes, unless their new entries would exceed the bound."""
        log = self._log_words([write.differing for write in writes])
        words = (*_writes_words(writes), bound.prefix, bound.most, *log)
        reply = self._caller.run_packed("write", *_fence(None), *_mark(mark), *words)
        if text(reply[0]) == "full":
            return Full(int(reply[1]))
        return _unfenced_verdict(reply)

    def remove(
        self, removals: Sequence[Removal], fence: Fence | None = None, mark: Mark | None = None
    ) -> Conflict | Unfenced | None:
        """Remove all of these entries or none."""
        words = [word for removal in removals for word in _removal_words(removal)]
        log = self._log_words([removal.differing for removal in removals])
        head = (*_fence(fence), *_mark(mark), len(removals))
        reply = self._caller.run("remove", *head, *words, *log)
        return _verdict(reply)

    def recall(self, mark: Mark) -> bool:
        """Whether the write with this mark was done. If not, it will be refused from now on."""
        return text(self._caller.run("recall", mark.name, mark.keep_ms)[0]) == "done"

    def rename(self, renaming: Renaming, mark: Mark | None = None) -> Conflict | None:
        """Move an entry to another name, with its state and its requests."""
        words = (*_renaming_words(renaming), *self._log_words([renaming.differing]))
        reply = self._caller.run("rename", *_mark(mark), *words)
        return _unfenced_verdict(reply)

    def pauses(self, names: Sequence[str]) -> list[bytes]:
        """The stored pauses of these entries, not decoded; b"" for one that is not paused."""
        key = self._caller.keys.paused
        found: Any = self._caller.do(lambda client: client.hmget(key, list(map(wire, names))))
        return [raw or b"" for raw in found]

    def unsettled(self) -> set[str]:
        """The entries that have firings in flight."""
        key = self._caller.keys.inflight
        found: Any = self._caller.do(lambda client: client.hkeys(key))
        return {text(field).rpartition("@")[0] for field in found}

    def adopt(self, arrivals: Sequence[Arrival], mark: Mark | None = None) -> Conflict | None:
        """Add all of these entries, which come from elsewhere, or none."""
        words = [word for arrival in arrivals for word in _arrival_words(arrival)]
        words += self._log_words([arrival.differing for arrival in arrivals])
        reply = self._caller.run_packed("adopt", *_mark(mark), len(arrivals), *words)
        return _unfenced_verdict(reply)

    def postpone(self, name: str, until_ms: int | None, fence: Fence) -> Statuses | Unfenced:
        """Check the end of a pause again at `until_ms`; None: the pause has no end. Fenced."""
        reply = self._caller.run("postpone", *_fence(fence), name, blank(until_ms))
        return statuses(reply)

    def requests(self) -> dict[str, bytes]:
        """The requests that have not been carried out, by request id."""
        key = self._caller.keys.requests
        found: Any = self._caller.do(lambda client: client.hgetall(key))
        return {text(identity): bytes(raw) for identity, raw in found.items()}

    def add_request(
        self, identity: str, request: bytes, keep_ms: int, entry: str, mark: str
    ) -> RequestReply:
        """Store a request, once per id; `mark` identifies a repeated call as the same one."""
        words = (identity, request, keep_ms, entry, mark)
        reply = self._caller.run("request", *words)
        return RequestReply(text(reply[0]), text(reply[2]) if len(reply) > 2 else entry)

    def declare(self, fingerprint: str, names: Sequence[str]) -> None:
        """Store the names that a configuration declares, unless they are stored already."""
        key = self._caller.keys.declared(fingerprint)
        if int(self._caller.do(lambda client: client.scard(key))) >= len(names):
            return
        # The key is named by the configuration's fingerprint, so its names never change.
        for page in pages(list(map(wire, names)), 1_000):
            self._caller.do(lambda client: client.sadd(key, *page))  # noqa: B023

    def owned(self) -> int:
        """The number of entries that belong to configurations, readable or not."""
        key = self._caller.keys.owned
        return int(self._caller.do(lambda client: client.scard(key)))

    def owned_page(self, cursor: int, count: int) -> tuple[int, list[str]]:
        """About `count` names of entries that belong to configurations; the next cursor, or 0."""
        key = self._caller.keys.owned
        found: Any = self._caller.do(lambda client: client.sscan(key, cursor, count=count))
        return int(found[0]), list(map(text, found[1]))

    def declared_by(self, fingerprints: Sequence[str], names: Sequence[str]) -> list[bool]:
        """Whether any of these configurations declares each of these names."""
        keys, words = self._caller.keys, list(map(wire, names))
        declared = [False] * len(words)
        for fingerprint in fingerprints:
            key = keys.declared(fingerprint)
            found: Any = self._caller.do(lambda client: client.smismember(key, words))  # noqa: B023
            declared = [one or bool(other) for one, other in zip(declared, found, strict=True)]
        return declared

    def look_for_orphans(self) -> None:
        """Have the leader look for entries of beat_schedule that no live replica declares."""
        meta = self._caller.keys.meta
        self._caller.do(lambda client: client.hsetnx(meta, "prune", "1"))

    def sweep(
        self, fence: Fence, slice_size: int, changes: ChangesKept | None = None
    ) -> int | Unfenced:
        """Forget the chains whose records have all left the ledger, in the next slice.

        Returns how many were forgotten. It also trims the change log to `changes`.
        """
        kept = changes or ChangesKept()
        reply = self._caller.run("sweep", *fence.words, slice_size, kept.age_ms, kept.length)
        return unfenced(reply) or int(reply[2])

    def _log_words(self, differing: Sequence[bytes]) -> list[bytes | str | int]:
        return [self.author.by, str(self.author.way), *differing]

    def orphans(self, fence: Fence, stale_ms: int, slice_size: int) -> Orphans | Unfenced:
        """Config entries that no live replica declares any more, within the next slice."""
        reply = self._caller.run("prune", *fence.words, stale_ms, slice_size)
        if refusal := unfenced(reply):
            return refusal
        return Orphans(map(text, reply[3:]), more=text(reply[2]) == "1")


def _stored(name: str, parts: Sequence[bytes], decode: Decode) -> Stored:
    raw, state_raw, due, paused, quarantined, circuit = parts
    state = with_facts(
        read_state(text(state_raw)) or EntryState(),
        due_ms=optional_ms(due),
        paused=text(paused),
        quarantined=text(quarantined),
        failing=bool(circuit) and Circuit.from_json(text(circuit)) is not None,
    )
    pause = digest_of(bytes(paused)) if paused else "-"
    if not raw:
        return Stored(name, "", None, state, pause_digest=pause)
    digest = digest_of(bytes(raw))
    try:
        entry = decode(name, bytes(raw), state)
    except DefinitionError as error:
        state = replace(state, quarantined=state.quarantined or error.why)
        return Stored(
            name=name,
            digest=digest,
            entry=None,
            state=state,
            unreadable=error.why,
            raw=bytes(raw),
            pause_digest=pause,
        )
    return Stored(name, digest, entry, state, pause_digest=pause)


def _fence(fence: Fence | None) -> tuple[str, int, int]:
    return ("", 0, 0) if fence is None else fence.words


def _mark(mark: Mark | None) -> tuple[str, int]:
    return ("", 0) if mark is None else (mark.name, mark.keep_ms)


def _writes_words(writes: Sequence[Write]) -> list[bytes | str | int]:
    return [len(writes), *(word for write in writes for word in _write_words(write))]


def _write_words(write: Write) -> Sequence[bytes | str | int]:
    position, lost = write.position, write.lost
    return (
        write.name,
        write.digest,
        blank(write.cursor_ms),
        write.pause_digest,
        write.definition,
        "" if write.paused is None else write.paused or "-",
        blank(write.resume_at_ms),
        "1" if write.owned else "0",
        blank(position.cursor_ms if position else None),
        blank(position.next_slot_ms if position else None),
        blank(position.due_ms if position else None),
        *_lost_words(lost),
    )


def _arrival_words(arrival: Arrival) -> Sequence[bytes | str | int]:
    position = arrival.position
    return (
        arrival.name,
        arrival.definition,
        arrival.paused,
        blank(arrival.resume_at_ms),
        position.cursor_ms,
        blank(position.next_slot_ms),
        blank(position.due_ms),
        blank(arrival.last_fired_ms),
        arrival.fired,
        arrival.note,
        "1" if arrival.owned else "0",
    )


def _lost_words(lost: SkippedRun | None) -> Sequence[str | int]:
    if lost is None:
        return ("", "", 0, 0, 0)
    return (lost.outcome.value, lost.reason, lost.first_ms, lost.last_ms, lost.count)


def _removal_words(removal: Removal) -> Sequence[str | int]:
    lost = removal.lost
    bounds = (0, 0, 0) if lost is None else (lost.first_ms, lost.last_ms, lost.count)
    return (removal.name, removal.digest, blank(removal.cursor_ms), removal.reason, *bounds)


def _renaming_words(renaming: Renaming) -> Sequence[bytes | str | int]:
    return (
        renaming.name,
        renaming.digest,
        blank(renaming.cursor_ms),
        renaming.new_name,
        renaming.definition,
        blank(renaming.due_ms),
        renaming.request_count,
        len(renaming.requests),
        *(word for request in renaming.requests for word in request),
    )


def _unfenced_verdict(reply: Sequence[bytes]) -> Conflict | None:
    outcome = _verdict(reply)
    assert not isinstance(outcome, Unfenced)  # it was sent without a fence
    return outcome


def _verdict(reply: Sequence[bytes]) -> Conflict | Unfenced | None:
    if text(reply[0]) == "conflict":
        return Conflict(text(reply[1]))
    if text(reply[0]) == "closed":  # its caller has already asked for the result (recall)
        return Conflict("")
    return unfenced(reply)
