"""The model's leader: what one run of it, at one moment, does about everything that is due."""

from __future__ import annotations

from dataclasses import replace

from tests.verification.stateful.model import DEDUP_MS, Model
from tests.verification.stateful.rows import Order, Row

GRACE_MS = 60_000
LIMIT = 1_000
PACE = 50.0


def run(model: Model) -> None:
    """Pauses that are over end; then what is due is decided; then orders are carried out."""
    for row in list(model.rows.values()):
        if row.until_ms is not None and row.until_ms <= model.now_ms and not row.broken:
            model.end_pause(row, row.until_ms)
    for row in list(model.rows.values()):
        while row.due_ms is not None and row.due_ms <= model.now_ms:
            if row.broken:
                row.set_aside, row.due_ms = True, None
            else:
                _decide(model, row)
    for identity, order in list(model.orders.items()):
        left = _carry_out(model, identity, order)
        if left is None:
            del model.orders[identity]
        else:
            model.orders[identity] = left


def _decide(model: Model, row: Row) -> None:
    """One plan for one entry: misses first, then firings, a backlog only up to its pace."""
    now_ms = model.now_ms
    grace = GRACE_MS if row.misfire_grace is None else row.misfire_grace
    unfired = [s for s in row.slots(row.cursor_ms, now_ms) if row.effective(s) <= now_ms]
    misfires = [slot for slot in unfired if row.effective(slot) < now_ms - grace]
    kept, reasons = _fate_of(row, misfires, now_ms - grace, now_ms)
    for slot in misfires:
        if slot not in kept:
            model.record(row.name, slot, "missed", reasons[slot])
            row.cursor_ms = slot
    pace = PACE if row.misfire_pace is None else row.misfire_pace
    burst = max(1, round(pace / 10))
    done, not_before = 0, 0
    for slot in [slot for slot in unfired if slot in kept or slot not in misfires]:
        late = slot in kept
        if row.spent:
            break
        if late and row.misfire == "all" and done == burst:
            not_before = now_ms + round(burst * 1000 / pace)
            break
        done += late
        _fire(model, row, slot, f"misfire: {row.misfire or 'latest'}" if late else "")
    row.next_ms = None if row.spent else row.next_after(row.cursor_ms)
    row.due_ms = None if row.next_ms is None else max(row.effective(row.next_ms), not_before)


def _fate_of(
    row: Row, misfires: list[int], last_ms: int, now_ms: int
) -> tuple[set[int], dict[int, str]]:
    """Which misfires fire, and why the others do not."""
    policy = row.misfire or "latest"
    limit = LIMIT if row.misfire_limit is None else row.misfire_limit
    begins = 0 if row.misfire_window is None else min(now_ms - row.misfire_window, last_ms)
    inside = [slot for slot in misfires if row.effective(slot) >= begins]
    kept = {"skip": [], "latest": inside[-1:], "all": inside[-limit:]}[policy]
    words = {"skip": "misfire: skip", "latest": "misfire: latest", "all": "misfire: limit"}
    reasons = {s: words[policy] if s in inside else "misfire: window" for s in misfires}
    return set(kept), reasons


def _fire(model: Model, row: Row, slot: int, reason: str) -> None:
    now_ms, effective = model.now_ms, row.effective(slot)
    row.cursor_ms = slot
    if _expired(row, effective, now_ms):
        model.record(row.name, slot, "skipped", "expired")
        return
    if model.fired.get((row.name, slot), 0) >= now_ms:
        model.record(row.name, slot, "suppressed", "fired before")
        return
    late = now_ms - effective > 1_000 or bool(reason)
    model.record(row.name, slot, "late" if late else "sent", reason)
    model.send(row, slot)
    model.fired[row.name, slot] = now_ms + DEDUP_MS
    row.fired, row.last_fired_ms = row.fired + 1, now_ms


def _expired(row: Row, effective: int, now_ms: int) -> bool:
    if row.deadline is not None and effective + row.deadline <= now_ms:
        return True
    expires = row.options.get("expires")
    return expires is not None and effective + expires * 1_000 <= now_ms


def _carry_out(model: Model, identity: str, order: Order) -> Order | None:
    """What is left of an order. Before its next turn, nothing is noticed of its entry."""
    if order.not_before_ms > model.now_ms:
        return order
    row = model.rows.get(order.entry)
    if row is None or row.broken:
        model.record(order.entry, model.now_ms, "failed", "request: ")
        return None
    if order.kind == "trigger":
        model.record(row.name, order.at_ms, "sent", "trigger")
        model.send(row, order.at_ms, identity, order)
        return None
    slots = row.slots(order.cursor_ms, order.end_ms)
    if not slots:
        model.record(row.name, model.now_ms, "failed", "request: ")
        return None
    burst = max(1, round(order.pace / 10))
    for slot in slots[:burst]:
        model.record(row.name, slot, "sent", "backfill")
        model.send(row, slot, identity, order)
    if len(slots) <= burst:
        return None
    not_before = model.now_ms + round(burst * 1_000 / order.pace)
    return replace(order, cursor_ms=slots[burst - 1], not_before_ms=not_before)
