"""How `plan` shows a change: lines with their colours, and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from habeat.cli.printing import entries_counted
from habeat.client.change_plan import ChangePlan, EntryChange
from habeat.client.change_plan.pile_ups import PileUps
from habeat.printable import plural
from habeat.schedules import in_words

Line = tuple[str, str]

#: The most rows of one list.
ROWS = 20
CLOCK_ROWS = 5


def plan_json(plan: ChangePlan, acknowledged: bool) -> dict[str, Any]:
    """The plan as JSON types, as far as `printing.plain` does not make them."""
    return {
        "start": plan.start,
        "end": plan.end,
        "entries_before": plan.entries_before,
        "entries_after": plan.entries_after,
        "changed": plan.changed,
        "acknowledged": acknowledged,
        "digest": plan.digest,
        **{figure: plan.total(figure) for figure in ("appear", "vanish", "move")},
        "changes": plan.changes,
        "unknown_tasks": plan.unknown_tasks,
        "never": plan.never,
        "broken": plan.broken,
        "newly_broken": plan.newly_broken,
        "pile_ups": plan.pile_ups,
        "not_counted": plan.not_counted,
    }


def plan_lines(plan: ChangePlan) -> Iterator[Line]:
    """The summary, a section for each entry that changes, and what deserves a look."""
    days = (plan.end - plan.start).days
    yield f"{plan.start:%Y-%m-%d %H:%M} UTC and the {plural(days, 'day')} after it", ""
    if not plan.changed:
        yield f"no slot changes: {entries_counted(plan.entries_after)}", "green"
    else:
        figures = [plural(plan.total("appear"), "slot appears", "slots appear")]
        figures += [f"{plan.total('vanish')} vanish", f"{plan.total('move')} move"]
        count = plural(len(plan.changes), "entry changes", "entries change")
        yield f"{count}: {', '.join(figures)}", "yellow"
    for change in plan.changes[:ROWS]:
        yield "", ""
        yield from _change_lines(change)
    if len(plan.changes) > ROWS:
        yield "", ""
        yield f"and {len(plan.changes) - ROWS} more entries (see --json)", ""
    yield from _findings(plan)


def _change_lines(change: EntryChange) -> Iterator[Line]:
    colour = {"added": "green", "removed": "red", "changed": "yellow"}[change.what]
    yield f"{change.name}: {change.what}", colour
    for label, schedule in (("was", change.before), ("is", change.after)):
        if schedule:
            yield f"  {label} {schedule}", ""
    for count, words, slots in (
        (change.appear, ("slot appears", "slots appear"), change.appearing),
        (change.vanish, ("slot vanishes", "slots vanish"), change.vanishing),
    ):
        if count:
            yield f"  {plural(count, *words)}: {_some(slots, count)}", ""
    if change.move:
        yield f"  {_moves(change)}", ""
    for at, remark in change.clock_changes[:CLOCK_ROWS]:
        yield f"  {_when(at)}: {_REMARKS[remark]}", "yellow"
    if len(change.clock_changes) > CLOCK_ROWS:
        yield f"  and {len(change.clock_changes) - CLOCK_ROWS} more slots at a clock change", ""
    for note in change.notes:
        yield f"  note: {note}", "yellow"


_REMARKS = {
    "gap": "the clocks skip its local time, so it fires later",
    "skipped": "no slot, because the clocks skip its local time",
    "fold first": "its local time occurs twice; this is the first",
    "fold second": "its local time occurs twice; this is the second",
}


def _moves(change: EntryChange) -> str:
    moves = plural(change.move, "slot moves", "slots move")
    if change.shift_ms is not None:
        way = "later" if change.shift_ms > 0 else "earlier"
        moves += f" {in_words.duration(abs(change.shift_ms))} {way}"
    pairs = [f"{_when(old)} -> {_when(new)}" for old, new in change.moving]
    return f"{moves}: {_joined(pairs, change.move)}" if pairs else moves


def _some(slots: Sequence[datetime], count: int) -> str:
    return _joined([_when(at) for at in slots], count)


def _joined(shown: Sequence[str], count: int) -> str:
    return ", ".join(shown) + (" …" if count > len(shown) else "")


def _when(at: datetime) -> str:
    fraction = f".{at.microsecond // 1_000:03}" if at.microsecond else ""
    seconds = f":{at:%S}{fraction}" if at.second or fraction else ""
    return f"{at:%a %Y-%m-%d %H:%M}{seconds} {at:%Z}"


def _findings(plan: ChangePlan) -> Iterator[Line]:
    pile_ups = [line for each in plan.pile_ups for line in _pile_up_lines(each)]
    yield from _section("beat would not schedule", _broken(plan))
    yield from _section("tasks that this code does not register", _unknown(plan))
    yield from _section("no slot in this time", _never(plan))
    yield from _section("many firings at once", pile_ups)
    if plan.not_counted:
        yield f"  not counted: {entries_counted(plan.not_counted)} with too many firings", ""


def _broken(plan: ChangePlan) -> list[Line]:
    return [
        _news(f"{name}: {why}", name in plan.newly_broken)
        for name, why in sorted(plan.broken.items())
    ]


def _unknown(plan: ChangePlan) -> list[Line]:
    return [_news(f"{each.entry}: {each.task}", each.new) for each in plan.unknown_tasks]


def _never(plan: ChangePlan) -> list[Line]:
    return [
        (f"{name}: " + ("never" if at is None else f"next {at:%Y-%m-%d %H:%M} UTC"), "")
        for name, at in plan.never.items()
    ]


def _news(text: str, new: bool) -> Line:
    return (f"{text} (new)", "red") if new else (text, "")


def _section(title: str, lines: Sequence[Line]) -> Iterator[Line]:
    if not lines:
        return
    yield "", ""
    yield title, ""
    for line, colour in lines[:ROWS]:
        yield f"  {line}", colour
    if len(lines) > ROWS:
        yield f"  and {len(lines) - ROWS} more (see --json)", ""


def _pile_up_lines(found: PileUps) -> Iterator[Line]:
    if not (found.before or found.after):
        return
    units = plural(found.after, found.unit)
    colour = "red" if found.after > found.before else ""
    yield f"{units} with more than {found.most} firings, before {found.before}", colour
    for peak in found.peaks:
        names = _joined(peak.entries, peak.after)
        yield f"  {_when(peak.at)}: {peak.after}, before {peak.before} ({names})", colour
