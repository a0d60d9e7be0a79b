"""`make model`: search every build of the protocol and print what was found.

Exit status: 0 all hold, 1 something does not (its steps are printed), 2 a program is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.verification.model.builds import DEFECTS, FULL, QUICK, Build, Defect, with_defect
from tests.verification.model.spin import Broken, Found, Missing, need_programs, search

HEADS = ("build", "size", "asked", "states", "depth", "MB", "seconds", "verdict")


def main(words: Sequence[str] | None = None) -> int:
    """The exit status."""
    options = _options(words)
    try:
        need_programs()
    except Missing as missing:
        print(f"habeat: the model cannot be checked: {missing}", file=sys.stderr)
        return 2
    rows, fine = [], True
    for build, defect in _wanted(options):
        row, holds = _check(build, defect, large=not options.quick and defect is None)
        rows.append(row)
        fine &= holds
    if options.json:
        print(json.dumps({"ok": fine, "searches": rows}, indent=2))
    else:
        _print_table(rows)
    return 0 if fine else 1


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.verification.model", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 replicas x 2 slots x 1 crash")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--only", metavar="WORD", default="", help="builds with this in the name")
    parser.add_argument("--no-defects", action="store_true", help="leave the planted defects out")
    return parser.parse_args(words)


def _wanted(options: argparse.Namespace) -> list[tuple[Build, Defect | None]]:
    wanted: list[tuple[Build, Defect | None]]
    wanted = [(build, None) for build in (QUICK if options.quick else FULL)]
    if not options.no_defects:
        wanted += [(with_defect(defect), defect) for defect in DEFECTS]
    return [(build, defect) for build, defect in wanted if options.only in build.name]


def _check(build: Build, defect: Defect | None, *, large: bool) -> tuple[dict[str, object], bool]:
    print(f"{build.name} {build.size}: {build.asked} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="habeat-model-") as folder:
        try:
            found = search(build, Path(folder), large=large)
        except Broken as broken:
            return _row(build, None, f"NOT SEARCHED: {broken}"), False
    verdict, holds = _verdict(found, defect)
    print(f"    {verdict}: {found.states:,} states, {found.seconds:.0f} s", file=sys.stderr)
    if not holds and found.steps:
        print(*(f"    {step}" for step in found.steps), sep="\n", file=sys.stderr)
    return _row(build, found, verdict), holds


def _verdict(found: Found, defect: Defect | None) -> tuple[str, bool]:
    if defect is not None:
        caught = found.broken in defect.breaks
        return (f"found: {found.broken}" if caught else f"MISSED ({found.broken})"), caught
    if found.broken:
        return f"BROKEN: {found.broken}", False
    if found.build.complete and found.unreached:
        return f"IDLE LINES {found.unreached}", False
    return "holds", True


def _row(build: Build, found: Found | None, verdict: str) -> dict[str, object]:
    return {
        "build": build.name,
        "size": str(build.size),
        "asked": build.asked,
        "states": found.states if found else 0,
        "depth": found.depth if found else 0,
        "MB": round(found.memory_mb) if found else 0,
        "seconds": round(found.seconds, 1) if found else 0,
        "verdict": verdict,
        "steps": found.steps if found else [],
    }


def _print_table(rows: Sequence[dict[str, object]]) -> None:
    lines = [HEADS, *(tuple(_cell(row[head]) for head in HEADS) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())
    print("size: replicas x slots x crashes + other faults; every search is exhaustive")


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
