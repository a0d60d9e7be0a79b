"""The figures behind the metrics, at the same cost for any size of the schedule.

Only a bounded number of entries is read one by one, a hundred in a round trip. Everything else is a
length, a count or a counter, and takes three more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from habeat.core.lateness import Lateness
from habeat.core.lease import Token
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.name_index import NameIndex
from habeat.store.pages import PAGE, pages
from habeat.store.pipelining import wire
from habeat.store.replies import counts, histogram, holder, objects, whole, words

#: The counters are read one after the other while firings continue, so a wrong sum is believed only
#: if it stays wrong.
LOOKS = 4
#: An entry that has been due for longer counts as overdue.
OVERDUE_AFTER_MS = 1_000


@dataclass(frozen=True, slots=True)
class EntryFigures:
    """What Redis has counted of one entry; instants are Unix ms. `outcomes` lacks what was sent."""

    name: str
    due_ms: int | None
    fired_ms: int | None
    lateness: Lateness
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of all replicas together; `listed` has some of the entries, in order of name."""

    now_ms: int
    meta: Mapping[str, str]
    holder: Token | None
    pttl_ms: int
    replicas: Mapping[str, Mapping[str, Any]]
    seen_ms: Mapping[str, int]
    entries: int
    scheduled: int
    overdue: int
    oldest_due_ms: int | None
    paused: int
    quarantined: int
    circuits: int
    in_flight: int
    dead: int
    lateness: Lateness
    outcomes: Mapping[str, int]
    listed: Sequence[EntryFigures] = ()

    def count(self, name: str) -> int:
        """A counter of :meta; 0 if it is missing or damaged."""
        return whole(self.meta.get(name, ""))

    @property
    def unaccounted(self) -> int:
        """Claimed firings that are neither settled, nor given up, nor in flight; must be 0."""
        claimed, settled, given_up = map(self.count, ("claimed", "settled", "abandoned"))
        return claimed - settled - given_up - self.in_flight


def read_figures(caller: Caller, listed: int) -> Figures:
    """The figures, and those of up to `listed` entries. StoreUnavailable."""
    now_ms = int(caller.run("read")[0]) // 1_000
    figures = _overall(caller, now_ms)
    for _ in range(LOOKS - 1):
        if figures.unaccounted == 0:
            break
        figures = _overall(caller, now_ms)
    names = NameIndex(caller).page("", b"", listed) if listed else None
    return replace(figures, listed=_entries(caller, names)) if names else figures


def _overall(caller: Caller, now_ms: int) -> Figures:
    keys = caller.keys

    def fill(pipe: Any) -> None:
        for key in (keys.meta, keys.replicas, keys.lateness, keys.outcomes):
            pipe.hgetall(key)
        for key in (keys.entries, keys.paused, keys.quarantine, keys.circuits):
            pipe.hlen(key)
        pipe.get(keys.lease)
        pipe.pttl(keys.lease)
        pipe.zrange(keys.seen, 0, -1, withscores=True)
        pipe.zcard(keys.due)
        pipe.zcount(keys.due, "-inf", f"({now_ms - OVERDUE_AFTER_MS}")
        pipe.zrange(keys.due, 0, 0, withscores=True)
        pipe.hlen(keys.inflight)
        pipe.hlen(keys.dead)

    meta, replicas, lateness, outcomes, *rest = _at_once(caller, fill)
    entries, paused, quarantined, circuits, lease, pttl, seen, scheduled, overdue, *last = rest
    first_due, in_flight, dead = last
    return Figures(
        now_ms=now_ms,
        meta=words(meta or {}),
        holder=holder(lease),
        pttl_ms=int(pttl or 0),
        replicas=objects(replicas or {}),
        seen_ms={text(nonce): optional_ms(str(at)) or 0 for nonce, at in seen or ()},
        entries=int(entries or 0),
        scheduled=int(scheduled or 0),
        overdue=int(overdue or 0),
        oldest_due_ms=optional_ms(str(first_due[0][1])) if first_due else None,
        paused=int(paused or 0),
        quarantined=int(quarantined or 0),
        circuits=int(circuits or 0),
        in_flight=int(in_flight or 0),
        dead=int(dead or 0),
        lateness=histogram(lateness or {}),
        outcomes=counts(outcomes or {}),
    )


def _entries(caller: Caller, names: Sequence[bytes]) -> list[EntryFigures]:
    return [each for page in pages(names, PAGE) for each in _page(caller, page)]


def _page(caller: Caller, names: Sequence[bytes]) -> list[EntryFigures]:
    keys = caller.keys

    def fill(pipe: Any) -> None:
        for name in names:
            pipe.zscore(keys.due, name)
            pipe.hget(keys.state, name)
            pipe.hgetall(wire(keys.entry_lateness(text(name))))
            pipe.hgetall(wire(keys.entry_outcomes(text(name))))

    answers = _at_once(caller, fill)
    each = zip(*[iter(answers)] * 4, strict=True)
    return [_entry(text(name), *found) for name, found in zip(names, each, strict=True)]


def _at_once(caller: Caller, fill: Callable[[Any], None]) -> list[Any]:
    """The answers to a pipeline of commands; None for a key that holds a foreign type."""

    def read(client: Any) -> list[Any]:
        pipe = client.pipeline(transaction=False)
        fill(pipe)
        return [_answer(each) for each in pipe.execute(raise_on_error=False)]

    return caller.do(read)


def _answer(found: Any) -> Any:
    if not isinstance(found, Exception):
        return found
    if "WRONGTYPE" in str(found):
        return None
    raise found


def _entry(name: str, due: Any, state: Any, lateness: Any, outcomes: Any) -> EntryFigures:
    return EntryFigures(
        name=name,
        due_ms=None if due is None else optional_ms(str(due)),
        fired_ms=_fired_ms(text(state or b"")),
        lateness=histogram(lateness or {}),
        outcomes=counts(outcomes or {}),
    )


def _fired_ms(state: str) -> int | None:
    """When the entry last fired, of `cursor|next slot|token|last fired|count`."""
    parts = state.split("|")
    return optional_ms(parts[3]) if len(parts) == 5 else None
