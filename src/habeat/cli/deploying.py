"""How `plan` shows a deploy: lines with their colours, and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from habeat.cli.changes import fields_in_words
from habeat.cli.printing import entries_counted, full, plain
from habeat.client.change_plan import DeployPlan, PlannedEntry
from habeat.printable import plural

Line = tuple[str, str]

#: The most rows of one list.
ROWS = 50

#: What happens to an entry, in the order of the page: its sign, its colour, and the words.
_WORDS = {
    "add": ("+", "green", "is added"),
    "take over": ("+", "green", "is added, and takes a state over"),
    "change": ("~", "yellow", "changes"),
    "prune": ("-", "red", "is pruned"),
    "clash": ("!", "red", "is not used"),
    "fails": ("!", "red", "is not stored"),
    "broken": ("!", "red", "is not scheduled"),
    "unreadable": ("!", "red", "stays as it is"),
    "newer": ("!", "red", "stays as it is"),
    "same": (" ", "", "stays as it is"),
}
_ACTS = {"add": "added", "take over": "added", "prune": "removed"}


def deploy_json(plan: DeployPlan, acknowledged: bool) -> dict[str, Any]:
    """The plan as JSON types."""
    return {
        "at": plan.at,
        "changed": plan.changed,
        "acknowledged": acknowledged,
        "digest": plan.digest,
        "added": plan.count("add", "take over"),
        "changing": plan.count("change"),
        "pruned": plan.count("prune"),
        "same": plan.same,
        "entries": [plain(each) for each in plan.entries],
    }


def deploy_lines(plan: DeployPlan, redis: str) -> Iterator[Line]:
    """The summary, and a line or more for each entry."""
    yield f"what a deploy of this code does to the entries in {redis}", ""
    if plan.changed:
        figures = [plural(plan.count("add", "take over"), "entry is added", "entries are added")]
        figures += [f"{plan.count('change')} change", f"{plan.count('prune')} pruned"]
        yield f"{', '.join(figures)}; {plan.same} stay as they are", "yellow"
    else:
        yield f"no entry changes: {entries_counted(plan.same)}", "green"
    for what in _WORDS:
        found = [each for each in plan.entries if each.what == what]
        for each in found[:ROWS]:
            yield from _entry_lines(each, plan.at)
        if len(found) > ROWS:
            yield f"  and {len(found) - ROWS} more that {_WORDS[what][2]} (see --json)", ""
    if plan.count("prune"):
        yield "", ""
        yield "entries are pruned a minute after the last beat that declares them has stopped", ""


def _entry_lines(each: PlannedEntry, now: datetime) -> Iterator[Line]:
    sign, colour, words = _WORDS[each.what]
    yield f"{sign} {each.name}: {words}" + (f": {each.why}" if each.why else ""), colour
    if each.fields:
        yield f"    {fields_in_words(each.fields, _ACTS.get(each.what, 'changed'))}", ""
    if each.paused is not None:
        why = f" ({each.paused})" if each.paused else ""
        goes = each.what == "prune"
        yield f"    it is paused{why}" + ("" if goes else ", and stays paused"), "yellow"
    elif each.next_slot is not None:
        fires = f", does not fire: {', '.join(each.held)}" if each.held else ""
        yield f"    next slot {full(each.next_slot, now)}{fires}", "yellow" if fires else ""
    if each.skipped:
        yield f"    {plural(each.skipped, 'slot')} that are due do not fire", "yellow"
