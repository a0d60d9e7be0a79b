"""``make bench``: every table in turn; ``python -m benchmarks burst grid`` some of them.

Each table is a module, which tells in its opening what is measured, how, and what to beware of.
All contenders of a table are measured in one run on one server, and stand side by side with
their ratios. The raw data goes to ``benchmarks/results/``, with a plot beside it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import habeat
from benchmarks import next_after, pages, results
from benchmarks.running import Run

#: In the order in which they run; the quick and telling ones first.
TABLES = (
    *("next_after", "burst", "burst_outbox", "burst_rabbitmq", "grid", "takeover", "startup"),
    *("idle", "memory", "steady", "changes", "bulk", "scaling"),
)
#: Tables of the documentation that are computed from the results of others.
COMPUTED = ("capacity",)
#: What of a core may be in use by others, for each core, before the figures say little.
BUSY = 0.25


def main(argv: list[str] | None = None) -> int:
    """Run the tables; 1 if one of them failed or a claim did not hold, 130 after Ctrl-C."""
    given = _parser().parse_args(argv)
    if given.write_docs:
        return pages.write()
    _check_habeat()
    signal.signal(signal.SIGTERM, _interrupt)
    run = Run(given.quick, given.entries, given.only, given.repeats, given.schedule)
    _warn_if_busy(run)
    status = 0
    try:
        for name in given.tables or TABLES:
            status |= _one(run, name, given.json)
    except KeyboardInterrupt:
        print("interrupted: ending what was started", file=sys.stderr)
        return 130
    finally:
        run.close()
    if run.failures:
        run.say(f"failed: {', '.join(run.failures)}")
    return 1 if run.failures else status


def _one(run: Run, name: str, folder: Path) -> int:
    """Measure one table, print it, keep it; one that fails does not keep the others from it."""
    began_s = time.monotonic()
    run.say(f"== {name}")
    if name == "next_after":
        return next_after.main(["--rounds", str(run.times(5, 1))])
    module: Any = importlib.import_module(f"benchmarks.{name}")
    try:
        measured = module.measure(run)
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
        run.say(f"{name} failed: {type(error).__name__}: {error}")
        return 1
    if measured is None:
        return 0
    data = results.plain(measured)
    svg = module.plot(data) if hasattr(module, "plot") else None
    path = results.save(name, data, quick=run.quick, folder=folder, svg=svg)
    for table in module.tables(data):
        print(f"\n{table.text()}")
    if run.quick:
        print("\nA quick run: it shows that the program works, its figures say nothing.")
    print(f"\nraw data: {_shown(path)} ({time.monotonic() - began_s:.0f} s)\n", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("tables", nargs="*", metavar="table", type=_table, help=", ".join(TABLES))
    add("--quick", action="store_true", help="a smoke run: small and short")
    add("--json", type=Path, default=results.RESULTS, metavar="DIR", help="for the raw data")
    add("--entries", type=_numbers, metavar="N,M", help="numbers of entries")
    add("--only", type=_names, metavar="A,B", help="these contenders")
    add("--repeats", "--times", type=int, metavar="N", help="runs of what is repeated")
    add("--schedule", choices=("crontab", "interval"), help="how a burst is declared")
    add("--write-docs", action="store_true", help="fill the documentation; measure nothing")
    return parser


def _table(name: str) -> str:
    if name not in TABLES:
        raise argparse.ArgumentTypeError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return name


def _numbers(text: str) -> tuple[int, ...]:
    found = tuple(int(word.replace("_", "")) for word in text.split(","))
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError("numbers of entries, as 1000,10000")
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _check_habeat() -> None:
    """Beats are given this checkout's source; what is measured here must be the same."""
    if not Path(habeat.__file__).is_relative_to(results.ROOT / "src"):
        raise SystemExit("habeat comes from elsewhere: PYTHONPATH=src:. or make bench")


def _warn_if_busy(run: Run) -> None:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > BUSY * cores:
        run.say(f"others use this machine (load {load:.1f}, {cores} cores): figures say little")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    sys.exit(main())
