"""The change log: one record for each change of an entry, written by the scripts that change it.

Another program may have written anything into the key, so every record is read defensively: what
is not as it should be is shown as empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from habeat.store.calling import Caller, optional_ms, text
from habeat.store.pipelining import wire
from habeat.store.replies import words
from habeat.store.streams import ids, pages_of_stream

PAGE = 500
#: Redis refuses ids whose parts do not fit into 64 bits; these always do.
_ID_PART = re.compile("[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """One record, of an entry, or of the control `control` of the schedule.

    `fields` has the values before and after by name, or True if they are not kept. `before` and
    `after` are the digests of the definition, "" where there was none.
    """

    id: str
    at_ms: int
    entry: str
    act: str
    by: str
    way: str
    before: str
    after: str
    fields: Mapping[str, Any]
    control: str = ""


class ChangeLog:
    """Reads the log of one prefix."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def newest_first(self, since_ms: int | None = None) -> Iterator[LoggedChange]:
        """The records written at or after `since_ms` (Redis time)."""
        do = partial(self._caller.do_or, otherwise=())
        for page in pages_of_stream(do, self._caller.keys.changes, *ids(since_ms), PAGE):
            yield from (_record(text(identity), fields) for identity, fields in page)

    def last_of(self, entry: str) -> LoggedChange | None:
        """The newest record of an entry that exists; None if it has left the log."""
        keys = self._caller.keys
        found = self._caller.do_or(lambda client: client.hget(keys.last_changes, wire(entry)), b"")
        identity = text(found or b"")
        if not _is_id(identity):
            return None
        page = self._caller.do_or(
            lambda client: client.xrange(keys.changes, identity, identity), ()
        )
        records = [_record(text(each), fields) for each, fields in page]
        return next((record for record in records if record.entry == entry), None)


def _is_id(word: str) -> bool:
    at_ms, dash, place = word.partition("-")
    return bool(dash) and all(_ID_PART.fullmatch(part) for part in (at_ms, place))


def _record(identity: str, raw: Mapping[bytes, bytes]) -> LoggedChange:
    fields = words(raw)
    return LoggedChange(
        id=identity,
        at_ms=optional_ms(identity.partition("-")[0]) or 0,
        entry=fields.get("entry", "?"),
        act=fields.get("act", "?"),
        by=fields.get("by", ""),
        way=fields.get("way", "?"),
        before=fields.get("before", ""),
        after=fields.get("after", ""),
        fields=fields_of(fields.get("fields", "")),
        control=fields.get("control", ""),
    )


def fields_of(raw: str) -> Mapping[str, Any]:
    """The fields in a record, as far as they can be read."""
    try:
        found = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: value
        for name, value in found.items()
        if value is True or (isinstance(value, list) and len(value) == 2)
    }
