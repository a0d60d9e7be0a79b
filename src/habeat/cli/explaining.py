"""``explain``: what became of one slot of an entry, link by link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import Any

import click

from habeat.cli.completion import name_argument
from habeat.cli.errors import as_typed
from habeat.cli.group import command, json_option
from habeat.cli.printing import COLOURS, exact, pairs, plain, say, say_json
from habeat.cli.words import CLOCK, on_day_of
from habeat.client import Client, Explanation, Link
from habeat.entries.spans import relative
from habeat.errors import EntryNotFound
from habeat.schedules.zone import zone_named

_COLOURS = {**COLOURS, "to come": "", "pending": "yellow", "in flight": "yellow"}


@command("explain")
@name_argument()
@click.option(
    "--at",
    type=CLOCK,
    help="The last slot at or before this time: ISO 8601, or 02:00 for today in the entry's zone.",
)
@click.option("--no-broker", is_flag=True, help="Do not ask the broker about the queue.")
@json_option
def explain_command(
    client: Client, name: str, at: datetime | time | None, no_broker: bool, as_json: bool
) -> None:
    """Explain one slot of an entry: fired when, by whom, how late, or why not.

    Without --at, it explains the last slot and the next one. The chain ends at the first broken
    link, with its evidence and what to do.
    """
    now = client.server_time()
    asked = None if at is None else on_day_of(at, now, _zone(client, name))
    found = client.explain(name, asked, broker=not no_broker)
    if as_json:
        say_json(explanation_json(found))
        return
    explanation_rows(found, now)
    if found.following is not None:
        say()
        explanation_rows(found.following, now)


def explanation_json(found: Explanation) -> dict[str, Any]:
    """An explanation for programs."""
    shown: dict[str, Any] = plain(found)
    following = found.following
    return {**shown, "following": None if following is None else explanation_json(following)}


def explanation_rows(found: Explanation, now: datetime) -> None:
    """Print the slot, the answer in one sentence, and the links."""
    if found.slot is not None:
        say(
            f"{found.entry}, slot of {_local(found.slot, found.zone)} ({relative(found.slot, now)})"
        )
    else:
        say(found.entry)
    if _is_beside(found):
        say(f"note: {_beside(found)}", "yellow")
    say(as_typed(found.sentence), _COLOURS.get(found.outcome, ""))
    pairs((each.link, _lines(each, found.zone)) for each in found.links)


def _zone(client: Client, name: str) -> str:
    """The zone of the entry's schedule; the app's if it has none, or if it was removed."""
    try:
        zone = getattr(client.get(name).schedule, "tz", None)
    except EntryNotFound:
        return client.timezone
    return zone if isinstance(zone, str) else client.timezone


def _local(at: datetime, zone: str) -> str:
    """A time in the entry's zone, and in UTC."""
    local = at.astimezone(zone_named(zone).info)
    in_utc = "" if local.utcoffset() == at.utcoffset() else f" = {exact(at)} UTC"
    return f"{exact(local)} {local:%Z}{in_utc}"


def _is_beside(found: Explanation) -> bool:
    """Whether the time that was given is no slot."""
    return found.asked is not None and found.asked != found.slot


def _beside(found: Explanation) -> str:
    assert found.asked is not None
    around = [at for at in (found.slot or found.before, found.after) if at is not None]
    named = " and ".join(_local(at, found.zone) for at in around)
    slots = f": the slots around it are {named}" if named else ", and has none near it"
    return f"{_local(found.asked, found.zone)} is no slot of this entry{slots}"


def _lines(link: Link, zone: str) -> Sequence[str]:
    return list(_parts(link, zone))


def _parts(link: Link, zone: str) -> Iterator[str]:
    state = link.state.upper() if link.state == "broken" else link.state
    at = "" if link.at is None else f"{_local(link.at, zone)}: "
    yield f"{state}, {at}{as_typed(link.detail)}"
    if link.evidence:
        yield f"evidence: {as_typed(link.evidence)}"
    if link.next_step:
        yield f"next: {as_typed(link.next_step)}"
