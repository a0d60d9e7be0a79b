"""Pause, resume, trigger or remove many entries: by their names, or all that a selection has.

Named entries are checked first: if one of them is unknown or cannot be changed, none is. Then they
are written in batches, each by one script (decision 0034), so a call for up to 50 names is all or
nothing. If Redis stops answering between two batches, BulkInterrupted says what was done.

Requests are stored one by one, after all of them were checked. An interrupted `trigger_many` is
repeated with the same `request_id`: the requests that were stored are then known.

A selection is worked through page by page. An entry in it that cannot be changed is reported, and
the others are changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from habeat.client.by_hand import ID_CHARS_MAX, RequestId, checked_request, firing, triggered
from habeat.client.calls import Overtaken, RetryingCalls, Session
from habeat.client.holding import check_not_paused
from habeat.client.room import within_room
from habeat.client.selection import Selection, pages_of
from habeat.client.swapping import Plan, swap
from habeat.entries.changes import Edit, check_stays, removal
from habeat.entries.draft import checked_name
from habeat.entries.readable import shown
from habeat.errors import (
    BulkError,
    BulkInterrupted,
    CallTimeout,
    DefinitionError,
    EntryMoving,
    EntryNotFound,
    HabeatError,
    NotAllowed,
    OwnedByConfig,
    RedisUnavailable,
    RevisionConflict,
    ValidationError,
)
from habeat.ports.entries import Removal, Stored
from habeat.printable import plural
from habeat.store.pages import PAGE, WRITTEN, pages

#: What to write for an entry as read, at Redis' time; None if it is as wanted already. Raises the
#: reason if it cannot be changed.
Act = Callable[[Stored, int], Edit | Removal | None]

#: Errors that are about one entry; any other is about the call.
OF_ENTRY = (EntryNotFound, EntryMoving, DefinitionError, NotAllowed, OwnedByConfig)

_DIGEST_CHARS = 12


@dataclass(frozen=True, slots=True)
class ManyChanged:
    """What a call for many entries did.

    `changed` has the names of the entries that it changed (paused, resumed, removed), `unchanged`
    those of entries that were as wanted already, and `refused` those that it could not change, each
    with the reason.
    """

    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: Mapping[str, HabeatError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ManyTriggered:
    """The requests that `trigger_many` made, by the names of their entries.

    `refused` has the entries that cannot be triggered, each with the reason.
    """

    requests: Mapping[str, RequestId]
    refused: Mapping[str, HabeatError]


@dataclass(frozen=True)
class Chosen:
    """The entries that a call is for: those with these names (not None), or a selection."""

    names: tuple[str, ...] | None
    selection: Selection

    @classmethod
    def checked(cls, names: Any, prefix: str, tags: Iterable[str], *, every: Any) -> Chosen:
        """From the arguments of a call; ValidationError unless they say which entries."""
        selection = Selection.checked(prefix, tags)
        if isinstance(names, str) or not isinstance(names, Iterable | None):
            raise ValidationError("names", names, "a list of names")
        if not isinstance(every, bool):
            raise ValidationError("all", every, "True or False")
        if (names is not None) + (selection != Selection()) + every != 1:
            raise ValidationError("names", names, "either names, or a prefix or tags, or all=True")
        wanted = None if names is None else tuple(dict.fromkeys(map(checked_name, names)))
        return cls(wanted, selection)

    def batches(self, calls: RetryingCalls, act: Act) -> Iterator[Sequence[str]]:
        """The names, as many at a time as one script may write; named ones are checked first."""
        chosen: Iterable[Sequence[str]]
        if self.names is None:
            chosen = pages_of(calls, self.selection.prefix)
        else:
            calls.write(partial(self._check, calls, act))
            chosen = (self.names,)
        for page in chosen:
            for batch in pages(page, WRITTEN):
                calls.check()
                yield batch

    def has(self, stored: Stored, calls: RetryingCalls) -> bool:
        """Whether this stored entry belongs to the selection; named ones do in any case."""
        if self.names is not None:
            return True
        entry = shown(stored)
        return _is_there(stored) and self.selection.has(entry) and calls.guard.scope.has(entry)

    def _check(self, calls: RetryingCalls, act: Act, session: Session) -> None:
        names = self.names or ()
        errors: dict[str, HabeatError] = {}
        for page in pages(names, PAGE):
            snapshot = session.entries.read(page)
            for stored in snapshot.stored:
                try:
                    _allowed(calls, act, stored, snapshot.now_ms)
                except OF_ENTRY as error:
                    errors[stored.name] = error
        if len(names) == 1 and errors:
            raise errors[names[0]]
        if errors:
            raise BulkError(errors, len(names))


def changed(
    calls: RetryingCalls, chosen: Chosen, act: Act, *, removes: bool = False
) -> ManyChanged:
    """Do this to each of the entries; `removes` says that it removes them, for errors."""
    calls = calls.bounded()
    done = ManyChanged()
    unknown: Sequence[str] = ()  # the names of a batch while it is unknown whether it was written

    def plan(batch: Sequence[str], session: Session) -> Plan[ManyChanged]:
        nonlocal unknown
        unknown = ()
        planned = _batch(calls, chosen, act, batch, session)
        unknown = planned.result.changed
        return planned

    try:
        for batch in chosen.batches(calls, act):
            more = swap(calls, partial(plan, batch))
            unknown = ()
            done = ManyChanged(
                done.changed + more.changed,
                done.unchanged + more.unchanged,
                {**done.refused, **more.refused},
            )
            calls.check(plural(len(done.changed), "entry was", "entries were") + " changed")
    except (RedisUnavailable, CallTimeout, Overtaken, *OF_ENTRY) as error:
        why: HabeatError = error
        if isinstance(error, Overtaken):
            why, unknown = RevisionConflict(error.entry, None, None), ()
        if not done.changed or calls.plans_only:
            raise why from error
        raise _interrupted(chosen, done, unknown, why, removes=removes) from error
    return done


def _interrupted(
    chosen: Chosen, done: ManyChanged, unknown: Sequence[str], why: HabeatError, *, removes: bool
) -> BulkInterrupted:
    """The error for a call that has changed only some of its entries."""
    return BulkInterrupted(
        (),
        unknown,
        None if chosen.names is None else len(chosen.names),
        why,
        changed=() if removes else done.changed,
        removed=done.changed if removes else (),
        repeatable=chosen.names is None or not removes,
    )


def _batch(
    calls: RetryingCalls, chosen: Chosen, act: Act, names: Sequence[str], session: Session
) -> Plan[ManyChanged]:
    snapshot = session.entries.read(names)
    found: dict[str, Edit | Removal | None] = {}
    refused: dict[str, HabeatError] = {}
    for stored in snapshot.stored:
        if not chosen.has(stored, calls):
            continue
        try:
            found[stored.name] = _allowed(calls, act, stored, snapshot.now_ms)
        except OF_ENTRY as error:
            if chosen.names is not None:  # it has changed since the check: none of this batch
                raise
            refused[stored.name] = error
    result = ManyChanged(
        tuple(name for name, what in found.items() if what is not None),
        tuple(name for name, what in found.items() if what is None),
        refused,
    )
    edits = [what for what in found.values() if isinstance(what, Edit)]
    gone = [what for what in found.values() if isinstance(what, Removal)]
    if gone:
        return Plan(result, lambda store, mark: store.remove(gone, None, mark))
    if edits:
        return Plan(result, within_room(calls.guard, [edit.write for edit in edits]))
    return Plan(result)


def _allowed(calls: RetryingCalls, act: Act, stored: Stored, now_ms: int) -> Edit | Removal | None:
    """What to write for this entry; EntryNotFound, NotAllowed, or what `act` raises."""
    calls.guard.check_name(stored.name)
    if not _is_there(stored):
        raise EntryNotFound(stored.name)
    calls.guard.check_scope(shown(stored))
    what = act(stored, now_ms)
    if isinstance(what, Edit):
        calls.guard.check_change(stored, what, now_ms)
    return what


def _is_there(stored: Stored) -> bool:
    return stored.exists or stored.state.quarantined is not None


# -- removing -------------------------------------------------------------------------------


def removed(calls: RetryingCalls, chosen: Chosen) -> tuple[str, ...]:
    """Remove the API's entries among these; returns their names.

    Named entries of beat_schedule are refused, those of a selection stay.
    """
    act: Act = _removal if chosen.names is not None else _removal_of_ours
    return changed(calls, chosen, act, removes=True).changed


def _removal(stored: Stored, now_ms: int) -> Removal:
    # An unreadable entry of beat_schedule may be removed: the leader then stores it again.
    if shown(stored).owner == "config" and stored.entry is not None:
        raise OwnedByConfig(stored.name, "remove")
    return removal(stored, now_ms)


def _removal_of_ours(stored: Stored, now_ms: int) -> Removal | None:
    return removal(stored, now_ms) if shown(stored).owner == "api" else None


# -- triggering -----------------------------------------------------------------------------


def triggered_many(
    calls: RetryingCalls,
    chosen: Chosen,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    request_id: str,
) -> ManyTriggered:
    """Request one firing of each; the ids are derived from `request_id` and the entries' names."""
    calls = calls.bounded()
    calls.read(check_not_paused)
    request = firing(args, kwargs)

    def check(stored: Stored, now_ms: int) -> None:
        check_stays(stored)
        if stored.entry is None:
            raise DefinitionError(stored.name, stored.unreadable)
        checked_request(calls, request(stored.entry, now_ms), stored.entry)

    names: list[str] = []
    refused: dict[str, HabeatError] = {}
    for batch in chosen.batches(calls, check):
        for name, error in _checked(calls, chosen, batch, check):
            if error is None:
                names.append(name)
            else:
                refused[name] = error
    fire = partial(triggered, calls, args=args, kwargs=kwargs)
    return _Triggering(calls, names, refused, request_id).run(fire)


def _checked(
    calls: RetryingCalls, chosen: Chosen, names: Sequence[str], act: Act
) -> Iterator[tuple[str, HabeatError | None]]:
    """Those of these names that are meant, each with the reason if it cannot be triggered."""
    snapshot = calls.read(lambda session: session.entries.read(names))
    for stored in snapshot.stored:
        if not chosen.has(stored, calls):
            continue
        try:
            _allowed(calls, act, stored, snapshot.now_ms)
        except OF_ENTRY as error:
            yield stored.name, error
        else:
            yield stored.name, None


class _Triggering:
    """Stores one request for each entry, and tracks how far it has come."""

    def __init__(
        self,
        calls: RetryingCalls,
        names: Sequence[str],
        refused: dict[str, HabeatError],
        request_id: str,
    ) -> None:
        self._calls = calls
        self._names = names
        self._requests: dict[str, RequestId] = {}
        self._refused = refused
        self._request_id = request_id
        #: The name of an entry while it is unknown whether its request was stored.
        self._unknown: tuple[str, ...] = ()

    def run(self, fire: Callable[..., RequestId]) -> ManyTriggered:
        """Request one firing of each with `fire`; BulkInterrupted says which were requested."""
        try:
            for name in self._names:
                done = plural(len(self._requests), "entry was", "entries were") + " triggered"
                self._calls.check(done)
                self._fire(name, fire)
        except (RedisUnavailable, CallTimeout, ValidationError) as error:
            if self._calls.plans_only or not (self._requests or self._unknown):
                raise
            raise self._interrupted(error) from error
        return ManyTriggered(self._requests, self._refused)

    def _fire(self, name: str, fire: Callable[..., RequestId]) -> None:
        self._unknown = (name,)
        try:
            self._requests[name] = fire(name=name, identity=_derived(self._request_id, name))
        except OF_ENTRY as error:
            self._refused[name] = error
        except ValidationError:
            self._unknown = ()
            raise
        self._unknown = ()

    def _interrupted(self, why: HabeatError) -> BulkInterrupted:
        return BulkInterrupted(
            (),
            self._unknown,
            len(self._names),
            why,
            changed=tuple(self._requests),
            repeatable=True,
            request_id=self._request_id,
        )


def _derived(request_id: str, name: str) -> str:
    digest = hashlib.sha1(name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    derived = f"{request_id}:{digest[:_DIGEST_CHARS]}"
    if len(derived) <= ID_CHARS_MAX:
        return derived
    return hashlib.sha256(derived.encode()).hexdigest()
