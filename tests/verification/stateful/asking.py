"""Rules: requests by hand, definitions damaged by hand, export and load, and reading."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from habeat import errors
from habeat.beat.housekeeping import PAUSE_RETRY_MS
from tests.verification.stateful import transfer
from tests.verification.stateful.changing import names
from tests.verification.stateful.drawing import TAGS
from tests.verification.stateful.machine import HOUR, NAMES, SECOND, Machine
from tests.verification.stateful.rows import Order
from tests.verification.stateful.slots import ms_of, utc_of


class Asking(Machine):
    """trigger, backfill, export, load, list, preview; and what people do to Redis by hand."""

    @rule(
        name=names,
        identity=st.sampled_from([None, "one", "two"]),
        args=st.sampled_from([None, (7,)]),
        kwargs=st.sampled_from([None, {"by": "hand"}]),
    )
    def trigger(self, name: str, identity: str | None, args: Any, kwargs: Any) -> None:
        identity = identity or f"t{len(self.model.ids)}"
        order = Order("trigger", name, self.model.now_ms, args, kwargs)
        known, request = self.both(
            lambda: self.model.trigger(name, identity, order),
            lambda: self.world.client.trigger(
                name, args=args, kwargs=kwargs, request_id=identity
            ),
        )  # fmt: skip
        if known is not None:
            assert (request, request.known) == (identity, known)

    @rule(
        name=names,
        begin=st.integers(1, 30 * 3_600),
        length=st.integers(-60, 6 * 3_600),
        pace=st.sampled_from([5.0, 30.0, 1_000.0]),
        dry_run=st.booleans(),
    )
    def backfill(self, name: str, begin: int, length: int, pace: float, dry_run: bool) -> None:
        start_ms = self.model.now_ms - begin * SECOND
        end_ms = start_ms + length * SECOND
        identity = f"b{len(self.model.ids)}"
        order = Order("backfill", name, 0, None, None, start_ms, end_ms, pace)

        def modelled() -> list[int]:
            if start_ms >= end_ms:
                raise errors.ValidationError("start", start_ms, "before the end", entry=name)
            return self.model.backfill(name, identity, order, dry_run)

        slots, result = self.both(
            modelled,
            lambda: self.world.client.backfill(
                name, utc_of(start_ms), utc_of(end_ms), pace=pace, dry_run=dry_run,
                request_id=identity,
            ),
        )  # fmt: skip
        if slots is not None:
            bounds = (utc_of(slots[0]), utc_of(slots[-1])) if slots else (None, None)
            assert (result.count, result.first, result.last) == (len(slots), *bounds)

    # -- definitions that cannot be read -----------------------------------------------------

    @rule(name=st.sampled_from(NAMES), how=st.sampled_from(["garbage", "kind", "version"]))
    def spoil(self, name: str, how: str) -> None:
        row = self.model.rows.get(name)
        if row is not None and not row.broken:
            self.spoilt[name] = self.world.definition(name)
            self.world.spoil(name, how)
            self.model.spoil(name, how)

    @precondition(lambda self: self.spoilt)
    @rule(data=st.data())
    def mend(self, data: Any) -> None:
        """A client puts the old definition back; it is quarantined until it is resumed."""
        name = data.draw(st.sampled_from(sorted(self.spoilt)))
        definition = self.spoilt.pop(name)
        row = self.model.rows.get(name)
        if row is not None and row.broken:
            self.world.mend(name, definition)
            row.broken = ""
            if row.until_ms is not None:  # a leader that could not end the pause tries again later
                self.move_to(self.model.now_ms + PAUSE_RETRY_MS)

    # -- all of it --------------------------------------------------------------------------

    @rule()
    def export(self) -> None:
        document = self.world.client.export()
        rows = transfer.export(self.model)
        assert [item["name"] for item in document["entries"]] == [row.name for row in rows]
        broken = sorted(row.name for row in self.model.rows.values() if row.broken)
        assert sorted(item["name"] for item in document.get("unreadable", [])) == broken
        assert not self.world.client.load(document, dry_run=True).refused
        self.documents.append((document, rows))

    @precondition(lambda self: self.documents)
    @rule(data=st.data(), dry_run=st.booleans())
    def load(self, data: Any, dry_run: bool) -> None:
        document, rows = data.draw(st.sampled_from(self.documents))
        wanted = transfer.verdict(self.model, rows)
        before = self.world.server.writes
        result = self.world.client.load(document, dry_run=dry_run)
        found = (result.added, result.changed, result.unchanged, result.left)
        expected = (wanted.added, wanted.changed, wanted.unchanged, wanted.left)
        assert tuple(map(set, found)) == expected
        assert not result.refused
        if dry_run:
            assert self.world.server.writes == before
        else:
            transfer.load(self.model, rows)

    # -- looking ----------------------------------------------------------------------------

    @rule(
        prefix=st.sampled_from(["", "team:", "a"]),
        tagged=st.lists(st.sampled_from(TAGS), unique=True),
        owner=st.sampled_from([None, "api", "config"]),
        state=st.sampled_from([None, "active", "paused", "disabled", "quarantined", "exhausted"]),
    )
    def look(self, prefix: str, tagged: list[str], owner: str | None, state: str | None) -> None:
        found = self.world.client.list(prefix=prefix, tags=tagged, owner=owner, state=state)
        wanted = self.model.select(prefix, tagged, owner, state)
        assert [entry.name for entry in found] == [row.name for row in wanted]

    @rule(name=names, behind=st.sampled_from([0, HOUR, 5 * HOUR]))
    def preview(self, name: str, behind: int) -> None:
        start_ms = self.model.now_ms - behind
        row = self.model.rows.get(name)
        if row is None or row.broken:
            return
        found = self.world.client.preview(name, 8, utc_of(start_ms))
        wanted = self.model.preview(row, start_ms, 8)
        assert [ms_of(each.nominal_utc) for each in found] == wanted
        assert [ms_of(each.effective_utc) for each in found] == [
            row.effective(slot) for slot in wanted
        ]
        marking = getattr(row.rule, "rule", row.rule)
        for each, slot in zip(found, wanted, strict=True):
            mark = marking.mark(slot) if hasattr(marking, "mark") else ""
            assert [word for word in each.marks if word.startswith("fold")] == [mark] * bool(mark)
