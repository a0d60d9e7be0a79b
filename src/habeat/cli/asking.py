"""``trigger`` and ``backfill``: request extra firings."""

from __future__ import annotations

from typing import Any

import click

from habeat.cli.group import command, json_option
from habeat.cli.printing import exact, say, say_json, span
from habeat.cli.words import JSON_LIST, JSON_OBJECT, SINCE, ago
from habeat.client import Backfill, Client
from habeat.core.request import BACKFILL_PACE
from habeat.printable import plural

request_option = click.option(
    "--request-id", metavar="ID", help="Make retries safe: a second call with this id does nothing."
)


@command("trigger")
@click.argument("name")
@click.option("--args", type=JSON_LIST, help="Positional arguments for this firing, a JSON list.")
@click.option(
    "--kwargs", type=JSON_OBJECT, help="Keyword arguments for this firing, a JSON object."
)
@request_option
@json_option
def trigger_command(
    client: Client,
    name: str,
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
    request_id: str | None,
    as_json: bool,
) -> None:
    """Fire an entry once, now, whatever its schedule says."""
    request = client.trigger(name, args=args, kwargs=kwargs, request_id=request_id)
    if as_json:
        say_json({"entry": name, "request_id": str(request), "known": request.known})
    elif request.known:
        say(f"request {request} was already made; nothing was sent again")
    else:
        say(f"{name} will fire as soon as a leader sees the request ({request})")


@command("backfill")
@click.argument("name")
@click.option(
    "--from",
    "start",
    type=SINCE,
    required=True,
    help="Slots after this time (ISO 8601), or how long ago: 2d.",
)
@click.option("--to", "end", type=SINCE, help="Slots up to and including this time; default: now.")
@click.option("--pace", default=BACKFILL_PACE, show_default=True, help="Firings per second.")
@click.option("--dry-run", is_flag=True, help="Only show how many slots would fire.")
@request_option
@json_option
def backfill_command(
    client: Client,
    name: str,
    start: Any,
    end: Any,
    pace: float,
    dry_run: bool,
    request_id: str | None,
    as_json: bool,
) -> None:
    """Fire the slots of a past period again, at a limited pace."""
    now = client.server_time()
    report = client.backfill(
        name,
        ago(start, now),
        now if end is None else ago(end, now),
        pace=pace,
        dry_run=dry_run,
        request_id=request_id,
    )
    if as_json:
        say_json({**{field: getattr(report, field) for field in report.__slots__}})
    else:
        say(_sentence(report))


def _sentence(report: Backfill) -> str:
    if report.first is None or report.last is None:
        return f"{report.entry} has no slots in that period; nothing will fire"
    what = (
        f"{plural(report.count, 'slot')} of {report.entry}, "
        f"{exact(report.first)} to {exact(report.last)} UTC, {span(report.seconds)} at this pace"
    )
    if report.dry_run:
        return f"would fire {what}"
    if report.known:
        return f"request {report.request_id} was already made; nothing was sent again"
    return f"will fire {what} (request {report.request_id})"
