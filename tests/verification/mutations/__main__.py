"""``make mutations``: switch each safety device off, expect its suite to fail.

Names may be beginnings ("claim:"). The suites first run once unchanged, because a failing one would
catch everything. Exits with 1 if no suite misses a device. ``--suites`` finds out which others
notice (suites.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.verification.mutations import page, suites
from tests.verification.mutations.device import Device
from tests.verification.mutations.devices import DEVICES
from tests.verification.mutations.trial import Result, Workshop, warm_up


@dataclass(frozen=True)
class Outcome:
    """A device, and how its suite reacted to its absence."""

    device: Device
    by: str
    seconds: float


def main() -> int:
    """Run what the command line names; the exit status."""
    given = _arguments()
    if given.write_docs:
        page.PATH.write_text(page.text(), "utf-8")
        return 0
    devices = _named(given.names)
    if given.suites:
        warm_up()
        return 1 if suites.try_all(devices, given.suites.split(","), given.again) else 0
    if given.list:
        print("\n".join(f"{device.name:44} {device.protects}" for device in devices))
        return 0
    warm_up()
    workshop = Workshop()
    try:
        _baseline(workshop, devices)
        outcomes = [_tried(workshop, device, given.show) for device in devices]
    finally:
        workshop.close()
    _report(outcomes, given.json)
    return 1 if any(not outcome.by for outcome in outcomes) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.verification.mutations", description=__doc__
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a device, or how its name begins")
    problem = f"try each device against these, too: {', '.join(suites.SUITES)}"
    parser.add_argument("--suites", default="", help=problem)
    parser.add_argument("--again", action="store_true", help="also what has been tried before")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes there, too")
    parser.add_argument("--show", action="store_true", help="print what the failing test said")
    parser.add_argument("--list", action="store_true", help="print the devices, run nothing")
    parser.add_argument("--write-docs", action="store_true", help=f"write {page.PATH.name} again")
    return parser.parse_args()


def _named(names: Sequence[str]) -> list[Device]:
    found = [d for d in DEVICES if not names or any(d.name.startswith(name) for name in names)]
    if not found:
        sys.exit(f"no device is called so: {', '.join(names)}")
    return found


def _baseline(workshop: Workshop, devices: Sequence[Device]) -> None:
    suites = sorted({device.suite for device in devices})
    for number, suite in enumerate(suites, 1):
        result = workshop.run(suite)
        print(f"[{number}/{len(suites)}] as it is: {suite}, {result.seconds:.1f} s", flush=True)
        if result.caught:
            print(result.log.read_text("utf-8", "replace"))
            sys.exit(f"{suite} fails with every device in place: {result.by}")


def _tried(workshop: Workshop, device: Device, show: bool) -> Outcome:
    result = workshop.run_without(device.file, device.old, device.new, device.suite)
    print(f"{_verdict(result)} {device.name}: {result.by or device.suite}", flush=True)
    if show:
        print(result.log.read_text("utf-8", "replace"))
    return Outcome(device, result.by, result.seconds)


def _verdict(result: Result) -> str:
    return f"{'caught ' if result.caught else 'MISSED '} {result.seconds:5.1f} s "


def _report(outcomes: Sequence[Outcome], file: Path | None) -> None:
    print()
    for outcome in outcomes:
        by = outcome.by.rpartition("/")[2] or f"NOT CAUGHT by {outcome.device.suite}"
        print(f"{outcome.device.name:44} {outcome.seconds:5.1f} s  {by}")
    missed = [outcome.device.name for outcome in outcomes if not outcome.by]
    total = sum(outcome.seconds for outcome in outcomes)
    print(f"\n{len(outcomes) - len(missed)} of {len(outcomes)} caught, {total:.0f} s")
    if missed:
        print("Nobody misses: " + ", ".join(missed))
    if file:
        problem = [
            {
                "device": outcome.device.name,
                "protects": outcome.device.protects,
                "file": outcome.device.file,
                "suite": outcome.device.suite,
                "caught_by": outcome.by,
                "seconds": round(outcome.seconds, 1),
            }
            for outcome in outcomes
        ]
        file.write_text(json.dumps(problem, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
