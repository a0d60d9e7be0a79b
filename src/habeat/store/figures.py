"""The figures behind the metrics, at the same cost for any size of the schedule.

Only a bounded number of entries is read one by one, a hundred in a round trip. Everything else is a
length, a count or a counter, and takes three more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from habeat.core.lateness import Lateness
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.keys import Keys
from habeat.store.name_index import NameIndex
from habeat.store.overview import Asked, Overview, ask, asked_of_all, balanced, number
from habeat.store.pages import PAGE, pages
from habeat.store.pipelining import wire
from habeat.store.replies import counts, histogram

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Overview):
    """The figures of all replicas together; `listed` has some of the entries, in order of name."""

    overdue: int
    quarantined: int
    circuits: int
    lateness: Lateness
    outcomes: Mapping[str, int]
    listed: Sequence[EntryFigures] = ()


def read_figures(caller: Caller, listed: int) -> Figures:
    """The figures, and those of up to `listed` entries. StoreUnavailable."""
    figures = balanced(partial(_overall, caller, caller.now_ms()))
    names = NameIndex(caller).page("", b"", listed) if listed else None
    return replace(figures, listed=_entries(caller, names)) if names else figures


def _overall(caller: Caller, now_ms: int) -> Figures:
    keys, overdue = caller.keys, f"({now_ms - OVERDUE_AFTER_MS}"
    own: Asked = {
        "overdue": (lambda pipe: pipe.zcount(keys.due, "-inf", overdue), number),
        "quarantined": (lambda pipe: pipe.hlen(keys.quarantine), number),
        "circuits": (lambda pipe: pipe.hlen(keys.circuits), number),
        "lateness": (lambda pipe: pipe.hgetall(keys.lateness), histogram),
        "outcomes": (lambda pipe: pipe.hgetall(keys.outcomes), counts),
    }
    return Figures(now_ms=now_ms, **ask(caller, {**asked_of_all(keys), **own}))


def _entries(caller: Caller, names: Sequence[bytes]) -> list[EntryFigures]:
    return [each for page in pages(names, PAGE) for each in _page(caller, page)]


def _page(caller: Caller, names: Sequence[bytes]) -> list[EntryFigures]:
    answers = caller.at_once([partial(_ask_of, caller.keys, name) for name in names])
    each = zip(*[iter(answers)] * 4, strict=True)
    return [_entry(text(name), *found) for name, found in zip(names, each, strict=True)]


def _ask_of(keys: Keys, name: bytes, pipe: Any) -> None:
    pipe.zscore(keys.due, name)
    pipe.hget(keys.state, name)
    pipe.hgetall(wire(keys.entry_lateness(text(name))))
    pipe.hgetall(wire(keys.entry_outcomes(text(name))))


def _entry(name: str, due: Any, state: Any, lateness: Any, outcomes: Any) -> EntryFigures:
    return EntryFigures(
        name=name,
        due_ms=None if due is None else optional_ms(str(due)),
        fired_ms=_fired_ms(text(state or b"")),
        lateness=histogram(lateness),
        outcomes=counts(outcomes),
    )


def _fired_ms(state: str) -> int | None:
    """When the entry last fired, of `cursor|next slot|token|last fired|count`."""
    parts = state.split("|")
    return optional_ms(parts[3]) if len(parts) == 5 else None
