"""What can be in a history: an append-only list of these, in the order in which they happened.

Times are integer microseconds since the Unix epoch. `at_us` is true time where there is such a
thing (the simulation), else the clock of the server that recorded it (chaos). Order in the list
counts; equal times are fine.

Of the writes, the checker reads these (`NEEDED`; others may be in the list and are passed over):

    SET PX / PEXPIRE / DEL  lease
    SET                     fired:<entry>:<identity>
    HSET / HDEL             entries, state, inflight, dead, paused, quarantine, controls
    HSET                    untrusted
    HINCRBY                 meta: claimed, settled, abandoned
    XADD                    ledger

A write that changed nothing (an HDEL of a field that was not there) must be left out. The
writes of one script stand together, in the script's order, closed by one `ScriptEnd`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain
from typing import NamedTuple

Words = tuple[bytes, ...]

#: (command, key without its base) of the writes that the checker reads; and SET of fired:…
NEEDED = frozenset(
    {
        (b"SET", b"lease"),
        (b"PEXPIRE", b"lease"),
        (b"DEL", b"lease"),
        (b"HSET", b"controls"),
        (b"HDEL", b"controls"),
        (b"HSET", b"entries"),
        (b"HDEL", b"entries"),
        (b"HSET", b"state"),
        (b"HDEL", b"state"),
        (b"HSET", b"inflight"),
        (b"HDEL", b"inflight"),
        (b"HSET", b"dead"),
        (b"HSET", b"untrusted"),
        (b"HSET", b"paused"),
        (b"HDEL", b"paused"),
        (b"HSET", b"quarantine"),
        (b"HDEL", b"quarantine"),
        (b"HSET", b"circuits"),
        (b"HDEL", b"circuits"),
        (b"HINCRBY", b"meta"),
        (b"XADD", b"ledger"),
    }
)
FIRED = b"fired:"


class Kind(Enum):
    """What is done to a system in a test. What each may cause: explanations.py."""

    # to a replica: `victim` is its nonce
    KILL = auto()  # SIGKILL
    FREEZE = auto()  # SIGSTOP … SIGCONT, a suspended machine, a long pause
    TERM = auto()  # SIGTERM, a polite stop
    CUT_OFF = auto()  # it does not reach Redis (partition, half-open socket)
    BROKER_CUT = auto()  # it does not reach the broker
    LOST_REQUEST = auto()  # a request of it to Redis did not arrive
    LOST_REPLY = auto()  # Redis did what it asked, and the reply did not arrive
    CONFIRM_LOST = auto()  # the broker took its message, and the confirmation did not arrive
    HOST_CLOCK = auto()  # the wall clock of its host stepped
    PUBSUB_CUT = auto()  # its subscriptions were closed
    # to Redis as a whole: `victim` is ""
    REDIS_DOWN = auto()  # killed or unreachable for all, and back with all its data
    REDIS_SLOW = auto()  # answers late, paused
    REDIS_OOM = auto()  # refuses writes for want of memory
    REDIS_READONLY = auto()  # refuses all writes
    REDIS_RESTORED = auto()  # an older snapshot took the place of the data (with a Lost event)
    REDIS_EMPTIED = auto()  # all data gone (with a Lost event)
    REDIS_FAILOVER = auto()  # a Redis replica took over (with a Lost event if writes were lost)
    REDIS_CLOCK = auto()  # the server's wall clock stepped
    EVICTED = auto()  # the lease's key is gone before its time (eviction, DEL), and nothing else
    # to the broker as a whole: `victim` is ""
    BROKER_DOWN = auto()
    BROKER_HANGS = auto()  # takes connections and does not answer
    BROKER_LOST = auto()  # messages that it had accepted are gone
    NOBODY = auto()  # no replica was running
    # not faults: part of a normal life
    EDIT = auto()  # an entry was written, removed, paused or renamed by a client
    DEPLOY = auto()  # replicas with another beat_schedule came, or another version
    POISON = auto()  # an entry that cannot be read or rendered, or whose queue is no list


class Write(NamedTuple):  # not a dataclass: a million runs make hundreds of them each
    """One command that changed a key of the schedule, in the server's order.

    `words[0]` is the command in upper case, `words[1]` the whole key. `server_us` is the
    server's own clock, by which it judges due times and TTLs.
    """

    at_us: int
    server_us: int
    words: Words


class ScriptEnd(NamedTuple):
    """The end of an atomic script that wrote something."""

    at_us: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message is in the broker.

    identity: the slot in ms, or `slot#request`. sender: the nonce of the replica that published
    it, "" if not known (then it follows from the writes: who claimed, or who marked the attempt).
    attempt: as in the message's header, 1 for the first.
    """

    at_us: int
    entry: str
    identity: str
    task_id: str
    sender: str = ""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to the system, from when to when.

    `end_us` is the moment from which the victim is as before. victim: the replica's nonce, "" for
    Redis, broker or network as a whole. Where data is lost (REDIS_RESTORED, …_EMPTIED,
    …_FAILOVER) `start_us` is the moment of which the surviving data is, 0 if nothing survived,
    and `end_us` that of the loss. entry: the only one that it concerns; "" for all.
    """

    kind: Kind
    start_us: int
    end_us: int
    victim: str = ""
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """Acknowledged data went away: a new history of Redis begins.

    kept: the writes that would build what is there now (as `Write.words`: HSET entries, state,
    inflight; SET lease PX what remains). () is an empty server; None: not known, and the checker
    believes what it sees next. server_us: the server's own clock; None: as since the last write.
    complete: `kept` is all that is known; else a gap around it may show more. under_way: calls
    were, whose answers are read later and in any order: their sender cannot tell which of the next
    answers is of the lost history, and may date the loss to when it noticed it.
    """

    at_us: int
    how: str
    kept: tuple[Words, ...] | None = None
    server_us: int | None = None
    complete: bool = False
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing was recorded of the server between these moments; it may have written.

    kept: what was there at its end, as in `Lost`.
    """

    start_us: int
    end_us: int
    kept: tuple[Words, ...] | None = None


Event = Write | ScriptEnd | Arrival | Fault | Lost | Gap


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to be known beside the events.

    base: what all keys of the schedule begin with, `{prefix}:`.
    ttl_us: the lease's TTL. atomic: which way messages are meant to leave.
    attempts_cap: how many messages a slot may have in all.
    effective_ms: (entry, slot) -> when that slot was to fire; None: read from the definition
    that was written (spread, jitter), the slot itself where that cannot be read.
    at_most_once: entries beside those whose definition or intent says so.
    complete: the run ended in quiet: nothing may be in flight, what was claimed has arrived.
    exact_arrivals: `Arrival.at_us` is when the message came, not when it was read.
    tail_us: what was claimed so shortly before the end may be on its way still.
    grace_ms: the misfire grace of entries that have none of their own; None: not known.
    cluster: the schedule's cluster id, if it is known: then the messages of requests, whose headers
    have the slot only, are distinguished from those of the schedule by their task ids.
    slack_us: by how much the clocks that events were taken from may differ, and a script last.
    behind_us: how far a replica's idea of Redis' time may be behind it, because a reply takes that
    long to arrive; unless Redis is slow.
    edit_slack_us: between a client's look at the clock and its removal of an entry.
    misses: whether a missed or failed slot must have a fault before it that can cause that, and
    a due slot may not wait while nothing disturbs (bounds.py tells what the next three are for).
    prompt_us: how long it may wait then. handover_us: how long a lease may lie free that was given
    back, with a replica there to take it; None: that is not looked at. timeout_us: how long a call
    to Redis may take.
    window: how many messages the outbox may have handed over and not had settled; 0: not known.
    start_us: what relative times are printed against; 0: the first event.
    """

    base: str
    ttl_us: int
    atomic: bool
    attempts_cap: int = 11
    at_most_once: frozenset[str] = field(default_factory=frozenset)
    effective_ms: Callable[[str, int], int] | None = None
    complete: bool = True
    exact_arrivals: bool = True
    tail_us: int = 1_000_000
    grace_ms: int | None = None
    cluster: str = ""
    slack_us: int = 0
    behind_us: int = 0
    edit_slack_us: int = 2_000_000
    misses: bool = True
    prompt_us: int = 2_000_000
    handover_us: int | None = None
    timeout_us: int = 2_000_000
    window: int = 0
    start_us: int = 0


def begins_us(event: Event) -> int:
    """When an event happened, or began."""
    return event.start_us if isinstance(event, (Fault, Gap)) else event.at_us


def merged(*parts: Iterable[Event]) -> list[Event]:
    """One history of several recordings, by time; equal times keep the order of the parts."""
    return sorted(chain.from_iterable(parts), key=begins_us)
