"""`python -m tests.system.soak --minutes N`: one run; exit status 1 if anything was violated."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from tests.system.soak.arena import Arena
from tests.system.soak.calm import Calm
from tests.system.soak.report import Report, now
from tests.system.soak.run import Run


def main() -> int:
    given = _arguments()
    begun_s = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun_s:7.1f} s  {text}", flush=True)

    outbox = given.broker == "rabbitmq"
    dispatch = "outbox" if outbox else "atomic"
    report = Report(now(), given.minutes, given.entries, given.seed, dispatch, calm=given.calm)
    arena, calm = Arena(given.seed, outbox), None
    say(f"seed {given.seed}, {given.entries} entries, {given.minutes:g} minutes, {report.dispatch}")
    try:
        arena.open()
        arena.populate(given.entries)
        say(f"{given.entries} entries are there; three beats, the leader is {arena.fleet.holder()}")
        calm = Calm.around(arena) if given.calm else None
        run = Run(arena, given.minutes * 60, say, calm)
        run.go()
        run.report(report)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        arena.close()
        if calm is not None:
            calm.close()
    print(report.text())
    if given.report:
        report.write(Path(given.report))
        say(f"written to {given.report}, and as JSON beside it")
    return 1 if report.problems or any(each.grows for each in report.growths) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument(
        "--calm", action="store_true", help="no faults: no finding, no warning and no alert either"
    )
    parser.add_argument("--report", help="a Markdown file; JSON is written beside it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
