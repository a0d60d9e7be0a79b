"""Entries given to a bulk call, each as a mapping with the arguments of `add`.

Each is read and checked on its own, or refused with a reason. Nothing here reads Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from habeat.client.location import Location
from habeat.core.entry import Entry
from habeat.core.limits import Limits, within
from habeat.entries.draft import new_entry, storable
from habeat.errors import HabeatError, ValidationError
from habeat.printable import kind_of

#: For this many entries, a bulk call may take a second longer.
PER_SECOND = 1_000


def entries_given(
    call: str, given: Iterable[Any], location: Location, tag: str = ""
) -> tuple[list[Entry], dict[str, HabeatError]]:
    """The entries, each with the tag if there is one, and the errors of those that are invalid.

    ValidationError if there are too many for one `call`.
    """
    items = list(given)
    within(call, len(items), location.limits, "bulk_entries")
    wanted: dict[str, Entry] = {}
    errors: dict[str, HabeatError] = {}
    for at, item in enumerate(items):
        name = item.get("name") if isinstance(item, Mapping) else None
        label = name if isinstance(name, str) and name else f"entries[{at}]"
        try:
            if label in wanted or label in errors:
                label = f"entries[{at}]"
                raise ValidationError("name", name, "each name only once", entry=str(name))
            entry = entry_given(item, location.timezone, location.limits)
            wanted[label] = _tagged(entry, tag, location)
        except HabeatError as error:
            errors[label] = error
    return list(wanted.values()), errors


def listed(given: Any) -> list[Any]:
    """The entries as a list; ValidationError for anything else, such as one entry."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ValidationError("entries", given, "a list of mappings with the arguments of add")
    return list(given)


def entry_given(item: Any, timezone: str, limits: Limits) -> Entry:
    """The entry that a mapping with the arguments of `add` describes; ValidationError."""
    if not isinstance(item, Mapping):
        raise ValidationError("entry", kind_of(item), "a mapping with the arguments of add")
    name: Any = item.get("name")
    given = {key: value for key, value in item.items() if key != "name"}
    for required in ("task", "schedule"):
        if required not in given:
            raise ValidationError(
                required, None, "a value", entry=str(name or ""), problem=f"{required} is missing"
            )
    return new_entry(name, given, timezone, limits)


def _tagged(entry: Entry, tag: str, location: Location) -> Entry:
    if not tag or tag in entry.tags:
        return entry
    return storable(replace(entry, tags=(*entry.tags, tag)), location.limits)
