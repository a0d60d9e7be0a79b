"""Deleting everything that habeat keeps under one prefix: `client.purge`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from habeat.client.calls import RetryingCalls
from habeat.client.guard import Scope
from habeat.client.status import Status, read_status
from habeat.errors import BeatsAlive, NotAllowed, RedisUnavailable
from habeat.store.prefix_keys import LAST

log = logging.getLogger("habeat")

#: At most this many names of keys that are not habeat's are returned.
KEPT_MAX = 100


@dataclass(frozen=True, slots=True)
class Purge:
    """What `client.purge` deleted, or with `dry_run` would delete.

    `keys` counts the keys by kind ("entries", "fired", "ledger" …). `entries` is how many entries
    there were, `in_flight` how many claimed firings were not settled, and `dead` how many firings
    and requests had been given up. `kept` are keys under the prefix that habeat did not write (100
    at most): they are never deleted.
    """

    prefix: str
    deleted: bool
    entries: int
    in_flight: int
    dead: int
    keys: Mapping[str, int] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The number of keys."""
        return sum(self.keys.values())


def purge_prefix(calls: RetryingCalls, *, dry_run: bool, force: bool) -> Purge:
    """Delete the prefix's keys, unless a beat is alive there (BeatsAlive) and `force` is false."""
    if calls.guard.scope != Scope():
        raise NotAllowed("", "purge", "a client without a scope")
    grace_ms = calls.location.policies.misfire_grace_ms
    status = calls.read(lambda session: read_status(session.inspection, grace_ms))
    if not (dry_run or force):
        check_stopped(calls.location.prefix, status)
    counts: Counter[str] = Counter()
    kept: dict[str, None] = {}
    last: list[bytes] = []
    for kind, names in _pages(calls):
        if not kind:
            kept |= dict.fromkeys(name.decode("utf-8", "backslashreplace") for name in names)
        elif kind == LAST:
            last = names
        else:
            counts[kind] += _deleted(calls, names, dry_run)
    if last:
        counts[LAST] = _deleted(calls, last, dry_run)
    if not dry_run:
        _unregister(calls)
    return Purge(
        prefix=calls.location.prefix,
        deleted=not dry_run,
        entries=status.entries.total,
        in_flight=status.in_flight,
        dead=status.dead,
        keys=dict(sorted(counts.items())),
        kept=tuple(sorted(kept)[:KEPT_MAX]),
    )


def check_stopped(prefix: str, status: Status) -> None:
    """BeatsAlive if a beat is alive under this prefix."""
    alive = [replica.where for replica in status.replicas]
    if status.leader is not None and status.leader.replica is None:
        alive.append(status.leader.id)
    if alive:
        raise BeatsAlive(prefix, alive)


def _unregister(calls: RetryingCalls) -> None:
    """Leave the register of prefixes; without the permission, its entry stays and does no harm."""
    try:
        calls.write(lambda session: session.prefix_keys.unregister())
    except RedisUnavailable as error:
        log.debug("habeat: the prefix stays in the register of prefixes: %s", error)


def _pages(calls: RetryingCalls) -> Iterator[tuple[str, list[bytes]]]:
    """The keys under the prefix in pages of one kind; SCAN may return a key more than once."""
    cursor, seen = 0, set[bytes]()
    while True:
        at = cursor
        cursor, names = calls.read(lambda session: session.prefix_keys.page(at))  # noqa: B023
        by_kind: dict[str, list[bytes]] = {}
        for kind, name in names:
            if name not in seen:
                seen.add(name)
                by_kind.setdefault(kind, []).append(name)
        yield from by_kind.items()
        if cursor == 0:
            return


def _deleted(calls: RetryingCalls, names: list[bytes], dry_run: bool) -> int:
    if dry_run:
        return len(names)
    return calls.write(lambda session: session.prefix_keys.delete(names))
