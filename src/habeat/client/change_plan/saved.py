"""A beat_schedule as `plan --save` writes it: what decides about slots, and no arguments.

The entries are in the form in which they are stored in Redis, so one reader judges both. One that
cannot be read is reported by its name, and the others are compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from habeat.core.entry import Entry
from habeat.entries.codec import decode, encode
from habeat.errors import DefinitionError, ValidationError
from habeat.printable import kind_of

KEY, VERSION = "habeat_plan", 1
#: The largest file that is read.
MOST_BYTES = 100_000_000


_EXPECTED = "a file written by `habeat plan --save`"
_NO_JSON = "the file is not JSON"


@dataclass(frozen=True, slots=True)
class SavedSchedule:
    """The entries of one beat_schedule; `broken` has those that beat does not schedule, and why.

    `unknown` has the entries whose task the code does not register, with the task.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, entries: Mapping[str, Entry], broken: Mapping[str, str], unknown: Mapping[str, str]
    ) -> SavedSchedule:
        """The entries without what does not concern slots."""
        return cls({name: _bare(each) for name, each in entries.items()}, broken, unknown)

    def to_text(self) -> str:
        """The file, as JSON with one line for each entry."""
        rows = [
            f"  {json.dumps(name)}: {encode(self.entries[name]).decode()}"
            for name in sorted(self.entries)
        ]
        rest = f'"broken": {_object(self.broken)},\n"unknown": {_object(self.unknown)}'
        entries = ",\n".join(rows)
        return f'{{"{KEY}": {VERSION},\n"entries": {{\n{entries}\n}},\n{rest}}}\n'

    @classmethod
    def from_text(cls, text: str) -> SavedSchedule:
        """What `to_text` wrote; ValidationError if it is something else."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise ValidationError("file", kind_of(text), _EXPECTED, problem=_NO_JSON) from None
        if not isinstance(data, dict) or data.get(KEY) != VERSION:
            raise ValidationError("file", kind_of(data), _EXPECTED)
        entries, broken, unknown = (_part(data, name) for name in ("entries", "broken", "unknown"))
        found: dict[str, Entry] = {}
        why = {str(name): str(text) for name, text in broken.items()}
        for name, each in entries.items():
            try:
                found[name] = decode(name, json.dumps(each).encode())
            except DefinitionError as error:
                why[name] = error.why
        return cls(found, why, {str(name): str(task) for name, task in unknown.items()})


def _part(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = data.get(name)
    if not isinstance(part, dict):
        raise ValidationError("file", kind_of(part), f"an object under {name!r}")
    return part


def _bare(entry: Entry) -> Entry:
    bare = replace(
        entry,
        task=entry.task_name,
        args=(),
        kwargs={},
        options={},
        tags=(),
        description="",
        from_code=(),
        fingerprint="",
    )
    return decode(entry.name, encode(bare))  # schedules of code become what is stored of them


def _object(texts: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(texts.items())))


def facts(entry: Entry) -> dict[str, Any]:
    """What decides about the slots of an entry, as JSON types."""
    return {
        "schedule": entry.schedule.to_json(),
        "enabled": entry.enabled,
        "start_ms": entry.start_ms,
        "end_ms": entry.end_ms,
        "max_runs": entry.max_runs,
        "jitter_ms": entry.jitter_ms,
        "spread_ms": entry.spread_ms,
    }
