"""``preview`` and ``history``: future slots and past outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from habeat.cli.changes import say_changes
from habeat.cli.command import limit_option
from habeat.cli.completion import name_argument
from habeat.cli.group import command, json_option
from habeat.cli.printing import exact, say, say_json
from habeat.cli.records import Wanted, followed, item_json
from habeat.cli.words import MOMENT, SINCE, ahead, schedule_from, schedule_options
from habeat.client import Client, Instant, OutcomeName
from habeat.client.history import OUTCOMES
from habeat.entries.spans import milliseconds, relative


@command("preview")
@name_argument(required=False)
@schedule_options
@click.option("--count", type=int, help="How many slots; default: 10, or all with --until.")
@click.option("--start", type=MOMENT, help="Slots after this time (ISO 8601); default: now.")
@click.option(
    "--until", type=SINCE, help="Slots up to this time (ISO 8601), or within a span: 2h, 1d."
)
@json_option
def preview_command(
    client: Client,
    name: str | None,
    count: int | None,
    start: datetime | None,
    until: Any,
    as_json: bool,
    **given: object,
) -> None:
    """Show the next slots of an entry or of a schedule.

    Give either the NAME of an entry, or a schedule with --every, --cron and so on; that needs no
    Redis.
    """
    schedule = schedule_from(given, client.timezone)
    if (name is None) == (schedule is None):
        raise click.UsageError("give either the NAME of an entry or a schedule")
    # A schedule that is not stored needs no Redis, so neither does the time.
    now = client.server_time() if schedule is None else datetime.now(UTC)
    begin = now if start is None else start
    end = None if until is None else ahead(until, begin)
    slots = client.preview(name if schedule is None else schedule, count, begin, end)  # type: ignore[arg-type]
    if as_json:
        say_json([instant_json(slot) for slot in slots])
    elif slots:
        instant_rows(slots, now)
    else:
        say("no slots: there are none in that period, or the schedule is unreadable")


@command("history")
@name_argument(required=False)
@click.option(
    "--since", type=SINCE, help="From this time (ISO 8601), or how long ago: 15m, 2h, 1d."
)
@click.option("--until", type=SINCE, help="Up to this time (ISO 8601), or how long ago.")
@click.option(
    "--outcome",
    "outcomes",
    type=click.Choice(OUTCOMES),
    multiple=True,
    help="Only records with this outcome; can be repeated.",
)
@limit_option(20, "Show at most this many records.")
@click.option("--follow", "-f", is_flag=True, help="Keep showing new records as they come.")
@click.option(
    "--events/--no-events",
    "with_events",
    default=None,
    help="Also show changes of leader, outages and losses of data; default: without a NAME.",
)
@click.option("--wide", "-w", is_flag=True, help="Also show the queue and the leader's host.")
@click.option("--changes", is_flag=True, help="Show who changed the entry instead, and what.")
@json_option
def history_command(
    client: Client,
    name: str | None,
    since: datetime | timedelta | None,
    until: datetime | timedelta | None,
    outcomes: Sequence[OutcomeName],
    limit: int,
    follow: bool,
    with_events: bool | None,
    wide: bool,
    changes: bool,
    as_json: bool,
) -> None:
    """Show the outcomes of slots, newest first.

    Without a NAME, it shows the outcomes of all entries, and among them what happened to the
    schedule as a whole: changes of leader, outages of Redis and of the broker, losses of data,
    pauses of the whole schedule.
    With --follow, the newest come last, and with --json each record is one line.
    """
    if changes:
        if follow or outcomes or until:
            raise click.UsageError("--changes cannot be combined with --follow, --outcome, --until")
        say_changes(client, name, since, limit, as_json=as_json)
        return
    if with_events is None:
        with_events = name is None and not outcomes
    wanted = Wanted(
        name,
        since,
        until,
        outcomes,
        with_events=with_events,
        is_wide=wide,
        limit=limit,
    )
    if follow:
        if until is not None:
            raise click.UsageError("--follow cannot be combined with --until")
        followed(client, wanted, as_json=as_json)
        return
    found = wanted.newest(client, limit + 1)
    records = found[:limit]
    if as_json:
        say_json([item_json(record) for record in records])
    elif records:
        wanted.table().print(wanted.rows(records, client.server_time()))
        if len(found) > limit:
            say(f"older records are not shown; for more, give a --limit above {limit}")
    else:
        with_these = " with this outcome: leave --outcome out to see all"
        say("no records" + (with_these if outcomes else ": nothing was due in that time"))


def instant_json(slot: Instant) -> dict[str, Any]:
    """A slot with its instants in UTC and in the schedule's own zone."""
    return {
        "nominal": slot.nominal_utc,
        "effective": slot.effective_utc,
        "nominal_local": slot.nominal.isoformat(timespec="milliseconds"),
        "effective_local": slot.effective.isoformat(timespec="milliseconds"),
        "zone": str(slot.nominal.tzinfo),
        "marks": slot.marks,
    }


def instant_rows(slots: Sequence[Instant], now: datetime) -> None:
    """Print slots as a table, in their own zone and in UTC, with their marks."""
    rows = []
    for slot in slots:
        in_utc = slot.nominal.utcoffset() == timedelta(0)
        late = f"+{milliseconds(slot.offset // timedelta(milliseconds=1))}" if slot.offset else ""
        marks = ", ".join(slot.marks) + (f" ({late})" if late else "")
        rows.append(
            (
                f"{slot.nominal:%a} {exact(slot.nominal)} {slot.nominal:%Z}",
                "" if in_utc else f"{slot.nominal_utc:%H:%M:%S} UTC",
                relative(slot.effective, now),
                marks,
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True) if width]
        say("  " + "  ".join(cells).rstrip())
