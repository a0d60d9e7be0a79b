"""``diff``: what a shadow would have sent, beside what another beat sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import click

from habeat.cli.command import limit_option
from habeat.cli.completion import name_argument
from habeat.cli.group import bad, command, json_option
from habeat.cli.printing import exact, pairs, say, say_json
from habeat.cli.tables import Cell, GivesWay, Table
from habeat.cli.words import SINCE, SPAN, ago
from habeat.client import Client, ComparedSlot, Diff
from habeat.client.comparing import summary
from habeat.entries.spans import span
from habeat.printable import plural

COLOURS = {
    "same": "green",
    "shifted": "yellow",
    "missing": "red",
    "extra": "red",
    "ambiguous": "yellow",
}
GAPS_SHOWN = 3
BEATS_SHOWN = 3


@command("diff")
@name_argument("names", nargs=-1)
@click.option(
    "--since",
    type=SINCE,
    default="24h",
    show_default=True,
    help="From this time on (ISO 8601, or 2h, 7d)",
)
@click.option("--until", type=SINCE, help="Up to this time; default: now.")
@click.option(
    "--tolerance",
    type=SPAN,
    default="5s",
    show_default=True,
    help="Times that differ by at most this are the same.",
)
@click.option("--all", "everything", is_flag=True, help="List all slots, not only differences.")
@limit_option(50, "List at most this many slots.")
@json_option
def diff_command(
    client: Client,
    names: tuple[str, ...],
    since: Any,
    until: Any,
    tolerance: timedelta,
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Compare what habeat would have sent with what your beat sent.

    For a beat with habeat_shadow = True that runs beside it. Lists the slots that differ: missing
    (habeat would have sent a message, your beat did not), extra (the reverse), shifted (both did,
    at different times). Exits with status 1 if anything differs, or if nothing could be compared.
    """
    now = client.server_time()
    end = None if until is None else ago(until, now)
    diff = client.diff(*names, since=ago(since, now), until=end, tolerance=tolerance)
    listed = diff.slots if everything else diff.differences
    if as_json:
        say_json(_json(diff, listed))
    else:
        pairs(_rows(diff))
        if diff.blind:
            say(f"nothing was compared: {diff.blind}", "red")
        if listed:
            say()
            _table(listed[:limit])
        if len(listed) > limit:
            say(f"{len(listed) - limit} more are not shown; give a --limit above {limit}")
    if not diff.agrees:
        bad()


def _json(diff: Diff, listed: Sequence[ComparedSlot]) -> dict[str, Any]:
    return {
        "agrees": diff.agrees,
        "blind": diff.blind,
        "cut": diff.cut,
        "start": diff.start,
        "end": diff.end,
        "watched_s": diff.watched.total_seconds(),
        "gaps": [list(gap) for gap in diff.gaps],
        "messages": diff.messages,
        "beats": diff.beats,
        "others": diff.others,
        "counts": diff.counts,
        "slots": listed,
    }


def _rows(diff: Diff) -> Iterator[tuple[str, str | Sequence[str]]]:
    begin, end = diff.start.astimezone(), diff.end.astimezone()
    yield "compared", f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S %Z}"
    if diff.cut:
        since = f"{diff.end:%Y-%m-%dT%H:%M:%SZ}"
        yield "", f"not the rest of the period: {diff.cut}; continue with --since {since}"
    yield "watched", _watched(diff)
    yield "messages", _messages(diff)
    yield "slots", summary(diff)
    if diff.counts["unknown"]:
        yield "", "unknown: mostly not watched, so nothing is known about them; see --all"


def _watched(diff: Diff) -> Sequence[str]:
    whole = (diff.end - diff.start).total_seconds()
    if not diff.gaps:
        return ["all of that time"]
    lines = [f"{span(diff.watched.total_seconds())} of {span(whole)}"]
    for start, end in diff.gaps[:GAPS_SHOWN]:
        seconds = (end - start).total_seconds()
        lines.append(f"not from {exact(start.astimezone())}, for {_for(seconds)}")
    if len(diff.gaps) > GAPS_SHOWN:
        lines.append(f"and {plural(len(diff.gaps) - GAPS_SHOWN, 'more gap')}; see --json")
    return lines


def _for(seconds: float) -> str:
    return span(seconds) if seconds >= 1 else f"{seconds * 1_000:.0f} ms"


def _messages(diff: Diff) -> Sequence[str]:
    named = ", ".join(diff.beats[:BEATS_SHOWN])
    more = f" and {len(diff.beats) - BEATS_SHOWN} more" if len(diff.beats) > BEATS_SHOWN else ""
    lines = [f"{diff.messages} by {named}{more}" if diff.beats else str(diff.messages)]
    if diff.others:
        count = sum(diff.others.values())
        by = plural(len(diff.others), "other process", "other processes")
        lines.append(f"{count} by {by} do not count: most of them have no slot")
    return lines


def _table(slots: Sequence[ComparedSlot]) -> None:
    headings = ["VERDICT", "ENTRY", "SLOT", "SENT", "SHIFT", "NOTE"]
    gives_way = [
        GivesWay("SENT", how="brief"),
        GivesWay("ENTRY", 20),
        GivesWay("NOTE", 24),
        GivesWay("ENTRY", 12),
        GivesWay("NOTE", 12),
        GivesWay("SENT", how="drop"),
        GivesWay("NOTE", how="drop"),
    ]
    Table(headings, gives_way, right=("SHIFT",)).print(_row(each) for each in slots)


def _row(each: ComparedSlot) -> list[str | Cell]:
    sent = "-" if each.sent is None else exact(each.sent.astimezone())
    brief = "-" if each.sent is None else f"{each.sent.astimezone():%H:%M:%S}"
    task = "" if each.entries else f"task {each.task}, queue {each.queue}"
    return [
        Cell(each.verdict, colour=COLOURS.get(each.verdict, "")),
        Cell(", ".join(each.entries) or "-", keeps="ends"),
        "-" if each.slot is None else exact(each.slot.astimezone()),
        Cell(sent, brief=brief),
        f"{each.shift_ms:+} ms" if each.slot and each.sent else "-",
        "; ".join(part for part in (task, each.why) if part) or "-",
    ]
