"""``python -m benchmarks.next_after``: finding slots, beside croniter and cronsim, in one run.

Method. Each library walks from slot to slot, in New York or Berlin, over the same stretch of 2026,
changes of clocks included: habeat by `next_after_ms`, as its engine asks; croniter by `get_next`
and cronsim by `next`, each for datetimes, on an object made once, which is their fastest way. A
figure is the best of several rounds, the libraries taking turns within a round, so that a busy
machine disturbs all of them. habeat keeps the months and the offsets of a zone that it has worked
out, as it does in a beat; what the very first walk takes without them has a column of its own.
habeat's and cronsim's last slots are compared. (croniter's differ where it runs twice in a fold.)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from time import perf_counter
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from habeat import cron

START = datetime(2026, 1, 1, tzinfo=UTC)

# What is claimed: at least so many times croniter's speed.
CASES = (
    ("*/5 9-17 * * 1-5", "America/New_York", 20_000, 2.0),
    ("* * * * *", "Europe/Berlin", 20_000, 3.0),
    ("0 3 * * *", "Europe/Berlin", 3_000, 0.0),
    ("0 3 1 * *", "Europe/Berlin", 1_000, 0.0),
)


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(prog="next_after", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many (default 5)")
    given = parser.parse_args(argv)
    versions = ", ".join(f"{name} {version(name)}" for name in ("habeat", "croniter", "cronsim"))
    print(f"{versions}, Python {sys.version.split()[0]}; microseconds a slot\n")
    columns = (
        "habeat",
        "first walk",
        "croniter",
        "cronsim",
        "croniter ÷ habeat",
        "cronsim ÷ habeat",
    )
    print(f"| rule | zone | {' | '.join(columns)} |")
    print("|---|---|" + "---:|" * len(columns))
    held = [case(*row, rounds=given.rounds) for row in CASES]
    print(f"\n10,000 slots in one call of between(): {preview(given.rounds) * 1e3:.0f} ms")
    return 0 if all(held) else 1


def case(expression: str, zone: str, count: int, claim: float, *, rounds: int) -> bool:
    """One row of the table; whether the claim holds."""
    walks = {
        "habeat": lambda: of_habeat(expression, zone, count),
        "croniter": lambda: of_croniter(expression, zone, count),
        "cronsim": lambda: of_cronsim(expression, zone, count),
    }
    began = perf_counter()
    of_habeat(expression, zone, count)
    first = (perf_counter() - began) / count * 1e6
    last = {name: walk().timestamp() for name, walk in walks.items()}
    if last["cronsim"] != last["habeat"]:
        raise SystemExit(f"{expression} in {zone}: the last slots differ: {last}")
    best = {name: seconds / count * 1e6 for name, seconds in best_of(walks, rounds).items()}
    ours = best["habeat"]
    ratios = [best[name] / ours for name in ("croniter", "cronsim")]
    note = "" if ratios[0] >= claim else f" (claimed: {claim:g})"
    print(
        f"| `{expression}` | {zone} | {ours:.2f} | {first:.2f} | {best['croniter']:.2f} "
        f"| {best['cronsim']:.2f} | {ratios[0]:.1f}{note} | {ratios[1]:.1f} |"
    )
    return not note


def best_of(walks: dict[str, Callable[[], datetime]], rounds: int) -> dict[str, float]:
    """The shortest time of each, in seconds."""
    best = dict.fromkeys(walks, float("inf"))
    for _ in range(rounds):
        for name, walk in walks.items():
            began = perf_counter()
            walk()
            best[name] = min(best[name], perf_counter() - began)
    return best


def of_habeat(expression: str, zone: str, count: int) -> datetime:
    following = cron(expression, tz=zone).next_after_ms
    slot_ms = int(START.timestamp()) * 1000
    for _ in range(count):
        found = following(slot_ms)
        assert found is not None
        slot_ms = found
    return datetime.fromtimestamp(slot_ms / 1000, UTC)


def of_croniter(expression: str, zone: str, count: int) -> datetime:
    slots = croniter(expression, START.astimezone(ZoneInfo(zone)), ret_type=datetime)
    return last_of((slots.get_next() for _ in range(count)), count)


def of_cronsim(expression: str, zone: str, count: int) -> datetime:
    return last_of(CronSim(expression, START.astimezone(ZoneInfo(zone))), count)


def last_of(slots: Iterator[datetime], count: int) -> datetime:
    for slot in islice(slots, count):
        last = slot
    return last


def preview(rounds: int) -> float:
    """Seconds for 10,000 datetimes of a rule in a zone, as a preview asks for them."""
    end = datetime(2040, 1, 1, tzinfo=UTC)
    found = []

    def walk() -> datetime:
        found[:] = islice(
            cron("*/5 9-17 * * 1-5", tz="America/New_York").between(START, end), 10_000
        )
        return found[-1]

    seconds = best_of({"habeat": walk}, rounds)["habeat"]
    assert len(found) == 10_000
    return seconds


if __name__ == "__main__":
    sys.exit(main())
