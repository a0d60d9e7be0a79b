"""Read a document of entries: each is decoded, completed and checked, or refused with a reason.

Nothing here reads Redis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from habeat.client.budget import Check
from habeat.client.location import Location
from habeat.core.entry import Entry
from habeat.core.limits import check_reason
from habeat.entries.codec import VERSION, decode
from habeat.entries.draft import storable
from habeat.entries.options import check_names, options_of
from habeat.entries.tasks import task_of
from habeat.errors import DefinitionError, HabeatError, ValidationError
from habeat.printable import kind_of, plural
from habeat.schedules.schedule import to_ms

EXPORT_VERSION = 1

_NOT_DEFINED = ("name", "paused", "paused_until")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of a document."""

    entry: Entry
    paused: str | None
    until_ms: int | None = None

    def pause_at(self, now_ms: int) -> tuple[str | None, int | None]:
        """The reason and end of its pause; None and None if it has none, or it is over."""
        over = self.until_ms is not None and self.until_ms <= now_ms
        return (None, None) if over else (self.paused, self.until_ms)


def wanted_of(
    data: Any, location: Location, check: Check
) -> tuple[dict[str, Wanted], dict[str, str]]:
    """The document's entries by name, and the reasons for those that cannot be read."""
    if not isinstance(data, Mapping) or data.get("habeat_export") != EXPORT_VERSION:
        given = data.get("habeat_export") if isinstance(data, Mapping) else type(data).__name__
        raise ValidationError(
            "habeat_export", given, f"{EXPORT_VERSION}, in a document made by export"
        )
    if not isinstance(data.get("entries"), list):
        raise ValidationError("entries", type(data.get("entries")).__name__, "a list of entries")
    wanted: dict[str, Wanted] = {}
    refused: dict[str, str] = {}
    for at, item in enumerate(data["entries"]):
        check(plural(at, "entry was", "entries were") + " read, none was written")
        name = item.get("name") if isinstance(item, Mapping) else None
        shown_name = name if isinstance(name, str) and name else f"entries[{at}]"
        try:
            if shown_name in wanted:
                raise ValidationError("name", name, "each name only once")
            wanted[shown_name] = _one(name, item, location)
        except DefinitionError as error:
            refused[shown_name] = error.why
        except HabeatError as error:
            refused[shown_name] = str(error)
    return wanted, refused


def _one(name: Any, item: Any, location: Location) -> Wanted:
    if not isinstance(item, Mapping) or not isinstance(name, str):
        raise ValidationError("name", name, "an entry with a name")
    paused = item.get("paused")
    if paused is not None and not isinstance(paused, str):
        raise ValidationError("paused", paused, "the reason, a text", entry=name)
    until_ms = _until_ms(name, item.get("paused_until"))
    for field_name in ("args", "tags"):
        if not isinstance(item.get(field_name, []), list):
            raise ValidationError(field_name, item[field_name], "a list", entry=name)
    owner = item.get("owner", "api")
    if owner not in ("api", "config"):
        raise ValidationError("owner", owner, "'api' or 'config'", entry=name)
    definition = {key: value for key, value in item.items() if key not in _NOT_DEFINED}
    definition |= {"v": VERSION, "owner": owner, "rev": 1, "created_ms": 0}
    entry = decode(name, _as_stored(name, definition))
    entry = replace(entry, schedule=entry.schedule.bound(name, location.timezone))
    if owner == "api":
        entry = replace(entry, task=task_of(entry.task), options=options_of(entry.options))
        check_names(entry.options, location.limits.own_options)
    storable(entry, location.limits)
    check_reason(paused or "", location.limits, name)
    return Wanted(entry, paused, until_ms)


def _as_stored(name: str, definition: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(definition).encode()
    except Exception as error:  # the document need not come from a JSON file
        allowed = f"what JSON can carry ({type(error).__name__})"
        raise ValidationError("definition", kind_of(definition), allowed, entry=name) from error


def _until_ms(name: str, given: Any) -> int | None:
    if given is None:
        return None
    try:
        return to_ms("paused_until", datetime.fromisoformat(given))
    except (ValidationError, ValueError, TypeError):
        allowed = "a moment in ISO 8601 with an offset"
        raise ValidationError("paused_until", given, allowed, entry=name) from None
