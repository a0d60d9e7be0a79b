"""Find out whether the replicas declare different entries, and say so once.

A random minute, an environment variable that differs between hosts, or two versions of the code
give each replica a different beat_schedule. During a deploy that is normal for some minutes.

While live replicas have different configurations, each compares its own declarations with what is
stored, a page per tick, and registers the result: names, never arguments. A standby logs what it
declares differently; the leader also logs what the others have registered. `client.status` shows
both. Each difference is logged once, and so is the moment when none is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from habeat.beat.declared.beat_schedule import BeatSchedule
from habeat.core.differences import (
    ANOTHER_DEFINITION,
    NOT_DECLARED,
    NOT_STORED,
    differs_in,
    in_words,
)
from habeat.core.events import EventCode
from habeat.entries.codec import is_declared_as
from habeat.log import log_event
from habeat.printable import printable
from habeat.store.entries import EntryStore
from habeat.store.inspection import Inspection, Registered
from habeat.store.pages import ORPHANS

COMPARED = 1_000
#: How many names a replica registers; the count covers all.
REGISTERED = 20
#: How many names of each replica a log line holds.
LOGGED = 5
#: The pause between two passes: this long for each page, so that large schedules cost no more.
PASS_EVERY_MS = 5_000


@dataclass(frozen=True, slots=True)
class Situation:
    """What the result of a pass depends on, apart from the entries themselves."""

    leads: bool
    #: The leader's configuration; "" if it is unknown.
    leading_config: str
    #: The configurations of other live replicas that are not ours.
    other_configs: Sequence[str]


class Comparison:
    """One pass over our declarations and the stored entries, a page at a time."""

    def __init__(self, store: EntryStore, beat_schedule: BeatSchedule, given: Situation) -> None:
        self._store = store
        self._declared = beat_schedule.entries
        self._own_config = beat_schedule.fingerprint
        self._given = given
        self._pages = self._all_pages()
        self.found: dict[str, str] = {}

    def step(self) -> bool:
        """Compare a page; returns whether the pass is over."""
        return next(self._pages, True)

    def _all_pages(self) -> Iterator[bool]:
        names = sorted(self._declared)
        for start in range(0, len(names), COMPARED):
            self._compare(names[start : start + COMPARED])
            yield False
        cursor = -1
        while cursor:
            cursor, stored = self._store.owned_page(max(0, cursor), ORPHANS)
            self._find_undeclared([name for name in stored if name not in self._declared])
            yield False

    def _compare(self, names: Sequence[str]) -> None:
        missing = []
        for name, raw in zip(names, self._store.definitions(names), strict=True):
            if raw is None:
                missing.append(name)
            # An entry of the API with this name is a clash, which has its own line.
            elif b'"owner": "config"' in raw and not is_declared_as(
                raw, self._declared[name].fingerprint
            ):
                self.found[name] = ANOTHER_DEFINITION
        # What the leader declares too is stored soon, or cannot be: that is no difference.
        leading = self._given.leading_config
        if missing and leading and not self._given.leads and leading != self._own_config:
            by_leader = self._store.declared_by([leading], missing)
            self.found |= {
                name: NOT_STORED for name, has in zip(missing, by_leader, strict=True) if not has
            }

    def _find_undeclared(self, names: Sequence[str]) -> None:
        """What no other replica declares either is pruned soon: that is no difference."""
        if names:
            by_others = self._store.declared_by(self._given.other_configs, names)
            self.found |= {
                name: NOT_DECLARED for name, has in zip(names, by_others, strict=True) if has
            }


class Differences:
    """What this replica declares differently, and the log line about it."""

    def __init__(
        self, store: EntryStore, inspection: Inspection, beat_schedule: BeatSchedule, nonce: str
    ) -> None:
        self._store = store
        self._inspection = inspection
        self._beat_schedule = beat_schedule
        self._nonce = nonce
        self._situation: Situation | None = None
        self._pass: Comparison | None = None
        self._next_pass_ms = 0
        self._own: Mapping[str, str] = {}
        self._logged: set[tuple[str, str]] = set()

    @property
    def facts(self) -> dict[str, Any]:
        """What the replica registers: some names, how each differs, and how many there are."""
        some = dict(sorted(self._own.items())[:REGISTERED])
        return {"differs": some, "differs_count": len(self._own)}

    def registered(self, configs: int, now_ms: int, *, leads: bool) -> None:
        """Called after each registration; `configs` is how many configurations are live."""
        fleet = self._inspection.registered() if configs > 1 else None
        situation = self._situation_of(fleet, leads) if fleet else None
        if fleet is None or situation is None or not situation.other_configs:
            self._end()
            return
        if situation != self._situation or (self._pass is None and now_ms >= self._next_pass_ms):
            self._situation = situation
            self._pass = Comparison(self._store, self._beat_schedule, situation)
            pages = 1 + len(self._beat_schedule.entries) // COMPARED
            self._next_pass_ms = now_ms + PASS_EVERY_MS * pages
        self._say(fleet, leads)

    def step(self) -> bool:
        """Compare a page, if a pass is under way; returns whether the result has changed."""
        if self._pass is None or not self._pass.step():
            return False
        before, self._own, self._pass = self._own, self._pass.found, None
        return before != self._own

    def _situation_of(self, fleet: Registered, leads: bool) -> Situation:
        own = self._beat_schedule.fingerprint
        others = {
            str(facts.get("config") or "")
            for nonce, facts in fleet.replicas.items()
            if nonce != self._nonce and not facts.get("inert")
        }
        leader = own if leads else str(fleet.leader.get("config") or "")
        return Situation(leads, leader, sorted(others - {own, ""}))

    def _end(self) -> None:
        self._situation, self._pass, self._own = None, None, {}
        if self._logged:
            self._logged = set()
            log_event(
                EventCode.DECLARATIONS_DIFFER,
                "habeat: the replicas declare the same entries again",
                ended=True,
            )

    # -- the log line -----------------------------------------------------------------------

    def _say(self, fleet: Registered, leads: bool) -> None:
        """Log all differences that are known here, if one of them is new."""
        differing = self._differing(fleet, leads)
        pairs = {pair for names, _ in differing.values() for pair in names.items()}
        if pairs <= self._logged:
            return
        self._logged |= pairs
        lists = "; ".join(
            f"{where}: {in_words(names, count, LOGGED)}"
            for where, (names, count) in differing.items()
        )
        leader = "this replica" if leads else _where(fleet.leader) if fleet.leader else "no replica"
        log_event(
            EventCode.DECLARATIONS_DIFFER,
            "habeat: the replicas declare different entries; compared with what is stored: %s; "
            "%s leads; this is normal during a deploy; see `celery -A proj habeat status`",
            lists,
            leader,
        )

    def _differing(self, fleet: Registered, leads: bool) -> dict[str, tuple[dict[str, str], int]]:
        """What this replica declares differently and, if it leads, what each other one does."""
        found = {"this replica": (dict(self._own), len(self._own))}
        if leads:
            others = [facts for nonce, facts in fleet.replicas.items() if nonce != self._nonce]
            found |= {_where(facts): differs_in(facts) for facts in others}
        return {where: (names, count) for where, (names, count) in found.items() if count}


def _where(facts: Mapping[str, Any]) -> str:
    return printable(f"{facts.get('host') or '?'} pid {facts.get('pid') or '?'}", 100)
