"""``python -m tests.verification.simulation``: ``run 5000`` seeds, or ``show 7``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from tests.verification.simulation.again import again
from tests.verification.simulation.parts import add_up
from tests.verification.simulation.plan import Plan, plan_of
from tests.verification.simulation.planted import try_all
from tests.verification.simulation.run import Simulation
from tests.verification.simulation.runner import FAILURES_ENOUGH, run_many
from tests.verification.simulation.shrinking import options_of, shrunk, sign_of

COMMAND = "python -m tests.verification.simulation"


def main() -> int:
    """Exit status 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog=COMMAND)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run many seeds")
    run.add_argument("seeds", type=int)
    run.add_argument("--from", dest="first", type=int, default=0, metavar="SEED")
    run.add_argument("--jobs", type=int, default=2)
    run.add_argument("--json", type=Path, metavar="FILE")
    run.add_argument("--failures", type=int, default=FAILURES_ENOUGH, help="end after so many")
    run.add_argument("--no-shrinking", action="store_true")
    show = commands.add_parser("show", help="run one seed and print its history")
    show.add_argument("seed", type=int)
    show.add_argument("--without", default="", help="numbers of troubles to leave out")
    show.add_argument("--entries", default="", help="names of the entries to keep")
    show.add_argument("--replicas", type=int, default=0)
    show.add_argument("--storm-us", type=int, default=0)
    adding = commands.add_parser("sum", help="add up the figures of a run's parts")
    adding.add_argument("parts", type=Path, nargs="+")
    adding.add_argument("--json", type=Path, metavar="FILE", required=True)
    once_more = commands.add_parser("again", help="run the failed seeds of a run's --json anew")
    once_more.add_argument("figures", type=Path)
    plant = commands.add_parser("planted", help="which planted bugs are caught")
    plant.add_argument("most", type=int, nargs="?", default=300, help="seeds for each")
    plant.add_argument("--only", default="", help="a part of the names")
    options = parser.parse_args()
    if options.command == "planted":
        return 1 if try_all(options.most, options.only) else 0
    if options.command == "again":
        return again(options.figures)
    if options.command == "sum":
        return add_up(options.parts, options.json)
    return _run(options) if options.command == "run" else _show(options)


def _run(options: argparse.Namespace) -> int:
    figures, wall_s = run_many(options.first, options.seeds, options.jobs, options.failures)
    for failure in figures.failures:
        print(f"\nseed {failure.seed} failed: {failure.problems[0]}")
        whole = plan_of(failure.seed)
        small = whole if options.no_shrinking else shrunk(whole, sign_of(failure.problems[0]))
        report(small, whole)
    print(figures.table(wall_s))
    if options.json:
        data = figures.as_json(wall_s, options.first)
        options.json.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    return 1 if figures.failures else 0


def _show(options: argparse.Namespace) -> int:
    whole = plan_of(options.seed)
    plan = whole.without([int(number) for number in options.without.split(",") if number])
    if options.entries:
        names = options.entries.split(",")
        plan = replace(plan, entries=tuple(e for e in plan.entries if e.name in names))
    plan = replace(
        plan,
        replicas=options.replicas or plan.replicas,
        storm_us=options.storm_us or plan.storm_us,
    )
    return report(plan, whole)


def report(plan: Plan, whole: Plan) -> int:
    """Run a plan and print all of it; 1 if it fails."""
    simulation = Simulation(plan, telling=True)
    problems = simulation.run().problems
    print(f"==== seed {plan.seed}; again: {COMMAND} {options_of(plan, whole)}")
    dispatch = "atomic" if plan.atomic else "outbox"
    print(f"     {plan.replicas} replicas, {dispatch}, lease TTL {plan.ttl_ms} ms")
    for entry in plan.entries:
        print(f"     {entry}")
    for trouble in plan.troubles:
        print(f"     {trouble}")
    print("\n".join(simulation.world.log or []))
    print(f"==== {len(problems)} problems")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
