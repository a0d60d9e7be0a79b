"""Whether a guard's scope has room for more entries (`max_entries`).

The entries of a scope by prefix are counted in the index of names: once before anything is written,
and again by the script that writes. So simultaneous calls cannot exceed the limit. A scope by tag
is counted by reading its entries, and only before the write, so simultaneous calls may exceed that
limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from habeat.client.calls import RetryingCalls, Session
from habeat.client.guard import Guard
from habeat.client.selection import Selection, counted, name_pages
from habeat.client.swapping import Send
from habeat.entries.readable import shown
from habeat.errors import NotAllowed
from habeat.ports import Unfenced
from habeat.ports.entries import Conflict, Mark, Stored, Write
from habeat.store.entries import EntryStore
from habeat.store.name_index import Bound, Full


def check_room(calls: RetryingCalls, session: Session, found: Iterable[Stored]) -> None:
    """NotAllowed if adding those that do not exist yet would exceed `max_entries`."""
    guard = calls.guard
    new = [stored.name for stored in found if not stored.exists]
    if guard.max_entries is None or not new:
        return
    guard.check_room(new[0], _present(calls, session), len(new))


def without_room(
    calls: RetryingCalls, new: Sequence[str], leaving: int = 0
) -> dict[str, NotAllowed]:
    """The new names for which the scope has no room once `leaving` entries are removed."""
    guard = calls.guard
    if guard.max_entries is None or not new:
        return {}
    present = calls.read(partial(_present, calls)) - leaving
    room = max(0, guard.max_entries - present)
    return {name: guard.no_room(name, present) for name in new[room:]}


def _present(calls: RetryingCalls, session: Session) -> int:
    scope = calls.guard.scope
    if not scope.tag:
        return counted(calls, session, scope.prefix)
    wanted, present = Selection(scope.prefix, (scope.tag,)), 0
    for page in name_pages(calls, session, scope.prefix):
        snapshot = session.entries.read(page, wanted.may_have)
        present += sum(scope.has(shown(stored)) for stored in snapshot.stored)
    return present


def within_room(guard: Guard, writes: Sequence[Write]) -> Send:
    """A `Send` that writes all of these or none; NotAllowed if the scope has become full."""
    if guard.max_entries is None or guard.scope.tag:
        return lambda store, mark: store.write(writes, None, mark)
    bound = Bound(guard.scope.prefix, guard.max_entries)

    def send(store: EntryStore, mark: Mark) -> Conflict | Unfenced | None:
        outcome = store.write_within(bound, writes, mark)
        if not isinstance(outcome, Full):
            return outcome
        new = [write.name for write in writes if not write.digest]
        raise guard.no_room(new[0], outcome.present)

    return send
