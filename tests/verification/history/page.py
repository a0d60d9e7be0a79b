"""Writes the fault matrix, with what was measured, into docs/evidence/fault-matrix.md.

The figures come from two files that are kept beside the page: what the seeds of one run of the
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

PAGE = ROOT / "docs/evidence/fault-matrix.md"
FIGURES = ROOT / "docs/evidence/figures"
BEGIN, END = "<!-- fault matrix: begin -->", "<!-- fault matrix: end -->"


def written(page: str, simulation: Mapping[str, Any], chaos: Mapping[str, Any]) -> str:
    """The page with a newly written matrix."""
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
        "The reasons, row by row:",
        "",
        *(f"- **{row.fault}**: {EXPLANATIONS[kind].why}" for kind, row in ROWS.items()),
    ]
    return "\n".join(lines)


def _summary(simulation: Mapping[str, Any], chaos: Mapping[str, Any]) -> str:
    counts = simulation["counts"]
    messages = sum(run["messages"] for run in chaos.values())
    repeated = sum(run["duplicates"] for run in chaos.values())
    return (
        f"**Simulated** ({simulation['date'][:10]}, commit `{simulation['commit']}`): "
        f"{counts['seeds']:,} seeds, {sum(simulation['faults'].values()):,} faults and other "
        f"events, {counts['messages']:,} messages. {_failed(simulation)}\n\n"
        f"**Real processes** (`make chaos`, two cores, leases of 2 s instead of the default 6 s): "
        f"{len(chaos)} scenarios, {messages:,} messages, {repeated} repeats, each explained by a "
        "fault.\n\n"
        "*Measured* attributes a firing to every fault that was at work between its slot and its "
        "message. Most scenarios have several faults at once, so the p99 and the longest takeover "
        "of a row are upper bounds for that fault."
    )


def _failed(simulation: Mapping[str, Any]) -> str:
    failed, again = simulation["failed_seeds"], simulation.get("again")
    result = f"{len(failed)} seeds failed"
    if not failed or again is None:
        return f"{result}."
    return (
        f"{result} ({', '.join(map(str, failed))}): some found [defects](found-bugs.md), the "
        "others were false alarms of the simulation or its judge. Of these seeds, "
        f"{len(again['failed_seeds'])} still fail at commit `{again['commit']}`, after the fixes."
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
    """The anchor of a row, to which the README links."""
    return kind.name.lower().replace("_", "-")


def _name(test: str) -> str:
    return test.rpartition("/")[2].removesuffix(".py").removeprefix("test_")


def _measured(kind: Kind, simulation: Mapping[str, Any], real: Mapping[str, Any]) -> str:
    parts = []
    faults = simulation["faults"].get(kind.name, 0)
    if faults:
        repeats = simulation["duplicates_explained"].get(kind.name, 0)
        parts.append(f"simulated {faults:,} times: {repeats:,} repeats")
    found = real.get(kind.name)
    if found:
        parts.append(f"real {found['times']} times{found['takeover']}{found['late']}")
    return "; ".join(parts)


def _real(chaos: Mapping[str, Any]) -> dict[str, Any]:
    """For each kind: how often real processes were hit, and how long no replica led afterwards."""
    times: dict[str, int] = {}
    takeovers: dict[str, list[int]] = {}
    for run in chaos.values():
        for fault in run["faults"]:
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
    """The largest p99 of these scenarios; other faults may have been at work at the same time."""
    found = [
        run["lateness_ms"][kind]["p99"] for run in chaos.values() if kind in run["lateness_ms"]
    ]
    return f", late p99 at most {_span(max(found))}" if found else ""


def _takeover(found: list[int]) -> str:
    if not found:
        return ""
    return f", lease taken over after {_span(median(found))} (median), {_span(max(found))} (most)"


def _span(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1_000 else f"{ms / 1_000:.1f} s"
