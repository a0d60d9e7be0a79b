"""The model's `export` and `load`: definitions and pauses travel, state does not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.verification.stateful.model import Model
from tests.verification.stateful.rows import Row


@dataclass
class Report:
    """What `load` says it did, by name."""

    added: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    unchanged: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)


def export(model: Model) -> list[Row]:
    return [row.copy() for _, row in sorted(model.rows.items()) if not row.broken]


def verdict(model: Model, document: list[Row]) -> Report:
    report = Report()
    for wanted in document:
        row, pause = model.rows.get(wanted.name), _pause(model, wanted)
        if wanted.owner == "config":
            adds = row is not None and pause[0] is not None and row.paused is None
            (report.changed if adds else report.left).add(wanted.name)
        elif row is None:
            report.added.add(wanted.name)
        else:
            same = (row.task, row.rule, row.fields) == (wanted.task, wanted.rule, wanted.fields)
            same = same and row.condition != "quarantined"
            same = same and (row.paused, row.until_ms) == pause
            (report.unchanged if same else report.changed).add(wanted.name)
    return report


def load(model: Model, document: list[Row]) -> None:
    report = verdict(model, document)
    for wanted in document:
        pause = _pause(model, wanted)
        if wanted.name in report.added:
            fresh = replace(
                wanted, rev=1, fired=0, last_fired_ms=None, set_aside=False, cursor_ms=model.now_ms
            )
            model.insert(fresh, *pause)
        elif wanted.name in report.changed:
            row = model.rows[wanted.name]
            if wanted.owner == "api":
                row = model.change(row, wanted.task, wanted.rule, wanted.fields, check=False)
            if pause[0] is None:
                model.end_pause(row, model.now_ms)
            else:
                model.set_pause(row, *pause)


def _pause(model: Model, wanted: Row) -> tuple[str | None, int | None]:
    over = wanted.until_ms is not None and wanted.until_ms <= model.now_ms
    return (None, None) if over else (wanted.paused, wanted.until_ms)
