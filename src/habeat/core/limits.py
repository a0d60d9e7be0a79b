"""How large an entry and its texts may be; each limit is a setting.

Entries are often created by code that passes on what its tenants typed. Every leader reads the
definitions, and Redis hashes them each time they fall due, so one of 20 MB would delay all others.
A call that exceeds a limit is refused; the error names the size, the limit and the setting. A
larger definition that was written into Redis by other means is quarantined because of its size,
without being read.
"""

from __future__ import annotations

from dataclasses import dataclass

from habeat.core.destinations import check_destinations
from habeat.core.entry import Entry
from habeat.errors import DefinitionError, ValidationError
from habeat.printable import ERROR_MAX_CHARS, Kind

#: Room for what is added after the check: revision, fingerprint, time of creation.
ADDED_BYTES = 1_024

#: The units of the settings, by the end of their names; "bytes" and "entries" are as they are.
_UNITS = {"chars": "characters", "count": "tags"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes of UTF-8 and in characters; `error_chars` limits stored error texts."""

    definition_bytes: int = 65_536
    description_chars: int = 2_000
    reason_chars: int = 500
    tag_count: int = 50
    tag_chars: int = 100
    bulk_entries: int = 10_000
    error_chars: int = ERROR_MAX_CHARS
    #: Names of options that code of the project reads.
    own_options: tuple[str, ...] = ()
    #: Not a setting: prefixes of the queue names that would map to habeat's own keys.
    own_names: tuple[str, ...] = ()
    #: Not a setting of habeat's: Celery's `task_serializer`.
    task_serializer: str = "json"

    @property
    def stored_bytes(self) -> int:
        """The maximum size of a stored definition; a larger one is quarantined unread."""
        return self.definition_bytes + ADDED_BYTES


DEFAULT_LIMITS = Limits()


def check_entry(entry: Entry, size_bytes: int, limits: Limits) -> None:
    """Raise ValidationError if the entry, stored in `size_bytes`, exceeds a limit."""
    name, longest = entry.name, max(map(len, entry.tags), default=0)
    within("definition", size_bytes, limits, "definition_bytes", name)
    within("description", len(entry.description), limits, "description_chars", name)
    within("tags", len(entry.tags), limits, "tag_count", name)
    check_destinations(entry, limits.own_names)
    within("tag", longest, limits, "tag_chars", name)


def too_large(entry: str, size_bytes: int) -> DefinitionError:
    """The error for a definition that is too large to be read."""
    return DefinitionError(
        entry, f"it has {size_bytes} bytes, more than habeat_definition_bytes allows"
    )


def check_reason(reason: str, limits: Limits, entry: str = "") -> None:
    """Raise ValidationError if the reason of a pause is too long."""
    within("reason", len(reason), limits, "reason_chars", entry)


def within(what: str, size: int, limits: Limits, setting: str, entry: str = "") -> None:
    """Raise ValidationError, which names the setting, if `size` exceeds it."""
    most, kind = getattr(limits, setting), setting.rpartition("_")[2]
    if size > most:
        unit = _UNITS.get(kind, kind)
        allowed = f"at most {most} {unit} (habeat_{setting})"
        raise ValidationError(what, Kind(f"{size} {unit}"), allowed, entry=entry)
