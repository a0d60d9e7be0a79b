"""``trigger`` and ``backfill``: request extra firings."""

from __future__ import annotations

from typing import Any

import click

from habeat.cli.choosing import (
    be_sure,
    chosen,
    chosen_entries,
    refused_json,
    say_done,
    say_refused,
    single,
    yes_option,
)
from habeat.cli.completion import name_argument
from habeat.cli.group import bad, command, json_option
from habeat.cli.printing import entries_counted, exact, say, say_json
from habeat.cli.words import JSON_LIST, JSON_OBJECT, SINCE, ago
from habeat.client import Backfill, Client, ManyTriggered, RequestId
from habeat.core.request import BACKFILL_PACE
from habeat.entries.spans import span
from habeat.printable import plural

request_option = click.option(
    "--request-id", metavar="ID", help="Make retries safe: a second call with this id does nothing."
)


@command("trigger")
@chosen_entries
@click.option("--args", type=JSON_LIST, help="Positional arguments for this firing, a JSON list.")
@click.option(
    "--kwargs", type=JSON_OBJECT, help="Keyword arguments for this firing, a JSON object."
)
@request_option
@yes_option
@json_option
def trigger_command(
    client: Client,
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
    request_id: str | None,
    yes: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Fire entries once, now, whatever their schedules say.

    Give names, or --prefix and --tag, or --all. Paused and disabled entries fire, too.
    """
    entries = chosen(given)
    be_sure(client, "trigger", given, yes=yes)
    more: dict[str, Any] = {"args": args, "kwargs": kwargs, "request_id": request_id}
    name = single(given["names"])
    if name is None:
        _say_requests(client.trigger_many(**entries, **more), as_json)
        return
    request = client.trigger(name, **more)
    if as_json:
        say_json(_request_json(name, request))
    elif request.known:
        say(f"request {request} was already made; nothing was sent again")
    else:
        say(f"{name} will fire as soon as a leader sees the request ({request})")


def _say_requests(result: ManyTriggered, as_json: bool) -> None:
    new = [name for name, request in result.requests.items() if not request.known]
    known = len(result.requests) - len(new)
    if as_json:
        requests = [_request_json(name, each) for name, each in result.requests.items()]
        refused = refused_json(result.refused)
        say_json({"triggered": len(new), "requests": requests, "refused": refused})
    else:
        say_done("triggered", new)
        if known:
            say(f"triggered before, not again: {entries_counted(known)}")
        say_refused(result.refused)
    if result.refused:
        bad()


def _request_json(name: str, request: RequestId) -> dict[str, Any]:
    return {"entry": name, "request_id": str(request), "known": request.known}


@command("backfill")
@name_argument()
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
