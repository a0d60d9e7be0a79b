"""What the documentation says that each call of the Client does: rows, and what the ledger gets.

Every method is one call, at one moment of Redis' time. It raises the `habeat.errors` class that
the call has to raise, and has changed nothing then. `expected` collects what the ledger and the
queue have to get; the machine takes it out after each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from habeat import errors
from tests.verification.stateful.rows import PLAIN, Expected, Message, Order, Record, Row
from tests.verification.stateful.slots import Rule

IDS_KEPT_MS = 86_400_000
DEDUP_MS = 300_000

#: A schedule as drawn: what it means for an entry of this name.
Bound = Callable[[str], Rule]


class Model:
    """All entries, all orders, and what is expected of the ledger."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.rows: dict[str, Row] = {}
        self.orders: dict[str, Order] = {}
        self.ids: dict[str, tuple[str, int]] = {}
        self.fired: dict[tuple[str, int], int] = {}
        self.expected = Expected()
        self._made = 0

    # -- one entry --------------------------------------------------------------------------

    def find(self, name: str) -> Row:
        if name not in self.rows:
            raise errors.EntryNotFound(name)
        return self.rows[name]

    def add(
        self, name: str, task: str, schedule: Bound, fields: dict[str, Any], replace: bool
    ) -> Row:
        old = self.rows.get(name)
        rule, given = schedule(name), {**PLAIN, **fields}
        check_bounds(given)
        if old is not None and (old.owner == "config" or not replace):
            raise errors.EntryExists(name, old.owner)
        if old is not None:
            return self.change(old, task, rule, given)
        wanted = Row(name, task, rule, given, self.now_ms, self.now_ms)
        self.check_has_slots(wanted)
        return self.insert(wanted)

    def insert(self, row: Row, paused: str | None = None, until_ms: int | None = None) -> Row:
        """A new entry: its first slot is strictly after now."""
        self._made += 1
        row.uid = self._made
        row.created_ms = row.cursor_ms = self.now_ms
        row.paused, row.until_ms = paused, until_ms
        row.stand(self.now_ms)
        self.rows[row.name] = row
        return row

    def update(self, name: str, rev: int | None, changes: dict[str, Any]) -> Row:
        row = self.find(name)
        if row.owner == "config":
            raise errors.OwnedByConfig(name, "update")
        shown_rev = 1 if row.broken == "garbage" else row.rev
        if rev is not None and rev != shown_rev:
            raise errors.RevisionConflict(name, rev, shown_rev)
        if row.broken and not self._mended_by(row, changes):
            raise errors.DefinitionError(name, row.broken)
        fields = dict(PLAIN) if row.broken == "garbage" else dict(row.fields)
        fields |= {key: value for key, value in changes.items() if key in PLAIN}
        rule = changes["schedule"](name) if "schedule" in changes else row.rule
        check_bounds(fields)
        return self.change(row, changes.get("task", row.task), rule, fields)

    def _mended_by(self, row: Row, changes: dict[str, Any]) -> bool:
        needed = {"garbage": {"task", "schedule"}, "kind": {"schedule"}}.get(row.broken)
        return needed is not None and needed <= changes.keys()

    def change(
        self, row: Row, task: str, rule: Rule, fields: dict[str, Any], *, check: bool = True
    ) -> Row:
        """Only another schedule, start or end, or a count that ends or begins, re-anchors."""
        new = row.copy()
        new.task, new.rule, new.fields = task, rule, fields
        new.broken, new.set_aside = "", False
        other_rule = row.rule != rule or row.broken in ("garbage", "kind")
        bounds = (row.start, row.end) if row.broken != "garbage" else (None, None)
        if row.broken == "kind" or row.broken == "version":
            bounds = (None, None)  # what cannot be read is not known to have any
        rescheduled = other_rule or bounds != (new.start, new.end)
        if check and rescheduled:
            self.check_has_slots(new)
        was_quarantined = row.condition == "quarantined"
        if not was_quarantined and (row.task, row.rule, row.fields) == (task, rule, fields):
            return row
        new.rev = (1 if row.broken == "garbage" else row.rev) + 1
        if row.broken == "garbage":
            new.created_ms = self.now_ms
        if was_quarantined:
            self.lose(row, self.now_ms, "quarantined")
            new.stand(self.now_ms)
        elif rescheduled or row.spent != new.spent:
            self.lose(row, self.now_ms, "edited")
            new.stand(self.now_ms)
        elif row.enabled != new.enabled:
            self.lose(row, self.now_ms, "disabled")
            new.stand(self.now_ms)
        elif (row.jitter, row.spread) != (new.jitter, new.spread):
            new.stand(row.cursor_ms)
        self.rows[row.name] = new
        return new

    def pause(self, name: str, reason: str, until_ms: int | None) -> Row:
        row = self.find(name)
        if until_ms is not None and until_ms <= self.now_ms:
            raise errors.ValidationError("until", until_ms, "later than now")
        if row.paused is not None:
            reason = reason or row.paused
            until_ms = row.until_ms if until_ms is None else until_ms
        return self.set_pause(row, reason, until_ms)

    def set_pause(self, row: Row, reason: str, until_ms: int | None) -> Row:
        if (row.paused, row.until_ms) == (reason, until_ms):
            return row
        if row.condition in ("active", "exhausted"):
            self.lose(row, self.now_ms, "paused")
            row.stand(self.now_ms)
        row.paused, row.until_ms = reason, until_ms
        row.due_ms = None
        return row

    def resume(self, name: str, *, catch_up: bool) -> Row:
        return self.end_pause(self.find(name), self.now_ms, catch_up=catch_up)

    def end_pause(self, row: Row, at_ms: int, *, catch_up: bool = False) -> Row:
        """From `at_ms` on, and what was before that is skipped; or from where it stopped."""
        if row.paused is None and row.condition != "quarantined":
            return row
        if row.broken:
            raise errors.DefinitionError(row.name, row.broken)
        if row.enabled and not catch_up:
            self.lose(row, at_ms, "paused")
        if row.set_aside:
            row.set_aside, row.rev = False, row.rev + 1
        row.paused, row.until_ms = None, None
        if row.enabled:
            row.stand(row.cursor_ms if catch_up else at_ms)
        return row

    def remove(self, name: str) -> None:
        row = self.find(name)
        if row.owner == "config":
            raise errors.OwnedByConfig(name, "remove")
        self.lose(row, self.now_ms, "removed")
        del self.rows[name]

    def clear(self, prefix: str, tags: Iterable[str]) -> int:
        if not prefix and not tags:
            raise errors.ValidationError("name", None, "something")
        meant = [row.name for row in self.select(prefix, tags, "api", None)]
        for name in meant:
            self.remove(name)
        return len(meant)

    def select(
        self, prefix: str, tags: Iterable[str], owner: str | None, condition: str | None
    ) -> list[Row]:
        return [
            row
            for name, row in sorted(self.rows.items())
            if name.startswith(prefix)
            and set(tags) <= set(() if row.broken == "garbage" else row.tags)
            and owner in (None, row.owner)
            and condition in (None, row.condition)
        ]

    def rename(self, old: str, new: str) -> Row:
        row = self.find(old)
        if row.owner == "config":
            raise errors.OwnedByConfig(old, "rename")
        if row.broken:
            raise errors.DefinitionError(old, row.broken)
        if old == new:
            return row
        if new in self.rows:
            raise errors.EntryExists(new, self.rows[new].owner)
        del self.rows[old]
        row.name, row.rev = new, row.rev + 1
        if row.due_ms is not None and row.next_ms is not None:
            row.due_ms = row.effective(row.next_ms)
        self.rows[new] = row
        for order in self.orders.values():
            order.entry = new if order.entry == old else order.entry
        return row

    def spoil(self, name: str, how: str) -> None:
        """A person writes rubbish into the definition."""
        self.rows[name].broken = how

    # -- orders -----------------------------------------------------------------------------

    def trigger(self, name: str, identity: str, order: Order) -> bool:
        """Whether the id was known, and nothing is done."""
        row = self.find(name)
        if row.broken:
            raise errors.DefinitionError(name, row.broken)
        entry, ends_ms = self.ids.get(identity, (name, 0))
        known = ends_ms >= self.now_ms
        if known and entry != name:
            raise errors.ValidationError("request_id", identity, "another id")
        if not known:
            self.ids[identity] = (name, self.now_ms + IDS_KEPT_MS)
            self.orders[identity] = order
        return known

    def backfill(self, name: str, identity: str, order: Order, dry_run: bool) -> list[int]:
        """The slots meant; asked for unless there are none."""
        row = self.find(name)
        if row.broken:
            raise errors.DefinitionError(name, row.broken)
        if order.end_ms > self.now_ms:
            raise errors.ValidationError("end", order.end_ms, "not later than now")
        found = row.slots(order.cursor_ms, order.end_ms)
        if found and not dry_run:
            self.trigger(name, identity, order)
        return found

    # -- slots ------------------------------------------------------------------------------

    def lose(self, row: Row, until_ms: int, act: str) -> None:
        """The slots after the cursor that will not fire because of this."""
        if row.cursor_ms >= until_ms or row.spent:
            return
        condition = row.condition
        reason = condition if condition in ("paused", "disabled", "quarantined") else act
        if row.broken:
            self.record(row.name, until_ms, "skipped", f"{reason}; slots not counted")
            return
        for slot in row.slots(row.cursor_ms, until_ms):
            self.record(row.name, slot, "skipped", reason)

    def preview(self, row: Row, after_ms: int, count: int) -> list[int]:
        """The slots after an instant; of those not handled yet, no more than it may run."""
        left = None if row.max_runs is None else max(0, row.max_runs - row.fired)
        found: list[int] = []
        slot, seen = row.next_after(min(after_ms, row.cursor_ms)), 0
        while slot is not None and len(found) < count:
            if slot > row.cursor_ms:
                seen += 1
                if left is not None and seen > left:
                    break
            if slot > after_ms:
                found.append(slot)
            slot = row.next_after(slot)
        return found

    def check_has_slots(self, row: Row) -> None:
        if row.next_after(self.now_ms) is None:
            raise errors.ValidationError("schedule", None, "one with a slot in the future")

    def record(self, entry: str, slot_ms: int, outcome: str, reason: str) -> None:
        self.expected.records.append(Record(entry, slot_ms, outcome, reason))

    def send(self, row: Row, slot_ms: int, request: str = "", order: Order | None = None) -> None:
        args = row.args if order is None or order.args is None else order.args
        kwargs = row.kwargs if order is None or order.kwargs is None else order.kwargs
        result = tuple(sorted(kwargs.items()))
        self.expected.messages.append(Message(row.name, slot_ms, request, tuple(args), result))


def check_bounds(fields: dict[str, Any]) -> None:
    if None not in (fields["start"], fields["end"]) and fields["start"] >= fields["end"]:
        raise errors.ValidationError("end", fields["end"], "after start")
