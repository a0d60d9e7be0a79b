"""Another name for an entry, with everything that is known of it.

Cursor, count and pause go along, so no slot is fired twice or lost; requests under way are for the
new name from then on. An interval keeps its offset and a cron's `H` its values, for both are
written down; spread and jitter are hashed from the name, so the due time moves with it. The ledger
keeps what happened under the old name, and a note there tells of the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from habeat.core.entry import Entry, validated
from habeat.entries.codec import decode_request, digest_of, encode, encode_request
from habeat.entries.readable import shown
from habeat.errors import DefinitionError
from habeat.ports.entries import Renaming, Stored


def renamed(old: Stored, new_name: str, requests: Mapping[str, bytes]) -> tuple[Renaming, Entry]:
    """What to write, and the entry as it is then; ValidationError for a name that cannot be."""
    found = shown(old)
    entry = validated(replace(found, name=new_name, rev=found.rev + 1))
    state = found.state
    if state.due_ms is not None and state.next_slot_ms is not None:
        state = replace(state, due_ms=entry.effective_ms(state.next_slot_ms))
    entry = replace(entry, state=state)
    renaming = Renaming(
        found.name,
        old.digest,
        state.cursor_ms or None,
        new_name,
        encode(entry),
        state.due_ms,
        list(_moved(found.name, new_name, requests)),
        len(requests),
    )
    return renaming, entry


def _moved(
    name: str, new_name: str, requests: Mapping[str, bytes]
) -> Iterator[tuple[str, str, bytes]]:
    for identity, raw in requests.items():
        try:
            request = decode_request(raw)
        except DefinitionError:
            continue  # the leader puts it aside
        if request.entry == name:
            yield identity, digest_of(raw), encode_request(replace(request, entry=new_name))
