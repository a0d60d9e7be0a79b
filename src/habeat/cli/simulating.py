"""``simulate``: the whole schedule over a period, and where it piles up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import click

from habeat.cli.group import command, json_option
from habeat.cli.printing import entries_counted, plural, say, say_json
from habeat.cli.words import SINCE, ahead, seconds_of
from habeat.client import Client, Load, Simulation

ROWS = 24
BAR = 30
NAMES = 3


@command("simulate")
@click.option("--from", "start", type=SINCE, help="From this moment (ISO 8601); default: now.")
@click.option("--to", "end", type=SINCE, help="To this (ISO 8601, or a span); default: 1d later.")
@click.option("--spread", metavar="SPAN", help="Reckon the same with this spread beside it.")
@json_option
def simulate_command(
    client: Client, start: Any, end: Any, spread: str | None, as_json: bool
) -> None:
    """Firings per minute of all entries over a period; what a spread would do about peaks."""
    now = client.server_time()
    begin = now if start is None else ahead(start, now)
    until = begin + timedelta(days=1) if end is None else ahead(end, begin)
    seconds = None if spread is None else seconds_of(spread)
    if spread is not None and seconds is None:
        raise click.BadParameter(f"{spread!r} is no span such as 60 or 5m", param_hint="--spread")
    found = client.simulate(begin, until, spread=seconds)
    if as_json:
        say_json(_plain(found))
    else:
        _say(found)


def _plain(found: Simulation) -> dict[str, Any]:
    spread = found.spread
    return {
        "start": found.start,
        "end": found.end,
        "entries": found.entries,
        "left_out": found.left_out,
        **_load(found.load),
        "spread_ms": None if spread is None else round(spread.total_seconds() * 1_000),
        "with_spread": None if found.with_spread is None else _load(found.with_spread),
    }


def _load(load: Load) -> dict[str, Any]:
    return {
        "firings": load.firings,
        "highest": load.highest,
        "per_minute": list(load.per_minute),
        "peaks": load.peaks,
    }


def _say(found: Simulation) -> None:
    load, other = found.load, found.with_spread
    minutes = len(load.per_minute)
    say(
        f"{entries_counted(found.entries)}, {plural(load.firings, 'firing')} in "
        f"{plural(minutes, 'minute')}: {load.firings / minutes:.3g} a minute, "
        f"{load.highest} in the fullest"
    )
    if found.left_out:
        say(f"not in it: {entries_counted(len(found.left_out))} (see --json)")
    if not load.firings:
        return
    say()
    for line in _histogram(found):
        say(line)
    say()
    say("fullest minutes")
    for peak in load.peaks:
        names = [f"{name} ({count})" if count > 1 else name for name, count in peak.entries.items()]
        rest = peak.firings - sum(list(peak.entries.values())[:NAMES])
        more = f" and {rest} more" if rest else ""
        shown = ", ".join(names[:NAMES])
        say(f"  {peak.at.astimezone():%a %H:%M}  {peak.firings}  {shown}{more}")
    if other is not None:
        say()
        say(f"with that spread the fullest minute has {other.highest} instead of {load.highest}")


def _histogram(found: Simulation) -> Iterator[str]:
    """The fullest minute of each stretch of time, so that no peak is averaged away."""
    minutes = len(found.load.per_minute)
    width = -(-minutes // ROWS)
    plain = _highest(found.load.per_minute, width)
    spread = _highest(found.with_spread.per_minute, width) if found.with_spread else None
    most = max(plain)
    yield f"firings in the fullest minute of each {plural(width, 'minute')}" + (
        ", and with the spread" if spread else ""
    )
    for place, count in enumerate(plain):
        at = (found.start + timedelta(minutes=place * width)).astimezone()
        bar = "#" * -(-count * BAR // most)
        beside = f"  {spread[place]}" if spread else ""
        yield f"  {at:%a %H:%M}  {bar.ljust(BAR)}  {count}{beside}".rstrip()


def _highest(counts: Sequence[int], width: int) -> list[int]:
    return [max(counts[at : at + width]) for at in range(0, len(counts), width)]
