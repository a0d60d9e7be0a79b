"""``simulate``: the whole schedule over a period, and where firings pile up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import click

from habeat.cli.group import command, json_option
from habeat.cli.printing import entries_counted, say, say_json
from habeat.cli.words import SINCE, ahead
from habeat.client import Client, Load, Simulation
from habeat.entries.spans import seconds_of
from habeat.printable import plural

ROWS = 24
BAR = 30
NAMES = 3


@command("simulate")
@click.option("--from", "start", type=SINCE, help="Start of the period (ISO 8601); default: now.")
@click.option(
    "--to",
    "end",
    type=SINCE,
    help="End of the period (ISO 8601, or its length); default: 1d later.",
)
@click.option("--spread", metavar="SPAN", help="Also show the result with this spread.")
@json_option
def simulate_command(
    client: Client, start: Any, end: Any, spread: str | None, as_json: bool
) -> None:
    """Count firings per minute over a period, and find the peaks.

    --spread also shows what that spread would do to the peaks.
    """
    now = client.server_time()
    begin = now if start is None else ahead(start, now)
    until = begin + timedelta(days=1) if end is None else ahead(end, begin)
    seconds = None if spread is None else seconds_of(spread)
    if spread is not None and seconds is None:
        raise click.BadParameter(
            f"{spread!r}: expected a span such as 60 or 5m", param_hint="--spread"
        )
    simulation = client.simulate(begin, until, spread=seconds)
    if as_json:
        say_json(_plain(simulation))
    else:
        _say(simulation)


def _plain(simulation: Simulation) -> dict[str, Any]:
    spread = simulation.spread
    return {
        "start": simulation.start,
        "end": simulation.end,
        "entries": simulation.entries,
        "left_out": simulation.left_out,
        **_load(simulation.load),
        "spread_ms": None if spread is None else round(spread.total_seconds() * 1_000),
        "with_spread": None if simulation.with_spread is None else _load(simulation.with_spread),
    }


def _load(load: Load) -> dict[str, Any]:
    return {
        "firings": load.firings,
        "highest": load.highest,
        "per_minute": list(load.per_minute),
        "peaks": load.peaks,
    }


def _say(simulation: Simulation) -> None:
    load, other = simulation.load, simulation.with_spread
    minutes = len(load.per_minute)
    say(
        f"{entries_counted(simulation.entries)}, {plural(load.firings, 'firing')} in "
        f"{plural(minutes, 'minute')}: {load.firings / minutes:.3g} a minute, "
        f"{load.highest} in the busiest"
    )
    if simulation.left_out:
        say(f"not included: {entries_counted(len(simulation.left_out))} (see --json)")
    if not load.firings:
        return
    say()
    for line in _histogram(simulation):
        say(line)
    say()
    say("busiest minutes")
    for peak in load.peaks:
        names = [f"{name} ({count})" if count > 1 else name for name, count in peak.entries.items()]
        rest = peak.firings - sum(list(peak.entries.values())[:NAMES])
        more = f" and {rest} more" if rest else ""
        shown = ", ".join(names[:NAMES])
        say(f"  {peak.at.astimezone():%a %H:%M}  {peak.firings}  {shown}{more}")
    if other is not None:
        say()
        say(
            f"with that spread the busiest minute has {plural(other.highest, 'firing')} "
            f"instead of {load.highest}"
        )


def _histogram(simulation: Simulation) -> Iterator[str]:
    """The busiest minute of each stretch of time, so that no peak is averaged away."""
    minutes = len(simulation.load.per_minute)
    width = -(-minutes // ROWS)
    plain = _highest(simulation.load.per_minute, width)
    spread = _highest(simulation.with_spread.per_minute, width) if simulation.with_spread else None
    most = max(plain)
    yield f"firings in the busiest minute of every {plural(width, 'minute')}" + (
        ", and with the spread" if spread else ""
    )
    for place, count in enumerate(plain):
        at = (simulation.start + timedelta(minutes=place * width)).astimezone()
        bar = "#" * -(-count * BAR // most)
        beside = f"  {spread[place]}" if spread else ""
        yield f"  {at:%a %H:%M}  {bar.ljust(BAR)}  {count}{beside}".rstrip()


def _highest(counts: Sequence[int], width: int) -> list[int]:
    return [max(counts[at : at + width]) for at in range(0, len(counts), width)]
