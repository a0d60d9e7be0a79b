"""Writes the fault matrix, with what was measured, into docs/concepts/guarantees.md.

The figures come from two files that are kept beside the page: what a million seeds of the
simulation added up to, and what one run of `make chaos` did to real processes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests import ROOT
from tests.verification.history.events import Kind
from tests.verification.history.explanations import EXPLANATIONS
from tests.verification.history.matrix import ROWS, Row

PAGE = ROOT / "docs/concepts/guarantees.md"
FIGURES = ROOT / "docs/evidence/figures"
BEGIN, END = "<!-- fault matrix: begin -->", "<!-- fault matrix: end -->"


def written(page: str, simulation: Mapping[str, Any], chaos: Mapping[str, Any]) -> str:
    """The page with the matrix made anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{matrix(simulation, chaos)}\n\n{END}{after}"


def read_figures(folder: Path = FIGURES) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is kept: the simulation's figures, and those of the real processes."""
    return (
        json.loads((folder / "simulation.json").read_text()),
        json.loads((folder / "chaos.json").read_text()),
    )


def matrix(simulation: Mapping[str, Any], chaos: Mapping[str, Any]) -> str:
    """The whole block: the summary of both runs, the table, and the reasons below it."""
    real = _real(chaos)
    lines = [
        _summary(simulation, chaos),
        "",
        "| what happened | repeats, atomic | repeats, outbox | misses | late by at most "
        "| measured | shown by |",
        "|---|---|---|---|---|---|---|",
        *(_line(kind, row, simulation, real) for kind, row in ROWS.items()),
        "",
        "Why that is so, row by row:",
        "",
        *(f"- **{row.fault}**: {EXPLANATIONS[kind].why}" for kind, row in ROWS.items()),
    ]
    return "\n".join(lines)


def _summary(simulation: Mapping[str, Any], chaos: Mapping[str, Any]) -> str:
    counts = simulation["counts"]
    messages = sum(told["messages"] for told in chaos.values())
    repeated = sum(told["duplicates"] for told in chaos.values())
    return (
        f"Simulated: {counts['seeds']:,} seeds at commit `{simulation['commit']}` on "
        f"{simulation['date'][:10]}, {sum(simulation['faults'].values()):,} faults and other "
        f"events, {counts['messages']:,} messages, {_failed(simulation)} "
        f"Real processes (`make chaos`): {len(chaos)} scenarios, {messages:,} messages, "
        f"{repeated} repeated, each explained, on a machine with two cores, with leases of "
        "2 s, not the default 6. *Late by at most* is what that fault alone costs. "
        "*Measured* counts a firing for every fault that was at work between its slot and its "
        "message, and most scenarios have several at once: its p99 and its longest takeover are "
        "upper bounds, not that fault's own."
    )


def _failed(simulation: Mapping[str, Any]) -> str:
    failed, again = simulation["failed_seeds"], simulation.get("again")
    told = f"{len(failed)} seeds failed"
    if not failed or again is None:
        return f"{told}."
    return (
        f"{told} ({', '.join(map(str, failed))}), and {len(again['failed_seeds'])} of these at "
        f"commit `{again['commit']}`, after what they had found was mended: defects "
        "([which](../evidence/found-bugs.md)), and alarms that the simulation and its judges gave "
        "for nothing."
    )


def _line(kind: Kind, row: Row, simulation: Mapping[str, Any], real: Mapping[str, Any]) -> str:
    explanation = EXPLANATIONS[kind]
    atomic = "slots whose claim was lost, with their messages" if explanation.loses else "none"
    shown = ", ".join(f"[{_name(test)}](../../tests/{test})" for test in row.tests) or "nothing"
    cells = (
        f'<a id="{anchor(kind)}"></a>{row.fault}',
        atomic,
        row.outbox,
        row.misses,
        row.late,
        _measured(kind, simulation, real) or "not measured",
        shown,
    )
    return f"| {' | '.join(cells)} |"


def anchor(kind: Kind) -> str:
    """What the README links to."""
    return kind.name.lower().replace("_", "-")


def _name(test: str) -> str:
    return test.rpartition("/")[2].removesuffix(".py").removeprefix("test_")


def _measured(kind: Kind, simulation: Mapping[str, Any], real: Mapping[str, Any]) -> str:
    parts = []
    faults = simulation["faults"].get(kind.name, 0)
    if faults:
        repeats = simulation["duplicates_explained"].get(kind.name, 0)
        parts.append(f"simulated {faults:,}x: {repeats:,} repeats")
    found = real.get(kind.name)
    if found:
        parts.append(f"real {found['times']}x{found['takeover']}{found['late']}")
    return "; ".join(parts)


def _real(chaos: Mapping[str, Any]) -> dict[str, Any]:
    """Of each kind: how often it was done to real processes, and how long nobody led then."""
    times: dict[str, int] = {}
    takeovers: dict[str, list[int]] = {}
    for told in chaos.values():
        for fault in told["faults"]:
            times[fault["kind"]] = times.get(fault["kind"], 0) + 1
            if fault["takeover_ms"] is not None:
                takeovers.setdefault(fault["kind"], []).append(fault["takeover_ms"])
    return {
        kind: {
            "times": count,
            "takeover": _takeover(takeovers.get(kind, [])),
            "late": _late(chaos, kind),
        }
        for kind, count in times.items()
    }


def _late(chaos: Mapping[str, Any], kind: str) -> str:
    """The largest p99 of those scenarios; other faults may have been at work at the same time."""
    found = [
        told["lateness_ms"][kind]["p99"] for told in chaos.values() if kind in told["lateness_ms"]
    ]
    return f", p99 late at most {_span(max(found))}" if found else ""


def _takeover(found: list[int]) -> str:
    if not found:
        return ""
    return f", lease taken over after {_span(median(found))} (median), {_span(max(found))} (most)"


def _span(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1_000 else f"{ms / 1_000:.1f} s"
